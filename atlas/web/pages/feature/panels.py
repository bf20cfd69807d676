"""Panels of the feature page: what a feature is joined to, and what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import html

from atlas.web.loading import Asked, ask, empty, rows_table
from atlas.web.parts import link, number, panel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atlas.web.store import Row, Store

KINDS = {
    "token": ("Fires on the same tokens", "phi", "Strongest first, by phi."),
    "topic": ("Fires in the same documents", "r_topic", "Strongest first, by r over documents."),
    "exclusive": (
        "Fires instead of it",
        "phi_within",
        "Within documents less often together than chance gives; strongest first.",
    ),
}
"""Kind of co-occurrence to title, measure, and what the order is."""
_ROWS = 10
_HEADS = {"phi": "phi", "r_topic": "r topic", "phi_within": "phi within"}


def rows_of(asked: Asked) -> int:
    """Return how many rows panels have."""
    return int(asked.get("rows") or _ROWS)


def why(key: str, other: str) -> Any:
    """Return a link to why two features are joined."""
    return link("/edge", "why", a=key, b=other)


def neighbours(store: Store, asked: Asked, kind: str) -> Any:
    """Return the features that fire together with one, or instead of it, by a kind of edge."""
    key, limit = str(asked["key"]), rows_of(asked)
    title, measure, said = KINDS[kind]
    rows, cypher = ask(
        store, "neighbours", place=f"neighbours-{kind}", feature=key, kind=kind, limit=limit
    )
    if not rows:
        return panel(title, empty("No edge of this kind."), cypher=cypher)
    columns = {"key": "feature", measure: _HEADS[measure], "npmi": "NPMI", "n": "n", "q": "q",
               "mutual": "mutual"}  # fmt: skip
    shown = rows_table(
        "neighbours", rows, columns, caption=said, edge=lambda row: why(key, row["key"])
    )
    return panel(title, shown, more(asked, rows), cypher=cypher)


def more(asked: Asked, rows: list[Row]) -> Any:
    """Return a link that shows more rows, where there may be some."""
    if len(rows) < rows_of(asked):
        return None
    return html.P(
        link("/feature", "More rows", key=str(asked["key"]), rows=5 * rows_of(asked)),
        className="small",
    )


def hierarchy(store: Store, asked: Asked) -> Any:
    """Return the more general features that one brings with it, and the more specific ones."""
    key = str(asked["key"])
    rows, cypher = ask(
        store, "implications", place="implications", feature=key, limit=2 * rows_of(asked)
    )
    parts: list[Any] = []
    for direction, said in (
        ("general", "More general: where this one fires, they fire too"),
        ("specific", "More specific: where they fire, this one fires too"),
    ):
        some = [row for row in rows if row["direction"] == direction]
        if some:
            columns = {"key": "feature", "p_general_given_specific": "share", "n": "n", "q": "q",
                       "absorption": "absorbed"}  # fmt: skip
            parts.append(
                rows_table(
                    "implications", some, columns, caption=said,
                    edge=lambda row: why(key, row["key"]),
                )
            )  # fmt: skip
    if not parts:
        parts = [empty("It implies no feature, and none implies it.")]
    return panel("Hierarchy", *parts, cypher=cypher)


def layers(store: Store, asked: Asked) -> Any:
    """Return the features of earlier layers that feed one, and those of later ones it feeds."""
    key, parts = str(asked["key"]), list[Any]()
    for name, via, head, said in (
        ("ancestors", "next_label", "next", "Earlier layers: by the strongest chain to this one"),
        ("descendants", "before_label", "before", "Later layers: by the strongest chain from it"),
    ):
        rows, cypher = ask(store, name, place=name, feature=key, limit=rows_of(asked))
        if rows:
            columns = {"key": "feature", "hook": "hook", "strength": "strength", "phi": "phi",
                       "hops": "edges", via: head}  # fmt: skip
            parts.append(
                rows_table(
                    name, rows, columns, caption=said,
                    edge=lambda row: why(key, row["key"]) if row["hops"] == 1 else "",
                )
            )  # fmt: skip
        else:
            parts.append(empty(f"{said.partition(':')[0]}: none in this atlas."))
        parts.append(cypher)
    return panel("Across layers", *parts)


def similar(store: Store, asked: Asked) -> Any:
    """Return the features whose decoder vectors are near."""
    key = str(asked["key"])
    rows, cypher = ask(store, "similar", place="similar", feature=key, limit=rows_of(asked))
    title = "Similar by decoder"
    if not rows:
        return panel(title, empty("No near decoder vector is kept."), cypher=cypher)
    columns = {"key": "feature", "cosine": "cosine", "rank": "rank", "mutual": "mutual",
               "firing_rate": "rate"}  # fmt: skip
    shown = rows_table(
        "similar", rows, columns, caption="Nearest first, whatever they fire on.",
        edge=lambda row: why(key, row["key"]),
    )  # fmt: skip
    return panel(title, shown, more(asked, rows), cypher=cypher)


def concepts(store: Store, asked: Asked) -> Any:
    """Return what the documents are about in which a feature fires more than in others."""
    key = str(asked["key"])
    rows, cypher = ask(store, "feature_concepts", place="concepts", feature=key,
                       limit=rows_of(asked))  # fmt: skip
    if not rows:
        return panel("Concepts", empty("It is about no concept of the corpus."), cypher=cypher)
    columns = {"name": "concept", "kind": "kind", "auc": "AUC", "documents": "documents",
               "of": "of", "q": "q"}  # fmt: skip
    said = "What the documents are about in which it fires more than in others of like length."
    return panel("Concepts", rows_table("feature_concepts", rows, columns, caption=said),
                 cypher=cypher)  # fmt: skip


def numbers(card: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return a feature's statistics, names with values."""
    moments, rate = card.get("logit_moments") or {}, card.get("firing_rate")
    source = card.get("label_source")
    return [
        ("Label", card.get("label") or "none: it never fires"),
        ("Label from", source),
        ("Fires on", f"{number(card.get('n'))} positions" + (
            f", {number(100 * rate)} % of the text" if rate is not None else "")),
        ("In", f"{number(card.get('d'))} documents"),
        ("Mean activation", _or_none(card.get("mean"))),
        ("Standard deviation", _or_none(card.get("std"))),
        ("Largest", _or_none(card.get("max"))),
        ("Context words", ", ".join(card.get("top_words") or []) or None),
        ("Most in", _domain(card)),
        ("Logit weights", ", ".join(
            f"{name} {number(moments[name])}" for name in ("mean", "std", "skew", "kurtosis")
            if moments.get(name) is not None) or None),
    ]  # fmt: skip


def _or_none(value: float | None) -> str | None:
    return None if value is None else number(value)


def _domain(card: Mapping[str, Any]) -> str | None:
    if not card.get("top_domain"):
        return None
    share = card.get("top_domain_share")
    if share is None:
        return str(card["top_domain"])
    return f"{card['top_domain']} ({number(100 * share)} % of its documents)"
