"""Read queries of the atlas: Cypher files, and one Python function for each."""
