"""`atlas export`: a run's graph, or part of it, for other programs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from atlas.cli.imports import pair
from atlas.cli.output import print_json, print_table

_LIST = list[str] | None


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(export)


def export(
    file_format: Annotated[
        str,
        typer.Argument(metavar="FORMAT", help="graphml, gexf, parquet, csv, pyg or neuronpedia."),
    ],
    path: Annotated[Path, typer.Argument(help="File to write; a folder for parquet and csv.")],
    *,
    run: Annotated[
        str | None, typer.Option(help="Key of the run; may be left out if there is one.")
    ] = None,
    relation: Annotated[
        _LIST, typer.Option(help="Relationship type, or all; repeat for more. [CO_OCCURS]")
    ] = None,
    kind: Annotated[
        _LIST, typer.Option(help="Kind of CO_OCCURS: token, topic, exclusive; repeat for more.")
    ] = None,
    weight: Annotated[
        str | None, typer.Option(help="Property that is the weight; else the relation's own.")
    ] = None,
    min_weight: Annotated[float | None, typer.Option(help="Least weight of an edge.")] = None,
    mutual: Annotated[
        bool, typer.Option("--mutual", help="Only edges among the strongest of both ends.")
    ] = False,
    top_k: Annotated[
        int | None, typer.Option(help="Only edges within this rank of both ends.", min=1)
    ] = None,
    feature: Annotated[
        _LIST, typer.Option(help="Only this feature, by key, index or label; repeat for more.")
    ] = None,
    community: Annotated[
        _LIST, typer.Option(help="Only this community, by key, number or label; repeat for more.")
    ] = None,
    isolated: Annotated[bool, typer.Option(help="Keep features without an edge.")] = True,
    node_property: Annotated[
        _LIST, typer.Option(help="Property of features to keep; repeat for more. [all]")
    ] = None,
    edge_property: Annotated[
        _LIST, typer.Option(help="Property of edges to keep; repeat for more. [all]")
    ] = None,
    x: Annotated[
        _LIST, typer.Option("--x", help="For pyg: property that goes into x; repeat for more.")
    ] = None,
    neuronpedia: Annotated[
        _LIST, typer.Option(help="For neuronpedia: SAE=MODEL/SOURCE; repeat for more.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is at PATH.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a run's graph, or part of it, to a file or folder."""
    from atlas.api import Atlas
    from atlas.progress import reporter

    with Atlas.connect() as atlas:
        done = atlas.export(
            file_format,
            path,
            run=run,
            relations=relation or ["CO_OCCURS"],
            kinds=kind,
            weight=weight,
            min_weight=min_weight,
            mutual=mutual,
            top_k=top_k,
            features=feature or [],
            communities=community or [],
            isolated=isolated,
            node_properties=node_property,
            edge_properties=edge_property,
            x=x,
            neuronpedia=dict(pair(text) for text in neuronpedia or ()),
            force=force,
            reporter=reporter(quiet=as_json),
        )
    values = dataclasses.asdict(done)
    if as_json:
        print_json(values)
    else:
        print_table([{"name": name, "value": value} for name, value in values.items()])
