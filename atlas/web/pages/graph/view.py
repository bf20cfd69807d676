"""The graph: a feature's surroundings, a set, a community or a path as a picture of its edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dash_cytoscape as cyto
from dash import ALL, ClientsideFunction, Input, Output, State, ctx, dcc, html, no_update

from atlas.errors import AtlasError, UsageError
from atlas.web.page import Page, Query
from atlas.web.pages.graph.address import view
from atlas.web.pages.graph.controls import ask_form, controls
from atlas.web.pages.graph.elements import elements, graphml, stylesheet
from atlas.web.pages.graph.layouts import LAYOUTS, layout
from atlas.web.pages.graph.parts import (
    aside,
    bar,
    beside,
    canvas,
    edge_card,
    edge_table,
    feature_card,
    legend,
    many,
    node_list,
    paths,
    statements,
    title,
)
from atlas.web.pages.graph.subgraph import LEVELS, LIMITS, MOST, NONE, RANKS, read
from atlas.web.parts import address, error, feature_link, link, panel, show_cypher

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dash import Dash

    from atlas.web.pages.graph.subgraph import Picture, View
    from atlas.web.store import Store

# Layouts in layers, springs that part labels, and pictures as SVG.
cyto.load_extra_layouts()

#: What an address says of which features there are; the controls say the rest.
_ASKED = ("run", "key", "keys", "community", "from", "to", "by")
_CONTROLS = ("kinds", "least", "npmi", "rank", "q", "limit", "layout")
_GIVEN = [State(f"graph-{name}", "value") for name in _CONTROLS]
_HUBS = 12


def page(store: Store) -> Page:
    """Return the page."""
    return Page("/graph", "Graph", "Graph", lambda query: _layout(store, query))


def callbacks(app: Dash, store: Store) -> None:
    """Register drawing, expanding, the card, and the files that a picture is saved as."""
    _clientside(app)
    _drawing(app, store)
    _expanding(app)
    _choosing(app, store)
    _saving(app, store)


def _drawing(app: Dash, store: Store) -> None:
    @app.callback(
        Output("graph-cy", "elements"),
        Output("graph-cy", "layout"),
        Output("graph-count", "children"),
        Output("graph-list", "children"),
        Output("graph-edges", "children"),
        Output("graph-legend", "children"),
        Output("graph-link", "href"),
        Output("graph-cypher", "children"),
        *(Input(f"graph-{name}", "value") for name in _CONTROLS),
        Input("graph-state", "data"),
        prevent_initial_call=True,
    )  # type: ignore[untyped-decorator]
    def draw(*values: Any) -> tuple[Any, ...]:
        query = _query(values[-1], values[:-1])
        try:
            wanted = view(store, query)
            return _drawn(read(store, wanted), wanted, query)
        except AtlasError as what:
            return (no_update, no_update, error(what), *[no_update] * 5)


def _expanding(app: Dash) -> None:
    @app.callback(
        Output("graph-state", "data"),
        Input("graph-tapped", "data"),
        Input({"type": "graph-expand", "key": ALL}, "n_clicks"),
        Input("graph-undo", "n_clicks"),
        State("graph-state", "data"),
        prevent_initial_call=True,
    )  # type: ignore[untyped-decorator]
    def expand(tapped: Mapping[str, Any] | None, _: Any, __: Any, state: dict[str, Any]) -> Any:
        # Buttons that are drawn anew tell that they were never pressed.
        if not ctx.triggered or not ctx.triggered[0]["value"]:
            return no_update
        changed = _expanded(list(state["expanded"]), ctx.triggered_id, tapped)
        return no_update if changed == state["expanded"] else {**state, "expanded": changed}


def _choosing(app: Dash, store: Store) -> None:
    @app.callback(
        Output("graph-card", "children"),
        Output("graph-marked", "data"),
        Input("graph-tapped", "data"),
        Input({"type": "graph-show", "key": ALL}, "n_clicks"),
        Input("graph-link", "href"),
        State("graph-marked", "data"),
        State("graph-state", "data"),
        *_GIVEN,
        prevent_initial_call=True,
    )  # type: ignore[untyped-decorator]
    def choose(tapped: Any, _: Any, __: Any, marked: Any, state: Any, *values: Any) -> Any:
        if not ctx.triggered or not ctx.triggered[0]["value"]:
            return no_update, no_update
        by = ctx.triggered_id
        # A picture that was drawn anew may have other edges of what is chosen.
        what = {"key": by["key"]} if isinstance(by, dict) else tapped
        what = marked if by == "graph-link" else what
        if not what:
            return no_update, no_update
        try:
            return _card(store, _query(state, values), what), what
        except AtlasError as problem:
            return error(problem), what


def _saving(app: Dash, store: Store) -> None:
    @app.callback(
        Output("graph-download", "data"),
        Input("graph-graphml", "n_clicks"),
        State("graph-state", "data"),
        *_GIVEN,
        prevent_initial_call=True,
    )  # type: ignore[untyped-decorator]
    def save(clicks: int | None, state: Any, *values: Any) -> Any:
        if not clicks:
            return no_update
        query = _query(state, values)
        picture = read(store, view(store, query))
        run = query.get("run") or (picture.nodes[0]["run"] if picture.nodes else "")
        made = graphml(picture.nodes, picture.edges, run=str(run or ""), selection=query)
        return dcc.send_bytes(made, "graph.graphml")


def _clientside(app: Dash) -> None:
    """Register what the browser does without the server; see assets/graph.js."""

    def register(name: str, output: Output, *inputs: Any, first: bool = False) -> None:
        app.clientside_callback(
            ClientsideFunction("atlas_graph", name), output, *inputs,
            prevent_initial_call=not first,
        )  # fmt: skip

    app.clientside_callback(
        ClientsideFunction("atlas_address", "remember"), Output("graph-link", "title"),
        Input("graph-link", "href"), prevent_initial_call=True,
    )  # fmt: skip
    register("styles", Output("graph-cy", "stylesheet"), Input("graph-styles", "data"),
             Input("graph-theme", "data"), first=True)  # fmt: skip
    register("tip", Output("graph-tip", "children"), Input("graph-cy", "mouseoverNodeData"),
             Input("graph-cy", "mouseoverEdgeData"))  # fmt: skip
    register("tapped", Output("graph-tapped", "data"), Input("graph-cy", "tapNode"),
             Input("graph-cy", "tapEdge"), State("graph-clicks", "value"))  # fmt: skip
    register("focus", Output("graph-list", "title"), Input("graph-list", "children"))
    register("mark", Output("graph-marked", "storage_type"), Input("graph-marked", "data"))
    register("image", Output("graph-cy", "generateImage"), Input("graph-png", "n_clicks"),
             Input("graph-svg", "n_clicks"))  # fmt: skip
    register("zoom", Output("graph-zoom", "title"), Input("graph-in", "n_clicks"),
             Input("graph-out", "n_clicks"), Input("graph-fit", "n_clicks"))  # fmt: skip


def _expanded(expanded: list[str], by: Any, tapped: Mapping[str, Any] | None) -> list[str]:
    """Return which features are expanded after something was pressed."""
    if by == "graph-undo":
        return expanded[:-1]
    if by == "graph-tapped":
        key = (tapped or {}).get("key")
        new = key and (tapped or {}).get("expand") and key not in expanded
        return [*expanded, str(key)] if new else expanded
    key = by["key"]
    return [one for one in expanded if one != key] if key in expanded else [*expanded, key]


def _query(state: Mapping[str, Any], values: Sequence[Any]) -> dict[str, str]:
    """Return the address's parameters for what the controls say."""
    given = dict(zip(_CONTROLS, values, strict=True))
    q = LEVELS[int(given["q"])]
    return {
        **state["asked"],
        "kinds": ",".join(given["kinds"] or [NONE]),
        "least": f"{given['least']:g}",
        "npmi": f"{given['npmi']:g}",
        "rank": str(RANKS[int(given["rank"])] or 0),
        "q": "" if q is None else f"{q:g}",
        "limit": str(LIMITS[int(given["limit"])]),
        "layout": given["layout"],
        "expanded": " ".join(state["expanded"]),
    }


