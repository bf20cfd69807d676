"""What GraphML and GEXF share: rows as XML elements, and elements as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from atlas.errors import ArtifactError
from atlas.formats.tables import EDGE_ENDS, RELATION
from atlas.formats.text import as_text, decode, from_text, xml_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

__all__ = ["Columns", "Element", "attributes", "children", "joined", "local"]

Part = str | tuple[str, "pa.Array", str]


def attributes(batch: pa.RecordBatch, names: Mapping[str, str]) -> list[Part]:
    """Return columns as XML attributes of the given names; a null has none."""
    return [
        (f' {name}="', xml_text(as_text(batch[column]), attribute=True), '"')
        for column, name in names.items()
    ]


def joined(rows: int, parts: Sequence[Part]) -> bytes:
    """Return rows made of parts: text that all have, or (before, column, after) without nulls."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not rows:
        return b""
    columns = []
    for part in parts:
        if isinstance(part, str):
            columns.append(pa.scalar(part))
        else:
            before, column, after = part
            cell = pc.binary_join_element_wise(before, column, after, "")
            columns.append(pc.fill_null(cell, ""))
    lines = pc.binary_join_element_wise(*columns, "")
    # The bytes of a string array lie one after the other.
    first, last = lines.offset, lines.offset + len(lines)
    offsets = memoryview(lines.buffers()[1]).cast("i")
    return bytes(lines.buffers()[2][offsets[first] : offsets[last]])


def local(element: Element) -> str:
    """Return the name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def children(element: Element, name: str) -> Iterator[Element]:
    """Yield the children of a name, of any namespace."""
    return (child for child in element if local(child) == name)


class Columns:
    """Collects elements into columns, then into a table.

    Parameters
    ----------
    required
        XML attribute that every element has -> name of its column.
    """

    def __init__(self, required: Mapping[str, str]) -> None:
        self.required = required
        self._rows = 0
        self._names: dict[str, tuple[str, str]] = {}
        self._values: dict[str, list[str | None]] = {name: [] for name in required.values()}

    def declare(self, ident: str, name: str, kind: str) -> None:
        """Add a column: its id in the file, its name and its type."""
        self._names[ident] = (name, kind)
        self._values.setdefault(name, [None] * self._rows)

    def add(self, element: Element, values: Mapping[str, str]) -> None:
        """Add a row and free the element."""
        for attribute, name in self.required.items():
            value = element.get(attribute)
            if value is None:
                raise ArtifactError(f"A {local(element)} of the file has no {attribute}.")
            self._values[name].append(decode(value))
        for ident, (name, _) in self._names.items():
            found = values.get(ident)
            self._values[name].append(None if found is None else decode(found))
        self._rows += 1
        element.clear()

    def table(self) -> pa.Table:
        """Return the rows as a table, the required columns first."""
        import pyarrow as pa

        kinds = dict.fromkeys(self.required.values(), "str") | dict(self._names.values())
        ends = [name for name in self.required.values() if name in EDGE_ENDS]
        if ends and RELATION not in kinds:
            self._values[RELATION] = [""] * self._rows
            kinds[RELATION] = "str"
        try:
            return pa.table({name: from_text(self._values[name], kinds[name]) for name in kinds})
        except (ValueError, KeyError) as error:
            raise ArtifactError(f"A property of the file is not of its type: {error}.") from error
