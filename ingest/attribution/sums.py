"""Sums over prompts that give Pearson's r, additive: shards of a prompt set merge by addition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

#: A column whose variance is below this share of its mean square is constant to rounding.
NEGLIGIBLE = 1e-10


@dataclass(frozen=True)
class PromptSums:
    """Sums over prompts for a fixed list of features. Counts are exact in any order of merging.

    Attributes
    ----------
    prompts
        Number of prompts.
    x
        float64 ``[features]``, sums of the values.
    xy
        float64 ``[features, features]``, sums of products; the diagonal holds sums of squares.
    both
        int32 ``[features, features]``, prompts where both values are other than 0; the diagonal
        holds the prompts where a feature's is.
    low, high
        float64 ``[features]``, least and largest value.
    """

    prompts: int
    x: Floats
    xy: Floats
    both: NDArray[np.int32]
    low: Floats
    high: Floats

    @classmethod
    def of(cls, values: Floats) -> PromptSums:
        """Sum ``[prompts, features]``, at least one prompt and fewer than 16 million."""
        there = (values != 0).astype(np.float32)  # float32 counts exactly up to 2^24
        return cls(
            prompts=len(values),
            x=values.sum(axis=0),
            xy=values.T @ values,
            both=(there.T @ there).astype(np.int32),
            low=values.min(axis=0),
            high=values.max(axis=0),
        )

    def __add__(self, other: PromptSums) -> PromptSums:
        """Merge the sums of other prompts, of the same features in the same order."""
        if len(self.x) != len(other.x):
            raise ValueError(f"sums of {len(self.x)} and of {len(other.x)} features do not merge")
        return PromptSums(
            prompts=self.prompts + other.prompts,
            x=self.x + other.x,
            xy=self.xy + other.xy,
            both=self.both + other.both,
            low=np.minimum(self.low, other.low),
            high=np.maximum(self.high, other.high),
        )

    def take(self, features: Integers) -> PromptSums:
        """Return the sums of some features, in the order given."""
        square = np.ix_(features, features)
        return PromptSums(
            prompts=self.prompts,
            x=self.x[features],
            xy=self.xy[square],
            both=self.both[square],
            low=self.low[features],
            high=self.high[features],
        )

    @property
    def squares(self) -> Floats:
        """Sums of squared deviations from the mean, float64 ``[features]``, not below 0."""
        return np.maximum(self.xy.diagonal() - self.x**2 / self.prompts, 0.0)

    @property
    def varies(self) -> NDArray[np.bool_]:
        """Whether each feature's values differ; r is undefined where they do not."""
        different = self.high > self.low
        return different & (self.squares > NEGLIGIBLE * self.xy.diagonal())


def pearson(sums: PromptSums, rows: slice) -> Floats:
    """Correlate some features with all; every feature must vary.

    Returns
    -------
    float64 ``[rows, features]``.
    """
    covariance = sums.xy[rows] - np.outer(sums.x[rows], sums.x) / sums.prompts
    scale = np.sqrt(sums.squares)
    correlation: Floats = np.clip(covariance / np.outer(scale[rows], scale), -1.0, 1.0)
    return correlation
