"""Applies the schema of the graph, as migrations recorded in the database.

A migration is a file ``migrations/NNNN_name.cypher`` of statements separated by semicolons, each
of which can be repeated. An applied one is a node ``Migration {name, sha256, applied,
atlas_version}``. Files are never changed once released; a new file follows them.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata, resources
from typing import TYPE_CHECKING

from atlas.errors import DatabaseError
from atlas.graph.failures import database_errors
from atlas.graph.sessions import open_session, write
from atlas.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import neo4j

DISTRIBUTION = "sae-feature-atlas"
_AWAIT_SECONDS = 600

# Comments, quoted text and quoted names are kept whole, so that a semicolon in one ends nothing.
_PIECES = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<quoted>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`[^`]*`)"""
    r"""|(?P<end>;)|(?P<other>[^;'"`/]+|/)""",
    re.DOTALL,
)

_BOOTSTRAP = (
    "CREATE CONSTRAINT migration_name IF NOT EXISTS FOR (n:Migration) REQUIRE n.name IS UNIQUE",
    "CREATE CONSTRAINT migration_lock IF NOT EXISTS FOR (n:MigrationLock) REQUIRE n.name IS UNIQUE",
)
_RECORDED = "MATCH (m:Migration) RETURN m.name AS name, m.sha256 AS sha256"
_NOT_ONLINE = (
    "SHOW INDEXES YIELD name, state WHERE state <> 'ONLINE' RETURN name, state ORDER BY name"
)


@dataclass(frozen=True)
class Migration:
    """One migration file.

    Attributes
    ----------
    name
        The file's name without its ending, for example ``0001_initial``.
    text
        The file's text with Unix line ends.
    """

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """SHA-256 of the text, hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Return the migrations of this version of the atlas, in the order they are applied."""
    folder = resources.files("atlas.graph") / "migrations"
    files = sorted(
        (f for f in folder.iterdir() if f.name.endswith(".cypher")), key=lambda f: f.name
    )
    return [
        Migration(f.name.removesuffix(".cypher"), f.read_text("utf-8").replace("\r\n", "\n"))
        for f in files
    ]


def statements(text: str) -> list[str]:
    """Split Cypher text at its semicolons and drop comments.

    Semicolons inside quotes, backticks and comments do not count.
    """
    found, current = [], ""
    for piece in _PIECES.finditer(text):
        if piece["end"]:
            found.append(current)
            current = ""
        elif not piece["comment"]:
            current += piece[0]
    found.append(current)
    return [statement.strip() for statement in found if statement.strip()]


def migrate(
    driver: neo4j.Driver,
    database: str | None = None,
    *,
    known: Sequence[Migration] | None = None,
    reporter: Reporter | None = None,
) -> list[str]:
    """Apply the migrations that the database lacks, in order, and record each.

    A migration is recorded when its indexes are online, so nobody who finds it recorded asks an
    index that is still being filled. Several processes may call this at once: a lock in the
    database lets one work and the others wait and find nothing left to do. An interrupted
    migration is run again by the next call.

    Parameters
    ----------
    driver
        An open driver; the user needs the right to create constraints and indexes.
    database
        Name of the database; None is the server's default.
    known
        The migrations to hold the database against; by default those of this version.
    reporter
        Is told of each migration applied.

    Returns
    -------
    list of str
        Names of the migrations applied by this call.

    Raises
    ------
    DatabaseError
        An applied migration has another text now, or the database has migrations that this
        version does not know, or a statement failed, or an index does not come online.
    """
    plan = list(migrations() if known is None else known)
    reporter = reporter or SilentReporter()
    with database_errors("Preparing the database's schema"):
        if not pending(driver, database, known=plan):
            return []
        _run_each(driver, database, _BOOTSTRAP)
        with _lock(driver, database):
            todo = pending(driver, database, known=plan)
            for migration in todo:
                reporter.note(f"schema: applying {migration.name}")
                _run_each(driver, database, statements(migration.text))
                await_indexes(driver, database)
                _record(driver, database, migration)
    return [migration.name for migration in todo]


