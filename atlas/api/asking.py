"""How the methods of an atlas ask the catalogue, in turn and with await."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from atlas.errors import NotFoundError
from atlas.graph.asking import ask, ask_async

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atlas.api.objects import Community, Feature, Run
    from atlas.graph.async_reader import AsyncReader
    from atlas.graph.reader import DriverReader, Row
    from queries.header import QuerySpec

FeatureName: TypeAlias = "str | int | Feature"
"""A feature's key, ``sae/index``, index, label or top token; or the object."""
CommunityName: TypeAlias = "str | int | Community"
"""A community's key, number or label; or the object."""
RunName: TypeAlias = "str | Run"
"""A run's key; or the object."""


class Asking:
    """Asks the queries of the catalogue, and gives their results their classes."""

    reader: DriverReader

    def query(self, name: str, /, **parameters: Any) -> Any:
        """Run a query of the catalogue by name; the method of that name does the same.

        Parameters
        ----------
        name
            Name of the query.
        **parameters
            Its parameters; those with a default may be left out.

        Raises
        ------
        NotFoundError
            No such query, feature, community, run, SAE, concept or token; the message names the
            nearest.
        UsageError
            An unknown or missing parameter, a wrong value, or a name that several have.
        BudgetError
            The query took more than it may.
        DatabaseError
            The database fails.
        """
        return self._ask(name, **parameters)

    def _ask(self, name: str, /, **parameters: Any) -> Any:
        from queries.catalogue import query, question

        given = plain_names(parameters)
        rows = ask(self.reader, question(name, given))
        return result_of(query(name), rows, given, atlas=self)


class AsyncAsking:
    """As `Asking`, without blocking the event loop."""

    reader: AsyncReader

    async def query(self, name: str, /, **parameters: Any) -> Any:
        """Run a query of the catalogue by name; see `Asking.query`."""
        return await self._ask(name, **parameters)

    async def _ask(self, name: str, /, **parameters: Any) -> Any:
        from queries.catalogue import query, question

        given = plain_names(parameters)
        rows = await ask_async(self.reader, question(name, given))
        return result_of(query(name), rows, given, atlas=None)


def plain_names(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with keys in place of features, communities and runs."""
    return {name: _plain(value) for name, value in parameters.items()}


def plain_values(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of a user's statement, with keys for objects and rows for tables."""
    from atlas.api.objects import Record
    from atlas.api.table import Table

    def one(value: Any) -> Any:
        if isinstance(value, Table):
            return value.to_dicts()
        return value.key if isinstance(value, Record) else value

    return {name: one(value) for name, value in parameters.items()}


def _plain(value: Any) -> Any:
    from atlas.api.objects import Features, Record

    if isinstance(value, Record):
        return value.key
    if isinstance(value, Features):
        return value.keys
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def result_of(spec: QuerySpec, rows: list[Row], given: Mapping[str, Any], *, atlas: Any) -> Any:
    """Return a query's rows as what its header says they are.

    Raises
    ------
    NotFoundError
        There is to be one row and is none.
    """
    from atlas.api import objects
    from atlas.api.table import Table

    if spec.single:
        if not rows:
            raise NotFoundError(f"The query {spec.name} finds nothing for {dict(given)}.")
        made = {"feature": objects.Feature, "community": objects.Community, "run": objects.Run}
        kind = made.get(spec.result)
        return rows[0] if kind is None else kind(rows[0], atlas=atlas, whole=True)
    tables: dict[str, type[Table]] = {
        "features": objects.Features,
        "communities": objects.Communities,
        "runs": objects.Runs,
    }
    table = tables.get(spec.result, Table)
    return table(rows, spec=spec, parameters=given, atlas=atlas)
