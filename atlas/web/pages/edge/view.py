"""The page of two features: why they are joined, and how well that is known."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from dash import html

from atlas.errors import UsageError
from atlas.web.contexts import side_by_side
from atlas.web.loading import Asked, Groups, ask, chance, empty, figure, later, load, named, wide
from atlas.web.page import Page, Query
from atlas.web.pages.edge.words import relation, sentence, sizes, tests, title
from atlas.web.pages.feature.evidence import details, digest, done, interval
from atlas.web.parts import facts, feature_link, link, number, panel, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dash import Dash

    from atlas.web.store import Row, Store

_RELATIONS, _CONTEXTS, _SHARED = 50, 12, 40
_VERDICTS = {
    "confirmed": "They are joined, and interventions on one were measured to change the other.",
    "not confirmed": "They are joined; interventions were measured, and no change passes.",
    "not measured": "They are joined; no intervention on one was measured on the other.",
    "causal only": "Nothing joins them statistically, yet interventions on one change the other.",
    "otherwise": "No joint firing, layer or attribution joins them; what does is below.",
    "nothing": "Nothing in this atlas joins them.",
}
_SHARED_KINDS = {
    "community": "community",
    "concept": "concept",
    "fires_on": "token that both fire on",
    "promotes": "token that both promote",
    "neighbour": "neighbour on the same tokens",
}


def page(store: Store) -> Page:
    """Return the page."""
    return Page("/edge", None, "Why joined", partial(_layout, store))


def callbacks(app: Dash, store: Store) -> None:
    """Register what fills the panels."""
    load(app, store, page="edge", groups=GROUPS)


def _layout(store: Store, query: Query) -> Any:
    a, b = _ends(store, query)
    both = {"a": a["key"], "b": b["key"]}
    rows, cypher = ask(store, "why_joined", place="why", limit=_RELATIONS, **both)
    found, evidence = ask(store, "evidence", place="evidence", **both)
    verdict = found[0]["verdict"]
    if verdict == "nothing" and any(row["type"] != "AFFECTS" for row in rows):
        verdict = "otherwise"
    asked = {**both, "max_a": a["max"], "max_b": b["max"]}
    return [
        html.H1([html.Span("Why joined: "), _name(a), " and ", _name(b)]),
        html.P(_VERDICTS[verdict]),
        html.P(
            [
                link("/graph", "Graph around both", keys=f"{a['key']} {b['key']}"), " · ",
                link("/graph", "Paths between them", **{"from": a["key"], "to": b["key"]}), " · ",
                link("/edge", "The other way round", a=b["key"], b=a["key"]),
            ],
            className="links",
        ),
        html.Div(
            [
                _end("A", a),
                _end("B", b),
                *_relations(rows, cypher),
                _measured(found[0], evidence),
                *later("edge", GROUPS, asked),
            ],
            className="panels",
        ),
    ]  # fmt: skip


def _ends(store: Store, query: Query) -> tuple[Row, Row]:
    names = [query.get(name, "").strip() for name in ("a", "b")]
    if not all(names):
        raise UsageError(
            "The address does not name two features.",
            hint="It is /edge?a=KEY&b=KEY; the page of a feature links to those of its edges.",
        )
    rows = store.ask("features", features=[named(name) for name in names])
    if len({row["key"] for row in rows}) < 2:
        raise UsageError(f"{names[0]!r} and {names[1]!r} are the same feature.")
    return rows[0], rows[1]


def _name(row: Row) -> str:
    return str(row["label"] or "/".join(row["key"].split("/")[-2:]))


def _end(name: str, row: Row) -> Any:
    rate = row["firing_rate"]
    shown = facts(
        [
            ("Feature", feature_link(row["key"], row["label"])),
            ("Fires on", f"{number(row['n'])} positions" + (
                f", {number(100 * rate)} % of the text" if rate is not None else "")),
            ("In", f"{number(row['d'])} documents"),
            ("Largest activation", None if row["max"] is None else number(row["max"])),
            ("Most in", row["top_domain"]),
        ]
    )  # fmt: skip
    made = panel(name, shown)
    made.className += f" end-{name.lower()}"
    return made


def _relations(rows: Sequence[Row], cypher: Any) -> list[Any]:
    # What interventions changed has a panel of its own.
    rows = [row for row in rows if row["type"] != "AFFECTS"]
    if not rows:
        said = "No statistical relation between the two is in the atlas. They may still be joined \
through others: the graph view looks for paths."
        return [wide(panel("Relations", empty(said), cypher=cypher))]
    several = len({row["run"] for row in rows}) > 1
    # One statement finds them all; it stands with the first.
    return [
        _relation(row, several=several, cypher=None if place else cypher)
        for place, row in enumerate(rows)
    ]


def _relation(row: Row, *, several: bool, cypher: Any) -> Any:
    columns = [
        [_figures(sizes(row), caption="How strong it is")],
        [_figures(tests(row), caption="How certain it is"),
         html.P(f"Test: {relation(row).test}", className="small")],
    ]  # fmt: skip
    stored = html.Code(f"{row['type']}{' ' + row['kind'] if row['kind'] else ''}")
    run = [" of ", link("/runs", row["run"], run=row["run"])] if several and row["run"] else []
    return wide(
        panel(
            title(row),
            html.P(sentence(row)),
            html.Div([html.Div(parts) for parts in columns], className="sides"),
            html.P(["In the graph: ", stored, *run], className="dim small"),
            cypher=cypher,
        )
    )


def _figures(found: Sequence[tuple[str, str, str]], *, caption: str) -> Any:
    if not found:
        return None
    body = [[*(html.Span(text, className="figure") for text in row[:2]), row[2]] for row in found]
    return table(["figure", "value", "what it means"], body, caption=caption)


def _measured(row: Row, cypher: Any) -> Any:
    found = row["affects"]
    name = "Interventions"
    if not found:
        said = "No intervention on the one was measured on the other. Joint firing alone does \
not say that one causes the other."
        return wide(panel(name, empty(said), cypher=cypher))
    heads = ["direction", "intervention", "metric", "change", "95 % interval", "q", "passes",
             "prompts", "run"]  # fmt: skip
    body = [
        [
            one["direction"].replace("a to b", "A to B").replace("b to a", "B to A"), done(one),
            one["metric"], figure(one["change"]), interval(one), chance(one["q"]),
            "yes" if one["passes"] else "no", number(one["prompts"]),
            link("/runs", one["run"], run=one["run"]),
        ]
        for one in found
    ]  # fmt: skip
    said = "Changes of the one by interventions on the other; passing is q of 0.05 or less."
    return wide(panel(name, table(heads, body, caption=said), cypher=cypher))


def contexts(store: Store, asked: Asked) -> Any:
    """Return contexts where both fire, each shaded by the one and by the other."""
    name, scales = "Contexts of both", (asked.get("max_a"), asked.get("max_b"))
    rows, cypher = ask(store, "joint_contexts", place="contexts", limit=_CONTEXTS,
                       a=str(asked.get("a")), b=str(asked.get("b")))  # fmt: skip
    # One that the edge keeps, and for which neither has its activations, cannot be shaded.
    if not rows:
        said = "No context is among the strongest of both, and none is kept with their edge."
        return wide(panel(name, empty(said), cypher=cypher))
    legend = html.P(
        [
            html.Mark("A", className="fire-a", style={"--heat": "0.8"}), " left, ",
            html.Mark("B", className="fire-b", style={"--heat": "0.8"}),
            " right: the stronger it fires, the stronger the shade. Underlined where both fire; \
framed where one fires and how strongly is not kept.",
        ],
        className="dim",
    )  # fmt: skip
    shown = (side_by_side(row, scales=scales) for row in rows)
    return wide(panel(name, legend, *shown, cypher=cypher))


def shared(store: Store, asked: Asked) -> Any:
    """Return what the two share: community, concepts, tokens and neighbours."""
    rows, cypher = ask(store, "in_common", place="shared", limit=_SHARED,
                       a=str(asked.get("a")), b=str(asked.get("b")))  # fmt: skip
    if not rows:
        return panel("In common", empty("Nothing that the atlas knows of."), cypher=cypher)
    body = [[_SHARED_KINDS.get(row["kind"], row["kind"]), _shared_name(row),
             number(row["score_a"]), number(row["score_b"])] for row in rows]  # fmt: skip
    said = "Scores: effect of a concept, bits or weight of a token, phi of a neighbour."
    return panel("In common", table(["what", "name", "A", "B"], body, caption=said),
                 cypher=cypher)  # fmt: skip


def _shared_name(row: Row) -> Any:
    if row["kind"] == "neighbour":
        return feature_link(row["key"], row["name"])
    if row["kind"] == "community":
        return link("/communities", row["name"] or row["key"], key=row["key"])
    return row["name"] if row["kind"] == "concept" else html.Code(row["name"], className="token")


def provenance(store: Store, asked: Asked) -> Any:
    """Return what made each relation, and the test that it passed."""
    rows, cypher = ask(store, "edge_provenance", place="provenance",
                       a=str(asked.get("a")), b=str(asked.get("b")))  # fmt: skip
    if not rows:
        return panel("Provenance", empty("There is no relation."), cypher=cypher)
    return panel("Provenance", *map(_source, rows), cypher=cypher)


def _source(row: Mapping[str, Any]) -> Any:
    name = f"{row['relation']}{' ' + row['kind'] if row['kind'] else ''}, {row['direction']}"
    maker = link("/runs", row["maker"], run=row["run"]) if row["run"] else row["maker"]
    shown = facts(
        [
            ("Made by", [row["made_by"], " ", maker]),
            ("Made", row["created"]),
            ("Corpus", row["corpus"]),
            ("Model", row["model"]),
            ("Recipe", digest(row["recipe"])),
            ("Digest", digest(row["digest"])),
            ("Key", None if not row["key"] else html.Code(row["key"])),
        ]
    )
    return html.Div([html.H3(name), shown, *details(row)])


GROUPS: Groups = {
    "contexts": {"Contexts of both": contexts},
    "shared": {"In common": shared, "Provenance": provenance},
}
"""What is loaded after the page is shown, a request a group."""
