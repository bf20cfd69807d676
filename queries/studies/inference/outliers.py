"""What rules against outliers would do; nothing is dropped.

A published study dropped features whose difference lies beyond two standard deviations of all
differences, which throws away the strongest features first. So rules are reported as flags, with
the ranking that they would have left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

PUBLISHED = 2.0
"""Standard deviations of the published rule."""
ROBUST = 3.5
"""Robust standard deviations (Iglewicz and Hoaglin 1993)."""
_TO_SD = 1.4826  # of a normal distribution's median absolute deviation


@dataclass(frozen=True)
class Outliers:
    """Flags and rankings of features, each ``[features]``; see `Contrast` for their meaning."""

    rank: Ints
    beyond_2sd: Bools
    beyond_robust: Bools
    rank_dropped: Ints
    prompts_beyond: Ints
    difference_without: Floats
    rank_without: Ints


def find_outliers(concept: Floats, control: Floats) -> Outliers:
    """Apply the published rule and a robust one to features, and the published one to prompts.

    Parameters
    ----------
    concept, control
        float64 ``[n1, features]`` and ``[n2, features]``.
    """
    difference = concept.mean(axis=0) - control.mean(axis=0)
    published = _beyond_sd(difference[:, np.newaxis])[:, 0]
    kept1, kept2 = ~_beyond_sd(concept), ~_beyond_sd(control)
    without = _mean_of(concept, kept1) - _mean_of(control, kept2)
    return Outliers(
        rank=ranking(difference),
        beyond_2sd=published,
        beyond_robust=_beyond_robust(difference),
        rank_dropped=_ranking_of(difference, ~published),
        prompts_beyond=(~kept1).sum(axis=0) + (~kept2).sum(axis=0),
        difference_without=without,
        rank_without=ranking(without),
    )


def ranking(values: Floats) -> Ints:
    """Return int64 ``[features]``: 1 for the largest value, equal ones by their index."""
    return _ranking_of(values, np.ones(len(values), dtype=bool))


def _ranking_of(values: Floats, kept: Bools) -> Ints:
    """Rank the kept features; the others have 0."""
    members = np.flatnonzero(kept)
    ranks = np.zeros(len(values), dtype=np.int64)
    ranks[members[np.argsort(-values[members], kind="stable")]] = np.arange(1, len(members) + 1)
    return ranks


def _beyond_sd(values: Floats) -> Bools:
    """Which rows of each column lie beyond two standard deviations of its mean."""
    if len(values) < 2:
        return np.zeros(values.shape, dtype=bool)
    far: Bools = np.abs(values - values.mean(axis=0)) > PUBLISHED * values.std(axis=0, ddof=1)
    return far


def _mean_of(values: Floats, kept: Bools) -> Floats:
    # A row within two standard deviations is always left: they cannot all be beyond.
    found: Floats = np.where(kept, values, 0).sum(axis=0) / kept.sum(axis=0)
    return found


def _beyond_robust(difference: Floats) -> Bools:
    """Which differences are far from the others, by median and median absolute deviation.

    Features that differ not at all, most often because they are silent in both sets, would make
    the deviation 0; it is that of the others.
    """
    moved = difference[difference != 0]
    if not len(moved):
        return np.zeros(len(difference), dtype=bool)
    middle = np.median(moved)
    spread = _TO_SD * np.median(np.abs(moved - middle))
    far: Bools = (np.abs(difference - middle) > ROBUST * spread) & (difference != 0)
    return far
