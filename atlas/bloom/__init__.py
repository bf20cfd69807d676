"""Files for Neo4j Bloom and Neo4j Browser: a perspective, a style, and the queries to import."""

from atlas.bloom.files import BloomExport, export_bloom
from atlas.bloom.perspective import perspective

__all__ = ["BloomExport", "export_bloom", "perspective"]
