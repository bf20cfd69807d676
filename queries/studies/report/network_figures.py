"""Figures of pairs of features: a heat map in the order of communities, and a signed graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import UsageError
from atlas.extras import extra
from queries.studies.report.blocks import Caption, Figure
from queries.studies.report.drawing import FONT, WIDE, drawing, plain
from queries.studies.report.graph_layout import place_communities
from queries.studies.report.labels import place_labels
from queries.studies.report.palette import (
    CARD,
    INK,
    NEGATIVE,
    NEGATIVE_RGB,
    POSITIVE,
    POSITIVE_RGB,
    group_style,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_NAMED = 40  # rows that still have room for their names
_LETTERS = 28  # of a name
_SQUARE, _KEY = 4.9, 0.55  # inches: of a map in the order of communities, and of its scale
_STEPS = 129  # of the scale of colours; odd, so that 0 has one


def heat_map(
    name: str,
    matrix: ArrayLike,
    *,
    caption: Caption,
    communities: ArrayLike | None = None,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    value_label: str = "r",
    limit: float | None = None,
) -> Figure:
    """Draw a signed matrix: blue above 0, orange below, clear at 0.

    Parameters
    ----------
    name
        Of the figure.
    matrix
        float64 ``[r, c]``; NaN is clear.
    caption
        What it shows.
    communities
        int64 ``[r]`` of a square matrix: its rows and columns are put in their order, those in
        none (negative) last, and lines are drawn between them.
    row_labels, column_labels
        Shown up to 40.
    value_label
        Of the scale.
    limit
        Absolute value of the fullest colours; None takes the largest.
    """
    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2 or not values.size:
        raise UsageError(f"The figure {name} is of a matrix of shape {values.shape}.")
    order, borders = _by_community(values, communities, name)
    rows, columns = row_labels, column_labels
    if order is not None:
        values = values[np.ix_(order, order)]
        rows, columns = (
            None if some is None else [some[k] for k in order] for some in (rows, columns)
        )
    finite = np.abs(values[np.isfinite(values)])
    top = limit or float(finite.max(initial=0.0)) or 1.0
    square = order is not None
    width = _SQUARE if square else WIDE
    height = _SQUARE if square else float(np.clip(0.29 * len(values), 1.2, 6.4))
    below = 0.08 * min(max(map(len, columns or [""])), _LETTERS)
    with drawing(name, width=width, height=height + below + _KEY) as made:
        axes = made.axes
        style: dict[str, Any] = {"cmap": _scale(), "vmin": -top, "vmax": top, "aspect": "auto"}
        axes.imshow(values, interpolation="none", **style)
        axes.grid(visible=False)
        for border in borders:
            axes.axhline(border - 0.5, color=INK.light, lw=0.6)
            axes.axvline(border - 0.5, color=INK.light, lw=0.6)
        _names(axes, rows, columns)
        if square and rows is None:
            _name_communities(axes, np.asarray(communities)[order], borders)
        _key(axes, style, label=value_label, height=height)
    return Figure(name, made.svg, caption, wide=not square)


def community_graph(
    name: str,
    edges: pa.Table,
    *,
    caption: Caption,
    communities: ArrayLike,
    labels: Mapping[int, str] | None = None,
    most_edges: int = 600,
) -> Figure:
    """Draw communities apart, their nodes by colour and shape, and edges by sign.

    Edges above 0 are blue and solid, those below 0 orange and dashed; wide ones are strong.

    Parameters
    ----------
    name
        Of the figure.
    edges
        Columns ``source`` and ``target`` (int64, rows of `communities`) and ``weight``.
    caption
        What it shows.
    communities
        int64 ``[nodes]``; negative for none.
    labels
        Node to text, the most important first.
    most_edges
        Only the strongest are drawn, and only nodes that have one of them.
    """
    kinds = np.asarray(communities, dtype=np.int64)
    ends = np.column_stack([edges[key].to_numpy() for key in ("source", "target")]).astype(np.int64)
    weight = edges["weight"].to_numpy().astype(np.float64)
    if len(ends) and (ends.min() < 0 or ends.max() >= len(kinds)):
        raise UsageError(f"The figure {name} has edges of nodes that have no community's entry.")
    kept = np.sort(np.argsort(-np.abs(weight), kind="stable")[:most_edges])
    ends, weight = ends[kept], weight[kept]
    nodes = np.unique(ends)
    places = place_communities(nodes, ends, weight=weight, communities=kinds)
    xy = np.full((len(kinds), 2), np.nan)
    xy[nodes] = places
    span = np.ptp(places, axis=0) if len(nodes) else np.ones(2)
    height = float(np.clip(_SQUARE * span[1] / max(span[0], 1e-9), 2.6, _SQUARE))
    with drawing(name, width=_SQUARE, height=height) as made:
        axes = made.axes
        _edges(axes, xy[ends], weight)
        size = float(np.clip(3600 / max(len(nodes), 1), 8, 50))
        for kind in np.unique(kinds[nodes]):
            colour, marker = group_style(int(kind))
            some = xy[nodes[kinds[nodes] == kind]]
            axes.scatter(
                some[:, 0],
                some[:, 1],
                s=size,
                color=colour.light,
                marker=marker,
                edgecolor=CARD.light,
                lw=0.7,
                zorder=3,
            )
        axes.set(xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set_visible(False)
        shown = {node: text for node, text in (labels or {}).items() if np.isfinite(xy[node, 0])}
        place_labels(axes, xy, labels=shown)
    return Figure(name, made.svg, caption)


def _by_community(
    values: Floats, communities: ArrayLike | None, name: str
) -> tuple[Ints | None, Ints]:
    """Order of the rows, and where communities begin after the first."""
    if communities is None:
        return None, np.empty(0, dtype=np.int64)
    kinds = np.asarray(communities, dtype=np.int64)
    if values.shape != (len(kinds), len(kinds)):
        raise UsageError(f"The figure {name} has {len(kinds)} communities for {values.shape}.")
    # In a community the most connected rows come first.
    strength = np.abs(np.nan_to_num(values)).sum(axis=1)
    last = np.where(kinds < 0, np.iinfo(np.int64).max, kinds)
    order = np.lexsort((-strength, last))
    return order, np.flatnonzero(np.diff(last[order])) + 1


def _scale() -> object:
    """Colours from full orange through clear to full blue."""
    share = np.linspace(-1, 1, _STEPS)
    colours = np.empty((_STEPS, 4))
    colours[:, :3] = np.where(share[:, np.newaxis] < 0, NEGATIVE_RGB, POSITIVE_RGB)
    colours[:, :3] /= 255
    colours[:, 3] = np.abs(share) ** 0.8
    return extra("matplotlib.colors", of="study").ListedColormap(colours)


def _key(axes: Axes, style: dict[str, Any], *, label: str, height: float) -> None:
    """Draw the scale of colours above the picture, at its right."""
    top = float(style["vmax"])
    key = axes.inset_axes((0.58, 1 + 0.1 / height, 0.4, 0.13 / height))
    style = {**style, "extent": (-top, top, 0, 1)}
    key.imshow(np.linspace(-top, top, _STEPS)[np.newaxis], **style)
    key.set(
        yticks=[],
        xticks=[-top, 0, top],
        xticklabels=[f"\N{MINUS SIGN}{top:.2g}", "0", f"{top:.2g}"],
    )
    key.xaxis.tick_top()
    key.grid(visible=False)
    key.tick_params(length=0, labelsize=FONT - 0.6)
    key.text(-0.03, 0.5, label, transform=key.transAxes, ha="right", va="center")


def _names(axes: Axes, rows: Sequence[str] | None, columns: Sequence[str] | None) -> None:
    axes.set(xticks=[], yticks=[])
    if rows is not None and len(rows) <= _NAMED:
        axes.set_yticks(range(len(rows)), [plain(text, _LETTERS) for text in rows])
    if columns is not None and len(columns) <= _NAMED:
        turned = max(map(len, columns), default=0) > 3
        axes.set_xticks(
            range(len(columns)),
            [plain(text, _LETTERS) for text in columns],
            rotation=90 if turned else 0,
        )
    axes.tick_params(length=0)


def _name_communities(axes: Axes, ordered: Ints, borders: Ints) -> None:
    """Write at the left which community is where, for those with room for it."""
    starts = np.concatenate([[0], borders])
    sizes = np.diff(np.append(starts, len(ordered)))
    large = sizes >= 0.03 * len(ordered)
    names = ["none" if ordered[start] < 0 else str(ordered[start]) for start in starts[large]]
    axes.set_yticks(starts[large] + (sizes[large] - 1) / 2, names)


def _edges(axes: Axes, segments: Floats, weight: Floats) -> None:
    lines = extra("matplotlib.collections", of="study").LineCollection
    largest = float(np.abs(weight).max(initial=0.0)) or 1.0
    # Many lines are thinner, or they would hide the nodes and each other.
    alpha = float(np.clip(80 / max(len(weight), 1), 0.2, 0.45))
    for some, colour, dash in ((weight >= 0, POSITIVE, "-"), (weight < 0, NEGATIVE, (0, (3, 2)))):
        width = 0.3 + 1.4 * np.abs(weight[some]) / largest
        axes.add_collection(
            lines(
                segments[some], linewidths=width, colors=colour.light, alpha=alpha, linestyles=dash
            )
        )
