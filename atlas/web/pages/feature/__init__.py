"""The page of a feature."""
