"""From tested pairs to edges: false-discovery rate, strongest k, implications."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ingest.cooccurrence.kinds import EXCLUSIVE, KINDS, TOKEN, TOPIC, sums_of
from ingest.cooccurrence.sums import rarer_first
from ingest.significance import benjamini_hochberg, effects

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from atlas.recipe import EdgesSection
    from ingest.cooccurrence.sums import Marginals, PairSums

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Edges:
    """Edges of one SAE (or between two), ordered by (i, j), then kind.

    Attributes
    ----------
    sums
        Sums of the pairs.
    kind
        int8: place in `KINDS`.
    z, z_within, r_topic, phi_within
        float64, see `ingest.cooccurrence.kinds.Tested`.
    p, q
        float64: p of the edge's kind, and its Benjamini-Hochberg adjustment over all tested
        pairs.
    rank_i, rank_j
        int32: rank of the edge by strength among all significant edges of its kind of i, and of
        j; 1 is strongest. Token edges are ranked by phi, topic edges by r_topic, exclusive ones
        by the most negative phi_within.
    significant
        Number of significant edges of each kind that was looked for, before the strongest k are
        taken.
    """

    sums: PairSums
    kind: NDArray[np.int8]
    z: NDArray[np.float64]
    z_within: NDArray[np.float64]
    r_topic: NDArray[np.float64]
    phi_within: NDArray[np.float64]
    p: NDArray[np.float64]
    q: NDArray[np.float64]
    rank_i: NDArray[np.int32]
    rank_j: NDArray[np.int32]
    significant: dict[str, int]


@dataclass(frozen=True)
class Implications:
    """Directed pairs: firing of the rarer feature implies, or should imply, the other's.

    Attributes
    ----------
    source, target
        int32: the rarer feature and the other one.
    n
        int64: joint firings.
    absorption
        bool: the decoder vectors are near, and yet the two fire together *less* within documents
        than independence gives: the source may have absorbed the target.
    p, q
        float64: of the token test, or of the exclusive one where `absorption`.
    """

    source: NDArray[np.int32]
    target: NDArray[np.int32]
    n: NDArray[np.int64]
    absorption: NDArray[np.bool_]
    p: NDArray[np.float64]
    q: NDArray[np.float64]


#: For a search that wants none.
NO_IMPLICATIONS = Implications(
    source=np.zeros(0, np.int32),
    target=np.zeros(0, np.int32),
    n=np.zeros(0, np.int64),
    absorption=np.zeros(0, np.bool_),
    p=np.zeros(0),
    q=np.zeros(0),
)


@dataclass(frozen=True)
class Significant:
    """Survivors that are significant for one kind.

    Attributes
    ----------
    rows
        int64: their places among the survivors, ascending.
    q
        float64: p of the kind, adjusted over all tested pairs.
    """

    rows: NDArray[np.int64]
    q: NDArray[np.float64]

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Significant:
        """Return some of them."""
        return Significant(self.rows[chosen], self.q[chosen])


def significant_pairs(
    records: NDArray[np.void], *, tested: int, fdr: float, kinds: Collection[str] = KINDS
) -> dict[str, Significant]:
    """Find the pairs of each kind whose adjusted p is within the false-discovery rate.

    Parameters
    ----------
    records
        Survivors of the tests.
    tested
        Number of tests made: all candidates, once for each kind.
    fdr
        False-discovery rate.
    kinds
        Kinds to return.

    Notes
    -----
    A pair that is significant as a token edge is no topic edge.
    """
    found = {}
    for kind, bit in zip(KINDS, (TOKEN, TOPIC, EXCLUSIVE), strict=True):
        rows = np.flatnonzero(records["kinds"] & bit)
        every = Significant(rows, benjamini_hochberg(records[f"p_{kind}"][rows], tested))
        found[kind] = every.take(every.q <= fdr)
    by_token = np.isin(found["topic"].rows, found["token"].rows)
    found["topic"] = found["topic"].take(~by_token)
    return {kind: found[kind] for kind in KINDS if kind in kinds}


def strength(kind: str, *, phi: Floats, r_topic: Floats, phi_within: Floats) -> Floats:
    """Return what edges of a kind are ranked by: phi, r_topic, or how negative phi_within is."""
    if kind == "exclusive":
        return -phi_within
    return phi if kind == "token" else r_topic


def choose_edges(
    records: NDArray[np.void],
    m: Marginals,
    *,
    significant: Mapping[str, Significant],
    top_k: int,
) -> Edges:
    """Take of the significant pairs of each kind those that are a feature's strongest.

    Parameters
    ----------
    records
        Survivors of the tests.
    m
        Marginals.
    significant
        Those of each kind that are significant.
    top_k
        An edge is kept where it is among the strongest so many of either of its features.
    """
    phi = effects(records["a"], m.n[records["i"]], m.n[records["j"]], positions=m.positions).phi
    parts = []
    for name, kind in significant.items():
        i, j, r_topic, phi_within = (
            records[column][kind.rows] for column in ("i", "j", "r_topic", "phi_within")
        )
        by = strength(name, phi=phi[kind.rows], r_topic=r_topic, phi_within=phi_within)
        one, two = ranks(i, j, np.nan_to_num(by), len(m.n))
        strong = (one <= top_k) | (two <= top_k)
        number = np.full(len(one), KINDS.index(name), np.int8)
        parts.append([column[strong] for column in (kind.rows, number, kind.q, one, two)])
    row, number, q, rank_i, rank_j = (np.concatenate(column) for column in zip(*parts, strict=True))
    found = records[row]
    order = np.lexsort((number, found["j"], found["i"]))
    found, number = found[order], number[order]
    p = np.stack([found[f"p_{name}"] for name in KINDS])
    return Edges(
        sums=sums_of(found),
        kind=number,
        **{name: found[name].copy() for name in ("z", "z_within", "r_topic", "phi_within")},
        p=p[number, np.arange(len(found))],
        q=q[order],
        rank_i=rank_i[order],
        rank_j=rank_j[order],
        significant={name: len(kind.rows) for name, kind in significant.items()},
    )


def ranks(
    i: NDArray[np.int32], j: NDArray[np.int32], strength: NDArray[np.float64], features: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Rank each edge by falling strength among the edges of i, and among those of j.

    Ties go to the lower other feature, so that ranks are the same on every run.
    """
    end = np.concatenate([i, j])
    other = np.concatenate([j, i])
    order = np.lexsort((other, -np.concatenate([strength, strength]), end))
    first = np.searchsorted(end[order], np.arange(features))
    rank = np.empty(2 * len(i), np.int32)
    rank[order] = np.arange(2 * len(i)) - first[end[order]] + 1
    return rank[: len(i)], rank[len(i) :]


