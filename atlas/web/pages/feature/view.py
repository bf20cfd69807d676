"""The page of a feature: all that the atlas knows of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dash import dcc, html

from atlas.errors import AtlasError, UsageError
from atlas.web.contexts import context
from atlas.web.loading import Groups, ask, empty, figure, load, named, place, wide
from atlas.web.page import Page, Query
from atlas.web.pages.feature.activations import activations, weaker
from atlas.web.pages.feature.evidence import effects, explanations, measured, provenance
from atlas.web.pages.feature.panels import (
    KINDS,
    concepts,
    hierarchy,
    layers,
    neighbours,
    numbers,
    similar,
)
from atlas.web.parts import facts, link, number, panel, table, tokens
from queries.catalogue import query as catalogue_query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dash import Dash

    from atlas.web.store import Store

#: Rows a panel, unless the address says otherwise, and the most that it may say.
ROWS, MOST_ROWS = 10, 200
_TOKENS = 12
_SCORES = {"pagerank": "PageRank", "degree": "Degree", "strength": "Strength",
           "betweenness": "Betweenness", "closeness": "Closeness",
           "eigenvector": "Eigenvector"}  # fmt: skip
GROUPS: Groups = {
    "activations": {"Activations": activations},
    "weaker": {"Contexts drawn from all its firings": weaker},
    "neighbours": {title: partial(neighbours, kind=kind) for kind, (title, _, _) in KINDS.items()},
    "structure": {
        "Hierarchy": hierarchy,
        "Across layers": layers,
        "Similar by decoder": similar,
        "Concepts": concepts,
    },
    "effects": {
        "Promotion as measured": measured,
        "Explanations": explanations,
        "Known effects": effects,
    },
    "provenance": {"Provenance": provenance},
}
"""What is loaded after the page is shown, a request a group."""


def page(store: Store) -> Page:
    """Return the page."""
    return Page("/feature", None, "Feature", partial(_layout, store))


def callbacks(app: Dash, store: Store) -> None:
    """Register what fills the panels."""
    load(app, store, page="feature", groups=GROUPS)


def _layout(store: Store, query: Query) -> Any:
    name = query.get("key", "").strip()
    if not name:
        raise UsageError(
            "The address names no feature.", hint="Search for one above, or take one on the map."
        )
    rows = _rows(query.get("rows"))
    found, cypher = ask(
        store, "feature", place="card", feature=named(name), contexts=min(rows, 100), tokens=_TOKENS
    )
    if not found:
        raise UsageError(f"The feature {name!r} is in no SAE of the atlas.")
    card = found[0]
    asked = {
        "key": card["key"], "rows": rows, "run": card["run"], "sae": card["sae"], "n": card["n"],
        "max": card["max"],
    }  # fmt: skip
    return [
        html.H1(card["label"] or _short(card["key"])),
        html.P([html.Code(card["key"]), *_marks(card)], className="dim"),
        html.P(_links(store, card), className="links"),
        dcc.Store(id="feature-asked", data=asked),
        html.Div(
            [
                panel("Statistics", facts(numbers(card)), cypher=cypher),
                _place(card),
                _contexts(card),
                _tokens(card),
                *_later("activations", "weaker"),
            ],
            className="panels",
        ),
        html.Div(_later("neighbours", "structure"), className="masonry"),
        html.Div(_later("effects", "provenance"), className="panels"),
    ]


def _later(*names: str) -> list[Any]:
    return [place("feature", name, list(GROUPS[name])) for name in names]


def _rows(given: str | None) -> int:
    """Return how many rows panels have, whatever the address says."""
    if given is None or not given.isdecimal():
        return ROWS
    return max(1, min(MOST_ROWS, int(given[:6])))


def _short(key: str) -> str:
    return "/".join(key.split("/")[-2:])


def _marks(card: Mapping[str, Any]) -> list[Any]:
    marks = []
    if card["dead"]:
        marks.append(" · dead: it never fires in the corpus")
    if card["dense"]:
        marks.append(" · dense: it fires on more than a tenth of the positions")
    return marks


def _links(store: Store, card: Mapping[str, Any]) -> list[Any]:
    key = card["key"]
    links = [
        link("/graph", "Graph around it", keys=key),
        link("/search", "Features with a like label", where="like", q=key),
    ]
    if card["neuronpedia_id"]:
        links.append(_outside("Neuronpedia", neuronpedia(card["neuronpedia_id"], card["index"])))
    browser = browser_address(store, key)
    if browser:
        links.append(_outside("Neo4j Browser", browser))
    separated: list[Any] = []
    for one in links:
        separated += [one, " · "]
    return separated[:-1]


def neuronpedia(sae: str, index: int) -> str:
    """Return the address of a feature at Neuronpedia."""
    return f"https://www.neuronpedia.org/{quote(sae, safe='/')}/{index}"


def browser_address(store: Store, key: str) -> str | None:
    """Return where Neo4j Browser shows a feature; None where the atlas does not run the server."""
    server = store.atlas.server
    if server is None:
        return None
    try:
        browser = store.keep(("browser",), lambda: server.status().browser)
    except AtlasError:
        return None
    if not browser:
        return None
    # A statement in an address has no parameters beside it.
    statement = catalogue_query("feature").graph.replace("$feature", quoted(key))
    return f"{browser}?cmd=edit&arg={quote(statement)}"


def quoted(text: str) -> str:
    """Return a text as Cypher writes it between single quotes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _outside(text: str, address: str) -> Any:
    return html.A(text, href=address, target="_blank", rel="noopener noreferrer")


def _place(card: Mapping[str, Any]) -> Any:
    community, scores = card["community"], card["scores"] or {}
    where = None
    if community:
        where = link("/communities", community["label"] or community["key"], key=community["key"])
    rows = [
        ("Community", where),
        ("Its size", None if not community else f"{number(community['size'])} features"),
        *((name, None if scores.get(score) is None else figure(scores[score]))
          for score, name in _SCORES.items()),
        ("Analysis of", card["scored_run"]),
        ("SAE", card["sae"]),
        ("Model", card["model"]),
        ("Run", link("/runs", card["run"], run=card["run"]) if card["run"] else None),
    ]  # fmt: skip
    return panel("Place in the graph", facts(rows))


def _contexts(card: Mapping[str, Any]) -> Any:
    found = card["contexts"]
    if not found:
        return panel("Strongest contexts", empty("No context is kept: it never fires."))
    said = "The stronger it fires on a token, the stronger the shade; underlined at its peak."
    shown = (context(row, scale=card["max"]) for row in found)
    return wide(panel("Strongest contexts", empty(said), *shown))


def _tokens(card: Mapping[str, Any]) -> Any:
    parts: list[Any] = []
    if card["fires_on"]:
        body = [[tokens([row["token"]]), number(row["score"]), number(row["n"])]
                for row in card["fires_on"]]  # fmt: skip
        said = "By the share of its firings times the log2 of their excess, in bits."
        parts += [html.H3("Fires on"), table(["token", "score", "n"], body, caption=said)]
    for side, head in (("promotes", "Promotes, by logit weight"),
                       ("suppresses", "Suppresses, by logit weight")):  # fmt: skip
        if card[side]:
            words = [_weighed(row) for row in card[side]]
            parts += [html.H3(head), html.Div(words, className="weighed")]
    if card["promotes"]:
        parts.append(empty("Weights are in standard deviations over the SAE's features."))
    return panel("Tokens", *(parts or [empty("None is kept.")]))


def _weighed(row: Mapping[str, Any]) -> Any:
    return html.Span([tokens([row["token"]]), html.Span(number(row["score"]), className="dim")])
