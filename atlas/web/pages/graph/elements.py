"""Rows of the graph as a picture, cytoscape's elements and styles, and as a file."""

from __future__ import annotations

import io
import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from atlas.web.pages.graph.layouts import positions
from atlas.web.parts import number, visible

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    Row = dict[str, Any]

#: Colours of communities and of features without one. Edges of each kind have their own, dark and
#: light enough for both themes.
COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#44bb99",
    "#bbcc33", "#7766cc", "#ddaa33", "#cc6677",
)  # fmt: skip
OTHER = "#9aa5b1"
#: Characters of a label that are shown in the picture; the card beside it has all.
SHORT = 36
SIZES: Mapping[str, Any] = MappingProxyType(
    {"label": "data(label)", "width": "data(size)", "height": "data(size)", "font-size": 16,
     "text-wrap": "wrap", "text-max-width": 150, "text-valign": "bottom", "text-margin-y": 3}
)  # fmt: skip
"""The part of a node's style that says how much room it takes, which layouts need to know."""
_NODE_TYPES = {
    "key": "str", "label": "str", "community": "str", "community_label": "str", "pagerank": "f64",
    "firing_rate": "f64", "top_domain": "str", "top_tokens": "strs", "run": "str",
}  # fmt: skip
_EDGE_TYPES = {
    "source": "str", "target": "str", "relation": "str", "kind": "str", "strength": "f64",
    "phi": "f64", "npmi": "f64", "n": "int64", "q": "f64", "rank_source": "int64",
    "rank_target": "int64", "mutual": "bool", "run": "str",
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of edge, as it is drawn.

    Attributes
    ----------
    title
        What it says, in a few words.
    relation
        Its relationship type in the graph.
    colour
        Readable on light and dark ground.
    line
        ``solid``, ``dashed`` or ``dotted``: kinds differ in more than colour.
    arrow
        Shape at the target, where the edge has a direction.
    strength
        The figure that it is ranked by.
    """

    title: str
    relation: str
    colour: str
    line: str
    arrow: str | None
    strength: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "token": Kind("fire on the same tokens", "CO_OCCURS", "#6b8cae", "solid", None, "phi"),
        "topic": Kind("same documents", "CO_OCCURS", "#2a9d8f", "dotted", None, "r by topic"),
        "exclusive": Kind(
            "fire instead of each other", "CO_OCCURS", "#d1495b", "dashed", None, "-phi within"
        ),
        "implies": Kind("brings with it", "IMPLIES", "#3b82f6", "solid", "triangle", "share"),
        "similar": Kind("near decoder vectors", "SIMILAR_TO", "#8a9a3b", "dashed", None, "cosine"),
        "feeds": Kind("feeds a later layer", "FEEDS", "#c9751f", "solid", "vee", "phi"),
        "affects": Kind("changed by intervening", "AFFECTS", "#a05bd0", "dashed", "diamond",
                        "change"),
    }
)  # fmt: skip
"""Kinds of edges, in the order in which they are offered."""


def elements(
    nodes: Sequence[Row],
    edges: Sequence[Row],
    *,
    chosen: Collection[str] = (),
    path: Sequence[Sequence[str]] = (),
) -> list[Row]:
    """Return cytoscape's elements of features and of edges between them.

    Parameters
    ----------
    nodes
        `key`, `label`, `community`, `community_label`, `pagerank`, `firing_rate`, `top_tokens`.
    edges
        `key`, `source`, `target`, `kind`, `strength`, `n`.
    chosen
        Keys of features that were asked for; they stand out.
    path
        Chains of keys; their steps stand out, and lie in a row.
    """
    colours, places = community_colours(nodes), positions(nodes, chosen=chosen, path=path)
    steps = {frozenset(pair) for chain in path for pair in pairwise(chain)}
    # Keys are long, and every edge names two.
    ids = {row["key"]: f"n{place}" for place, row in enumerate(nodes)}
    made: list[Row] = []
    for row in nodes:
        x, y = places[row["key"]]
        data = {
            "id": ids[row["key"]],
            "key": row["key"],
            "label": short(row),
            "colour": colours.get(row.get("community"), OTHER),
            "size": size(row.get("pagerank")),
            "tip": node_tip(row),
        }
        mark = "chosen" if row["key"] in chosen else ""
        made.append({"data": data, "position": {"x": x, "y": y}, "classes": mark})
    for row, width in zip(edges, _widths(edges), strict=True):
        source, target, kind = ids[row["source"]], ids[row["target"]], row["kind"]
        data = {
            "id": f"{source}-{target}-{kind}",
            "source": source,
            "target": target,
            "kind": kind,
            "width": width,
            "tip": edge_tip(row),
        }
        on_path = frozenset((row["source"], row["target"])) in steps
        made.append({"data": data, "classes": f"{kind} path" if on_path else kind})
    return made


def name_of(row: Mapping[str, Any]) -> str:
    """Return a feature's label, or its place in its SAE where it has none."""
    return str(row.get("label") or "/".join(str(row["key"]).rsplit("/", 2)[1:]))


def short(row: Mapping[str, Any]) -> str:
    """Return a feature's name, cut to what fits beside a node."""
    text = " ".join(name_of(row).split())
    return text if len(text) <= SHORT else text[: SHORT - 1].rstrip() + "…"


def size(pagerank: float | None) -> float:
    """Return a node's diameter in pixels; a PageRank of 1 is that of an average feature."""
    known = pagerank if pagerank is not None and math.isfinite(pagerank) else 0.0
    return round(min(56.0, 14.0 + 17.0 * math.sqrt(max(known, 0.0))), 1)


def _widths(edges: Sequence[Row]) -> list[float]:
    """Return line widths, 1 to 6 pixels, by strength beside the strongest of the same kind."""
    most: dict[str, float] = {}
    for row in edges:
        most[row["kind"]] = max(most.get(row["kind"], 0.0), abs(row.get("strength") or 0.0))
    return [
        round(1 + 5 * abs(row.get("strength") or 0.0) / (most[row["kind"]] or 1.0), 2)
        for row in edges
    ]


def node_tip(row: Mapping[str, Any]) -> str:
    """Return what is said of a node that is pointed at; a line each."""
    words = "  ".join(visible(str(word)) for word in (row.get("top_tokens") or [])[:6])
    rate = row.get("firing_rate")
    lines = [
        short(row),
        f"fires on {words}" if words else "",
        f"on {number(100 * rate)} % of positions" if rate is not None else "",
        f"PageRank {number(row.get('pagerank'))}" if row.get("pagerank") is not None else "",
        f"community: {row['community_label']}" if row.get("community_label") else "",
    ]
    return "\n".join(line for line in lines if line)


def edge_tip(row: Mapping[str, Any]) -> str:
    """Return what is said of an edge that is pointed at; a line each."""
    kind = KINDS[row["kind"]]
    lines = [f"{row['kind']}: {kind.title}", f"{kind.strength} {number(row.get('strength'))}"]
    lines += [
        f"{name} {number(row[name])}" for name in ("npmi", "q", "n") if row.get(name) is not None
    ]
    return "\n".join(lines)


def community_colours(nodes: Iterable[Row]) -> dict[str | None, str]:
    """Return the colours of the communities of some features, most of them first."""
    counts = Counter(row["community"] for row in nodes if row.get("community"))
    ranked = sorted(counts, key=lambda key: (-counts[key], key))
    return dict(zip(ranked, COLOURS, strict=False))


def stylesheet() -> list[Row]:
    """Return cytoscape's styles; ``var(--name)`` stands for a colour of the theme.

    The browser puts the theme's colours in, see assets/graph.js.
    """
    styles: list[Row] = [
        {"selector": "node", "style": {
            **SIZES, "background-color": "data(colour)", "border-width": 1,
            "border-color": "var(--dim)", "color": "var(--ink)",
            "text-outline-color": "var(--card)", "text-outline-width": 2,
            "text-outline-opacity": 0.85, "min-zoomed-font-size": 6}},
        {"selector": "node.chosen", "style": {
            "border-width": 4, "border-color": "var(--accent)", "font-weight": "bold"}},
        {"selector": "edge", "style": {
            "width": "data(width)", "curve-style": "bezier", "opacity": 0.6,
            "line-cap": "round"}},
    ]  # fmt: skip
    for name, kind in KINDS.items():
        style = {"line-color": kind.colour, "line-style": kind.line}
        if kind.arrow:
            style |= {"target-arrow-shape": kind.arrow, "target-arrow-color": kind.colour}
        styles.append({"selector": f"edge.{name}", "style": style})
    return [
        *styles,
        {"selector": "edge.path", "style": {"line-color": "var(--accent)", "opacity": 1}},
        {"selector": ":selected", "style": {
            "border-width": 4, "border-color": "var(--focus)", "line-color": "var(--focus)",
            "opacity": 1}},
    ]  # fmt: skip


def graphml(nodes: Sequence[Row], edges: Sequence[Row], *, run: str, selection: Row) -> bytes:
    """Return features and edges as a GraphML file, as `atlas export graphml` writes them."""
    import pyarrow as pa

    from atlas.formats.graphml import write_graphml
    from atlas.formats.tables import GraphInfo, GraphTables
    from atlas.formats.text import arrow_type

    directed = any(KINDS[row["kind"]].arrow for row in edges)
    # A column without any value has no type of its own.
    tables = GraphTables(
        GraphInfo(run=run, directed=directed, selection=selection),
        *(
            pa.Table.from_pylist(
                list(rows), pa.schema([(name, arrow_type(kind)) for name, kind in types.items()])
            )
            for rows, types in (
                (nodes, _NODE_TYPES),
                ([row | {"relation": KINDS[row["kind"]].relation} for row in edges], _EDGE_TYPES),
            )
        ),
    )
    handle = io.BytesIO()
    write_graphml(handle, tables.stream())
    return handle.getvalue()
