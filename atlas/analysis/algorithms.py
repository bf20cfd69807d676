"""The registry of graph algorithms: what each one answers, takes, returns and runs on."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from atlas.analysis.specification import Algorithm, Parameter
from atlas.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALL = ("gds", "igraph", "networkit", "networkx")
_WEIGHTED = Parameter("weighted", True, "Whether weights count.")
_RESOLUTION = Parameter("resolution", 1.0, "Above 1 more, smaller groups.", minimum=0.0)
_ORIENTATION = Parameter(
    "orientation", "out", "Which edges of a directed graph.", choices=("out", "in", "both")
)
_TOP_K = Parameter("top_k", 10, "Most partners of a feature.", minimum=1)
_TOLERANCE = Parameter("tolerance", 1e-4, "Least gain of modularity of a level.", minimum=0.0)
_MAX_LEVELS = Parameter("max_levels", 10, "Most levels of the hierarchy.", minimum=1)
_OF = Parameter(
    "of",
    "leiden",
    "Partition that is judged.",
    choices=("leiden", "louvain", "label_propagation", "wcc"),
)
_VECTORS = Parameter("vectors", "fastrp", "`fastrp`, or a property of Feature that holds vectors.")
_DIMENSION = Parameter("dimension", 128, "Numbers of a FastRP vector.", minimum=1)
_PAGERANK = (
    Parameter("damping", 0.85, "Share of the rank that follows edges.", minimum=0.0, maximum=1.0),
    Parameter("max_iterations", 200, "Most iterations.", minimum=1),
    Parameter("tolerance", 1e-9, "Change of a score that ends the iterations.", minimum=0.0),
    _WEIGHTED,
)

_LISTED = (
    Algorithm(
        "pagerank",
        "Which features do strong neighbours lead to?",
        "scores",
        ("pagerank",),
        _ALL,
        _PAGERANK,
        "either",
    ),
    Algorithm(
        "personalised_pagerank",
        "Which features are near these ones, by all ways together?",
        "scores",
        ("personalised_pagerank",),
        ("gds", "igraph", "networkx"),
        (Parameter("sources", (), "Keys of features.", required=True), *_PAGERANK),
        "either",
    ),
    Algorithm(
        "degree", "How many neighbours?", "scores", ("degree",), _ALL, (_ORIENTATION,), "either"
    ),
    Algorithm(
        "strength",
        "How much weight do its edges have?",
        "scores",
        ("strength",),
        _ALL,
        (_ORIENTATION,),
        "either",
    ),
    Algorithm(
        "betweenness",
        "Which features lie between others?",
        "scores",
        ("betweenness",),
        _ALL,
        (
            Parameter("exact_nodes", 10_000, "Graphs up to this are done exactly.", minimum=0),
            Parameter("samples", 512, "Sources sampled in larger graphs.", minimum=1),
        ),
        seeded=_ALL,
    ),
    Algorithm(
        "closeness",
        "Which features are near to all that they reach?",
        "scores",
        ("closeness",),
        _ALL,
    ),
    Algorithm(
        "harmonic",
        "The same, with those out of reach infinitely far.",
        "scores",
        ("harmonic",),
        _ALL,
    ),
    Algorithm(
        "eigenvector",
        "Which features have central neighbours?",
        "scores",
        ("eigenvector",),
        _ALL,
        (
            Parameter("max_iterations", 1000, "Most iterations.", minimum=1),
            Parameter("tolerance", 1e-9, "Change that ends the iterations.", minimum=0.0),
        ),
    ),
    Algorithm(
        "hits",
        "Which features lead to much (hub), and which do many lead to (authority)?",
        "scores",
        ("hub", "authority"),
        ("gds", "igraph", "networkx"),
        (Parameter("iterations", 100, "Iterations of gds.", minimum=1),),
        "directed",
    ),
    Algorithm("kcore", "How deep in the dense core?", "scores", ("core",), _ALL),
    Algorithm("triangles", "In how many triangles?", "scores", ("triangles",), _ALL),
    Algorithm(
        "clustering", "How many of its neighbours are neighbours?", "scores", ("clustering",), _ALL
    ),
    Algorithm(
        "leiden",
        "Which groups of features hang together?",
        "partition",
        ("leiden_group",),
        ("gds", "igraph", "networkit"),
        (
            _RESOLUTION,
            Parameter("theta", 0.01, "Randomness of the refinement (not networkit).", minimum=0.0),
            _TOLERANCE,
            _MAX_LEVELS,
            _WEIGHTED,
        ),
        seeded=("gds", "igraph", "networkit"),
    ),
    Algorithm(
        "louvain",
        "The same, by the older method.",
        "partition",
        ("louvain_group",),
        _ALL,
        (_TOLERANCE, _MAX_LEVELS, _WEIGHTED),
        seeded=("igraph", "networkit", "networkx"),
    ),
    Algorithm(
        "greedy_modularity",
        "The same, merging the best pair of groups each time; slow.",
        "partition",
        ("greedy_modularity_group",),
        ("networkx", "igraph"),
        (_WEIGHTED,),
    ),
    Algorithm(
        "label_propagation",
        "The same, roughly and fast.",
        "partition",
        ("label_propagation_group",),
        _ALL,
        (Parameter("max_iterations", 50, "Most rounds (gds, networkit).", minimum=1), _WEIGHTED),
        seeded=("igraph", "networkit", "networkx"),
    ),
    Algorithm(
        "wcc",
        "Which features can reach each other at all?",
        "partition",
        ("component",),
        _ALL,
        direction="either",
    ),
    Algorithm(
        "fastrp",
        "A vector of each feature's neighbourhood.",
        "vectors",
        ("fastrp",),
        ("gds",),
        (
            _DIMENSION,
            Parameter("iteration_weights", (0.0, 1.0, 1.0), "Weights of the hops."),
            Parameter("normalization_strength", 0.0, "Below 0, hubs count less."),
            _WEIGHTED,
        ),
        "either",
        seeded=("gds",),
    ),
    Algorithm(
        "knn",
        "Which features have the nearest vectors?",
        "pairs",
        ("score",),
        ("gds",),
        (
            _TOP_K,
            Parameter("cutoff", 0.0, "Least similarity.", minimum=-1.0, maximum=1.0),
            Parameter("sample_rate", 0.5, "1 searches longest.", minimum=1e-3, maximum=1.0),
            _VECTORS,
            _DIMENSION,
        ),
        "either",
        seeded=("gds",),
        relationship="NEAR",
    ),
    Algorithm(
        "kmeans",
        "Groups of features by their vectors.",
        "partition",
        ("kmeans_group",),
        ("gds",),
        (
            Parameter("k", 10, "Groups.", minimum=1),
            Parameter("max_iterations", 50, "Most iterations.", minimum=1),
            Parameter("restarts", 3, "Starts, of which the best is kept.", minimum=1),
            _VECTORS,
            _DIMENSION,
        ),
        "either",
        seeded=("gds",),
    ),
    Algorithm(
        "node_similarity",
        "Which features have the same neighbours?",
        "pairs",
        ("score",),
        ("scipy", "gds"),
        (
            _TOP_K,
            Parameter(
                "cutoff", 0.1, "Least share of neighbours in common.", minimum=0.0, maximum=1.0
            ),
            Parameter("min_degree", 2, "Features with fewer neighbours are left out.", minimum=1),
            Parameter("max_degree", 200, "Features with more are left out.", minimum=1),
        ),
        relationship="SHARES_NEIGHBOURS",
    ),
    Algorithm(
        "link_prediction",
        "Which pairs without an edge share the most neighbours?",
        "pairs",
        (
            "adamic_adar",
            "resource_allocation",
            "common_neighbours",
            "preferential_attachment",
            "total_neighbours",
        ),
        ("scipy", "networkx"),
        (
            Parameter(
                "by",
                "adamic_adar",
                "Score that the pairs are chosen by.",
                choices=(
                    "adamic_adar",
                    "resource_allocation",
                    "common_neighbours",
                    "preferential_attachment",
                    "total_neighbours",
                ),
            ),
            _TOP_K,
            Parameter(
                "max_degree", 0, "Neighbours of more edges do not count; 0: all do.", minimum=0
            ),
        ),
        relationship="MAY_JOIN",
    ),
    Algorithm(
        "conductance",
        "How much of each group's weight leaves it?",
        "scalars",
        ("conductance",),
        ("gds", "networkx"),
        (_OF, _WEIGHTED),
    ),
    Algorithm(
        "modularity",
        "How much denser are the groups than chance?",
        "scalars",
        ("modularity",),
        _ALL,
        (_OF, _WEIGHTED),
    ),
)

ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType({a.name: a for a in _LISTED})
"""Every algorithm by its name."""


def algorithm(name: str) -> Algorithm:
    """Return an algorithm; hyphens stand for underscores.

    Raises
    ------
    NotFoundError
        There is none of that name; the message lists those there are.
    """
    found = ALGORITHMS.get(name.replace("-", "_"))
    if found is None:
        raise NotFoundError(
            f"There is no algorithm {name!r}.", hint=f"There are: {', '.join(ALGORITHMS)}."
        )
    return found
