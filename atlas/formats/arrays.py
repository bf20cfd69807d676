"""Places of edges' ends, and a graph as a `Network`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atlas.analysis.network import Network
from atlas.errors import UsageError
from atlas.formats.tables import GraphTables, weight_column
from atlas.formats.weights import is_exclusive, weighted_edges

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


def ends(graph: GraphTables) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of the edges' sources and targets among the nodes, int64 ``[edges]``.

    Raises
    ------
    UsageError
        An edge names a node that the graph does not have.
    """
    import pyarrow.compute as pc

    keys = graph.nodes["key"].combine_chunks()

    def places(column: pa.ChunkedArray) -> NDArray[np.int64]:
        found = pc.index_in(column, value_set=keys)
        if found.null_count:
            missing = column.filter(pc.is_null(found))[0].as_py()
            raise UsageError(f"An edge names the node {missing!r}, which the graph does not have.")
        return np.asarray(found.to_numpy(), dtype=np.int64)

    return places(graph.edges["source"]), places(graph.edges["target"])


def network(graph: GraphTables, weight: str | None = None) -> Network:
    """Return a graph as a `Network`; see `GraphTables.to_network`."""
    import pyarrow.compute as pc

    kept = GraphTables(
        graph.info, graph.nodes, graph.edges.filter(pc.invert(is_exclusive(graph.edges)))
    )
    weights = _weights(kept, weight)
    source, target = ends(kept)
    if not graph.info.directed:
        source, target = np.minimum(source, target), np.maximum(source, target)
    return Network(
        graph.keys(),
        source.astype(np.int32),
        target.astype(np.int32),
        weights,
        directed=graph.info.directed,
    )


def _weights(graph: GraphTables, weight: str | None) -> NDArray[np.float64]:
    """Return the weights of the edges, all above 0."""
    import pyarrow as pa
    import pyarrow.compute as pc

    usual, edges = weight_column(graph.info, weight), graph.edges
    if weight is not None:
        column = _property(edges, weight)
    else:
        column = pa.nulls(edges.num_rows, pa.float64())
        for name, mine in weighted_edges(edges, graph.info):
            if name == usual or pc.any(mine).as_py():
                own = pc.cast(_property(edges, name), pa.float64())
                column = pc.if_else(mine, own, column)
    if column.null_count:
        raise UsageError(
            f"{column.null_count} edges of the graph have no {usual}.",
            hint="Export with a least weight, which leaves those out, or name another property.",
        )
    found = np.asarray(column.to_numpy(), dtype=np.float64)
    if not (found > 0).all():
        raise UsageError(
            f"{np.count_nonzero(~(found > 0))} edges of the graph have a weight ({usual}) that is"
            " not above 0.",
            hint="A network's weights are similarities: export with a least weight above 0.",
        )
    return found


def _property(edges: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in edges.column_names:
        raise UsageError(
            f"The graph's edges have no property {name!r}.",
            hint=f"They have: {', '.join(edges.column_names)}.",
        )
    return edges[name]
