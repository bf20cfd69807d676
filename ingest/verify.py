"""Compares what is in the database with what a build holds, and graphs with each other."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from atlas.errors import DatabaseError
from atlas.graph.reader import DriverReader, Reader, plain
from atlas.graph.sessions import open_session
from atlas.schemas import PAIRS, RELATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import neo4j

    from ingest.build_folder import BuildFolder

_KEYS = 20_000

# Nodes that several runs may share are counted by their keys.
_BY_KEY = {
    "tokens": "UNWIND $keys AS key MATCH (n:Token {key: key}) RETURN count(n) AS n",
    "documents": "UNWIND $keys AS key MATCH (n:Document {key: key}) RETURN count(n) AS n",
    "contexts": """
        UNWIND $keys AS key
        MATCH (n:Context {key: key})-[:FROM_DOCUMENT]->(:Document) RETURN count(n) AS n
    """,
}
_BY_RUN = {
    "features": """
        MATCH (:Run {key: $run})<-[:FROM_RUN]-(f:Feature)-[:IN]->(:Sae) RETURN count(f) AS n
    """,
    **{
        table: f"MATCH ()-[r:{relation} {{run: $run}}]->() RETURN count(r) AS n"
        for table, relation in PAIRS.items()
    },
    "firings": "MATCH ()-[r:FIRES_IN {run: $run}]->() RETURN count(r) AS n",
}
_TOKENS_OF_RUN = " UNION ALL ".join(
    f"MATCH ()-[r:{relation} {{run: $run}}]->() RETURN count(r) AS n" for relation in RELATIONS
)

# Times differ between two loads of the same build and say nothing about the graph.
_TIMES = frozenset({"applied", "created", "loaded", "milliseconds"})
_IDENTITY = ("key", "name")


def verify_counts(driver: neo4j.Driver, database: str | None, build: BuildFolder) -> None:
    """Raise unless the database has as many nodes and relationships of a build as it has rows.

    Raises
    ------
    DatabaseError
        A table's count differs; the message names the table and both numbers.
    """
    reader = DriverReader(driver, database)
    for table in build.tables:
        found, rows = _count(reader, build, table), build.rows(table)
        if found != rows:
            raise DatabaseError(
                f"After loading {build.run_id} the database has {found} of the {rows} rows of"
                f" {table}.",
                hint="Load it again with --force; if it stays so, load it into an empty database.",
            )


def _count(reader: Reader, build: BuildFolder, table: str) -> int:
    if table in _BY_KEY:
        keys = build.column(table, "key").column("key").to_pylist()
        parts = (keys[start : start + _KEYS] for start in range(0, len(keys), _KEYS))
        return sum(reader.read(_BY_KEY[table], {"keys": part})[0]["n"] for part in parts)
    text = _TOKENS_OF_RUN if table == "feature_tokens" else _BY_RUN[table]
    return sum(row["n"] for row in reader.read(text, {"run": build.run_id}))


def graph_checksum(driver: neo4j.Driver, database: str | None = None) -> str:
    """Return a digest of all nodes, relationships and properties of a database.

    Two databases with the same graph have the same digest, whatever the order in which it was
    made: entities are named by their `key` (or `name`), never by internal ids. Times (when
    something was created, loaded or applied, how long it took) are left out.

    Returns
    -------
    str
        SHA-256, hexadecimal.
    """
    total = 0
    for line in _lines(driver, database):
        total += int.from_bytes(hashlib.sha256(line.encode()).digest(), "big")
    return hashlib.sha256(str(total).encode()).hexdigest()


def _lines(driver: neo4j.Driver, database: str | None) -> Iterator[str]:
    with open_session(driver, database) as session:
        nodes = session.run("MATCH (n) RETURN labels(n) AS labels, properties(n) AS properties")
        for row in nodes:
            yield _line("node", sorted(row["labels"]), row["properties"])
        relationships = session.run(
            "MATCH (a)-[r]->(b) RETURN type(r) AS type, properties(r) AS properties,"
            " labels(a) AS source_labels, labels(b) AS target_labels,"
            " a {.key, .name} AS source, b {.key, .name} AS target"
        )
        for row in relationships:
            ends = [
                *sorted(row["source_labels"]),
                _identity(row["source"]),
                *sorted(row["target_labels"]),
                _identity(row["target"]),
            ]
            yield _line(row["type"], ends, row["properties"])


def _line(kind: str, ends: list[str], properties: Mapping[str, Any]) -> str:
    kept = {name: plain(value) for name, value in properties.items() if name not in _TIMES}
    return json.dumps([kind, ends, kept], sort_keys=True, ensure_ascii=False)


def _identity(values: Mapping[str, Any]) -> str:
    return str(next((values[name] for name in _IDENTITY if values.get(name) is not None), ""))
