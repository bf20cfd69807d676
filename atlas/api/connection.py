"""An open database: what every part of the interface stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from atlas.api.asking import plain_values
from atlas.errors import UsageError
from atlas.graph.reader import NO_LIMIT, DriverReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    import neo4j
    import pandas as pd

    from atlas.api.table import Table
    from atlas.graph.budget import Budget
    from atlas.graph.connection import ConnectionSettings
    from atlas.graph.reader import Row
    from atlas.graph.server import ManagedServer


class Connection:
    """An open database, with a reader of it.

    May be used by several threads at once. Pickled, it connects anew where it is unpickled: with
    the settings it was opened with, of which the password is part.

    Parameters
    ----------
    driver
        An open driver of the package `neo4j`; closed with the atlas.
    database
        Name of the database; None is the server's default.
    server
        The managed server that the driver is of, if it is one; only then may a large build be
        loaded in bulk.
    settings
        What the driver was opened with; without them the atlas cannot be pickled.
    budget
        What a query may cost: seconds, rows, memory.
    """

    def __init__(
        self,
        driver: neo4j.Driver,
        database: str | None = None,
        *,
        server: ManagedServer | None = None,
        settings: ConnectionSettings | None = None,
        budget: Budget = NO_LIMIT,
    ) -> None:
        self.driver = driver
        self.database = database
        self.server = server
        self.settings = settings
        self.reader = DriverReader(driver, database, budget=budget)

    @classmethod
    def connect(
        cls,
        uri: str | None = None,
        *,
        user: str | None = None,
        password: str | None = None,
        database: str | None = None,
        home: str | Path | None = None,
        budget: Budget = NO_LIMIT,
    ) -> Self:
        """Open an atlas.

        Parameters
        ----------
        uri, user, password, database
            The Neo4j server; by default those of the environment (``NEO4J_URI`` and so on), else
            the managed server of `home`.
        home
            Folder of the managed server; by default ``ATLAS_HOME``, else the user's data folder.
        budget
            What a query may cost; see `atlas.Budget`. By default there is no limit.

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
        return cls(
            connect(settings),
            settings.database,
            server=ManagedServer(home) if managed else None,
            settings=settings,
            budget=budget,
        )

    @property
    def home(self) -> Path | None:
        """Folder of the managed server, if it is one; builds lie in ``builds`` in it."""
        return self.server.home if self.server is not None else None

    def with_budget(self, budget: Budget) -> Self:
        """Return the same open atlas with another budget; both close the same connection."""
        return type(self)(
            self.driver,
            self.database,
            server=self.server,
            settings=self.settings,
            budget=budget,
        )

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

    def __getstate__(self) -> dict[str, Any]:
        if self.settings is None:
            raise UsageError(
                "This atlas was made from a driver and cannot be pickled.",
                hint="Open it with `Atlas.connect`.",
            )
        home = self.server.home if self.server is not None else None
        return {"settings": self.settings, "home": home, "budget": self.reader.budget}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from atlas.graph.connection import connect
        from atlas.graph.server import ManagedServer

        settings, home = state["settings"], state["home"]
        Connection.__init__(
            self,
            connect(settings),
            settings.database,
            server=ManagedServer(home) if home is not None else None,
            settings=settings,
            budget=state["budget"],
        )

    def cypher(self, text: str, /, **parameters: Any) -> Table:
        """Run a Cypher statement that only reads.

        Parameters
        ----------
        text
            The statement. Calls of procedures that do more than read are refused as well.
        **parameters
            Values of its parameters; of a feature, community or run its key, of a table its
            rows.

        Returns
        -------
        Table
            One dict a row, with plain Python values; ``to_pandas`` and so on.

        Raises
        ------
        UsageError
            The statement is wrong, or does more than read.
        BudgetError
            It took more than it may.
        DatabaseError
            The database fails.
        """
        from atlas.api.table import Table

        what, parameters = "Cypher statement", plain_values(parameters)
        self.reader.check(text, parameters, what=what)
        columns, rows = self.reader.read_table(text, parameters, what=what)
        return Table(rows, parameters=parameters, atlas=self, columns=columns)

    def stream(self, text: str, /, **parameters: Any) -> Iterator[Row]:
        """Yield the rows of a statement as they arrive; see `cypher`.

        Only a batch of them is in memory. Where the server fails on the way, a `DatabaseError`
        follows the rows before it.
        """
        what, parameters = "Cypher statement", plain_values(parameters)
        self.reader.check(text, parameters, what=what)
        return self.reader.stream(text, parameters, what=what)

    def frame(self, text: str, /, **parameters: Any) -> pd.DataFrame:
        """Return the result of a statement as a pandas data frame, the fast way for large ones.

        Values are not converted, so the statement should return properties, not nodes; raises as
        `cypher` does.
        """
        import pandas as pd

        what, parameters = "Cypher statement", plain_values(parameters)
        self.reader.check(text, parameters, what=what)
        return pd.DataFrame(self.reader.columns(text, parameters, what=what))
