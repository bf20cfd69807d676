"""Whether an algorithm fits the server's memory, asked before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from atlas.analysis.engines.gds_graph import WEIGHT, gds_client
from atlas.analysis.network import Network
from atlas.errors import DatabaseError
from atlas.graph.failures import database_errors
from atlas.graph.reader import DriverReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    import neo4j

    from atlas.analysis.projection import Projection

_MIB = 1024**2

# The bean is a standard one of every Java machine.
_HEAP = """
CALL dbms.queryJmx('java.lang:type=Memory') YIELD attributes
RETURN attributes.HeapMemoryUsage.value.properties AS heap
"""
_ENDPOINTS = MappingProxyType(
    {
        "personalised_pagerank": "page_rank",
        "pagerank": "page_rank",
        "strength": "degree",
        "triangles": "triangle_count",
        "clustering": "local_clustering_coefficient",
        "fastrp": "fast_rp",
        # These two have no estimate; like betweenness they search from every node.
        "closeness": "betweenness",
        "harmonic": "betweenness",
    }
)


@dataclass(frozen=True)
class Estimate:
    """What an algorithm would need.

    Attributes
    ----------
    algorithm
        Its name.
    nodes, edges
        Size of the graph.
    needed
        Bytes of the projection and the algorithm together, at most.
    free
        Bytes of the server's heap that are not in use. Garbage not yet collected counts as used.
    heap
        Bytes of the server's heap in all.
    """

    algorithm: str
    nodes: int
    edges: int
    needed: int
    free: int
    heap: int

    @property
    def fits(self) -> bool:
        """Whether it can run now."""
        return self.needed <= self.free

    def require(self) -> None:
        """Raise unless it fits.

        Raises
        ------
        DatabaseError
            It does not; the message has the numbers.
        """
        if self.fits:
            return
        raise DatabaseError(
            f"{self.algorithm} on {self.nodes:,} features and {self.edges:,} edges needs up to"
            f" {_mib(self.needed)} MiB, and {_mib(self.free)} of the server's"
            f" {_mib(self.heap)} MiB heap are free.",
            hint="Keep fewer edges (top_k, min_weight), or give the server more memory.",
        )


def estimate_algorithm(
    driver: neo4j.Driver,
    name: str,
    *,
    graph: Projection | Network,
    parameters: Mapping[str, Any],
    database: str | None = None,
) -> Estimate:
    """Ask Graph Data Science what an algorithm needs, without projecting anything.

    Parameters
    ----------
    driver, database
        The server.
    name
        Name of the algorithm.
    graph
        What it is to run on.
    parameters
        Every parameter of the algorithm.

    Raises
    ------
    DatabaseError
        The server fails, or lacks Graph Data Science.
    """
    nodes, edges = _size(driver, graph, database)
    with database_errors(f"Estimating {name}"):
        gds = gds_client(driver, database)
        heap = driver.execute_query(_HEAP, database_=database).records[0]["heap"]
        stored = edges if graph.directed else 2 * edges
        needed = max(
            int(getattr(gds, endpoint).estimate(_fictitious(nodes, stored), **more).bytes_max)
            for endpoint, more in _steps(name, parameters)
        )
    free = int(heap["max"]) - int(heap["used"])
    return Estimate(name, nodes, edges, needed, free, int(heap["max"]))


def _size(
    driver: neo4j.Driver, graph: Projection | Network, database: str | None
) -> tuple[int, int]:
    if isinstance(graph, Network):
        return graph.nodes, graph.edges
    text = graph.pattern() + "RETURN count(DISTINCT f) AS nodes, count(t) AS edges"
    row = DriverReader(driver, database).read(text, graph.parameters(), what="Counting edges")[0]
    return row["nodes"], row["edges"]


def _fictitious(nodes: int, stored: int) -> dict[str, Any]:
    """Return the description of a graph of this size, each direction of an edge counted."""
    return {
        "nodeCount": nodes,
        "relationshipCount": stored,
        "nodeProjection": "*",
        "relationshipProjection": {"EDGE": {"type": "*", "properties": [WEIGHT]}},
    }


def _steps(name: str, parameters: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the procedures that the algorithm calls, with what their memory depends on."""
    if name in ("conductance", "modularity"):
        return [(str(parameters["of"]), {})]
    steps: list[tuple[str, dict[str, Any]]] = []
    if name == "fastrp" or parameters.get("vectors") == "fastrp":
        steps.append(("fast_rp", {"embedding_dimension": parameters["dimension"]}))
    if name == "knn":
        steps.append(("knn", {"node_properties": ["vectors"], "top_k": parameters["top_k"]}))
    elif name == "kmeans":
        steps.append(("kmeans", {"node_property": "vectors", "k": parameters["k"]}))
    elif name == "node_similarity":
        steps.append(("node_similarity", {"top_k": parameters["top_k"]}))
    elif name != "fastrp":
        steps.append((_ENDPOINTS.get(name, name), {}))
    return steps


def _mib(size: int) -> str:
    return f"{-(-size // _MIB):,}"
