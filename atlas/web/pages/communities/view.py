"""Communities: all of a run, one of them, or two beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import Input, Output, dcc, html

from atlas.errors import NotFoundError, UsageError
from atlas.graph.asking import ask as resolve
from atlas.web.loading import ask, later, load
from atlas.web.page import Page, Query
from atlas.web.pages.communities.parts import (
    ONE,
    TWO,
    about,
    column,
    domain_bars,
    figures,
    grid,
    name_of,
    numbers,
    plain,
    rounded,
    token_bars,
    words_of,
)
from atlas.web.parts import address, facts, link, number, panel, show_cypher, table, visible
from queries.resolve import community_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dash import Dash

    from atlas.web.store import Row, Store

#: Most communities of the list; domains of one that it names.
_MOST, _NAMED = 10_000, 3
_DOMAINS = """
MATCH (c:Community {run: $run})<-[:MEMBER_OF]-(f:Feature)
WHERE f.top_domain IS NOT NULL
WITH c, f.top_domain AS domain, count(*) AS members
ORDER BY members DESC, domain
RETURN c.key AS key, collect({domain: domain, members: members})[..$named] AS domains
"""
_COUNT = """
MATCH (:Run {key: $run})<-[:FROM_RUN]-(f:Feature)
RETURN count(*) AS features, count(CASE WHEN f.dead THEN 1 END) AS dead
"""


def page(store: Store) -> Page:
    """Return the page."""
    return Page("/communities", "Communities", "Communities", lambda query: _layout(store, query))


def callbacks(app: Dash, store: Store) -> None:
    """Register the panels that come later, and the comparison of chosen rows."""
    load(app, store, page="community", groups=ONE)
    load(app, store, page="pair", groups=TWO)

    @app.callback(
        Output("communities-chosen", "children"),
        Input("communities-grid", "selectedRows"),
    )  # type: ignore[untyped-decorator]
    def chosen(rows: Sequence[Mapping[str, Any]] | None) -> Any:
        return _chosen([str(row["key"]) for row in rows or []])


def _layout(store: Store, query: Query) -> Any:
    if not query.get("key"):
        return _all(store, query)
    card, cypher = _card(store, query["key"], place="card")
    if not query.get("with"):
        return _one(card, cypher)
    other, _ = _card(store, query["with"], place="other")
    if other["key"] == card["key"]:
        raise UsageError("Both are the same community.", hint="Name another to compare with.")
    return _two(card, other, cypher)


def _card(store: Store, name: str, *, place: str) -> tuple[Row, Any]:
    key = resolve(store.atlas.reader, community_key(name))
    rows, cypher = ask(store, "community", place=place, community=key)
    if not rows:
        raise NotFoundError(f"Nothing is known of the community {key}.")
    return rows[0], cypher


def _all(store: Store, query: Query) -> Any:
    run = store.run(query.get("run"))
    rows, cypher = ask(store, "communities", place="all", run=run, min_size=1, limit=_MOST)
    others = [row["key"] for row in store.runs() if row["key"] != run]
    head = [
        html.H1(f"Communities of {run}"),
        html.P([link("/communities", other, run=other, class_name="small") for other in others],
               **{"aria-label": "Other runs"}) if others else None,
    ]  # fmt: skip
    if not rows:
        return [*head, html.P("It has no communities yet."),
                html.Pre(html.Code(f"atlas analyse {run}"))]  # fmt: skip
    given = {"run": run, "named": _NAMED}
    domains = store.atlas.reader.read(_DOMAINS, given, what="reading domains")
    counted = store.atlas.reader.read(_COUNT, {"run": run}, what="counting features")[0]
    return [
        *head,
        panel("The whole", _whole(rows, counted)),
        html.Section(
            [
                html.H2("Communities"),
                html.P("Click a heading to sort; the boxes below the headings filter. Choose two \
rows to compare them.", className="dim"),
                html.Div(_chosen([]), id="communities-chosen", role="status"),
                _list(rows, {row["key"]: row["domains"] for row in domains}),
                cypher,
                show_cypher(_DOMAINS, given, place="domains"),
            ],
            className="panel community-after",
        ),
    ]  # fmt: skip


def _whole(rows: Sequence[Row], counted: Row) -> Any:
    inside = sum(row["size"] for row in rows)
    live = counted["features"] - counted["dead"]
    judged = [row for row in rows if row["stable"] is not None]
    stable = f"{sum(row['stable'] for row in judged)} of {len(judged)}" if judged else None
    first = rows[0]
    return facts(
        [
            ("communities", number(len(rows))),
            ("features in one", f"{number(inside)} of {number(live)} that fire"),
            ("modularity", _known(first["modularity"])),
            ("agreement between halves (adjusted Rand)", _known(first["between_halves"])),
            ("stable", stable),
        ]
    )


def _known(value: float | None) -> str | None:
    return None if value is None else number(value)


def _list(rows: Sequence[Row], domains: Mapping[str, Sequence[Row]]) -> Any:
    shown = [
        {
            "key": row["key"],
            "href": address("/communities", key=row["key"]),
            "number": row["number"],
            "label": name_of(row),
            "size": row["size"],
            "stability": rounded(row["stability"]),
            "stable": "" if row["stable"] is None else "yes" if row["stable"] else "no",
            "domains": ", ".join(
                f"{one['domain']} {100 * one['members'] / row['size']:.0f} %"
                for one in domains.get(row["key"], ())
            ),
            "tokens": "  ".join(visible(str(word)) for word in (row["top_tokens"] or [])[:8]),
            "words": ", ".join(map(str, (row["top_words"] or [])[:8])),
            "promoted": "  ".join(visible(str(word)) for word in (row["promoted"] or [])[:8]),
        }
        for row in rows
    ]
    columns = [
        numbers("number", "Number", 110),
        column("label", "Label", 260, cellRenderer="AtlasLink"),
        numbers("size", "Members", 120, sort="desc"),
        numbers("stability", "Stability", 120,
                headerTooltip="Mean Jaccard with its best match in halves of the documents"),
        column("stable", "Stable", 100),
        column("domains", "Domains", 230),
        column("tokens", "Fires on", 260),
        column("words", "Words", 260),
        column("promoted", "Promotes", 220),
    ]  # fmt: skip
    return grid("communities-grid", columns, shown, choose=True)


def _chosen(keys: Sequence[str]) -> Any:
    if len(keys) == 2:
        pair = {"key": keys[0], "with": keys[1]}
        return link("/communities", "Compare the two that are chosen", **pair)
    if not keys:
        return html.Span("None is chosen.", className="dim")
    return html.Span(f"{len(keys)} chosen; two can be compared.", className="dim")


def _one(card: Row, cypher: Any) -> Any:
    key = card["key"]
    compare = html.Form(
        [
            dcc.Input(type="hidden", name="key", value=key),
            html.Label("Compare with", htmlFor="community-with"),
            dcc.Input(id="community-with", name="with", required=True,
                      placeholder="number, label or key"),
            html.Button("Compare", type="submit"),
        ],
        action="/communities", method="get", className="graph-row",
    )  # fmt: skip
    words = [("words of their contexts", words_of(card["words"] or [])),
             ("promotes", words_of(card["promoted"] or []))]  # fmt: skip
    return [
        html.H1(name_of(card)),
        html.P(f"Community {card['number']}, {key}", className="dim"),
        html.Div([link("/graph", "Show as a graph", community=key),
                  link("/communities", "All communities", run=card["run"]), compare],
                 className="graph-row"),
        html.Div(
            [
                panel("Figures", about(card), cypher=cypher),
                panel("What its members fire on", token_bars(card), facts(words)),
                panel("Domains of its members", domain_bars(card)),
            ],
            className="panels community-after",
        ),
        html.Div(later("community", ONE, {"key": key}), className="community-later"),
    ]  # fmt: skip


def _two(a: Row, b: Row, cypher: Any) -> Any:
    named = [link("/communities", name_of(one), key=one["key"]) for one in (a, b)]
    rows = [
        [name, left or "–", right or "–"]
        for (name, left), (_, right) in zip(figures(a), figures(b), strict=True)
    ]
    asked = {"key": a["key"], "with": b["key"]}
    return [
        html.H1([name_of(a), " and ", name_of(b)]),
        html.Div([*named, link("/communities", "Exchange", **{"key": b["key"], "with": a["key"]})],
                 className="graph-row"),
        html.Div(
            [
                panel("Figures", table(["", name_of(a), name_of(b)], rows,
                                       caption="Figures of the two"), cypher=cypher),
                panel("What they have in common", _common(a, b)),
                panel(f"Fires on: {name_of(a)}", token_bars(a)),
                panel(f"Fires on: {name_of(b)}", token_bars(b)),
                panel(f"Domains: {name_of(a)}", domain_bars(a)),
                panel(f"Domains: {name_of(b)}", domain_bars(b)),
            ],
            className="panels community-two",
        ),
        html.Div(later("pair", TWO, asked), className="community-later"),
    ]  # fmt: skip


def _common(a: Row, b: Row) -> Any:
    """Return which tokens, words and promoted tokens both have, and which only one."""
    rows: list[list[Any]] = []
    for name, field, part_of, show in (
        ("fire on", "tokens", "token", words_of),
        ("promote", "promoted", None, words_of),
        ("words of contexts", "words", None, plain),
        ("concepts", "concepts", "name", plain),
    ):
        left, right = (
            [one[part_of] if part_of else one for one in card[field] or []] for card in (a, b)
        )
        both = [word for word in left if word in right]
        parts = [both, *([word for word in of if word not in both] for of in (left, right))]
        rows.append([name, *(show(part) for part in parts)])
    heads = ["", "both", name_of(a), name_of(b)]
    return table(heads, rows, caption="Of the first ten of each")
