"""``atlas doctor``: what is missing on this machine, and the cure."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from atlas.cli.output import print_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(doctor)


def doctor(
    home: Annotated[
        str | None, typer.Option("--home", help="Folder of the atlas; default: $ATLAS_HOME.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check this machine for all that the atlas needs; exit with 1 if something fails."""
    from atlas.doctor import examine

    checks = examine(home)
    failed = [check for check in checks if check.level == "fail"]
    if as_json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            sys.stdout.write(f"{check.level:<5} {check.name}: {check.found}\n")
            if check.cure:
                sys.stdout.write(f"      -> {check.cure}\n")
    if failed:
        raise typer.Exit(1)
