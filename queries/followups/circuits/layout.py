"""Where the marks of a circuit's picture stand."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Row = Mapping[str, Any]

#: Pixels: a node's slot, the margins, the gap between rows, the least column, a letter.
SLOT_WIDTH, SLOT_HEIGHT = 150, 22
LEFT, TOP, BOTTOM, RIGHT = 92, 58, 46, 24
GAP, NARROW, LETTER = 74, 58, 7.2
#: What a mark stands to the right of the one below it, so that edges part.
SLANT = 5
#: Nodes above each other in a cell before it gets another column, and letters of a label.
TALL, LABEL = 10, 15


@dataclass(frozen=True)
class Layout:
    """Places of nodes by id, middles of columns by position, of rows by level, and the size."""

    places: Mapping[str, tuple[float, float]]
    columns: Mapping[int, float]
    rows: Mapping[int, float]
    width: float
    height: float


def place_nodes(nodes: Sequence[Row], names: Mapping[str, str]) -> Layout:
    """Place nodes, rows of the table ``circuit_nodes``, that have the given names."""
    cells: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for node in sorted(nodes, key=lambda node: (-node["share"], node["id"])):
        cells[node["level"], node["position"]].append(node)
    levels = sorted({level for level, _ in cells}, reverse=True)
    positions = sorted({position for _, position in cells})
    widths = {p: _width(p, cells, names) for p in positions}
    heights = {
        level: max(min(TALL, len(some)) for (at, _), some in cells.items() if at == level)
        * SLOT_HEIGHT
        for level in levels
    }
    columns, x = {}, float(LEFT)
    for position in positions:
        columns[position] = x + widths[position] / 2
        x += widths[position]
    rows, y = {}, float(TOP)
    places: dict[str, tuple[float, float]] = {}
    for level in levels:
        rows[level] = y + heights[level] / 2
        for (at, position), some in cells.items():
            if at == level:
                places.update(_slots(some, columns[position], rows[level]))
        y += heights[level] + GAP
    return Layout(places, columns, rows, x + RIGHT, y - GAP + BOTTOM)


def _width(
    position: int, cells: Mapping[tuple[int, int], list[Row]], names: Mapping[str, str]
) -> float:
    found = float(NARROW)
    for (level, at), some in cells.items():
        if at != position:
            continue
        boxed = some[0]["kind"] in {"token", "logit"}
        text = max(len(cut(names[node["id"]])) for node in some)
        if boxed:
            found = max(found, text * LETTER + 30)
        elif level >= 0:
            found = max(found, ceil(len(some) / TALL) * SLOT_WIDTH + 14)
    return found


def _slots(some: Sequence[Row], x: float, y: float) -> dict[str, tuple[float, float]]:
    """Places in a cell, column by column; a mark leaves room for its name on its right."""
    if some[0]["kind"] in {"token", "logit"}:
        return {node["id"]: (x, y) for node in some}
    columns = ceil(len(some) / TALL)
    tall = ceil(len(some) / columns)
    places = {}
    for number, node in enumerate(some):
        column, row = divmod(number, tall)
        places[node["id"]] = (
            x + (column - columns / 2) * SLOT_WIDTH + 12 + SLANT * (tall - 1 - row),
            y + (row - (tall - 1) / 2) * SLOT_HEIGHT,
        )
    return places


def cut(text: str, most: int = LABEL) -> str:
    """Shorten a name, and make a blank one seen."""
    text = text.replace("\n", "↵").strip() or "␣"
    return text if len(text) <= most else f"{text[: most - 1]}…"
