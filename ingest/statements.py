"""The Cypher that writes a build, made from the map of the graph.

A batch is one statement and one transaction. It locks the run's node (a write takes the lock; what
is read after it is what other transactions committed), goes on only if the run is
where the batch begins, writes the rows and moves the run to where the batch ends. So a batch is
written exactly once, whatever is sent twice, killed or retried, and relationships of a run that
is known to be new can be created without looking whether they are there.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

from atlas.schemas import schema
from ingest import columns
from ingest.graph_map import (
    IMPORTED,
    LABEL_MARKS,
    LABEL_RECORD,
    LABEL_SOURCE,
    LABELLED,
    EdgeTable,
    Element,
    NodeTable,
    PropertyTable,
    elements_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

Way = Literal["create", "merge"]
"""How relationships are written: as new ones, or merged with those that are there."""

HEADS = """
MERGE (m:Model {key: $model.key}) SET m += $model
MERGE (r:Run {key: $run.key}) SET r += $run
WITH m
UNWIND $saes AS row
MERGE (s:Sae {key: row.key}) SET s += row
MERGE (s)-[:OF]->(m)
"""
HEADS_FOUND = "MATCH (s:Sae WHERE s.key IN $saes)-[:OF]->(:Model) RETURN count(s) AS n"
# `saes` is what a stopped drop remembers.
RUN = HEADS.replace(
    "SET r += $run",
    "SET r += $run, r.state = 'loading', r.loading_way = $way, r.loading_rows = $rows,"
    " r.saes = null",
)
STATE = """
OPTIONAL MATCH (r:Run {key: $run})
RETURN r IS NOT NULL AS known, r.state AS state, r.digest AS digest, r.loading_way AS way,
       r.loading_rows AS rows
"""
LOADED = """
MATCH (r:Run {key: $run})
SET r.state = 'loaded', r.loaded = datetime()
REMOVE r.loading_way, r.loading_rows, r.loading_lock
"""
# Whether a feature's label was made for the run that is written; see `ingest.labelling`.
_LABELLED = f"coalesce(n.label_run = $run + '{LABEL_RECORD}', false)"
# What is removed from a run in pieces is no whole run any more.
UNLOADED = """
MATCH (r:Run {key: $run})
SET r.state = 'loading', r.loading_way = 'merge', r.loading_rows = 0
"""


@cache
def batch(table: str, way: Way) -> str:
    """Return the statement that writes a batch of a table.

    Its parameters are ``run``, ``digest``, ``start`` and ``end`` (rows of the build before and
    after the batch) and ``parts``: for each element of the table the columns as
    `ingest.columns.encode` makes them. It returns one row ``written``, a list with the number of
    rows for each element, or no row if the run is not at ``start``.
    """
    elements = elements_of(table)
    parts = "\n".join(_part(element, number, way) for number, element in enumerate(elements))
    written = ", ".join(f"n{number}" for number in range(len(elements)))
    return f"""
MATCH (run:Run {{key: $run}}) SET run.loading_lock = true
WITH run WHERE run.state = 'loading' AND run.digest = $digest AND run.loading_rows = $start
SET run.loading_rows = $end
WITH run
{parts}
RETURN [{written}] AS written
"""


@cache
def repair(element: Element) -> str:
    """Return the statement that puts rows of an element right, with the parameters of `batch`.

    Returns one row ``written``, the number of rows.
    """
    return f"""
MATCH (run:Run {{key: $run}})
{_part(element, 0, "merge", exact=True)}
RETURN n0 AS written
"""


def _part(element: Element, number: int, way: Way, *, exact: bool = False) -> str:
    """Return the subquery that writes one element's rows from ``$parts[number]``."""
    fields = written_fields(element)
    first = fields[0].name
    lists = ",\n       ".join(
        f"{columns.prepare(field, f'$parts[{number}].`{field.name}`')} AS c_{field.name}"
        for field in fields
    )
    if isinstance(element, NodeTable):
        body = _node(element, exact=exact)
    elif isinstance(element, EdgeTable):
        body = _edge(element, way, exact=exact)
    else:
        body = _more(element, exact=exact)
    return f"""CALL (run) {{
  WITH run, {lists}
  UNWIND range(0, size(c_{first}) - 1) AS i
{body}
  RETURN count(*) AS n{number}
}}"""


