"""Intervals: bootstrap, of noncentral distributions, of proportions and of a rank statistic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ncfdtr, ndtr, ndtri
from scipy.stats import nct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_HALVINGS = 60  # of a bracket: to the last bits


def solve(rising: Callable[[Floats], Floats], low: Floats, high: Floats) -> Floats:
    """Return where rising functions cross 0, by halving; the lower end where they do not.

    Parameters
    ----------
    rising
        Takes and gives float64 arrays of one shape.
    low, high
        Brackets.
    """
    low, high = np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = rising(middle) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low


def bca(
    drawn: Floats, observed: Floats, *, jackknife: Sequence[Floats], level: float
) -> tuple[Floats, Floats]:
    """Return bias-corrected and accelerated bootstrap intervals (Efron 1987), column by column.

    Parameters
    ----------
    drawn
        float64 ``[resamples, columns]``.
    observed
        float64 ``[columns]``.
    jackknife
        A float64 ``[rows, columns]`` for each independent sample: the statistic without that row.
    level
        Such as 0.95.

    Returns
    -------
    low, high
        float64 ``[columns]``; NaN where the statistic or an end is not finite.
    """
    resamples = len(drawn)
    less = (drawn < observed).sum(axis=0) + 0.5 * (drawn == observed).sum(axis=0)
    # All on one side would be an infinite bias.
    bias = ndtri(np.clip(less / resamples, 0.5 / resamples, 1 - 0.5 / resamples))
    acceleration = _acceleration(jackknife)
    ordered = np.sort(drawn, axis=0)
    tail = float(ndtri((1 - level) / 2))
    low, high = (_end(ordered, bias, acceleration, z) for z in (tail, -tail))
    fine = np.isfinite(observed) & np.isfinite(low) & np.isfinite(high)
    return np.where(fine, low, np.nan), np.where(fine, high, np.nan)


def _acceleration(jackknife: Sequence[Floats]) -> Floats:
    cubes, squares = 0.0, 0.0
    for sample in jackknife:
        number = len(sample)
        influence = (number - 1) * (sample.mean(axis=0) - sample)
        cubes = cubes + (influence**3).sum(axis=0) / number**3
        squares = squares + (influence**2).sum(axis=0) / number**2
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.asarray(cubes / (6 * np.power(squares, 1.5)))
    return np.where(np.isfinite(found), found, 0.0)


def _end(ordered: Floats, bias: Floats, acceleration: Floats, z: float) -> Floats:
    shifted = bias + z
    share = ndtr(bias + shifted / np.maximum(1 - acceleration * shifted, 1e-3))
    rows = len(ordered)
    place = np.clip(np.rint(share * (rows + 1)).astype(np.int64) - 1, 0, rows - 1)
    found: Floats = np.take_along_axis(ordered, place[np.newaxis], axis=0)[0]
    return found


def percentile(drawn: Floats, level: float) -> tuple[Floats, Floats]:
    """Return the middle `level` of resamples ``[resamples, ...]``."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def eta_interval(f: float, between: int, within: int, *, level: float) -> tuple[float, float]:
    """Return the interval of eta squared from F by the noncentral F (Steiger 2004).

    Parameters
    ----------
    f
        The statistic.
    between, within
        Its degrees of freedom.
    level
        Such as 0.95. Like F it takes residuals as normal and of one spread.
    """
    if not np.isfinite(f):
        return np.nan, np.nan
    top = 10.0 * (between * f + between + within)
    chances = np.array([(1 + level) / 2, (1 - level) / 2])
    # The chance of a smaller F falls as the noncentrality rises.

    def rising(nc: Floats) -> Floats:
        return np.asarray(chances - ncfdtr(between, within, nc, f), dtype=np.float64)

    found = solve(rising, np.zeros(2), np.full(2, top))
    low, high = found / (found + between + within + 1)
    return float(low), float(high)


def dz_interval(t: Floats, number: int, *, level: float) -> tuple[Floats, Floats]:
    """Return the interval of a mean over its standard deviation by the noncentral t.

    Parameters
    ----------
    t
        float64 ``[tests]``: one-sample t; NaN stays.
    number
        Observations of each.
    level
        Such as 0.95.
    """
    reach = 12 + 2 * np.abs(np.nan_to_num(t))

    def end(chance: float) -> Floats:
        def rising(nc: Floats) -> Floats:
            return np.asarray(chance - nct.cdf(t, number - 1, nc), dtype=np.float64)

        found = solve(rising, t - reach, t + reach) / np.sqrt(number)
        return np.where(np.isfinite(t), found, np.nan)

    return end((1 + level) / 2), end((1 - level) / 2)


def wilson(hits: int, number: int, *, level: float) -> tuple[float, float]:
    """Return the interval of a proportion (Wilson 1927); NaN of nothing."""
    if not number:
        return np.nan, np.nan
    z = float(-ndtri((1 - level) / 2))
    share, width = hits / number, z**2 / number
    centre = (share + width / 2) / (1 + width)
    half = z * np.sqrt(share * (1 - share) / number + width / (4 * number)) / (1 + width)
    return float(max(centre - half, 0.0)), float(min(centre + half, 1.0))


def correlation_interval(r: float, number: int, *, level: float) -> tuple[float, float]:
    """Return the interval of a correlation of `number` pairs by Fisher's z; NaN for too few."""
    if number <= 3 or not np.isfinite(r):
        return np.nan, np.nan
    z = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    half = -ndtri((1 - level) / 2) / np.sqrt(number - 3)
    return float(np.tanh(z - half)), float(np.tanh(z + half))
