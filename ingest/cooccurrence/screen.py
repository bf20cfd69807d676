"""Which candidate pairs get the sums of the tests: those whose effect may pass a floor.

All candidates count as tests; a pair that is screened out counts with p = 1. The screen lets a
little too much through, never too little: topic correlations come from single-precision products
here and are computed anew from the exact sums afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np

from ingest.cooccurrence.parts import Pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from atlas.recipe import EdgesSection
    from ingest.cooccurrence.index import Ranking
    from ingest.cooccurrence.sums import Marginals

#: Largest error of a topic correlation from single-precision products of unit vectors.
MARGIN = 2e-3


@dataclass(frozen=True)
class Screen:
    """Thresholds of a screen, by rank.

    Attributes
    ----------
    floor
        float64 ``[ranks]``: a pair may be a token edge from ``floor[i] * floor[j]`` joint firings.
    rate
        float64 ``[ranks]``: p_i.
    spread
        float64 ``[ranks]``: sqrt(V_i), the scale behind r_topic.
    positions
        N.
    min_topic, min_exclusive
        Floors of r_topic for topic edges, and for exclusive ones without a decoder cosine.
    near_pointer, near
        Pairs of near decoder vectors: partners (lower ranks, ascending) of each rank.
    """

    floor: NDArray[np.float64]
    rate: NDArray[np.float64]
    spread: NDArray[np.float64]
    positions: int
    min_topic: float
    min_exclusive: float
    near_pointer: NDArray[np.int64]
    near: NDArray[np.int32]

    @property
    def scale(self) -> NDArray[np.float64]:
        """1 / sqrt(V_i), 0 where a feature does not vary between documents."""
        safe = np.where(self.spread > 0, self.spread, 1.0)
        return np.where(self.spread > 0, 1.0 / safe, 0.0)

    def pairs(
        self,
        joint: NDArray[np.int64],
        topic: NDArray[np.float32],
        *,
        first: int,
        limit: NDArray[np.int64],
    ) -> Pairs:
        """Choose pairs of a panel of columns from their joint firings and topic correlations."""
        arguments = (
            joint, topic, first, limit, self.floor, self.rate, self.spread, self.positions,
            self.min_topic - MARGIN, self.min_exclusive - MARGIN, self.near_pointer, self.near,
        )  # fmt: skip
        nothing = np.zeros(0, np.int32)
        size = _choose(*arguments, np.zeros(0, np.int64), nothing)
        pointer = np.concatenate([np.zeros(1, np.int64), np.cumsum(size)])
        kept = np.empty(pointer[-1], np.int32)
        _choose(*arguments, pointer, kept)
        return Pairs(first, pointer, kept)


def make_screen(
    m: Marginals,
    ranking: Ranking,
    *,
    options: EdgesSection,
    near: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None,
) -> Screen:
    """Make the screen of a run.

    Parameters
    ----------
    m, ranking
        Marginals and ranks.
    options
        Floors.
    near
        Features (i, j) whose decoder vectors are near; any order.

    Notes
    -----
    NPMI >= t is n_ij >= (n_i n_j N^(t-1))^(1/(1+t)), a product of one factor a feature; the
    factors are lowered by 1e-9, so that rounding drops no pair.
    """
    n = m.n[ranking.order].astype(np.float64)
    t, total = options.min_npmi, float(max(m.positions, 1))
    if t > -1:
        floor = (1 - 1e-9) * np.exp((np.log(n) - (1 - t) / 2 * np.log(total)) / (1 + t))
    else:
        floor = np.zeros(len(n))
    pointer, partners = _near_ranks(ranking, near)
    return Screen(
        floor=floor,
        rate=n / total,
        spread=np.sqrt(m.topic_variance[ranking.order]),
        positions=m.positions,
        min_topic=options.min_topic,
        min_exclusive=options.min_exclusive_topic,
        near_pointer=pointer,
        near=partners,
    )


def _near_ranks(
    ranking: Ranking, near: tuple[NDArray[np.int32], NDArray[np.int32]] | None
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    ranks = len(ranking.order)
    if near is None:
        return np.zeros(ranks + 1, np.int64), np.zeros(0, np.int32)
    one, two = ranking.rank[near[0]], ranking.rank[near[1]]
    low, high = np.minimum(one, two), np.maximum(one, two)
    live = low >= 0
    key = np.unique(high[live].astype(np.int64) * ranks + low[live])
    pointer = np.searchsorted(key, np.arange(ranks + 1) * ranks).astype(np.int64)
    return pointer, (key % max(ranks, 1)).astype(np.int32)


@numba.njit(parallel=True, cache=True)
def _choose(  # noqa: PLR0913, PLR0917 - numba takes arrays, not objects
    joint: NDArray[np.int64],
    topic: NDArray[np.float32],
    first: int,
    limit: NDArray[np.int64],
    floor: NDArray[np.float64],
    rate: NDArray[np.float64],
    spread: NDArray[np.float64],
    positions: int,
    min_topic: float,
    min_exclusive: float,
    near_pointer: NDArray[np.int64],
    near: NDArray[np.int32],
    pointer: NDArray[np.int64],
    kept: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Count the chosen pairs a column, or, given `pointer`, write them to `kept`."""
    size = np.zeros(joint.shape[0], np.int64)
    fill = len(pointer) > 0
    for r in numba.prange(joint.shape[0]):
        j = first + r
        at, stop = near_pointer[j], near_pointer[j + 1]
        found = 0
        for i in range(limit[j]):
            a = joint[r, i]
            is_near = False
            while at < stop and near[at] <= i:
                is_near = near[at] == i
                at += 1
            take = (a > 0 and a >= floor[i] * floor[j]) or topic[r, i] >= min_topic
            if not take and (is_near or topic[r, i] >= min_exclusive):
                scale = spread[i] * spread[j]
                expected = positions * rate[i] * rate[j] + topic[r, i] * scale
                take = a < expected + MARGIN * scale
            if take:
                if fill:
                    kept[pointer[r] + found] = i
                found += 1
        size[r] = found
    return size
