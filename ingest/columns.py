"""Columns as parameters of a Cypher statement, and the Cypher that reads them.

The driver packs every value of a parameter one by one in Python, which takes longer than the
server takes to store it. A column of numbers is therefore sent as one text, its values with
commas between them, and the server splits and converts it: a relationship with thirty properties
then costs the client about a sixth. The decimal numbers are the shortest that read as the same
double, so that nothing is rounded. Texts are sent as lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_SEPARATOR = ","


def encode(rows: pa.Table) -> dict[str, Any]:
    """Return the columns of `rows` as parameters: name to a text, or to a list.

    Null is absent: in a text there is nothing between its commas.
    """
    return {name: _encode(_joined(rows[name])) for name in rows.column_names}


def prepare(field: pa.Field, parameter: str) -> str:
    """Return Cypher that makes a list of the parameter, once a batch."""
    return f"split({parameter}, '{_SEPARATOR}')" if _converter(field.type) else parameter


def element(field: pa.Field, column: str, place: str) -> str:
    """Return Cypher for the value at `place` of a prepared column."""
    import pyarrow as pa

    value = f"{column}[{place}]"
    if convert := _converter(field.type):
        return f"{convert}({value})"
    if pa.types.is_list(field.type) and (convert := _converter(field.type.value_type)):
        parts = f"[x IN split({value}, '{_SEPARATOR}') | {convert}(x)]"
        return f"CASE {value} WHEN '' THEN [] ELSE {parts} END"
    return value


def is_vector(field: pa.Field) -> bool:
    """Whether a column holds lists of numbers with fractions."""
    import pyarrow as pa

    return pa.types.is_list(field.type) and bool(pa.types.is_floating(field.type.value_type))


def _converter(kind: pa.DataType) -> str | None:
    """Return the Cypher function that reads a number or truth value; None for other types."""
    import pyarrow as pa

    if pa.types.is_floating(kind):
        return "toFloat"
    if pa.types.is_integer(kind):
        return "toInteger"
    return "toBoolean" if pa.types.is_boolean(kind) else None


def _joined(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    combined = column.combine_chunks()
    # Older versions of pyarrow return a chunked array.
    return pa.concat_arrays(combined.chunks) if hasattr(combined, "chunks") else combined


def _encode(column: pa.Array) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if _converter(column.type):
        texts = pc.fill_null(as_text(column), "")
        whole = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
        return pc.binary_join(whole, _SEPARATOR)[0].as_py()
    if pa.types.is_list(column.type) and _converter(column.type.value_type):
        return join_lists(column, _SEPARATOR).to_pylist()
    return column.to_pylist()


def as_text(values: pa.Array) -> pa.Array:
    """Return numbers as the shortest decimal texts that read as the same double."""
    import pyarrow as pa

    if pa.types.is_floating(values.type):
        # The shortest text of a 32-bit number reads as another double.
        values = values.cast(pa.float64())
    return values.cast(pa.string())


def join_lists(lists: pa.Array, separator: str) -> pa.Array:
    """Return lists as texts with `separator` between the values; null stays null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    ends = pc.cumulative_sum(lengths.cast(pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    texts = pa.ListArray.from_arrays(offsets, as_text(lists.flatten()))
    return pc.if_else(lists.is_valid(), pc.binary_join(texts, separator), None)
