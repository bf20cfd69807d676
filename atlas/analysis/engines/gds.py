"""The algorithms on Graph Data Science, on one thread: scores, and the table of all."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.engines import gds_groups
from atlas.analysis.engines.gds_calls import CONCURRENCY, run, weight_of
from atlas.analysis.engines.gds_graph import WEIGHT
from atlas.analysis.engines.scores import unit_length
from atlas.analysis.outputs import Call, Computed, NodeScores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atlas.analysis.engines.gds_calls import Method
    from atlas.analysis.engines.gds_graph import GdsGraph

_ORIENTATIONS = {"out": "NATURAL", "in": "REVERSE", "both": "UNDIRECTED"}


def _score(endpoint: str, column: str, *, whole: bool = False, **fixed: Any) -> Method:
    """Return the method of a score that takes no parameters."""

    def method(graph: GdsGraph, call: Call) -> Computed:  # noqa: ARG001
        details = run(graph, endpoint, column, **fixed)
        values = graph.values(column)
        return Computed(
            NodeScores({column: values.astype(np.int64 if whole else np.float64)}),
            details=details,
        )

    return method


def _pagerank(graph: GdsGraph, call: Call) -> Computed:
    personal = "sources" in call.parameters
    column = "personalised_pagerank" if personal else "pagerank"
    sources = None
    if personal:
        place = {key: number for number, key in enumerate(graph.keys)}
        sources = [int(graph.ids[place[key]]) for key in call["sources"]]
    details = run(
        graph,
        "page_rank",
        column,
        damping_factor=call["damping"],
        max_iterations=call["max_iterations"],
        tolerance=call["tolerance"],
        relationship_weight_property=weight_of(call),
        source_nodes=sources,
    )
    scores = NodeScores({column: graph.values(column).astype(np.float64)})
    return Computed(scores, bool(details["did_converge"]), details)


def _degree(graph: GdsGraph, call: Call) -> Computed:
    orientation = _ORIENTATIONS[call["orientation"]] if graph.directed else None
    run(graph, "degree", "degree", orientation=orientation)
    return Computed(NodeScores({"degree": graph.values("degree").astype(np.int64)}))


def _strength(graph: GdsGraph, call: Call) -> Computed:
    orientation = _ORIENTATIONS[call["orientation"]] if graph.directed else None
    run(graph, "degree", "strength", orientation=orientation, relationship_weight_property=WEIGHT)
    return Computed(NodeScores({"strength": graph.values("strength").astype(np.float64)}))


def _betweenness(graph: GdsGraph, call: Call) -> Computed:
    exact = graph.nodes <= call["exact_nodes"] or call["samples"] >= graph.nodes
    samples = None if exact else call["samples"]
    run(
        graph,
        "betweenness",
        "betweenness",
        sampling_size=samples,
        sampling_seed=None if exact else call.seed,
    )
    values = graph.values("betweenness").astype(np.float64)
    if samples:
        values = values * (graph.nodes / samples)
    return Computed(NodeScores({"betweenness": values}), exact, {"samples": samples or graph.nodes})


def eigenvector_iterations(largest_degree: int) -> int:
    """Return how many iterations of the eigenvector's power method GDS can do without overflow.

    GDS passes on a vector that it never scales down, so the vector grows by the largest
    eigenvalue in each iteration; once its sum of squares passes the range of a float, every score
    is zero. That eigenvalue is at most the largest degree; one more is allowed for the feature's
    own score.
    """
    half_of_the_range = 150.0
    return min(1000, int(half_of_the_range / math.log10(largest_degree + 1.0)))


def _eigenvector(graph: GdsGraph, call: Call) -> Computed:
    # Unweighted: with weights, GDS divides them by their sum at each feature, and the result is
    # then the strength over again.
    run(graph, "degree", "degree")
    largest = int(graph.values("degree").max(initial=1))
    details = run(
        graph,
        "eigenvector",
        "eigenvector",
        max_iterations=min(call["max_iterations"], eigenvector_iterations(largest)),
        tolerance=call["tolerance"],
    )
    values = unit_length(graph.values("eigenvector"))
    return Computed(NodeScores({"eigenvector": values}), bool(details["did_converge"]), details)


def _hits(graph: GdsGraph, call: Call) -> Computed:
    # Streamed: in the mutate mode of GDS 2.13.9 both properties hold the authorities.
    frame = graph.gds.hits.stream(
        graph.graph,
        hub_property="hub",
        auth_property="authority",
        hits_iterations=call["iterations"],
        concurrency=CONCURRENCY,
    )
    order = np.argsort(graph.places(frame["nodeId"].to_numpy()))
    rows = frame["values"].tolist()
    columns = {
        name: unit_length(np.array([row[name] for row in rows])[order])
        for name in ("hub", "authority")
    }
    return Computed(NodeScores(columns), details={"iterations": call["iterations"]})


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "pagerank": _pagerank,
        "personalised_pagerank": _pagerank,
        "degree": _degree,
        "strength": _strength,
        "betweenness": _betweenness,
        "closeness": _score("closeness", "closeness", use_wasserman_faust=True),
        "harmonic": _score("harmonic", "harmonic"),
        "eigenvector": _eigenvector,
        "hits": _hits,
        "kcore": _score("kcore", "core", whole=True),
        "triangles": _score("triangle_count", "triangles", whole=True),
        "clustering": _score("local_clustering_coefficient", "clustering"),
        **gds_groups.METHODS,
    }
)
"""Algorithm -> its method."""
