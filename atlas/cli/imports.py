"""`atlas import`: what other tools found about the features of a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from atlas.cli.output import print_json, print_table
from atlas.errors import UsageError

_RUN = Annotated[str | None, typer.Option(help="Key of the run; may be left out if there is one.")]
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    group = typer.Typer(no_args_is_help=True, help="Join what other tools found to the features.")
    group.command("neuronpedia")(neuronpedia)
    group.command("circuit")(circuit)
    app.add_typer(group, name="import")


def neuronpedia(
    path: Annotated[Path, typer.Argument(help="A .jsonl or .jsonl.gz file, or a folder of them.")],
    run: _RUN = None,
    sae: Annotated[
        list[str] | None,
        typer.Option(help="MODEL/SOURCE=KEY: which SAE a source is; repeat for more."),
    ] = None,
    as_labels: Annotated[
        bool, typer.Option("--as-labels", help="Make explanations the features' labels.")
    ] = False,
    as_json: _JSON = False,
) -> None:
    """Import explanations that Neuronpedia exports."""
    from atlas.api import Atlas

    with Atlas.connect() as atlas:
        done = atlas.import_neuronpedia(
            path, run=run, saes=dict(pair(text) for text in sae or ()), as_labels=as_labels
        )
    if as_json:
        print_json([dataclasses.asdict(one) for one in done])
    else:
        print_table([_row(dataclasses.asdict(one)) for one in done])


def circuit(
    path: Annotated[Path, typer.Argument(help="A graph file of circuit-tracer (.json, .json.gz).")],
    run: _RUN = None,
    sae: Annotated[
        list[str] | None,
        typer.Option(help="LAYER=KEY: the SAE that a layer's features are of; repeat for more."),
    ] = None,
    by_hook: Annotated[
        bool, typer.Option("--by-hook", help="Take for other layers the SAE at that block.")
    ] = False,
    as_json: _JSON = False,
) -> None:
    """Import an attribution graph."""
    from atlas.api import Atlas

    layers: dict[int, str] = {}
    for layer, key in (pair(text) for text in sae or ()):
        if not layer.isdecimal():
            raise UsageError(f"{layer!r} is no layer.", hint="Write --sae 12=KEY.")
        layers[int(layer)] = key
    with Atlas.connect() as atlas:
        done = dataclasses.asdict(atlas.import_circuit(path, run=run, saes=layers, by_hook=by_hook))
    if as_json:
        print_json(done)
    else:
        print_table([{"name": name, "value": value} for name, value in _row(done).items()])


def pair(text: str) -> tuple[str, str]:
    """Split ``NAME=KEY``; raises `UsageError` where it is no such text."""
    name, equals, key = text.partition("=")
    if not (name and equals and key):
        raise UsageError(f"{text!r} is not of the form NAME=KEY.")
    return name, key


def _row(values: dict[str, Any]) -> dict[str, Any]:
    """Return values with mappings as text and without the hash."""
    return {
        name: ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        for name, value in values.items()
        if name != "sha256"
    }
