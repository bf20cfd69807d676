"""From indexed codes to the exact sums of all pairs that may become edges, panel by panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atlas.progress import Reporter, SilentReporter
from ingest.cooccurrence.parts import Pairs, Parts
from ingest.cooccurrence.sums import FLOAT_SUMS, INTEGER_SUMS, PairSums

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ingest.cooccurrence.index import Ranking
    from ingest.cooccurrence.screen import Screen

#: Cells (column, partner) of a panel: with 12 bytes each, 48 MiB.
CELLS = 4 << 20


def panels(ranking: Ranking) -> Iterator[tuple[int, int, int]]:
    """Yield (first, last, width): columns that have candidates, and the largest limit among them.

    A panel has at most `CELLS` cells, unless a single column has more.
    """
    first, ranks = 0, len(ranking.limit)
    while first < ranks:
        columns = max(1, CELLS // max(int(ranking.limit[first : first + 512].max()), 1))
        last = min(ranks, first + min(columns, 512))
        width = int(ranking.limit[first:last].max())
        if width:
            yield first, last, width
        first = last


def candidate_sums(
    parts: Parts, ranking: Ranking, screen: Screen, *, reporter: Reporter | None = None
) -> Iterator[PairSums]:
    """Yield the sums of the pairs that pass the screen, a panel of features at a time.

    Parameters
    ----------
    parts
        The codes.
    ranking
        Ranks and candidates.
    screen
        Which candidates get sums.
    reporter
        Told of the features done.
    """
    with (reporter or SilentReporter()).step(
        "counting pairs (features)", len(ranking.order)
    ) as advance:
        # Where no floor of a topic correlation can be met and no vectors are near, none is needed.
        by_topic = min(screen.min_topic, screen.min_exclusive) <= 1 or len(screen.near) > 0
        for first, last, width in panels(ranking):
            joint = parts.joint(first, last, width=width)
            topic = (
                parts.topic(first, last, width=width, rate=screen.rate, scale=screen.scale)
                if by_topic
                else np.zeros(joint.shape, np.float32)
            )
            pairs = screen.pairs(joint, topic, first=first, limit=ranking.limit)
            if len(pairs.kept):
                integers, floats = parts.sums(pairs)
                yield oriented(pairs, ranking, integers[:, 0], floats[:, 0])
            advance(last)


def oriented(
    pairs: Pairs, ranking: Ranking, integers: NDArray[np.int64], floats: NDArray[np.float64]
) -> PairSums:
    """Name pairs of ranks by their features, the lower feature first.

    Parameters
    ----------
    pairs
        Pairs of ranks.
    ranking
        Ranks.
    integers, floats
        ``[7, pairs]`` and ``[3, pairs]``, b of the partner and c of the column.
    """
    partner, column = ranking.order[pairs.kept], ranking.order[pairs.column]
    swap = partner > column
    sums = dict(zip(INTEGER_SUMS + FLOAT_SUMS, [*integers, *floats], strict=True))
    ab, ac = sums.pop("ab"), sums.pop("ac")
    return PairSums(
        i=np.where(swap, column, partner),
        j=np.where(swap, partner, column),
        ab=np.where(swap, ac, ab),
        ac=np.where(swap, ab, ac),
        **sums,
    )


def _pairs_of(
    ranking: Ranking, i: NDArray[np.int32], j: NDArray[np.int32]
) -> tuple[Pairs, NDArray[np.int64]]:
    """Group given pairs of live features by the rarer one; a pair given twice is grouped once.

    Returns
    -------
    pairs
        Over all columns.
    place
        int64: place in `pairs` of each pair given.
    """
    one, two = ranking.rank[i].astype(np.int64), ranking.rank[j].astype(np.int64)
    low, high = np.minimum(one, two), np.maximum(one, two)
    ranks = len(ranking.order)
    key, place = np.unique(high * ranks + low, return_inverse=True)
    pointer = np.searchsorted(key, np.arange(ranks + 1) * ranks).astype(np.int64)
    return Pairs(0, pointer, (key % max(ranks, 1)).astype(np.int32)), place


def fold_sums(
    parts: Parts,
    ranking: Ranking,
    *,
    i: NDArray[np.int32],
    j: NDArray[np.int32],
    folds: int = 1,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sum given pairs by folds of documents, in the order given (i < j).

    Sums of a pair with a feature that never fires are zero.

    Returns
    -------
    integers, floats
        int64 ``[7, folds, pairs]`` and float64 ``[3, folds, pairs]`` in the order of
        `INTEGER_SUMS` and `FLOAT_SUMS`; over the folds they add up to the pairs' sums.
    """
    live = np.minimum(ranking.rank[i], ranking.rank[j]) >= 0
    if not live.all():
        integers = np.zeros((len(INTEGER_SUMS), folds, len(i)), np.int64)
        floats = np.zeros((len(FLOAT_SUMS), folds, len(i)))
        integers[:, :, live], floats[:, :, live] = fold_sums(
            parts, ranking, i=i[live], j=j[live], folds=folds
        )
        return integers, floats
    pairs, place = _pairs_of(ranking, i, j)
    counted = parts.sums(pairs, folds=folds)
    integers, floats = counted[0][:, :, place], counted[1][:, :, place]
    swapped = ranking.rank[i] > ranking.rank[j]  # i is the column there
    ab, ac = INTEGER_SUMS.index("ab"), INTEGER_SUMS.index("ac")
    kept = integers[ab][:, swapped].copy()
    integers[ab][:, swapped] = integers[ac][:, swapped]
    integers[ac][:, swapped] = kept
    return integers, floats
