"""What the tests take: finite numbers, in arrays of the right number of dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def finite(values: ArrayLike, name: str, *, ndim: int, least: int = 2) -> Floats:
    """Return `values` as float64.

    Parameters
    ----------
    values
        Numbers.
    name
        What an error calls them.
    ndim
        Dimensions that they must have.
    least
        Fewest rows.

    Raises
    ------
    UsageError
        They have other dimensions, fewer rows, or one that is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim:
        raise UsageError(
            f"{name} has {array.ndim} dimensions where {ndim} are wanted.",
            hint="Give rows of observations.",
        )
    if len(array) < least:
        raise UsageError(f"{name} has {len(array)} rows; at least {least} are needed.")
    if not np.isfinite(array).all():
        raise UsageError(
            f"{name} holds numbers that are not finite.", hint="Leave those observations out."
        )
    return array


def same_length(first: NDArray[np.generic], second: NDArray[np.generic], *, names: str) -> None:
    """Raise `UsageError` where two arrays have different numbers of rows."""
    if len(first) != len(second):
        raise UsageError(f"{names} have {len(first)} and {len(second)} rows; they must agree.")


def resampling(*, permutations: int, resamples: int, level: float) -> None:
    """Raise `UsageError` where numbers of draws or the level of an interval cannot be."""
    if permutations < 1 or resamples < 1:
        raise UsageError("permutations and resamples must be at least 1.")
    if not 0 < level < 1:
        raise UsageError(f"The level of an interval is between 0 and 1, not {level}.")
