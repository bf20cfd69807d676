"""The index over which pairs are counted: rows sorted by rank, columns, documents.

Built in one walk over the code shards with two counting sorts a shard, and kept in files that are
mapped into memory where a scratch folder is given: then the memory that it needs does not grow
with the number of tokens.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from atlas.artifacts import writing
from atlas.errors import ArtifactError
from ingest.cooccurrence.sums import document_ends

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

    from atlas.artifacts import CodeShard
    from ingest.cooccurrence.kernels import Integers
    from ingest.cooccurrence.sums import Marginals


@dataclass(frozen=True)
class Ranking:
    """The order in which features are numbered while pairs are counted.

    Attributes
    ----------
    order
        int32 ``[ranks]``: feature of each rank. By group, then falling firing rate; dead features
        have no rank.
    rank
        int32 ``[features]``: rank of each feature, -1 where it is dead.
    limit
        int64 ``[ranks]``: the candidates of a rank are the ranks below its limit.
    groups
        Number of features of each SAE: one, or two where an earlier SAE is joined to a later one.
    """

    order: NDArray[np.int32]
    rank: NDArray[np.int32]
    limit: NDArray[np.int64]
    groups: tuple[int, ...]

    @property
    def tested(self) -> int:
        """Number of candidate pairs, all of which count as tests."""
        return int(self.limit.sum())


def rank_features(m: Marginals, *, groups: tuple[int, ...], min_expected: float) -> Ranking:
    """Rank the features and find each one's candidates: E_ij >= `min_expected`, from marginals.

    Within one SAE the candidates of a rank are lower ranks; where two SAEs are joined, a feature
    of the second has candidates in the first, and pairs within an SAE are none.
    """
    parts, first = [], 0
    for size in groups:
        n = m.n[first : first + size]
        live = np.argsort(-n, kind="stable")[: int((n > 0).sum())]
        parts.append((first + live).astype(np.int32))
        first += size
    order = np.concatenate(parts)
    rank = np.full(first, -1, np.int32)
    rank[order] = np.arange(len(order))
    n = m.n[order]
    least = -(-np.int64(np.ceil(min_expected * m.positions)) // n)  # n_i must be at least this
    if len(groups) == 1:
        limit = np.minimum(np.searchsorted(-n, -least, side="right"), np.arange(len(n)))
    else:
        own = len(parts[0])
        limit = np.searchsorted(-n[:own], -least, side="right")
        limit[:own] = 0
    return Ranking(order, rank, limit.astype(np.int64), groups)


@dataclass(frozen=True)
class PairIndex:
    """Codes of some whole documents, ready for counting pairs.

    Attributes
    ----------
    ranking
        Order and candidates of the features.
    partner
        uint16 or int32 ``[nnz]``: the ranks that fire at each position, ascending; positions in
        document order, one after the other.
    column
        int64 ``[ranks + 1]``: a rank's slice of `start`.
    start
        int32 or int64 ``[nnz]``: where the row of each firing of a rank begins in `partner`.
    doc_end
        int64 ``[documents]``: where a document's rows end in `partner`.
    length
        int64 ``[documents]``: T_d.
    count
        uint16 or int32 ``[documents, ranks]``: firings of a rank in a document.
    number
        int64 ``[documents]``: number of each document in the corpus.
    """

    ranking: Ranking
    partner: Integers
    column: NDArray[np.int64]
    start: Integers
    doc_end: NDArray[np.int64]
    length: NDArray[np.int64]
    count: Integers
    number: NDArray[np.int64]


def build_index(
    shards: Iterable[CodeShard],
    ranking: Ranking,
    *,
    own: Marginals,
    scratch: Path | None = None,
) -> PairIndex:
    """Index codes for counting.

    Parameters
    ----------
    shards
        Whole documents each, read one at a time.
    ranking
        Order of the features, from the marginals of *all* parts.
    own
        Marginals of these shards alone; they say how large everything is.
    scratch
        Folder for the files behind the arrays; None keeps them in memory.

    Raises
    ------
    ArtifactError
        The shards hold other codes than `own` was summed from.
    """
    n = own.n[ranking.order]
    column = np.concatenate([np.zeros(1, np.int64), np.cumsum(n)])
    nnz = int(column[-1])
    make = _Maker(scratch)
    index = PairIndex(
        ranking=ranking,
        partner=make("partner", (nnz,), np.uint16 if len(n) <= 1 << 16 else np.int32),
        column=column,
        start=make("start", (nnz,), np.int32 if nnz < 1 << 31 else np.int64),
        doc_end=np.zeros(own.documents, np.int64),
        length=np.zeros(own.documents, np.int64),
        count=make("count", (own.documents, len(n)), _count_type(own)),
        number=np.zeros(own.documents, np.int64),
    )
    place, doc, base = column[:-1].copy(), 0, 0
    for shard in shards:
        ends = document_ends(shard.document)
        if base + len(shard.index) > nnz or doc + len(ends) > own.documents:
            raise _changed()
        some = slice(doc, doc + len(ends))
        index.doc_end[some] = base + shard.indptr[ends]
        index.length[some] = np.diff(ends, prepend=0)
        index.number[some] = shard.document[ends - 1]
        _sort_shard(
            shard.indptr, shard.index, ranking.rank, base, place, index.partner, index.start
        )
        _count_documents(shard.indptr, shard.index, ranking.rank, ends, index.count[some])
        doc, base = doc + len(ends), base + len(shard.index)
    if base != nnz or doc != own.documents:
        raise _changed()
    return index


def _count_type(own: Marginals) -> DTypeLike:
    """Return uint16 unless a document is too long for it."""
    return np.uint16 if own.longest < 1 << 16 else np.int32


def _changed() -> ArtifactError:
    return ArtifactError(
        "The code shards changed while they were being counted.", hint="Run the build again."
    )


class _Maker:
    """Makes the large arrays, in memory or in files."""

    def __init__(self, scratch: Path | None) -> None:
        self.scratch = scratch

    def __call__(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        if self.scratch is None or 0 in shape:
            return np.zeros(shape, dtype)
        path = self.scratch / f"{name}.npy"
        with writing(path, path):
            reserve(path, math.prod(shape) * np.dtype(dtype).itemsize)
            return np.memmap(path, dtype=np.dtype(dtype), mode="r+", shape=shape)


def reserve(path: Path, size: int) -> None:
    """Make a file of `size` zero bytes whose place on the disk is taken.

    Writing to a mapped file that the disk has no place for kills the process; asking for the
    place first is an ordinary error.

    Raises
    ------
    OSError
        The disk has no place for it.
    """
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)


@numba.njit(cache=True, nogil=True)
def _sort_shard(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    rank: NDArray[np.int32],
    base: int,
    place: NDArray[np.int64],
    partner: Integers,
    start: Integers,
) -> None:
    """Write a shard's rows by ascending rank, and its firings by rank.

    Two counting sorts: rows to columns, and columns, taken by ascending rank, back to rows.
    `place` holds where each rank's next firing goes in `start`, and is moved on.
    """
    begin = place.copy()
    for r in range(len(indptr) - 1):
        for p in range(indptr[r], indptr[r + 1]):
            k = rank[index[p]]
            start[place[k]] = r
            place[k] += 1
    free = indptr[:-1] + base
    for k in range(len(place)):
        for q in range(begin[k], place[k]):
            r = start[q]
            partner[free[r]] = k
            free[r] += 1
            start[q] = base + indptr[r]


@numba.njit(cache=True, nogil=True)
def _count_documents(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    rank: NDArray[np.int32],
    ends: NDArray[np.int64],
    count: Integers,
) -> None:
    row = 0
    for d in range(len(ends)):
        for p in range(indptr[row], indptr[ends[d]]):
            count[d, rank[index[p]]] += 1
        row = ends[d]
