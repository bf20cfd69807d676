"""Runs read-only Cypher and returns plain Python values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from atlas.graph.failures import database_errors
from atlas.graph.sessions import open_session

if TYPE_CHECKING:
    from collections.abc import Mapping

    import neo4j

Row = dict[str, Any]
"""One row of a result: column -> plain value (JSON types; temporal values as ISO-8601 text)."""


class Reader(Protocol):
    """Runs a read query. The first argument of every function of `queries`."""

    def read(
        self, text: str, parameters: Mapping[str, Any] | None = None, *, what: str = "query"
    ) -> list[Row]:
        """Run `text` as a read transaction and return all of its rows."""


class DriverReader:
    """A `Reader` over a driver of the package `neo4j`.

    The server itself refuses writes: sessions are opened in read mode.

    Parameters
    ----------
    driver
        An open driver; the caller closes it.
    database
        Name of the database; None is the server's default.
    """

    def __init__(self, driver: neo4j.Driver, database: str | None = None) -> None:
        self.driver = driver
        self.database = database

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
        DatabaseError
            The server cannot be reached or failed.
        """

        def work(tx: neo4j.ManagedTransaction) -> list[Row]:
            result = tx.run(text, dict(parameters or {}))
            keys = result.keys()
            return [
                {key: plain(value) for key, value in zip(keys, record.values(), strict=True)}
                for record in result
            ]

        with (
            database_errors(what),
            open_session(self.driver, self.database, read_only=True) as session,
        ):
            return session.execute_read(work)


def plain(value: Any) -> Any:
    """Return a Neo4j value as plain Python: nodes and relationships become dicts of properties."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
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
    if hasattr(value, "iso_format"):
        return value.iso_format()
    return str(value)
