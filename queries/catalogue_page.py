"""The page of the documentation that lists every query of the catalogue."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

from queries.catalogue import catalogue
from queries.header import GROUPS

if TYPE_CHECKING:
    from queries.header import Parameter, QuerySpec

WIDTH = 96

_ABOUT = (
    "The {number} read queries. Each is a method of `atlas.Atlas` and a coroutine of"
    " `atlas.AsyncAtlas`, `atlas query NAME`, `:NAME` in `atlas shell`, a tool of `atlas mcp`, a"
    " phrase of Neo4j Bloom, and a file `queries/cypher/NAME.cypher` whose text pastes into Neo4j"
    " Browser. How names are understood and what results turn into: [queries](queries.md)."
)


def page() -> str:
    """Return the page of the documentation that lists every query."""
    specs = catalogue().values()
    lines = [
        "# The catalogue",
        "",
        "<!-- Written by `python -m queries.codegen` from the headers in queries/cypher. -->",
        "",
        fill(_ABOUT.format(number=len(specs)), WIDTH, break_on_hyphens=False),
    ]
    for group in GROUPS:
        lines += ["", f"## {group.capitalize()}"]
        for spec in specs:
            if spec.group == group:
                lines += ["", *_entry(spec)]
    return "\n".join(lines) + "\n"


def _entry(spec: QuerySpec) -> list[str]:
    """Return the lines about one query."""
    lines = [f"### {spec.name}", "", fill(spec.purpose, WIDTH), "", "```console"]
    lines += [f"$ {spec.example.splitlines()[-1]}", "```"]
    if spec.parameters:
        lines += ["", "| parameter | type | default | meaning |", "|---|---|---|---|"]
        lines += [_parameter_row(parameter) for parameter in spec.parameters]
    lines += ["", "| column | type | meaning |", "|---|---|---|"]
    lines += [f"| `{c.name}` | {c.type} | {_cell(c.meaning)} |" for c in spec.columns]
    return lines


def _parameter_row(parameter: Parameter) -> str:
    kind = " or ".join(f"`{choice}`" for choice in parameter.choices) or parameter.type
    if parameter.required:
        default = "must be given"
    elif parameter.default is None:
        default = ""
    else:
        default = f"`{str(parameter.default).lower()}`"
    return f"| `{parameter.name}` | {kind} | {default} | {_cell(meaning(parameter))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def meaning(parameter: Parameter) -> str:
    """Return what a parameter means, with its range."""
    limits = ""
    if parameter.minimum is not None and parameter.maximum is not None:
        limits = f" From {parameter.minimum:g} to {parameter.maximum:g}."
    return parameter.meaning + limits
