"""Sessions of the driver, as all of the atlas opens them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import neo4j


def open_session(
    driver: neo4j.Driver, database: str | None = None, *, read_only: bool = False
) -> neo4j.Session:
    """Open a session that the server keeps from writing if `read_only`.

    The server's notes (such as "label does not exist" on an empty database) are turned off: the
    driver would print them.

    Parameters
    ----------
    driver
        An open driver.
    database
        Name of the database; None is the server's default.
    read_only
        Refuse statements that write.
    """
    from neo4j import READ_ACCESS, WRITE_ACCESS, NotificationMinimumSeverity

    return driver.session(
        database=database,
        default_access_mode=READ_ACCESS if read_only else WRITE_ACCESS,
        notifications_min_severity=NotificationMinimumSeverity.OFF,
    )


def write(driver: neo4j.Driver, database: str | None, statement: str, **parameters: Any) -> None:
    """Run one statement in a write transaction of its own, retried on transient errors.

    Parameters
    ----------
    driver, database
        Where to.
    statement
        Cypher.
    **parameters
        Values of its parameters.
    """

    def work(tx: neo4j.ManagedTransaction) -> None:
        tx.run(statement, parameters).consume()

    with open_session(driver, database) as session:
        session.execute_write(work)
