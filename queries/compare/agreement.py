"""How far two partitions and two series of numbers agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


def adjusted_rand(a: Sequence[Any], b: Sequence[Any]) -> float | None:
    """Return the Rand index adjusted for chance (Hubert and Arabie, 1985).

    Parameters
    ----------
    a, b
        Group of each item in two partitions, of equal length.

    Returns
    -------
    float or None
        1 for equal partitions, about 0 for unrelated ones; None for fewer than two items.
    """
    if len(a) < 2:
        return None
    rows, row_sizes = np.unique(a, return_inverse=True, return_counts=True)[1:]
    columns, column_sizes = np.unique(b, return_inverse=True, return_counts=True)[1:]
    cells = np.unique(rows * len(column_sizes) + columns, return_counts=True)[1]
    together, in_a, in_b = (_pairs(sizes) for sizes in (cells, row_sizes, column_sizes))
    expected = in_a * in_b / _pairs(np.array([len(a)]))
    largest = (in_a + in_b) / 2
    # One group, or none with two members, on both sides: there is nothing to disagree on.
    return 1.0 if largest == expected else float((together - expected) / (largest - expected))


def adjusted_mutual_information(a: Sequence[Any], b: Sequence[Any]) -> float | None:
    """Return the mutual information adjusted for chance (Vinh, Epps and Bailey, 2010).

    Parameters
    ----------
    a, b
        Group of each item in two partitions, of equal length.

    Returns
    -------
    float or None
        1 for equal partitions, about 0 for unrelated ones; None for fewer than two items, and
        where scikit-learn (the extra ``analysis``) is not installed.
    """
    try:
        from sklearn.metrics import adjusted_mutual_info_score
    except ImportError:
        return None
    return float(adjusted_mutual_info_score(a, b)) if len(a) >= 2 else None


def correlation(a: ArrayLike, b: ArrayLike) -> float | None:
    """Return Pearson's correlation over the places where both are finite.

    Returns
    -------
    float or None
        None for fewer than three such places, and where one side does not vary.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def _pairs(sizes: NDArray[np.integer]) -> float:
    wide = sizes.astype(np.float64)
    return float((wide * (wide - 1) / 2).sum())
