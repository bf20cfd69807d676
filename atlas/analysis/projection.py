"""Which graph an algorithm runs on: a run's relationships of one type, thinned and weighted.

All edges of a run are too many for communities: they melt into a few blobs. The default, the
backbone, keeps a co-occurrence where each end is among the strongest `top_k` neighbours of the
other. Weights are similarities, so only pairs that go together count: never exclusive pairs,
pairs that fire together less than by chance, whatever their topics do, or candidates of absorption.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from atlas.analysis.firing import fires
from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOP_K = 10
"""Default of `top_k` for relationships whose ends rank each other."""


@dataclass(frozen=True)
class _Type:
    """A relationship type: its weights, default first, and what tells that a pair goes together."""

    weights: tuple[str, ...]
    sign: str
    floor: float = 0.0
    directed: bool = False
    top_k: int = 0
    ranked: bool = True


_KINDS = {"token": "phi", "topic": "r_topic"}
# Two features of one topic may still take turns: then one stands in the place of the other.
_TOGETHER = """
  AND (r.kind <> 'topic' OR (r.phi > 0 AND NOT EXISTS {
    (f)-[:CO_OCCURS {run: $run, kind: 'exclusive'}]-(t)
  }))"""
_TYPES = {
    "CO_OCCURS": _Type(
        tuple("phi phi_share npmi pmi jaccard lift phi_within r_topic r r_joint cosine".split()),
        sign="phi",
        top_k=TOP_K,
    ),
    "IMPLIES": _Type(
        ("p_target_given_source", "lift", "cosine"), "lift", 1.0, directed=True, ranked=False
    ),
    "SIMILAR_TO": _Type(("cosine",), sign="cosine", top_k=TOP_K),
    "FEEDS": _Type(
        ("phi", "npmi", "lift", "p_target_given_source", "r", "r_joint", "weight", "weight_cosine"),
        sign="phi",
        directed=True,
    ),
}
RELATIONSHIPS = tuple(_TYPES)
"""Relationship types that can be projected."""
SUFFIXES: Mapping[str, str] = MappingProxyType(
    {
        "token": "",
        "topic": "_topic",
        "token+topic": "_token_topic",
        "IMPLIES": "_implies",
        "SIMILAR_TO": "_similar",
        "FEEDS": "_feeds",
        "network": "_network",
    }
)
"""What is appended to a property's name: which relationships it was computed on."""


@dataclass(frozen=True)
class Projection:
    """A graph of a run's features: all that ever fire, and some of what joins them.

    Made by `projection`, which checks it.

    Attributes
    ----------
    run
        Key of the run.
    relationship
        ``CO_OCCURS``, ``IMPLIES``, ``SIMILAR_TO`` or ``FEEDS``.
    kinds
        Kinds of co-occurrence: ``token``, ``topic`` or both; empty for other types.
    top_k
        Keep an edge whose rank is at most this among the edges of both of its ends; 0: all.
    min_weight
        Keep an edge whose weight is above this.
    weights
        Property that is the weight, by kind (the empty text where there are no kinds).
    directed
        Whether edges keep their direction. Without it, of two opposite edges the heavier counts.
    """

    run: str
    relationship: str
    kinds: tuple[str, ...]
    top_k: int
    min_weight: float
    weights: Mapping[str, str]
    directed: bool

    @property
    def suffix(self) -> str:
        """What is appended to the names of properties that are written; of `SUFFIXES`."""
        return SUFFIXES["+".join(self.kinds) or self.relationship]

    @property
    def empty(self) -> str:
        """What is said of a projection without an edge."""
        if self.top_k:
            return (
                f"The run {self.run} has no edge that is among the strongest"
                f" {self.top_k} of both its ends."
            )
        return f"The run {self.run} has no {self.relationship} above weight {self.min_weight:g}."

    @property
    def looser(self) -> str:
        """What helps where there is no edge."""
        return "Give a larger top_k." if self.top_k else "Give a smaller min_weight."

    def describe(self) -> dict[str, Any]:
        """Return the projection in plain values, as it is recorded with results."""
        return {
            "relationship": self.relationship,
            "kinds": list(self.kinds),
            "top_k": self.top_k,
            "min_weight": self.min_weight,
            "weights": dict(self.weights),
            "directed": self.directed,
        }

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of a statement made with `pattern`."""
        of_type = _TYPES[self.relationship]
        signs = {kind: _KINDS.get(kind, of_type.sign) for kind in self.weights}
        return {
            "run": self.run,
            "top_k": self.top_k,
            "min_weight": self.min_weight,
            "weights": dict(self.weights),
            "signs": signs,
            "floor": of_type.floor,
        }

    def pattern(self, *, both_ways: bool = False) -> str:
        """Return Cypher that binds each feature `f` and, where it has some, `t` and `weight`.

        Parameters
        ----------
        both_ways
            Match edges against their direction too, from the lower key to the higher one.
        """
        arrow, order = ("-", " AND f.key < t.key") if both_ways else ("->", "")
        return f"""
