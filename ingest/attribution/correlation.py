"""Correlations of all pairs of features, their p, and the pairs over the floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ingest.attribution.sums import PromptSums, pearson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.attribution.options import EdgeOptions

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

#: Variance of Fisher's z of Spearman's r, times n - 3 (Fieller, Hartley and Pearson 1957).
RANK_VARIANCE = 1.06

VARIANCE = {"pearson": 1.0, "spearman": RANK_VARIANCE}
"""Variance of Fisher's z times n - 3, by correlation."""

TESTS = {"pearson": ("pearson",), "spearman": ("spearman",), "both": ("pearson", "spearman")}
"""Correlations that each choice of `EdgeOptions.test` asks for."""


def fisher_p(r: Floats, prompts: int, *, variance: float = 1.0) -> Floats:
    """Two-sided p of a correlation by Fisher's z = atanh(r), normal with variance / (n - 3).

    Parameters
    ----------
    r
        float64, correlations.
    prompts
        n, at least 4.
    variance
        1 for Pearson's r, `RANK_VARIANCE` for Spearman's.
    """
    from scipy.stats import norm

    with np.errstate(divide="ignore"):
        z = np.abs(np.arctanh(r)) * np.sqrt((prompts - 3) / variance)
    p: Floats = 2 * norm.sf(z)
    return p


@dataclass(frozen=True)
class Pairs:
    """Pairs of features, ordered by (i, j).

    Attributes
    ----------
    i, j
        int64, i < j.
    r
        float64, by the correlation's name.
    p
        float64, the largest of those of the correlations asked for.
    sign
        int32, 1 or -1.
    n_both
        int32, prompts where both values are other than 0.
    """

    i: Integers
    j: Integers
    r: dict[str, Floats]
    p: Floats
    sign: NDArray[np.int32]
    n_both: NDArray[np.int32]

    def take(self, keep: NDArray[np.bool_]) -> Pairs:
        """Return some of the pairs."""
        r = {name: values[keep] for name, values in self.r.items()}
        return Pairs(
            self.i[keep], self.j[keep], r, self.p[keep], self.sign[keep], self.n_both[keep]
        )


def pairs_over_floor(
    sums: dict[str, PromptSums], n: int, *, options: EdgeOptions, rows: int = 256
) -> Pairs:
    """Return the pairs whose correlations have one sign and reach the floor.

    Parameters
    ----------
    sums
        Sums of the values (``pearson``) and of their ranks (``spearman``); all features vary.
    n
        Prompts, less the degrees of freedom that were used up.
    options
        Which correlations are asked for, and the floor.
    rows
        Features correlated with all others at a time; bounds the memory.
    """
    features = len(sums["pearson"].x)
    parts = [
        _pairs_of(sums, slice(start, min(start + rows, features)), n=n, options=options)
        for start in range(0, max(features, 1), rows)
    ]
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("i", "j", "p", "sign", "n_both")
    }
    r = {name: np.concatenate([part.r[name] for part in parts]) for name in sums}
    return Pairs(r=r, **joined)


def _pairs_of(sums: dict[str, PromptSums], rows: slice, *, n: int, options: EdgeOptions) -> Pairs:
    """Pairs of some features with later ones."""
    tests = TESTS[options.test]
    r = {name: pearson(each, rows) for name, each in sums.items()}
    sign = np.sign(r[tests[0]])
    features = np.arange(sign.shape[1])
    keep = (features > features[rows, None]) & (sign != 0)
    for test in tests:
        keep &= r[test] * sign >= options.min_r
    i, j = np.nonzero(keep)
    kept = {name: values[i, j] for name, values in r.items()}
    p = np.max([fisher_p(kept[test], n, variance=VARIANCE[test]) for test in tests], axis=0)
    both = sums["pearson"].both[rows][i, j]
    return Pairs(i + rows.start, j, kept, p, sign[i, j].astype(np.int32), both)
