"""An open database: what every part of the interface stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from atlas.graph.reader import DriverReader

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    import neo4j

    from atlas.graph.reader import Row
    from atlas.graph.server import ManagedServer


class Connection:
    """An open database, with a reader of it.

    Parameters
    ----------
    driver
        An open driver of the package `neo4j`; closed with the atlas.
    database
        Name of the database; None is the server's default.
    server
        The managed server that the driver is of, if it is one; only then may a large build be
        loaded in bulk.
    """

    def __init__(
        self,
        driver: neo4j.Driver,
        database: str | None = None,
        *,
        server: ManagedServer | None = None,
    ) -> None:
        self.driver = driver
        self.database = database
        self.server = server
        self.reader = DriverReader(driver, database)

    @classmethod
    def connect(
        cls,
        uri: str | None = None,
        *,
        user: str | None = None,
        password: str | None = None,
        database: str | None = None,
        home: str | Path | None = None,
    ) -> Self:
        """Open an atlas.

        Parameters
        ----------
        uri, user, password, database
            The Neo4j server; by default those of the environment (``NEO4J_URI`` and so on), else
            the managed server of `home`.
        home
            Folder of the managed server; by default ``ATLAS_HOME``, else the user's data folder.

        Raises
        ------
        DatabaseError
            There is no server there, or it refuses the credentials.
        UsageError
            The address is none of a Neo4j server.
        """
        from atlas.graph.connection import connect, resolve_connection
        from atlas.graph.server import ManagedServer

        settings = resolve_connection(
            uri=uri, username=user, password=password, database=database, home=home
        )
        managed = settings.source == "managed server"
        server = ManagedServer(home) if managed else None
        return cls(connect(settings), settings.database, server=server)

    @property
    def home(self) -> Path | None:
        """Folder of the managed server, if it is one; builds lie in ``builds`` in it."""
        return self.server.home if self.server is not None else None

    def close(self) -> None:
        """Close the connection."""
        self.driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def cypher(self, text: str, /, **parameters: Any) -> list[Row]:
        """Run a Cypher statement that only reads.

        Parameters
        ----------
        text
            The statement.
        **parameters
            Values of its parameters.

        Returns
        -------
        list of dict
            One dict a row, with plain Python values.

        Raises
        ------
        UsageError
            The statement is wrong, or it writes.
        DatabaseError
            The database fails.
        """
        return self.reader.read(text, parameters, what="Cypher statement")
