"""An answer of the console as a table, or as a graph of the nodes that came back."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

import dash_ag_grid as dag
import dash_cytoscape as cyto
from dash import html

from atlas.web.pages.console.run import NODES, ROWS
from atlas.web.parts import address, link, show_cypher

if TYPE_CHECKING:
    from atlas.web.pages.console.run import Answer

#: Characters of a value in a cell, and of a name in the picture; digits of a number in a cell.
_CELL, _NAME, _DIGITS = 2000, 24, 7
_FEATURE = re.compile(r"[^/]+(/[^/]+){2,}/\d+")
#: Numbers beyond it are not exact in a browser.
_EXACT = 2**53
#: Features that are listed; relationships up to which each is named in the picture.
_LISTED, _NAMED = 40, 24
#: Readable in light and dark.
_COLOURS = {
    "Feature": "#4477aa", "Community": "#228833", "Token": "#aa3377", "Context": "#887722",
    "Document": "#997700", "Concept": "#ee6677", "Run": "#cc6677", "Sae": "#44aa99",
    "Model": "#332288", "Intervention": "#b34700", "Effect": "#dd7733", "Prompt": "#6699cc",
}  # fmt: skip
_OTHER = "#7b8794"
_STYLE = [
    {"selector": "node", "style": {
        "label": "data(label)", "background-color": "data(colour)", "width": 16, "height": 16,
        "font-size": 8, "min-zoomed-font-size": 7, "color": "#fff",
        "text-background-color": "#1c2430", "text-background-opacity": 0.8,
        "text-background-padding": "2px",
        "text-background-shape": "roundrectangle", "text-valign": "bottom", "text-margin-y": 2,
        "border-width": 1, "border-color": "#9aa5b1"}},
    {"selector": "edge", "style": {
        "curve-style": "bezier", "width": 1.5, "line-color": "#8895a5",
        "target-arrow-shape": "triangle", "target-arrow-color": "#8895a5", "label": "data(label)",
        "font-size": 8, "color": "#fff", "text-background-color": "#4d5866",
        "text-background-opacity": 0.75, "text-rotation": "autorotate"}},
]  # fmt: skip


def shown(answer: Answer, *, graph: bool) -> list[Any]:
    """Return an answer as parts of a page.

    Parameters
    ----------
    answer
        What was found.
    graph
        As a graph, where nodes came back.
    """
    count = f"The first {ROWS:,} rows; there are more" if answer.more else _rows(len(answer.rows))
    said = html.P(f"{count}, {answer.seconds:.2f} s.", id="console-count", role="status")
    cypher = show_cypher(answer.statement, answer.parameters, place="console")
    if graph and answer.nodes:
        return [said, *_graph(answer), cypher]
    notes = [html.P("No node came back, so there is no picture.", className="dim")] if graph else []
    return [said, *notes, _table(answer) if answer.columns else None, cypher]


def _rows(count: int) -> str:
    return "One row" if count == 1 else f"{count:,} rows"


def _table(answer: Answer) -> Any:
    # Names of columns are anybody's: fields are numbers, so that no dot or quote in one matters.
    columns = [_column(answer, place) for place in range(len(answer.columns))]
    rows = [_row(answer.columns, row) for row in answer.rows]
    height = min(42.0, 6 + 2.75 * max(1, len(rows)))
    return dag.AgGrid(
        id="console-table", columnDefs=columns, rowData=rows, className="ag-theme-atlas",
        defaultColDef={"sortable": True, "resizable": True, "filter": True},
        columnSize="autoSize",
        dashGridOptions={"enableCellTextSelection": True, "ensureDomOrder": True,
                         "animateRows": False, "pagination": len(rows) > 100,
                         "paginationPageSize": 100},
        style={"height": f"{height:.1f}rem"},
    )  # fmt: skip


def _column(answer: Answer, place: int) -> dict[str, Any]:
    name = answer.columns[place]
    number = _numeric(answer, name)
    kind = {"type": "numericColumn"} if number else {}
    return {
        "field": f"c{place}", "headerName": name, "tooltipField": f"c{place}",
        "cellRenderer": "AtlasKey", "minWidth": 340 if _linked(answer, name) else 110,
        "maxWidth": 480, "filter": f"ag{'Number' if number else 'Text'}ColumnFilter", **kind,
    }  # fmt: skip


def _numeric(answer: Answer, column: str) -> bool:
    values = [row[column] for row in answer.rows if row[column] is not None]
    return bool(values) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values
    )


def _linked(answer: Answer, column: str) -> bool:
    return any(where(row[column]) for row in answer.rows[:5])


def _row(columns: list[str], row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for place, name in enumerate(columns):
        found[f"c{place}"] = cell(row[name])
        href = where(row[name])
        if href:
            found[f"c{place} href"] = href
    return found


def cell(value: Any) -> Any:
    """Return a value as a cell of the table takes it: numbers, and all else as text."""
    if value is None:
        return None
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, bool | float):
        return str(value).lower()
    if isinstance(value, int):
        return value if abs(value) < _EXACT else str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _CELL else f"{text[:_CELL]} ..."


def where(value: Any) -> str | None:
    """Return the address of what a value is the key of, if it is a feature."""
    if isinstance(value, dict) and "Feature" in (value.get("labels") or ()):
        value = value.get("key")
    if isinstance(value, str) and len(value) < 500 and _FEATURE.fullmatch(value):
        return address("/feature", key=value)
    return None


def elements(answer: Answer) -> list[dict[str, Any]]:
    """Return nodes and relationships as cytoscape's elements."""
    nodes = [
        {"data": {"id": key, "label": named(node), "colour": _colour(node)}}
        for key, node in answer.nodes.items()
    ]
    named_links = len(answer.links) <= _NAMED
    links = [
        {"data": {"id": f"r{one['id']}", "source": one["ends"][0], "target": one["ends"][1],
                  "label": one["type"] if named_links else ""}}
        for one in answer.links
    ]  # fmt: skip
    return [*nodes, *links]


