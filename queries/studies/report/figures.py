"""Figures of points and lines: scatter, feature map, curves, histogram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import UsageError
from queries.studies.report.blocks import Caption, Figure
from queries.studies.report.drawing import drawing, log_ticks, plain
from queries.studies.report.labels import place_labels
from queries.studies.report.palette import FAINT, GROUPS, INK, MARKERS, ORANGE, group_style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_MANY = 14  # groups that a legend has room for


def scatter(  # noqa: PLR0913
    name: str,
    points: ArrayLike,
    *,
    caption: Caption,
    x_label: str,
    y_label: str,
    labels: Mapping[int, str] | None = None,
    groups: ArrayLike | None = None,
    group_names: Mapping[int, str] | None = None,
    line: tuple[float, float] | None = None,
    x_zero: bool = False,
    y_zero: bool = False,
    x_log: bool = False,
    title: str = "",
) -> Figure:
    """Draw points.

    Parameters
    ----------
    name
        Of the figure.
    points
        float64 ``[n, 2]``; rows that are not finite are left out.
    caption
        What it shows.
    x_label, y_label
        With units.
    labels
        Row to text, the most important first.
    groups
        int64 ``[n]``: colour and shape; negative is none.
    group_names
        Of groups, in the legend; others are "group N".
    line
        Slope and intercept of a line to draw.
    x_zero, y_zero
        Whether to draw the axes' zeros.
    x_log
        Whether x is logarithmic; rows at or below 0 are left out then.
    title
        Above.
    """
    xy, kinds = _points(points, groups)
    fine = _finite(xy)
    if x_log:
        fine &= xy[:, 0] > 0
    with drawing(name) as made:
        axes = made.axes
        if x_log:
            axes.set_xscale("log")
            log_ticks(axes.xaxis, np.empty(0))
        _marks(axes, xy, kinds=np.where(fine, kinds, -2), size=22, names=group_names)
        _zeros(axes, x_zero=x_zero, y_zero=y_zero)
        if line is not None:
            x = np.array(axes.get_xlim())
            axes.plot(x, line[0] * x + line[1], color=INK.light, lw=1.2, ls="--", zorder=3)
            axes.set_xlim(*x)
        axes.set(xlabel=x_label, ylabel=y_label, title=title)
        chosen = {row: text for row, text in (labels or {}).items() if fine[row]}
        _legend(made.canvas, axes)
        place_labels(axes, np.where(fine[:, np.newaxis], xy, np.nan), labels=chosen)
    return Figure(name, made.svg, caption)


def feature_map(
    name: str,
    points: ArrayLike,
    *,
    caption: Caption,
    groups: ArrayLike | None = None,
    labels: Mapping[int, str] | None = None,
    highlight: Sequence[int] | None = None,
    group_names: Mapping[int, str] | None = None,
) -> Figure:
    """Draw features where a layout puts them; its axes mean nothing and are left out.

    Parameters
    ----------
    name
        Of the figure.
    points
        float64 ``[n, 2]``.
    caption
        What it shows.
    groups
        int64 ``[n]``: colour and shape; negative is none.
    labels
        Row to text, the most important first.
    highlight
        Rows with a ring.
    group_names
        Of groups, in the legend.
    """
    xy, kinds = _points(points, groups)
    fine = _finite(xy)
    rings = [row for row in highlight or () if fine[row]]
    with drawing(name, height=4.4) as made:
        axes = made.axes
        size = float(np.clip(9000 / max(len(xy), 1), 3, 24))
        _marks(axes, xy, kinds=np.where(fine, kinds, -2), size=size, names=group_names)
        ring: dict[str, Any] = {
            "s": max(44.0, size + 30),
            "facecolor": "none",
            "edgecolor": INK.light,
            "lw": 1.3,
        }
        axes.scatter(xy[rings, 0], xy[rings, 1], **ring)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        _legend(made.canvas, axes)
        chosen = {row: text for row, text in (labels or {}).items() if fine[row]}
        place_labels(axes, xy, labels=chosen)
    return Figure(name, made.svg, caption)


def curves(
    name: str,
    x: ArrayLike,
    *,
    series: Mapping[str, tuple[ArrayLike, ArrayLike | None, ArrayLike | None]],
    caption: Caption,
    x_label: str,
    y_label: str,
    x_log: bool = False,
    zero_line: bool = True,
) -> Figure:
    """Draw lines with their intervals.

    Parameters
    ----------
    name
        Of the figure.
    x
        float64 ``[k]``, shared.
    series
        Name to means, lower and upper ends, float64 ``[k]`` each; the ends may be None.
    caption
        What it shows.
    x_label, y_label
        With units.
    x_log
        Whether x is logarithmic.
    zero_line
        Whether to draw y = 0.
    """
    at = np.asarray(x, dtype=np.float64)
    with drawing(name) as made:
        axes = made.axes
        for number, (label, (mean, low, high)) in enumerate(series.items()):
            colour = GROUPS[number % len(GROUPS)].light
            if low is not None and high is not None:
                below, above = (np.asarray(end, dtype=np.float64) for end in (low, high))
                axes.fill_between(at, below, above, color=colour, alpha=0.16, lw=0)
            axes.plot(
                at,
                np.asarray(mean, dtype=np.float64),
                color=colour,
                marker=MARKERS[number % len(MARKERS)],
                ms=4.5,
                ls=("-", "--", ":", "-.")[number // len(GROUPS) % 4],
                label=plain(label),
            )
        if x_log:
            axes.set_xscale("log")
            log_ticks(axes.xaxis, at)
        _zeros(axes, x_zero=False, y_zero=zero_line)
        axes.set(xlabel=x_label, ylabel=y_label)
        _legend(made.canvas, axes, always=len(series) > 1)
    return Figure(name, made.svg, caption)


def histogram(
    name: str,
    values: Mapping[str, ArrayLike],
    *,
    caption: Caption,
    x_label: str,
    marks: Mapping[str, float] | None = None,
    bins: int = 40,
) -> Figure:
    """Draw how values are distributed, such as a statistic under permutation.

    Parameters
    ----------
    name
        Of the figure.
    values
        Name to float64 ``[n]``; shares of each add up to 1. What is not finite is left out.
    caption
        What it shows.
    x_label
        With its unit.
    marks
        Name to a value that is marked by a line, such as the observed one.
    bins
        How many, shared.
    """
    arrays = {key: np.asarray(some, dtype=np.float64).ravel() for key, some in values.items()}
    arrays = {key: some[np.isfinite(some)] for key, some in arrays.items()}
    every = np.concatenate([*arrays.values(), np.array(list((marks or {}).values()))])
    if not len(every):
        raise UsageError(f"The figure {name} has no value to show.")
    edges = np.histogram_bin_edges(every, bins=bins)
    with drawing(name, height=3.0) as made:
        axes = made.axes
        for number, (label, some) in enumerate(arrays.items()):
            colour = GROUPS[number % len(GROUPS)].light
            share = np.histogram(some, edges)[0] / max(len(some), 1)
            axes.stairs(share, edges, fill=True, color=colour, alpha=0.22)
            axes.stairs(share, edges, color=colour, lw=1.5, label=plain(label))
        for number, (label, value) in enumerate((marks or {}).items()):
            axes.axvline(
                value,
                color=(ORANGE, INK)[number % 2].light,
                lw=1.6,
                ls=("--", ":", "-.")[number % 3],
                label=plain(label),
            )
        axes.set(xlabel=x_label, ylabel="share")
        _legend(made.canvas, axes, always=len(arrays) + len(marks or {}) > 1)
    return Figure(name, made.svg, caption)


def _points(points: ArrayLike, groups: ArrayLike | None) -> tuple[Floats, Ints]:
    xy = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    kinds = np.zeros(len(xy), dtype=np.int64) if groups is None else np.asarray(groups, np.int64)
    if len(kinds) != len(xy):
        raise UsageError(f"{len(xy)} points have {len(kinds)} groups.")
    return xy, kinds


def _finite(xy: Floats) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(xy).all(axis=1))


def _marks(
    axes: Axes, xy: Floats, *, kinds: Ints, size: float, names: Mapping[int, str] | None
) -> None:
    """Draw each group by itself; -2 is left out, -1 first and pale."""
    present = [int(kind) for kind in np.unique(kinds) if kind >= -1]
    several = len([kind for kind in present if kind >= 0]) > 1 or bool(names)
    for kind in present:
        colour, marker = group_style(kind)
        label = (names or {}).get(kind, "in no group" if kind < 0 else f"group {kind}")
        axes.scatter(
            xy[kinds == kind, 0],
            xy[kinds == kind, 1],
            s=size * (0.7 if kind < 0 else 1),
            color=colour.light,
            marker=marker,
            alpha=0.85,
            linewidth=0,
            label=plain(label) if several and len(present) <= _MANY else None,
        )


def _zeros(axes: Axes, *, x_zero: bool, y_zero: bool) -> None:
    if x_zero:
        axes.axvline(0, color=FAINT.light, lw=1, zorder=1)
    if y_zero:
        axes.axhline(0, color=FAINT.light, lw=1, zorder=1)


def _legend(canvas: Canvas, axes: Axes, *, always: bool = False) -> None:
    """Write names of groups or lines under the picture, where there is more than one."""
    handles, names = axes.get_legend_handles_labels()
    if len(names) > 1 or (always and names):
        columns = max(1, min(4, int(60 / (max(map(len, names)) + 6)), len(names)))
        # In the figure, not the axes: the layout then makes room for it.
        canvas.legend(handles, names, loc="outside lower center", ncols=columns)
