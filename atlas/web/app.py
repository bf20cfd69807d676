"""The explorer's server: pages, their frame, and the guard before them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from dash import Dash, Input, Output, html

from atlas.errors import AtlasError, UsageError
from atlas.graph.budget import Budget
from atlas.web.frame import frame
from atlas.web.parts import error, link
from atlas.web.security import Guard, policy
from atlas.web.settings import MAX_REQUEST, WebSettings
from atlas.web.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atlas.api import Atlas
    from atlas.web.page import Page

PAGES = ("map", "search", "feature", "graph", "edge", "communities", "lab", "console", "runs")
"""Packages of `atlas.web.pages`, in the order of the navigation."""
ASSETS = Path(__file__).parent / "assets"
BUDGET = Budget(seconds=60)
"""What a query of a page may cost where `serve` is asked from a shell."""
#: Seconds after which a connection that nobody uses is closed.
_IDLE_SECONDS = 30


def create_app(atlas: Atlas, settings: WebSettings | None = None) -> Dash:
    """Make the explorer of an atlas.

    Parameters
    ----------
    atlas
        An open atlas.
    settings
        Where it is served and who may enter; by default this machine alone.

    Returns
    -------
    dash.Dash
        Its ``server`` is a WSGI application, which `serve` runs.
    """
    chosen = settings or WebSettings()
    store = Store(atlas)
    app = Dash(
        "atlas.web",
        assets_folder=str(ASSETS),
        serve_locally=True,
        suppress_callback_exceptions=True,
        title="SAE feature atlas",
        update_title="",
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    app.index_string = app.index_string.replace("<html>", '<html lang="en">')
    pages: dict[str, Page] = {}
    for name in PAGES:
        if name == "lab" and not chosen.lab:
            continue
        module: Any = import_module(f"atlas.web.pages.{name}.view")
        made = module.page(store)
        pages[made.path] = made
        module.callbacks(app, store)
    app.layout = frame(list(pages.values()))
    _route(app, pages)
    Guard(chosen, csp=policy(app.csp_hashes())).attach(app.server)
    return app


def _route(app: Dash, pages: Mapping[str, Page]) -> None:
    @app.callback(
        Output("main", "children"),
        Output("title", "data"),
        Input("address", "pathname"),
        Input("address", "search"),
        Input("again", "data"),
    )  # type: ignore[untyped-decorator]
    def show(pathname: str | None, search: str | None, _again: object) -> tuple[Any, str]:
        page = pages.get((pathname or "/").rstrip("/") or "/")
        if page is None:
            return _missing(pathname or ""), "Not found"
        query = dict(parse_qsl((search or "").lstrip("?")))
        try:
            return page.layout(query), page.title
        except AtlasError as what:
            return html.Div([html.H1(page.title), error(what)]), page.title

    app.clientside_callback(
        "function(title) { document.title = title ? title + ' - SAE feature atlas' "
        ": 'SAE feature atlas'; return window.dash_clientside.no_update; }",
        Output("title", "storage_type"),
        Input("title", "data"),
    )


def _missing(path: str) -> Any:
    return html.Div(
        [html.H1("There is no such page"), html.P(path, className="dim"), link("/", "To the map")]
    )


def serve(atlas: Atlas, settings: WebSettings | None = None, *, threads: int = 8) -> None:
    """Serve the explorer until it is interrupted.

    Parameters
    ----------
    atlas
        An open atlas.
    settings
        Where it is served and who may enter.
    threads
        Requests that are answered at the same time.

    Raises
    ------
    UsageError
        The address cannot be listened on.
    """
    from waitress import create_server

    chosen = settings or WebSettings()
    app = create_app(atlas, chosen)
    try:
        server = create_server(
            app.server, host=chosen.host, port=chosen.port, threads=threads, ident=None,
            # Read before anybody is asked who they are.
            max_request_body_size=MAX_REQUEST, channel_timeout=_IDLE_SECONDS,
        )  # fmt: skip
    except OSError as what:
        raise UsageError(
            f"{chosen.host}:{chosen.port} cannot be listened on: {what.strerror}.",
            hint="Choose another port (--port), or stop what listens there.",
        ) from what
    try:
        server.run()
    finally:
        server.close()
