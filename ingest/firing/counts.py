"""Exact counts of what stands where a feature fires, and the tokens and domains that mark it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

#: Counts are scored for as many features at a time as have about this many non-zero ones.
_BLOCK = 4_000_000


class SparseCounts:
    """Counts of (row, item), summed over shards; an item is a token or a domain.

    Memory is 12 bytes for each different (row, item) seen, at most rows x items of them, and
    as much again while two parts are added. Parts are added when they are of like size, so each
    count is copied only a logarithmic number of times however many shards there are.

    Parameters
    ----------
    rows
        Number of rows: d_sae.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._parts: list[sparse.csr_matrix] = []

    def add(self, ptr: NDArray[np.int64], item: NDArray[np.int32]) -> None:
        """Count items, each once for every time it stands in a row's slice of `item`.

        Parameters
        ----------
        ptr
            int64 ``[rows + 1]``.
        item
            int32 ``[ptr[-1]]``; negative ones stand for unknown items and are not counted.
        """
        known = item >= 0
        if not known.all():
            ptr, item = np.append(0, np.cumsum(known))[ptr], item[known]
        width = int(item.max(initial=-1)) + 1
        ones = np.ones(len(item), np.int32)
        part = sparse.csr_matrix((ones, item.copy(), ptr), shape=(self.rows, width))
        part.sum_duplicates()
        self._push(part.astype(np.int64))

    def merge(self, other: SparseCounts) -> None:
        """Add the counts of another."""
        for part in other._parts:
            self._push(part)

    def total(self) -> sparse.csr_matrix:
        """Return all counts: int64 ``[rows, largest item + 1]``, items ascending in a row."""
        while len(self._parts) > 1:
            self._add_last_two()
        if not self._parts:
            self.add(np.zeros(self.rows + 1, np.int64), np.zeros(0, np.int32))
        return self._parts[0]

    def _push(self, part: sparse.csr_matrix) -> None:
        self._parts.append(part)
        while len(self._parts) > 1 and self._parts[-2].nnz <= 2 * self._parts[-1].nnz:
            self._add_last_two()

    def _add_last_two(self) -> None:
        a, b = self._parts.pop(), self._parts.pop()
        width = max(a.shape[1], b.shape[1])
        self._parts.append(self._widened(a, width) + self._widened(b, width))

    def _widened(self, part: sparse.csr_matrix, width: int) -> sparse.csr_matrix:
        arrays = (part.data, part.indices, part.indptr)
        return sparse.csr_matrix(arrays, shape=(self.rows, width))


def add_padded(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Add two arrays of counts of which one may be shorter."""
    total = np.zeros(max(len(a), len(b)), np.int64)
    total[: len(a)] += a
    total[: len(b)] += b
    return total


@dataclass(frozen=True)
class Marks:
    """The items that mark a feature, one entry each, ordered by feature, then rank.

    Attributes
    ----------
    feature, item
        int64.
    rank
        int64 from 1.
    n
        int64: the count of that item at the feature.
    share
        float64: n over the feature's total.
    score
        float64: share * log2(share / base rate), the item's part of the information that a
        firing gives about which item it is.
    """

    feature: NDArray[np.int64]
    item: NDArray[np.int64]
    rank: NDArray[np.int64]
    n: NDArray[np.int64]
    share: NDArray[np.float64]
    score: NDArray[np.float64]


def token_marks(
    counts: sparse.csr_matrix,
    fired: NDArray[np.int64],
    *,
    token_rows: NDArray[np.int64],
    top: int,
    min_count: int = 2,
) -> Marks:
    """Find the `top` tokens of each feature by score, of those with lift > 1.

    Parameters
    ----------
    counts
        int64 ``[d_sae, tokens]``: positions of a token where a feature fires.
    fired
        int64 ``[d_sae]``: positions where it fires and whose token is known.
    token_rows
        int64 ``[at least tokens]``: unmasked positions of each token.
    top
        Tokens a feature.
    min_count
        Positions that a token must have, unless the feature fires at fewer in all.
    """
    base = token_rows / max(int(token_rows.sum()), 1)
    return _marks(counts, fired, base=base, top=top, min_count=min_count, min_score=0.0)


def top_domains(
    counts: sparse.csr_matrix, documents: NDArray[np.int64], *, names: list[str]
) -> tuple[list[str | None], NDArray[np.float64]]:
    """Name each feature's most distinctive domain.

    Parameters
    ----------
    counts
        int64 ``[d_sae, at most domains]``: documents of a domain in which a feature fires.
    documents
        int64 ``[domains]``: documents of each domain.
    names
        Names of the domains; of two with the same score the first is taken.

    Returns
    -------
    names
        The domain with the largest share * log2(lift) of the feature's documents; None where
        the feature is dead or no domain is known.
    shares
        float64 ``[d_sae]``: its share of the feature's documents; NaN where there is none.
    """
    labelled = np.asarray(counts.sum(axis=1)).ravel()
    base = documents / max(int(documents.sum()), 1)
    best = _marks(counts, labelled, base=base, top=1, min_count=0, min_score=-np.inf)
    found: list[str | None] = [None] * counts.shape[0]
    share = np.full(counts.shape[0], np.nan)
    for feature, domain in zip(best.feature, best.item, strict=True):
        found[feature] = names[domain]
    share[best.feature] = best.share
    return found, share


def _marks(counts: sparse.csr_matrix, total: NDArray[np.int64], **how: Any) -> Marks:
    parts = [_marks_of(counts, total, first, stop, **how) for first, stop in _blocks(counts.indptr)]
    names = Marks.__dataclass_fields__
    return Marks(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def _blocks(indptr: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Cut the rows into runs of about `_BLOCK` counts; one run at least."""
    rows = len(indptr) - 1
    first = 0
    while True:
        reach = int(np.searchsorted(indptr, int(indptr[first]) + _BLOCK, side="right")) - 1
        stop = min(max(reach, first + 1), rows)
        yield first, stop
        if stop >= rows:
            return
        first = stop


def _marks_of(
    counts: sparse.csr_matrix,
    total: NDArray[np.int64],
    first: int,
    stop: int,
    *,
    base: NDArray[np.float64],
    top: int,
    min_count: int,
    min_score: float,
) -> Marks:
    """Score the counts of the features from `first` to `stop`."""
    begin, end = counts.indptr[first], counts.indptr[stop]
    n, item = counts.data[begin:end], counts.indices[begin:end]
    feature = np.repeat(np.arange(first, stop), np.diff(counts.indptr[first : stop + 1]))
    share = n / total[feature]
    score = share * np.log2(share / base[item])
    kept = np.flatnonzero((score > min_score) & (n >= np.minimum(min_count, total[feature])))
    order = kept[np.lexsort((item[kept], -score[kept], feature[kept]))]
    f = feature[order]
    rank = np.arange(len(f)) - np.searchsorted(f, f) + 1
    best = order[rank <= top]
    return Marks(
        feature=feature[best],
        item=item[best].astype(np.int64),
        rank=rank[rank <= top],
        n=n[best],
        share=share[best],
        score=score[best],
    )