def _layout(store: Store, query: Query) -> Any:
    wanted = view(store, query)
    if not wanted.chosen:
        return _beginning(store, query)
    given = dict(query)
    chosen = given.setdefault("layout", "preset" if wanted.path else "cose")
    if chosen not in LAYOUTS:
        raise UsageError(f"There is no layout {chosen!r}.", hint=f"One of {', '.join(LAYOUTS)}.")
    picture = read(store, wanted)
    shown, laid, count, nodes, edges, said, here, cypher = _drawn(picture, wanted, given)
    asked = {name: given[name] for name in _ASKED if given.get(name)}
    return [
        html.H1(title(picture, wanted, query)),
        beside(wanted, query),
        dcc.Store(id="graph-state", data={"asked": asked, "expanded": list(wanted.expanded)}),
        dcc.Store(id="graph-styles", data=stylesheet()),
        *(dcc.Store(id=f"graph-{name}") for name in ("theme", "tapped", "marked")),
        dcc.Download(id="graph-download"),
        controls(wanted, layout=chosen),
        bar(count, here),
        html.Div([canvas(shown, laid), aside(nodes)], className="graph"),
        html.Div(said, id="graph-legend"),
        paths(wanted, query),
        html.Details(
            [html.Summary("Edges as a table"), html.Div(edges, id="graph-edges")],
            className="panel",
        ),
        panel("Cypher behind the picture", html.Div(cypher, id="graph-cypher")),
    ]


