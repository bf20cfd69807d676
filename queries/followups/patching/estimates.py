"""Means and shares over prompts, with 95% intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr, stdtrit

from ingest.significance import benjamini_hochberg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number over prompts.

    Attributes
    ----------
    value
        The number; None where no prompt has it.
    low, high
        Ends of its 95% interval; None for fewer than two prompts.
    p
        Two-sided, that it is 0; None where it cannot be told.
    n
        Prompts.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    n: int = 0


def mean_of(values: Floats) -> Estimate:
    """Return the mean of the values that are not NaN, with Student's t."""
    some = values[~np.isnan(values)]
    if not len(some):
        return Estimate(None)
    return _student(float(some.mean()), some - some.mean(), len(some))


def share_of(part: Floats, whole: Floats) -> Estimate:
    """Return the sum of `part` over the sum of `whole`, where neither is NaN.

    The interval is that of a ratio of means to first order (Cochran, Sampling Techniques, 1977,
    chapter 6): Student's t of the residuals ``part - share * whole`` over the mean of `whole`.
    """
    known = ~(np.isnan(part) | np.isnan(whole))
    total = float(whole[known].sum())
    if total == 0:
        return Estimate(None)
    share = float(part[known].sum()) / total
    n = int(known.sum())
    return _student(share, (part[known] - share * whole[known]) * (n / total), n)


def _student(value: float, residuals: Floats, n: int) -> Estimate:
    if n < 2:
        return Estimate(value, n=n)
    error = math.sqrt(float((residuals**2).sum()) / (n - 1) / n)
    if error <= 1e-12 * abs(value) or error == 0:
        return Estimate(value, value, value, 1.0 if value == 0 else None, n)
    reach = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * error
    p = float(2 * stdtr(n - 1, -abs(value) / error))
    return Estimate(value, value - reach, value + reach, p, n)


def false_discovery(estimates: Sequence[Estimate]) -> list[float | None]:
    """Return Benjamini and Hochberg's q of estimates that were tested together."""
    known = [k for k, estimate in enumerate(estimates) if estimate.p is not None]
    found: list[float | None] = [None] * len(estimates)
    p = np.array([estimates[k].p for k in known], float)
    for k, q in zip(known, benjamini_hochberg(p, len(known)) if known else (), strict=True):
        found[k] = float(q)
    return found
