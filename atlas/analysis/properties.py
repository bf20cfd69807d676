"""Which properties and relationships an analysis leaves in the graph: what a clean-up removes."""

from __future__ import annotations

from atlas.analysis.algorithms import ALGORITHMS
from atlas.analysis.projection import SUFFIXES

MEASURES = ("pagerank", "degree", "strength", "betweenness", "closeness", "eigenvector")
"""Algorithms of `analyse` whose scores it writes to the features."""

ANALYSIS_PROPERTIES = ("scored_run", *MEASURES, "community")
"""Properties of Feature that `analyse` writes."""


def levels_property(name: str) -> str:
    """Return the property of a partition's hierarchy, from that of its groups."""
    return f"{name.removesuffix('_group')}_levels"


def _written() -> list[str]:
    names: list[str] = []
    for algorithm in ALGORITHMS.values():
        if algorithm.output in ("scores", "vectors", "partition"):
            names.extend(algorithm.columns)
        if algorithm.output == "partition":
            names.append(levels_property(algorithm.columns[0]))
    return [name + suffix for name in names for suffix in SUFFIXES.values()]


SCORE_PROPERTIES = tuple(dict.fromkeys((*ANALYSIS_PROPERTIES, *_written())))
"""Every property of Feature that an analysis or algorithm may have written."""

SCORE_RELATIONSHIPS = tuple(a.relationship for a in ALGORITHMS.values() if a.relationship)
"""Every type of relationship between features that an algorithm may have written."""
