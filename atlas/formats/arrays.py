"""Places of edges' ends, and a graph as a `Network`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atlas.analysis.network import Network
from atlas.errors import UsageError
from atlas.formats.tables import weight_column

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from atlas.formats.tables import GraphTables


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
    name = weight_column(graph.info, weight)
    if name not in graph.edges.column_names:
        raise UsageError(
            f"The graph's edges have no property {name!r}.",
            hint=f"They have: {', '.join(graph.edges.column_names)}.",
        )
    column = graph.edges[name]
    if column.null_count:
        raise UsageError(
            f"{column.null_count} edges of the graph have no {name}.",
            hint="Export with a least weight, which leaves those out, or name another property.",
        )
    source, target = ends(graph)
    if not graph.info.directed:
        source, target = np.minimum(source, target), np.maximum(source, target)
    return Network(
        graph.keys(),
        source.astype(np.int32),
        target.astype(np.int32),
        np.asarray(column.to_numpy(), dtype=np.float64),
        directed=graph.info.directed,
    )
