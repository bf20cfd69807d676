"""`atlas backbone`: which edges a backbone of a run keeps."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas.cli.output import print_json, print_table

if TYPE_CHECKING:
    from atlas.analysis.network import Network


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(backbone)


def backbone(
    run: Annotated[
        str | None,
        typer.Argument(
            help="Key of the run, or a build's folder; may be left out if there is one."
        ),
    ] = None,
    *,
    method: Annotated[
        str,
        typer.Option(help="all, threshold, mutual-knn, union-knn, disparity or forest."),
    ] = "mutual-knn",
    k: Annotated[int, typer.Option(help="knn: strongest neighbours of a feature.", min=1)] = 10,
    min_weight: Annotated[float, typer.Option(help="threshold, forest: least weight.")] = 0.1,
    alpha: Annotated[float, typer.Option(help="disparity: level.")] = 0.05,
    ends: Annotated[str, typer.Option(help="disparity: either or both.")] = "either",
    keep_single: Annotated[
        bool, typer.Option("--keep-single", help="disparity: keep edges of features of degree 1.")
    ] = False,
    weight: Annotated[
        str, typer.Option(help="What weighs an edge: phi, npmi, jaccard or phi_share.")
    ] = "phi",
    seed: Annotated[int, typer.Option(help="Random seed of Leiden.", min=0)] = 42,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare the usual backbones side by side.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a backbone keeps of a run's token edges; nothing is written.

    A build's folder is read without a database.
    """
    from atlas.analysis.backbones import Options, choose, compare_backbones
    from atlas.progress import reporter

    options = Options(k=k, min_weight=min_weight, alpha=alpha, ends=ends, keep_single=keep_single)
    chosen = None if compare else [choose(method, options)]
    network = _network(run, weight)
    rows = compare_backbones(network, chosen, seed=seed, reporter=reporter(quiet=as_json))
    values = [dataclasses.asdict(row) for row in rows]
    if as_json:
        print_json(values)
    elif compare:
        print_table(values)
    else:
        print_table([{"name": name, "value": value} for name, value in values[0].items()])


def _network(run: str | None, weight: str) -> Network:
    from atlas.analysis.backbones import network_of_build

    if run is not None and Path(run).is_dir():
        return network_of_build(run, weight=weight)
    from atlas.analysis.backbones import network_of_run
    from atlas.api import Atlas
    from queries.resolve import only_run

    with Atlas.connect() as atlas:
        key = run if run is not None else only_run(atlas.reader)
        return network_of_run(atlas.reader, key, weight=weight)
