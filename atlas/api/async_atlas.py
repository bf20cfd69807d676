"""The atlas for programs with an event loop: the queries as coroutines."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Self

from atlas.api.aio import AsyncQueries
from atlas.api.asking import plain_values
from atlas.graph.async_reader import AsyncReader
from atlas.graph.reader import NO_LIMIT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path
    from types import TracebackType

    import neo4j

    from atlas.api.table import Table
    from atlas.graph.budget import Budget
    from atlas.graph.reader import Row


class AsyncAtlas(AsyncQueries):
    """An open atlas, asked with ``await``: each query of the catalogue, and Cypher.

    >>> async with await AsyncAtlas.connect() as atlas:  # doctest: +SKIP
    ...     rows = await atlas.neighbours("heart", limit=5)

    What it returns turns into data frames as that of `atlas.Atlas` does; queries are asked of
    the atlas, not of the features returned. Several may be under way at once.

    Parameters
    ----------
    driver
        An open async driver of the package `neo4j`; closed with the atlas.
    database
        Name of the database; None is the server's default.
    budget
        What a query may cost.
    """

    def __init__(
        self, driver: neo4j.AsyncDriver, database: str | None = None, *, budget: Budget = NO_LIMIT
    ) -> None:
        self.driver = driver
        self.database = database
        self.reader = AsyncReader(driver, database, budget=budget)

    @classmethod
    async def connect(
        cls,
        uri: str | None = None,
        *,
        user: str | None = None,
        password: str | None = None,
        database: str | None = None,
        home: str | Path | None = None,
        budget: Budget = NO_LIMIT,
    ) -> Self:
        """Open an atlas; see `atlas.Atlas.connect`."""
        from atlas.graph.connection import connect_async, resolve_connection

        settings = resolve_connection(
            uri=uri, username=user, password=password, database=database, home=home
        )
        return cls(await connect_async(settings), settings.database, budget=budget)

    async def close(self) -> None:
        """Close the connection."""
        await self.driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def cypher(self, text: str, /, **parameters: Any) -> Table:
        """Run a Cypher statement that only reads; see `atlas.Atlas.cypher`."""
        from atlas.api.table import Table

        what, parameters = "Cypher statement", plain_values(parameters)
        await self.reader.check(text, parameters, what=what)
        columns, rows = await self.reader.read_table(text, parameters, what=what)
        return Table(rows, parameters=parameters, columns=columns)

    async def stream(self, text: str, /, **parameters: Any) -> AsyncGenerator[Row, None]:
        """Yield the rows of a statement as they arrive; see `atlas.Atlas.stream`."""
        what, parameters = "Cypher statement", plain_values(parameters)
        await self.reader.check(text, parameters, what=what)
        # Closing this generator closes the session of the inner one as well.
        async with aclosing(self.reader.stream(text, parameters, what=what)) as rows:
            async for row in rows:
                yield row
