"""What the search finds: labels by meaning and by words, tokens, contexts, concepts, keys."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from dash import html

from atlas.analysis.embedding import can_embed
from atlas.errors import NotFoundError, UsageError
from atlas.web.contexts import shown
from atlas.web.loading import Asked, Groups, ask, empty, rows_table
from atlas.web.parts import error, feature_link, link, number, panel, show_cypher, table, tokens
from queries.catalogue import query as catalogue_query
from queries.lucene import escape

if TYPE_CHECKING:
    from atlas.web.store import Row, Store

WHERE = {
    "": "Everywhere",
    "meaning": "Labels by meaning",
    "label": "Labels by words",
    "token": "Tokens",
    "context": "Contexts",
    "concept": "Concepts",
    "key": "Keys",
}
"""Where to look, as addresses say it: name."""
FEW, MANY, LONGEST = 8, 50, 1000
"""Rows of a panel among others and of one alone; most characters of what is looked for."""
_FEATURES = {"key": "feature", "top_tokens": "fires on", "firing_rate": "rate"}
#: An index, or an index behind the name of an SAE.
_KEY = re.compile(r"(.+/)?\d+")


def checked(text: str) -> None:
    """Refuse a text that cannot be looked for.

    Raises
    ------
    UsageError
        It is too long, or no words.
    """
    if len(text) > LONGEST:
        raise UsageError(
            f"The text to search for has {len(text):,} characters.",
            hint=f"Give at most {LONGEST:,}.",
        )
    escape(text)


def _text(asked: Asked) -> str:
    text = str(asked.get("q") or "")
    checked(text)
    return text


def _given(asked: Asked) -> dict[str, Any]:
    return {"limit": int(asked.get("rows") or FEW), "run": asked.get("run") or None}


def _more(asked: Asked, rows: list[Row], where: str) -> Any:
    if asked.get("where") or len(rows) < int(asked.get("rows") or FEW):
        return None
    return html.P(link("/search", "More", q=_text(asked), where=where), className="small")


def by_key(store: Store, asked: Asked) -> Any:
    """Return the feature of a key or index, where the text may be one."""
    text, alone = _text(asked), bool(asked.get("where"))
    if not alone and not _KEY.fullmatch(text):
        return None
    try:
        rows, cypher = ask(store, "features", place="key", features=[text])
    except NotFoundError as what:
        return panel("Key", error(what)) if alone else None
    said = "The feature of that name."
    return panel("Key", rows_table("features", rows, _FEATURES, caption=said), cypher=cypher)


def by_meaning(store: Store, asked: Asked) -> Any:
    """Return features whose label means what the text says; without vectors, by words."""
    title, text = WHERE["meaning"], _text(asked)
    rows = _nearest(store, asked, text)
    if not rows:
        reason = "has no vectors of labels" if can_embed() else "lacks the extra `embed`"
        said = f"The atlas {reason}, so labels are looked through by words."
        found = by_words(store, asked, place="meaning-words", title=title)
        found.children.insert(1, empty(said))
        return found
    statement = catalogue_query("nearest_by_meaning").cypher
    given = {"text": [round(x, 5) for x in _vector(text)], **_given(asked)}
    columns = {**_FEATURES, "cosine": "cosine"}
    made = rows_table("nearest_by_meaning", rows, columns, caption="Nearest meaning first.")
    return panel(title, made, _more(asked, rows, "meaning"),
                 cypher=show_cypher(statement, given, place="meaning"))  # fmt: skip


def _nearest(store: Store, asked: Asked, text: str) -> list[Row]:
    if not can_embed():
        return []
    try:
        return store.ask("nearest_by_meaning", text=text, **_given(asked))
    except NotFoundError:
        raise
    except UsageError:
        # The embedder knows none of the words.
        return []


def _vector(text: str) -> list[float]:
    from queries.embedding import embed_label

    vector: list[float] = embed_label(text)
    return vector


def by_words(
    store: Store, asked: Asked, *, place: str = "label", title: str = WHERE["label"]
) -> Any:
    """Return features with words of the text in their label or context words."""
    rows, cypher = _words(store, asked, "search", place, where="label")
    if not rows:
        return panel(title, empty("No label has such a word."), cypher=cypher)
    columns = {**_FEATURES, "score": "relevance"}
    made = rows_table("search", rows, columns, caption="Most relevant first.")
    return panel(title, made, _more(asked, rows, "label"), cypher=cypher)


def _words(store: Store, asked: Asked, name: str, place: str, **more: Any) -> tuple[list[Row], Any]:
    """Ask a query that takes words; its statement is shown with what the index is asked."""
    text, given = _text(asked), _given(asked) | more
    rows, _ = ask(store, name, place=place, text=text, **given)
    spec = catalogue_query(name)
    shown_with = {p.name: p.default for p in spec.parameters} | {"text": escape(text), **given}
    return rows, show_cypher(spec.cypher, shown_with, place=place)


def by_token(store: Store, asked: Asked) -> Any:
    """Return tokens with words of the text."""
    rows, cypher = _words(store, asked, "search_tokens", "tokens")
    if not rows:
        return panel("Tokens", empty("No token has such a word."), cypher=cypher)
    body = [
        [link("/search", tokens([row["token"]]), q=row["token"].strip(), where="token"),
         number(row["fires_on"]), number(row["promotes"]), number(row["suppresses"])]
        for row in rows
    ]  # fmt: skip
    heads = ["token", "fire on it", "promote it", "suppress it"]
    made = table(heads, body, caption="Tokens, and how many features do what with each.")
    return panel("Tokens", made, _more(asked, rows, "token"), cypher=cypher)


def features_of_token(store: Store, asked: Asked, name: str, title: str) -> Any:
    """Return the features that fire on a token, promote it or suppress it."""
    try:
        rows, cypher = ask(store, name, place=name, token=_text(asked), **_given(asked))
    except NotFoundError:
        return None
    if not rows:
        return panel(title, empty("None."), cypher=cypher)
    columns = {"key": "feature", "score": "score", "rank": "rank", "firing_rate": "rate"}
    return panel(title, rows_table(name, rows, columns, caption="Best first."), cypher=cypher)


def by_context(store: Store, asked: Asked) -> Any:
    """Return texts with words of the text, and the features that fire there most."""
    rows, cypher = _words(store, asked, "search_contexts", "contexts")
    if not rows:
        return panel("Contexts", empty("No text has such a word."), cypher=cypher)
    items = [
        html.Figure(
            [
                html.P(marked(row["text"], _text(asked)), className="context"),
                html.Figcaption(_where_from(row), className="dim small"),
                html.Ul([html.Li([feature_link(one["key"], one["label"]),
                                  html.Span(f" {number(one['activation'])}", className="dim")])
                         for one in row["features"]]),
            ],
            className="firing",
        )
        for row in rows
    ]  # fmt: skip
    return panel("Contexts", *items, _more(asked, rows, "context"), cypher=cypher)


def _where_from(row: Row) -> str:
    return " · ".join(str(row[name]) for name in ("domain", "title", "document") if row[name])


def marked(text: str, wanted: str) -> list[Any]:
    """Return a text in which the words of another are marked, upper or lower case."""
    words = sorted(set(re.findall(r"\w+", wanted)), key=len, reverse=True)
    text = shown(text.strip())
    if not words:
        return [text]
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, words))})\b", re.IGNORECASE)
    parts = pattern.split(text)
    # What the pattern's group matched is at every second place.
    return [html.Mark(part, className="found") if place % 2 else part
            for place, part in enumerate(parts) if part]  # fmt: skip


def by_concept(store: Store, asked: Asked) -> Any:
    """Return concepts with words of the text."""
    rows, cypher = _words(store, asked, "search_concepts", "concepts")
    if not rows:
        return panel("Concepts", empty("No concept has such a word."), cypher=cypher)
    body = [
        [link("/search", row["name"], q=row["concept"], where="concept"), row["kind"],
         number(row["documents"]), number(row["features"])]
        for row in rows
    ]  # fmt: skip
    made = table(["concept", "kind", "documents", "features"], body,
                 caption="Concepts, and how many features are about each.")  # fmt: skip
    return panel("Concepts", made, _more(asked, rows, "concept"), cypher=cypher)


def features_of_concept(store: Store, asked: Asked) -> Any:
    """Return the features that are about a concept, where the text names one."""
    try:
        rows, cypher = ask(store, "concept_features", place="about", concept=_text(asked),
                           **_given(asked))  # fmt: skip
    except UsageError:
        return None
    columns = {"key": "feature", "auc": "AUC", "share": "share", "q": "q"}
    made = rows_table("concept_features", rows, columns, caption=f"About {_text(asked)}.")
    return panel("Features about it", made, cypher=cypher)


def by_explanation(store: Store, asked: Asked) -> Any:
    """Return features whose imported explanation has words of the text; nothing without any."""
    rows, cypher = _words(store, asked, "search_explanations", "explanations")
    if not rows:
        return None
    columns = {"key": "feature", "explanation": "explanation", "score": "relevance"}
    made = rows_table("search_explanations", rows, columns, caption="Most relevant first.")
    return panel("Explanations", made, cypher=cypher)


def by_likeness(store: Store, asked: Asked) -> Any:
    """Return features whose label means what the label of a feature means."""
    title, limit = "Features with a like label", int(asked.get("rows") or MANY)
    rows, cypher = ask(store, "features_like_label", place="like", feature=_text(asked),
                       limit=limit)  # fmt: skip
    if not rows:
        return panel(title, empty("Its label has no vector."), cypher=cypher)
    columns = {"key": "feature", "top_tokens": "fires on", "cosine": "cosine of labels",
               "decoder_cosine": "of decoders"}  # fmt: skip
    made = rows_table("features_like_label", rows, columns, caption="Nearest meaning first.")
    return panel(title, made, cypher=cypher)


GROUPS: Groups = {
    "key": {"Key": by_key},
    "meaning": {WHERE["meaning"]: by_meaning},
    "label": {WHERE["label"]: by_words, "Explanations": by_explanation},
    "token": {"Tokens": by_token},
    "token-features": {
        title: partial(features_of_token, name=name, title=title)
        for name, title in (
            ("token_features", "Fire on it"),
            ("token_promoters", "Promote it"),
            ("token_suppressors", "Suppress it"),
        )
    },
    "context": {"Contexts": by_context},
    "concept": {"Concepts": by_concept},
    "concept-features": {"Features about it": features_of_concept},
    "like": {"Features with a like label": by_likeness},
}
"""What is loaded after the page is shown, a request a group."""
EVERYWHERE = ("key", "meaning", "label", "token", "context", "concept")
"""Groups that are asked where nothing is said of where to look."""
PLACES = {"token": ["token", "token-features"], "concept": ["concept-features", "concept"]}
"""Groups of a place, where they are not the one of its name."""
