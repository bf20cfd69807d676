"""Edges between features whose attributions correlate over prompts, tested and bootstrapped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import CorpusError, UsageError
from ingest.attribution.bootstrap import resample_weights, resampled_r
from ingest.attribution.correlation import (
    TESTS,
    VARIANCE,
    Pairs,
    fisher_p,
    pairs_over_floor,
)
from ingest.attribution.groups import without_group_means
from ingest.attribution.options import MIN_PROMPTS, EdgeOptions
from ingest.attribution.sums import PromptSums
from ingest.significance import benjamini_hochberg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Groups = Sequence[str | None] | None

#: With a larger correlation needed by a lone pair, prompts are few for the number of pairs.
FEW = 0.7


@dataclass(frozen=True)
class CoAttribution:
    """Edges ordered by (i, j), i < j; columns of the values are the features.

    Attributes
    ----------
    i, j
        int64, the pair's columns.
    r, r_spearman
        float64, over all prompts.
    p, q
        float64. p is two-sided, the larger of the tests', q its Benjamini-Hochberg adjustment
        over all tested pairs.
    sign
        int32, 1 or -1: that of the tested correlations.
    n_both
        int32, prompts where both attributions are other than 0.
    stability
        float64, share of resamples in which the pair passes the same thresholds with that sign.
    r_low, r_high
        float64, 2.5th and 97.5th percentile of r over resamples.
    prompts, features, constant, tested
        Prompts; features given; those left out since their value is the same in every prompt;
        pairs tested.
    detectable_r
        The least correlation that one pair alone would need to be significant.
    lost_within
        Edges whose r is below the floor or of the other sign once the means of groups are
        removed; None where there are no groups, or that is what was tested.
    """

    i: Integers
    j: Integers
    r: Floats
    r_spearman: Floats
    p: Floats
    q: Floats
    sign: NDArray[np.int32]
    n_both: NDArray[np.int32]
    stability: Floats
    r_low: Floats
    r_high: Floats
    prompts: int
    features: int
    constant: int
    tested: int
    detectable_r: float
    lost_within: int | None = None

    @property
    def few_prompts(self) -> bool:
        """Whether prompts are too few for the number of pairs: strong edges may be missed."""
        return self.detectable_r > FEW


def co_attribution(
    values: Floats, *, options: EdgeOptions, groups: Sequence[str | None] | None = None
) -> CoAttribution:
    """Find pairs of features whose attributions rise and fall together over prompts, or oppose.

    Every pair of features that vary is tested. Pairs below the floor ``options.min_r`` count as
    tests with p = 1, which keeps the false-discovery rate valid. Pearson's r alone is fooled by
    one prompt that is an outlier in both features; asking both correlations (the default) is
    not, since Spearman's test does not depend on the distributions.

    Parameters
    ----------
    values
        float64 ``[prompts, features]``, aggregated attributions, 0 where there is none.
    options
        Test, thresholds and bootstrap.
    groups
        The prompts' groups: drawn whole where ``options.resample`` is ``group``; where
        ``options.within_groups`` their means are removed before anything is correlated.

    Raises
    ------
    CorpusError
        There are fewer than 8 prompts; within groups, fewer than 7 and one for each group.
    UsageError
        There are more features than ``options.max_features``, or groups are asked for and there
        are fewer than two.
    """
    labels = groups if groups is not None and len(set(groups)) > 1 else None
    _check(values, options, labels)
    data, sums, varies = _data(values, options, labels)
    n = len(values) - _lost(options, labels)
    tested = len(varies) * (len(varies) - 1) // 2
    pairs = pairs_over_floor(sums, n, options=options)
    q = benjamini_hochberg(pairs.p, tested)
    pairs, q = pairs.take(q < options.fdr), q[q < options.fdr]
    # The threshold of Benjamini and Hochberg for as many edges as there are; resamples keep it.
    critical = options.fdr * len(pairs.i) / max(tested, 1)
    stability, low, high = _bootstrap(
        data, pairs, n=n, critical=critical, options=options, groups=labels
    )
    i, j = varies[pairs.i], varies[pairs.j]
    return CoAttribution(
        i=i,
        j=j,
        r=pairs.r["pearson"],
        r_spearman=pairs.r["spearman"],
        p=pairs.p,
        q=q,
        sign=pairs.sign,
        n_both=pairs.n_both,
        stability=stability,
        r_low=low,
        r_high=high,
        prompts=len(values),
        features=values.shape[1],
        constant=values.shape[1] - len(varies),
        tested=tested,
        detectable_r=_detectable(n, tested, options),
        lost_within=_lost_within(values, i, j, pairs.sign, options, labels),
    )


def refuse_few(prompts: int, *, groups: int = 1) -> None:
    """Raise `CorpusError` where there are fewer than 8 prompts.

    Parameters
    ----------
    prompts
        Number of prompts.
    groups
        Number of groups whose means are removed; each beyond the first takes one prompt more.
    """
    if prompts - (groups - 1) < MIN_PROMPTS:
        within = f" within {groups} groups" if groups > 1 else ""
        raise CorpusError(
            f"{prompts} prompts are too few to correlate attributions{within}; at least "
            f"{MIN_PROMPTS + groups - 1} are needed.",
            hint="Give more prompts; 50 or more find moderate correlations.",
        )


def _check(values: Floats, options: EdgeOptions, groups: Groups) -> None:
    features = values.shape[1]
    refuse_few(len(values), groups=_lost(options, groups) + 1)
    if features > options.max_features:
        raise UsageError(
            f"{features} features make {features * (features - 1) // 2:,} pairs; the limit is "
            f"{options.max_features} features.",
            hint="Keep features of more prompts (--keep 0.8, or intersection).",
        )
    if groups is None and (options.within_groups or options.resample == "group"):
        raise UsageError(
            "Groups of prompts are asked for, but the prompts have fewer than two.",
            hint="Give the prompt set a column `group`.",
        )


def _lost(options: EdgeOptions, groups: Groups) -> int:
    """Degrees of freedom that the groups' means take."""
    return len(set(groups)) - 1 if groups is not None and options.within_groups else 0


