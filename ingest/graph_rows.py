"""Rows of a table as what they become in the graph: the ends, the properties and the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.graph_map import EdgeTable

if TYPE_CHECKING:
    import pyarrow as pa

    from ingest.graph_map import Element


def columns_of(element: Element) -> tuple[str, ...]:
    """Return the columns of `graph_rows`: those of the ends, then the properties."""
    keyed = isinstance(element, EdgeTable) and element.keyed
    ends = tuple(end.column for end in element.ends)
    return (*ends, *element.properties, *(("key",) if keyed else ()))


def graph_rows(element: Element, rows: pa.Table, *, run: str) -> pa.Table:
    """Return the rows of a table that become `element`.

    Parameters
    ----------
    element
        What they become.
    rows
        Rows of its table, all columns.
    run
        Key of the run.

    Returns
    -------
    pyarrow.Table
        The columns of `columns_of`. The property `run` is not among them. Relationships have no
        property for a list without values: there it is null. Most have none, and it would
        take space in each.
    """
    import pyarrow.compute as pc

    if isinstance(element, EdgeTable):
        if element.only is not None:
            column, value = element.only
            rows = rows.filter(pc.equal(rows[column], value))
        if element.keyed:
            rows = rows.append_column("key", pair_keys(element, rows, run=run))
    rows = rows.select(list(columns_of(element)))
    return _without_empty_lists(rows) if isinstance(element, EdgeTable) else rows


def _without_empty_lists(rows: pa.Table) -> pa.Table:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, field in enumerate(rows.schema):
        if pa.types.is_list(field.type):
            values = rows.column(place)
            empty = pc.equal(pc.list_value_length(values), 0).fill_null(True)
            chosen = pc.if_else(empty, None, pa.array(np.arange(rows.num_rows)))
            rows = rows.set_column(place, field, values.take(chosen))
    return rows


def pair_keys(element: EdgeTable, rows: pa.Table, *, run: str) -> pa.ChunkedArray:
    """Return the keys of relationships between features.

    A key is ``{run}|{SAE of the source}|{its index}|{target}|{kind}``; the target is its index
    where it is of the same SAE, else its whole key.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    source, target = rows[element.source.column], rows[element.target.column]
    (sae, low), (other, high) = _split(source), _split(target)
    end = pc.if_else(pc.equal(sae, other), high, target)
    return pc.binary_join_element_wise(pa.scalar(run), sae, low, end, _kind(element, rows), "|")


def _split(keys: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Split keys of features at the last slash."""
    import pyarrow.compute as pc

    parts = pc.split_pattern(keys, "/", max_splits=1, reverse=True)
    return pc.list_element(parts, 0), pc.list_element(parts, 1)


def _kind(element: EdgeTable, rows: pa.Table) -> pa.ChunkedArray | pa.Scalar:
    import pyarrow as pa
    import pyarrow.compute as pc

    if element.kind is None:
        return pa.scalar("")
    values = rows[element.kind]
    if pa.types.is_boolean(values.type):
        return pc.if_else(values, element.kind, "")
    return values
