"""The smallest difference that a test of this size finds with a wanted chance.

All take normal observations and a two-sided test; they say what a study could have seen, so that
"not significant" is not read as "no effect".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import fdtri, ncfdtr, ndtri, stdtrit
from scipy.stats import nct

from queries.studies.inference.intervals import solve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def detectable_mean(number: int, *, power: float = 0.8, level: float = 0.05) -> float:
    """Return the smallest mean, in standard deviations, that a one-sample t-test finds.

    Parameters
    ----------
    number
        Observations (pairs); NaN for fewer than two.
    power
        Chance of finding it.
    level
        Of the test.
    """
    if number < 2:
        return np.nan
    return _by_t(number - 1, power=power, level=level) / float(np.sqrt(number))


def detectable_two(first: int, second: int, *, power: float = 0.8, level: float = 0.05) -> float:
    """Return the smallest difference of two means, in standard deviations, that a t-test finds.

    Parameters
    ----------
    first, second
        Observations of each; NaN where they are fewer than three together.
    power, level
        As in `detectable_mean`.
    """
    if min(first, second) < 1 or first + second < 3:
        return np.nan
    scale = float(np.sqrt(1 / first + 1 / second))
    return _by_t(first + second - 2, power=power, level=level) * scale


def detectable_correlation(number: int, *, power: float = 0.8, level: float = 0.05) -> float:
    """Return the smallest absolute correlation of `number` pairs that is found, by Fisher's z."""
    if number <= 3:
        return np.nan
    wanted = float(ndtri(1 - level / 2) + ndtri(power))
    return float(np.tanh(wanted / np.sqrt(number - 3)))


def detectable_groups(
    number: int, groups: int, *, power: float = 0.8, level: float = 0.05
) -> float:
    """Return the smallest eta squared that a one-way analysis of variance finds.

    Parameters
    ----------
    number
        Observations in all.
    groups
        Groups; NaN where there is only one or no observation is left within them.
    power, level
        As in `detectable_mean`.
    """
    between, within = groups - 1, number - groups
    if between < 1 or within < 1:
        return np.nan
    critical = fdtri(between, within, 1 - level)

    def lacking(nc: Floats) -> Floats:
        missed = ncfdtr(between, within, nc, critical)
        return np.asarray(1 - power - missed, dtype=np.float64)

    # One observation within groups needs the most.
    found = solve(lacking, np.zeros(1), np.full(1, 1e3 * critical * between))[0]
    return float(found / (found + number))


def _by_t(freedom: int, *, power: float, level: float) -> float:
    """Noncentrality at which a two-sided t-test has the power."""
    critical = float(stdtrit(freedom, 1 - level / 2))

    def lacking(nc: Floats) -> Floats:
        missed = nct.cdf(critical, freedom, nc) - nct.cdf(-critical, freedom, nc)
        return np.asarray(1 - power - missed, dtype=np.float64)

    # Few observations and a strict level need a large effect.
    return float(solve(lacking, np.zeros(1), np.full(1, 20 + 20 * critical))[0])