def _data(
    values: Floats, options: EdgeOptions, groups: Groups
) -> tuple[dict[str, Floats], dict[str, PromptSums], Integers]:
    """Return values and ranks of the columns that vary, their sums, and which columns they are."""
    from scipy.stats import rankdata

    sums = PromptSums.of(values)
    if options.within_groups and groups is not None:
        values = without_group_means(values, groups)
        sums = replace(PromptSums.of(values), both=sums.both)
    varies = np.flatnonzero(sums.varies)
    data = {"pearson": values[:, varies], "spearman": rankdata(values[:, varies], axis=0)}
    of_values = sums if len(varies) == len(sums.x) else sums.take(varies)
    return data, {"pearson": of_values, "spearman": PromptSums.of(data["spearman"])}, varies


def _bootstrap(
    data: dict[str, Floats],
    pairs: Pairs,
    *,
    n: int,
    critical: float,
    options: EdgeOptions,
    groups: Groups,
) -> tuple[Floats, Floats, Floats]:
    """Return stability and the interval of r; `critical` is the largest p that is significant."""
    drawn = groups if options.resample == "group" else None
    weights = resample_weights(
        len(data["pearson"]), options.resamples, seed=options.seed, groups=drawn
    )
    stability, low, high = np.zeros((3, len(pairs.i)))
    streams = [resampled_r(data[name], pairs.i, pairs.j, weights=weights) for name in data]
    for blocks in zip(*streams, strict=True):
        where = blocks[0][0]
        r = dict(zip(data, (block for _, block in blocks), strict=True))
        passes = np.ones(r["pearson"].shape, bool)
        for test in TESTS[options.test]:
            p = fisher_p(r[test], n, variance=VARIANCE[test])
            passes &= (r[test] * pairs.sign[where] >= options.min_r) & (p <= critical)
        stability[where] = passes.mean(axis=0)
        low[where], high[where] = np.nanpercentile(r["pearson"], [2.5, 97.5], axis=0)
    return stability, low, high


def _lost_within(
    values: Floats,
    i: Integers,
    j: Integers,
    sign: NDArray[np.int32],
    options: EdgeOptions,
    groups: Groups,
) -> int | None:
    if groups is None or options.within_groups:
        return None
    once = np.ones((1, len(values)))
    within = without_group_means(values, groups)
    kept = [
        (r[0] * sign[pairs] >= options.min_r).sum()
        for pairs, r in resampled_r(within, i, j, weights=once)
    ]
    return len(i) - int(sum(kept))


def _detectable(n: int, tested: int, options: EdgeOptions) -> float:
    from scipy.stats import norm

    if tested == 0:
        return 1.0
    z = norm.isf(options.fdr / (2 * tested))
    variance = max(VARIANCE[test] for test in TESTS[options.test])
    return float(np.tanh(z * np.sqrt(variance / (n - 3))))
