"""The page of an edge."""
