"""Hedges' g of many features at once, with bootstrap intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from queries.studies.inference.draws import weights
from queries.studies.inference.intervals import bca

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_COLUMNS = 512  # features resampled at a time: some 4 MB an array


def small_sample(freedom: float) -> float:
    """Return the factor by which Hedges (1981) shrinks d, in the usual approximation."""
    return 1 - 3 / (4 * freedom - 1)


def hedges_g(
    concept: Floats, control: Floats, *, pairs: bool, resamples: int, seed: int, level: float
) -> tuple[Floats, Floats, Floats]:
    """Return the difference of means over the pooled standard deviation, bias-corrected.

    Parameters
    ----------
    concept, control
        float64 ``[n1, features]`` and ``[n2, features]``.
    pairs
        Whether rows are pairs, which are then resampled together. g is the same.
    resamples, seed, level
        Of the BCa bootstrap; all features share the resamples.

    Returns
    -------
    g, low, high
        float64 ``[features]``. g is 0 where nothing differs, and NaN where the sets differ and
        neither varies.
    """
    rng = np.random.default_rng(seed)
    drawn1 = weights(rng, len(concept), resamples=resamples)
    drawn2 = drawn1 if pairs else weights(rng, len(control), resamples=resamples)
    parts = []
    for start in range(0, concept.shape[1], _COLUMNS):
        some = slice(start, start + _COLUMNS)
        both = np.concatenate([concept[:, some], control[:, some]])
        # Standardised, so that sums of squares keep their digits.
        middle, scale = both.mean(axis=0), both.std(axis=0)
        scale = np.where(scale > 1e-12 * np.abs(both).max(axis=0), scale, np.inf)
        a, b = (concept[:, some] - middle) / scale, (control[:, some] - middle) / scale
        parts.append(_resampled(a, b, drawn1, drawn2, pairs=pairs, level=level))
    g, low, high = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return g, low, high


def _resampled(
    a: Floats, b: Floats, drawn1: Floats, drawn2: Floats, *, pairs: bool, level: float
) -> tuple[Floats, Floats, Floats]:
    n1, n2 = len(a), len(b)
    observed = _g(a.sum(axis=0), (a**2).sum(axis=0), b.sum(axis=0), (b**2).sum(axis=0), n1, n2)
    drawn = _g(drawn1 @ a, drawn1 @ a**2, drawn2 @ b, drawn2 @ b**2, n1, n2)
    low, high = bca(drawn, observed, jackknife=_jackknife(a, b, pairs=pairs), level=level)
    return observed, low, high


def _jackknife(a: Floats, b: Floats, *, pairs: bool) -> list[Floats]:
    """Return g without each row: of each set, or of each pair."""
    n1, n2 = len(a), len(b)
    sum1, square1 = a.sum(axis=0), (a**2).sum(axis=0)
    sum2, square2 = b.sum(axis=0), (b**2).sum(axis=0)
    without1, without2 = (sum1 - a, square1 - a**2), (sum2 - b, square2 - b**2)
    if pairs:
        return [_g(*without1, *without2, n1 - 1, n2 - 1)]
    return [
        _g(*without1, sum2, square2, n1 - 1, n2),
        _g(sum1, square1, *without2, n1, n2 - 1),
    ]


def _g(sum1: Floats, square1: Floats, sum2: Floats, square2: Floats, n1: int, n2: int) -> Floats:
    """Return g from sums and sums of squares of standardised values."""
    difference = sum1 / n1 - sum2 / n2
    within = (square1 - sum1**2 / n1) + (square2 - sum2**2 / n2)
    freedom = max(n1 + n2 - 2, 1)
    # Of standardised values, less than this is rounding.
    varies = within > 1e-11
    spread = np.sqrt(np.where(varies, within, 1.0) / freedom)
    g = small_sample(freedom) * difference / spread
    found: Floats = np.where(varies, g, np.where(np.abs(difference) < 1e-11, 0.0, np.nan))
    return found
