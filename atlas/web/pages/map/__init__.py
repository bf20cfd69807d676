"""The map of all features."""