def named(node: dict[str, Any]) -> str:
    """Return what a node is called in a few characters."""
    names = ("label", "name", "text", "prompt", "metric", "key")
    found = next((str(node[name]) for name in names if node.get(name)), "/".join(node["labels"]))
    found = found.rpartition("/")[2] if found == node.get("key") else found
    return found if len(found) <= _NAME else f"{found[: _NAME - 1]}…"


def _colour(node: dict[str, Any]) -> str:
    return next((_COLOURS[label] for label in node["labels"] if label in _COLOURS), _OTHER)


def _graph(answer: Answer) -> list[Any]:
    links = f"{len(answer.links):,} relationships"
    said = f"{len(answer.nodes):,} nodes and {links}"
    if len(answer.nodes) >= NODES:
        said += f" (at most {NODES} nodes are drawn)"
    kinds = sorted({label for node in answer.nodes.values() for label in node["labels"]})
    legend = [
        html.Span([html.Span(className="dot", style={"background": _COLOURS.get(kind, _OTHER)},
                             **{"aria-hidden": "true"}), kind])
        for kind in kinds
    ]  # fmt: skip
    picture = cyto.Cytoscape(
        id="console-graph", elements=elements(answer), stylesheet=_STYLE, minZoom=0.1, maxZoom=4,
        layout={"name": "cose", "animate": False, "padding": 20, "randomize": False,
                "nodeRepulsion": 80000, "idealEdgeLength": 110},
        style={"width": "100%", "height": "min(70vh, 60rem)"},
    )  # fmt: skip
    features = [node for node in answer.nodes.values() if "Feature" in node["labels"]]
    listed = html.Ul(
        [html.Li(link("/feature", named(node), key=node.get("key"))) for node in features[:_LISTED]]
    )
    return [
        html.P(f"{said}.", className="dim"),
        html.Div(legend, className="legend"),
        html.Div(picture, role="img", className="picture", **{"aria-label": said}),
        html.Details([html.Summary(f"Features in it ({len(features)})"), listed])
        if features
        else None,
    ]
