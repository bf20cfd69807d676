"""Columns as text and back: names of types, XML escapes, lists as JSON.

XML 1.0 has no way to write most control characters, which tokens do hold. They become
``_xHHHH_``, as in office documents, and an underscore that would read as one becomes ``_x005F_``.
"""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

_NOT_XML = r"\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff"
_ENCODE = re.compile(rf"[{_NOT_XML}]|_(?=x[0-9A-F]{{4}}[_{_NOT_XML}])")
_DECODE = re.compile("_x([0-9A-F]{4})_")
# What RE2, Arrow's engine, can tell quickly: whether a column needs a closer look at all.
_SUSPECT = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x{fffe}\x{ffff}]|_x[0-9A-F]{4}"

# Order matters: the ampersand is escaped first.
_TEXT = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;"))
_ATTRIBUTE = (*_TEXT, ('"', "&quot;"), ("\n", "&#10;"), ("\t", "&#9;"))

_LISTS = MappingProxyType({"strs": "str", "f64s": "f64", "f32s": "f32", "int64s": "int64"})

XML_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "str": "string",
        "bool": "boolean",
        "int32": "int",
        "int64": "long",
        "f32": "float",
        "f64": "double",
        **dict.fromkeys(_LISTS, "string"),
    }
)
"""Type of a column -> type of GraphML; lists are JSON text."""


def scalar_types() -> Mapping[str, pa.DataType]:
    """Return the types of columns that are no lists, by name."""
    import pyarrow as pa

    return {
        "str": pa.string(),
        "bool": pa.bool_(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "f32": pa.float32(),
        "f64": pa.float64(),
    }


def arrow_type(name: str) -> pa.DataType:
    """Return the type of a name as in `XML_TYPES`; raises `KeyError` for others."""
    import pyarrow as pa

    return pa.list_(scalar_types()[_LISTS[name]]) if name in _LISTS else scalar_types()[name]


def type_name(kind: pa.DataType) -> str:
    """Return the name of a column's type; the inverse of `arrow_type`."""
    import pyarrow as pa

    if pa.types.is_list(kind):
        item = type_name(kind.value_type)
        return next(name for name, of in _LISTS.items() if of == item)
    return next(name for name, of in scalar_types().items() if of == kind)


def as_text(column: pa.Array) -> pa.Array:
    """Return a column as strings, nulls kept: numbers in shortest form, lists as JSON."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_list(column.type):
        return pa.array(
            [None if row is None else _json(row) for row in column.to_pylist()], pa.string()
        )
    return column if pa.types.is_string(column.type) else pc.cast(column, pa.string())


def _json(row: Sequence[object]) -> str:
    return json.dumps(row, ensure_ascii=False)


def from_text(values: Sequence[str | None], kind: str) -> pa.Array:
    """Return strings as a column of the type named `kind`; the inverse of `as_text`.

    Raises
    ------
    ValueError
        A value is not of that type.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind in _LISTS:
        rows = [None if value is None else json.loads(value) for value in values]
        return pa.array(rows, arrow_type(kind))
    return pc.cast(pa.array(values, pa.string()), arrow_type(kind))


def xml_text(column: pa.Array, *, attribute: bool = False) -> pa.Array:
    """Return a string column escaped for XML text, or for an attribute in double quotes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.any(pc.match_substring_regex(column, _SUSPECT)).as_py():
        column = pa.array(
            [None if value is None else _encode(value) for value in column.to_pylist()],
            pa.string(),
        )
    for character, escaped in _ATTRIBUTE if attribute else _TEXT:
        column = pc.replace_substring(column, character, escaped)
    return column


def xml_string(value: str) -> str:
    """Return one string escaped for an XML attribute in double quotes."""
    value = _encode(value)
    for character, escaped in _ATTRIBUTE:
        value = value.replace(character, escaped)
    return value


def _encode(value: str) -> str:
    return _ENCODE.sub(lambda found: f"_x{ord(found.group()):04X}_", value)


def decode(value: str) -> str:
    """Undo the escapes of characters that XML does not have."""
    return (
        _DECODE.sub(lambda found: chr(int(found.group(1), 16)), value) if "_x" in value else value
    )
