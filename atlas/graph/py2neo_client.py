"""The atlas's database by py2neo, for code that is written for it.

py2neo had its last release in 2021 and is maintained no more. It speaks Bolt 4.3 with Neo4j 5; what
works and what does not is in ``docs/py2neo.md``. The atlas itself never uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.errors import DatabaseError, UsageError
from atlas.graph.connection import connect, user_agent

if TYPE_CHECKING:
    import py2neo

    from atlas.graph.connection import ConnectionSettings


def connect_py2neo(settings: ConnectionSettings) -> py2neo.Graph:
    """Return a py2neo graph on the database that `settings` name.

    The official driver asks the server first, since py2neo says of every refusal that the
    connection was closed. Objects for features, communities and runs are in `atlas.graph.ogm`.

    Parameters
    ----------
    settings
        Address, user, password and database, as for `atlas.graph.connection.connect`. All of its
        schemes are known to py2neo; by ``neo4j`` it asks for the servers of a cluster.

    Returns
    -------
    py2neo.Graph
        It has answered a query. Its connections close with the process.

    Raises
    ------
    UsageError
        py2neo is not installed.
    DatabaseError
        The server cannot be reached, refuses the credentials or has no such database, or refuses
        py2neo alone.
    """
    try:
        from py2neo import Graph
        from py2neo.errors import ConnectionUnavailable, Neo4jError, ProtocolError
    except ImportError:
        raise UsageError(
            "This needs the package py2neo.",
            hint="Install the extra: pip install 'sae-feature-atlas[py2neo]'.",
        ) from None
    connect(settings).close()
    try:
        graph = Graph(
            settings.uri,
            name=settings.database,
            auth=(settings.username, settings.password),
            user_agent=f"{user_agent()} py2neo",
        )
        graph.run("RETURN 1").evaluate()
    except (ConnectionUnavailable, Neo4jError, ProtocolError, OSError, TypeError) as error:
        raise DatabaseError(
            f"{settings.uri} ({settings.source}) answers the official driver, but not py2neo:"
            f" {error}.",
            hint="py2neo speaks Bolt 4.3 at most; newer servers want the official driver.",
        ) from error
    return graph
