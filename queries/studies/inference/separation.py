"""How well each feature tells two sets of prompts apart: the area under its ROC curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtri
from scipy.stats import rankdata

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def separation(concept: Floats, control: Floats, *, level: float) -> tuple[Floats, Floats, Floats]:
    """Return the AUC of each feature as a detector, with its interval.

    The AUC is the chance that a prompt of the concept has the larger value, ties counting half
    (Mann and Whitney). Its interval is by DeLong, DeLong and Clarke-Pearson (1988) on the logit
    scale. Where the sets do not overlap at all, DeLong's variance is 0 and the far end is that of
    Newcombe's method 5 (2006).

    Parameters
    ----------
    concept, control
        float64 ``[n1, features]`` and ``[n2, features]``; two rows or more each.
    level
        Such as 0.95.

    Returns
    -------
    auc, low, high
        float64 ``[features]``. A feature that is constant has 0.5 with no width.
    """
    n1, n2 = len(concept), len(control)
    ranks = rankdata(np.concatenate([concept, control]), axis=0)
    # The share of the other set that lies below each row.
    above = (ranks[:n1] - rankdata(concept, axis=0)) / n2
    below = 1 - (ranks[n1:] - rankdata(control, axis=0)) / n1
    auc = above.mean(axis=0)
    error = np.sqrt(above.var(axis=0, ddof=1) / n1 + below.var(axis=0, ddof=1) / n2)
    z = float(-ndtri((1 - level) / 2))
    apart = (auc <= 0) | (auc >= 1)
    inside = np.where(apart, 0.5, auc)
    half = z * error / (inside * (1 - inside))
    low, high = expit(logit(inside) - half), expit(logit(inside) + half)
    edge = _without_overlap(n1, n2, z)
    low = np.where(apart, np.where(auc >= 1, edge, 0.0), low)
    high = np.where(apart, np.where(auc >= 1, 1.0, 1 - edge), high)
    return auc, low, high


def _without_overlap(n1: int, n2: int, z: float) -> float:
    """Lower end of an AUC of 1 (Newcombe 2006, method 5)."""
    each = (n1 + n2) / 2 - 1

    def gap(theta: float) -> float:
        more = 1 + each * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return float((1 - theta) - z**2 * theta * more / (n1 * n2))

    return float(brentq(gap, 0.0, 1.0))
