"""Tables of stages put together as those of one study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Tables whose rows name an intervention, and an explanation, with the column.
_NUMBERED = {
    "interventions": "number", "on": "intervention", "effects": "intervention",
    "patches": "intervention", "patch_summary": "intervention", "steering": "intervention",
    "steering_rows": "arm", "explanations": "number", "players": "explanation",
}  # fmt: skip


def popped(tables: dict[str, pa.Table], name: str) -> list[str]:
    """Take notes out of tables."""
    return tables.pop(name)["note"].to_pylist() if name in tables else []


def joined(parts: Sequence[Mapping[str, pa.Table]]) -> dict[str, pa.Table]:
    """Join tables of one name; interventions and explanations are numbered on.

    Parameters
    ----------
    parts
        Tables by name, each with its own numbers, from 1.
    """
    found: dict[str, list[pa.Table]] = {}
    counts = {"interventions": 0, "explanations": 0}
    for part in parts:
        for name, table in part.items():
            column = _NUMBERED.get(name)
            if column is not None:
                of = "explanations" if name in {"explanations", "players"} else "interventions"
                place = table.column_names.index(column)
                more = pa.array(table[column].to_numpy() + counts[of])
                table = table.set_column(place, table.schema.field(column), more)  # noqa: PLW2901
            found.setdefault(name, []).append(table)
        for name in counts:
            counts[name] += part[name].num_rows if name in part else 0
    return {name: pa.concat_tables(some) for name, some in found.items()}