def _node(element: NodeTable, *, exact: bool) -> str:
    properties = _properties(element, element.properties, run=element.run)
    lines = [f"  MERGE (n:{element.label} {{key: c_key[i]}})"]
    labels = set(IMPORTED) <= set(element.properties)
    gone = ", ".join(f"{name}: null" for name in LABEL_MARKS)
    if exact and labels:  # labels that were imported, or made for this run, stay
        kept = ", ".join(f".{name}" for name in (*IMPORTED, *LABEL_MARKS))
        lines.append(
            f"  WITH *, CASE WHEN n.label_source = '{LABEL_SOURCE}' OR {_LABELLED}"
            f" THEN n {{{kept}}} ELSE {{}} END AS kept\n"
            f"  SET n += {{{properties}, {gone}}} SET n += kept"
        )
    elif labels:
        lines.append(f"  SET n += {{{properties}, {gone}}}")
    else:
        lines.append(f"  SET n += {{{properties}}}")
    for number, link in enumerate(element.links):
        other = "run"
        lines.append("  WITH *")
        if link.end is not None:
            other = f"e{number}"
            lines.append(_match(other, link.end.label, link.end.column))
            if exact:  # a node that hangs on another one by mistake is taken off it
                lines.append(f"  CALL (n, {other}) {{ {_unlink(link.type, other)} }}")
        lines.append(f"  MERGE (n)-[:{link.type}]->({other})")
    return "\n".join(lines)


def _unlink(relation: str, other: str) -> str:
    return f"OPTIONAL MATCH (n)-[wrong:{relation}]->(x) WHERE x <> {other} DELETE wrong"


def _edge(element: EdgeTable, way: Way, *, exact: bool) -> str:
    names = (*element.properties, *(("key",) if element.keyed else ()))
    properties = _properties(element, names, run=True)
    ends = "\n".join(
        _match(name, end.label, end.column)
        for name, end in zip(("s", "t"), element.ends, strict=True)
    )
    if way == "create":
        return f"{ends}\n  CREATE (s)-[:{element.type} {{{properties}}}]->(t)"
    identity = "key: c_key[i]" if element.keyed else "run: $run"
    return (
        f"{ends}\n  MERGE (s)-[r:{element.type} {{{identity}}}]->(t) "
        f"SET r {'=' if exact else '+='} {{{properties}}}"
    )


def _more(element: PropertyTable, *, exact: bool) -> str:
    """Return what sets properties; lists of numbers as vectors, 32 bits a number."""
    fields = {field.name: field for field in written_fields(element)}
    vectors = [name for name in element.properties if columns.is_vector(fields[name])]
    others = tuple(name for name in element.properties if name not in vectors)
    lines = [_match("n", element.node.label, element.node.column)]
    if others:
        lines.append(f"  SET n += {{{_properties(element, others, run=False)}}}")
    for name in vectors:
        value = columns.element(fields[name], f"c_{name}", "i")
        mine = f" AND NOT {_LABELLED}" if exact and name in LABELLED else ""
        lines.append(f"  WITH *, {value} AS v_{name}")
        lines.append(
            f"  CALL (n, v_{name}) {{ WITH * WHERE v_{name} IS NOT NULL{mine} "
            f"CALL db.create.setNodeVectorProperty(n, '{name}', v_{name}) }}"
        )
        if name not in element.keep:
            lines.append(
                f"  CALL (n, v_{name}) {{ WITH * WHERE v_{name} IS NULL{mine} REMOVE n.`{name}` }}"
            )
    return "\n".join(lines)


def _match(variable: str, label: str, column: str) -> str:
    return f"  MATCH ({variable}:{label} {{key: c_{column}[i]}})"


def _properties(element: Element, names: tuple[str, ...], *, run: bool) -> str:
    fields = {field.name: field for field in written_fields(element)}
    parts = [f"`{name}`: {columns.element(fields[name], f'c_{name}', 'i')}" for name in names]
    return ", ".join([*parts, *(["run: $run"] if run else [])])


def written_fields(element: Element) -> list[pa.Field]:
    """Return the Arrow fields of `ingest.graph_rows.columns_of`, in its order."""
    import pyarrow as pa

    from ingest.graph_rows import columns_of

    known = schema(element.table)
    made = pa.field("key", pa.string())
    return [known.field(n) if n in known.names else made for n in columns_of(element)]
