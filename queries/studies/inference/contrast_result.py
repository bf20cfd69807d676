"""What a contrast of two sets of prompts found of each feature."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Contrast:
    """Comparison of every feature between a concept's prompts and controls.

    Arrays are ``[features]``, in the order of the SAE (0-based).

    Attributes
    ----------
    n_concept, n_control
        Prompts.
    pairs
        Whether prompts were compared in pairs.
    features
        How many.
    mean_concept, mean_control, difference
        Means over prompts, and the first less the second.
    fires_concept, fires_control
        Share of prompts in which the value is above 0.
    g, g_low, g_high
        Hedges' g (pooled standard deviation, also for pairs) with its BCa bootstrap interval;
        NaN where the sets differ and neither varies.
    auc, auc_low, auc_high
        Chance that a prompt of the concept has the larger value, with its interval. For pairs
        too it is of two prompts drawn apart.
    p, permutations
        Permutation p, and how many permutations it is from.
    q
        Benjamini and Hochberg's, over all features.
    p_family
        p against the largest t of all features: below 0.05 it holds with 95 % confidence for all
        features at once.
    rank
        1 for the largest difference.
    beyond_2sd
        Difference beyond two standard deviations of all features' differences, which a published
        rule would drop.
    beyond_robust
        Difference beyond 3.5 robust standard deviations of those that are not 0.
    rank_dropped
        Rank had the published rule dropped features; 0 for a dropped one.
    prompts_beyond
        Prompts whose value is beyond two standard deviations of their set's.
    difference_without, rank_without
        Difference and rank without those prompts.
    detectable_g, detectable_g_corrected
        Smallest effect found with 80 % power at level 0.05, and at 0.05 over the number of
        features; of pairs, in standard deviations of their differences.
    """

    n_concept: int
    n_control: int
    pairs: bool
    features: int
    mean_concept: Floats
    mean_control: Floats
    difference: Floats
    fires_concept: Floats
    fires_control: Floats
    g: Floats
    g_low: Floats
    g_high: Floats
    auc: Floats
    auc_low: Floats
    auc_high: Floats
    p: Floats
    permutations: Ints
    q: Floats
    p_family: Floats
    rank: Ints
    beyond_2sd: Bools
    beyond_robust: Bools
    rank_dropped: Ints
    prompts_beyond: Ints
    difference_without: Floats
    rank_without: Ints
    detectable_g: float
    detectable_g_corrected: float

    def table(self, features: NDArray[np.integer] | None = None) -> pa.Table:
        """Return a row a feature: ``feature`` and all arrays.

        Parameters
        ----------
        features
            int64: which, in the order wanted; None takes all.
        """
        rows = np.arange(self.features) if features is None else np.asarray(features)
        columns = {"feature": pa.array(rows, pa.int64())}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                columns[field.name] = pa.array(value[rows])
        return pa.table(columns)

    def outlier_notes(self, top: int = 40) -> tuple[str, ...]:
        """Say what the published rule would have done to the `top` largest differences."""
        best = np.argsort(self.rank)[:top]
        dropped = best[self.beyond_2sd[best]]
        lost = best[self.rank_without[best] > top]
        notes = []
        if len(dropped):
            notes.append(
                f"dropping features beyond 2 standard deviations would have thrown away "
                f"{len(dropped)} of the {len(best)} largest differences, feature {dropped[0]} "
                f"(rank {self.rank[dropped[0]]}) first; nothing is dropped here"
            )
        if len(lost):
            notes.append(
                f"without prompts beyond 2 standard deviations of their set, {len(lost)} of the "
                f"{len(best)} largest differences would be others; nothing is dropped here"
            )
        return tuple(notes)
