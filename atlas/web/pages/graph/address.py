"""Which part of the graph an address asks for."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from atlas.errors import UsageError
from atlas.graph.asking import ask
from atlas.web.pages.graph.elements import KINDS
from atlas.web.pages.graph.subgraph import MOST, NONE, USUAL_KINDS, View
from queries.resolve import community_key, feature_key, feature_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atlas.web.store import Store

    Row = dict[str, Any]

PATHS: Mapping[str, str] = MappingProxyType(
    {
        "shortest": "Shortest",
        "product": "Strongest by the product of its phi",
        "weakest": "Strongest by its weakest link",
        "several": "Several short ones",
    }
)
"""What a path may be asked for to be."""

MEMBERS = """
MATCH (f:Feature)-[:MEMBER_OF]->(:Community {key: $community})
RETURN f.key AS key ORDER BY coalesce(f.pagerank, -1.0) DESC, key LIMIT $limit
"""
"""The most central members of a community."""


def view(store: Store, query: Mapping[str, str]) -> View:
    """Return the view that an address asks for.

    Raises
    ------
    NotFoundError
        A feature, community or run is not there.
    UsageError
        A value is none, or a name is ambiguous.
    """
    limit = whole(query.get("limit"), "limit", usual=30, low=1, high=MOST)
    named = set(words(query.get("kinds"))) - {NONE}
    kinds = tuple(kind for kind in KINDS if kind in named)
    if unknown := named - set(KINDS):
        raise UsageError(f"There is no kind {min(unknown)!r}.", hint=f"One of {', '.join(KINDS)}.")
    # Members of a community are joined so densely that only their strongest edges are readable.
    usual = 8 if set(query) & {"community"} and not set(query) & {"key", "keys"} else 0
    rank = whole(query.get("rank"), "rank", usual=usual, low=0, high=100_000)
    q = real(query.get("q"), "q", usual=None, low=0.0, high=1.0)
    given: Row = {
        "run": store.run(query["run"]) if query.get("run") else None,
        "kinds": kinds or (() if query.get("kinds") else USUAL_KINDS),
        "least": real(query.get("least"), "least", usual=0.0, low=0.0, high=1.0) or 0.0,
        "npmi": real(query.get("npmi"), "npmi", usual=-1.0, low=-1.0, high=1.0),
        "rank": rank or None, "q": q, "limit": limit,
        "expanded": tuple(dict.fromkeys(words(query.get("expanded"))))[:MOST],
    }  # fmt: skip
    return View(**given | _what(store, query, limit=limit, run=given["run"]))


def _what(store: Store, query: Mapping[str, str], *, limit: int, run: str | None) -> Row:
    """Return the features that an address asks for, in one of its four ways."""
    reader = store.atlas.reader
    if query.get("key"):
        return {"chosen": (ask(reader, feature_key(query["key"])),), "centre": True}
    if query.get("keys"):
        names = list(dict.fromkeys(words(query["keys"])))
        if len(names) > MOST:
            raise UsageError(f"These are {len(names):,} features.", hint=f"Name at most {MOST}.")
        return {"chosen": tuple(dict.fromkeys(ask(reader, feature_keys(names))))}
    if query.get("community"):
        key = ask(reader, community_key(query["community"]))
        rows = reader.read(MEMBERS, {"community": key, "limit": limit}, what="reading members")
        return {"chosen": tuple(row["key"] for row in rows), "community": key}
    if query.get("from") and query.get("to"):
        ends = ask(reader, feature_keys([query["from"], query["to"]]))
        chains = paths(store, *ends, by=query.get("by") or "shortest", run=run)
        keys = dict.fromkeys(row["key"] for chain in chains for row in chain)
        return {"chosen": tuple(keys) or tuple(ends), "path": chains}
    return {"chosen": ()}


def paths(store: Store, a: str, b: str, *, by: str, run: str | None) -> tuple[tuple[Row, ...], ...]:
    """Return chains of features from one to another; none where there is none of six edges.

    Raises
    ------
    UsageError
        `by` is none of `PATHS`, or both ends are one feature.
    """
    name, asked = path_query(by)
    if a == b:
        raise UsageError("Both ends of the path are the same feature.", hint="Name two.")
    rows = store.ask(name, a=a, b=b, run=run, **asked)
    chains: dict[int, list[Row]] = {}
    for row in rows:
        chains.setdefault(row.get("path", 1), []).append(row)
    return tuple(tuple(chain) for chain in chains.values())


def path_query(by: str) -> tuple[str, Row]:
    """Return the query of the catalogue that finds paths of some sort, and its parameters."""
    known: Mapping[str, tuple[str, Row]] = {
        "shortest": ("shortest_path", {}),
        "several": ("k_shortest_paths", {"k": 4}),
        "product": ("strongest_path", {"by": "product"}),
        "weakest": ("strongest_path", {"by": "weakest"}),
    }
    if by not in known:
        raise UsageError(f"There is no path by {by!r}.", hint=f"One of {', '.join(known)}.")
    return known[by]


def words(text: str | None) -> list[str]:
    """Return the names in a list of an address, parted by spaces or commas."""
    return (text or "").replace(",", " ").split()


def whole(text: Any, name: str, *, usual: int, low: int, high: int) -> int:
    """Return a whole number of an address; raises `UsageError` if it is none."""
    value = real(text, name, usual=float(usual), low=float(low), high=float(high))
    return int(value if value is not None else usual)


def real(text: Any, name: str, *, usual: float | None, low: float, high: float) -> float | None:
    """Return a number of an address; raises `UsageError` if it is none, or out of range."""
    if text in (None, ""):
        return usual
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise UsageError(
            f"The {name} is {str(text)[:40]!r}.", hint=f"Give a number from {low:g} to {high:g}."
        )
    return value
