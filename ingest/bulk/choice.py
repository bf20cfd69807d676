"""Whether a build is loaded in bulk or over Bolt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from atlas.errors import UsageError
from atlas.graph.configure import DATABASE
from atlas.graph.migrate import migrations, pending
from atlas.graph.reader import DriverReader

if TYPE_CHECKING:
    import neo4j

    from atlas.graph.server import ManagedServer

How = Literal["auto", "bulk", "bolt"]
HOW: tuple[How, ...] = ("auto", "bulk", "bolt")

BULK_ROWS = 500_000
"""From this many rows on a bulk load is faster, the restart of the server included."""

_NODES = "MATCH (n) WHERE NOT n:Migration AND NOT n:MigrationLock RETURN n LIMIT 1"
_SCHEMA = (
    "SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP' RETURN name",
    "SHOW CONSTRAINTS YIELD name RETURN name",
)
_NAME = re.compile(r"(?:CONSTRAINT|INDEX)\s+(\w+)\s+IF NOT EXISTS", re.IGNORECASE)

_DROPPED = re.compile(r"DROP\s+(?:CONSTRAINT|INDEX)\s+(\w+)", re.IGNORECASE)


def choose(
    driver: neo4j.Driver,
    database: str | None,
    *,
    how: How,
    rows: int,
    server: ManagedServer | None,
) -> bool:
    """Return whether to load in bulk.

    Parameters
    ----------
    driver, database
        Where to.
    how
        ``auto`` loads in bulk where that is possible and the build is large.
    rows
        Rows of the build.
    server
        The managed server that the driver is of; None for any other.

    Raises
    ------
    UsageError
        `how` is not one of `HOW`, or is ``bulk`` where that is not possible.
    DatabaseError
        The database was made by a newer atlas.
    """
    if how not in HOW:
        raise UsageError(
            f"{how!r} is no way of loading a build.", hint=f"Choose one of {', '.join(HOW)}."
        )
    if how == "bolt" or (how == "auto" and (server is None or rows < BULK_ROWS)):
        return False
    obstacle = _obstacle(driver, database, server)
    if obstacle and how == "bulk":
        raise UsageError(
            f"The build cannot be loaded in bulk: {obstacle}.",
            hint="Load it over Bolt, which works everywhere.",
        )
    return obstacle is None


def _obstacle(
    driver: neo4j.Driver, database: str | None, server: ManagedServer | None
) -> str | None:
    """Return what stands in the way of a bulk load, or None."""
    if server is None:
        return "the database is not that of a managed server"
    if database not in (None, DATABASE):
        return f"the managed server's database is {DATABASE}, not {database}"
    if not is_empty(driver, database):
        return "the database is not empty, and a bulk load replaces all of it"
    return None


def is_empty(driver: neo4j.Driver, database: str | None) -> bool:
    """Return whether a database has nothing but what the atlas's migrations put there."""
    pending(driver, database)  # refuses what a newer atlas made
    reader = DriverReader(driver, database)
    if reader.read(_NODES):
        return False
    found = {row["name"] for text in _SCHEMA for row in reader.read(text)}
    return found <= schema_names() | {"migration_name", "migration_lock"}


def schema_names() -> set[str]:
    """Return the names of the constraints and indexes that the migrations make and keep."""
    names: set[str] = set()
    for migration in migrations():
        names -= set(_DROPPED.findall(migration.text))
        names |= set(_NAME.findall(migration.text))
    return names
