"""How pictures of the graph are laid out: cytoscape's layouts, and where they begin."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    Row = dict[str, Any]

#: Distance of neighbours on a ring, in pixels.
_APART = 70.0

LAYOUTS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "cose": ("Springs (cose)", {
            "nodeRepulsion": 500_000, "idealEdgeLength": 90, "nodeOverlap": 24, "gravity": 1.0,
            "randomize": False, "numIter": 1200, "nodeDimensionsIncludeLabels": True}),
        "fcose": ("Springs (fcose)", {
            "randomize": False, "idealEdgeLength": 150, "nodeRepulsion": 30_000,
            "nodeSeparation": 120, "nodeDimensionsIncludeLabels": True}),
        "concentric": ("Rings by number of edges", {"minNodeSpacing": 60}),
        "circle": ("Circle", {}),
        "breadthfirst": ("Tree from the chosen", {"circle": True}),
        "dagre": ("Layers (dagre)", {"rankDir": "TB", "nodeSep": 30, "rankSep": 70}),
        "klay": ("Layers (klay)", {"klay": {"direction": "DOWN", "spacing": 40}}),
        "preset": ("Row or ring, as given", {}),
    }
)  # fmt: skip
"""Layouts: their name for readers and what cytoscape is told beside the name."""


def layout(name: str, roots: Sequence[str] = ()) -> dict[str, Any]:
    """Return a layout as cytoscape takes it; a tree grows from `roots`."""
    options = dict(LAYOUTS[name][1])
    if name == "breadthfirst" and roots:
        options["roots"] = list(roots)
    return {"name": name, "animate": False, "fit": True, "padding": 24, **options}


def positions(
    nodes: Sequence[Row], *, chosen: Collection[str] = (), path: Sequence[Sequence[str]] = ()
) -> dict[str, tuple[float, float]]:
    """Return where the layouts begin: a path is a row, what was chosen is within a ring of others.

    The same features begin at the same places, so the same address gives the same picture.
    """
    places: dict[str, tuple[float, float]] = {}
    for line, chain in enumerate(path):
        for step, key in enumerate(chain):
            places.setdefault(key, (step * 2.2 * _APART, line * 1.6 * _APART))
    inner = [row for row in nodes if row["key"] in chosen and row["key"] not in places]
    outer = [row for row in nodes if row["key"] not in chosen and row["key"] not in places]
    middle = _middle(list(places.values()))
    reach = max((math.dist(middle, place) for place in places.values()), default=0.0)
    for ring in (inner, outer):
        if not ring:
            continue
        ring = sorted(ring, key=lambda row: (str(row.get("community")), row["key"]))  # noqa: PLW2901
        alone = len(ring) == 1 and reach == 0
        reach = 0.0 if alone else max(reach + _APART * 1.6, len(ring) * _APART / (2 * math.pi))
        for k, row in enumerate(ring):
            turn = 2 * math.pi * k / len(ring)
            places[row["key"]] = (
                round(middle[0] + reach * math.cos(turn), 1),
                round(middle[1] + reach * math.sin(turn), 1),
            )
    return places


def _middle(places: Sequence[tuple[float, float]]) -> tuple[float, float]:
    if not places:
        return 0.0, 0.0
    count = len(places)
    return sum(x for x, _ in places) / count, sum(y for _, y in places) / count
