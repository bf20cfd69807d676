"""Checks of the edges on a run's own data: what floors keep, shuffled data, halves of it."""
