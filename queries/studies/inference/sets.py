"""Whether sets of features from within one community act otherwise than sets from several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import mannwhitneyu, ttest_ind

from atlas.errors import UsageError
from queries.studies.inference.checks import finite, resampling, same_length
from queries.studies.inference.draws import in_blocks, permutation_p, weights
from queries.studies.inference.effect_size import small_sample
from queries.studies.inference.intervals import percentile
from queries.studies.inference.power import detectable_two

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SetsTest:
    """Comparison of sets within a community with sets between communities.

    Attributes
    ----------
    n_within, n_between, prompts
        Sets of both kinds that are in a stratum with the other kind too, and prompts.
    mean_within, mean_between
        Means over those sets and prompts.
    difference, low, high
        Within less between: differences of the strata's means, each weighted by its harmonic
        number of sets. The interval is from resampling sets and prompts (Owen 2007).
    g
        Difference over the standard deviation of sets of one kind and stratum, bias-corrected.
    p_permutation, permutations
        By shuffling which sets are within, stratum by stratum.
    t, p_welch, p_mannwhitney
        Welch's and Mann and Whitney's tests of the sets' means, which know no strata.
    detectable
        Smallest absolute difference found with 80 % power.
    """

    n_within: int
    n_between: int
    prompts: int
    mean_within: float
    mean_between: float
    difference: float
    low: float
    high: float
    g: float
    p_permutation: float
    permutations: int
    t: float
    p_welch: float
    p_mannwhitney: float
    detectable: float


def two_sets(
    values: ArrayLike,
    within: ArrayLike,
    *,
    strata: Sequence[object] | NDArray[np.generic] | None = None,
    permutations: int = 9999,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> SetsTest:
    """Test whether two kinds of sets differ in their mean over the same prompts.

    A set is one observation. Sets that share features are alike, and many sets of few features
    then look like more evidence than they are: draw sets that overlap little.

    Parameters
    ----------
    values
        float64 ``[sets, prompts]``: every set on every prompt.
    within
        bool ``[sets]``.
    strata
        ``[sets]``: only sets of one stratum, such as a size, are compared. None: all are in one.
    permutations, resamples, seed, level
        Of the test, the bootstrap and the intervals.

    Raises
    ------
    UsageError
        Numbers are not finite, lengths differ, or no stratum has both kinds and three sets.
    """
    resampling(permutations=permutations, resamples=resamples, level=level)
    table, kinds = finite(values, "The sets' values", ndim=2), np.asarray(within, dtype=bool)
    same_length(table, kinds, names="Values and kinds of sets")
    layers = _strata(kinds, strata)
    used = np.sort(np.concatenate([rows for rows, _ in layers]))
    means, kind = table.mean(axis=1), kinds[used]
    observed = _difference(means[np.newaxis], kinds[np.newaxis], layers)[0]
    spread, freedom = _spread(means, kinds, layers)
    drawn = _resample(table, kinds, layers, resamples, seed + 1)
    low, high = percentile(drawn, level)
    first, second = means[used][kind], means[used][~kind]
    flat = bool(np.ptp(means[used]) <= 1e-12 * np.abs(means[used]).max())
    enough = not flat and min(len(first), len(second)) > 1
    t, p_welch = ttest_ind(first, second, equal_var=False) if enough else (np.nan, np.nan)
    return SetsTest(
        n_within=len(first),
        n_between=len(second),
        prompts=table.shape[1],
        mean_within=float(first.mean()),
        mean_between=float(second.mean()),
        difference=float(observed),
        low=float(low),
        high=float(high),
        g=float(small_sample(freedom) * observed / spread) if spread > 0 else np.nan,
        p_permutation=1.0 if flat else _permuted(means, kinds, layers, permutations, seed),
        permutations=permutations,
        t=float(t),
        p_welch=float(p_welch),
        p_mannwhitney=1.0 if flat else float(mannwhitneyu(first, second).pvalue),
        detectable=float(detectable_two(len(first), len(second)) * spread),
    )


def _strata(
    kinds: Bools, strata: Sequence[object] | NDArray[np.generic] | None
) -> list[tuple[Ints, float]]:
    """Strata with both kinds: their rows, and weights that sum to 1."""
    names = ["all"] * len(kinds) if strata is None else [str(one) for one in strata]
    if len(names) != len(kinds):
        raise UsageError(f"{len(names)} strata are given for {len(kinds)} sets.")
    of, found = np.array(names), []
    for name in dict.fromkeys(names):
        rows = np.flatnonzero(of == name)
        first = int(kinds[rows].sum())
        if 0 < first < len(rows):
            found.append((rows, first * (len(rows) - first) / len(rows)))
    if not found or sum(len(rows) - 2 for rows, _ in found) < 1:
        raise UsageError(
            "No stratum has sets of both kinds, or they are too few.",
            hint="Draw more sets within and between communities.",
        )
    total = sum(weight for _, weight in found)
    return [(rows, weight / total) for rows, weight in found]


def _difference(means: Floats, kinds: Bools, layers: list[tuple[Ints, float]]) -> Floats:
    """Weighted difference of rows of means and kinds, ``[draws, sets]`` each (or one row)."""
    found = np.zeros(max(len(means), len(kinds)))
    for rows, weight in layers:
        chosen, some = kinds[:, rows], means[:, rows]
        inside = (some * chosen).sum(axis=1) / chosen.sum(axis=1)
        found += weight * (inside - (some * ~chosen).sum(axis=1) / (~chosen).sum(axis=1))
    return found


def _spread(means: Floats, kinds: Bools, layers: list[tuple[Ints, float]]) -> tuple[float, int]:
    """Return the standard deviation within kind and stratum, and its degrees of freedom."""
    squares, freedom = 0.0, 0
    for rows, _ in layers:
        for some in (means[rows][kinds[rows]], means[rows][~kinds[rows]]):
            squares += float(((some - some.mean()) ** 2).sum())
            freedom += len(some) - 1
    return float(np.sqrt(squares / freedom)), freedom


def _permuted(
    means: Floats, kinds: Bools, layers: list[tuple[Ints, float]], permutations: int, seed: int
) -> float:
    rng, drawn = np.random.default_rng(seed), []
    scale = float(means.std())
    row = (means[np.newaxis] - means.mean()) / scale
    for count in in_blocks(permutations, 3 * len(means)):
        shuffled = np.tile(kinds, (count, 1))
        for rows, _ in layers:
            shuffled[:, rows] = rng.permuted(shuffled[:, rows], axis=1)
        drawn.append(np.abs(_difference(row, shuffled, layers)))
    observed = abs(float(_difference(row, kinds[np.newaxis], layers)[0]))
    return permutation_p(np.concatenate(drawn), observed)


def _resample(
    table: Floats, kinds: Bools, layers: list[tuple[Ints, float]], resamples: int, seed: int
) -> Floats:
    """Differences ``[resamples]`` with the sets of each kind and stratum, and prompts, anew."""
    rng, prompts = np.random.default_rng(seed), table.shape[1]
    means = weights(rng, prompts, resamples=resamples) @ table.T / prompts
    found = np.zeros(resamples)
    for rows, weight in layers:
        for sign, some in ((1, rows[kinds[rows]]), (-1, rows[~kinds[rows]])):
            often = weights(rng, len(some), resamples=resamples)
            found += sign * weight * (often * means[:, some]).sum(axis=1) / len(some)
    return found
