"""The command `atlas`: thin wrappers, one module a command group.

Results go to stdout (a table, or JSON with ``--json``), progress and errors to stderr. Exit
codes: 0 done, 1 failed, 2 wrong use.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from atlas.cli import analyse as analyse_commands
from atlas.cli import attribute as attribute_commands
from atlas.cli import backbone as backbone_commands
from atlas.cli import bloom as bloom_commands
from atlas.cli import build as build_commands
from atlas.cli import calibrate as calibrate_commands
from atlas.cli import causes as causes_commands
from atlas.cli import concepts as concepts_commands
from atlas.cli import db as db_commands
from atlas.cli import doctor as doctor_commands
from atlas.cli import experiments as experiment_commands
from atlas.cli import export as export_commands
from atlas.cli import imports as import_commands
from atlas.cli import label as label_commands
from atlas.cli import layout as layout_commands
from atlas.cli import mcp as mcp_commands
from atlas.cli import models as models_commands
from atlas.cli import plan as plan_commands
from atlas.cli import query as query_commands
from atlas.cli import query_shell as shell_commands
from atlas.cli import runs as runs_commands
from atlas.cli import serve as serve_commands
from atlas.cli import steer as steer_commands
from atlas.cli import study as study_commands
from atlas.cli import verify as verify_commands
from atlas.errors import AtlasError

#: What typer exits with after Ctrl-C.
INTERRUPTED = 130

app = typer.Typer(
    name="atlas",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A graph atlas of the sparse-autoencoder features of language models.",
)
app.add_typer(bloom_commands.app, name="bloom")
app.add_typer(db_commands.app, name="db")
app.add_typer(models_commands.app, name="models")
app.add_typer(runs_commands.app, name="runs")
analyse_commands.register(app)
attribute_commands.register(app)
backbone_commands.register(app)
build_commands.register(app)
calibrate_commands.register(app)
causes_commands.register(app)
concepts_commands.register(app)
doctor_commands.register(app)
experiment_commands.register(app)
export_commands.register(app)
import_commands.register(app)
label_commands.register(app)
layout_commands.register(app)
mcp_commands.register(app)
plan_commands.register(app)
query_commands.register(app)
shell_commands.register(app)
serve_commands.register(app)
steer_commands.register(app)
study_commands.register(app)
verify_commands.register(app)


@app.callback()
def _options(
    home: Annotated[
        str | None,
        typer.Option(help="Folder of this atlas (database, builds); default: $ATLAS_HOME."),
    ] = None,
) -> None:
    if home:
        os.environ["ATLAS_HOME"] = home


def main() -> None:
    """Run the command line; a user's mistake ends with one line and an exit code."""
    try:
        app()
    except AtlasError as error:
        sys.stderr.write(f"atlas: {error}\n")
        raise SystemExit(error.exit_code) from None
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            sys.stderr.write("atlas: interrupted; the same command resumes.\n")
            raise SystemExit(1) from None
        raise
