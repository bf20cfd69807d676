"""`atlas study`: whole studies from recipes, with reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from atlas.cli import followups as shared
from atlas.cli.output import print_json, print_table
from atlas.errors import AtlasError, DatabaseError
from atlas.progress import reporter

if TYPE_CHECKING:
    from atlas.api.found import FollowUp
    from atlas.progress import Reporter

app = typer.Typer(no_args_is_help=True, help="Whole studies from recipes, with reports.")

Recipe = Annotated[str, typer.Argument(help="A recipe's file, or one of `atlas study list`.")]
Model = Annotated[
    str | None, typer.Option(help="Instead of the recipe's: packaged model, folder or hub name.")
]
Sae = Annotated[
    list[str] | None,
    typer.Option(
        help="Instead of the recipe's: shipped SAE, folder or RELEASE:ID, as NAME=SOURCE."
    ),
]
Builds = Annotated[
    list[Path] | None,
    typer.Option(
        "--build",
        help="Build folder that tells how features fire over a corpus; repeat for more. Default: "
        "the newest with the SAE in the atlas's home.",
    ),
]
Estimate = Annotated[
    bool, typer.Option("--estimate", help="Say how long each step will take, and stop.")
]
Out = Annotated[
    Path | None, typer.Option(help="Folder for the report too; one is kept beside the study.")
]
Load = Annotated[
    bool, typer.Option("--load/--no-load", help="Load what is found into the graph, if one runs.")
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...")]

SHOWN = ("name", "verdict", "estimate", "low", "high", "p", "q", "n")
"""Columns of findings that a terminal has room for."""


def register(parent: typer.Typer) -> None:
    """Add the commands of this module to `parent`."""
    parent.add_typer(app, name="study")


@app.command("list")
def list_studies(*, as_json: shared.Json = False) -> None:
    """List the recipes that come with the atlas."""
    from queries.studies.recipe import read_study, shipped_studies

    rows = []
    for name, path in shipped_studies().items():
        found = read_study(path)
        rows.append({"name": name, "kind": found.kind, "model": found.model, "about": found.about})
    if as_json:
        print_json(rows)
    else:
        print_table(rows)


@app.command()
def network(
    recipe: Recipe,
    *,
    model: Model = None,
    sae: Sae = None,
    build: Builds = None,
    estimate: Estimate = False,
    out: Out = None,
    load: Load = True,
    device: Device = None,
    as_json: shared.Json = False,
) -> None:
    """Which features a task uses together, and whether their network tells what steering does.

    The same command goes on after an interruption.
    """
    _study(
        "network", recipe, model=model, sae=sae, build=build, estimate=estimate, out=out,
        load=load, device=device, as_json=as_json,
    )  # fmt: skip


@app.command()
def concept(
    recipe: Recipe,
    *,
    model: Model = None,
    sae: Sae = None,
    build: Builds = None,
    estimate: Estimate = False,
    out: Out = None,
    load: Load = True,
    device: Device = None,
    as_json: shared.Json = False,
) -> None:
    """Which features tell texts about a concept from others, and whether they are causes.

    The same command goes on after an interruption.
    """
    _study(
        "concept", recipe, model=model, sae=sae, build=build, estimate=estimate, out=out,
        load=load, device=device, as_json=as_json,
    )  # fmt: skip


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a study that was run.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Folder to write into.")] = None,
) -> None:
    """Write the report of a study again; no model is needed."""
    from atlas.api.studies import report as write

    typer.echo(write(folder, out=out))


def _study(
    kind: Literal["network", "concept"],
    recipe: str,
    *,
    model: str | None,
    sae: list[str] | None,
    build: list[Path] | None,
    estimate: bool,
    out: Path | None,
    load: bool,
    device: str | None,
    as_json: bool,
) -> None:
    from atlas.api.studies import plan_study
    from atlas.api.studies import report as write

    told = reporter(quiet=as_json)
    planned = plan_study(
        recipe, model=model, saes=sae or (), builds=build, kind=kind, device=device
    )
    rows = planned.estimate()
    if estimate:
        if as_json:
            print_json(rows)
        else:
            print_table(rows)
        return
    told.note(f"this will take about {sum(row['seconds'] for row in rows) / 60:.0f} minutes")
    found = _run(planned, load=load, told=told)
    page = found.folder / "report" / "index.html" if found.folder else None
    if out is not None and found.folder is not None:
        page = write(found.folder, out=out)
    findings = found.tables["findings"].to_pylist()
    if as_json:
        print_json(
            {"id": found.id, "folder": found.folder, "report": page, "loaded": found.loaded,
             "notes": list(found.notes), "findings": findings}
        )  # fmt: skip
        return
    print_table([{name: _rounded(row[name]) for name in SHOWN} for row in findings])
    for note in (*found.notes, f"{found.id}: {page}"):
        typer.echo(note, err=True)


def _run(planned: Any, *, load: bool, told: Reporter) -> FollowUp:
    """Run a study, and load it where a database runs that has its features."""
    from atlas.api import Atlas
    from atlas.api.workbench import Workbench
    from ingest.load_evidence import load_evidence

    bench = Workbench(planned.lab.source, [sae.source for sae in planned.lab.saes.values()])
    found = bench.study(planned, reporter=told)
    if not load or found.folder is None:
        return found
    try:
        with Atlas.connect() as atlas:
            load_evidence(
                atlas.driver, found.folder, database=atlas.database, force=True, reporter=told
            )
    except AtlasError as error:
        if not isinstance(error, DatabaseError):
            raise
        told.note(f"not loaded into a graph: {error.message} Later: `atlas load {found.folder}`")
        return found
    return type(found)(found.evidence, found.folder, loaded=True)


def _rounded(value: Any) -> Any:
    return float(f"{value:.3g}") if isinstance(value, float) else value
