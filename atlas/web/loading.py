"""Parts of a page that are asked for after it is shown, each with the Cypher behind it.

A page puts places into its layout (`later`); when the browser shows them it asks for what belongs
there (`load`). A panel that fails says so in its place, and the others stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dash import Dash, Input, Output, dcc, html

from atlas.errors import AtlasError, UsageError
from atlas.web.parts import error, feature_link, number, panel, show_cypher, table, tokens
from queries.catalogue import query, run_noted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.web.store import Row, Store

_LONGEST = 500
Asked = Mapping[str, Any]
"""What a page shows, as it is sent to the browser and comes back from it."""
Maker = Callable[["Store", Asked], Any]
"""Makes one panel."""
Groups = Mapping[str, Mapping[str, Maker]]
"""Names of places, and the panels of each by title; a group is one request."""


def later(page: str, groups: Groups, asked: Asked) -> list[Any]:
    """Return the places of a page's groups, which the browser fills."""
    return [dcc.Store(id=f"{page}-asked", data=dict(asked)),
            *(place(page, name, list(panels)) for name, panels in groups.items())]  # fmt: skip


def place(page: str, name: str, titles: Sequence[str]) -> Any:
    """Return the place of one group, with panels that say that they are being loaded."""
    waiting = [
        panel(title, html.P("Loading ...", className="dim", role="status")) for title in titles
    ]
    return html.Div(waiting, id=f"{page}-{name}", className="group")


def load(app: Dash, store: Store, *, page: str, groups: Groups) -> None:
    """Register what fills the places of a page."""
    for name, panels in groups.items():
        _register(app, store, (page, name), panels)


def _register(app: Dash, store: Store, where: tuple[str, str], panels: Mapping[str, Maker]) -> None:
    page, name = where

    @app.callback(Output(f"{page}-{name}", "children"), Input(f"{page}-asked", "data"))  # type: ignore[untyped-decorator]
    def fill(asked: Asked | None) -> list[Any]:
        return [_made(store, asked or {}, title, make) for title, make in panels.items()]


def _made(store: Store, asked: Asked, title: str, make: Maker) -> Any:
    try:
        return make(store, asked)
    except AtlasError as what:
        return panel(title, error(what))


def ask(store: Store, name: str, /, *, place: str, **parameters: Any) -> tuple[list[Row], Any]:
    """Ask a query of the catalogue; return its rows, and its statement as a part of a page.

    Parameters
    ----------
    store
        The atlas.
    name
        Name of the query.
    place
        Unique on the page.
    **parameters
        Of the query.
    """
    rows, sent = run_noted(store.atlas.reader, name, **parameters)
    return rows, show_cypher(query(name).cypher, sent, place=place)


def named(name: str) -> str:
    """Return the name of a feature as an address has it.

    Raises
    ------
    UsageError
        It is longer than any name; the full-text index would stumble over it.
    """
    if len(name) > _LONGEST:
        raise UsageError(f"The name of the feature has {len(name):,} characters.")
    return name


def read(store: Store, statement: str, *, place: str, **parameters: Any) -> tuple[list[Row], Any]:
    """Run a statement that the catalogue does not have; return as `ask` does."""
    rows = [dict(row) for row in store.atlas.cypher(statement, **parameters)]
    return rows, show_cypher(statement, parameters, place=place)


def rows_table(
    name: str,
    rows: Sequence[Row],
    columns: Mapping[str, str],
    *,
    caption: str,
    last: tuple[str, Callable[[Row], Any]] | None = None,
    edge: Callable[[Row], Any] | None = None,
) -> Any:
    """Return rows of a query as a table.

    Parameters
    ----------
    name
        Name of the query, whose header says what columns mean; empty for other statements.
    rows
        The rows.
    columns
        Column to heading. ``key`` is a link to the feature, by its label.
    caption
        What the table is of.
    last
        Heading and content of one more column.
    edge
        Makes the link to why the row's feature is joined; it stands beside the feature.
    """
    meanings = {column.name: column.meaning for column in query(name).columns} if name else {}
    heads: list[Any] = [
        html.Abbr(head, title=meanings[column]) if column in meanings else head
        for column, head in columns.items()
    ]
    body = [[cell(row, column) for column in columns] for row in rows]
    if last is not None:
        heads.append(last[0])
        body = [[*cells, last[1](row)] for cells, row in zip(body, rows, strict=True)]
    if edge is not None:
        heads.insert(1, "edge")
        body = [[cells[0], edge(row), *cells[1:]] for cells, row in zip(body, rows, strict=True)]
    return table(heads, body, caption=caption)


def cell(row: Row, column: str) -> Any:
    """Return what a table shows of one value."""
    value = row.get(column)
    if column == "key":
        return feature_link(row["key"], row.get("label"))
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        text = chance(value) if column in ("p", "q") else figure(value)
        return html.Span(text, className="figure")
    if isinstance(value, list):
        return tokens([str(item) for item in value[:6]])
    return str(value)


def chance(value: float | None) -> str:
    """Return a p- or q-value; one that is too small for a number is not shown as 0."""
    if value is not None and value < 1e-300:
        return "< 1e-300"
    return number(value, 2)


def figure(value: float | None) -> str:
    """Return a number; a large one with its digits rather than a power of ten."""
    if value is not None and 1000 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return number(value)


def empty(*text: Any) -> Any:
    """Return a dim line, such as one that says that there is nothing."""
    return html.P(list(text), className="dim")


def wide(made: Any) -> Any:
    """Return a panel that is as wide as the page."""
    made.className = f"{made.className} wide"
    return made
