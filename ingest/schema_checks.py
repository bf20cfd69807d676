"""Whether a database has all constraints and indexes of the atlas, ready for use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.graph.failures import database_errors
from atlas.graph.migrate import migrations, statements
from atlas.graph.reader import DriverReader
from atlas.graph.sessions import write
from ingest.bulk.choice import schema_names

if TYPE_CHECKING:
    import neo4j

_AWAIT_SECONDS = 600


def schema_problems(driver: neo4j.Driver, database: str | None) -> list[str]:
    """Return what is wrong with the schema, a line each, after indexes had time to be built."""
    reader = DriverReader(driver, database)
    reader.read("CALL db.awaitIndexes($seconds)", {"seconds": _AWAIT_SECONDS})
    indexes = {
        row["name"]: row["state"]
        for row in reader.read("SHOW INDEXES YIELD name, state RETURN name, state")
    }
    constraints = {row["name"] for row in reader.read("SHOW CONSTRAINTS YIELD name RETURN name")}
    missing = sorted(schema_names() - set(indexes) - constraints)
    failed = sorted(name for name, state in indexes.items() if state != "ONLINE")
    return [
        *(f"the constraint or index {name} is missing" for name in missing),
        *(f"the index {name} is {indexes[name]}" for name in failed),
    ]


def mend_schema(driver: neo4j.Driver, database: str | None) -> None:
    """Make the constraints and indexes that are missing, and those that failed anew.

    Raises
    ------
    DatabaseError
        One cannot be made, for example because nodes of one key are there twice.
    """
    reader = DriverReader(driver, database)
    with database_errors("Mending the database's schema"):
        for row in reader.read(
            "SHOW INDEXES YIELD name, state, owningConstraint WHERE state = 'FAILED' "
            "RETURN name, owningConstraint AS owner"
        ):
            kind, name = ("CONSTRAINT", row["owner"]) if row["owner"] else ("INDEX", row["name"])
            write(driver, database, f"DROP {kind} `{name}` IF EXISTS")
        for migration in migrations():
            for text in statements(migration.text):
                # Others are not the schema's; those of the schema do nothing where it is there.
                if " IF NOT EXISTS" in text:
                    write(driver, database, text)
