"""The reader of `atlas.graph.reader` over the driver's async interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.graph.budget import Budget, Meter
from atlas.graph.failures import database_errors, translate
from atlas.graph.guard import check_plan
from atlas.graph.reader import NO_LIMIT, REMEMBERED, Row, as_row, sendable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    import neo4j


class AsyncReader:
    """Runs read-only Cypher without blocking the event loop.

    Parameters
    ----------
    driver
        An open async driver; the caller closes it.
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
        self.budget = budget
        self._checked: set[str] = set()

    async def read(
        self, text: str, parameters: Mapping[str, Any] | None = None, *, what: str = "query"
    ) -> list[Row]:
        """Return all rows of a statement; see `atlas.graph.reader.DriverReader.read`."""
        return (await self.read_table(text, parameters, what=what))[1]

    async def read_table(
        self, text: str, parameters: Mapping[str, Any] | None = None, *, what: str = "query"
    ) -> tuple[list[str], list[Row]]:
        """Return columns and rows; see `atlas.graph.reader.DriverReader.read_table`."""

        async def collect(result: neo4j.AsyncResult) -> tuple[list[str], list[Row]]:
            keys, meter = list(result.keys()), Meter(self.budget, what)
            rows: list[Row] = []
            async for record in result:
                rows.append(as_row(keys, record.values()))
                meter.check(len(rows), rows[-1])
            return keys, rows

        found: tuple[list[str], list[Row]] = await self._run(
            text, parameters, what=what, collect=collect
        )
        return found

    async def _run(
        self,
        text: str,
        parameters: Mapping[str, Any] | None,
        *,
        what: str,
        collect: Callable[[neo4j.AsyncResult], Awaitable[Any]],
    ) -> Any:
        from neo4j import Query, RoutingControl
        from neo4j.exceptions import Neo4jError

        async def transform(result: neo4j.AsyncResult) -> Any:
            try:
                return await collect(result)
            except Neo4jError as error:
                if "OutOfMemory" in (error.code or ""):
                    raise translate(error, what) from error
                raise

        with database_errors(what), sendable(what):
            return await self.driver.execute_query(
                Query(text, timeout=self.budget.seconds),
                dict(parameters or {}),
                routing_=RoutingControl.READ,
                database_=self.database,
                result_transformer_=transform,
            )

    async def stream(
        self, text: str, parameters: Mapping[str, Any] | None = None, *, what: str = "query"
    ) -> AsyncGenerator[Row, None]:
        """Yield the rows as they arrive; see `atlas.graph.reader.DriverReader.stream`."""
        meter = Meter(self.budget, what)
        count = 0
        with database_errors(what):
            async with self._session() as session:
                tx = await session.begin_transaction(timeout=self.budget.seconds)
                async with tx:
                    with sendable(what):
                        result = await tx.run(text, dict(parameters or {}))
                    keys = result.keys()
                    async for record in result:
                        count += 1
                        row = as_row(keys, record.values())
                        meter.check(count, row)
                        yield row

    async def check(
        self, text: str, parameters: Mapping[str, Any] | None = None, *, what: str = "query"
    ) -> None:
        """Raise `UsageError` unless a statement only reads; see `DriverReader.check`."""
        if text not in self._checked:
            found = await self._run(f"EXPLAIN {text}", parameters, what=what, collect=_summary)
            check_plan(found.query_type, found.plan, what)
            if len(self._checked) >= REMEMBERED:
                self._checked.clear()
            self._checked.add(text)

    def _session(self) -> neo4j.AsyncSession:
        from neo4j import READ_ACCESS, NotificationMinimumSeverity

        return self.driver.session(
            database=self.database,
            default_access_mode=READ_ACCESS,
            notifications_min_severity=NotificationMinimumSeverity.OFF,
            bookmark_manager=self.driver.execute_query_bookmark_manager,
        )


async def _summary(result: neo4j.AsyncResult) -> neo4j.ResultSummary:
    return await result.consume()
