"""Controls of the graph page, and its forms that ask for something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import dcc, html

from atlas.web.pages.graph.address import PATHS
from atlas.web.pages.graph.elements import KINDS
from atlas.web.pages.graph.layouts import LAYOUTS
from atlas.web.pages.graph.subgraph import LEVELS, LIMITS, RANKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atlas.web.pages.graph.subgraph import View


def controls(view: View, *, layout: str) -> Any:
    """Return what chooses kinds, thresholds, the number of features and the layout."""
    options = [{"label": kind, "value": kind, "title": KINDS[kind].title} for kind in KINDS]
    kinds = html.Fieldset(
        [html.Legend("Edges"),
         dcc.Checklist(options, list(view.kinds), id="graph-kinds", inline=True)],
        className="graph-kinds",
    )  # fmt: skip
    titles = {name: title for name, (title, _) in LAYOUTS.items()}
    layouts = html.Fieldset(
        [html.Legend("Layout"), dcc.RadioItems(titles, layout, id="graph-layout", inline=True)],
        className="graph-kinds",
    )
    return html.Div(
        [
            kinds,
            _slider("graph-least", "Strength at least", 0, 1, 0.01, view.least, _even(0, 1)),
            _slider("graph-npmi", "NPMI at least", -1, 1, 0.02, view.npmi, _even(-1, 1)),
            _choice("graph-rank", "Rank at both ends at most", RANKS, view.rank),
            _choice("graph-q", "False discovery rate at most", LEVELS, view.q),
            _choice("graph-limit", "Features to begin with", LIMITS, view.limit),
            layouts,
        ],
        className="controls",
    )


def _slider(
    name: str, label: str, low: float, high: float, step: float, value: float,
    marks: Mapping[float, str],
) -> Any:  # fmt: skip
    slider = dcc.Slider(low, high, step, value=value, marks=dict(marks), id=name,
                        allow_direct_input=False)  # fmt: skip
    return html.Div([html.Label(label, htmlFor=name), slider], className="control slide")


def _even(low: float, high: float) -> dict[float, str]:
    return {low + k * (high - low) / 4: f"{low + k * (high - low) / 4:g}" for k in range(5)}


def _choice(name: str, label: str, values: Sequence[float | None], value: float | None) -> Any:
    marks: dict[float, str] = {
        k: "any" if one is None else f"{one:g}".replace("e-0", "e-") for k, one in enumerate(values)
    }
    # An address may have a value between those that the slider stands at.
    place = min(range(len(values)), key=lambda k: _far(values[k], value))
    return _slider(name, label, 0, len(values) - 1, 1, place, marks)


def _far(a: float | None, b: float | None) -> float:
    if a is None or b is None:
        return 0.0 if a is b else float("inf")
    return abs(a - b)


def ask_form(query: Mapping[str, str]) -> Any:
    """Return the forms that ask for another feature, community or path."""
    return html.Div(
        [
            _form("A feature and its neighbours", [("key", "Feature", query.get("key"))]),
            _form("A community", [("community", "Community", query.get("community"))]),
            _form(
                "Paths between two features",
                [("from", "From", query.get("from")), ("to", "To", query.get("to"))],
                html.Label(["Which path ", html.Select([
                    html.Option(title, value=name, selected=name == query.get("by") or None)
                    for name, title in PATHS.items()], name="by")]),
            ),
        ],
        className="panels graph-asks",
    )  # fmt: skip


def _form(title: str, fields: Sequence[tuple[str, str, str | None]], *more: Any) -> Any:
    boxes = [
        html.Label([f"{label} ", dcc.Input(
            id=f"graph-ask-{name}", name=name, value=value or "", required=True,
            placeholder="key, number or label")])
        for name, label, value in fields
    ]  # fmt: skip
    return html.Form([html.H2(title), *boxes, *more, html.Button("Show", type="submit")],
                     action="/graph", method="get", className="panel")  # fmt: skip
