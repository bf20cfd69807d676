"""``atlas db``: the managed Neo4j server of one atlas."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from atlas.cli.output import print_json, print_table
from atlas.errors import UsageError
from atlas.progress import reporter

if TYPE_CHECKING:
    from atlas.graph.status import ServerStatus

app = typer.Typer(no_args_is_help=True, help="Start, stop and look into the managed database.")

Home = Annotated[
    str | None, typer.Option("--home", help="Folder of the atlas; default: $ATLAS_HOME.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen at; 0 chooses a free one.")
]


@app.command()
def start(
    home: Home = None,
    memory: Annotated[
        str | None,
        typer.Option(help="Memory for the server, such as 1g (the least) or 8g; at first 2g."),
    ] = None,
    bolt_port: Port = None,
    http_port: Port = None,
    as_json: Json = False,
) -> None:
    """Start the database, downloading it the first time, and wait until it answers."""
    from atlas.graph.server import ManagedServer

    status = ManagedServer(home).start(
        memory=memory, bolt_port=bolt_port, http_port=http_port, reporter=reporter(quiet=as_json)
    )
    _print_status(status, as_json=as_json)


@app.command()
def stop(home: Home = None, as_json: Json = False) -> None:
    """Stop the database; its data stays."""
    from atlas.graph.server import ManagedServer

    was_running = ManagedServer(home).stop(reporter=reporter(quiet=as_json))
    if as_json:
        print_json({"stopped": was_running})
    else:
        _say("The database is stopped." if was_running else "The database was not running.")


@app.command()
def status(home: Home = None, as_json: Json = False) -> None:
    """Say whether the database runs, where it listens, and which versions it is."""
    from atlas.graph.server import ManagedServer

    _print_status(ManagedServer(home).status(), as_json=as_json)


@app.command()
def logs(
    home: Home = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many lines.")] = 50,
    debug: Annotated[bool, typer.Option(help="The detailed log instead.")] = False,
    as_json: Json = False,
) -> None:
    """Print the last lines of the database's log."""
    from atlas.graph.server import ManagedServer

    server = ManagedServer(home)
    found = server.log_lines(lines, debug=debug)
    if as_json:
        folder = server.folder
        print_json({"log": str(folder.debug_log if debug else folder.log), "lines": found})
    else:
        _say("\n".join(found) if found else "There is no log yet.")


@app.command()
def reset(
    home: Home = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete all data of the database. Builds, settings and the password stay."""
    from atlas.graph.server import ManagedServer

    server = ManagedServer(home)
    if not yes:
        _confirm(f"Delete all data of the database in {server.folder.root}?")
    had_data = server.reset(reporter=reporter(quiet=as_json))
    if as_json:
        print_json({"deleted": had_data, "state": server.status().state})
    else:
        _say("The data is deleted." if had_data else "There was no data.")


@app.command()
def shell(
    home: Home = None,
    command: Annotated[
        str | None, typer.Option("--command", "-c", help="Run this Cypher and end.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run Cypher: statements that end with a semicolon, typed in or piped in.

    With --json each statement prints one JSON array of rows. Without NEO4J_URI it is the managed
    database that runs them.
    """
    from atlas.cli.shell import Shell
    from atlas.graph.connection import connect, resolve_connection

    settings = resolve_connection(home=home)
    with connect(settings) as driver:
        session = Shell(driver, settings.database, as_json=as_json)
        if command is not None:
            session.run_text(command)
        elif sys.stdin.isatty():
            _say(
                f"{settings.uri}, database {settings.database}. End a statement with ; :help helps"
            )
            session.interact()
        else:
            session.run_text(sys.stdin.read())


def _print_status(status: ServerStatus, *, as_json: bool) -> None:
    if as_json:
        print_json(status.as_dict())
        return
    shown = {
        "state": status.state,
        "problem": status.problem,
        "Bolt": status.bolt,
        "Browser": status.browser,
        "user": status.username,
        "password": f"in the file {status.password_file}" if status.password_file else None,
        "Neo4j": status.neo4j,
        "GDS": status.gds,
        "memory": status.memory,
        "process": status.pid,
        "in use (MiB)": status.resident_mib,
        "folder": status.home,
        "log": status.log,
    }
    print_table([{"": key, "database": value} for key, value in shown.items() if value is not None])


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError("Nobody can be asked here.", hint="Give --yes to delete the data.")
    if not typer.confirm(question):
        raise typer.Exit(1)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
