"""What a query returns: rows that turn into data frames and graphs."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, overload

from atlas.api.html import rows_as_html
from atlas.errors import UsageError

if TYPE_CHECKING:
    import igraph
    import networkx as nx
    import pandas as pd
    import polars as pl
    from rich.table import Table as RichTable

    from atlas.graph.reader import Row
    from queries.header import QuerySpec

_SHOWN = 20


class Table(Sequence["Row"]):
    """Rows of a query, in its order.

    A sequence of dicts with plain Python values; `to_pandas` and the like give it another form.

    Parameters
    ----------
    rows
        The rows.
    spec
        The query of the catalogue that they are of; None for a statement of the user's own.
    parameters
        The parameters it was asked with.
    atlas
        The `Atlas` that was asked; what needs another query asks it.
    columns
        Names of the columns where there is no `spec`; by default those of the first row.
    """

    def __init__(
        self,
        rows: Iterable[Row],
        *,
        spec: QuerySpec | None = None,
        parameters: Mapping[str, Any] | None = None,
        atlas: Any = None,
        columns: Sequence[str] = (),
    ) -> None:
        self._rows = list(rows)
        self._columns = list(columns)
        self.spec = spec
        self.parameters = dict(parameters or {})
        self._atlas = atlas

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order."""
        if self.spec is not None:
            return [column.name for column in self.spec.columns]
        return self._columns or (list(self._rows[0]) if self._rows else [])

    @property
    def title(self) -> str:
        """What the rows are of."""
        return self.spec.title if self.spec is not None else "Rows"

    def column(self, name: str) -> list[Any]:
        """Return one column's values.

        Raises
        ------
        UsageError
            There is no such column.
        """
        if name not in self.columns:
            raise UsageError(
                f"{self.title} has no column {name!r}.", hint=f"It has {', '.join(self.columns)}."
            )
        return [row[name] for row in self._rows]

    def to_dicts(self) -> list[Row]:
        """Return the rows as a new list of dicts."""
        return [dict(row) for row in self._rows]

    def to_pandas(self) -> pd.DataFrame:
        """Return a pandas data frame, one row each; lists and maps stay Python objects.

        The query's name and parameters are in ``DataFrame.attrs``.
        """
        import pandas as pd

        frame = pd.DataFrame(self._rows, columns=self.columns)
        if self.spec is not None:
            frame.attrs.update(query=self.spec.name, parameters=self.parameters)
        return frame

    def to_polars(self) -> pl.DataFrame:
        """Return a polars data frame, one row each.

        Raises
        ------
        UsageError
            The extra `polars` is not installed.
        """
        try:
            import polars as pl
        except ImportError as error:
            raise UsageError(
                "Polars is not installed.", hint="pip install 'sae-feature-atlas[polars]'"
            ) from error
        return pl.DataFrame({name: self.column(name) for name in self.columns}, strict=False)

    def to_networkx(self) -> nx.MultiDiGraph[str]:
        """Return the rows as a graph, where they have the columns ``source`` and ``target``.

        The other columns are the edges' attributes. Tables of features have a graph of their own.

        Raises
        ------
        UsageError
            The rows are no edges.
        """
        import networkx as nx

        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        for row in self._edges():
            rest = {name: row[name] for name in row if name not in ("source", "target")}
            graph.add_edge(row["source"], row["target"], **rest)
        return graph

    def to_igraph(self) -> igraph.Graph:
        """Return the graph of `to_networkx` for python-igraph, with keys as vertex names.

        Raises
        ------
        UsageError
            The rows are no edges, or the extra `analysis` is not installed.
        """
        try:
            import igraph
        except ImportError as error:
            raise UsageError(
                "python-igraph is not installed.", hint="pip install 'sae-feature-atlas[analysis]'"
            ) from error
        graph = igraph.Graph.from_networkx(self.to_networkx())
        graph.vs["name"] = graph.vs["_nx_name"]
        del graph.vs["_nx_name"]
        return graph

    def _edges(self) -> Sequence[Row]:
        if not {"source", "target"} <= set(self.columns):
            raise UsageError(
                f"The rows of {self.title} are no edges.",
                hint="Graphs are made of tables of features, or of source and target.",
            )
        return self._rows

    def _like(self, rows: Iterable[Row]) -> Self:
        return type(self)(
            rows,
            spec=self.spec,
            parameters=self.parameters,
            atlas=self._atlas,
            columns=self._columns,
        )

    def __getstate__(self) -> dict[str, Any]:
        # The atlas has a password and a connection, which do not belong into a result's pickle.
        return self.__dict__ | {"_atlas": None}

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Row | Self:
        if isinstance(index, slice):
            return self._like(self._rows[index])
        return self._rows[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Table):
            return self._rows == other._rows
        return isinstance(other, list) and self._rows == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        from rich.console import Console

        text = io.StringIO()
        Console(width=100, file=text, color_system=None).print(self)
        return text.getvalue().rstrip()

    def __rich__(self) -> RichTable:
        from rich.table import Table as RichTable
        from rich.text import Text

        title, rows = self.shown(_SHOWN)
        more = len(self) - _SHOWN
        caption = f"{more} more" if more > 0 else None
        heading = Text(f"{title}: {len(self)}")
        made = RichTable(title=heading, title_justify="left", caption=caption)
        # Tokens such as "[/INST]" are text, not markup.
        for name in self.shown_columns:
            made.add_column(Text(name))
        for row in rows:
            made.add_row(*(Text(as_text(value)) for value in row.values()))
        return made

    def _repr_html_(self) -> str:
        title, rows = self.shown(_SHOWN)
        return rows_as_html(rows, self.shown_columns, title=title, total=len(self))

    @property
    def shown_columns(self) -> list[str]:
        """Names of the columns that fit a terminal; all are there."""
        return list(self.spec.table) if self.spec is not None else self.columns

    def shown(self, limit: int | None = None) -> tuple[str, list[Row]]:
        """Return a title, and the columns that fit a terminal.

        Where all keys begin alike, as those of one SAE, the beginning is in the title and not in
        the rows.

        Parameters
        ----------
        limit
            Most rows; None returns all.
        """
        rows = [{name: row.get(name) for name in self.shown_columns} for row in self._rows[:limit]]
        heads = {str(row["key"]).rpartition("/")[0] for row in rows if row.get("key") is not None}
        if len(heads) != 1:
            return self.title, rows
        head = heads.pop()
        for row in rows:
            row["key"] = row["key"] and row["key"][len(head) + 1 :]
        return f"{self.title} ({head}/...)", rows


def as_text(value: Any) -> str:
    """Return a value of a row as short text for a table's cell."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return " ".join(as_text(item) for item in value)
    if isinstance(value, Mapping):
        return "  ".join(f"{name} {as_text(item)}" for name, item in value.items())
    return str(value)
