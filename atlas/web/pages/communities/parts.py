"""Parts of the pages of communities: lists, bars, and panels that are asked for later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dash_ag_grid as dag
from dash import html

from atlas.web.loading import ask, empty, read, rows_table
from atlas.web.parts import address, facts, link, number, panel, tokens, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from atlas.web.loading import Asked, Groups
    from atlas.web.store import Row, Store

#: Rows that panels show, and members that the list of a community may have.
SHOWN, MEMBERS = 15, 5000
SHARED = """
MATCH (a:Community {key: $a})<-[:MEMBER_OF]-(f:Feature)-[:MEMBER_OF]->(b:Community {key: $b})
WITH f ORDER BY coalesce(f.pagerank, -1.0) DESC, f.key
WITH count(*) AS shared, collect(f {.key, .label, .top_tokens, .top_domain})[..$limit] AS features
UNWIND features AS one
RETURN shared, one.key AS key, one.label AS label, one.top_tokens AS top_tokens,
       one.top_domain AS top_domain
"""
"""Features that are in both of two communities."""


def grid(place: str, columns: Sequence[Row], rows: Sequence[Row], *, choose: bool = False) -> Any:
    """Return rows as a table that can be sorted and filtered.

    Parameters
    ----------
    place
        Its id.
    columns
        Of ag-grid. The cell of a column with ``cellRenderer: AtlasLink`` leads to ``href``.
    rows
        Plain values.
    choose
        Whether rows may be chosen.
    """
    options: Row = {"enableCellTextSelection": True, "ensureDomOrder": True, "animateRows": False}
    if choose:
        options["rowSelection"] = {"mode": "multiRow", "headerCheckbox": False}
    usual = {"sortable": True, "filter": True, "floatingFilter": True, "resizable": True,
             "minWidth": 90}  # fmt: skip
    height = min(40.0, 7.5 + 2.75 * len(rows))
    return dag.AgGrid(
        id=place, columnDefs=list(columns), rowData=list(rows), defaultColDef=usual,
        dashGridOptions=options, className="ag-theme-atlas", style={"height": f"{height:.1f}rem"},
    )  # fmt: skip


def column(field: str, name: str, width: int, **more: Any) -> Row:
    """Return a column of `grid` that holds texts; where there is room it is wider."""
    return {"field": field, "headerName": name, "minWidth": width, "flex": width,
            "filter": "agTextColumnFilter", **more}  # fmt: skip


def numbers(field: str, name: str, width: int = 115, **more: Any) -> Row:
    """Return a column of `grid` that holds numbers."""
    return {"field": field, "headerName": name, "width": width, "type": "numericColumn",
            "filter": "agNumberColumnFilter", **more}  # fmt: skip


def rounded(value: float | None, digits: int = 3) -> float | None:
    """Return a number as a table shows and sorts it."""
    return None if value is None else round(value, digits)


def name_of(row: Mapping[str, Any]) -> str:
    """Return a community's label, or its number where it has none."""
    return str(row.get("label") or f"community {row.get('number') or row.get('key')}")


def bars(rows: Iterable[tuple[Any, float, str]], *, said: str) -> Any:
    """Return shares as bars: what it is, 0 to 1, and the share in words."""
    items = [
        html.Li(
            [html.Span(name, className="of"),
             html.Span(html.Span(style={"width": f"{100 * min(1.0, max(0.0, share)):.1f}%"}),
                       className="share", **{"aria-hidden": "true"}),
             html.Span(text, className="dim small")]
        )
        for name, share, text in rows
    ]  # fmt: skip
    return (
        html.Ul(items, className="community-bars", **{"aria-label": said})
        if items
        else empty("None.")
    )


def about(card: Row) -> Any:
    """Return the figures of a community."""
    return facts([(name, value) for name, value in figures(card)])


