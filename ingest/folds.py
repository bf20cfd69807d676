"""Firings by folds of documents: what a bootstrap over documents adds up, without the codes."""

from __future__ import annotations

import json
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np
import pyarrow as pa

from ingest.cooccurrence.sums import rarer_first

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from atlas.artifacts import CodeShard


@dataclass(frozen=True)
class Folds:
    """Counts of one SAE by folds; a document's fold is its number modulo the number of folds.

    Attributes
    ----------
    joint
        int32 ``[pairs, folds]``: positions where both features of a pair fire.
    n
        int64 ``[d_sae, folds]``: positions where a feature fires.
    positions
        int64 ``[folds]``: unmasked positions.
    """

    joint: NDArray[np.int32]
    n: NDArray[np.int64]
    positions: NDArray[np.int64]


def count_folds(
    shards: Iterable[CodeShard],
    i: NDArray[np.int32],
    j: NDArray[np.int32],
    *,
    n: NDArray[np.int64],
    folds: int,
) -> Folds:
    """Count firings and joint firings by folds of documents, in one walk over the shards.

    Parameters
    ----------
    shards
        Codes, whole documents each; one more than there are threads is in memory at a time,
        beside a copy of `Folds.joint` for each thread.
    i, j
        int32 ``[pairs]``: features of each pair, in any order.
    n
        int64 ``[d_sae]``: firings of each feature; pairs are met from the rarer one.
    folds
        Number of folds.
    """
    rare, other, _ = rarer_first(n, i, j)
    order = np.lexsort((other, rare))
    pointer = np.searchsorted(rare[order], np.arange(len(n) + 1)).astype(np.int64)
    partner = other[order]
    workers = numba.get_num_threads()
    joint = [np.zeros((len(i), folds), np.int32) for _ in range(workers)]
    fired, positions = np.zeros((len(n), folds), np.int64), np.zeros(folds, np.int64)
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[None]] = deque()
        for number, shard in enumerate(shards):
            fold = (shard.document % folds).astype(np.int64)
            if len(waiting) == workers:  # the thread whose copy is used again is then through
                waiting.popleft().result()
            waiting.append(
                pool.submit(
                    _count,
                    shard.indptr,
                    shard.index,
                    fold,
                    pointer,
                    partner,
                    joint[number % workers],
                )
            )
            positions += np.bincount(fold, minlength=folds)
            place = shard.index.astype(np.int64) * folds + np.repeat(fold, np.diff(shard.indptr))
            fired += np.bincount(place, minlength=fired.size).reshape(fired.shape)
        for left in waiting:
            left.result()
    found = np.empty_like(joint[0])
    found[order] = sum(joint[1:], start=joint[0])
    return Folds(found, fired, positions)


@numba.njit(cache=True, nogil=True)
def _count(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    fold: NDArray[np.int64],
    pointer: NDArray[np.int64],
    partner: NDArray[np.int32],
    out: NDArray[np.int32],
) -> None:
    here = np.zeros(len(pointer) - 1, np.bool_)
    for r in range(len(indptr) - 1):
        for p in range(indptr[r], indptr[r + 1]):
            here[index[p]] = True
        for p in range(indptr[r], indptr[r + 1]):
            for q in range(pointer[index[p]], pointer[index[p] + 1]):
                if here[partner[q]]:
                    out[q, fold[r]] += 1
        for p in range(indptr[r], indptr[r + 1]):
            here[index[p]] = False


def fold_table(columns: dict[str, list[str] | pa.Array], counts: NDArray[np.integer]) -> pa.Table:
    """Return rows of keys with their counts: a column ``n``, int32, one list a row, one a fold."""
    flat = pa.array(np.ascontiguousarray(counts, np.int32).ravel())
    lists = pa.FixedSizeListArray.from_arrays(flat, counts.shape[1])
    return pa.table({**columns, "n": lists})


def with_positions(table: pa.Table, positions: NDArray[np.int64]) -> pa.Table:
    """Return the table with the positions of each fold in its metadata."""
    return table.replace_schema_metadata({"positions": json.dumps(positions.tolist())})