def _drawn(picture: Picture, wanted: View, query: Mapping[str, str]) -> tuple[Any, ...]:
    """Return elements, layout, count, lists, legend, address and statements of a picture."""
    # Where all were chosen, none stands out.
    some = wanted.chosen if wanted.centre or wanted.path or wanted.expanded else ()
    shown = elements(picture.nodes, picture.edges, chosen=some, path=wanted.chains)
    order = {row["key"]: f"n{place}" for place, row in enumerate(picture.nodes)}
    roots = [order[key] for key in wanted.chosen if key in order]
    grown = roots if wanted.centre or wanted.path else roots[:1]
    count = f"{many(len(picture.nodes), 'feature')}, {many(len(picture.edges), 'edge')}"
    if picture.left_out:
        count += f" (the strongest; {picture.left_out:,} more are not drawn)"
    kept = [*_ASKED, *_CONTROLS, "expanded"]
    return (
        shown,
        layout(query.get("layout") or "cose", grown),
        count,
        node_list(picture, wanted),
        edge_table(picture),
        legend(picture),
        address("/graph", **{name: query.get(name) for name in kept}),
        statements(picture.asked),
    )


def _card(store: Store, query: Mapping[str, str], what: Mapping[str, Any]) -> Any:
    picture = read(store, view(store, query))
    return feature_card(picture, what["key"]) if what.get("key") else edge_card(picture, what)


def _beginning(store: Store, query: Query) -> Any:
    run = store.run(query.get("run"))
    hubs = store.ask("hubs", run=run, limit=_HUBS)
    items = [
        html.Li([link("/graph", "Graph", key=row["key"]), " of ",
                 feature_link(row["key"], row["label"])])
        for row in hubs
    ]  # fmt: skip
    given = {"by": "pagerank", "limit": _HUBS, "dense": True, "run": run}
    return [
        html.H1("Graph"),
        html.P(f"Begin with a feature, a community, a path, or a set of features: the map's lasso \
chooses one, and an address may name up to {MOST} (keys=…)."),
        ask_form(query),
        panel("Features with the largest PageRank", html.Ul(items) if items else html.P("None."),
              cypher=show_cypher(store.cypher("hubs"), given, place="graph-hubs")),
    ]  # fmt: skip
