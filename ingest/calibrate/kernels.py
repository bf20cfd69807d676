"""Numba kernels that shuffle codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from ingest.calibrate.draws import STEP, below, scramble, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray


@numba.njit(parallel=True, cache=True)
def trade_documents(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    value: NDArray[np.float32],
    ends: NDArray[np.int64],
    document: NDArray[np.int32],
    seed: int,
    trades: int,
) -> None:
    """Shuffle the rows of each document in place by `trades` global trades.

    `ends` holds the row after the last of each document. A firing takes its activation along.
    """
    for d in numba.prange(len(ends)):
        first = ends[d - 1] if d > 0 else 0
        state = stream(seed, document[first])
        _trade_document(indptr, index, value, first, ends[d], state, trades)


@numba.njit(cache=True)
def _trade_document(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    value: NDArray[np.float32],
    first: int,
    end: int,
    state: np.uint64,
    trades: int,
) -> None:
    rows = end - first
    widest = 0
    for r in range(first, end):
        widest = max(widest, indptr[r + 1] - indptr[r])
    features = np.empty((2, widest), np.int32)
    values = np.empty((2, widest), np.float32)
    order = np.arange(first, end)
    for _ in range(trades):
        for k in range(rows - 1, 0, -1):
            state += STEP
            other = below(scramble(state), k + 1)
            order[k], order[other] = order[other], order[k]
        for k in range(0, rows - 1, 2):
            state = _trade(indptr, index, value, order[k], order[k + 1], features, values, state)


@numba.njit(cache=True)
def _trade(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    value: NDArray[np.float32],
    one: int,
    two: int,
    features: NDArray[np.int32],
    values: NDArray[np.float32],
    state: np.uint64,
) -> np.uint64:
    """Deal what only one of two rows holds out again, at random; both keep their size.

    The rows are walked as in a merge, so that what is dealt stays in ascending order, and a
    feature goes to the first row with probability (its free places) / (features left).
    """
    p, p_end, q, q_end = indptr[one], indptr[one + 1], indptr[two], indptr[two + 1]
    shared = _shared(index, p, p_end, q, q_end)
    places = p_end - p - shared
    left = places + q_end - q - shared
    if places in (0, left):
        return state
    m = n = 0
    while p < p_end or q < q_end:
        if p < p_end and q < q_end and index[p] == index[q]:
            features[0, m], values[0, m] = index[p], value[p]
            features[1, n], values[1, n] = index[q], value[q]
            m, n, p, q = m + 1, n + 1, p + 1, q + 1
            continue
        if q == q_end or (p < p_end and index[p] < index[q]):
            i, v, p = index[p], value[p], p + 1
        else:
            i, v, q = index[q], value[q], q + 1
        state += STEP
        if below(scramble(state), left) < places:
            features[0, m], values[0, m] = i, v
            m, places = m + 1, places - 1
        else:
            features[1, n], values[1, n] = i, v
            n += 1
        left -= 1
    p, q = indptr[one], indptr[two]
    for k in range(m):
        index[p + k], value[p + k] = features[0, k], values[0, k]
    for k in range(n):
        index[q + k], value[q + k] = features[1, k], values[1, k]
    return state


@numba.njit(cache=True)
def _shared(index: NDArray[np.int32], p: int, p_end: int, q: int, q_end: int) -> int:
    """Count the features of two sorted slices of `index` that are in both."""
    shared = 0
    while p < p_end and q < q_end:
        a, b = index[p], index[q]
        shared += a == b
        p += a <= b
        q += b <= a
    return shared


@numba.njit(cache=True, nogil=True)
def count_shared(indptr: NDArray[np.int64], one: NDArray[np.int32], two: NDArray[np.int32]) -> int:
    """Count firings that two sets of codes with the same `indptr` have at the same position."""
    total = 0
    for r in range(len(indptr) - 1):
        p, end = indptr[r], indptr[r + 1]
        q = p
        while p < end and q < end:
            a, b = one[p], two[q]
            total += a == b
            p += a <= b
            q += b <= a
    return total


@numba.njit(cache=True, nogil=True)
def rotate_documents(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    value: NDArray[np.float32],
    ends: NDArray[np.int64],
    document: NDArray[np.int32],
    seed: int,
    features: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Rotate each feature's firings within each document by an offset of their own.

    Two counting sorts, by feature and then by new row, keep features ascending within a row.

    Returns
    -------
    indptr, index, value
        Of the rotated codes.
    """
    place = np.zeros(features + 1, np.int64)
    for i in index:
        place[i + 1] += 1
    place = np.cumsum(place)
    row, activation = np.empty(len(index), np.int64), np.empty(len(index), np.float32)
    size = np.zeros(len(indptr), np.int64)
    first = 0
    for end in ends:
        own = stream(seed, document[first])
        for r in range(first, end):
            for p in range(indptr[r], indptr[r + 1]):
                i = index[p]
                to = r + below(scramble(own + np.uint64(i + 1) * STEP), end - first)
                to -= (to >= end) * (end - first)
                row[place[i]], activation[place[i]] = to, value[p]
                place[i] += 1
                size[to + 1] += 1
        first = end
    new = np.cumsum(size)
    free = new[:-1].copy()
    out, moved = np.empty_like(index), np.empty_like(value)
    p = 0
    for i in range(features):
        while p < place[i]:
            r = row[p]
            out[free[r]], moved[free[r]] = i, activation[p]
            free[r] += 1
            p += 1
    return new, out, moved


@numba.njit(cache=True, nogil=True)
def drawn(document: NDArray[np.int32], seed: int) -> NDArray[np.bool_]:
    """Draw true or false for each row, the same for all rows of a document."""
    out = np.empty(len(document), np.bool_)
    for r in range(len(document)):
        out[r] = below(scramble(stream(seed, document[r]) + STEP), 2) == 1
    return out


@numba.njit(parallel=True, cache=True)
def permute_excess(
    count: NDArray[np.integer[Any]],
    length: NDArray[np.int64],
    rate: NDArray[np.float64],
    scale: NDArray[np.float64],
    order: NDArray[np.int64],
    cuts: NDArray[np.int64],
    seed: int,
    out: NDArray[np.float32],
) -> None:
    """Fill `out` ``[ranks, documents]`` with e / sqrt(V), permuted within strata of documents.

    `order` lists the documents, a stratum is ``order[cuts[s]:cuts[s + 1]]``; each rank has its
    own permutation.
    """
    for k in numba.prange(out.shape[0]):
        state = stream(seed, k)
        for s in range(len(cuts) - 1):
            first = cuts[s]
            for x in range(first, cuts[s + 1]):
                d = order[x]
                excess = count[d, k] - rate[k] * length[d]
                out[k, x] = excess * scale[k] / np.sqrt(length[d])
            for x in range(cuts[s + 1] - 1, first, -1):
                state += STEP
                other = first + below(scramble(state), x - first + 1)
                out[k, x], out[k, other] = out[k, other], out[k, x]
