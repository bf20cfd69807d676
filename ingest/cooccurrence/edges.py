"""From tested pairs to edges: false-discovery rate, strongest k, implications."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from ingest.cooccurrence.kinds import EXCLUSIVE, KINDS, TOKEN, TOPIC, sums_of
from ingest.significance import benjamini_hochberg, effects

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from atlas.recipe import EdgesSection
    from ingest.cooccurrence.sums import Marginals, PairSums


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
        Number of significant edges of each kind before the strongest k are taken.
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

    def take(self, rows: NDArray[np.bool_]) -> Edges:
        """Return some of the edges."""
        columns = {
            f.name: getattr(self, f.name)[rows]
            for f in fields(self)
            if f.name not in ("sums", "significant")
        }
        return Edges(sums=self.sums.take(rows), significant=self.significant, **columns)


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


@dataclass(frozen=True)
class _Kind:
    """Significant pairs of one kind: rows of the survivors, their q and strength."""

    rows: NDArray[np.int64]
    q: NDArray[np.float64]
    strength: NDArray[np.float64]


def choose_edges(
    records: NDArray[np.void], m: Marginals, *, tested: int, options: EdgesSection
) -> Edges:
    """Take the significant pairs of each kind, and of those each feature's strongest.

    Parameters
    ----------
    records
        Survivors of the tests.
    m
        Marginals.
    tested
        Number of tests made: all candidates, once for each kind.
    options
        False-discovery rate and `top_k`: an edge is kept where it is among the strongest of
        either of its features.

    Notes
    -----
    A pair that is significant as a token edge is no topic edge.
    """
    phi = effects(records["a"], m.n[records["i"]], m.n[records["j"]], positions=m.positions).phi
    token = _significant(records, "p_token", TOKEN, phi, tested=tested, fdr=options.fdr)
    topic = _significant(
        records, "p_topic", TOPIC, records["r_topic"], tested=tested, fdr=options.fdr
    )
    both = np.isin(topic.rows, token.rows)
    topic = _Kind(topic.rows[~both], topic.q[~both], topic.strength[~both])
    exclusive = _significant(
        records, "p_exclusive", EXCLUSIVE, -records["phi_within"], tested=tested, fdr=options.fdr
    )
    return _edges(records, (token, topic, exclusive), len(m.n), options.top_k)


def _significant(
    records: NDArray[np.void],
    p: str,
    bit: int,
    strength: NDArray[np.float64],
    *,
    tested: int,
    fdr: float,
) -> _Kind:
    rows = np.flatnonzero(records["kinds"] & bit)
    q = benjamini_hochberg(records[p][rows], tested)
    found = q <= fdr
    return _Kind(rows[found], q[found], np.nan_to_num(strength[rows[found]]))


def _edges(records: NDArray[np.void], kinds: tuple[_Kind, ...], features: int, top_k: int) -> Edges:
    rows, code, q, rank_i, rank_j = [], [], [], [], []
    for number, kind in enumerate(kinds):
        one, two = ranks(records["i"][kind.rows], records["j"][kind.rows], kind.strength, features)
        strong = (one <= top_k) | (two <= top_k)
        rows.append(kind.rows[strong])
        code.append(np.full(int(strong.sum()), number, np.int8))
        q.append(kind.q[strong])
        rank_i.append(one[strong])
        rank_j.append(two[strong])
    row, kind_of = np.concatenate(rows), np.concatenate(code)
    found = records[row]
    order = np.lexsort((kind_of, found["j"], found["i"]))
    found, kind_of = found[order], kind_of[order]
    p = np.stack([found["p_token"], found["p_topic"], found["p_exclusive"]])
    return Edges(
        sums=sums_of(found),
        kind=kind_of,
        **{name: found[name].copy() for name in ("z", "z_within", "r_topic", "phi_within")},
        p=p[kind_of, np.arange(len(found))],
        q=np.concatenate(q)[order],
        rank_i=np.concatenate(rank_i)[order],
        rank_j=np.concatenate(rank_j)[order],
        significant={name: len(kind.rows) for name, kind in zip(KINDS, kinds, strict=True)},
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
    tested: int,
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
    records, m, tested, options
        As for `choose_edges`.
    near
        bool, one a record: the decoder vectors are near.
    """
    n_i, n_j = m.n[records["i"]], m.n[records["j"]]
    source = np.where(n_i <= n_j, records["i"], records["j"])
    target = np.where(n_i <= n_j, records["j"], records["i"])
    rate = records["a"] / np.maximum(np.minimum(n_i, n_j), 1)
    token = _significant(records, "p_token", TOKEN, rate, tested=tested, fdr=options.fdr)
    hidden = _significant(
        records, "p_exclusive", EXCLUSIVE, -records["phi_within"], tested=tested, fdr=options.fdr
    )
    parts = []
    for kind, keep, absorbed in (
        (token, rate[token.rows] >= options.min_implied, False),
        (hidden, near[hidden.rows], True),
    ):
        rows, q, strength = kind.rows[keep], kind.q[keep], kind.strength[keep]
        order = np.lexsort((target[rows], -strength, source[rows]))
        rows, q = rows[order], q[order]
        first = np.searchsorted(source[rows], source[rows])
        strong = np.arange(len(rows)) - first < options.top_k
        p = records["p_exclusive" if absorbed else "p_token"][rows[strong]]
        parts.append((rows[strong], q[strong], p, np.full(int(strong.sum()), absorbed)))
    row, q, p, absorption = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((absorption, target[row], source[row]))
    row = row[order]
    return Implications(
        source[row], target[row], records["a"][row], absorption[order], p[order], q[order]
    )
