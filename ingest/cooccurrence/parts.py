"""Counting over the parts of a corpus: in this process, or wherever else the parts lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ingest.cooccurrence.kernels import count_joint, standardise, sum_pairs
from ingest.cooccurrence.sums import FLOAT_SUMS, INTEGER_SUMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ingest.cooccurrence.index import PairIndex

#: Documents whose standardised counts are dense in memory at a time.
DOCUMENTS = 256


@dataclass(frozen=True)
class Pairs:
    """Pairs of ranks, grouped by their rarer feature.

    Attributes
    ----------
    first
        Rank of the first column.
    pointer
        int64 ``[columns + 1]``: a column's slice of `kept`.
    kept
        int32: partners, ascending within a column.
    """

    first: int
    pointer: NDArray[np.int64]
    kept: NDArray[np.int32]

    @property
    def column(self) -> NDArray[np.int64]:
        """Rank of the column of each pair."""
        columns = np.arange(len(self.pointer) - 1) + self.first
        return np.repeat(columns, np.diff(self.pointer))


class Parts(Protocol):
    """Sums over all parts of a corpus, for columns of ranks."""

    def joint(self, first: int, last: int, *, width: int) -> NDArray[np.int64]:
        """Joint firings of columns `first` to `last` with ranks below each one's limit.

        Returns
        -------
        int64 ``[last - first, width]``; zero from the limit on.
        """
        ...

    def topic(
        self,
        first: int,
        last: int,
        *,
        width: int,
        rate: NDArray[np.float64],
        scale: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """Topic correlation of columns with ranks below `width`, in single precision.

        Returns
        -------
        float32 ``[last - first, width]``, within `ingest.cooccurrence.screen.MARGIN`.
        """
        ...

    def sums(
        self, pairs: Pairs, *, folds: int = 1
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Sum for the tests, by folds of documents (a document's number modulo `folds`).

        Returns
        -------
        int64 ``[7, folds, pairs]``, float64 ``[3, folds, pairs]``
            In the order of `INTEGER_SUMS` (b of the partner, c of the column) and `FLOAT_SUMS`.
            A pair must be listed once.
        """
        ...


@dataclass(frozen=True)
class LocalParts:
    """Parts in this process, counted one after the other by the numba kernels.

    Attributes
    ----------
    indexes
        Indexes over disjoint documents, with one ranking.
    """

    indexes: Sequence[PairIndex]

    def joint(self, first: int, last: int, *, width: int) -> NDArray[np.int64]:
        """See `Parts.joint`."""
        out = np.zeros((last - first, width), np.int64)
        for x in self.indexes:
            count_joint(x.partner, x.column, x.start, x.ranking.limit, first, out)
        return out

    def topic(
        self,
        first: int,
        last: int,
        *,
        width: int,
        rate: NDArray[np.float64],
        scale: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """See `Parts.topic`."""
        out = np.zeros((last - first, width), np.float32)
        for x in self.indexes:
            for begin in range(0, len(x.length), DOCUMENTS):
                some = slice(begin, begin + DOCUMENTS)
                columns = np.empty((len(x.length[some]), last - first), np.float32)
                partners = np.empty((len(columns), width), np.float32)
                standardise(x.count[some], x.length[some], rate, scale, first, columns)
                standardise(x.count[some], x.length[some], rate, scale, 0, partners)
                out += columns.T @ partners
        return out

    def sums(
        self, pairs: Pairs, *, folds: int = 1
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """See `Parts.sums`."""
        integers = np.zeros((len(INTEGER_SUMS), folds, len(pairs.kept)), np.int64)
        floats = np.zeros((len(FLOAT_SUMS), folds, len(pairs.kept)), np.float64)
        for x in self.indexes:
            sum_pairs(
                x.partner, x.column, x.start, x.doc_end, x.length, x.count, x.number % folds,
                pairs.first, pairs.pointer, pairs.kept, integers, floats,
            )  # fmt: skip
        return integers, floats
