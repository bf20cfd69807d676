"""`atlas build`, `atlas train-sae` and `atlas demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atlas.cli.output import print_json, print_table
from atlas.progress import reporter

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command()(build)
    app.command("train-sae")(train_sae)
    app.command()(demo)


def build(
    recipe: Annotated[str, typer.Argument(help="A TOML recipe, or a shipped one by name (demo).")],
    load: Annotated[bool, typer.Option(help="Load into Neo4j and analyse.")] = True,
    ray: Annotated[str | None, typer.Option(help="Count on Ray: an address, or local.")] = None,
    check: Annotated[
        bool, typer.Option(help="Refuse beforehand what will not fit; see atlas plan.")
    ] = True,
    as_json: JsonFlag = False,
) -> None:
    """Build an atlas from a recipe: tables, graph, centrality and communities.

    The same command resumes after an interruption and does nothing where all is done.
    """
    from atlas.build import build_atlas

    summary = build_atlas(recipe, load=load, ray=ray, check=check, reporter=reporter())
    if as_json:
        print_json(summary)
    else:
        print_table([{"what": key, "value": value} for key, value in summary.items()])


def train_sae(
    recipe: Annotated[str, typer.Argument(help="A TOML training recipe.")],
    out: Annotated[Path, typer.Option(help="Folder for activations, checkpoints and SAEs.")],
    as_json: JsonFlag = False,
) -> None:
    """Harvest activations once and train SAEs on them; a rerun resumes."""
    from ingest.train_recipe import run_training

    figures = run_training(recipe, out, reporter=reporter())
    if as_json:
        print_json(figures)
    else:
        print_table(figures)


def demo(
    as_json: JsonFlag = False,
    open_hint: Annotated[bool, typer.Option(help="Say how to open Neo4j Browser.")] = True,
) -> None:
    """Build the demo atlas in the managed database and show it."""
    from atlas.demo import build_demo, render

    shown = build_demo(reporter=reporter())
    if as_json:
        print_json(shown)
    else:
        render(shown, browser=open_hint)
