"""Runs, studies and their reports."""
