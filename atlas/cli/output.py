"""How commands print results: a table on a terminal, or JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def print_json(value: Any) -> None:
    """Write `value` as indented JSON to stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def print_table(rows: Sequence[Mapping[str, Any]], *, title: str | None = None) -> None:
    """Write rows (mappings with the same keys) as a table to stdout."""
    console = Console(highlight=False)
    if not rows:
        console.print(f"{title}: no rows" if title else "no rows", markup=False)
        return
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in rows[0]:
        numeric = all(isinstance(row[column], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
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
