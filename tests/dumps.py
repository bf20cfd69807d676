"""Whole databases as JSON: nodes, relationships and the statements of their schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from neo4j.time import DateTime

if TYPE_CHECKING:
    from pathlib import Path

    from neo4j import Driver

Dump = dict[str, Any]
_TIME = "$datetime"


def take_dump(driver: Driver) -> Dump:
    """Return the nodes (in order), relationships (by the nodes' places) and schema statements."""
    nodes, _, _ = driver.execute_query(
        "MATCH (n) RETURN elementId(n) AS id, labels(n) AS labels, properties(n) AS properties "
        "ORDER BY labels[0], coalesce(n.key, n.name)"
    )
    place = {row["id"]: number for number, row in enumerate(nodes)}
    joins, _, _ = driver.execute_query(
        "MATCH (a)-[r]->(b) RETURN elementId(a) AS a, type(r) AS type, elementId(b) AS b, "
        "properties(r) AS properties"
    )
    schema = [
        statement for kind in ("CONSTRAINTS", "INDEXES") for statement in _schema(driver, kind)
    ]
    return {
        "schema": schema,
        "nodes": [[row["labels"], _plain(row["properties"])] for row in nodes],
        "relationships": sorted(
            ([place[r["a"]], r["type"], place[r["b"]], _plain(r["properties"])] for r in joins),
            key=lambda row: row[:3],
        ),
    }


def _schema(driver: Driver, kind: str) -> list[str]:
    # A constraint makes its own index, and the lookup indexes are in every database.
    rows, _, _ = driver.execute_query(f"SHOW {kind} YIELD *")
    return sorted(
        row["createStatement"]
        for row in rows
        if kind == "CONSTRAINTS" or (row["type"] != "LOOKUP" and not row["owningConstraint"])
    )


def restore(driver: Driver, dump: Dump) -> None:
    """Fill an empty database with a dump."""
    for statement in dump["schema"]:
        driver.execute_query(statement)
    made = []
    for labels, properties in dump["nodes"]:
        names = ":".join(f"`{label}`" for label in labels)
        rows, _, _ = driver.execute_query(
            f"CREATE (n:{names}) SET n = $properties RETURN elementId(n) AS id",
            properties=_timed(properties),
        )
        made.append(rows[0]["id"])
    for source, kind, target, properties in dump["relationships"]:
        driver.execute_query(
            "MATCH (a) WHERE elementId(a) = $a MATCH (b) WHERE elementId(b) = $b "
            f"CREATE (a)-[r:`{kind}`]->(b) SET r = $properties",
            a=made[source], b=made[target], properties=_timed(properties),
        )  # fmt: skip


def read_dump(path: Path) -> Dump:
    """Read a dump's file."""
    dump: Dump = json.loads(path.read_text("utf-8"))
    return dump


def write_dump(path: Path, dump: Dump) -> None:
    """Write a dump: a line for each statement, node and relationship."""
    parts = [
        f"{json.dumps(name)}: [\n"
        + ",\n".join(json.dumps(row, ensure_ascii=False, sort_keys=True) for row in rows)
        + "\n]"
        for name, rows in dump.items()
    ]
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {_TIME: value.iso_format()} if isinstance(value, DateTime) else value
        for name, value in values.items()
    }


def _timed(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: DateTime.from_iso_format(value[_TIME]) if isinstance(value, dict) else value
        for name, value in values.items()
    }
