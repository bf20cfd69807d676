"""Coordinates in a unit square."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def unit_square(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return points moved and scaled into [0, 1] x [0, 1], proportions kept.

    The longer side fills the square; along the shorter one the points lie in the middle.

    Parameters
    ----------
    points
        ``[points, 2]``, finite.
    """
    square: NDArray[np.float64] = np.array(points, np.float64)
    if len(square):
        low, high = square.min(0), square.max(0)
        # Points that are all the same lie in the middle.
        size = (high - low).max() or 1.0
        square -= low / 2 + high / 2
        square = np.clip(square / size + 0.5, 0.0, 1.0)
    return square
