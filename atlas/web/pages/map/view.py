"""The map: every feature of a run as a point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from dash import ClientsideFunction, Input, Output, State, dcc, html, no_update

from atlas.web.page import Page, Query
from atlas.web.pages.map.drawing import LIKE, drawn, rates
from atlas.web.parts import address, feature_link, link, number
from atlas.web.store import KINDS, SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dash import Dash

    from atlas.web.store import Points, Store

SIZED = dict(zip(SCORES, ("PageRank", "Degree", "Firing rate", "Largest activation"), strict=True))
#: Features of a lasso that are listed, and that a link to the graph view names.
LISTED, LINKED = 30, 60
_MAP = "map"
"""Id of the element that assets/map.js draws into; it tells what is pointed at in stores beside."""
_CONTROLS = ("map-colour", "map-size", "map-sae", "map-domain", "map-kind", "map-rate")


def page(store: Store) -> Page:
    """Return the page."""
    return Page("/", "Map", "Map", lambda query: _layout(store, query))


def callbacks(app: Dash, store: Store) -> None:
    """Register filters, the hover card and the lasso."""
    app.clientside_callback(
        ClientsideFunction("atlas_map", "show"),
        Output(_MAP, "title"),
        Input("map-data", "data"),
        State(_MAP, "id"),
    )
    # Not the field's own debounce, which moves the cursor back under a hand that types fast.
    app.clientside_callback(
        ClientsideFunction("atlas_map", "typed"),
        Output("map-typed", "data"),
        Input("map-label", "value"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("atlas_map", "lasso"),
        Output("map-lasso", "children"),
        Input("map-lasso", "n_clicks"),
        State(_MAP, "id"),
        prevent_initial_call=True,
    )

    @app.callback(
        Output("map-data", "data"),
        Output("map-count", "children"),
        Output("map-legend", "children"),
        Output("map-link", "href"),
        *(Input(name, "value") for name in _CONTROLS),
        Input("map-typed", "data"),
        State("map-run", "data"),
        prevent_initial_call=True,
    )  # type: ignore[untyped-decorator]
    def draw(*given: Any) -> tuple[Any, ...]:
        names = [name.removeprefix("map-") for name in _CONTROLS]
        query = dict(zip([*names, "label"], given[:-1], strict=True))
        return drawn(store, given[-1], query=query)

    @app.callback(
        Output("map-tip", "children"),
        Output("map-tip", "style"),
        Input("map-pointed", "data"),
        State("map-run", "data"),
    )  # type: ignore[untyped-decorator]
    def point(data: Mapping[str, Any] | None, run: str) -> tuple[Any, ...]:
        if not data:
            return no_update, {"display": "none"}
        # A card stands beside its point, on the side that has more room.
        side = "left" if data["x"] < data["width"] / 2 else "right"
        far = data["x"] if side == "left" else data["width"] - data["x"]
        return _card(store.points(run), int(data["number"])), {
            side: f"{far + 14:.0f}px",
            "top": f"{data['y']:.0f}px",
        }

    @app.callback(
        Output("address", "href"),
        Input("map-opened", "data"),
        State("map-run", "data"),
        prevent_initial_call=True,
    )  # type: ignore[untyped-decorator]
    def opened(number: int | None, run: str) -> Any:
        if number is None:
            return no_update
        return address("/feature", key=store.points(run).key[int(number)])

    @app.callback(
        Output("map-list", "children"), Input("map-chosen", "data"), State("map-run", "data")
    )  # type: ignore[untyped-decorator]
    def lasso(numbers: Sequence[int] | None, run: str) -> Any:
        if not numbers:
            said = "Press Lasso (or hold Shift) and draw around features to list them."
            return html.P(said, className="dim")
        return _chosen(store.points(run), [int(number) for number in numbers])


def _layout(store: Store, query: Query) -> Any:
    run = store.run(query.get("run"))
    points = store.points(run)
    runs = [row["key"] for row in store.runs()]
    said = "Map of features. Arrow keys move it, plus and minus zoom, Enter opens the feature in \
the middle, 0 shows all."
    if not len(points):
        return [
            html.H1(f"Map of {run}"),
            html.P("Its features have no place on a map yet."),
            html.Pre(html.Code(f"atlas layout {run}")),
        ]
    data, count, legend, here = drawn(store, run, query=query)
    return [
        html.H1(f"Map of {run}"),
        _others(runs, run),
        dcc.Store(id="map-run", data=run),
        dcc.Store(id="map-typed", data=query.get("label", "")),
        _controls(points, query),
        html.P([html.Span(count, id="map-count"), " · ",
                dcc.Link("link to this view", href=here, id="map-link"), " · ",
                html.Button("Lasso", id="map-lasso", type="button")], className="dim"),
        html.Div(legend, id="map-legend", className="legend"),
        dcc.Store(id="map-data", data=data),
        *(dcc.Store(id=f"map-{part}") for part in ("pointed", "opened", "chosen")),
        html.Div(
            [
                html.Div(id=_MAP, className="canvas", tabIndex=0, role="application",
                         **{"aria-label": said}),
                html.Div(id="map-tip", className="tip", role="status", style={"display": "none"}),
            ],
            className="map",
        ),
        html.Section([html.H2("Chosen features"), html.Div(id="map-list")], className="panel",
                     **{"aria-live": "polite"}),
    ]  # fmt: skip


def _others(runs: Sequence[str], run: str) -> Any:
    others = [html.Li(link("/", other, run=other)) for other in runs if other != run]
    if not others:
        return None
    return html.Nav(html.Ul(others), className="tabs small", **{"aria-label": "Other runs"})


def _controls(points: Points, query: Query) -> Any:
    firing = points.scores["firing_rate"]
    logs = np.log10(firing[firing > 0]) if (firing > 0).any() else np.array([-6.0, 0.0])
    low, high = float(np.floor(logs.min())), float(np.ceil(logs.max()))
    marks = {value: f"1e{value}" for value in range(int(low), int(high) + 1)}
    saes, domains = (sorted(set(values) - {""}) for values in (points.sae, points.domain))

    def pick(name: str, label: str, options: Any, *, clearable: bool = True) -> Any:
        chosen = query.get(name.removeprefix("map-"))
        chosen = chosen if clearable else chosen or next(iter(options))
        box = dcc.Dropdown(options, chosen or None, id=name, clearable=clearable)
        return html.Div([html.Label(label, htmlFor=name), box], className="control")

    text = dcc.Input(
        id="map-label", value=query.get("label", ""), type="search",
        placeholder="part of a label",
    )  # fmt: skip
    slider = dcc.RangeSlider(
        low, high, 0.25, value=rates(query.get("rate")) or [low, high], marks=marks, id="map-rate",
        allow_direct_input=False,
    )  # fmt: skip
    return html.Div(
        [
            pick("map-colour", "Colour by", LIKE, clearable=False),
            pick("map-size", "Size by", SIZED, clearable=False),
            pick("map-sae", "SAE", saes),
            pick("map-domain", "Domain", domains),
            pick("map-kind", "Has edges of kind", list(KINDS)),
            html.Div([html.Label("Firing rate (share of positions)", htmlFor="map-rate"), slider],
                     className="control wide"),
            html.Div([html.Label("Label contains", htmlFor="map-label"), text],
                     className="control"),
        ],
        className="controls",
    )  # fmt: skip


def _card(points: Points, place: int) -> Any:
    key = str(points.key[place])
    rate = points.scores["firing_rate"][place]
    lines = [
        html.Strong(points.label[place] or key.rpartition("/")[2]),
        html.Div(key, className="dim small"),
        html.Div(f"fires on {number(100 * float(rate))} % of positions"),
        html.Div(f"PageRank {number(float(points.scores['pagerank'][place]))}"),
    ]
    if points.domain[place]:
        lines.append(html.Div(f"most in {points.domain[place]}"))
    return html.Div(lines, className="card")


def _chosen(points: Points, places: Sequence[int]) -> Any:
    ranked = sorted(places, key=lambda k: -np.nan_to_num(points.scores["pagerank"][k]))
    keys = [str(points.key[place]) for place in ranked]
    items = [
        html.Li(feature_link(key, points.label[place] or None))
        for key, place in zip(keys[:LISTED], ranked[:LISTED], strict=True)
    ]
    more = len(keys) - len(items)
    linked = keys[:LINKED]
    said = f"Show the {len(linked)} with the largest PageRank as a graph"
    return [
        html.P(f"{len(keys):,} features" + (f"; the first {LISTED} by PageRank" if more else "")),
        html.P(link("/graph", said, keys=" ".join(linked))),
        html.Ul(items),
    ]
