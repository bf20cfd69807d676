"""Sessions of the driver, as all of the atlas opens them.

All sessions of a driver share its bookmarks: on a cluster a read waits until its server has what
the same `Atlas` wrote before. Work goes through `Session.execute_read` and `execute_write`, which
send it to the right server of a cluster and repeat it after a transient error, such as a deadlock
or the election of another leader.
"""

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

    The session takes part in the driver's bookmarks, as `Driver.execute_query` does: it sees
    what was written through this driver before it was opened, by whichever session.

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
        bookmark_manager=driver.execute_query_bookmark_manager,
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


def bookmarks(driver: neo4j.Driver) -> neo4j.Bookmarks:
    """Return what a client with a connection of its own must wait for to see this driver's writes.

    Hand it to ``set_bookmarks`` of a Graph Data Science client.
    """
    from neo4j import Bookmarks

    return Bookmarks.from_raw_values(driver.execute_query_bookmark_manager.get_bookmarks())
