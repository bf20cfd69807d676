"""`atlas serve`: the explorer in the browser."""

from __future__ import annotations

import os
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(serve)


def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8050,
    token: Annotated[
        bool, typer.Option("--token", help="Ask for a token, which is printed.")
    ] = False,
    user: Annotated[
        str | None,
        typer.Option(help="Ask for this user and the password in ATLAS_WEB_PASSWORD."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Another host name that it is reached by, such as a proxy's; repeat."),
    ] = None,
    lab: Annotated[
        bool, typer.Option("--lab/--no-lab", help="Whether experiments may be run and kept.")
    ] = True,
) -> None:
    """Serve the explorer: map, features, graph, communities, experiments.

    Other machines can reach it only where a token, or a user and password, is asked for. The token
    can be given in ATLAS_WEB_TOKEN.
    """
    from atlas.api import Atlas
    from atlas.web.app import BUDGET
    from atlas.web.app import serve as run
    from atlas.web.settings import WebSettings, new_token

    given = os.environ.get("ATLAS_WEB_TOKEN")
    settings = WebSettings(
        host=host, port=port, token=given or (new_token() if token else None), user=user,
        password=os.environ.get("ATLAS_WEB_PASSWORD") if user else None, names=tuple(name or ()),
        lab=lab,
    )  # fmt: skip
    shown = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    with Atlas.connect(budget=BUDGET) as atlas:
        typer.echo(f"{shown}{f'?token={settings.token}' if settings.token else ''}")
        run(atlas, settings)
