"""A part of the graph, and its reading: two round trips for any view."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from atlas.web.store import Store

    Row = dict[str, Any]

#: Most features that an address may name, neighbours that expanding a feature adds, and features
#: and edges of a picture.
MOST, STEP, FULL, LINES = 200, 10, 400, 1200
NONE = "none"
"""In an address: no kind of edge at all."""
USUAL_KINDS = ("token", "implies", "feeds")
RANKS = (1, 2, 4, 8, 16, 32, 64, None)
"""Ranks that an edge may be asked to have at both of its ends; None is any."""
LEVELS = (1e-12, 1e-6, 1e-3, 0.01, 0.05, None)
"""False discovery rates that an edge may be asked to pass; None is any."""
LIMITS = (10, 20, 30, 50, 100, 200)
"""Numbers of features to begin with."""
_STRENGTH = """WITH *,
     CASE type(e) WHEN 'CO_OCCURS' THEN e.kind WHEN 'IMPLIES' THEN 'implies'
       WHEN 'SIMILAR_TO' THEN 'similar' WHEN 'FEEDS' THEN 'feeds' ELSE 'affects' END AS kind
WHERE kind IN $kinds
WITH *,
     CASE kind WHEN 'topic' THEN e.r_topic WHEN 'exclusive' THEN -e.phi_within
       WHEN 'implies' THEN e.p_target_given_source WHEN 'similar' THEN e.cosine
       WHEN 'affects' THEN e.change ELSE e.phi END AS strength
WHERE (kind = 'affects' OR coalesce(strength, 0.0) >= $least)
  AND (e.npmi IS NULL OR kind = 'exclusive' OR e.npmi >= $npmi)
  AND coalesce(e.rank_source, 0) <= $rank AND coalesce(e.rank_target, 0) <= $rank
  AND coalesce(e.q, 0.0) <= $q"""
NEIGHBOURS = f"""
UNWIND $keys AS key
MATCH (f:Feature {{key: key}})-[e:CO_OCCURS|IMPLIES|SIMILAR_TO|FEEDS|AFFECTS]-(o:Feature)
WHERE e.run = coalesce($run, f.run) OR type(e) = 'AFFECTS'
{_STRENGTH}
WITH key, kind, o, max(abs(strength)) AS strength
ORDER BY strength DESC, o.key
RETURN key, kind, collect(o.key)[..$limit] AS found
ORDER BY key, kind
"""
"""The strongest neighbours of some features, by kind."""
PICTURE = f"""
UNWIND $keys AS key
MATCH (f:Feature {{key: key}})
OPTIONAL MATCH (c:Community {{key: f.community}})
RETURN f.key AS key, f.label AS label, f.community AS community, c.label AS community_label,
       f.pagerank AS pagerank, f.firing_rate AS firing_rate, f.top_domain AS top_domain,
       f.top_tokens AS top_tokens, f.run AS run,
  COLLECT {{
    MATCH (f)-[e:CO_OCCURS|IMPLIES|SIMILAR_TO|FEEDS|AFFECTS]->(o:Feature)
    WHERE o.key IN $keys AND (e.run = coalesce($run, f.run) OR type(e) = 'AFFECTS')
    {_STRENGTH}
    RETURN {{source: f.key, target: o.key, kind: kind, strength: strength, phi: e.phi,
            npmi: e.npmi, n: e.n, q: e.q, rank_source: e.rank_source,
            rank_target: e.rank_target, mutual: e.mutual, run: e.run, key: e.key}}
    ORDER BY kind, abs(strength) DESC, o.key
  }} AS edges
