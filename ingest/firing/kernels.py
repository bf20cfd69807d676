"""Compiled loops over the codes of one shard, which fill bounded lists of places.

A list (`Slots`) keeps the best few places of a feature, or of a pair of features, under a total
order: by falling key, then lower document, then lower position. The best of a union are the best
of the parts' best, so lists do not depend on how documents are split into shards or on their order.

All compiled functions are in this file: numba notices a change of the file that a function is
in, not of the files that it calls into.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ingest.firing.arrays import Columns, Partners, Rows, Slots

_F = TypeVar("_F", bound="Callable[..., Any]")


def _compiled(function: _F) -> _F:
    """Compile a function with numba and keep the machine code on disk."""
    compiled: _F = numba.njit(cache=True)(function)
    return compiled


@_compiled
def _before(slots: Slots, row: int, k: int, key: float, document: int, position: int) -> bool:
    """Whether a place goes before the one in slot k of a row."""
    if key != slots.key[row, k]:
        return bool(key > slots.key[row, k])
    if document != slots.document[row, k]:
        return bool(document < slots.document[row, k])
    return bool(position < slots.position[row, k])


@_compiled
def insert(
    slots: Slots,
    row: int,
    key: float,
    document: int,
    position: int,
    values: Sequence[float],
    once: bool,
) -> None:
    """Put a place into a row's slots where it is good enough.

    Where `once`, a document has one slot at most: its best place. That stays exact, as what a
    document's first place pushed out is worse than the place that replaces it.
    """
    k = slots.key.shape[1] - 1
    if k < 0 or not _before(slots, row, k, key, document, position):
        return
    if once:
        for held in range(k):
            if slots.document[row, held] == document:
                k = held
                break
        if not _before(slots, row, k, key, document, position):
            return
    while k > 0 and _before(slots, row, k - 1, key, document, position):
        slots.key[row, k] = slots.key[row, k - 1]
        slots.document[row, k] = slots.document[row, k - 1]
        slots.position[row, k] = slots.position[row, k - 1]
        for m in range(slots.values.shape[2]):
            slots.values[row, k, m] = slots.values[row, k - 1, m]
        k -= 1
    slots.key[row, k] = key
    slots.document[row, k] = document
    slots.position[row, k] = position
    for m in range(slots.values.shape[2]):
        slots.values[row, k, m] = values[m]


@_compiled
def merge_slots(slots: Slots, other: Slots) -> None:
    """Put the places of `other` into `slots`; the two hold different documents."""
    for row in range(slots.key.shape[0]):
        for k in range(other.key.shape[1]):
            if other.key[row, k] == -np.inf:
                break
            insert(
                slots, row, other.key[row, k], other.document[row, k], other.position[row, k],
                other.values[row, k], False,
            )  # fmt: skip


@_compiled
def scan_strongest(slots: Slots, codes: Columns) -> None:
    """Keep the strongest firing of each feature in each of its strongest documents."""
    for f in range(len(codes.ptr) - 1):
        for e in range(codes.ptr[f], codes.ptr[f + 1]):
            r, value = codes.row[e], codes.value[e]
            insert(slots, f, value, codes.document[r], codes.position[r], (value,), True)


@_compiled
def _mix(state: np.uint64) -> np.uint64:
    """Scramble 64 bits: the step of SplitMix64 (Steele, Lea and Flood 2014)."""
    z = state + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@_compiled
def priority(seed: int, feature: int, document: int, position: int) -> float:
    """Return a number in [0, 1), uniform over places, that depends on the arguments alone."""
    place = (np.uint64(document) << np.uint64(32)) | np.uint64(position)
    bits = _mix(_mix(_mix(np.uint64(seed)) ^ np.uint64(feature)) ^ place)
    return np.float64(bits >> np.uint64(11)) * 2.0**-53


@_compiled
def scan_sample(slots: Slots, codes: Columns, seed: int) -> None:
    """Keep the firings of each feature with the largest priority: a sample of all of them."""
    for f in range(len(codes.ptr) - 1):
        for e in range(codes.ptr[f], codes.ptr[f + 1]):
            document, position = codes.document[codes.row[e]], codes.position[codes.row[e]]
            key = priority(seed, f, document, position)
            insert(slots, f, key, document, position, (codes.value[e],), False)


@_compiled
def choose_bins(sample: Slots, top: Slots, bins: int, per_bin: int) -> NDArray[np.int32]:
    """Bin each feature's sample by its own quantiles and choose from every bin.

    A firing's bin is its number of strictly weaker ones, times `bins`, over the sample's size.
    Of each bin the first `per_bin` by priority are chosen that are not among `top`. Returns the
    bins of those, int32 ``[features, kept]``, and -1 elsewhere.
    """
    features, kept = sample.key.shape
    chosen = np.full((features, kept), -1, np.int32)
    for f in range(features):
        size = 0
        while size < kept and sample.key[f, size] > -np.inf:
            size += 1
        taken = np.zeros(bins, np.int64)
        for k in range(size):
            weaker = 0
            for other in range(size):
                weaker += sample.values[f, other, 0] < sample.values[f, k, 0]
            known = False
            for t in range(top.key.shape[1]):
                known |= (
                    top.document[f, t] == sample.document[f, k]
                    and top.position[f, t] == sample.position[f, k]
                )
            where = weaker * bins // size
            if not known and taken[where] < per_bin:
                taken[where] += 1
                chosen[f, k] = where
    return chosen


@_compiled
def moments(
    ptr: NDArray[np.int64], value: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, sum of squared deviations and maximum of each feature; 0, 0 and -inf where none."""
    mean, squares = np.zeros(len(ptr) - 1), np.zeros(len(ptr) - 1)
    largest = np.full(len(ptr) - 1, -np.inf)
    for f in range(len(mean)):
        if ptr[f] == ptr[f + 1]:
            continue
        total = 0.0
        for e in range(ptr[f], ptr[f + 1]):
            total += value[e]
            largest[f] = max(largest[f], value[e])
        mean[f] = total / (ptr[f + 1] - ptr[f])
        for e in range(ptr[f], ptr[f + 1]):
            squares[f] += (value[e] - mean[f]) ** 2
    return mean, squares, largest


