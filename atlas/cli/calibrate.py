"""`atlas calibrate`: checks of a build's edges on its own codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas.cli.output import print_json, print_table
from atlas.progress import reporter

if TYPE_CHECKING:
    from ingest.calibrate.result import Calibration
    from ingest.calibrate.split import Overlap


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(calibrate)


def calibrate(
    run: Annotated[str, typer.Argument(help="A build's folder, or a run's id.")],
    *,
    sae: Annotated[str | None, typer.Option(help="One SAE of the build; by default all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of shuffles and halves.")] = 0,
    repeats: Annotated[int, typer.Option(help="Shuffles of each sort.")] = 1,
    trades: Annotated[int, typer.Option(help="Trades of the shuffle that keeps L0.")] = 16,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a build's edges: what the floors keep, shuffled codes, halves of the documents.

    Also written to calibration-SAE.json in the build's folder.
    """
    from ingest.calibrate.folder import calibrate_build
    from ingest.calibrate.result import Plan

    plan = Plan(seed=seed, repeats=repeats, trades=trades)
    results = calibrate_build(run, sae=sae, plan=plan, reporter=reporter(quiet=as_json))
    if as_json:
        print_json({name: result.to_json() for name, result in results.items()})
        return
    for result in results.values():
        _print(result)


def _print(result: Calibration) -> None:
    print_table(_sizes(result), title=result.sae)
    print_table([vars(row) for row in result.kept.token], title="Token pairs by floor of NPMI")
    print_table([vars(row) for row in result.kept.topic], title="Topic pairs by floor of r_topic")
    print_table([vars(row) for row in result.kept.exclusive], title="Exclusive pairs by reason")
    print_table(_kinds(result), title="Edges of the run")
    print_table(_false(result), title="False discoveries")
    print_table(_extremes(result), title="Extremes of tested pairs past a floor")
    pairs = result.shuffled[0].pairs_of_one_topic
    print_table(_levels(result), title=f"p within documents, of {pairs} pairs of like topics")
    print_table(_permuted(result), title="Topic correlations of permuted documents")
    print_table(_mixing(result), title="Mixing of the trades")
    if result.split is not None:
        print_table(_split(result), title="Edges of two halves of the documents")


def _sizes(result: Calibration) -> list[dict[str, Any]]:
    values: dict[str, Any] = {
        "documents": result.documents,
        "positions": result.positions,
        "features that fire": result.kept.live,
        "tested pairs": result.kept.tested,
        "near decoder vectors": result.near_pairs,
    }
    if result.split is not None:
        values["tested pairs of each half"] = result.split.tested
        values["tested in both halves"] = result.split.tested_both
    return [{"what": key, "value": value} for key, value in values.items()]


def _kinds(result: Calibration) -> list[dict[str, Any]]:
    from ingest.calibrate.kept import QUANTILES

    rows = []
    for kind in result.kept.kinds:
        row = {name: value for name, value in vars(kind).items() if name != "per_feature"}
        for share, edges in zip(QUANTILES, kind.per_feature, strict=False):
            row[f"{share:.0%}"] = edges
        rows.append(row)
    return rows


def _false(result: Calibration) -> list[dict[str, Any]]:
    return [vars(row) for row in result.false]


def _extremes(result: Calibration) -> list[dict[str, Any]]:
    data = {"codes": "data", "excess left": 1.0, **vars(result.extremes)}
    return [data] + [
        {"codes": f"{run.null} {run.seed}", "excess left": run.excess_left, **vars(run.extremes)}
        for run in result.shuffled
    ]


def _levels(result: Calibration) -> list[dict[str, Any]]:
    rows = []
    for place, level in enumerate(result.levels):
        row: dict[str, Any] = {"level": level.level, "data": level.more}
        row["data, fewer"] = level.fewer
        for run in result.shuffled:
            row[f"{run.null} {run.seed}"] = run.levels[place].more
            row[f"{run.null} {run.seed}, fewer"] = run.levels[place].fewer
        rows.append(row)
    return rows


def _permuted(result: Calibration) -> list[dict[str, Any]]:
    floors = result.kept.topic
    data = {"codes": "data", "largest": result.extremes.r_topic}
    rows = [data | {f">= {row.floor}": row.pairs for row in floors}]
    for run in result.permuted:
        counted = zip(floors, run.floors, strict=True)
        mine = {"codes": f"{run.null} {run.seed}", "largest": run.most}
        rows.append(mine | {f">= {row.floor}": pairs for row, pairs in counted})
    return rows


def _mixing(result: Calibration) -> list[dict[str, Any]]:
    counted = zip(result.mixing.trades, result.mixing.stayed, strict=True)
    return [{"trades": trades, "stayed": share} for trades, share in counted]


def _split(result: Calibration) -> list[dict[str, Any]]:
    def size(x: Overlap) -> tuple[Any, ...]:
        return (x.one, x.two, x.both)

    return [
        {
            "kind": kind.kind,
            "significant: one, two, both": size(kind.significant),
            "kept: one, two, both": size(kind.kept),
            "Jaccard": kind.kept.jaccard,
            "overlap": kind.kept.overlap,
            "Jaccard, tested in both": kind.kept_tested.jaccard,
            "strongest, in both": kind.top.overlap,
            "replicated": kind.replicated,
            "rank r of NPMI": kind.npmi,
            "of phi": kind.phi,
            "of strength": kind.strength,
        }
        for kind in (result.split.kinds if result.split else ())
    ]
