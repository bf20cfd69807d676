"""Sections of the report of a concept study, from its stored tables alone."""