@_compiled
def scan_pairs(
    slots: Slots, codes: Rows, partners: Partners, relative: NDArray[np.float64]
) -> None:
    """Keep for each pair the places where the weaker of its two firings is strongest.

    `relative` holds every code over its feature's maximum. A row's features are marked, and the
    partners of each looked up among the marks. Row s of the slots is of the pair at place s of
    `partners`, so that a feature's pairs lie together; its values are of the feature that the
    pair is listed under, then of the other.
    """
    mark = np.full(len(partners.ptr) - 1, -1, np.int32)
    last = slots.key.shape[1] - 1
    for r in range(len(codes.document)):
        begin, end = codes.ptr[r], codes.ptr[r + 1]
        for e in range(begin, end):
            mark[codes.feature[e]] = e - begin
        for e in range(begin, end):
            f = codes.feature[e]
            for s in range(partners.ptr[f], partners.ptr[f + 1]):
                m = mark[partners.other[s]]
                if m < 0:
                    continue
                key = min(relative[e], relative[begin + m])
                if key < slots.key[s, last]:
                    continue
                document, position = codes.document[r], codes.position[r]
                values = (codes.value[e], codes.value[begin + m])
                insert(slots, s, key, document, position, values, True)
        for e in range(begin, end):
            mark[codes.feature[e]] = -1


@_compiled
def read_windows(out: NDArray[np.float32], places: NDArray[np.int64], codes: Rows) -> None:
    """Write activations within windows to `out`.

    `places` is int64 ``[windows, 5]``: feature, first and last-plus-one row of the codes, the
    window's first position, and where in `out` that position stands.
    """
    for w in range(places.shape[0]):
        feature, first, last, start, offset = places[w]
        for r in range(first, last):
            begin, end = codes.ptr[r], codes.ptr[r + 1]
            e = begin + np.searchsorted(codes.feature[begin:end], feature)
            if e < end and codes.feature[e] == feature:
                out[offset + codes.position[r] - start] = codes.value[e]
