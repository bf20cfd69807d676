"""The header of a query file: what the query is for, its parameters and its columns.

A header is the run of ``//`` lines at the top of a ``.cypher`` file::

    // Title: Neighbours
    // Purpose: Features that fire together with a feature.
    // Group: relations
    // Result: features
    // Parameters:
    //   feature: feature -- Key of the feature.
    //   limit: integer 1..100 = 20 -- Most rows.
    // Columns:
    //   key: string -- Key of the neighbour.
    // Table: key
    // Example:
    //   :param {feature: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', limit: 20}
    //   atlas query neighbours --feature 12
    // Phrase: Neighbours of $feature
    // Graph:
    //   MATCH p = (:Feature {key: $feature})-[:CO_OCCURS]-(:Feature) RETURN p LIMIT 50

A parameter reads ``name: type [range or choices] [= default] -- meaning``. Without a default it
must be given; a type with ``?`` may be null, and is by default.

``Result`` says what a row is: one ``feature``, ``community``, ``run`` or ``row``, or several
``features``, ``communities``, ``runs`` or ``rows``. Where it is not a row, the column ``key`` names
it. ``Phrase`` is the query as one types it in Neo4j Bloom, and ``Graph`` the statement that shows
its answer as nodes and relationships; its parameters are those that the phrase names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

SECTIONS = (
    "Title",
    "Purpose",
    "Group",
    "Result",
    "Parameters",
    "Columns",
    "Table",
    "Example",
    "Phrase",
    "Graph",
)
GROUPS = (
    "features",
    "relations",
    "communities",
    "paths",
    "concepts",
    "search",
    "experiments",
    "runs",
)
RESULTS = ("feature", "features", "community", "communities", "run", "runs", "row", "rows")
TYPES = (
    # Names that are resolved before the query runs:
    "feature",  # key, "sae/index", index, or an unambiguous label
    "features",  # a list of such names
    "community",  # key, number, or label
    "run",  # key of a run that must exist
    "sae",  # key of an SAE, or the end of it
    "concept",  # key, or an unambiguous name or ontology id
    "token",  # text of a token; the statement gets a list: the spellings there are
    "meaning",  # any text; the statement gets its vector, as labels have them
    "fulltext",  # any text, escaped for Lucene
    # Plain values:
    "choice",  # one of a|b|c
    "string",
    "integer",
    "float",
    "boolean",
)
Value = str | int | float | bool | list[Any] | None

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
    group
        What it is about; one of `GROUPS`.
    result
        What a row is; one of `RESULTS`.
    parameters, columns
        In the order of the header.
    table
        Columns that fit a terminal; all are returned.
    example
        How to run it in Neo4j Browser and on the command line.
    cypher
        The statement, without the header.
    phrase
        The query as a phrase of Neo4j Bloom; names its parameters with a dollar sign.
    graph
        The statement behind the phrase, which returns nodes, relationships or paths.
    """

    name: str
    title: str
    purpose: str
    group: str
    result: str
    parameters: tuple[Parameter, ...]
    columns: tuple[Column, ...]
    table: tuple[str, ...]
    example: str
    cypher: str
    phrase: str
    graph: str

    @property
    def parameter_names(self) -> list[str]:
        """Names of the parameters, in order."""
        return [parameter.name for parameter in self.parameters]

    @property
    def phrase_parameters(self) -> list[Parameter]:
        """The parameters that the phrase names, in its order."""
        by_name = {parameter.name: parameter for parameter in self.parameters}
        return [by_name[name] for name in re.findall(r"\$(\w+)", self.phrase)]

    @property
    def single(self) -> bool:
        """Whether there is always exactly one row."""
        return self.result in ("feature", "community", "run", "row")


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
    phrase = " ".join(sections["Phrase"])
    if set(re.findall(r"\$(\w+)", phrase)) - {parameter.name for parameter in parameters}:
        raise HeaderError(f"{name}.cypher: the phrase names a parameter that is not there")
    return QuerySpec(
        name=name,
        title=" ".join(sections["Title"]),
        purpose=" ".join(sections["Purpose"]),
        group=_one_of(name, "Group", sections, GROUPS),
        result=_one_of(name, "Result", sections, RESULTS),
        parameters=parameters,
        columns=columns,
        table=table,
        example="\n".join(sections["Example"]),
        cypher="\n".join(lines[body_from:]).strip(),
        phrase=phrase,
        graph="\n".join(sections["Graph"]),
    )


def _one_of(
    name: str, section: str, sections: dict[str, list[str]], allowed: tuple[str, ...]
) -> str:
    value = " ".join(sections[section])
    if value not in allowed:
        raise HeaderError(f"{name}.cypher: {section} is {value!r}, not one of {', '.join(allowed)}")
    return value


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
