"""How commands print results: a table on a terminal, JSON, CSV, or one column."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_json(value: Any) -> None:
    """Write `value` as indented JSON to stdout; tables and objects of the interface as well."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=_plain) + "\n")


def print_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows as CSV (RFC 4180) with a header to stdout; lists and maps as JSON."""
    writer = csv.writer(sys.stdout, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_csv_cell(row[name]) for name in columns])


def print_column(rows: Sequence[Mapping[str, Any]], name: str) -> None:
    """Write one column to stdout, a value a line, for another command to read.

    Raises
    ------
    UsageError
        The rows have no such column.
    """
    for row in rows:
        if name not in row:
            raise UsageError(f"There is no column {name!r}.", hint=f"There are: {', '.join(row)}.")
        sys.stdout.write(f"{_csv_cell(row[name])}\n")


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dicts"):
        return value.to_dicts()
    return dict(value) if isinstance(value, Mapping) else str(value)


def _csv_cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def print_table(rows: Sequence[Mapping[str, Any]], *, title: str | None = None) -> None:
    """Write rows (mappings with the same keys) as a table to stdout."""
    console = Console(highlight=False)
    if not rows:
        console.print(f"{title}: no rows" if title else "no rows", markup=False)
        return
    heading = Text(title) if title else None
    table = Table(title=heading, box=box.SIMPLE_HEAD, title_justify="left")
    for column in rows[0]:
        numeric = all(isinstance(row[column], int | float) for row in rows)
        table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    console.print(table)


def _cell(value: Any) -> str:
    from rich.markup import escape

    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return escape(" ".join(repr(v) if isinstance(v, str) else _cell(v) for v in value))
    return escape(str(value))
