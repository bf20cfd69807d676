"""The console of read-only Cypher."""
