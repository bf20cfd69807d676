"""Graphs of networkx and igraph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.errors import UsageError
from atlas.formats.arrays import ends
from atlas.formats.tables import EDGE_ENDS, NODE_KEY, repeated

if TYPE_CHECKING:
    import pyarrow as pa

    from atlas.formats.tables import GraphTables


def networkx_graph(graph: GraphTables, *, multigraph: bool | None = None) -> Any:
    """Return a graph of networkx; see `GraphTables.to_networkx`."""
    import networkx as nx

    directed = graph.info.directed
    source, target = (graph.edges[name].to_pylist() for name in EDGE_ENDS)
    twice = repeated(zip(source, target, strict=True), directed=directed)
    if twice and multigraph is False:
        raise UsageError(
            "The graph joins a pair of features more than once.",
            hint="Choose one relation and one kind, or leave out multigraph=False.",
        )
    multi = twice if multigraph is None else multigraph
    kinds = ((nx.Graph, nx.MultiGraph), (nx.DiGraph, nx.MultiDiGraph))
    made: Any = kinds[directed][multi](run=graph.info.run, weights=dict(graph.info.weights))
    made.add_nodes_from(zip(graph.keys(), _properties(graph.nodes, {NODE_KEY}), strict=True))
    edges = _properties(graph.edges, set(EDGE_ENDS))
    made.add_edges_from(zip(source, target, edges, strict=True))
    return made


def _properties(table: pa.Table, without: set[str]) -> list[dict[str, Any]]:
    """Return the properties of each row that are not null."""
    names = [name for name in table.column_names if name not in without]
    rows = table.select(names).to_pylist()
    if not names:
        return [{} for _ in range(table.num_rows)]
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def igraph_graph(graph: GraphTables) -> Any:
    """Return a graph of igraph; see `GraphTables.to_igraph`."""
    try:
        import igraph
    except ImportError:
        raise UsageError(
            "igraph is not installed.",
            hint="Install it with pip install 'sae-feature-atlas[analysis]'.",
        ) from None

    source, target = ends(graph)
    made = igraph.Graph(
        n=graph.nodes.num_rows,
        edges=list(zip(source.tolist(), target.tolist(), strict=True)),
        directed=graph.info.directed,
        graph_attrs={"run": graph.info.run, "weights": dict(graph.info.weights)},
    )
    for name in graph.nodes.column_names:
        made.vs["name" if name == NODE_KEY else name] = graph.nodes[name].to_pylist()
    for name in graph.edges.column_names:
        if name not in EDGE_ENDS:
            made.es[name] = graph.edges[name].to_pylist()
    return made