def figures(card: Row) -> list[tuple[str, Any]]:
    """Return the figures of a community by name; None where one is not known."""
    made = card["algorithm"] or {}
    stable = card["stable"]
    return [
        ("members", number(card["size"])),
        ("stability over halves", _maybe(card["stability"])),
        ("stable", None if stable is None else "yes" if stable else "no"),
        ("strength that stays inside", _maybe(card["inside"])),
        ("edges inside", number(card["edges"])),
        ("density", _maybe(card["density"])),
        ("mean phi", _maybe(card["mean_phi"])),
        ("communities it is joined to", number(card["neighbours"])),
        ("modularity of the whole", _maybe(made.get("modularity"))),
        ("made by", ", ".join(str(made[one]) for one in ("algorithm", "engine") if made.get(one))),
        ("run", card["run"]),
    ]  # fmt: skip


def _maybe(value: float | None) -> str | None:
    return None if value is None else number(value)


def token_bars(card: Row) -> Any:
    """Return the tokens that members of a community fire on, by their share of the members."""
    return bars(
        ((html.Code(visible(str(one["token"])), className="token"), one["share"] or 0.0,
          f"{number(100 * (one['share'] or 0.0))} %") for one in card["tokens"]),
        said="Tokens, by the share of the members that fire on them",
    )  # fmt: skip


def domain_bars(card: Row) -> Any:
    """Return the domains of a community's members."""
    size = max(1, card["size"])
    return bars(
        ((str(one["domain"]), one["members"] / size, f"{number(one['members'])} members")
         for one in card["domains"]),
        said="Domains of the members",
    )  # fmt: skip


def member_panel(store: Store, asked: Asked) -> Any:
    """Return the members of a community."""
    rows, cypher = ask(store, "community_members", place="members", community=asked["key"],
                       limit=MEMBERS)  # fmt: skip
    shown = [
        {
            "label": row["label"] or row["key"].rpartition("/")[2],
            "href": address("/feature", key=row["key"]),
            "feature": "/".join(row["key"].rsplit("/", 2)[1:]),
            "pagerank": rounded(row["pagerank"]),
            "degree": row["degree"],
            "stay": rounded(row["stay"]),
            "inside": rounded(row["inside"]),
            "rate": rounded(100 * row["firing_rate"], 4),
            "domain": row["top_domain"],
            "tokens": "  ".join(visible(str(word)) for word in (row["top_tokens"] or [])[:6]),
        }
        for row in rows
    ]
    columns = [
        column("label", "Feature", 240, cellRenderer="AtlasLink"),
        numbers("pagerank", "PageRank"),
        numbers("degree", "Edges", 95),
        numbers("stay", "Stay", 95, headerTooltip="Share of the runs in which it is in the core"),
        numbers("inside", "Inside", 100, headerTooltip="Share of its strength that stays inside"),
        numbers("rate", "Fires on %", 115),
        column("domain", "Domain", 130),
        column("tokens", "Fires on", 260),
        column("feature", "Place", 130),
    ]
    return panel("Members", grid("community-grid", columns, shown), cypher=cypher)


def border_panel(store: Store, asked: Asked) -> Any:
    """Return the members at a community's border."""
    rows, cypher = ask(store, "community_borders", place="borders", community=asked["key"],
                       limit=SHOWN)  # fmt: skip
    shown: Any = rows_table(
        "community_borders", rows,
        {"key": "member", "outside": "outside", "edges_out": "edges out", "edges": "edges",
         "stay": "stay", "towards_share": "share"},
        caption="Members with most of their strength outside",
        last=("towards", lambda row: _community_link(row["towards"], row["towards_label"])),
    )  # fmt: skip
    return panel("Borders", shown if rows else empty("No edge leaves it."), cypher=cypher)


def link_panel(store: Store, asked: Asked) -> Any:
    """Return the communities that a community is joined to."""
    rows, cypher = ask(store, "community_links", place="links", community=asked["key"],
                       limit=SHOWN)  # fmt: skip
    shown = [
        row | {"label": None, "community": link("/communities", name_of(row), key=row["key"])}
        for row in rows
    ]
    made: Any = rows_table(
        "", shown, {"size": "members", "edges": "edges", "phi": "sum of phi", "share": "share"},
        caption="Communities joined by token edges, by the sum of their phi",
        last=("community", lambda row: [row["community"], " ", link(
            "/communities", "compare", class_name="small",
            **{"key": asked["key"], "with": row["key"]})]),
    )  # fmt: skip
    return panel("Joined communities", made if rows else empty("No edge leaves it."),
                 cypher=cypher)  # fmt: skip


