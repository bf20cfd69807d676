"""What the tools do: queries of the catalogue, Cypher, and the schema, each one blocking call."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from atlas.errors import NotFoundError, UsageError
from atlas.graph.budget import Budget
from atlas.mcp.answers import Answer, Limits, head, page
from atlas.mcp.graph_schema import graph_schema
from atlas.mcp.schemas import SKIP, Schema, answer_schema, description, input_schema, output_schema
from queries.catalogue import bind, catalogue
from queries.header import GROUPS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping

    from atlas.api import Atlas
    from atlas.graph.reader import Row
    from queries.header import QuerySpec

CYPHER = "cypher"
GRAPH_SCHEMA = "graph_schema"

# A query's own limits keep it small; this keeps the process alive where they do not.
_MIB = 256.0


def definitions(groups: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return name, title, description and schemas of each tool, those of the catalogue first.

    Parameters
    ----------
    groups
        Only queries of these groups; all if empty.

    Raises
    ------
    UsageError
        There is no such group.
    """
    unknown = sorted(set(groups) - set(GROUPS))
    if unknown:
        raise UsageError(
            f"There is no group of queries {unknown[0]!r}.", hint=f"There are: {', '.join(GROUPS)}."
        )
    queries = [
        {
            "name": spec.name,
            "title": spec.title,
            "description": description(spec),
            "input_schema": input_schema(spec),
            "output_schema": output_schema(spec),
        }
        for spec in catalogue().values()
        if not groups or spec.group in groups
    ]
    return [*queries, _cypher(), _graph_schema()]


def _cypher() -> dict[str, Any]:
    properties: Schema = {
        "statement": {
            "type": "string",
            "minLength": 1,
            "description": "One Cypher statement that only reads, with a LIMIT.",
        },
        "parameters": {
            "type": "object",
            "default": {},
            "description": "Values of the statement's $parameters.",
        },
    }
    return {
        "name": CYPHER,
        "title": "Cypher statement",
        "description": "Any question that no other tool answers: runs one Cypher statement that "
        "reads the graph. Call graph_schema first. Values belong into parameters.",
        "input_schema": {
            "type": "object",
            "properties": properties,
            "required": ["statement"],
            "additionalProperties": False,
        },
        "output_schema": answer_schema({"type": "object"}),
    }


def _graph_schema() -> dict[str, Any]:
    return {
        "name": GRAPH_SCHEMA,
        "title": "Schema of the graph",
        "description": "Labels, relationship types, properties and indexes of the database, with "
        "counts: what a Cypher statement can ask for.",
        "input_schema": {"type": "object", "properties": {}, "additionalProperties": False},
        "output_schema": {
            "type": "object",
            "properties": {
                name: {"type": "array", "items": {"type": "object"}}
                for name in ("nodes", "relationships", "indexes")
            }
            | {"sample": {"type": "integer", "description": "Looked at of each, for properties."}},
            "required": ["nodes", "relationships", "indexes", "sample"],
        },
    }


class Toolbox:
    """The tools over one atlas, which is opened when it is first needed.

    May be used by several threads at once.

    Parameters
    ----------
    connect
        Opens the atlas.
    limits
        What one answer may cost.
    """

    def __init__(self, connect: Callable[[], Atlas], limits: Limits) -> None:
        self.limits = limits
        self._connect = connect
        self._lock = threading.Lock()
        self._atlas: Atlas | None = None

    def open(self) -> Atlas:
        """Return the atlas, connecting if that was not done.

        Raises
        ------
        DatabaseError
            There is no server there, or it refuses the credentials.
        UsageError
            The address is none of a Neo4j server.
        """
        with self._lock:
            if self._atlas is None:
                budget = Budget(seconds=self.limits.seconds, mib=_MIB)
                self._atlas = self._connect().with_budget(budget)
            return self._atlas

    def close(self) -> None:
        """Close the connection, if there is one; calls that still wait for it fail."""
        with self._lock:
            if self._atlas is not None:
                self._atlas.close()

    def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Run a tool and return its structured answer.

        Raises
        ------
        NotFoundError
            There is no such tool, feature, community or run.
        UsageError
            An argument is wrong, or the statement does more than read.
        BudgetError
            It takes more than the limits.
        DatabaseError
            The database cannot be reached or fails.
        """
        if name == CYPHER:
            return self._read(arguments).to_json()
        if name == GRAPH_SCHEMA:
            _known(name, arguments, ())
            return self.schema()
        spec = catalogue().get(name)
        if spec is None:
            raise NotFoundError(f"There is no tool {name!r}.")
        return self._query(spec, arguments).to_json()

    def schema(self) -> dict[str, Any]:
        """Return the schema of the database; see `atlas.mcp.graph_schema.graph_schema`."""
        return graph_schema(self.open().reader)

    def _query(self, spec: QuerySpec, arguments: Mapping[str, Any]) -> Answer:
        given = dict(arguments)
        skip = 0 if spec.single else given.pop(SKIP, 0)
        if isinstance(skip, bool) or not isinstance(skip, int) or skip < 0:
            raise UsageError(f"The parameter {SKIP} is {skip!r}.", hint="Use a whole number.")
        given = _whole(spec, given)
        limit = bind(spec, given).get("limit")  # refuses mistakes before it connects
        found = self.open().query(spec.name, **given)
        rows = [dict(found)] if spec.single else found.to_dicts()
        return page(rows, self.limits, skip=skip, limit=limit)

    def _read(self, arguments: Mapping[str, Any]) -> Answer:
        _known(CYPHER, arguments, ("statement", "parameters"))
        statement, parameters = arguments.get("statement"), arguments.get("parameters") or {}
        if not isinstance(statement, str) or not statement.strip():
            raise UsageError("The tool cypher needs a statement.", hint="Give one as text.")
        if not isinstance(parameters, dict):
            raise UsageError("The parameters of a statement are an object of name and value.")
        found = self.open().stream(statement, **parameters)
        # Closed early, a result is not read to its end: its transaction is rolled back.
        with closing(cast("Generator[Row, None, None]", found)) as rows:
            return head(rows, self.limits)


def _whole(spec: QuerySpec, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with 5.0 as 5 where an integer is wanted: to JSON they are the same."""
    integers = {parameter.name for parameter in spec.parameters if parameter.type == "integer"}
    return {
        name: int(value)
        if name in integers and isinstance(value, float) and value.is_integer()
        else value
        for name, value in values.items()
    }


def _known(tool: str, arguments: Mapping[str, Any], names: tuple[str, ...]) -> None:
    unknown = sorted(set(arguments) - set(names))
    if unknown:
        there = f"It takes {', '.join(names)}." if names else "It takes none."
        raise UsageError(f"The tool {tool} has no parameter {unknown[0]!r}.", hint=there)
