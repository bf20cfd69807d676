"""Compares rows of a build, property by property, with what the database has for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ingest.graph_map import (
    IMPORTED,
    LABEL_SOURCE,
    LABELLED,
    EdgeTable,
    Element,
    NodeTable,
    PropertyTable,
)
from ingest.row_queries import is_of_run, rows, stored_fields

if TYPE_CHECKING:
    import pyarrow as pa

    from atlas.graph.reader import Reader, Row


def changed_rows(reader: Reader, element: Element, wanted: pa.Table, *, run: str) -> list[int]:
    """Return the places of rows that the database lacks, has more than once, or has otherwise.

    Parameters
    ----------
    reader
        Reads the database.
    element
        What the rows become.
    wanted
        Rows as `ingest.graph_rows.graph_rows` returns them.
    run
        Key of the run.
    """
    if not wanted.num_rows:
        return []
    answers = reader.read(rows(element), {"run": run, **_parameters(element, wanted)})
    stored: dict[int, list[Row]] = {}
    for row in answers:
        stored.setdefault(row["i"], []).append(row)
    names = [field.name for field in stored_fields(element)]
    return [
        place
        for place, row in enumerate(wanted.to_pylist())
        if not _is_right(element, row, stored.get(place, []), names=names, run=run)
    ]


def _parameters(element: Element, wanted: pa.Table) -> dict[str, list[str]]:
    if not isinstance(element, EdgeTable):
        return {"keys": wanted[element.identity[0]].to_pylist()}
    ends = {
        name: wanted[end.column].to_pylist()
        for name, end in zip(("sources", "targets"), element.ends, strict=True)
    }
    return ends | ({"keys": wanted["key"].to_pylist()} if element.keyed else {})


def _is_right(
    element: Element, row: dict[str, Any], answers: list[Row], *, names: list[str], run: str
) -> bool:
    if len(answers) != 1 or len(answers[0]["found"]) != 1:
        return False
    found = answers[0]["found"][0]
    if isinstance(element, NodeTable):
        ends = [[row[link.end.column]] if link.end else [run] for link in element.links]
        if answers[0]["ends"] != ends:
            return False
    if is_of_run(element) and (owner := answers[0]["owner"]) != run:
        return owner is not None  # another run has written its own values since
    if isinstance(element, EdgeTable):
        # Earlier versions stored lists without values, which is the same.
        found = {name: None if value == [] else value for name, value in found.items()}
        if found["run"] != run:
            return False
    return all(
        row[name] == found[name]
        or _is_others(element, name, row=row, found=found)
        or (name in LABELLED and answers[0].get("labelled", False))
        for name in names
    )


def _is_others(element: Element, name: str, *, row: Row, found: Row) -> bool:
    """Return whether what is stored for a property need not be what the build has."""
    if isinstance(element, PropertyTable):
        return name in element.keep and row[name] is None
    return name in IMPORTED and found.get("label_source") == LABEL_SOURCE
