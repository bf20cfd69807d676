"""How procedures of Graph Data Science are called: on one thread.

Sums are then added in one order, and a second run gives the same floating-point numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.analysis.engines.gds_graph import WEIGHT

if TYPE_CHECKING:
    from collections.abc import Callable

    from atlas.analysis.engines.gds_graph import GdsGraph
    from atlas.analysis.outputs import Call, Computed

    Method = Callable[[GdsGraph, Call], Computed]

CONCURRENCY = 1
VECTORS = "vectors"
"""Node property of a constructed graph that holds given vectors."""
GROUPS = "groups"
"""The same of a given partition."""

_DETAILS = (
    "ran_iterations",
    "did_converge",
    "ran_levels",
    "community_count",
    "modularity",
    "average_clustering_coefficient",
    "global_triangle_count",
)


def run(graph: GdsGraph, endpoint: str, name: str, **parameters: Any) -> dict[str, Any]:
    """Leave a node property in the projection; return what the server says of the run."""
    method = getattr(graph.gds, endpoint)
    # What an earlier call left under this name would stand in the way.
    graph.gds.graph.node_properties.drop(graph.graph, [name], fail_if_missing=False)
    result = method.mutate(
        graph.graph,
        mutate_property=name,
        concurrency=CONCURRENCY,
        **{key: value for key, value in parameters.items() if value is not None},
    )
    return {detail: getattr(result, detail) for detail in _DETAILS if hasattr(result, detail)}


def weight_of(call: Call) -> str | None:
    """Return the name of the relationships' weight, if weights count."""
    return WEIGHT if call.weighted else None
