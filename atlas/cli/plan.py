"""`atlas plan`: what a build will cost, before it runs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas.cli.output import print_json, print_table
from atlas.errors import AtlasError, UsageError
from atlas.progress import reporter

if TYPE_CHECKING:
    from atlas.recipe import BuildRecipe
    from ingest.plan import Plan

_MINUTE, _HOUR = 60, 3600


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(plan)


def plan(
    recipe: Annotated[str, typer.Argument(help="A TOML recipe, or a shipped one by name (demo).")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Predict what a build will cost: time, memory, disk, tested pairs and edges.

    A sample of the text is run and timed. Exits with 1 if the build will not fit this machine.
    """
    from atlas.build import read_recipe
    from ingest.inputs import BuildInputs
    from ingest.plan import check_fits, make_plan

    options = read_recipe(recipe)
    _refuse_brought(options)
    # The managed database lies in the atlas's folder; another one lies elsewhere.
    graph = not os.environ.get("NEO4J_URI")
    made = make_plan(BuildInputs(options, reporter()), graph=graph)
    refusal = None
    try:
        check_fits(made)
    except AtlasError as error:
        refusal = str(error)
    if as_json:
        print_json({"fits": refusal is None, "refusal": refusal, **made.to_json()})
    else:
        _print(made)
        sys.stdout.write(f"{refusal or 'It fits.'}\n")
    if refusal is not None:
        raise typer.Exit(1)


def _refuse_brought(recipe: BuildRecipe) -> None:
    if recipe.brought:
        raise UsageError(
            f"Recipe {recipe.name} brings its codes: there is no forward pass to plan.",
            hint="Run `atlas build`; what its shards take is checked before the first is made.",
        )


def _print(made: Plan) -> None:
    print_table(_costs(made), title=f"Plan of {made.name}")
    if made.measured is not None:
        rows = [
            {"stage": name, "time": _time(seconds)}
            for name, seconds in made.measured.seconds.items()
        ]
        print_table(rows, title="Time by stage")


def _costs(made: Plan) -> list[dict[str, Any]]:
    from ingest.plan.fits import gib
    from ingest.plan.needs import peak

    about = "" if made.tokenised == made.documents else "about "
    tokens = f"{about}{made.tokens:,} tokens in {made.documents:,} documents"
    l0 = ", ".join(f"{name} {mean:.1f}" for name, mean in made.l0.items())
    rows = [
        ("text", tokens, f"{made.tokenised:,} documents tokenised"),
        ("positions", f"{made.positions:,}", f"{made.masked:.1%} of what is read is masked"),
        ("firings a position", l0, ""),
        ("tested pairs", f"{made.tested:,}", f"{made.joint:,} joint firings"),
        *(
            (f"{kind} edges", f"{n.least:,} to {n.most:,}", f"a range; expected {n.expected:,}")
            for kind, n in made.edges().items()
        ),
        *_time_rows(made),
        *(
            (what, gib(peak(phases).bytes), f"{gib(there or 0)} there; while {peak(phases).name}")
            for what, phases, there in (
                ("memory", made.memory, made.machine.memory),
                ("CUDA memory", made.device, made.machine.device),
                ("disk", made.disk, made.machine.disk),
            )
            if phases
        ),
        (
            "graph in Neo4j",
            gib(made.graph.store),
            f"{made.graph.nodes:,} nodes, {made.graph.relationships:,} relationships",
        ),
    ]
    return [dict(zip(("what", "predicted", "note"), row, strict=True)) for row in rows]


def _time_rows(made: Plan) -> list[tuple[str, str, str]]:
    measured = made.measured
    if measured is None:
        return []
    sample = "all of it" if measured.whole else f"{measured.documents:,} documents"
    speed = f"{measured.tokens_per_second:,.0f} tokens/s on {sample}"
    encode = ", ".join(f"{name} {v:,.0f}/s" for name, v in measured.positions_per_second.items())
    return [
        ("time", _time(measured.total), "without loading into Neo4j"),
        ("forward pass", speed, f"encoding: {encode}"),
    ]


def _time(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.1f} min"
    return f"{seconds / _HOUR:.1f} h"
