"""`atlas concepts`: concepts of ontologies, for any corpus."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from atlas.cli.output import print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    group = typer.Typer(no_args_is_help=True, help="What features are about, by an ontology.")
    group.callback()(lambda: None)  # else a group of one command has no name for it
    group.command("add")(add)
    app.add_typer(group, name="concepts")


def add(
    run: Annotated[
        str | None, typer.Argument(help="Key of the run; may be left out if there is one.")
    ] = None,
    *,
    ontology: Annotated[
        list[str], typer.Option(help="hpo or icd10; repeat for more. Those added before stay.")
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            help="The build's recipe, a file or a shipped one by name: its text is read again. "
            "Not needed where codes were brought."
        ),
    ] = None,
    build: Annotated[
        Path | None, typer.Option(help="The build folder; default: HOME/builds/RUN.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find an ontology's terms in the text of a run, and test which features are about them."""
    from atlas.api import Atlas
    from atlas.build import read_recipe
    from atlas.progress import reporter

    with Atlas.connect() as atlas:
        done = atlas.add_concepts(
            ontology,
            run=run,
            recipe=None if recipe is None else read_recipe(recipe),
            build=build,
            reporter=reporter(quiet=as_json),
        )
    values = dataclasses.asdict(done)
    if as_json:
        print_json(values)
        return
    for name in ("tagged", "concepts"):
        values[name] = ", ".join(f"{kind} {number}" for kind, number in values[name].items())
    values["ontologies"] = ", ".join(done.ontologies)
    print_table([{"name": name, "value": value} for name, value in values.items()])
