"""`atlas verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atlas.cli.output import print_json, print_table
from atlas.progress import reporter


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(verify)


def verify(
    run: Annotated[
        str | None, typer.Argument(help="Key of the run; may be left out if there is one.")
    ] = None,
    build: Annotated[
        Path | None, typer.Option(help="Its build folder; default: HOME/builds/RUN.")
    ] = None,
    repair: Annotated[bool, typer.Option(help="Put right what is found.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare every row of a build with the database; exit code 1 if they differ.

    Found are missing indexes and constraints, a load that was not finished, and rows that are
    missing, changed or too many. With --repair they are put right from the build folder.
    """
    from atlas.api import Atlas

    with Atlas.connect() as atlas:
        found = atlas.verify(run, build=build, repair=repair, reporter=reporter())
    if as_json:
        print_json(found.as_dict())
    else:
        rows = [{"problem": line, "repaired": found.repaired} for line in found.problems]
        print_table(rows or [{"run": found.run, "rows": sum(found.rows.values()), "good": True}])
    if not found.good:
        raise typer.Exit(1)
