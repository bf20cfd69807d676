"""What is drawn on the map: which features, where, in which colours and sizes."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
from dash import html

from atlas.web.parts import address
from atlas.web.store import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from atlas.web.store import Points, Store

#: Colour-blind-safe colours (P. Tol's muted and bright schemes) of the largest groups.
COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#44bb99",
    "#882255", "#bbcc33", "#332288", "#ddaa33", "#99ddff", "#cc6677", "#117733", "#aa4499",
)  # fmt: skip
OTHER = "#9aa5b1"
LIKE = {"community": "Community", "domain": "Domain", "sae": "SAE"}
"""What points may be coloured by."""
#: Characters of a name in the legend.
_LONGEST = 40
_KEPT = ("colour", "size", "sae", "domain", "kind", "label")


def rates(given: Any) -> list[float] | None:
    """Read a range of log10 rates, as a slider gives it or an address has it."""
    parts = given.split(",") if isinstance(given, str) else given or ()
    try:
        low, high = (float(part) for part in parts)
    except (TypeError, ValueError):
        return None
    return [low, high]


def drawn(store: Store, run: str, *, query: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what map.js draws, how many are shown, the legend, and the address of this view."""
    points = store.points(run)
    shown = np.flatnonzero(_passing(store, run, query))
    like = query.get("colour")
    like = like if like in LIKE else "community"
    titles = store.titles(run) if like == "community" else {}
    colours, legend = _coloured(getattr(points, like), shown, titles=titles)
    size = points.scores.get(str(query.get("size")), points.scores["pagerank"])
    x, y = _unit(points)
    data = {
        "count": len(shown),
        "x": _packed(x[shown]),
        "y": _packed(y[shown]),
        "size": _packed(_sizes(size)[shown]),
        "colour": _packed(colours),
        "number": _packed(shown.astype(np.int32)),
    }
    rate = rates(query.get("rate"))
    kept = {name: query.get(name) for name in _KEPT}
    here = address("/", run=run, rate=",".join(map(str, rate)) if rate else None, **kept)
    return data, f"{len(shown):,} of {len(points):,} features", legend, here


def _unit(points: Points) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return places from 0 to 1, with the map's proportions."""
    low = np.array([points.x.min(), points.y.min()])
    span = np.array([points.x.max(), points.y.max()]) - low
    side = max(float(span.max()), 1e-9)
    x, y = (
        (values - start + (side - width) / 2) / side
        for values, start, width in zip((points.x, points.y), low, span, strict=True)
    )
    return x.astype(np.float32), y.astype(np.float32)


def _packed(values: NDArray[Any]) -> str:
    """Return an array's bytes as text."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


def _passing(store: Store, run: str, query: Mapping[str, Any]) -> NDArray[np.bool_]:
    points = store.points(run)
    passing = np.ones(len(points), bool)
    if query.get("kind") in KINDS:
        passing &= store.joined(run, query["kind"])
    for name in ("sae", "domain"):
        if query.get(name):
            passing &= getattr(points, name) == query[name]
    rate = rates(query.get("rate"))
    if rate is not None:
        with np.errstate(divide="ignore"):
            log = np.log10(points.scores["firing_rate"])
        passing &= (log >= rate[0]) & (log <= rate[1])
    words = str(query.get("label") or "").casefold().strip()
    if words:
        passing &= np.array([words in label.casefold() for label in points.label], bool)
    return passing


def _coloured(
    groups: NDArray[np.object_], shown: NDArray[np.int64], *, titles: Mapping[str, str]
) -> tuple[NDArray[np.uint8], list[Any]]:
    """Give the largest groups a colour each; a feature without a group has that of the others.

    The colours are uint8 ``[shown, 3]``. In the legend, a group goes by its title, or else by the
    end of its key.
    """
    names, codes, counts = np.unique(groups.astype(str), return_inverse=True, return_counts=True)
    order = [k for k in np.argsort(-counts, kind="stable") if names[k]][: len(COLOURS)]
    palette = np.array([_rgb(OTHER)] * len(names), np.uint8).reshape(-1, 3)
    palette[order] = np.array([_rgb(colour) for colour in COLOURS], np.uint8)[: len(order)]
    legend = [
        html.Span(
            [
                _dot(COLOURS[place]),
                f"{_short(titles.get(names[k]), names[k])} ",
                html.Span(f"{counts[k]:,}", className="dim small"),
            ]
        )
        for place, k in enumerate(order)
    ]
    return palette[codes[shown]], [*legend, html.Span([_dot(OTHER), "others, or none"])]


def _short(title: str | None, key: str) -> str:
    name = title or key.rpartition("/")[2]
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _rgb(colour: str) -> list[int]:
    return list(bytes.fromhex(colour.removeprefix("#")))


def _dot(colour: str) -> Any:
    style = {"background": colour, "display": "inline-block", "width": ".7em", "height": ".7em",
             "borderRadius": "50%", "marginRight": ".35em"}  # fmt: skip
    return html.Span(style=style, **{"aria-hidden": "true"})


def _sizes(score: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return diameters in pixels, 3 to 14, by the score's rank: scores have heavy tails."""
    known = np.flatnonzero(np.isfinite(score))
    sizes = np.full(len(score), 3, np.uint8)
    if len(known):
        rank = np.empty(len(known))
        rank[np.argsort(score[known], kind="stable")] = np.linspace(0, 1, len(known))
        sizes[known] = np.round(3 + 11 * rank**6)
    return sizes
