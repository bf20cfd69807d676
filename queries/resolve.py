"""Turns what a user calls a feature, a community, a run and so on into what statements look for.

Each is a question (`atlas.graph.asking`): it yields the reads that it needs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from atlas.errors import NotFoundError, UsageError
from atlas.graph.asking import Request, ask
from queries.lucene import escape, fuzzy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.graph.asking import Question
    from atlas.graph.reader import Reader, Row

_LISTED = 8
_DIGITS = 18  # of a number that Neo4j can hold

_FEATURES = "UNWIND $keys AS key MATCH (f:Feature {key: key}) RETURN key"
_SAES = "MATCH (s:Sae) RETURN s.key AS key ORDER BY key"
_LABELLED = "MATCH (f:Feature {label: $text}) RETURN f.key AS key, f.label AS label ORDER BY key"
_CANDIDATES = """
CALL db.index.fulltext.queryNodes('feature_text', $query, {limit: $limit}) YIELD node AS f, score
RETURN f.key AS key, f.label AS label, coalesce(f.top_tokens, []) AS top_tokens
ORDER BY score DESC, key
"""
_COMMUNITY = """
MATCH (c:Community)
WHERE c.key = $text OR c.label = $text OR c.number = $number
RETURN c.key AS key, c.label AS label, c.number AS number, c.run AS run
ORDER BY key
"""
_RUNS = "MATCH (r:Run) RETURN r.key AS key, r.kind AS kind ORDER BY key"
_CONCEPTS = """
MATCH (c:Concept)
WHERE c.key = $text OR c.name = $text OR toLower(c.key) ENDS WITH toLower($ending)
RETURN c.key AS key, c.name AS label ORDER BY key
"""
_LIKE_CONCEPTS = """
CALL db.index.fulltext.queryNodes('concept_text', $query, {limit: 50}) YIELD node AS c, score
RETURN c.key AS key, c.name AS label ORDER BY score DESC, key
"""
_TOKENS = "MATCH (t:Token) WHERE t.text IN $texts RETURN DISTINCT t.text AS text ORDER BY text"
_LIKE_TOKENS = """
CALL db.index.fulltext.queryNodes('token_text', $query, {limit: 200}) YIELD node AS t, score
WITH t.text AS text, max(score) AS score
RETURN text ORDER BY score DESC, text
"""
# {model}/{hook}/{sae}/{index}; a model's name may have slashes of its own.
_WHOLE_KEY = re.compile(r"[^/]+(/[^/]+){2,}/\d+")


def looks_like_key(name: str | int) -> bool:
    """Return whether a name is written as a feature's whole key is."""
    return isinstance(name, str) and _WHOLE_KEY.fullmatch(name) is not None


def feature_key(name: str | int) -> Question[str]:
    """Ask for the key of the feature that `name` means.

    Tried in this order: its key; ``sae/index``, the SAE by its key or the end of it; its index, if
    the database has one SAE; its label; the token it fires on most; a token among those it fires
    on most. Each stage decides if exactly one feature fits.

    Raises
    ------
    NotFoundError
        No feature fits; the message has the nearest.
    UsageError
        Several fit; the message lists them.
    """
    text = str(name).strip()
    if _is_index(text):
        sae = yield from _only_sae(text)
        return (yield from _existing(f"{sae}/{int(text)}", name))
    if (yield Request(_FEATURES, {"keys": [text]})):
        return text
    head, slash, index = text.rpartition("/")
    if slash and _is_index(index):
        sae = yield from sae_key(head)
        return (yield from _existing(f"{sae}/{int(index)}", name))
    return (yield from _by_words(text))


def feature_keys(names: Sequence[str | int]) -> Question[list[str]]:
    """Ask for the keys of several features, in order; raises as `feature_key` does."""
    keys = [str(name).strip() for name in names]
    found = {row["key"] for row in (yield Request(_FEATURES, {"keys": keys}))}
    resolved = []
    for key, name in zip(keys, names, strict=True):
        resolved.append(key if key in found else (yield from feature_key(name)))
    return resolved


def community_key(name: str | int) -> Question[str]:
    """Ask for the key of the community that `name` means: its key, number or label.

    Raises
    ------
    NotFoundError
        No community fits.
    UsageError
        Several fit, for example the same number in several runs; the message lists them.
    """
    text = str(name).strip()
    number = int(text) if _is_index(text) else None
    rows = yield Request(_COMMUNITY, {"text": text, "number": number})
    exact = [row for row in rows if row["key"] == text]
    if not rows:
        raise NotFoundError(
            f"There is no community {name!r}.",
            hint="`atlas query communities` lists them; `atlas analyse` makes them.",
        )
    return _one(exact or rows, f"community {name!r}")


def run_key(name: str) -> Question[str]:
    """Ask whether there is a run of that key, and return it.

    Raises
    ------
    NotFoundError
        There is no such run; the message lists those there are.
    """
    runs = [row["key"] for row in (yield Request(_RUNS))]
    if name not in runs:
        raise NotFoundError(
            f"The database has no run {name!r}.",
            hint=f"It has: {_listed(runs)}." if runs else "Load a build with `atlas load`.",
        )
    return name


def only_run_key() -> Question[str]:
    """Ask for the key of the database's only run.

    Raises
    ------
    NotFoundError
        It has none.
    UsageError
        It has several; the message lists them.
    """
    # A run of another kind than a build (an attribution) adds to the features of builds.
    runs = [row["key"] for row in (yield Request(_RUNS)) if row["kind"] is None]
    if not runs:
        raise NotFoundError("The database has no run.", hint="Load a build with `atlas load`.")
    if len(runs) > 1:
        raise UsageError(
            f"The database has {len(runs)} runs.", hint=f"Name one of {_listed(runs)}."
        )
    return str(runs[0])