def implications(
    records: NDArray[np.void],
    m: Marginals,
    *,
    significant: Mapping[str, Significant],
    options: EdgesSection,
    near: NDArray[np.bool_],
) -> Implications:
    """Find directed pairs among the survivors.

    A token-significant pair whose rarer feature brings the other with it at a rate of at least
    ``options.min_implied`` is an implication; a pair of near decoder vectors that is
    significantly exclusive is one that absorption may hide. Each source keeps its strongest
    ``options.top_k`` of both sorts, by that rate, or by the exclusion.

    Parameters
    ----------
    records, m
        As for `choose_edges`.
    significant
        Token and exclusive pairs among them.
    options
        Least rate, and how many a source keeps.
    near
        bool, one a record: the decoder vectors are near.
    """
    source, target, _ = rarer_first(m.n, records["i"], records["j"])
    rate = records["a"] / np.maximum(m.n[source], 1)
    parts = []
    for name, by, chosen in (
        ("token", rate, rate >= options.min_implied),
        ("exclusive", -records["phi_within"], near),
    ):
        kind = significant[name]
        kind = kind.take(chosen[kind.rows])
        kind = kind.take(
            np.lexsort((target[kind.rows], -np.nan_to_num(by[kind.rows]), source[kind.rows]))
        )
        first = np.searchsorted(source[kind.rows], source[kind.rows])
        kind = kind.take(np.arange(len(kind.rows)) - first < options.top_k)
        hidden = np.full(len(kind.rows), name == "exclusive")
        parts.append((kind.rows, kind.q, records[f"p_{name}"][kind.rows], hidden))
    row, q, p, absorption = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((absorption, target[row], source[row]))
    row = row[order]
    return Implications(
        source[row], target[row], records["a"][row], absorption[order], p[order], q[order]
    )
