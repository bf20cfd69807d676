"""Small parts that pages are put together from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from dash import dcc, html

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atlas.errors import AtlasError


def link(path: str, text: Any, /, *, class_name: str = "", **query: str | int | None) -> Any:
    """Return a link to a view of the explorer."""
    return dcc.Link(text, href=address(path, **query), className=class_name)


def address(path: str, **query: str | int | None) -> str:
    """Return the address of a view; what is None or empty is left out."""
    given = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given, quote_via=quote)}" if given else path


def feature_link(key: str, label: str | None = None) -> Any:
    """Return a link to a feature, by its label and, smaller, its place."""
    sae, _, index = key.rpartition("/")
    name = f"{sae.rpartition('/')[2]}/{index}"
    shown = [html.Span(label or name)]
    if label:
        shown.append(html.Span(name, className="dim small"))
    return link("/feature", shown, class_name="feature", key=key)


def error(what: AtlasError) -> Any:
    """Return what went wrong and what to do, as a part of a page."""
    parts = [html.P(what.message)]
    if what.hint:
        parts.append(html.P(what.hint, className="dim"))
    return html.Div(parts, className="error", role="alert")


def panel(title: str, *children: Any, cypher: Any = None, id: str | None = None) -> Any:  # noqa: A002
    """Return a titled part of a page, perhaps with the Cypher behind it."""
    given = {"id": id} if id else {}
    head = html.H2(title)
    body = [child for child in children if child is not None]
    return html.Section([head, *body, *([cypher] if cypher is not None else [])],
                        className="panel", **given)  # fmt: skip


def show_cypher(statement: str, parameters: Mapping[str, Any], *, place: str) -> Any:
    """Return the statement behind a panel, folded, with a button that copies it.

    Parameters
    ----------
    statement
        Cypher.
    parameters
        Its parameters; they come before it as Neo4j Browser takes them.
    place
        Unique on the page.
    """
    given = json.dumps(dict(parameters), ensure_ascii=False, default=str)
    text = f":param {given};\n{statement.strip()}" if parameters else statement.strip()
    where = f"cypher-{place}"
    return html.Details(
        [
            html.Summary("Show Cypher"),
            dcc.Clipboard(target_id=where, title="Copy", className="copy"),
            html.Pre(html.Code(text), id=where, tabIndex=0, **{"aria-label": "Cypher statement"}),
        ],
        className="cypher",
    )


def facts(rows: Sequence[tuple[str, Any]]) -> Any:
    """Return names and values as a definition list; values that are None are left out."""
    parts: list[Any] = []
    for name, value in rows:
        if value is not None and value != "":
            parts += [html.Dt(name), html.Dd(value)]
    return html.Dl(parts, className="facts")


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, caption: str) -> Any:
    """Return a plain table; `caption` is read out, and shown above it."""
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in columns]))
    body = html.Tbody([html.Tr([html.Td(cell) for cell in row]) for row in rows])
    return html.Div(
        html.Table([html.Caption(caption), head, body]), className="scroll", tabIndex=0,
        role="region", **{"aria-label": caption},
    )  # fmt: skip


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with some significant digits; a dash for none."""
    if value is None or value != value:  # noqa: PLR0124
        return "–"
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:.{digits}g}"


def tokens(words: Sequence[str]) -> Any:
    """Return tokens as small boxes, in which white space can be seen."""
    return html.Span(
        [html.Code(visible(word), className="token") for word in words], className="tokens"
    )


def visible(text: str) -> str:
    """Return a token's text with its white space made visible."""
    return text.replace("\n", "↵").replace("\t", "⇥").replace(" ", "·")
