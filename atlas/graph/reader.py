"""Runs read-only Cypher and returns plain Python values."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from atlas.errors import UsageError
from atlas.graph.budget import Budget, Meter
from atlas.graph.failures import database_errors, translate
from atlas.graph.guard import check_plan
from atlas.graph.sessions import open_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import neo4j

Row = dict[str, Any]
"""One row of a result: column -> plain value (JSON types; temporal values as ISO-8601 text)."""

NO_LIMIT = Budget()
_SIMPLE = frozenset({str, int, float, bool, type(None)})
REMEMBERED = 1000
"""Most statements that a reader knows to only read."""


class Reader(Protocol):
    """Runs a read query. The first argument of the functions that only read."""

    def read(
        self, text: str, parameters: Mapping[str, Any] | None = None, *, what: str = "query"
    ) -> list[Row]:
        """Run `text` as a read transaction and return all of its rows."""


class DriverReader:
    """A `Reader` over a driver of the package `neo4j`.

    The server itself refuses writes: sessions are opened in read mode. May be used by several
    threads at once: each read has a session of its own.

    Parameters
    ----------
    driver
        An open driver; the caller closes it.
    database
        Name of the database; None is the server's default.
    budget
        What a query may cost.
    """

    def __init__(
        self, driver: neo4j.Driver, database: str | None = None, *, budget: Budget = NO_LIMIT
    ) -> None:
        self.driver = driver
        self.database = database
        self.budget = budget
        self._checked: set[str] = set()

    def read(
        self, text: str, parameters: Mapping[str, Any] | None = None, *, what: str = "query"
    ) -> list[Row]:
        """Run `text` as a read transaction (retried on transient errors).

        Parameters
        ----------
        text
            One Cypher statement.
        parameters
            Values of its parameters.
        what
            Name of the work, for error messages.

        Returns
        -------
        list of dict
            One dict a row, in the statement's order, with plain Python values.

        Raises
        ------
        UsageError
            The statement is wrong or writes.
        BudgetError
            It takes more than the budget.
        DatabaseError
            The server cannot be reached or failed.
        """
        return self.read_table(text, parameters, what=what)[1]

    def read_table(
        self, text: str, parameters: Mapping[str, Any] | None = None, *, what: str = "query"
    ) -> tuple[list[str], list[Row]]:
        """Return the columns of a statement, also where it finds nothing, and its rows.

        Parameters and errors are those of `read`.
        """

        def collect(result: neo4j.Result) -> tuple[list[str], list[Row]]:
            keys, meter = list(result.keys()), Meter(self.budget, what)
            rows: list[Row] = []
            for record in result:
                rows.append(as_row(keys, record.values()))
                meter.check(len(rows), rows[-1])
            return keys, rows

        found: tuple[list[str], list[Row]] = self.collect(
            text, parameters, what=what, collect=collect
        )
        return found

    def collect(
        self,
        text: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        what: str = "query",
        collect: Callable[[neo4j.Result], Any],
    ) -> Any:
        """Run `text` as `read` does, and return what `collect` makes of the driver's result.

        `collect` is called anew where a transient error makes the statement be tried again.
        """
        from neo4j import Query, RoutingControl
        from neo4j.exceptions import Neo4jError

        def transform(result: neo4j.Result) -> Any:
            try:
                return collect(result)
            except Neo4jError as error:
                if "OutOfMemory" in (error.code or ""):
                    # The server calls this transient; trying again would only fill it again.
                    raise translate(error, what) from error
                raise

        # Saves a round trip of a session's `execute_read`: the beginning and the statement are
        # sent together.
        with database_errors(what), sendable(what):
            return self.driver.execute_query(
                Query(text, timeout=self.budget.seconds),
                dict(parameters or {}),
                routing_=RoutingControl.READ,
                database_=self.database,
                result_transformer_=transform,
            )

    def check(
        self, text: str, parameters: Mapping[str, Any] | None = None, *, what: str = "query"
    ) -> None:
        """Raise `UsageError` unless a statement only reads, calls included; nothing is run.

        For statements that are not the atlas's own; see `atlas.graph.guard`. What was found to
        read is not asked again.
        """
        if text not in self._checked:
            found = self.collect(f"EXPLAIN {text}", parameters, what=what, collect=_summary)
            check_plan(found.query_type, found.plan, what)
            if len(self._checked) >= REMEMBERED:
                self._checked.clear()
            self._checked.add(text)

    def columns(
        self, text: str, parameters: Mapping[str, Any] | None = None, *, what: str = "query"
    ) -> dict[str, list[Any]]:
        """Return the result by column, for a large one; raises as `read` does.

        Values are as the driver gives them, so the statement should return no nodes.

        Returns
        -------
        dict
            Column -> its values, in the order of the rows.
        """

        def collect(result: neo4j.Result) -> dict[str, list[Any]]:
            keys, meter = result.keys(), Meter(self.budget, what)
            limited = self.budget.rows is not None or self.budget.mib is not None
            rows = []
            for count, record in enumerate(result, start=1):
                rows.append(record.values())
                if limited:
                    meter.check(count, rows[-1])
            by_column = list(zip(*rows, strict=True)) or [()] * len(keys)
            return {key: list(values) for key, values in zip(keys, by_column, strict=True)}

        found: dict[str, list[Any]] = self.collect(text, parameters, what=what, collect=collect)
        return found

    def stream(
        self, text: str, parameters: Mapping[str, Any] | None = None, *, what: str = "query"
    ) -> Iterator[Row]:
        """Yield the rows as they arrive; no more than a batch of them is in memory.

        The transaction lasts until the last row was taken or the iterator is closed. It cannot be
        repeated: where the server fails on the way, the error comes after the rows before it.

        Raises
        ------
        UsageError, BudgetError, DatabaseError
            As for `read`, at the first row or on the way.
        """
        meter = Meter(self.budget, what)
        with (
            database_errors(what),
            open_session(self.driver, self.database, read_only=True) as session,
            session.begin_transaction(timeout=self.budget.seconds) as tx,
        ):
            with sendable(what):
                result = tx.run(text, dict(parameters or {}))
            keys = result.keys()
            for count, record in enumerate(result, start=1):
                row = as_row(keys, record.values())
                meter.check(count, row)
                yield row


@contextmanager
def sendable(what: str) -> Iterator[None]:
    """Raise what the driver says of parameters that it cannot send as a `UsageError`."""
    try:
        yield
    except (OverflowError, TypeError, ValueError) as error:
        raise UsageError(
            f"{what}: a parameter cannot be sent to Neo4j ({error}).",
            hint="Send text, whole numbers below 2**63, floats, lists and maps.",
        ) from error


def _summary(result: neo4j.Result) -> neo4j.ResultSummary:
    return result.consume()


def as_row(keys: Sequence[str], values: Sequence[Any]) -> Row:
    """Return one row from a record's columns and values."""
    return {
        key: value if type(value) in _SIMPLE else plain(value)
        for key, value in zip(keys, values, strict=True)
    }


def plain(value: Any) -> Any:
    """Return a Neo4j value as plain Python: nodes and relationships become dicts of properties."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "iso_format"):  # first, since a duration is a tuple
        return value.iso_format()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return _entity(value)


def _entity(value: Any) -> Any:
    from neo4j.graph import Node, Path, Relationship

    if isinstance(value, Node):
        return {"labels": sorted(value.labels), **plain(dict(value.items()))}
    if isinstance(value, Relationship):
        return {"type": value.type, **plain(dict(value.items()))}
    if isinstance(value, Path):
        return {
            "nodes": [plain(node) for node in value.nodes],
            "relationships": [plain(relationship) for relationship in value.relationships],
        }
    return str(value)
