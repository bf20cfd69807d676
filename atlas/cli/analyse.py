"""`atlas analyse` and `atlas algorithm`: graph algorithms on a loaded run."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas.cli.output import print_json, print_table
from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.analysis.outputs import AlgorithmResult


class Method(StrEnum):
    """What finds communities."""

    consensus = "consensus"
    leiden = "leiden"


_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command()(analyse)
    app.command()(algorithm)


def analyse(
    run: Annotated[
        str | None, typer.Argument(help="Key of the run; may be left out if there is one.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the communities.", min=0)] = 42,
    top_k: Annotated[
        int, typer.Option(help="Keep edges among the strongest of both ends.", min=1)
    ] = 10,
    communities: Annotated[
        Method, typer.Option(help="What many runs agree on, or one run of Leiden.")
    ] = Method.consensus,
    build: Annotated[
        Path | None, typer.Option(help="The run's build folder; default: HOME/builds/RUN.")
    ] = None,
    as_json: _JSON = False,
) -> None:
    """Compute centrality and communities of a run and write them into the graph."""
    from atlas.api import Atlas
    from atlas.progress import reporter

    with Atlas.connect() as atlas:
        summary = atlas.analyse(
            run,
            seed=seed,
            top_k=top_k,
            communities=communities.value,
            build=build,
            reporter=reporter(quiet=as_json),
        )
    values = dataclasses.asdict(summary)
    if as_json:
        print_json(values)
    else:
        print_table([{"name": name, "value": value} for name, value in values.items()])


def algorithm(
    name: Annotated[str | None, typer.Argument(help="Name; see --list.")] = None,
    *,
    run: Annotated[
        str | None, typer.Option(help="Key of the run; may be left out if there is one.")
    ] = None,
    relationship: Annotated[
        str, typer.Option(help="co_occurs, implies, similar_to or feeds.")
    ] = "co_occurs",
    kind: Annotated[
        list[str] | None, typer.Option(help="token (the default) or topic; repeat for both.")
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(help="Keep edges among the strongest of both ends; 0: all.", min=0)
    ] = None,
    min_weight: Annotated[float, typer.Option(help="Keep edges above this weight.")] = 0.0,
    weight: Annotated[str | None, typer.Option(help="Property that is the weight.")] = None,
    directed: Annotated[
        bool | None, typer.Option("--directed/--undirected", help="Of implies and feeds.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="gds, igraph, networkit, networkx or scipy.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of the algorithm; repeat for more.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed.", min=0)] = 42,
    write: Annotated[bool, typer.Option("--write", help="Write the result.")] = False,
    limit: Annotated[int, typer.Option(help="Rows of the table; JSON has all.", min=1)] = 20,
    listed: Annotated[bool, typer.Option("--list", help="List the algorithms.")] = False,
    as_json: _JSON = False,
) -> None:
    """Run one graph algorithm, on Graph Data Science or another engine."""
    from atlas.api import Atlas
    from atlas.progress import reporter

    if listed or name is None:
        _print_list(as_json=as_json)
        return
    with Atlas.connect() as atlas:
        result = atlas.algorithm(
            name,
            run=run,
            relationship=relationship,
            kinds=kind or (),
            top_k=top_k,
            min_weight=min_weight,
            weight=weight,
            directed=directed,
            engine=engine,
            parameters=_parameters(param or []),
            seed=seed,
            write=write,
            reporter=reporter(quiet=as_json),
        )
    if as_json:
        print_json(_as_json(result))
    else:
        _print_result(result, limit)


def _parameters(texts: Sequence[str]) -> dict[str, str]:
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{text!r} is no parameter.", hint="Write --param NAME=VALUE.")
        values[name.strip().replace("-", "_")] = value.strip()
    return values


def _print_list(*, as_json: bool) -> None:
    from atlas.analysis.algorithms import ALGORITHMS

    if as_json:
        print_json([dataclasses.asdict(spec) for spec in ALGORITHMS.values()])
        return
    rows = [
        {
            "algorithm": spec.name,
            "answers": spec.answers,
            "graph": spec.direction,
            "engines": " ".join(spec.engines),
        }
        for spec in ALGORITHMS.values()
    ]
    print_table(rows)


def _as_json(result: AlgorithmResult) -> dict[str, Any]:
    from atlas.analysis.tables import rows

    described = {
        field.name: getattr(result, field.name)
        for field in dataclasses.fields(result)
        if field.name not in ("keys", "output")
    }
    return {**described, "rows": rows(result)}


def _print_result(result: AlgorithmResult, limit: int) -> None:
    from atlas.analysis.tables import rows

    best = rows(result)[:limit]
    exactness = "exact" if result.exact else "estimated or heuristic"
    print_table(best, title=f"{result.algorithm} on {result.engine}, {exactness}")
