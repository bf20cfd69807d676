"""From sums to edges: candidates, effect floor, tests, false-discovery rate, strongest k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from atlas.progress import Reporter, SilentReporter
from ingest.cooccurrence.pairs import (
    DocumentIndex,
    Marginals,
    PairSums,
    join,
    marginals,
    pair_sums,
    select,
)
from ingest.significance import (
    Effects,
    benjamini_hochberg,
    document_z,
    effects,
    upper_tail,
    within_document_z,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from atlas.recipe import EdgesSection

_T = TypeVar("_T", PairSums, Effects)


@dataclass(frozen=True)
class Edges:
    """Token edges of one SAE, ordered by (i, j).

    Attributes
    ----------
    sums, effects
        The pairs' sums and effect sizes.
    z, z_within, p, q
        float64. p is the larger of the two tests' one-sided p (both must hold: an
        intersection-union test), q its Benjamini-Hochberg adjustment over all tested pairs.
    rank_i, rank_j
        int32: rank of the edge by phi among all significant edges of i, and of j; 1 is strongest.
    tested
        Number of tested pairs.
    marginals
        Sums a feature.
    """

    sums: PairSums
    effects: Effects
    z: NDArray[np.float64]
    z_within: NDArray[np.float64]
    p: NDArray[np.float64]
    q: NDArray[np.float64]
    rank_i: NDArray[np.int32]
    rank_j: NDArray[np.int32]
    tested: int
    marginals: Marginals


def token_edges(
    docs: DocumentIndex,
    d_sae: int,
    *,
    options: EdgesSection,
    reporter: Reporter | None = None,
) -> Edges:
    """Find pairs of features that fire on the same tokens beyond chance and shared documents.

    Tested are the pairs with E_ij >= ``options.min_expected``, fixed from the marginals before
    any p is seen. Sums are kept for those with NPMI >= ``options.min_npmi``; the others count
    as tests with p = 1. Edges pass both document-robust tests at ``options.fdr``; of those the
    strongest ``options.top_k`` of each feature by phi are kept (either feature's list is enough).
    """
    m = marginals(docs, d_sae)
    kept, tested = _kept_pairs(docs, m, d_sae, options, reporter or SilentReporter())
    size = effects(kept.a, m.n[kept.i], m.n[kept.j], positions=m.positions)
    z, z_within = document_z(kept, m), within_document_z(kept)
    p = np.maximum(upper_tail(z), upper_tail(z_within))
    q = benjamini_hochberg(p, tested)
    significant = np.flatnonzero(q < options.fdr)
    rank_i, rank_j = _ranks(kept.i[significant], kept.j[significant], size.phi[significant], d_sae)
    strong = (rank_i <= options.top_k) | (rank_j <= options.top_k)
    take = significant[strong]
    return Edges(
        sums=_take(kept, take),
        effects=_take(size, take),
        z=z[take],
        z_within=z_within[take],
        p=p[take],
        q=q[take],
        rank_i=rank_i[strong],
        rank_j=rank_j[strong],
        tested=tested,
        marginals=m,
    )


def _kept_pairs(
    docs: DocumentIndex, m: Marginals, d_sae: int, options: EdgesSection, reporter: Reporter
) -> tuple[PairSums, int]:
    tested = 0
    parts: list[PairSums] = []
    later = np.arange(d_sae)[None, :]
    with reporter.step("counting pairs of features", d_sae) as advance:
        for first, integers, floats in pair_sums(docs, d_sae):
            i = np.arange(first, first + len(integers))[:, None]
            expected = m.n[i] * (m.n[later] / max(m.positions, 1))
            candidate = (expected >= options.min_expected) & (later > i)
            tested += int(candidate.sum())
            size = effects(integers[:, :, 0], m.n[i], m.n[later], positions=max(m.positions, 1))
            keep = candidate & (size.npmi >= options.min_npmi)
            parts.append(select(first, integers, floats, keep=keep))
            advance(first + len(integers))
    return join(parts), tested


def _ranks(
    i: NDArray[np.int32], j: NDArray[np.int32], strength: NDArray[np.float64], d_sae: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Rank each edge by falling strength among the edges of i, and among those of j.

    Ties go to the lower other feature, so that ranks are the same on every run.
    """
    edges = np.arange(len(i))
    end = np.concatenate([i, j])
    other = np.concatenate([j, i])
    order = np.lexsort((other, -np.concatenate([strength, strength]), end))
    first = np.searchsorted(end[order], np.arange(d_sae))
    rank = np.empty(2 * len(i), np.int32)
    rank[order] = np.arange(2 * len(i)) - first[end[order]] + 1
    return rank[edges], rank[edges + len(i)]


def _take(table: _T, rows: NDArray[np.int64]) -> _T:
    names = table.__dataclass_fields__
    return type(table)(**{name: getattr(table, name)[rows] for name in names})
