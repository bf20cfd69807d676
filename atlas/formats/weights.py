"""Which property is the weight of an edge: co-occurrences have another one for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.formats.relations import CO_OCCURS, KIND, KIND_WEIGHTS
from atlas.formats.tables import RELATION

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from atlas.formats.tables import GraphInfo


def weighted_edges(edges: pa.Table | pa.RecordBatch, info: GraphInfo) -> Iterator[tuple[str, Any]]:
    """Yield each property that is a weight, and a mask of the edges whose weight it is.

    An exclusive pair has none: its features fire together less than by chance.

    Parameters
    ----------
    edges
        The edges. Where the export left their kinds out, and they may be of several, it is not
        known what the weights of co-occurrences are, and none are told.
    info
        Run, weights, selection. A weight that was named for the export is that of all kinds.
    """
    import pyarrow.compute as pc

    known = KIND in edges.schema.names
    named, kinds = info.selection.get("weight"), info.selection.get("kinds") or ()
    for relation, usual in info.weights.items():
        mine = pc.equal(pc.fill_null(edges[RELATION], ""), relation)
        if relation == CO_OCCURS and known:
            kind = pc.fill_null(edges[KIND], "")
            for name in {} if named else KIND_WEIGHTS:
                own, of_kind = KIND_WEIGHTS[name], pc.equal(kind, name)
                if own is not None and own != usual:
                    yield own, pc.and_(mine, of_kind)
                    mine = pc.and_not(mine, of_kind)
            mine = pc.and_not(mine, is_exclusive(edges))
        elif relation == CO_OCCURS and "edge_properties" in info.selection and len(kinds) != 1:
            continue
        yield usual, mine


def is_exclusive(edges: pa.Table | pa.RecordBatch) -> Any:
    """Return a mask of the exclusive pairs; of edges without kinds there are none."""
    import pyarrow.compute as pc

    mine = pc.equal(pc.fill_null(edges[RELATION], ""), CO_OCCURS)
    if KIND not in edges.schema.names:
        return pc.and_not(mine, mine)
    return pc.and_(mine, pc.equal(pc.fill_null(edges[KIND], ""), "exclusive"))
