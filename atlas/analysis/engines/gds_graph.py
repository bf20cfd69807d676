"""Graphs in the memory of Graph Data Science: projected from a run, or handed over as arrays."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.firing import fires
from atlas.errors import DatabaseError, UsageError
from atlas.graph.failures import database_errors
from atlas.graph.reader import DriverReader
from atlas.graph.sessions import bookmarks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import neo4j
    from numpy.typing import NDArray

    from atlas.analysis.network import Network
    from atlas.analysis.projection import Projection

WEIGHT = "weight"
"""Name of the weight of the relationships of every projected graph."""

_NODES = f"""
MATCH (f:Feature)-[:FROM_RUN]->(:Run {{key: $run}})
WHERE {fires("f")}
RETURN id(f) AS node, f.key AS key
"""
# The rows are ordered, so that the projection numbers its nodes by key and not by internal ids:
# seeded algorithms then give the same result on every database that holds the run.
_PROJECT = """
WITH f, t, max(weight) AS weight ORDER BY f.key, t.key
RETURN gds.graph.project(
  $name, f, t,
  {relationshipProperties: CASE WHEN t IS NULL THEN null ELSE {weight: weight} END},
  {undirectedRelationshipTypes: $undirected, inverseIndexedRelationshipTypes: $inverse,
   readConcurrency: 1}
)
"""
# The nodes come first, so that they are numbered in the order of the arrays.
_CONSTRUCT = """
CALL () {
  UNWIND range(0, $nodes - 1) AS source
  RETURN source, null AS target, null AS joined
UNION ALL
  UNWIND range(0, size($sources) - 1) AS edge
  RETURN $sources[edge] AS source, $targets[edge] AS target, {weight: $weights[edge]} AS joined
}
RETURN gds.graph.project(
  $name, source, target,
  {sourceNodeProperties: $properties[source], targetNodeProperties: $properties[target],
   relationshipProperties: joined},
  {undirectedRelationshipTypes: $undirected, inverseIndexedRelationshipTypes: $inverse,
   readConcurrency: 1}
)
"""


@dataclass(frozen=True)
class GdsGraph:
    """A graph in the server's memory.

    Attributes
    ----------
    gds
        The client that projected it.
    graph
        The client's handle of it.
    keys
        Key of each node; arrays of results are in this order.
    ids
        int64 ``[nodes]``: the server's number of each node. Not for use outside of the engine.
    edges
        Edges, one without direction counted once.
    directed
        Whether edges have a direction.
    """

    gds: Any
    graph: Any
    keys: Sequence[str]
    ids: NDArray[np.int64]
    edges: int
    directed: bool

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.keys)

    def places(self, ids: Any) -> NDArray[np.int64]:
        """Return the places in `keys` of the server's node numbers."""
        order = np.argsort(self.ids)
        found: NDArray[np.int64] = order[np.searchsorted(self.ids, ids, sorter=order)]
        return found

    def values(self, name: str) -> NDArray[Any]:
        """Return a node property of the graph, in the order of `keys`.

        Returns
        -------
        ndarray
            ``[nodes]``; of lists of one length ``[nodes, length]``.
        """
        frame = self.gds.graph.node_properties.stream(self.graph, name)
        order = np.argsort(self.places(frame["nodeId"].to_numpy()))
        column = frame[frame.columns[-1]]
        values = np.array(column.tolist())
        sorted_values: NDArray[Any] = values[order]
        return sorted_values


def gds_client(driver: neo4j.Driver, database: str | None = None) -> Any:
    """Return a client of Graph Data Science over an open driver.

    Raises
    ------
    DatabaseError
        The server has no Graph Data Science.
    """
    from graphdatascience import GraphDataScience
    from graphdatascience.error.gds_not_installed import GdsNotFound

    # Asked first: where the library is missing, the client would close the caller's driver.
    with database_errors("Looking for Graph Data Science on the server"):
        found = driver.execute_query(
            "SHOW FUNCTIONS YIELD name WHERE name = 'gds.version' RETURN count(*) AS n",
            database_=database,
        ).records[0]["n"]
    missing = DatabaseError(
        "The Neo4j server has no Graph Data Science library.",
        hint="Install its plugin, or use the managed server (`atlas db start`).",
    )
    if not found:
        raise missing
    try:
        client = GraphDataScience(driver, database=database, arrow=False, show_progress=False)
    except GdsNotFound:
        raise missing from None
    client.set_bookmarks(bookmarks(driver))  # on a cluster it sees what this driver has written
    return client


