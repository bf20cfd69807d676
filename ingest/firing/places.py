"""The places that are kept of each feature: its strongest firings, and some of every strength."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import UsageError
from ingest.firing.kernels import choose_bins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.firing.arrays import Slots


@dataclass(frozen=True)
class FiringOptions:
    """How much to keep of each feature.

    Attributes
    ----------
    contexts
        Strongest firings, each of another document.
    tokens
        Tokens that mark the feature.
    bins
        Quantile bins of the activation from which further firings are drawn; 0 for none.
    per_bin
        Firings drawn from each bin.
    sample
        Firings, drawn at random from all, whose quantiles make the bins.
    seed
        Seed of the draws.
    """

    contexts: int = 10
    tokens: int = 10
    bins: int = 0
    per_bin: int = 3
    sample: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.contexts, self.tokens, self.bins, self.per_bin, self.seed) < 0:
            raise UsageError(
                f"{self} has a negative number.", hint="Give 0 for what is not wanted."
            )
        if self.bins and self.sample < self.bins * max(self.per_bin, 1):
            raise UsageError(
                f"A sample of {self.sample} firings cannot fill {self.bins} bins of "
                f"{self.per_bin}.",
                hint="Raise `sample` or lower `bins` or `per_bin`.",
            )


@dataclass(frozen=True)
class Firings:
    """Places where features fire, one entry each, ordered by feature, then rank.

    The strongest firings come first, then those drawn from bins; both by falling activation,
    ties by lower document, then lower position. No place stands twice for one feature.

    Attributes
    ----------
    feature, rank
        int64; ranks count from 1 over both kinds.
    document, position
        int64: index of the document in the corpus, and token position in it.
    value
        float32: activation there.
    bin
        int32: bin that it was drawn from, 0 the weakest; -1 for the strongest firings.
    """

    feature: NDArray[np.int64]
    rank: NDArray[np.int64]
    document: NDArray[np.int64]
    position: NDArray[np.int64]
    value: NDArray[np.float32]
    bin: NDArray[np.int32]


def kept_firings(top: Slots, sample: Slots, *, options: FiringOptions) -> Firings:
    """Put the strongest firings, and those chosen from bins of a sample, into one list.

    Parameters
    ----------
    top
        Strongest firings of each feature.
    sample
        Random firings of each feature, ordered by priority.
    options
        Number of bins and of firings from each.
    """
    chosen = choose_bins(sample, top, options.bins, options.per_bin)
    strongest = np.where(top.key > -np.inf, -1, -2).astype(np.int32)
    f, d, p, v, b = (
        np.concatenate(columns)
        for columns in zip(_entries(top, strongest, -1), _entries(sample, chosen, 0), strict=True)
    )
    order = np.lexsort((p, d, -v, b >= 0, f))
    rank = np.arange(len(order)) - np.searchsorted(f[order], f[order]) + 1
    return Firings(f[order], rank, d[order], p[order], v[order], b[order])


def _entries(
    slots: Slots, bins: NDArray[np.int32], lowest: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Feature, document, position, value and bin of the slots whose bin is `lowest` or higher."""
    feature, k = np.nonzero(bins >= lowest)
    return (
        feature,
        slots.document[feature, k].astype(np.int64),
        slots.position[feature, k].astype(np.int64),
        slots.values[feature, k, 0],
        bins[feature, k],
    )
