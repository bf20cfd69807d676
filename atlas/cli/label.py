"""`atlas label`: labels of the features of a run, with scores."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from atlas.cli.output import print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(label)


def label(
    run: Annotated[
        str | None, typer.Argument(help="Key of the run; may be left out if there is one.")
    ] = None,
    *,
    feature: Annotated[
        list[str] | None, typer.Option(help="A feature to label; repeat for more. Default: all.")
    ] = None,
    explanations: Annotated[
        bool, typer.Option(help="Explanations in the graph come first.")
    ] = True,
    litellm: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Ask a language model through litellm, such as ollama/llama3.2. Contexts of the "
            "corpus are sent to whoever serves it.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Ask the model also about what it has labelled.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Label every live feature, and say how much of its activation the label explains."""
    from atlas.api import Atlas
    from atlas.progress import reporter

    with Atlas.connect() as atlas:
        done = atlas.label(
            run,
            features=feature,
            explanations=explanations,
            litellm=litellm,
            again=again,
            reporter=reporter(quiet=as_json),
        )
    values = dataclasses.asdict(done)
    if as_json:
        print_json(values)
        return
    values["sources"] = ", ".join(f"{name} {number}" for name, number in done.sources.items())
    print_table([{"name": name, "value": value} for name, value in values.items()])
