"""A run's graph, or part of it, out of the database."""

from queries.exports.export import export, graph
from queries.exports.selection import Selection

__all__ = ["Selection", "export", "graph"]
