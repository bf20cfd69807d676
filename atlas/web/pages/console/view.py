"""The console: queries of the catalogue and free Cypher, which can only read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dash import ALL, ClientsideFunction, Input, Output, State, ctx, dcc, html, no_update

from atlas.errors import AtlasError
from atlas.web.page import Page, Query
from atlas.web.pages.console.run import (
    MIB,
    ROWS,
    SECONDS,
    read_parameters,
    read_value,
    run_catalogue,
    run_cypher,
)
from atlas.web.pages.console.shown import shown
from atlas.web.parts import address, error, panel
from queries.catalogue import catalogue, query
from queries.header import GROUPS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dash import Dash

    from atlas.web.store import Store
    from queries.header import Parameter

FREE = "cypher"
"""What is chosen for a statement of one's own."""
OWN = ("query", "cypher", "parameters", "view")
"""Names of an address that are no parameters of a query."""
#: Longest statement and parameters that are taken.
_LONGEST = 20_000
_FIRST = "MATCH (f:Feature) WHERE f.pagerank IS NOT NULL\nRETURN f.key AS key, f.label AS label, \
f.pagerank AS pagerank\nORDER BY pagerank DESC LIMIT 20"
_NONE = "{}"
_VIEWS = {"table": "Table", "graph": "Graph"}


def page(_store: Store) -> Page:
    """Return the page."""
    return Page("/console", "Console", "Console", _layout)


def callbacks(app: Dash, store: Store) -> None:
    """Register the choice of a query, its form, and what is run."""

    @app.callback(
        Output("console-form", "children"),
        Input("console-query", "value"),
        State("console-first", "data"),
    )  # type: ignore[untyped-decorator]
    def choose(name: str, first: Mapping[str, str]) -> Any:
        return _form(name, first if first.get("query", FREE) == name else {})

    @app.callback(
        Output("console-result", "children"),
        Output("console-here", "data"),
        Output("console-ran", "data"),
        Input("console-run", "n_clicks"),
        Input("console-view", "value"),
        Input({"type": "console-ready", "query": ALL}, "data"),
        State("console-query", "value"),
        State({"type": "console-value", "name": ALL}, "value"),
        State({"type": "console-value", "name": ALL}, "id"),
        State("console-asked", "data"),
        State("console-ran", "data"),
    )  # type: ignore[untyped-decorator]
    def answer(
        clicks: int | None, view: str, ready: Sequence[str], name: str, values: Sequence[Any],
        names: Sequence[Mapping[str, str]], asked: str | None, ran: str | None,
    ) -> tuple[Any, Any, Any]:  # fmt: skip
        # Shown by a link it runs at once, a query that is only being chosen when it is told to.
        by = ctx.triggered_id
        told = (by == "console-run" and clicks) or (by == "console-view" and ran == name)
        linked = ran is None and asked == name
        if not ready or ready[0] != name or not (told or linked):
            return no_update, no_update, no_update
        given = {one["name"]: value for one, value in zip(names, values, strict=True)}
        try:
            found = _run(store, name, given, graph=view == "graph")
        except AtlasError as what:
            found = [error(what)]
        return found, _here(name, given, view), name

    app.clientside_callback(
        ClientsideFunction("atlas_address", "remember"),
        Output("console-here", "modified_timestamp"),
        Input("console-here", "data"),
        prevent_initial_call=True,
    )


def _run(store: Store, name: str, given: Mapping[str, Any], *, graph: bool) -> list[Any]:
    if name == FREE:
        parameters = read_parameters(str(given.get("parameters") or ""))
        found = run_cypher(store, str(given.get("cypher") or ""), parameters)
        return shown(found, graph=graph)
    spec = query(name)
    values = {one.name: read_value(one, given.get(one.name)) for one in spec.parameters}
    asked = {key: value for key, value in values.items() if value is not None}
    return shown(run_catalogue(store, name, asked, graph=graph), graph=graph)


def _here(name: str, given: Mapping[str, Any], view: str) -> str:
    """Return the address of what is shown; defaults are left out."""
    kept = {"view": None if view == "table" else view}
    if name == FREE:
        parameters = str(given.get("parameters") or "").strip()
        return address("/console", cypher=given.get("cypher"),
                       parameters=None if parameters == _NONE else parameters, **kept)  # fmt: skip
    defaults = {one.name: written(one.default) for one in query(name).parameters}
    asked = {key: str(value) for key, value in given.items()
             if value not in (None, "") and str(value) != defaults.get(key)}  # fmt: skip
    return address("/console", query=name, **asked, **kept)


