"""`atlas bloom`: files for Neo4j Bloom and Neo4j Browser."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from atlas.cli.output import print_json, print_table

app = typer.Typer(no_args_is_help=True, help="Files for Neo4j Bloom and Neo4j Browser.")


@app.callback()
def _group() -> None:
    """Files for Neo4j Bloom and Neo4j Browser."""


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="Folder to write to; made if need be.")],
    *,
    name: Annotated[str, typer.Option(help="Name of the perspective.")] = "Feature atlas",
    created: Annotated[
        str | None,
        typer.Option(help="When it was made, ISO 8601; by default when the newest run was."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a perspective, a style, saved queries and a Cypher file from graph and catalogue."""
    from atlas.api import Atlas

    with Atlas.connect() as atlas:
        done = atlas.export_bloom(out, name=name, created=created, force=force)
    if as_json:
        print_json(dataclasses.asdict(done))
        return
    print_table([{"file": file, "where it goes": use} for file, use in done.files.items()])
    counts = ("categories", "relationship_types", "phrases", "actions", "queries")
    print_table([{"folder": done.folder, **{count: getattr(done, count) for count in counts}}])