def promoted_panel(store: Store, asked: Asked) -> Any:
    """Return the tokens that members of a community promote."""
    rows, cypher = ask(store, "community_tokens", place="promotes", community=asked["key"],
                       relation="promotes", limit=SHOWN)  # fmt: skip
    shown = [row | {"key": row["best"], "label": row["best_label"], "token": [row["token"]]}
             for row in rows]  # fmt: skip
    made = rows_table(
        "", shown,
        {"token": "token", "members": "members", "mean_score": "mean weight (sd)",
         "key": "most by"}, caption="Tokens that most members make more likely",
    )  # fmt: skip
    return panel("What it promotes", made if rows else empty("No token."), cypher=cypher)


def concept_panel(store: Store, asked: Asked) -> Any:
    """Return the concepts that members of a community are about."""
    rows, cypher = ask(store, "community_concepts", place="concepts", community=asked["key"],
                       limit=SHOWN)  # fmt: skip
    shown = [row | {"key": row["best"], "label": row["best_label"]} for row in rows]
    made = rows_table(
        "", shown,
        {"name": "concept", "kind": "kind", "members": "members", "mean_auc": "mean AUC",
         "share_of_concept": "share of the concept", "key": "best member"},
        caption="Concepts that most members are about",
    )  # fmt: skip
    return panel("Concepts", made if rows else empty("No concept."), cypher=cypher)


def between_panel(store: Store, asked: Asked) -> Any:
    """Return the edges between two communities."""
    rows, cypher = ask(store, "between_communities", place="between", a=asked["key"],
                       b=asked["with"], limit=SHOWN)  # fmt: skip
    keys = list(dict.fromkeys(row[end] for row in rows for end in ("a_key", "b_key")))
    shown = [row | {"key": row["a_key"], "label": row["a_label"]} for row in rows]
    made: Any = rows_table(
        "", shown, {"key": "in the one", "phi": "phi", "npmi": "NPMI", "n": "both fire"},
        caption="Token edges between the two, strongest first",
        last=("in the other, by their edge", lambda row: link(
            "/edge", row["b_label"] or row["b_key"], a=row["a_key"], b=row["b_key"],
            kind="token")),
    )  # fmt: skip
    more = link("/graph", "Show them as a graph", keys=" ".join(keys)) if keys else None
    none = "No edge that the communities were made from joins them."
    return panel("Where they meet", made if rows else empty(none), more, cypher=cypher)


def shared_panel(store: Store, asked: Asked) -> Any:
    """Return the features that are in both of two communities."""
    rows, cypher = read(store, SHARED, place="shared", a=asked["key"], b=asked["with"],
                        limit=SHOWN)  # fmt: skip
    if not rows:
        none = "None: communities of one run share no feature."
        return panel("Features in both", empty(none), cypher=cypher)
    columns = {"key": "feature", "top_tokens": "fires on", "top_domain": "domain"}
    caption = f"{number(rows[0]['shared'])} features are in both; the {len(rows)} most central"
    return panel("Features in both", rows_table("", rows, columns, caption=caption),
                 cypher=cypher)  # fmt: skip


def _community_link(key: str | None, label: str | None) -> Any:
    return link("/communities", label or key, key=key) if key else "none"


def words_of(words: Iterable[Any]) -> Any:
    """Return tokens as boxes; a dash for none."""
    found = [str(word) for word in words]
    return tokens(found) if found else "–"


def plain(words: Iterable[Any]) -> str:
    """Return words parted by commas; a dash for none."""
    return ", ".join(str(word) for word in words) or "–"


ONE: Groups = {
    "first": {"Members": member_panel},
    "second": {"Borders": border_panel, "Joined communities": link_panel},
    "third": {"What it promotes": promoted_panel, "Concepts": concept_panel},
}
"""Panels of one community."""
TWO: Groups = {"meet": {"Where they meet": between_panel, "Features in both": shared_panel}}
"""Panels of two communities."""
