"""Cypher that reads back what a build was written as, made from the map of the graph."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ingest.graph_map import LABEL_RECORD, NODES, EdgeTable, Element, NodeTable
from ingest.statements import written_fields

if TYPE_CHECKING:
    import pyarrow as pa


def stored_fields(element: Element) -> list[pa.Field]:
    """Return the fields of an element that are properties in the database."""
    keyed = isinstance(element, EdgeTable) and element.keyed
    names = {*element.properties, *(["key"] if keyed else [])}
    return [field for field in written_fields(element) if field.name in names]


def is_number(field: pa.Field) -> bool:
    """Return whether a field's values are summed."""
    import pyarrow as pa

    return bool(pa.types.is_floating(field.type) or pa.types.is_integer(field.type))


@cache
def sums(element: Element) -> str:
    """Return the query of an element's number of rows, values and sums.

    Its parameters are ``run`` and, except for relationships, ``keys`` of nodes. Columns: ``rows``,
    and for the property of each `stored_fields` by its place ``c0`` (how many have it) and, for
    numbers, ``s0`` (their sum).
    """
    parts = ["count(*) AS rows"]
    for place, field in enumerate(stored_fields(element)):
        parts.append(f"count(p.`{field.name}`) AS c{place}")
        if is_number(field):
            parts.append(f"sum(p.`{field.name}`) AS s{place}")
    return f"{_match(element)}\nRETURN {', '.join(parts)}"


def _match(element: Element) -> str:
    if isinstance(element, EdgeTable):
        return (
            f"MATCH (:{element.source.label})-[r:{element.type} {{run: $run}}]->"
            f"(:{element.target.label})\nWITH properties(r) AS p"
        )
    label = element.label if isinstance(element, NodeTable) else element.node.label
    links = ""
    if isinstance(element, NodeTable):
        ends = [link.end.label if link.end else "Run {key: $run}" for link in element.links]
        links = "".join(
            f"\nMATCH (n)-[:{link.type}]->(:{end})"
            for link, end in zip(element.links, ends, strict=True)
        )
    # Numbers of a feature that another run has written since are that run's.
    own = "" if not is_of_run(element) else " CASE n.run WHEN $run THEN properties(n) ELSE {} END"
    return (
        f"UNWIND $keys AS key\nMATCH (n:{label} {{key: key}}){links}"
        f"\nWITH{own or ' properties(n)'} AS p"
    )


def is_of_run(element: Element) -> bool:
    """Return whether an element's nodes say which run their properties are of."""
    if isinstance(element, EdgeTable):
        return False
    label = element.label if isinstance(element, NodeTable) else element.node.label
    return any(node.run for node in NODES if node.label == label)


@cache
def rows(element: Element) -> str:
    """Return the query of what is stored for some rows of an element.

    Its parameters are ``run`` and lists of equal length: ``keys`` of nodes; or ``sources``,
    ``targets`` and, for relationships with a key, ``keys``. Columns: ``i``, place in those lists;
    ``found``, a list with the properties of each node or relationship there; for nodes ``ends``,
    for each link a list of the keys of the nodes at its end; ``owner``, the run that a node's
    properties are of, null where the database no longer has that run; ``labelled``, whether its
    label was made for the run after the build.
    """
    shown = ", ".join(f".`{field.name}`" for field in stored_fields(element))
    if isinstance(element, EdgeTable):
        identity = "key: $keys[i]" if element.keyed else "run: $run"
        return f"""
UNWIND range(0, size($sources) - 1) AS i
MATCH (s:{element.source.label} {{key: $sources[i]}})
MATCH (t:{element.target.label} {{key: $targets[i]}})
MATCH (s)-[r:{element.type} {{{identity}}}]->(t)
RETURN i, collect(r {{{shown}, .run}}) AS found
"""
    label = element.label if isinstance(element, NodeTable) else element.node.label
    links = element.links if isinstance(element, NodeTable) else ()
    ends = ", ".join(
        f"[(n)-[:{link.type}]->(x:{link.end.label}) | x.key]"
        if link.end
        else f"[(n)-[:{link.type}]->(x:Run) WHERE x.key = $run | x.key]"
        for link in links
    )
    return f"""
UNWIND range(0, size($keys) - 1) AS i
MATCH (n:{label} {{key: $keys[i]}})
RETURN i, [n {{{shown}}}] AS found, [{ends}] AS ends,
       CASE WHEN EXISTS {{ (:Run {{key: n.run}}) }} THEN n.run END AS owner,
       coalesce(n.label_run = $run + '{LABEL_RECORD}', false) AS labelled
"""


def _of_run(element: Element) -> str | None:
    """Return the pattern of the relationships that say what a run has of an element."""
    if isinstance(element, EdgeTable):
        return f"(s)-[r:{element.type} {{run: $run}}]->(t)"
    if not isinstance(element, NodeTable):
        return None
    for link in element.links:
        if link.end is None:
            return f"(s:{element.label})-[r:{link.type}]->(:Run {{key: $run}})"
    return None


@cache
def count(element: Element) -> str | None:
    """Return the query of how many a run has of an element, ``n``; None where none can say."""
    pattern = _of_run(element)
    return f"MATCH {pattern} RETURN count(r) AS n" if pattern else None


@cache
def identities(element: Element) -> str | None:
    """Return the query of all that a run has of an element: ``id`` and ``identity``."""
    pattern = _of_run(element)
    if pattern is None:
        return None
    shown = "s.key"
    if isinstance(element, EdgeTable):
        shown = "s.key, t.key" + (", r.key" if element.keyed else "")
    return f"MATCH {pattern} RETURN elementId(r) AS id, [{shown}] AS identity"


def identity_columns(element: Element) -> list[str]:
    """Return the columns of `ingest.graph_rows.graph_rows` that are an ``identity``."""
    if isinstance(element, EdgeTable):
        return [end.column for end in element.ends] + (["key"] if element.keyed else [])
    return ["key"]


DELETE = """
UNWIND $ids AS id
MATCH ()-[r]->() WHERE elementId(r) = id
DELETE r
"""
