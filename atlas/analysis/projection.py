"""The graph that centrality and communities are computed on: a sparse backbone of co-occurrence.

All edges of a run are too many for communities: they melt into a few blobs. The backbone keeps
an edge where each end is among the strongest `top_k` neighbours of the other, by phi.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atlas.errors import DatabaseError, UsageError
from atlas.graph.failures import database_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    import neo4j

TOP_K = 10
"""Default of `top_k`."""

KIND = "token"
"""Kind of the edges of the backbone."""

# The rows are ordered, so that the projection numbers its nodes by key and not by internal ids:
# seeded algorithms then give the same result on every database that holds the run.
_PROJECT = """
MATCH (f:Feature)-[:FROM_RUN]->(:Run {key: $run})
WHERE NOT f.dead
OPTIONAL MATCH (f)-[r:CO_OCCURS {run: $run, kind: $kind}]->(t:Feature)
WHERE r.rank_source <= $top_k AND r.rank_target <= $top_k AND r.phi > 0 AND NOT t.dead
WITH f, t, r ORDER BY f.key, t.key
RETURN gds.graph.project(
  $name, f, t,
  {relationshipProperties: r {.phi}},
  {undirectedRelationshipTypes: ['*'], readConcurrency: 1}
)
"""


@dataclass(frozen=True)
class Backbone:
    """A projected backbone.

    Attributes
    ----------
    gds
        The client that projected it.
    graph
        The projected graph: undirected, relationships weighted by `phi`.
    nodes
        Features in it: all of the run that ever fire.
    edges
        Undirected edges in it.
    top_k
        Largest rank of an edge among those of either end.
    """

    gds: Any
    graph: Any
    nodes: int
    edges: int
    top_k: int


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
        return GraphDataScience(driver, database=database, arrow=False, show_progress=False)
    except GdsNotFound:
        raise missing from None


@contextmanager
def backbone(gds: Any, run: str, *, top_k: int = TOP_K) -> Iterator[Backbone]:
    """Project the backbone of a run, and drop the projection at the end, also on failure.

    Parameters
    ----------
    gds
        From `gds_client`.
    run
        Key of a loaded run.
    top_k
        Keep an edge if its rank is at most this among the edges of both of its ends.

    Yields
    ------
    Backbone
        The projection, in the memory of the server.

    Raises
    ------
    UsageError
        No edge passes.
    """
    # The name is fixed, so that what a killed analysis left behind is found and replaced.
    name = f"atlas/{run}/{KIND}"
    gds.graph.drop(name, fail_if_missing=False)
    projected = gds.graph.project.cypher(_PROJECT, run=run, kind=KIND, top_k=top_k, name=name)
    try:
        # An undirected edge is stored once in each direction.
        edges = int(projected.result.relationship_count) // 2
        if not edges:
            raise UsageError(
                f"The run {run} has no edge that is among the strongest {top_k} of both its ends.",
                hint="Give a larger top_k.",
            )
        nodes = int(projected.result.node_count)
        yield Backbone(gds, projected.graph, nodes, edges, top_k)
    finally:
        gds.graph.drop(name, fail_if_missing=False)
