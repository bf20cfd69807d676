"""Centrality of the features on the backbone, computed by Graph Data Science.

Everything runs on one thread: sums are then added in one order, and a second run gives the same
floating-point numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atlas.analysis.projection import Backbone

CONCURRENCY = 1


@dataclass(frozen=True)
class Centrality:
    """One measure.

    Attributes
    ----------
    property
        Feature property that receives it, and name of the measure's `AlgorithmRun`.
    endpoint
        Attribute of the Graph Data Science client.
    parameters
        Keyword arguments of the client's call.
    """

    property: str
    endpoint: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AlgorithmResult:
    """How an algorithm ran; its values are in the projection until they are read.

    Attributes
    ----------
    algorithm
        Name of the procedure, for example ``gds.pageRank``.
    property
        Name of its value in the projection.
    parameters
        What it was called with, defaults of the server included.
    milliseconds
        Time of the computation.
    details
        What else it reports: iterations, convergence, modularity.
    seed
        Random seed, if it takes one.
    """

    algorithm: str
    property: str
    parameters: Mapping[str, Any]
    milliseconds: int
    details: Mapping[str, Any]
    seed: int | None = None


CENTRALITIES = (
    # PageRank and strength follow the weights. Shortest paths count edges, because a strong
    # association is no long way, as a weight would make it.
    Centrality(
        "pagerank",
        "page_rank",
        {
            "relationship_weight_property": "phi",
            "damping_factor": 0.85,
            "max_iterations": 200,
            "tolerance": 1e-9,
        },
    ),
    Centrality("degree", "degree"),
    Centrality("strength", "degree", {"relationship_weight_property": "phi"}),
    Centrality("betweenness", "betweenness"),
    # Wasserman and Faust's formula scales by the share of features that can be reached, so that
    # a feature of a tiny component does not look central. (Harmonic closeness, the other remedy,
    # gives nearly the same order.)
    Centrality("closeness", "closeness", {"use_wasserman_faust": True}),
    # Unweighted: with weights, GDS divides them by their sum at each feature, and the result is
    # then the strength over again.
    Centrality("eigenvector", "eigenvector", {"tolerance": 1e-7}),
)

_PROCEDURES = {"page_rank": "gds.pageRank"}
# Settings of the call that say nothing about the result.
_HOUSEKEEPING = frozenset(
    {"jobId", "logProgress", "sudo", "mutateProperty", "nodeLabels", "relationshipTypes"}
)
_DETAILS = ("ran_iterations", "did_converge", "ran_levels", "community_count", "modularity")


def compute(backbone: Backbone, measure: Centrality) -> AlgorithmResult:
    """Compute one measure for every feature of the projection and leave it there.

    Parameters
    ----------
    backbone
        The projection; receives the node property `measure.property` (float).
    measure
        One of `CENTRALITIES`.
    """
    parameters = dict(measure.parameters)
    if measure.property == "eigenvector":
        parameters["max_iterations"] = eigenvector_iterations(backbone.top_k)
    result = getattr(backbone.gds, measure.endpoint).mutate(
        backbone.graph,
        mutate_property=measure.property,
        concurrency=CONCURRENCY,
        **parameters,
    )
    name = _PROCEDURES.get(measure.endpoint, f"gds.{measure.endpoint}")
    return describe(name, measure.property, result)


def eigenvector_iterations(top_k: int) -> int:
    """Return how many iterations of the eigenvector's power method GDS can do without overflow.

    GDS passes on a vector that it never scales down, so the vector grows by the largest
    eigenvalue in each iteration; once its sum of squares passes the range of a float, every score
    is zero. That eigenvalue is at most the largest degree, which in the backbone is at most
    `top_k`; one more is allowed for the feature's own score.
    """
    half_of_the_range = 150.0
    return min(1000, int(half_of_the_range / math.log10(top_k + 1.0)))


def describe(
    algorithm: str, node_property: str, result: Any, *, seed: int | None = None
) -> AlgorithmResult:
    """Return what is recorded of a result of the Graph Data Science client."""
    settings = {
        name: value
        for name, value in result.configuration.items()
        if name not in _HOUSEKEEPING and value is not None
    }
    details = {name: getattr(result, name) for name in _DETAILS if hasattr(result, name)}
    return AlgorithmResult(
        algorithm, node_property, settings, int(result.compute_millis), details, seed
    )