def written(value: Any) -> str:
    """Return a parameter's value as a form and an address have it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def _layout(asked: Query) -> Any:
    name = asked.get("query") or FREE
    if name != FREE:
        query(name)  # raises where there is none
    limits = f"Statements only read, and end after {SECONDS} seconds, {ROWS:,} rows or {MIB} MiB."
    runs = name if asked.get("query") or asked.get("cypher") else None
    return [
        html.H1("Console"),
        html.P(limits, className="dim"),
        dcc.Store(id="console-first", data=dict(asked)),
        dcc.Store(id="console-asked", data=runs),
        dcc.Store(id="console-here"),
        dcc.Store(id="console-ran"),
        html.Div(
            [
                html.Label("Query", htmlFor="console-query"),
                dcc.Dropdown(_queries(), name, id="console-query", clearable=False),
                html.Div(_form(name, asked), id="console-form"),
                html.Div(
                    [
                        html.Button(
                            "Run",
                            id="console-run",
                            type="button",
                            className="go",
                            **{"aria-keyshortcuts": "Control+Enter"},
                        ),
                        html.Span("or Ctrl+Enter", className="dim small"),
                        html.Fieldset(
                            [
                                html.Legend("Show the answer as"),
                                dcc.RadioItems(
                                    _VIEWS, _view(asked), id="console-view", className="choices"
                                ),
                            ]
                        ),
                    ],
                    className="run",
                ),
            ],
            className="panel console",
        ),
        panel("Answer", dcc.Loading(html.Div(id="console-result", className="answer"))),
    ]


def _view(asked: Query) -> str:
    return "graph" if asked.get("view") == "graph" else "table"


def _queries() -> list[dict[str, str]]:
    """Return the choices: free Cypher, and the catalogue by group."""
    specs = sorted(catalogue().values(), key=lambda one: (GROUPS.index(one.group), one.name))
    free = {"label": "Cypher of my own", "value": FREE, "search": "cypher"}
    return [free, *(
        {"label": f"{one.group}: {one.title} ({one.name})", "value": one.name,
         "search": f"{one.name} {one.title} {one.group} {one.purpose}"}
        for one in specs)]  # fmt: skip


def _form(name: str, first: Query) -> list[Any]:
    """Return the controls of a query, or of free Cypher."""
    ready = dcc.Store(id={"type": "console-ready", "query": name}, data=name)
    if name == FREE:
        return [ready, *_free(first)]
    spec = query(name)
    return [
        ready,
        html.P(spec.purpose),
        html.Div([_control(one, first.get(one.name)) for one in spec.parameters],
                 className="controls"),
        html.Details(
            [html.Summary("Columns, and how to run it elsewhere"),
             html.Dl([part for one in spec.columns
                      for part in (html.Dt(one.name), html.Dd(one.meaning))], className="facts"),
             html.Pre(html.Code(spec.example))],
            className="small"),
    ]  # fmt: skip


def _free(first: Query) -> list[Any]:
    def area(name: str, label: str, rows: int, value: str) -> Any:
        where = {"type": "console-value", "name": name}
        return html.Div(
            [
                html.Label(label, htmlFor=_html_id(where)),
                dcc.Textarea(id=where, value=value, rows=rows, maxLength=_LONGEST,
                             spellCheck="false"),
            ]
        )  # fmt: skip

    return [
        area("cypher", "Cypher", 8, first.get("cypher") or _FIRST),
        area("parameters", "Parameters, as JSON", 2, first.get("parameters") or _NONE),
    ]


def _control(parameter: Parameter, given: str | None) -> Any:
    """Return the control of a parameter, with what it means."""
    where = {"type": "console-value", "name": parameter.name}
    value = given if given is not None else written(parameter.default)
    limits = {"min": parameter.minimum, "max": parameter.maximum}
    choices = ("true", "false") if parameter.type == "boolean" else parameter.choices
    control: Any
    if choices:
        control = dcc.Dropdown(list(choices), value or None, id=where, searchable=False,
                               clearable=parameter.nullable)  # fmt: skip
    elif parameter.type in ("integer", "float"):
        step = 1 if parameter.type == "integer" else "any"
        control = dcc.Input(id=where, value=value or None, type="number", step=step, **limits)
    elif parameter.type == "features":
        control = dcc.Textarea(id=where, value=value, rows=3, placeholder="one a line")
    else:
        control = dcc.Input(id=where, value=value, type="text")
    needed = " (needed)" if parameter.required else ""
    return html.Div(
        [
            html.Label(f"{parameter.name}{needed}", htmlFor=_html_id(where)),
            control,
            html.Div(parameter.meaning, className="dim small"),
        ],
        className="control",
    )


def _html_id(where: Mapping[str, str]) -> str:
    """Return the id that Dash gives an element with an id of several parts."""
    return json.dumps(dict(where), sort_keys=True, separators=(",", ":"))