def await_indexes(
    driver: neo4j.Driver, database: str | None = None, *, seconds: int = _AWAIT_SECONDS
) -> None:
    """Wait until all indexes of the database are online; returns at once if they are.

    Parameters
    ----------
    driver, database
        Where.
    seconds
        How long to wait at most.

    Raises
    ------
    DatabaseError
        An index could not be built, or is not built in time; the message names it.
    """
    from neo4j.exceptions import ClientError

    try:
        _read(driver, database, "CALL db.awaitIndexes($seconds)", seconds=seconds)
    except ClientError as error:
        late = _read(driver, database, _NOT_ONLINE)
        if not late:
            raise
        names = ", ".join(f"{row['name']} ({row['state']})" for row in late)
        failed = [row["name"] for row in late if row["state"] == "FAILED"]
        raise DatabaseError(
            f"Indexes of the database are not online: {names}.",
            hint=f"See the server's log for the reason, drop {', '.join(failed)} with DROP INDEX,"
            " and run the same command again."
            if failed
            else f"They were waited for {seconds} seconds; run the same command again in a while.",
        ) from error


def pending(
    driver: neo4j.Driver, database: str | None = None, *, known: Sequence[Migration] | None = None
) -> list[Migration]:
    """Return the migrations that the database lacks, after checking those that it has.

    Raises
    ------
    DatabaseError
        As for `migrate`.
    """
    plan = list(migrations() if known is None else known)
    applied = _applied(driver, database)
    check(applied, plan)
    return [migration for migration in plan if migration.name not in applied]


def check(applied: dict[str, str], known: Sequence[Migration]) -> None:
    """Raise `DatabaseError` if applied migrations (name -> SHA-256) are not those of `known`."""
    unknown = sorted(set(applied) - {migration.name for migration in known})
    if unknown:
        raise DatabaseError(
            f"The database was made by a newer atlas: it has the migrations {', '.join(unknown)},"
            " which this version does not know.",
            hint="Upgrade the atlas or use another database.",
        )
    for migration in known:
        if applied.get(migration.name, migration.sha256) != migration.sha256:
            raise DatabaseError(
                f"Migration {migration.name} was applied to the database with another text"
                f" (SHA-256 {applied[migration.name][:12]}, now {migration.sha256[:12]}).",
                hint="Reinstall the atlas, or rebuild the database from its builds.",
            )


def _applied(driver: neo4j.Driver, database: str | None) -> dict[str, str]:
    return {row["name"]: row["sha256"] for row in _read(driver, database, _RECORDED)}


def _read(
    driver: neo4j.Driver, database: str | None, text: str, **parameters: object
) -> list[neo4j.Record]:
    def work(tx: neo4j.ManagedTransaction) -> list[neo4j.Record]:
        return list(tx.run(text, parameters))

    with open_session(driver, database) as session:
        return session.execute_read(work)


def _run_each(driver: neo4j.Driver, database: str | None, texts: Sequence[str]) -> None:
    # Changes of the schema and of data must not share a transaction, so each has its own.
    for text in texts:
        write(driver, database, text)


def _record(driver: neo4j.Driver, database: str | None, migration: Migration) -> None:
    write(
        driver,
        database,
        "MERGE (m:Migration {name: $name})"
        " SET m.sha256 = $sha256, m.applied = datetime(), m.atlas_version = $version",
        name=migration.name,
        sha256=migration.sha256,
        version=_version(),
    )


@contextmanager
def _lock(driver: neo4j.Driver, database: str | None) -> Iterator[None]:
    """Hold a lock in the database; the server frees it should this process die.

    The node is merged and rolled back: it is never seen, but while the transaction is open
    another merge of the same unique name waits.
    """
    with open_session(driver, database) as session, session.begin_transaction() as tx:
        tx.run("MERGE (l:MigrationLock {name: 'schema'}) ").consume()
        yield
        tx.rollback()


def _version() -> str:
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"
