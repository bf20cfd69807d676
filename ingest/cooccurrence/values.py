"""Sums of activations over the joint firings of given pairs, in one walk over the code shards."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numba
import numpy as np

from ingest.cooccurrence.sums import ValueSums

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from atlas.artifacts import CodeShard


def value_sums(
    shards: Iterable[CodeShard], *, i: NDArray[np.int32], j: NDArray[np.int32], d_sae: int
) -> ValueSums:
    """Sum activations where both features of a pair fire.

    Parameters
    ----------
    shards
        Codes; one shard more than there are threads is in memory at a time.
    i, j
        int32 ``[pairs]``, ordered by (i, j). Wherever i fires, all its partners are looked at.
    d_sae
        Number of features.

    Returns
    -------
    ValueSums
        In the order of the pairs.
    """
    pointer = np.searchsorted(i, np.arange(d_sae + 1)).astype(np.int64)

    def count(shard: CodeShard) -> NDArray[np.float64]:
        out = np.zeros((len(i), 5))
        _sum(shard.indptr, shard.index, shard.value, pointer, j, out)
        return out

    total = np.zeros((len(i), 5))
    workers = numba.get_num_threads()
    with ThreadPoolExecutor(workers) as pool:
        # Added shard by shard, so that the sums do not depend on the number of workers.
        waiting: deque[Future[NDArray[np.float64]]] = deque()
        for shard in shards:
            waiting.append(pool.submit(count, shard))
            if len(waiting) > workers:
                total += waiting.popleft().result()
        for left in waiting:
            total += left.result()
    return ValueSums(*np.ascontiguousarray(total.T))


@numba.njit(cache=True, nogil=True)
def _sum(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    value: NDArray[np.float32],
    pointer: NDArray[np.int64],
    partner: NDArray[np.int32],
    out: NDArray[np.float64],
) -> None:
    here = np.zeros(len(pointer) - 1, np.float32)
    for r in range(len(indptr) - 1):
        for p in range(indptr[r], indptr[r + 1]):
            here[index[p]] = value[p]
        for p in range(indptr[r], indptr[r + 1]):
            v_i = np.float64(value[p])
            for k in range(pointer[index[p]], pointer[index[p] + 1]):
                v_j = np.float64(here[partner[k]])
                if v_j > 0:
                    out[k, 0] += v_i * v_j
                    out[k, 1] += v_i
                    out[k, 2] += v_j
                    out[k, 3] += v_i * v_i
                    out[k, 4] += v_j * v_j
        for p in range(indptr[r], indptr[r + 1]):
            here[index[p]] = 0.0
