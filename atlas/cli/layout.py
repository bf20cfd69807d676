"""`atlas layout`: the map of a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from atlas.cli.output import print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(layout)


def layout(
    run: Annotated[
        str | None, typer.Argument(help="Key of the run; may be left out if there is one.")
    ] = None,
    *,
    method: Annotated[
        str,
        typer.Option(
            help="Of the graph: graph-umap, graph-drl, graph-fruchterman-reingold; "
            "of decoder vectors: umap, tsne."
        ),
    ] = "graph-umap",
    name: Annotated[str, typer.Option(help="Name of the map.")] = "default",
    seed: Annotated[int, typer.Option(help="Random seed.", min=0)] = 42,
    neighbours: Annotated[int, typer.Option(help="umap: nearest vectors of a feature.")] = 15,
    min_dist: Annotated[float, typer.Option(help="umap, graph-umap: least distance.")] = 0.05,
    perplexity: Annotated[float, typer.Option(help="tsne: about how many neighbours.")] = 30.0,
    backbone: Annotated[
        str,
        typer.Option(help="all, threshold, mutual-knn, union-knn, disparity or forest."),
    ] = "union-knn",
    k: Annotated[int, typer.Option(help="knn: strongest neighbours of a feature.", min=1)] = 3,
    min_weight: Annotated[float, typer.Option(help="threshold, forest: least weight.")] = 0.1,
    alpha: Annotated[float, typer.Option(help="disparity: level.")] = 0.05,
    weight: Annotated[
        str, typer.Option(help="What weighs an edge: phi, npmi, jaccard or phi_share.")
    ] = "phi",
    weights: Annotated[
        Path | None,
        typer.Option(help="umap, tsne: weights of the SAE (safetensors); default: the graph's."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compute the map of a run and write its coordinates into the graph."""
    from atlas.api import Atlas
    from atlas.progress import reporter

    with Atlas.connect() as atlas:
        summary = atlas.layout(
            run,
            method=method,
            name=name,
            seed=seed,
            neighbours=neighbours,
            min_dist=min_dist,
            perplexity=perplexity,
            backbone=backbone,
            k=k,
            min_weight=min_weight,
            alpha=alpha,
            weight=weight,
            weights=weights,
            reporter=reporter(quiet=as_json),
        )
    values = dataclasses.asdict(summary)
    if as_json:
        print_json(values)
    else:
        print_table([{"name": key, "value": value} for key, value in values.items()])
