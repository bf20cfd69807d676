"""Puts labels beside points, where they cover as little as possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from queries.studies.report.drawing import FONT, lay_out, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_SIZE = FONT - 0.6
_MOST = 0.2  # share of a label that may be on others
# Where a label may stand: its side, and how far from the point in points.
_PLACES = (
    *(("left", dx, dy) for dx, dy in ((5, -3), (4, 5), (4, -11), (14, 12), (14, -18))),
    *(("right", dx, dy) for dx, dy in ((-5, -3), (-4, 5), (-4, -11), (-14, 12), (-14, -18))),
)


def place_labels(axes: Axes, points: Floats, *, labels: Mapping[int, str]) -> None:
    """Write labels, each where it overlaps least with points and labels before it.

    A label that has no place where it would not cover much of another one is left out.

    Parameters
    ----------
    axes
        With its limits as they will be.
    points
        float64 ``[n, 2]`` in data coordinates.
    labels
        Row of `points` to text, the most important first.
    """
    # Layout first: places are judged on the final axes.
    lay_out(axes)
    scale = 72 / axes.figure.dpi
    marks = axes.transData.transform(points) * scale
    low, high = (np.array(corner) * scale for corner in (axes.bbox.p0, axes.bbox.p1))
    taken: list[Floats] = []
    # A label on another labelled point would be taken for its own.
    weight = np.ones(len(marks))
    weight[list(labels)] = 8
    for row, text in labels.items():
        words = plain(text, 32)
        size = np.array([0.6 * _SIZE * len(words), 1.1 * _SIZE])
        boxes = [_box(marks[row], place, size) for place in _PLACES]
        costs = [
            _cost(box, marks, weight, taken, (low, high)) + 0.1 * k for k, box in enumerate(boxes)
        ]
        best = int(np.argmin(costs))
        if _covered(boxes[best], taken) > _MOST * float(size.prod()):
            continue
        side, dx, dy = _PLACES[best]
        taken.append(boxes[best])
        far = abs(dx) > 10
        axes.annotate(
            words,
            points[row],
            xytext=(dx, dy),
            textcoords="offset points",
            ha=side,
            fontsize=_SIZE,
            arrowprops={"arrowstyle": "-", "lw": 0.6, "color": "#586372"} if far else None,
        )


def _box(mark: Floats, place: tuple[str, int, int], size: Floats) -> Floats:
    """Left, bottom, right and top of a label."""
    side, dx, dy = place
    left = mark[0] + dx - (size[0] if side == "right" else 0)
    bottom = mark[1] + dy
    return np.array([left, bottom, left + size[0], bottom + size[1]])


def _cost(
    box: Floats,
    marks: Floats,
    weight: Floats,
    taken: list[Floats],
    frame: tuple[Floats, Floats],
) -> float:
    """Count marks that a label would hide, area of other labels, and what is out of the frame."""
    low, high = frame
    inside = (marks > box[:2] - 2).all(axis=1) & (marks < box[2:] + 2).all(axis=1)
    overlap = _covered(box, taken)
    outside = np.maximum(low - box[:2], 0).sum() + np.maximum(box[2:] - high, 0).sum()
    return float(weight[inside].sum() + overlap + 4 * outside)


def _covered(box: Floats, taken: list[Floats]) -> float:
    """Area of a label that others cover."""
    return sum(
        float(np.maximum(np.minimum(box[2:], one[2:]) - np.maximum(box[:2], one[:2]), 0).prod())
        for one in taken
    )
