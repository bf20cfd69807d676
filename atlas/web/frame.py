"""What surrounds every page: navigation, search, theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import dcc, html

from atlas.web.parts import link

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.web.page import Page


def frame(pages: Sequence[Page]) -> Any:
    """Return the layout in which pages are shown, in the element ``main``."""
    named = [page for page in pages if page.name is not None]
    nav = html.Nav(
        html.Ul([html.Li(link(page.path, page.name)) for page in named]),
        **{"aria-label": "Pages"},
    )
    search = html.Form(
        [
            html.Label("Search features, tokens, contexts", htmlFor="q", className="hidden"),
            dcc.Input(id="q", name="q", type="search", placeholder="Search ..."),
        ],
        role="search", action="/search", method="get",
    )  # fmt: skip
    theme = html.Button("Dark or light", id="theme", type="button", **{"aria-pressed": "false"})
    return html.Div(
        [
            dcc.Location(id="address", refresh="callback-nav"),
            dcc.Store(id="title"),
            dcc.Store(id="again"),  # set to show the address once more; see address.js
            html.A("To the content", href="#main", className="skip"),
            html.Header(
                [html.Div(link("/", "SAE feature atlas"), className="brand"), nav, search, theme]
            ),
            html.Main(id="main", tabIndex=-1),
        ],
        id="frame",
    )
