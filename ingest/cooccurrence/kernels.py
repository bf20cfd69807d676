"""Numba kernels over a `PairIndex`: joint firings, the sums of the tests, topics.

Features are numbered by falling firing rate (their *rank*). A kernel takes the rarer feature of a
pair as the column, walks the rows in which it fires, and meets the denser ones at the front of
each row, whose ranks ascend: the candidates of a feature are a prefix of the ranks, so a row is
left at the first rank that is not one. A row holds the column's own rank, which is never a
candidate, so the walk needs no other end. A worker's scratch is O(d_sae).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from ingest.cooccurrence.prefetch import prefetch
from ingest.cooccurrence.sums import FLOAT_SUMS, INTEGER_SUMS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.integer[Any]]

#: Firings ahead whose row is asked for; some rows of walking hide one miss of the cache.
AHEAD = 12


@numba.njit(parallel=True, cache=True)
def count_joint(
    partner: Integers,
    column: NDArray[np.int64],
    start: Integers,
    limit: NDArray[np.int64],
    first: int,
    out: NDArray[np.int64],
) -> None:
    """Add joint firings of the columns `first`, `first` + 1, ... to `out` ``[columns, ranks]``."""
    for r in numba.prange(out.shape[0]):
        j = first + r
        end = min(limit[j], out.shape[1])
        if end > 0:
            joint = np.zeros(end, np.int32)
            stop = column[j + 1]
            for q in range(column[j], stop):
                if q + AHEAD < stop:
                    prefetch(partner, start[q + AHEAD])
                p = start[q]
                i = partner[p]
                while i < end:
                    joint[i] += 1
                    p += 1
                    i = partner[p]
            for i in range(end):
                out[r, i] += joint[i]


@numba.njit(parallel=True, cache=True)
def sum_pairs(  # noqa: PLR0913, PLR0917
    partner: Integers,
    column: NDArray[np.int64],
    start: Integers,
    doc_end: NDArray[np.int64],
    length: NDArray[np.int64],
    count: Integers,
    fold: NDArray[np.int64],
    first: int,
    pointer: NDArray[np.int64],
    kept: NDArray[np.int32],
    integers: NDArray[np.int64],
    floats: NDArray[np.float64],
) -> None:
    """Add the sums of kept pairs.

    Parameters
    ----------
    first, pointer, kept
        Pairs of column ``first + r`` are ``kept[pointer[r]:pointer[r + 1]]``, ascending ranks.
    integers, floats
        ``[7, folds, pairs]`` and ``[3, folds, pairs]``, in the order of `INTEGER_SUMS` (b of the
        partner, c of the column) and `FLOAT_SUMS`.
    """
    folds = integers.shape[1]
    for r in numba.prange(len(pointer) - 1):
        low, size = pointer[r], pointer[r + 1] - pointer[r]
        if size > 0:
            whole = np.zeros((len(INTEGER_SUMS), folds * size), np.int64)
            real = np.zeros((len(FLOAT_SUMS), folds * size), np.float64)
            _sum_column(
                partner, start[column[first + r] : column[first + r + 1]], doc_end, length, count,
                fold, kept[low : low + size], whole, real,
            )  # fmt: skip
            for f in range(folds):
                mine = slice(f * size, (f + 1) * size)
                integers[:, f, low : low + size] += whole[:, mine]
                floats[:, f, low : low + size] += real[:, mine]


@numba.njit(cache=True)
def _sum_column(  # noqa: PLR0913, PLR0917
    partner: Integers,
    start: Integers,
    doc_end: NDArray[np.int64],
    length: NDArray[np.int64],
    count: Integers,
    fold: NDArray[np.int64],
    mine: NDArray[np.int32],
    integers: NDArray[np.int64],
    floats: NDArray[np.float64],
) -> None:
    """Sum one column's kept pairs, document by document."""
    size = len(mine)
    end = mine[size - 1] + 1
    slot = np.full(end, size, np.int32)  # others count into a slot that nobody reads
    for s in range(size):
        slot[mine[s]] = s
    joint = np.zeros(size + 1, np.int32)
    fires = np.zeros(size, np.int32)
    doc, q, stop = 0, 0, len(start)
    while q < stop:
        doc += np.searchsorted(doc_end[doc:], start[q], side="right")
        until = doc_end[doc]
        c = 0
        while q < stop and start[q] < until:
            if q + AHEAD < stop:
                prefetch(partner, start[q + AHEAD])
            p = start[q]
            i = partner[p]
            while i < end:
                joint[slot[i]] += 1
                p += 1
                i = partner[p]
            c += 1
            q += 1
        for s in range(size):
            fires[s] = count[doc, mine[s]]
        at = fold[doc] * size
        _fold_joint(joint[:size], fires, c, length[doc], integers[:, at : at + size])
        _fold_expected(joint[:size], fires, c / length[doc], floats[:, at : at + size])
        joint[:size] = 0


@numba.njit(cache=True)
def _fold_joint(
    joint: NDArray[np.int32],
    fires: NDArray[np.int32],
    c: int,
    t: int,
    sums: NDArray[np.int64],
) -> None:
    """Fold a document's counts into the exact sums; written without branches, to vectorise."""
    s_a, s_d, s_aa, s_ab = sums[0], sums[1], sums[2], sums[3]
    s_ac, s_at, s_bc = sums[4], sums[5], sums[6]
    for s in range(len(joint)):
        a = np.int64(joint[s])
        b = np.int64(fires[s])
        s_a[s] += a
        s_d[s] += np.int64(a > 0)
        s_aa[s] += a * a
        s_ab[s] += a * b
        s_ac[s] += a * c
        s_at[s] += a * t
        s_bc[s] += b * c


@numba.njit(cache=True)
def _fold_expected(
    joint: NDArray[np.int32], fires: NDArray[np.int32], share: float, sums: NDArray[np.float64]
) -> None:
    """Fold what is expected of a document, b c / T, into the sums; `share` is c / T."""
    s_bc, s_abc, s_bbcc = sums[0], sums[1], sums[2]
    for s in range(len(joint)):
        expected = fires[s] * share
        s_bc[s] += expected
        s_abc[s] += joint[s] * expected
        s_bbcc[s] += expected * expected


@numba.njit(parallel=True, cache=True)
def standardise(
    count: Integers,
    length: NDArray[np.int64],
    rate: NDArray[np.float64],
    scale: NDArray[np.float64],
    first: int,
    out: NDArray[np.float32],
) -> None:
    """Fill `out` ``[documents, ranks]`` with (b - p T) / sqrt(T V), whose products give r_topic.

    `scale` is 1 / sqrt(V), 0 where V is 0; `first` is the rank of the first column.
    """
    for d in numba.prange(out.shape[0]):
        t = length[d]
        root = 1.0 / np.sqrt(t)
        for k in range(out.shape[1]):
            out[d, k] = (count[d, first + k] - rate[first + k] * t) * root * scale[first + k]
