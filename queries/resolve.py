"""Turns what a user calls a feature, a community or a run into its key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.errors import NotFoundError, UsageError
from queries.lucene import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.graph.reader import Reader, Row

_LISTED = 8

_FEATURE = "MATCH (f:Feature {key: $key}) RETURN f.key AS key"
_SAES = "MATCH (s:Sae) RETURN s.key AS key ORDER BY key"
_LABELLED = "MATCH (f:Feature {label: $text}) RETURN f.key AS key, f.label AS label ORDER BY key"
_CANDIDATES = """
CALL db.index.fulltext.queryNodes('feature_text', $query, {limit: 2000}) YIELD node AS f
RETURN f.key AS key, f.label AS label, coalesce(f.top_tokens, []) AS top_tokens
ORDER BY key
"""
_COMMUNITY = """
MATCH (c:Community)
WHERE c.key = $text OR c.label = $text OR c.number = $number
RETURN c.key AS key, c.label AS label, c.number AS number, c.run AS run
ORDER BY key
"""
# A run of another kind than a build (an attribution) adds to the features of builds.
_RUNS = "MATCH (r:Run) WHERE r.kind IS NULL RETURN r.key AS key ORDER BY key"


def resolve_feature(reader: Reader, name: str | int) -> str:
    """Return the key of the feature that `name` means.

    Tried in this order: its key; ``sae/index``, the SAE by its key or the end of it; its index, if
    the database has one SAE; its label; the token it fires on most; a token among those it fires
    on most. Each stage decides if exactly one feature fits.

    Raises
    ------
    NotFoundError
        No feature fits.
    UsageError
        Several fit; the message lists them.
    """
    text = str(name).strip()
    if text.isdecimal():
        return _existing(reader, f"{_only_sae(reader, text)}/{int(text)}", name)
    if reader.read(_FEATURE, {"key": text}):
        return text
    sae, slash, index = text.rpartition("/")
    if slash and index.isdecimal():
        return _existing(reader, f"{_sae(reader, sae)}/{int(index)}", name)
    return _by_words(reader, text)


def resolve_community(reader: Reader, name: str | int) -> str:
    """Return the key of the community that `name` means: its key, number or label.

    Raises
    ------
    NotFoundError
        No community fits.
    UsageError
        Several fit, for example the same number in several runs; the message lists them.
    """
    text = str(name).strip()
    number = int(text) if text.isdecimal() else None
    rows = reader.read(_COMMUNITY, {"text": text, "number": number})
    exact = [row for row in rows if row["key"] == text]
    if not rows:
        raise NotFoundError(
            f"There is no community {name!r}.",
            hint="`atlas query communities` lists them; `atlas analyse` makes them.",
        )
    return _one(exact or rows, f"community {name!r}")


def resolve_run(reader: Reader, name: str) -> str:
    """Return the key of a run.

    Raises
    ------
    NotFoundError
        There is no such run; the message lists those there are.
    """
    runs = [row["key"] for row in reader.read(_RUNS)]
    if name not in runs:
        raise NotFoundError(
            f"The database has no run {name!r}.",
            hint=f"It has: {_listed(runs)}." if runs else "Load a build with `atlas load`.",
        )
    return name


def only_run(reader: Reader) -> str:
    """Return the key of the database's only run.

    Raises
    ------
    NotFoundError
        It has none.
    UsageError
        It has several; the message lists them.
    """
    runs = [row["key"] for row in reader.read(_RUNS)]
    if not runs:
        raise NotFoundError("The database has no run.", hint="Load a build with `atlas load`.")
    if len(runs) > 1:
        raise UsageError(
            f"The database has {len(runs)} runs.", hint=f"Name one of {_listed(runs)}."
        )
    return str(runs[0])


def _only_sae(reader: Reader, index: str) -> str:
    saes = [row["key"] for row in reader.read(_SAES)]
    if not saes:
        raise NotFoundError("The database has no SAE.", hint="Load a build with `atlas load`.")
    if len(saes) > 1:
        raise UsageError(
            f"The index {index} is not enough: the database has {len(saes)} SAEs.",
            hint=f"Write SAE/{index} with one of {_listed(saes)}.",
        )
    return str(saes[0])


def _sae(reader: Reader, name: str) -> str:
    saes = [row["key"] for row in reader.read(_SAES)]
    fitting = [key for key in saes if key == name or key.endswith(f"/{name}")]
    if name in saes:
        return name
    if not fitting:
        raise NotFoundError(f"There is no SAE {name!r}.", hint=f"There are: {_listed(saes)}.")
    return _one([{"key": key} for key in fitting], f"SAE {name!r}")


def _existing(reader: Reader, key: str, name: str | int) -> str:
    if not reader.read(_FEATURE, {"key": key}):
        raise NotFoundError(
            f"There is no feature {name!r} ({key}).", hint="Look for one with `atlas query search`."
        )
    return key


def _by_words(reader: Reader, text: str) -> str:
    labelled = reader.read(_LABELLED, {"text": text})
    if labelled:
        return _one(labelled, f"feature {text!r}")
    found = reader.read(_CANDIDATES, {"query": escape(text)}, what=f"looking for {text!r}")
    wanted = text.casefold()
    stages = (
        [row for row in found if str(row["label"]).casefold() == wanted],
        [row for row in found if _spelled(row["top_tokens"][:1], wanted)],
        [row for row in found if _spelled(row["top_tokens"], wanted)],
    )
    for rows in stages:
        if rows:
            return _one(rows, f"feature {text!r}")
    raise NotFoundError(
        f"No feature has the key, label or top token {text!r}.",
        hint=f'Try `atlas query search --text "{text}"`.',
    )


def _spelled(tokens: Sequence[str], wanted: str) -> bool:
    return any(token.strip().casefold() == wanted for token in tokens)


def _one(rows: Sequence[Row], what: str) -> str:
    if len(rows) == 1:
        return str(rows[0]["key"])
    named = [_described(row) for row in rows]
    raise UsageError(
        f"The {what} is ambiguous: {len(rows)} fit.", hint=f"Name one: {_listed(named)}."
    )


def _described(row: Row) -> str:
    label: Any = row.get("label")
    return f"{row['key']} ({label})" if label else str(row["key"])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