def sae_key(name: str) -> Question[str]:
    """Ask for the key of the SAE of that key, or of the only one whose key ends so.

    Raises
    ------
    NotFoundError
        There is no such SAE; the message lists those there are.
    UsageError
        Several keys end so.
    """
    saes = [row["key"] for row in (yield Request(_SAES))]
    fitting = [key for key in saes if key == name or key.endswith(f"/{name}")]
    if name in saes:
        return name
    if not fitting:
        raise NotFoundError(f"There is no SAE {name!r}.", hint=f"There are: {_listed(saes)}.")
    return _one([{"key": key} for key in fitting], f"SAE {name!r}")


def concept_key(name: str) -> Question[str]:
    """Ask for the key of the concept of that key, name or identifier, upper or lower case.

    Raises
    ------
    NotFoundError
        No concept fits; the message has the nearest.
    UsageError
        Several fit, for example a domain of two corpora; the message lists them.
    """
    text = name.strip()
    rows = yield Request(_CONCEPTS, {"text": text, "ending": f"/{text}"})
    if rows:
        exact = [row for row in rows if row["key"] == text]
        return _one(exact or rows, f"concept {name!r}")
    like = yield from _nearest(_LIKE_CONCEPTS, text)
    same = [row for row in like if str(row["label"]).casefold() == text.casefold()]
    if same:
        return _one(same, f"concept {name!r}")
    hint = _suggested([_described(row) for row in like])
    raise NotFoundError(
        f"There is no concept {name!r}.", hint=hint or "`atlas query concepts` lists them."
    )


def token_texts(name: str) -> Question[list[str]]:
    """Ask for the spellings of a token that the atlas has: as written, with and without a space.

    Raises
    ------
    NotFoundError
        It has none; the message has the nearest.
    """
    bare = name.strip()
    texts = sorted({name, bare, f" {bare}"} - {""})
    found = [row["text"] for row in (yield Request(_TOKENS, {"texts": texts}))]
    # Written with a space, it is the token with the space that is meant.
    exact = [text for text in found if text == name and name != bare]
    if found:
        return exact or found
    like = [row["text"] for row in (yield from _nearest(_LIKE_TOKENS, bare))]
    same = [text for text in like if text.strip().casefold() == bare.casefold()]
    if same:
        return same
    raise NotFoundError(
        f"The atlas has no token {name!r}.", hint=_suggested([repr(text) for text in like]) or None
    )


def resolve_feature(reader: Reader, name: str | int) -> str:
    """Return the key of the feature that `name` means; see `feature_key`."""
    return ask(reader, feature_key(name))


def resolve_run(reader: Reader, name: str) -> str:
    """Return the key of a run; see `run_key`."""
    return ask(reader, run_key(name))


def only_run(reader: Reader) -> str:
    """Return the key of the database's only run; see `only_run_key`."""
    return ask(reader, only_run_key())


def _is_index(text: str) -> bool:
    return text.isdecimal() and len(text) <= _DIGITS


def _only_sae(index: str) -> Question[str]:
    saes = [row["key"] for row in (yield Request(_SAES))]
    if not saes:
        raise NotFoundError("The database has no SAE.", hint="Load a build with `atlas load`.")
    if len(saes) > 1:
        raise UsageError(
            f"The index {index} is not enough: the database has {len(saes)} SAEs.",
            hint=f"Write SAE/{index} with one of {_listed(saes)}.",
        )
    return str(saes[0])


def _existing(key: str, name: str | int) -> Question[str]:
    if not (yield Request(_FEATURES, {"keys": [key]})):
        raise NotFoundError(
            f"There is no feature {name!r} ({key}).", hint="Look for one with `atlas query search`."
        )
    return key


def _by_words(text: str) -> Question[str]:
    labelled = yield Request(_LABELLED, {"text": text})
    if labelled:
        return _one(labelled, f"feature {text!r}")
    what = f"looking for {text!r}"
    found = yield Request(_CANDIDATES, {"query": escape(text), "limit": 2000}, what)
    wanted = text.casefold()
    stages = (
        [row for row in found if str(row["label"]).casefold() == wanted],
        [row for row in found if _spelled(row["top_tokens"][:1], wanted)],
        [row for row in found if _spelled(row["top_tokens"], wanted)],
    )
    for rows in stages:
        if rows:
            return _one(rows, f"feature {text!r}")
    like = found or (yield from _nearest(_CANDIDATES, text))
    nearest = _suggested([_described(row) for row in like])
    raise NotFoundError(
        f"No feature has the key, label or top token {text!r}.",
        hint=nearest or f'Try `atlas query search --text "{text}"`.',
    )


def _nearest(statement: str, text: str) -> Question[list[Row]]:
    query = fuzzy(text)
    if not query:
        return []
    return (yield Request(statement, {"query": query, "limit": _LISTED}, f"looking for {text!r}"))


def _suggested(names: Sequence[str]) -> str:
    return f"The nearest: {', '.join(names[:_LISTED])}." if names else ""


def _spelled(tokens: Sequence[str], wanted: str) -> bool:
    return any(token.strip().casefold() == wanted for token in tokens)


def _one(rows: Sequence[Row], what: str) -> str:
    if len(rows) == 1:
        return str(rows[0]["key"])
    named = [_described(row) for row in sorted(rows, key=lambda row: str(row["key"]))]
    raise UsageError(
        f"The {what} is ambiguous: {len(rows)} fit.", hint=f"Name one: {_listed(named)}."
    )


def _described(row: Row) -> str:
    label: Any = row.get("label")
    return f"{row['key']} ({label})" if label else str(row["key"])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
