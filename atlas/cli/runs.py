"""`atlas runs`: the runs of a database beside each other."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas.cli.output import print_json, print_table
from atlas.errors import UsageError
from atlas.progress import reporter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queries.compare import RunDiff

app = typer.Typer(no_args_is_help=True, help="List, show, drop and compare the runs of the graph.")

_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_RUN = Annotated[str, typer.Argument(help="Key of the run.")]
_LISTED = 10


@app.command(name="list")
def list_runs(
    edges: Annotated[bool, typer.Option(help="Count the edges, which reads all of them.")] = True,
    as_json: _JSON = False,
) -> None:
    """List the runs, oldest first."""
    from atlas.api import Atlas

    with Atlas.connect() as atlas:
        rows = atlas.runs(edges=edges)
    if as_json:
        print_json(rows)
        return
    left_out = ("name", "model")
    print_table([{k: _brief(v) for k, v in row.items() if k not in left_out} for row in rows])


@app.command()
def show(run: _RUN, as_json: _JSON = False) -> None:
    """Show everything about a run: what it was made from, what it has, what was computed on it."""
    from atlas.api import Atlas

    with Atlas.connect() as atlas:
        row = atlas.run(run)
    if as_json:
        print_json(row)
    else:
        print_table([{"": name, "run": _brief(value)} for name, value in row.items()])


@app.command()
def drop(
    run: _RUN,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: _JSON = False,
) -> None:
    """Remove a run and all that no other run has; stopped, it goes on where it was."""
    from atlas.api import Atlas

    with Atlas.connect() as atlas:
        if not yes:
            row = next((row for row in atlas.runs(edges=False) if row["key"] == run), None)
            if row:  # else dropping says that there is none
                _confirm(f"Drop {run} ({row['features']} features) from the graph?")
        summary = atlas.drop_run(run, reporter=reporter(quiet=as_json))
    values = dataclasses.asdict(summary)
    if as_json:
        print_json(values)
        return
    print_table([{"name": name, "value": value} for name, value in values.items()])
    if summary.stale:
        sys.stdout.write(
            f"{summary.stale} features of other runs still have the firing rates and labels of"
            f" {run}; `atlas load BUILD --force` of such a run gives them its own.\n"
        )


@app.command()
def diff(
    a: Annotated[str, typer.Argument(help="Key of the first run.")],
    b: Annotated[str, typer.Argument(help="Key of the second run.")],
    by: Annotated[
        str, typer.Option(help="Match features by: auto, key, decoder or tokens.")
    ] = "auto",
    floor: Annotated[
        float | None, typer.Option(help="Smallest cosine of a pair; default 0.7, tokens 0.5.")
    ] = None,
    partition: Annotated[
        str | None, typer.Option(help="Communities to compare; default: those there are.")
    ] = None,
    top: Annotated[int, typer.Option(help="Most changes of each sort.", min=0)] = 20,
    as_json: _JSON = False,
) -> None:
    """Compare two runs: features, edges, firing rates and communities."""
    from atlas.api import Atlas

    with Atlas.connect() as atlas:
        found = atlas.diff_runs(
            a,
            b,
            by=by,
            floor=floor,
            partition=partition,
            top=top,
            reporter=reporter(quiet=as_json),
        )
    if as_json:
        print_json(found.to_json())
    else:
        _print_diff(found)


def _print_diff(found: RunDiff) -> None:
    print_table(
        [
            {
                "SAEs of the first run": "\n".join(group.saes_a),
                "of the second": "\n".join(group.saes_b),
                "by": group.by,
                "matched": group.matched,
                "lost": group.features_a - group.matched,
                "gained": group.features_b - group.matched,
                "mean score": group.mean_score,
            }
            for group in found.matching
        ],
        title=f"Features: {found.a} and {found.b}",
    )
    for title, alone in (("Lost features", found.lost), ("Gained features", found.gained)):
        if alone:
            rows = [dataclasses.asdict(ref) for ref in alone[:_LISTED]]
            print_table(rows, title=_of(title, len(rows), len(alone)))
    print_table([dataclasses.asdict(kind) for kind in found.edges], title="Edges between matched")
    _print_changes(found)
    rates = {k: v for k, v in dataclasses.asdict(found.rates).items() if k != "largest"}
    print_table([rates], title="Firing rates")
    if found.rates.largest:
        rows = [
            {"a": pair.a, "label": pair.label_a, "rate_a": pair.rate_a, "rate_b": pair.rate_b}
            for pair in found.rates.largest[:_LISTED]
        ]
        print_table(rows, title=_of("Largest changes of firing rates", len(rows), len(rows)))
    if found.communities:
        print_table([dataclasses.asdict(found.communities)], title="Communities")
    for note in found.notes:
        sys.stdout.write(f"Note: {note}\n")


def _print_changes(found: RunDiff) -> None:
    rows = [
        {
            "kind": change.kind,
            "change": change.change,
            "source": change.labels[0] or change.a[0],
            "target": change.labels[1] or change.a[1],
            "before": change.strength_a,
            "after": change.strength_b,
        }
        for change in found.changes
    ]
    if rows:
        print_table(rows, title="Largest changes of edges")


def _of(title: str, shown: int, total: int) -> str:
    return title if shown == total else f"{title} ({shown} of {total})"


def _brief(value: Any) -> Any:
    """Return a cell of a table: edges as `kind n`, maps as text, one line an item of a list."""
    if isinstance(value, list):
        return "\n".join(str(_brief(item)) for item in value)
    if isinstance(value, dict):
        return _pairs(value)
    return value


def _pairs(value: Mapping[str, Any]) -> str:
    if set(value) == {"kind", "n"}:
        return f"{value['kind']} {value['n']}"
    return "  ".join(
        f"{name} {json.dumps(item, default=str) if isinstance(item, list | dict) else item}"
        for name, item in value.items()
        if item is not None
    )


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError("Nobody can be asked here.", hint="Give --yes to drop the run.")
    if not typer.confirm(question):
        raise typer.Exit(1)
