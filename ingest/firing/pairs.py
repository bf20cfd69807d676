"""Where two features fire together most strongly, for given pairs, over code shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import UsageError
from ingest.cooccurrence.sums import rarer_first
from ingest.firing.arrays import Partners, Rows, empty_slots
from ingest.firing.kernels import merge_slots, scan_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from atlas.artifacts import CodeShard


@dataclass(frozen=True)
class JointFirings:
    """Places where both features of a pair fire, one entry each, ordered by pair, then rank.

    Attributes
    ----------
    pair
        int64: number of the pair, in the order in which pairs were given.
    rank
        int64 from 1, by falling min(value_i / max_i, value_j / max_j); ties by lower document,
        then lower position. A document stands once for a pair.
    document, position
        int64: index of the document in the corpus, and token position in it.
    value_i, value_j
        float32: activations there.
    """

    pair: NDArray[np.int64]
    rank: NDArray[np.int64]
    document: NDArray[np.int64]
    position: NDArray[np.int64]
    value_i: NDArray[np.float32]
    value_j: NDArray[np.float32]


class PairScanner:
    """Keeps the strongest joint firings of pairs of features over shards.

    Scanners of different shards merge into what one scanner of all would hold. Memory is 24
    bytes a pair and kept place, beside the shard at hand. A pair is looked up from the feature
    that fires less often, so the steps are the sum over pairs of min(n_i, n_j).

    Parameters
    ----------
    i, j
        int32 or int64 ``[pairs]``: the features of each pair.
    n
        int64 ``[d_sae]``: positions where each feature fires.
    largest
        float64 ``[d_sae]``: largest activation of each feature; NaN where it never fires.
    kept
        Places a pair.

    Raises
    ------
    UsageError
        A pair has the same feature twice, or one that does not exist.
    """

    def __init__(
        self,
        i: NDArray[np.integer],
        j: NDArray[np.integer],
        *,
        n: NDArray[np.int64],
        largest: NDArray[np.float64],
        kept: int = 3,
    ) -> None:
        wrong = (i == j) | (np.minimum(i, j) < 0) | (np.maximum(i, j) >= len(n))
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            raise UsageError(
                f"Pair {place} has the features {i[place]} and {j[place]}; there are {len(n)}.",
                hint="Give pairs of two different features of the SAE.",
            )
        self._largest = largest
        rare, other, self._swapped = rarer_first(n, i, j)
        self._order = np.lexsort((other, rare))
        ptr = np.searchsorted(rare[self._order], np.arange(len(n) + 1)).astype(np.int64)
        self._partners = Partners(ptr, other[self._order].astype(np.int32))
        self._slots = empty_slots(len(i), kept, values=2)

    def add(self, shard: CodeShard) -> None:
        """Add a shard of documents that were not added before."""
        if self._slots.key.size == 0:
            return
        codes = Rows(shard.indptr, shard.index, shard.value, shard.document, shard.position)
        scan_pairs(self._slots, codes, self._partners, shard.value / self._largest[shard.index])

    def merge(self, other: PairScanner) -> None:
        """Add what another scanner of the same pairs found in other shards."""
        merge_slots(self._slots, other._slots)

    def result(self) -> JointFirings:
        """Return the places of all that was added; a pair that never fires jointly has none."""
        places = np.empty_like(self._order)
        places[self._order] = np.arange(len(places))
        slots = self._slots
        pair, k = np.nonzero(slots.key[places] > -np.inf)
        row, swapped = places[pair], self._swapped[pair].astype(np.int64)
        return JointFirings(
            pair=pair,
            rank=k + 1,
            document=slots.document[row, k].astype(np.int64),
            position=slots.position[row, k].astype(np.int64),
            value_i=slots.values[row, k, swapped],
            value_j=slots.values[row, k, 1 - swapped],
        )
