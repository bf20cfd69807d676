"""`atlas shell`: Cypher that only reads, and the queries of the catalogue, with completion."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas.cli.output import print_csv, print_json, print_table
from atlas.cli.query import print_result
from atlas.cli.shell import PromptShell
from atlas.errors import UsageError
from atlas.graph.budget import Budget
from queries.catalogue import catalogue, query

if TYPE_CHECKING:
    from collections.abc import Iterable

    from atlas.api import Atlas
    from queries.header import Parameter

_SHOWN = 1000
_HELP = """\
Write Cypher and end it with a semicolon; it may take several lines. Nothing can be written.
A line with a colon asks a query of the catalogue: :neighbours heart limit=5
What must be given may stand without its name. Tab completes.
  :queries     the queries
  :help NAME   what a query takes and returns
  :clear       forget the lines typed since the last semicolon
  :exit        leave (so does Ctrl-D)
"""
_COMMANDS = (":queries", ":help", ":clear", ":exit")
_KEYWORDS = (
    "MATCH OPTIONAL WHERE RETURN DISTINCT ORDER BY LIMIT SKIP WITH UNWIND CALL YIELD AND OR NOT IN"
    " CASE WHEN THEN ELSE END EXISTS COUNT COLLECT STARTS ENDS CONTAINS IS NULL SHORTEST UNION AS"
)
_NAMES = """
CALL db.labels() YIELD label RETURN label AS name
UNION CALL db.relationshipTypes() YIELD relationshipType RETURN relationshipType AS name
UNION CALL db.propertyKeys() YIELD propertyKey RETURN propertyKey AS name
"""


class QueryShell(PromptShell):
    """Answers Cypher that only reads, and lines such as ``:neighbours heart limit=5``.

    Parameters
    ----------
    atlas
        The atlas to ask.
    as_json, as_csv
        Print JSON or CSV instead of tables.
    """

    help_text = _HELP

    def __init__(self, atlas: Atlas, *, as_json: bool = False, as_csv: bool = False) -> None:
        self.atlas = atlas
        self.as_json = as_json
        self.as_csv = as_csv

    def run(self, statement: str) -> None:
        """Run one statement that only reads, and print its rows."""
        began = time.monotonic()
        rows = self.atlas.cypher(statement)
        if self.as_json or self.as_csv:
            if self.as_json:
                print_json(rows)
            else:
                print_csv(rows, rows.columns)
            return
        print_table(rows[:_SHOWN])
        shown = f"first {_SHOWN} of {len(rows)} rows" if len(rows) > _SHOWN else f"{len(rows)} rows"
        sys.stdout.write(f"{shown}, {time.monotonic() - began:.2f} s\n")

    def command(self, line: str) -> bool:
        """Answer a line that begins with a colon; False if it is no such line."""
        if not line.startswith(":"):
            return False
        words = _words(line[1:])
        name, arguments = words[0].replace("-", "_") if words else "", words[1:]
        if name == "queries":
            rows = [{"query": spec.name, "purpose": spec.purpose} for spec in catalogue().values()]
            print_table(rows)
        elif name == "help" and arguments:
            self._describe(arguments[0])
        else:
            spec = query(name)
            result = self.atlas.query(name, **parsed(spec.parameters, arguments))
            print_result(result, spec, as_json=self.as_json, as_csv=self.as_csv)
        return True

    def _describe(self, name: str) -> None:
        spec = query(name.lstrip(":"))
        sys.stdout.write(f"{spec.title}: {spec.purpose}\n")
        rows = [
            {
                "parameter": parameter.name,
                "type": "|".join(parameter.choices) or parameter.type,
                "default": "must be given" if parameter.required else parameter.default,
                "meaning": parameter.meaning,
            }
            for parameter in spec.parameters
        ]
        print_table(rows)
        print_table(
            [{"column": c.name, "type": c.type, "meaning": c.meaning} for c in spec.columns]
        )

    def complete(self) -> None:
        """Let the Tab key complete, where Python has readline."""
        with suppress(ImportError):
            import readline

            names = [row["name"] for row in self.atlas.reader.read(_NAMES)]
            finder = Completer(names)
            readline.set_completer_delims(" \t\n()[]{}.,=<>|-'\"`")
            readline.set_completer(
                lambda text, state: finder(readline.get_line_buffer(), text, state)
            )
            libedit = "libedit" in (readline.__doc__ or "")
            readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")


class Completer:
    """Completes what is typed: queries and their parameters after a colon, else words of Cypher.

    Parameters
    ----------
    names
        Labels, relationship types and property names of the graph.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._words = sorted({*names, *_KEYWORDS.split()})

    def __call__(self, line: str, text: str, state: int) -> str | None:
        """Return the `state`-th completion of `text`, the end of `line`; None after the last."""
        found = self.candidates(line, text)
        return found[state] if state < len(found) else None

    def candidates(self, line: str, text: str) -> list[str]:
        """Return what `text`, the end of `line`, may become."""
        words = line.lstrip().split()
        if not line.lstrip().startswith(":"):
            return [word for word in self._words if word.lower().startswith(text.lower())]
        if len(words) <= 1 and not line.endswith(" "):
            names = [*_COMMANDS, *(f":{name}" for name in catalogue())]
            return [name for name in names if name.startswith(text)]
        spec = catalogue().get(words[0][1:].replace("-", "_"))
        if words[0] == ":help":
            return [name for name in catalogue() if name.startswith(text)]
        if spec is None:
            return []
        last = "" if line.endswith(" ") else words[-1]
        if "=" in last:
            chosen = [p for p in spec.parameters if p.name == last.partition("=")[0]]
            return [choice for p in chosen for choice in p.choices if choice.startswith(text)]
        return [f"{p.name}=" for p in spec.parameters if p.name.startswith(text)]


