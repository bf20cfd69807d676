"""Corrections of p for the number of tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ingest.significance import benjamini_hochberg

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


def bonferroni(p: ArrayLike) -> Floats:
    """Return p times the number of tests, at most 1.

    Parameters
    ----------
    p
        float64 ``[tests]``; NaN where there was no test, which stays and is not counted.
    """
    values = np.asarray(p, dtype=np.float64)
    return np.minimum(values * np.count_nonzero(~np.isnan(values)), 1.0)


def false_discovery(p: ArrayLike) -> Floats:
    """Return q by Benjamini and Hochberg (1995).

    Parameters
    ----------
    p
        float64 ``[tests]``; NaN where there was no test, which stays and is not counted.
    """
    values = np.asarray(p, dtype=np.float64)
    q = np.full_like(values, np.nan)
    made = ~np.isnan(values)
    q[made] = benjamini_hochberg(values[made], int(made.sum()))
    return q
