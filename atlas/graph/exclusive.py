"""A lock in a database that lets one process load at a time, whichever machine it is on."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from atlas.graph.sessions import open_session, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import neo4j

LOAD_LOCK = "load"
"""Name of the lock that is held while a run is loaded, repaired or dropped."""

# As in the bootstrap of the migrations: without it a merge would not wait for another.
_CONSTRAINT = (
    "CREATE CONSTRAINT migration_lock IF NOT EXISTS FOR (n:MigrationLock) REQUIRE n.name IS UNIQUE"
)
_TAKE = "MERGE (l:MigrationLock {name: $name})"
_PROBE_SECONDS = 2.0
# Parts of the codes of a transaction that waited for the lock until its time was over.
_TIMED_OUT = ("LockClientStopped", "Terminated", "TimedOut")


@contextmanager
def exclusive(
    driver: neo4j.Driver,
    database: str | None,
    *,
    name: str,
    waiting: Callable[[], None],
) -> Iterator[None]:
    """Hold the lock `name` of a database for the block.

    The lock is a node that is merged and rolled back: nobody ever sees it, but while the
    transaction is open another merge of its unique name waits. The server frees it should this
    process die or the connection break.

    Parameters
    ----------
    driver
        An open driver.
    database
        Name of the database; None is the server's default.
    name
        Name of the lock.
    waiting
        Called once if another process holds the lock.
    """
    from neo4j.exceptions import DriverError, Neo4jError

    write(driver, database, _CONSTRAINT)
    if not _is_free(driver, database, name):
        waiting()
    with open_session(driver, database) as session:
        tx = session.begin_transaction()
        try:
            tx.run(_TAKE, name=name).consume()
            yield
        finally:
            # The server may have been stopped meanwhile, which frees the lock as well.
            with suppress(Neo4jError, DriverError, OSError):
                tx.rollback()


def _is_free(driver: neo4j.Driver, database: str | None, name: str) -> bool:
    from neo4j.exceptions import ClientError, TransientError

    try:
        with (
            open_session(driver, database) as session,
            session.begin_transaction(timeout=_PROBE_SECONDS) as tx,
        ):
            tx.run(_TAKE, name=name).consume()
            tx.rollback()
    except (ClientError, TransientError) as error:
        if not any(part in (error.code or "") for part in _TIMED_OUT):
            raise
        return False
    return True