def parsed(parameters: Iterable[Parameter], arguments: Iterable[str]) -> dict[str, Any]:
    """Return the values of ``name=value`` arguments; what must be given may stand without a name.

    Raises
    ------
    UsageError
        More values without a name than must be given, or one that is no number where one belongs.
        Unknown names are left to the catalogue.
    """
    by_name = {parameter.name: parameter for parameter in parameters}
    unnamed = [parameter for parameter in by_name.values() if parameter.required]
    values: dict[str, Any] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals:
            if not unnamed:
                raise UsageError(f"What is {argument!r}?", hint="Write name=value.")
            name, text = unnamed[0].name, argument
        unnamed = [parameter for parameter in unnamed if parameter.name != name]
        values[name] = _value(by_name[name], text) if name in by_name else text
    return values


def _value(parameter: Parameter, text: str) -> Any:
    if parameter.nullable and text == "null":
        return None
    if parameter.type == "features":
        return [part.strip() for part in text.split(",")]
    if parameter.type == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    kinds = {"integer": int, "float": float}
    try:
        return kinds[parameter.type](text) if parameter.type in kinds else text
    except ValueError:
        raise UsageError(
            f"{parameter.name} is {text!r}, not a number.", hint=parameter.meaning
        ) from None


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{line!r}: {error}.", hint="Close the quotation mark.") from None


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(shell)


def shell(
    command: Annotated[
        str | None, typer.Option("--command", "-c", help="Run this and end.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that a query may take.")] = None,
    max_rows: Annotated[int | None, typer.Option(help="Most rows; more is an error.")] = None,
    mib: Annotated[float | None, typer.Option(help="Most memory of the rows, in MiB.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Ask the graph in Cypher or by the catalogue, typed in or piped in; nothing can be written.

    `atlas db shell` runs statements that write.
    """
    from atlas.api import Atlas

    with Atlas.connect(budget=Budget(seconds=timeout, rows=max_rows, mib=mib)) as atlas:
        prompt = QueryShell(atlas, as_json=as_json, as_csv=as_csv)
        if command is not None:
            prompt.run_text(command)
        elif sys.stdin.isatty():
            prompt.complete()
            sys.stdout.write("End a statement with ; or begin a query with : (:help helps)\n")
            prompt.interact()
        else:
            prompt.run_text(sys.stdin.read())