"""
"""Some features, each with its edges to others of them."""


@dataclass(frozen=True)
class View:
    """What of the graph is shown.

    Attributes
    ----------
    run
        Run that the edges are of; None: of each feature the run of its numbers.
    chosen
        Keys of the features that were asked for.
    centre
        Whether it is one feature, with its neighbours.
    community
        Key of the community whose members they are.
    path
        Chains of features, each a list of rows with `key`, `label`, `phi`, `n`.
    kinds
        Kinds of edges.
    least, npmi, rank, q
        Least strength and NPMI, largest rank and false discovery rate of an edge.
    limit
        Features to begin with.
    expanded
        Features whose neighbours are shown too, in the order in which they were expanded.
    """

    run: str | None
    chosen: tuple[str, ...]
    centre: bool = False
    community: str | None = None
    path: tuple[tuple[Row, ...], ...] = ()
    kinds: tuple[str, ...] = USUAL_KINDS
    least: float = 0.0
    npmi: float = -1.0
    rank: int | None = None
    q: float | None = None
    limit: int = 30
    expanded: tuple[str, ...] = ()

    @property
    def conditions(self) -> Row:
        """Return the parameters that edges have to satisfy."""
        return {
            "run": self.run, "kinds": list(self.kinds), "least": self.least, "npmi": self.npmi,
            "rank": self.rank or 2**31 - 1, "q": 1.0 if self.q is None else self.q,
        }  # fmt: skip

    @property
    def ends(self) -> tuple[str, str]:
        """Return the first and the last feature, of a path where it is one."""
        of = self.chains[0] if self.path else self.chosen
        return of[0], of[-1]

    @property
    def chains(self) -> list[list[str]]:
        """Return the keys of the paths."""
        return [[row["key"] for row in chain] for chain in self.path]


@dataclass(frozen=True)
class Picture:
    """A view, read.

    Attributes
    ----------
    nodes, edges
        Rows; an edge's ends are among the nodes.
    left_out
        Edges that are too many to be told apart.
    asked
        Statements that were run, each with its title and parameters.
    """

    nodes: list[Row]
    edges: list[Row]
    left_out: int
    asked: list[tuple[str, str, Row]]


def read(store: Store, wanted: View) -> Picture:
    """Return the features and edges of a view."""
    asked: list[tuple[str, str, Row]] = []
    roots = [*(wanted.chosen if wanted.centre else ()), *wanted.expanded]
    keys = list(wanted.chosen)
    if roots and wanted.kinds:
        given = {"keys": roots, "limit": wanted.limit + STEP, **wanted.conditions}
        rows = store.atlas.reader.read(NEIGHBOURS, given, what="reading neighbours")
        asked.append(("Their strongest neighbours", NEIGHBOURS, given))
        keys = grown(wanted, rows)
    given = {"keys": keys, **wanted.conditions}
    rows = store.atlas.reader.read(PICTURE, given, what="reading the picture") if keys else []
    asked.append(("The features and the edges among them", PICTURE, given))
    edges = _one_a_kind(edge for row in rows for edge in row["edges"])
    order = {key: place for place, key in enumerate(keys)}
    nodes = [{name: row[name] for name in row if name != "edges"} for row in rows]
    nodes.sort(key=lambda row: order[row["key"]])
    return Picture(nodes, _strongest(edges), max(0, len(edges) - LINES), asked)


def grown(wanted: View, rows: Iterable[Row]) -> list[str]:
    """Return the features of a view, given the neighbours of those that it grows from.

    Kinds take turns, since their strengths are not of one measure.
    """
    of: dict[str, list[Sequence[str]]] = {}
    for row in rows:
        of.setdefault(row["key"], []).append(row["found"])
    keys = dict.fromkeys(wanted.chosen)
    goals = [(key, wanted.limit) for key in wanted.chosen] if wanted.centre else []
    for key, goal in [*goals, *((key, 0) for key in wanted.expanded)]:
        # What was expanded adds to what is there already.
        goal = min(FULL, goal or len(keys) + STEP)  # noqa: PLW2901
        turns = (one for turn in zip_longest(*of.get(key, [])) for one in turn if one)
        for other in turns:
            if len(keys) >= goal:
                break
            keys[other] = None
    return list(keys)


def _one_a_kind(edges: Iterable[Row]) -> list[Row]:
    """Return the strongest edge of each pair and kind: interventions may have made many."""
    best: dict[tuple[str, str, str], Row] = {}
    for edge in edges:
        best.setdefault((edge["source"], edge["target"], edge["kind"]), edge)
    return list(best.values())


def _strongest(edges: Sequence[Row]) -> list[Row]:
    """Return as many edges as can be told apart: of each kind its strongest."""
    ranked = sorted(edges, key=lambda row: -abs(row["strength"] or 0.0))
    met: Counter[str] = Counter()
    places = []
    for row in ranked:
        met[row["kind"]] += 1
        places.append(met[row["kind"]])
    order = sorted(range(len(ranked)), key=lambda k: places[k])[:LINES]
    return [ranked[k] for k in sorted(order)]
