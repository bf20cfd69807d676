"""`atlas query` and `atlas load`.

The subcommands of `atlas query` and their options are made from the headers of the query files.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from atlas.cli.output import print_column, print_csv, print_json, print_table
from atlas.errors import UsageError
from atlas.graph.budget import Budget
from queries.catalogue import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingest.bulk.choice import How
    from queries.header import Parameter, QuerySpec


_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_CSV = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
_COLUMN = Annotated[str | None, typer.Option(help="Print this column, a value a line.")]
_TIMEOUT = Annotated[float | None, typer.Option(help="Seconds that the query may take.")]
_MAX_ROWS = Annotated[int | None, typer.Option(help="Most rows; more is an error.")]
_MIB = Annotated[float | None, typer.Option(help="Most memory of the rows, in MiB.")]
_EXTRAS = (
    ("as_json", False, _JSON),
    ("as_csv", False, _CSV),
    ("column", None, _COLUMN),
    ("timeout", None, _TIMEOUT),
    ("max_rows", None, _MAX_ROWS),
    ("mib", None, _MIB),
)
_TYPES: Mapping[str, Any] = {
    "integer": int,
    "float": float,
    "boolean": bool,
    "features": list[str],
}


class _QueryGroup(TyperGroup):
    """Also takes the names of queries with hyphens for underscores."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return super().get_command(ctx, cmd_name.replace("-", "_"))


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(load)
    group = typer.Typer(cls=_QueryGroup, help="Ask the graph; without a name, list the queries.")
    group.callback(invoke_without_command=True)(_list)
    for spec in catalogue().values():
        group.command(spec.name, help=spec.purpose, epilog=spec.example)(_command(spec))
    app.add_typer(group, name="query")


def load(
    build: Annotated[Path, typer.Argument(help="Folder of a finished build.")],
    force: Annotated[
        bool, typer.Option("--force", help="Load again; replace a run of the same name.")
    ] = False,
    how: Annotated[
        str, typer.Option(help="bolt sends batches, bulk imports into an empty managed database.")
    ] = "auto",
    as_json: _JSON = False,
) -> None:
    """Load a build into the graph; what is loaded already is left alone."""
    from atlas.api import Atlas
    from atlas.progress import reporter

    with Atlas.connect() as atlas:
        summary = atlas.load(build, force=force, how=_how(how), reporter=reporter(quiet=as_json))
    values = dataclasses.asdict(summary)
    if as_json:
        print_json(values)
    else:
        state = "loaded" if summary.loaded else "was loaded already"
        table = {"run": summary.run, "state": state, **summary.rows, "seconds": summary.seconds}
        print_table([{"name": name, "value": value} for name, value in table.items()])


def _how(how: str) -> How:
    if how not in ("auto", "bolt", "bulk"):
        raise UsageError(f"A load is not {how!r}.", hint="Use auto, bolt or bulk.")
    return how  # type: ignore[return-value]


def _list(ctx: typer.Context, as_json: _JSON = False) -> None:
    if ctx.invoked_subcommand is not None:
        return
    specs = catalogue().values()
    if as_json:
        print_json([dataclasses.asdict(spec) for spec in specs])
    else:
        print_table([{"query": spec.name, "purpose": spec.purpose} for spec in specs])


def _command(spec: QuerySpec) -> Callable[..., None]:
    """Return the function of a subcommand, with a signature made from the query's header."""

    def command(**options: Any) -> None:
        from atlas.api import Atlas

        form = {name: options.pop(name) for name in ("as_json", "as_csv", "column")}
        seconds, rows, mib = (options.pop(name) for name in ("timeout", "max_rows", "mib"))
        budget = Budget(seconds=seconds, rows=rows, mib=mib)
        for parameter in spec.parameters:
            if parameter.type == "features":
                options[parameter.name] = _names(options[parameter.name])
        with Atlas.connect(budget=budget) as atlas:
            result = getattr(atlas, spec.name)(**options)
        print_result(result, spec, **form)

    options = [_option(parameter) for parameter in spec.parameters]
    signature = inspect.Signature([*options, *(_extra(*extra) for extra in _EXTRAS)])
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return command


def _extra(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _names(given: Sequence[str] | None) -> list[str] | None:
    """Return names of features; one that is a hyphen stands for the lines of stdin."""
    if not given:
        return None
    names: list[str] = []
    for name in given:
        names += [line.strip() for line in sys.stdin if line.strip()] if name == "-" else [name]
    return names


def print_result(
    result: Any,
    spec: QuerySpec,
    *,
    as_json: bool = False,
    as_csv: bool = False,
    column: str | None = None,
) -> None:
    """Write what a query returned to stdout: a table, or in one of the other forms.

    Raises
    ------
    UsageError
        Two forms are wanted, or a column that is not there.
    """
    if as_json + as_csv + (column is not None) > 1:
        raise UsageError("Only one of --json, --csv and --column can be printed.")
    rows = [result] if isinstance(result, Mapping) else result
    if as_json:
        print_json(result)
    elif as_csv:
        print_csv(rows, [found.name for found in spec.columns])
    elif column is not None:
        print_column(rows, column)
    elif isinstance(result, Mapping):
        print_table([{"": name, spec.title: _brief(value)} for name, value in result.items()])
    else:
        title, shown = result.shown()
        print_table(shown, title=title)


def _option(parameter: Parameter) -> inspect.Parameter:
    kind: Any = _TYPES.get(parameter.type, str)
    choices = f" One of {', '.join(parameter.choices)}." if parameter.choices else ""
    limits: dict[str, Any] = {}
    if kind in (int, float):
        limits = {"min": _as(kind, parameter.minimum), "max": _as(kind, parameter.maximum)}
    several = (
        " Repeat it for each; - reads names from stdin." if parameter.type == "features" else ""
    )
    option = typer.Option(help=parameter.meaning + choices + several, **limits)
    return inspect.Parameter(
        parameter.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if parameter.required else parameter.default,
        annotation=Annotated[kind | None if parameter.nullable else kind, option],
    )


def _as(kind: type, limit: float | None) -> Any:
    return None if limit is None else kind(limit)


def _brief(value: Any) -> Any:
    """Return a value of a card as text: one line an item of a list."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "\n".join(_brief_item(item) for item in value)
    if isinstance(value, list):
        return " ".join(item if isinstance(item, str) else str(item) for item in value)
    if isinstance(value, dict):
        return "  ".join(f"{name} {_number(item)}" for name, item in value.items())
    return value


def _brief_item(item: Mapping[str, Any]) -> str:
    if "token" in item:
        rest = " ".join(
            _number(item[name]) for name in ("score", "n") if item.get(name) is not None
        )
        return f"{json.dumps(item['token'], ensure_ascii=False)} {rest}"
    if "activation" in item:
        return f"{_number(item['activation'])}  [{item['domain'] or '-'}]  {item['text'].strip()}"
    return "  ".join(f"{name} {_number(value)}" for name, value in item.items())


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
