"""Moments of activations, added up over shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ingest.firing.kernels import moments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.firing.arrays import Columns


@dataclass(frozen=True)
class ActivationMoments:
    """Moments of the activation over the positions where a feature fires; NaN where none.

    Attributes
    ----------
    mean, std, max
        float64 ``[d_sae]``; std is the population standard deviation.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    max: NDArray[np.float64]


class RunningMoments:
    """Counts, means and squared deviations, merged as Chan, Golub and LeVeque (1983) do.

    The counts and maxima do not depend on how the codes are split, the others only in their
    last bits.

    Attributes
    ----------
    n
        int64 ``[d_sae]``: firings.
    mean, squares, largest
        float64 ``[d_sae]``: mean, sum of squared deviations from it, maximum; 0, 0 and -inf
        where n is 0.
    """

    def __init__(self, d_sae: int) -> None:
        self.n = np.zeros(d_sae, np.int64)
        self.mean = np.zeros(d_sae)
        self.squares = np.zeros(d_sae)
        self.largest = np.full(d_sae, -np.inf)

    def add(self, codes: Columns) -> None:
        """Add the codes of a shard."""
        self._add(np.diff(codes.ptr), *moments(codes.ptr, codes.value))

    def merge(self, other: RunningMoments) -> None:
        """Add the sums of other shards."""
        self._add(other.n, other.mean, other.squares, other.largest)

    def _add(
        self,
        n: NDArray[np.int64],
        mean: NDArray[np.float64],
        squares: NDArray[np.float64],
        largest: NDArray[np.float64],
    ) -> None:
        total = self.n + n
        share = n / np.maximum(total, 1)
        apart = mean - self.mean
        self.mean = self.mean + apart * share
        self.squares = self.squares + squares + apart**2 * self.n * share
        self.largest = np.maximum(self.largest, largest)
        self.n = total

    def result(self) -> ActivationMoments:
        """Return the moments of all that was added."""
        fires = self.n > 0
        std = np.sqrt(self.squares / np.maximum(self.n, 1))
        mean, std, largest = (np.where(fires, x, np.nan) for x in (self.mean, std, self.largest))
        return ActivationMoments(mean, std, largest)
