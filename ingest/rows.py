"""From one row of a table to a document, or to what is wrong with the row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingest.documents import Document, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Found:
    """A document and the place that it was read from (as in `Problem.where`)."""

    where: str
    document: Document


Item = Found | Problem


@dataclass(frozen=True)
class Columns:
    """Which columns to read.

    Attributes
    ----------
    text
        Column of the text.
    domain
        Column of the domain; None takes ``domain`` where there is one.
    id
        Column of the id; None makes ids from the file's name and the row.
    """

    text: str = "text"
    domain: str | None = None
    id: str | None = None

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that a table must have."""
        return tuple(name for name in (self.text, self.domain, self.id) if name is not None)

    @property
    def labels(self) -> dict[str, str]:
        """Field of a document to the column that it is taken from; the text is not among them."""
        found = {"domain": self.domain or "domain", "title": "title", "source": "source"}
        return {**found, "id": self.id} if self.id else found

    @property
    def wanted(self) -> tuple[str, ...]:
        """Columns that are read where they exist."""
        return tuple(dict.fromkeys((self.text, *self.labels.values())))


def to_document(row: Mapping[str, Any], where: str, columns: Columns) -> Item:
    """Make a document of one row, or say what is wrong with it.

    Parameters
    ----------
    row
        Column to value.
    where
        ``FILE:ROW``; the id where no column gives one.
    columns
        What to read from the row.
    """
    for name in columns.required:
        if name not in row or (name == columns.text and row[name] is None):
            return Problem(where, "no text" if name == columns.text else f"no {name!r}")
    text = row[columns.text]
    if not isinstance(text, str):
        return Problem(where, "text is not a string", type(text).__name__)
    strings: dict[str, str | None] = {}
    for field, column in columns.labels.items():
        value = row.get(column)
        if value is not None and not isinstance(value, str | int | float):
            return Problem(where, f"{column!r} is not a string", type(value).__name__)
        strings[field] = _string(value)
    identifier = strings.get("id") if columns.id else where
    if identifier is None:
        return Problem(where, f"no {columns.id!r}")
    fault = text_fault("".join([text, *filter(None, strings.values())]), blank=not text.strip())
    if fault is not None:
        return Problem(where, *fault)
    source = strings["source"] or where.rsplit(":", 1)[0]
    document = Document(identifier, text, strings["domain"], source, strings["title"])
    return Found(where, document)


def _string(value: str | float | None) -> str | None:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value)


def text_fault(text: str, *, blank: bool) -> tuple[str, str] | None:
    """Return kind and detail of what makes a string unfit as text, or None."""
    if blank:
        return "empty text", ""
    if "\0" in text:
        return "NUL characters", "a binary or UTF-16 file? Save it as UTF-8"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return "not valid Unicode", f"half a surrogate pair at character {error.start}"
    return None
