"""The search: labels by meaning and by words, tokens, contexts, concepts and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import dcc, html

from atlas.errors import AtlasError
from atlas.web.loading import empty, load, place
from atlas.web.page import Page, Query
from atlas.web.pages.search.panels import EVERYWHERE, FEW, GROUPS, MANY, PLACES, WHERE, checked
from atlas.web.parts import error, link

if TYPE_CHECKING:
    from dash import Dash

    from atlas.web.store import Store


def page(store: Store) -> Page:
    """Return the page."""
    del store  # what it shows at once is the question alone
    return Page("/search", "Search", "Search", _layout)


def callbacks(app: Dash, store: Store) -> None:
    """Register what fills the panels."""
    load(app, store, page="search", groups=GROUPS)


def _layout(query: Query) -> Any:
    text, where = query.get("q", "").strip(), query.get("where", "")
    if where not in WHERE and where != "like":
        where = ""
    head = [html.H1("Search"), _form(text, where)]
    if not text:
        return [*head, empty("Type what a label may say, a word of a text, a token, or a key.")]
    try:
        checked(text)
    except AtlasError as what:
        return [*head, error(what)]
    asked = {"q": text, "where": where, "run": query.get("run"), "rows": MANY if where else FEW}
    names = PLACES.get(where) or ([where] if where else list(EVERYWHERE))
    return [
        *head,
        _tabs(text, where),
        dcc.Store(id="search-asked", data=asked),
        html.Div([place("search", name, list(GROUPS[name])) for name in names],
                 className="masonry"),
    ]  # fmt: skip


def _form(text: str, where: str) -> Any:
    return html.Form(
        [
            html.Label("Look for", htmlFor="search-q"),
            dcc.Input(id="search-q", name="q", type="search", value=text),
            dcc.Input(id="search-where", name="where", type="hidden", value=where),
            html.Button("Search", type="submit"),
        ],
        role="search", action="/search", method="get", className="ask",
        **{"aria-label": "Search again"},
    )  # fmt: skip


def _tabs(text: str, where: str) -> Any:
    items = [
        html.Li(
            html.Strong(name, **{"aria-current": "page"}) if value == where
            else link("/search", name, q=text, where=value)
        )
        for value, name in WHERE.items()
    ]  # fmt: skip
    return html.Nav(html.Ul(items), className="tabs", **{"aria-label": "Where to look"})
