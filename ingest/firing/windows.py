"""A feature's activation at every token of a window, for many windows, over code shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ingest.firing.arrays import Rows
from ingest.firing.kernels import read_windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from atlas.artifacts import CodeShard
    from ingest.firing.places import Firings


class WindowActivations:
    """Reads activations within windows, shard by shard; 0 where the feature does not fire.

    Scanners of the same windows over different shards merge. Memory is 4 bytes a token and 40
    bytes a window, beside the shard at hand.

    Parameters
    ----------
    firings
        Features, and the documents of their windows.
    start, stop
        int64 ``[firings]``: first and last-plus-one token position of each window.

    Attributes
    ----------
    offset
        int64 ``[firings + 1]``: slice of `values` of each window.
    values
        float32 ``[offset[-1]]``: activations, window after window, in the order given.
    """

    def __init__(
        self,
        firings: Firings,
        *,
        start: NDArray[np.int64],
        stop: NDArray[np.int64],
    ) -> None:
        self.offset = np.zeros(len(start) + 1, np.int64)
        np.cumsum(stop - start, out=self.offset[1:])
        self.values = np.zeros(self.offset[-1], np.float32)
        order = np.argsort(firings.document, kind="stable")
        columns = (firings.feature, firings.document, start, stop, self.offset[:-1])
        self._by_document = np.stack([column[order] for column in columns])

    def add(self, shard: CodeShard) -> None:
        """Read the windows of the documents of a shard."""
        if shard.rows == 0:
            return
        bounds = np.array([shard.document[0], int(shard.document[-1]) + 1])
        low, high = np.searchsorted(self._by_document[1], bounds)
        feature, document, start, stop, offset = self._by_document[:, low:high]
        place = shard.document.astype(np.int64) << 32 | shard.position
        first = np.searchsorted(place, document << 32 | start)
        last = np.searchsorted(place, document << 32 | stop)
        windows = np.stack([feature, first, last, start, offset], axis=1)
        codes = Rows(shard.indptr, shard.index, shard.value, shard.document, shard.position)
        read_windows(self.values, windows, codes)

    def merge(self, other: WindowActivations) -> None:
        """Add what another scanner of the same windows read in other shards."""
        self.values += other.values