MATCH (f:Feature)-[:FROM_RUN]->(:Run {{key: $run}})
WHERE {fires("f")}
OPTIONAL MATCH (f)-[r:{self.relationship} {{run: $run}}]{arrow}(t:Feature)
WHERE {fires("t")}{order} AND NOT coalesce(r.absorption, false)
  AND r[$signs[coalesce(r.kind, '')]] > $floor{self._together()}
  AND r[$weights[coalesce(r.kind, '')]] > $min_weight
  AND ($top_k = 0 OR (r.rank_source <= $top_k AND r.rank_target <= $top_k))
WITH f, t, r[$weights[coalesce(r.kind, '')]] AS weight
"""

    def _together(self) -> str:
        """Return the condition that a topic pair does not avoid each other's tokens."""
        return _TOGETHER if "topic" in self.kinds else ""


def projection(
    run: str,
    relationship: str = "CO_OCCURS",
    *,
    kinds: Sequence[str] = (),
    top_k: int | None = None,
    min_weight: float = 0.0,
    weight: str | None = None,
    directed: bool | None = None,
) -> Projection:
    """Describe a graph of a run; nothing is read yet.

    Parameters
    ----------
    run
        Key of the run.
    relationship
        ``CO_OCCURS``, ``IMPLIES``, ``SIMILAR_TO`` or ``FEEDS``, in upper or lower case.
    kinds
        Kinds of co-occurrence, ``token`` by default; ``topic`` pairs rise and fall together from
        document to document; those that avoid each other within documents are left out.
        ``exclusive`` pairs are refused: they are no similarity.
    top_k
        Keep an edge whose rank is at most this among the edges of both of its ends; 0 keeps all.
        By default 10 for co-occurrence and similarity, and 0 for the others.
    min_weight
        Keep an edge whose weight is above this, 0 or more.
    weight
        Property that is the weight. By default phi (``token`` and ``FEEDS``), r_topic
        (``topic``), the conditional probability (``IMPLIES``) or the cosine (``SIMILAR_TO``).
    directed
        By default ``IMPLIES`` and ``FEEDS`` are, and the others, which have no direction, are not.

    Raises
    ------
    UsageError
        There is no such type, kind or weight, or they do not go together.
    """
    name = relationship.upper()
    if name not in _TYPES:
        raise UsageError(
            f"There is no relationship {relationship!r} to analyse.",
            hint=f"There are: {', '.join(_TYPES)}.",
        )
    of_type = _TYPES[name]
    chosen = _kinds(name, kinds)
    if directed and not of_type.directed:
        raise UsageError(f"{name} has no direction.", hint="Leave `directed` out.")
    return Projection(
        run=run,
        relationship=name,
        kinds=chosen,
        top_k=_top_k(name, top_k),
        min_weight=_min_weight(min_weight),
        weights=_weights(name, chosen, weight),
        directed=of_type.directed if directed is None else directed,
    )


def _kinds(relationship: str, kinds: Sequence[str]) -> tuple[str, ...]:
    if relationship != "CO_OCCURS":
        if kinds:
            raise UsageError(f"{relationship} has no kinds.", hint="Leave `kinds` out.")
        return ()
    if isinstance(kinds, str):
        kinds = (kinds,)
    for kind in kinds:
        if kind == "exclusive":
            raise UsageError(
                "Exclusive pairs fire together less than by chance: they are no similarity.",
                hint="Take the kinds token or topic.",
            )
        if kind not in _KINDS:
            raise UsageError(
                f"There is no kind {kind!r} of co-occurrence.", hint="Take token or topic."
            )
    return tuple(kind for kind in _KINDS if kind in (kinds or ("token",)))


def _top_k(relationship: str, top_k: int | None) -> int:
    of_type = _TYPES[relationship]
    if top_k is None:
        return of_type.top_k
    if top_k < 0:
        raise UsageError(f"top_k is {top_k}.", hint="Give 0 (all edges) or more.")
    if top_k and not of_type.ranked:
        raise UsageError(f"{relationship} has no ranks.", hint="Give min_weight, not top_k.")
    return top_k


def _min_weight(min_weight: float) -> float:
    if not 0 <= min_weight < float("inf"):
        raise UsageError(
            f"min_weight is {min_weight}.", hint="Weights are similarities: give 0 or more."
        )
    return float(min_weight)


def _weights(relationship: str, kinds: tuple[str, ...], weight: str | None) -> dict[str, str]:
    of_type = _TYPES[relationship]
    if weight is not None and weight not in of_type.weights:
        raise UsageError(
            f"{relationship} has no weight {weight!r} that is a similarity.",
            hint=f"It has: {', '.join(of_type.weights)}.",
        )
    if not kinds:
        return {"": weight or of_type.weights[0]}
    return {kind: weight or _KINDS[kind] for kind in kinds}
