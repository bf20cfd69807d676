"""Figures of named values: bars with intervals, and SHAP values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import UsageError
from queries.studies.report.blocks import Caption, Figure
from queries.studies.report.drawing import FONT, drawing, plain
from queries.studies.report.palette import BLUE, CARD, FAINT, INK, NEGATIVE, POSITIVE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

_ROW = 0.235  # inches


def bars(  # noqa: PLR0913
    name: str,
    labels: Sequence[str],
    *,
    values: ArrayLike,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    caption: Caption,
    x_label: str,
    marked: Sequence[bool] | None = None,
    reference: float = 0.0,
) -> Figure:
    """Draw a value a row with its interval, the first on top.

    Parameters
    ----------
    name
        Of the figure.
    labels
        Of the rows.
    values, low, high
        float64 ``[k]``: values and ends of their intervals; NaN is left out.
    caption
        What it shows.
    x_label
        With its unit.
    marked
        Which are filled, such as those that are significant; the others are hollow. None fills
        all.
    reference
        Where the line of no effect is.
    """
    middle = _column(values, len(labels), name)
    filled = np.ones(len(labels), bool) if marked is None else np.asarray(marked, bool)
    rows = np.arange(len(labels))
    with drawing(name, height=_height(len(labels))) as made:
        axes = made.axes
        if low is not None and high is not None:
            ends = _column(low, len(labels), name), _column(high, len(labels), name)
            axes.hlines(rows, *ends, color=BLUE.light, lw=1.8, alpha=0.75)
        for some, face in ((filled, BLUE.light), (~filled, CARD.light)):
            axes.scatter(
                middle[some],
                rows[some],
                s=34,
                facecolor=face,
                edgecolor=BLUE.light,
                lw=1.5,
                zorder=3,
            )
        axes.axvline(reference, color=INK.light, lw=1)
        _rows(axes, labels)
        axes.set_xlabel(x_label)
    return Figure(name, made.svg, caption)


def shap_bars(
    name: str,
    labels: Sequence[str],
    *,
    values: ArrayLike,
    errors: ArrayLike | None = None,
    caption: Caption,
    x_label: str = "SHAP value",
    most: int = 20,
) -> Figure:
    """Draw how much each player adds, largest first; the rest is one bar.

    Parameters
    ----------
    name
        Of the figure.
    labels
        Of the players.
    values
        float64 ``[k]``, signed.
    errors
        float64 ``[k]``: standard errors; NaN is none.
    caption
        What it shows.
    x_label
        With its unit.
    most
        Players that have a bar of their own.
    """
    every = _column(values, len(labels), name)
    order = np.argsort(-np.abs(every), kind="stable")
    shown, rest = order[:most], order[most:]
    heights, texts = every[shown], [labels[row] for row in shown]
    if len(rest):
        heights = np.append(heights, every[rest].sum())
        texts.append(f"{len(rest)} others together")
    rows = np.arange(len(texts))
    with drawing(name, height=_height(len(texts))) as made:
        axes = made.axes
        colours = [(POSITIVE if value >= 0 else NEGATIVE).light for value in heights]
        axes.barh(rows, heights, color=colours, height=0.68)
        if errors is not None:
            spread = _column(errors, len(labels), name)[shown]
            ends = heights[: len(shown)] - spread, heights[: len(shown)] + spread
            axes.hlines(rows[: len(shown)], *ends, color=INK.light, lw=1.2)
        axes.axvline(0, color=FAINT.light, lw=1)
        _rows(axes, texts)
        axes.set_xlabel(x_label)
    return Figure(name, made.svg, caption)


def _column(values: ArrayLike, rows: int, name: str) -> Floats:
    column = np.asarray(values, dtype=np.float64)
    if column.shape != (rows,) or not rows:
        raise UsageError(f"The figure {name} has {rows} labels and values {column.shape}.")
    return column


def _height(rows: int) -> float:
    return 0.75 + _ROW * rows


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), [plain(label, 30) for label in labels], color=INK.light)
    axes.tick_params(axis="y", length=0, labelsize=FONT - 0.5, labelcolor=INK.light)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
