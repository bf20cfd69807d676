"""The header of a query file: what the query is for, its parameters and its columns.

A header is the run of ``//`` lines at the top of a ``.cypher`` file::

    // Title: Neighbours
    // Purpose: Features that fire together with a feature.
    // Parameters:
    //   feature: feature -- Key of the feature.
    //   limit: integer 1..100 = 20 -- Most rows.
    // Columns:
    //   key: string -- Key of the neighbour.
    // Table: key
    // Example:
    //   atlas query neighbours --feature 12

A parameter reads ``name: type [range or choices] [= default] -- meaning``. Without a default it
must be given; a type with ``?`` may be null, and is by default.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SECTIONS = ("Title", "Purpose", "Parameters", "Columns", "Table", "Example")
TYPES = (
    "feature",  # key, "sae/index", index, or an unambiguous label: resolved before the query runs
    "community",  # key, number, or label: resolved as well
    "run",  # key of a run that must exist
    "fulltext",  # any text, escaped for Lucene
    "choice",  # one of a|b|c
    "string",
    "integer",
    "float",
    "boolean",
)
Value = str | int | float | bool | None

_PARAMETER = re.compile(
    r"(?P<name>[a-z_]+): (?P<type>[a-z]+)(?P<null>\?)?"
    r"(?: (?P<limits>-?[\d.]+\.\.-?[\d.]+|[\w|]+\|[\w|]+))?"
    r"(?: = (?P<default>.+?))? -- (?P<meaning>.+)"
)
_COLUMN = re.compile(r"(?P<name>[a-z_]+): (?P<type>[a-z]+) -- (?P<meaning>.+)")


class HeaderError(ValueError):
    """A query file of this package is written wrongly."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a query.

    Attributes
    ----------
    name, type, meaning
        As in the header; `type` is one of `TYPES`.
    required
        It has no default.
    default
        Its default; None for a parameter that may be null.
    nullable
        It may be null.
    choices
        Allowed values of a ``choice``.
    minimum, maximum
        Inclusive limits of a number.
    """

    name: str
    type: str
    meaning: str
    required: bool = True
    default: Value = None
    nullable: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Column:
    """A column of a query's result."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class QuerySpec:
    """A query of the catalogue.

    Attributes
    ----------
    name
        Name of the file, of the Python function and of the subcommand of `atlas query`.
    title, purpose
        What it is, in a few words and in a sentence.
    parameters, columns
        In the order of the header.
    table
        Columns that fit a terminal; all are returned.
    example
        How to run it in Neo4j Browser and on the command line.
    cypher
        The statement, without the header.
    """

    name: str
    title: str
    purpose: str
    parameters: tuple[Parameter, ...]
    columns: tuple[Column, ...]
    table: tuple[str, ...]
    example: str
    cypher: str

    @property
    def parameter_names(self) -> list[str]:
        """Names of the parameters, in order."""
        return [parameter.name for parameter in self.parameters]


def parse(name: str, text: str) -> QuerySpec:
    """Return the query in the text of a ``.cypher`` file.

    Raises
    ------
    HeaderError
        A section is missing or a line of one cannot be read.
    """
    lines = text.splitlines()
    body_from = next((i for i, line in enumerate(lines) if not line.startswith("//")), len(lines))
    sections = _sections(name, [line[2:] for line in lines[:body_from]])
    parameters = tuple(_parameter(name, line) for line in sections["Parameters"])
    columns = tuple(_column(name, line) for line in sections["Columns"])
    names = tuple(column.name for column in columns)
    table = tuple(" ".join(sections["Table"]).replace(",", " ").split()) or names
    if set(table) - set(names):
        raise HeaderError(f"{name}.cypher: the table names a column that is not there")
    return QuerySpec(
        name=name,
        title=" ".join(sections["Title"]),
        purpose=" ".join(sections["Purpose"]),
        parameters=parameters,
        columns=columns,
        table=table,
        example="\n".join(sections["Example"]),
        cypher="\n".join(lines[body_from:]).strip(),
    )


def _sections(name: str, lines: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {section: [] for section in SECTIONS}
    current = None
    for line in lines:
        start = re.match(r" (\w+):(?: (.*))?$", line)
        if start and start[1] in SECTIONS:
            current = start[1]
            if start[2]:
                found[current].append(start[2].strip())
        elif current and line.startswith("   ") and line.strip():
            found[current].append(line.strip())
        elif line.strip():
            raise HeaderError(f"{name}.cypher: what is this header line? {line!r}")
    missing = [s for s in SECTIONS if not found[s] and s not in ("Table", "Parameters")]
    if missing:
        raise HeaderError(f"{name}.cypher: the header lacks {', '.join(missing)}")
    return found


def _parameter(query: str, line: str) -> Parameter:
    match = _PARAMETER.fullmatch(line)
    if not match or match["type"] not in TYPES:
        raise HeaderError(f"{query}.cypher: cannot read the parameter {line!r}")
    limits, kind = match["limits"] or "", match["type"]
    low, high = limits.split("..") if ".." in limits else (None, None)
    return Parameter(
        name=match["name"],
        type=kind,
        meaning=match["meaning"],
        required=match["default"] is None and not match["null"],
        default=None if match["default"] is None else _literal(kind, match["default"]),
        nullable=bool(match["null"]),
        choices=tuple(limits.split("|")) if "|" in limits else (),
        minimum=None if low is None else float(low),
        maximum=None if high is None else float(high),
    )


def _literal(kind: str, text: str) -> Value:
    if kind == "integer":
        return int(text)
    if kind == "float":
        return float(text)
    if kind == "boolean":
        return {"true": True, "false": False}[text]
    return text


def _column(query: str, line: str) -> Column:
    match = _COLUMN.fullmatch(line)
    if not match:
        raise HeaderError(f"{query}.cypher: cannot read the column {line!r}")
    return Column(match["name"], match["type"], match["meaning"])