@contextmanager
def project(
    driver: neo4j.Driver, projected: Projection, *, database: str | None = None, gds: Any = None
) -> Iterator[GdsGraph]:
    """Project a graph of a run, and drop the projection at the end, also on failure.

    Parameters
    ----------
    driver, database
        The database.
    projected
        What to project.
    gds
        A client, such as that of a session; by default one of the server's own library.

    Yields
    ------
    GdsGraph
        The projection, in the memory of the server; keys in ascending order.

    Raises
    ------
    UsageError
        No edge passes.
    """
    gds = gds_client(driver, database) if gds is None else gds
    # The name is fixed, so that what a killed process left behind is found and replaced.
    name = f"atlas/{projected.run}/{projected.relationship}"
    both_ways = not projected.directed and projected.relationship in ("IMPLIES", "FEEDS")
    text = projected.pattern(both_ways=both_ways) + _PROJECT
    nodes = DriverReader(driver, database).read(_NODES, {"run": projected.run})
    nodes.sort(key=lambda row: str(row["key"]))
    parameters = {**projected.parameters(), **_directions(projected.directed)}
    with _projected(gds, name, text, parameters) as made:
        edges = _edges(made, directed=projected.directed)
        if not edges:
            raise UsageError(projected.empty, hint=projected.looser)
        if int(made.result.node_count) != len(nodes):
            raise DatabaseError(
                f"The features of {projected.run} changed while they were projected.",
                hint="Run the same again.",
            )
        ids = np.array([row["node"] for row in nodes], np.int64)
        keys = [row["key"] for row in nodes]
        yield GdsGraph(gds, made.graph, keys, ids, edges, projected.directed)


@contextmanager
def construct(
    driver: neo4j.Driver,
    network: Network,
    *,
    properties: Mapping[str, NDArray[Any]] | None = None,
    database: str | None = None,
    gds: Any = None,
) -> Iterator[GdsGraph]:
    """Hand a network over to Graph Data Science; it touches no node of the database.

    Parameters
    ----------
    driver, database
        The server.
    network
        The graph.
    properties
        Node properties of the graph: name -> ``[nodes]`` or ``[nodes, length]``.
    gds
        A client, such as that of a session; by default one of the server's own library.

    Yields
    ------
    GdsGraph
        The graph, dropped at the end, also on failure.
    """
    gds = gds_client(driver, database) if gds is None else gds
    parameters = {
        "nodes": network.nodes,
        "sources": network.source.tolist(),
        "targets": network.target.tolist(),
        "weights": network.weight.tolist(),
        "properties": _by_node(properties or {}, network.nodes),
        **_directions(network.directed),
    }
    name = f"atlas/network/{_fingerprint(network)}"
    with _projected(gds, name, _CONSTRUCT, parameters) as made:
        ids = np.arange(network.nodes, dtype=np.int64)
        edges = _edges(made, directed=network.directed)
        yield GdsGraph(gds, made.graph, network.keys, ids, edges, network.directed)


@contextmanager
def _projected(gds: Any, name: str, text: str, parameters: Mapping[str, Any]) -> Iterator[Any]:
    gds.graph.drop(name, fail_if_missing=False)
    made = gds.graph.project.cypher(text, name=name, **parameters)
    try:
        yield made
    finally:
        gds.graph.drop(name, fail_if_missing=False)


def _directions(directed: bool) -> dict[str, list[str]]:
    return {"undirected": [] if directed else ["*"], "inverse": ["*"] if directed else []}


def _edges(made: Any, *, directed: bool) -> int:
    """Return the number of edges; one without direction is stored once each way."""
    return int(made.result.relationship_count) // (1 if directed else 2)


def _by_node(properties: Mapping[str, NDArray[Any]], nodes: int) -> list[dict[str, Any]]:
    lists = {name: values.tolist() for name, values in properties.items()}
    return [{name: values[node] for name, values in lists.items()} for node in range(nodes)]


def _fingerprint(network: Network) -> str:
    digest = hashlib.sha256("\n".join(network.keys).encode())
    for array in (network.source, network.target, network.weight):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
