"""`atlas mcp`: the atlas for agents, over the Model Context Protocol."""

from __future__ import annotations

import logging
import signal
import sys
from typing import Annotated

import typer

from atlas.cli.output import print_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="mcp")(serve)


def serve(
    uri: Annotated[
        str | None, typer.Option(help="Address of the database; default: $NEO4J_URI, else managed.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Its user; default: $NEO4J_USERNAME.")] = None,
    database: Annotated[
        str | None, typer.Option(help="Name of the database; default: $NEO4J_DATABASE.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Longest that a statement may run, in seconds.")
    ] = 30.0,
    rows: Annotated[int, typer.Option(min=1, help="Most rows of an answer.")] = 200,
    kib: Annotated[int, typer.Option(min=1, help="Most of an answer's rows, in KiB of JSON.")] = 64,
    group: Annotated[
        list[str] | None, typer.Option(help="Offer only the queries of this group; repeatable.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the tools as JSON and end; needs no database.")
    ] = False,
) -> None:
    """Serve the graph to an agent over stdin and stdout (Model Context Protocol), until stdin ends.

    A client starts this command itself. Everything only reads. The password is that of
    $NEO4J_PASSWORD, or of the managed server.
    """
    from atlas.api import Atlas
    from atlas.mcp import Limits
    from atlas.mcp import serve as serve_stdio

    limits = Limits(seconds=timeout, rows=rows, kib=kib)
    if as_json:
        from atlas.mcp.tools import definitions

        print_json(definitions(group or ()))
        return
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="atlas mcp: %(message)s")
    # Nothing is lost by ending at once, and a thread that waits for stdin would not let go.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    def connect() -> Atlas:
        return Atlas.connect(uri, user=user, database=database)

    serve_stdio(connect, limits, groups=group or ())
