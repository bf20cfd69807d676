"""Runs what somebody asks in the console: a query of the catalogue, or Cypher that only reads."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from atlas.errors import UsageError
from atlas.graph.asking import ask
from atlas.graph.budget import Budget, Meter
from atlas.graph.reader import DriverReader, as_row
from queries.catalogue import bind, query, run_noted
from queries.lucene import escape
from queries.resolve import community_key, concept_key, feature_key, feature_keys, run_key, sae_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import neo4j

    from atlas.web.store import Store
    from queries.header import Parameter, QuerySpec

#: Seconds, rows and MiB of one statement; nodes that are drawn.
SECONDS, ROWS, MIB, NODES = 20, 1000, 64, 300
_WHAT = "Cypher statement"
#: How names in the parameters of a query become keys, which its picture looks for.
_KEYS: dict[str, Callable[[Any], Any]] = {
    "feature": feature_key, "features": feature_keys, "community": community_key,
    "run": run_key, "sae": sae_key, "concept": concept_key,
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What a statement found.

    Attributes
    ----------
    columns, rows
        The first rows, plain values.
    more
        Whether there are more than `rows`.
    seconds
        How long it took.
    nodes
        Element id to labels and properties of the nodes that came back, the first of them.
    links
        Type, ends and properties of relationships between these.
    statement, parameters
        What was run.
    """

    columns: list[str]
    rows: list[dict[str, Any]]
    more: bool
    seconds: float
    statement: str
    parameters: dict[str, Any]
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    links: list[dict[str, Any]] = field(default_factory=list)


def run_cypher(store: Store, text: str, parameters: Mapping[str, Any]) -> Answer:
    """Run a statement that only reads.

    Raises
    ------
    UsageError
        It is wrong, or does more than read.
    BudgetError
        It took too long, or its rows too much memory.
    DatabaseError
        The database fails.
    """
    if not text.strip():
        raise UsageError("There is no statement.", hint="Type Cypher, or choose a query.")
    reader, given = _reader(store), dict(parameters)
    reader.check(text, given, what=_WHAT)
    began = time.monotonic()
    found: _Collected = reader.collect(
        text, given, what=_WHAT, collect=lambda result: _collect(result, reader.budget)
    )
    took = time.monotonic() - began
    return Answer(found.columns, found.rows, found.more, took, text, given, found.nodes,
                  found.links())  # fmt: skip


def _reader(store: Store) -> DriverReader:
    budget = Budget(seconds=SECONDS, mib=MIB)
    return DriverReader(store.atlas.driver, store.atlas.database, budget=budget)


def run_catalogue(store: Store, name: str, parameters: Mapping[str, Any], *, graph: bool) -> Answer:
    """Run a query of the catalogue; raises as `run_cypher`, and where a parameter is wrong.

    Parameters
    ----------
    store
        The atlas.
    name
        Name of the query.
    parameters
        Its parameters.
    graph
        Run the statement that shows its answer as nodes and relationships.
    """
    spec = query(name)
    given = bind(spec, parameters)
    if graph:
        return run_cypher(store, spec.graph, _picture_parameters(store, spec, given))
    began = time.monotonic()
    rows, sent = run_noted(_reader(store), name, **parameters)
    columns = [column.name for column in spec.columns]
    return Answer(columns, rows[:ROWS], len(rows) > ROWS, time.monotonic() - began, spec.cypher,
                  sent)  # fmt: skip


def _picture_parameters(store: Store, spec: QuerySpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a query's picture: those of its phrase, names as keys."""
    found: dict[str, Any] = {}
    for parameter in spec.phrase_parameters:
        value = given[parameter.name]
        if parameter.type in _KEYS and value is not None:
            value = ask(store.atlas.reader, _KEYS[parameter.type](value))
        elif parameter.type == "fulltext" and value is not None:
            value = escape(str(value))
        found[parameter.name] = value
    return found


def read_value(parameter: Parameter, text: Any) -> Any:
    """Return the value of a parameter that is written in a form or an address; None for nothing.

    Raises
    ------
    UsageError
        It is not of the parameter's type.
    """
    written = "" if text is None else str(text)
    if not written.strip():
        return None
    if parameter.type == "boolean":
        if written not in ("true", "false"):
            raise _wrong(parameter, written, "true or false")
        return written == "true"
    if parameter.type == "features":
        return [line.strip() for line in written.splitlines() if line.strip()]
    kinds: dict[str, tuple[Callable[[str], Any], str]] = {
        "integer": (int, "a whole number"), "float": (float, "a number"),
    }  # fmt: skip
    if parameter.type not in kinds:
        return written
    convert, kind = kinds[parameter.type]
    try:
        return convert(written)
    except ValueError:
        raise _wrong(parameter, written, kind) from None


def _wrong(parameter: Parameter, text: str, kind: str) -> UsageError:
    return UsageError(f"{parameter.name} is {text!r}, not {kind}.")


def read_parameters(text: str) -> dict[str, Any]:
    """Return parameters that are written as a JSON object; else raises `UsageError`."""
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"The parameters are no JSON: {error}.", hint='Write them as {"name": "value"}.'
        ) from error
    if not isinstance(found, dict):
        raise UsageError("The parameters are no JSON object.", hint='Write {"name": "value"}.')
    return found


class _Collected:
    """The first rows of a result, with the nodes and relationships in them."""

    def __init__(self, columns: list[str]) -> None:
        self.columns = columns
        self.rows: list[dict[str, Any]] = []
        self.more = False
        self.nodes: dict[str, dict[str, Any]] = {}
        self._links: dict[str, dict[str, Any]] = {}

    def add(self, value: Any) -> None:
        """Keep the nodes and relationships of a value."""
        from neo4j.graph import Node, Path, Relationship

        if isinstance(value, Path):
            for part in (*value.nodes, *value.relationships):
                self.add(part)
        elif isinstance(value, list):
            for part in value:
                self.add(part)
        elif isinstance(value, dict):
            for part in value.values():
                self.add(part)
        elif isinstance(value, Node):
            self._node(value)
        elif isinstance(value, Relationship):
            ends = [node for node in value.nodes if node is not None]
            for node in ends:
                self._node(node)
            self._links[value.element_id] = {
                "type": value.type,
                "ends": [node.element_id for node in ends],
            }

    def _node(self, node: neo4j.graph.Node) -> None:
        """Keep a node; an end of a relationship may come without its properties."""
        known = self.nodes.get(node.element_id)
        if (known is None and len(self.nodes) < NODES) or (known and len(node) > len(known) - 1):
            self.nodes[node.element_id] = {"labels": sorted(node.labels), **dict(node.items())}

    def links(self) -> list[dict[str, Any]]:
        """Return the relationships whose ends are both kept."""
        return [
            {"id": key, **link}
            for key, link in self._links.items()
            if len(link["ends"]) == 2 and all(end in self.nodes for end in link["ends"])
        ]


def _collect(result: neo4j.Result, budget: Budget) -> _Collected:
    found, meter = _Collected(list(result.keys())), Meter(budget, _WHAT)
    for record in result:
        if len(found.rows) >= ROWS:
            found.more = True
            break
        found.rows.append(as_row(found.columns, record.values()))
        meter.check(len(found.rows), found.rows[-1])
        for value in record.values():
            found.add(value)
    return found
