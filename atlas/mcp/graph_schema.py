"""What a database holds: its labels, relationship types, properties and indexes, as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atlas.graph.reader import Reader

SAMPLE = 100
"""Nodes of a label, or relationships of a type, whose properties are looked at."""

_LABELS = "CALL db.labels() YIELD label RETURN label AS name ORDER BY name"
_TYPES = "CALL db.relationshipTypes() YIELD relationshipType AS name RETURN name ORDER BY name"
_INDEXES = """
SHOW INDEXES YIELD name, type, labelsOrTypes, properties WHERE type <> 'LOOKUP'
RETURN name, type, labelsOrTypes AS of, properties ORDER BY name
"""
# A label or type cannot be a parameter where the count is to come from the count store.
_NODES = "MATCH (:{name}) RETURN count(*) AS n"
_RELATIONSHIPS = "MATCH ()-[r:{name}]->() RETURN count(r) AS n"
_OF_NODES = """
MATCH (x:{name}) WITH x LIMIT $sample
UNWIND keys(x) AS key
RETURN key, collect(DISTINCT valueType(x[key])) AS types ORDER BY key
"""
_OF_RELATIONSHIPS = """
MATCH ()-[x:{name}]->() WITH x LIMIT $sample
UNWIND keys(x) AS key
RETURN key, collect(DISTINCT valueType(x[key])) AS types ORDER BY key
"""
_BETWEEN = """
MATCH (a)-[r:{name}]->(b) WITH a, b LIMIT $sample
UNWIND labels(a) AS source UNWIND labels(b) AS target
RETURN DISTINCT source, target ORDER BY source, target
"""


def graph_schema(reader: Reader) -> dict[str, Any]:
    """Return the schema of a database.

    Counts are exact; properties, and what a relationship type joins, are those of the first
    `SAMPLE` of each.

    Returns
    -------
    dict
        ``nodes``: dicts of ``label``, ``count`` and ``properties`` (name -> type of Cypher);
        ``relationships``: dicts of ``type``, ``count``, ``between`` (patterns) and
        ``properties``; ``indexes``: dicts of ``name``, ``type``, ``of`` and ``properties``;
        ``sample``. Labels and types that nothing has are left out.

    Raises
    ------
    DatabaseError
        The database fails.
    """
    nodes = [_nodes(reader, name) for name in _names(reader, _LABELS)]
    relationships = [_relationships(reader, name) for name in _names(reader, _TYPES)]
    return {
        "nodes": [found for found in nodes if found["count"]],
        "relationships": [found for found in relationships if found["count"]],
        "indexes": reader.read(_INDEXES, what="indexes"),
        "sample": SAMPLE,
    }


def _names(reader: Reader, text: str) -> list[str]:
    return [str(row["name"]) for row in reader.read(text, what="schema")]


def _nodes(reader: Reader, label: str) -> dict[str, Any]:
    return {
        "label": label,
        "count": _count(reader, _NODES, label),
        "properties": _properties(reader, _OF_NODES, label),
    }


def _relationships(reader: Reader, kind: str) -> dict[str, Any]:
    pairs = reader.read(_quoted(_BETWEEN, kind), {"sample": SAMPLE}, what=f"ends of {kind}")
    return {
        "type": kind,
        "count": _count(reader, _RELATIONSHIPS, kind),
        "between": [f"(:{row['source']})-[:{kind}]->(:{row['target']})" for row in pairs],
        "properties": _properties(reader, _OF_RELATIONSHIPS, kind),
    }


def _count(reader: Reader, text: str, name: str) -> int:
    return int(reader.read(_quoted(text, name), what=f"count of {name}")[0]["n"])


def _properties(reader: Reader, text: str, name: str) -> dict[str, str]:
    rows = reader.read(_quoted(text, name), {"sample": SAMPLE}, what=f"properties of {name}")
    return {row["key"]: _type(row["types"]) for row in rows}


def _type(types: list[str]) -> str:
    """Return the types of a property as one; an empty list has no type of its own."""
    names = {name.replace(" NOT NULL", "") for name in types}
    return " or ".join(sorted(names - {"LIST<NOTHING>"} or names))


def _quoted(text: str, name: str) -> str:
    return text.replace("{name}", "`" + name.replace("`", "``") + "`")
