"""A picture of a prompt's attention patterns: one HTML page that needs nothing from outside."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.floating]

LEVELS = (0.01, 0.03, 0.07, 0.15, 0.3, 0.5, 0.7, 0.9)
"""Least weight of each shade; what is below the first is left blank."""
_SMALL = 64
_CELL = 34
_LONGEST = 14

_LIGHT = ("#e3eef8", "#c9dff0", "#a3cae6", "#74afd8", "#3577af", "#215f9a", "#12437c", "#061f45")
_DARK = ("#15263a", "#1b3553", "#224a75", "#2d659b", "#4f92c9", "#76aedb", "#a4cbea", "#e0f0fc")

_ABOUT_ONE = (
    "A row is the token that looks, a column the token that is looked at; a row's weights sum to "
    "1. Numbers are hundredths."
)
_ABOUT_ALL = "The same, small: a row of maps is a layer, a column a head. The one above is framed."

_STYLE = """
:root { color-scheme: light dark; --page: #fbfbfd; --card: #fff; --ink: #1c2430; --soft: #5d6878;
  --line: #d9dee7; --mark: #b4500a; %LIGHT% }
@media (prefers-color-scheme: dark) { :root { --page: #10141a; --card: #171c24; --ink: #e6eaf0;
  --soft: #98a3b3; --line: #2c3541; --mark: #f0a35e; %DARK% } }
* { box-sizing: border-box }
body { margin: 0; padding: 28px 32px 40px; background: var(--page); color: var(--ink);
  font: 14px/1.45 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif }
h1 { font-size: 19px; margin: 0 0 2px; font-weight: 650 }
h2 { font-size: 15px; margin: 26px 0 8px; font-weight: 650 }
p { margin: 0 0 10px; color: var(--soft); max-width: 76ch }
code { font: 13px ui-monospace, "SF Mono", Menlo, Consolas, monospace; color: var(--ink) }
.scroll { overflow-x: auto }
.side { display: flex; flex-wrap: wrap; gap: 28px; align-items: flex-start }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px;
  width: fit-content; max-width: 100% }
svg { display: block } text { fill: var(--ink); font-size: 12px }
.soft { fill: var(--soft) } .mono { font-family: ui-monospace, Menlo, Consolas, monospace }
.frame { fill: none; stroke: var(--line) } .tri { fill: var(--page) }
.chosen { fill: none; stroke: var(--mark); stroke-width: 2 }
table { border-collapse: collapse; font-size: 13px } td, th { padding: 4px 14px 4px 0;
  text-align: left; vertical-align: top; border-bottom: 1px solid var(--line) }
th { color: var(--soft); font-weight: 500 } td.n { font-variant-numeric: tabular-nums }
""".strip()


def attention_page(
    weights: Floats,
    tokens: Sequence[str],
    *,
    layers: Sequence[int],
    enlarged: tuple[int, int] | None = None,
    query: int = -1,
    features: Mapping[int, Sequence[str]] | None = None,
    title: str = "Attention patterns",
) -> str:
    """Draw every head as a small map, and one of them large.

    Parameters
    ----------
    weights
        ``[layers, heads, query, key]``.
    tokens
        Texts of the tokens, BOS first.
    layers
        The layers of `weights`.
    enlarged
        Layer and head that is drawn large; by default the `sharpest` from `query`.
    query
        Position of the token from which the heads look, BOS being 0; -1 is the last.
    features
        Position to what is said about it beside the large map, such as labels of the features
        that fire there.
    title
        Of the page.

    Returns
    -------
    str
        HTML with its pictures in SVG, without scripts, in light or dark as the reader's system.

    Raises
    ------
    UsageError
        Sizes do not fit, or there is no such head or position.
    """
    shape = (len(layers), weights.shape[1], len(tokens), len(tokens))
    if weights.shape != shape or not weights.size:
        raise UsageError(f"Weights of shape {weights.shape} do not fit; they must be {shape}.")
    if not -len(tokens) <= query < len(tokens):
        raise UsageError(f"There are {len(tokens)} tokens; there is no position {query}.")
    at = query % len(tokens)
    chosen = enlarged or sharpest(weights, layers, query=at)
    if chosen[0] not in layers or not 0 <= chosen[1] < shape[1]:
        raise UsageError(f"There is no head {chosen[1]} of layer {chosen[0]} in the weights.")
    large = weights[list(layers).index(chosen[0]), chosen[1]]
    named = [_shown(token, bos=k == 0) for k, token in enumerate(tokens)]
    prompt = escape("".join(tokens[1:]).strip())
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_style()}</style></head><body>",
            f"<h1>{escape(title)}</h1><p><code>{prompt}</code></p>",
            _legend(),
            f"<h2>Layer {chosen[0]}, head {chosen[1]}</h2>",
            f"<p>{_ABOUT_ONE}</p>",
            f'<div class="side"><div class="card scroll">{_large(large, named, at)}</div>',
            f'<div class="card">{_reading(large[at], named, at, features or {})}</div></div>',
            "<h2>All heads</h2>",
            f"<p>{_ABOUT_ALL}</p>",
            f'<div class="card scroll">{_grid(weights, layers, chosen)}</div>',
            "</body></html>",
        ]
    )


def sharpest(weights: Floats, layers: Sequence[int], *, query: int = -1) -> tuple[int, int]:
    """Return layer and head with the largest sum of squared weights on other tokens.

    Neither BOS nor the token that looks counts, where there is any other.
    """
    at = query % weights.shape[-1]
    looks = weights[:, :, at, 1 : max(at, 2)]
    layer, head = np.unravel_index(int((looks**2).sum(axis=-1).argmax()), looks.shape[:2])
    return int(layers[int(layer)]), int(head)


def _style() -> str:
    shades = [
        " ".join(f"--s{k}: {colour};" for k, colour in enumerate(colours))
        for colours in (_LIGHT, _DARK)
    ]
    classes = " ".join(f".s{k} {{ fill: var(--s{k}) }}" for k in range(len(LEVELS)))
    # Digits on a shade contrast with it: ink on the half near the page, page on the other.
    digits = ".near { fill: var(--ink) } .far { fill: var(--card) }"
    style = _STYLE.replace("%LIGHT%", shades[0]).replace("%DARK%", shades[1])
    return f"{style} {classes} {digits}"


def _shown(token: str, *, bos: bool) -> str:
    """Return a token's text with its spaces to be seen, shortened, not yet escaped."""
    if bos:
        return "BOS"
    seen = token.replace(" ", "·").replace("\n", "↵").replace("\t", "→")
    seen = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in seen)
    return seen if len(seen) <= _LONGEST else seen[: _LONGEST - 1] + "…"


def _shades(weights: Floats) -> NDArray[np.int64]:
    """Shade of each weight; -1 is blank."""
    shade: NDArray[np.int64] = np.searchsorted(np.array(LEVELS), weights, side="right") - 1
    return shade


def _legend() -> str:
    width, parts = 46, []
    for k, least in enumerate(LEVELS):
        x = k * width
        parts.append(f'<rect class="s{k}" x="{x}" y="0" width="{width}" height="14"/>')
        parts.append(f'<text class="soft" x="{x}" y="29">{least:g}</text>')
    end = len(LEVELS) * width
    parts.append(f'<text class="soft" x="{end}" y="29" text-anchor="end">1</text>')
    parts.append(f'<rect class="frame" x="0" y="0" width="{end}" height="14"/>')
    label = f'<text class="soft" x="{end + 14}" y="12">attention weight</text>'
    return (
        f'<svg role="img" aria-label="Shades of weights" width="{end + 130}" height="34">'
        f"{''.join(parts)}{label}</svg>"
    )


def _cells(weights: Floats, size: float) -> str:
    """Squares of a lower triangle, one path a shade."""
    shade, parts = _shades(np.tril(weights)), []
    for k in range(len(LEVELS)):
        some = [f"M{key * size:g} {query * size:g}h{size:g}v{size:g}h-{size:g}z"
                for query, key in zip(*np.nonzero(shade == k), strict=True)]  # fmt: skip
        if some:
            parts.append(f'<path class="s{k}" d="{"".join(some)}"/>')
    return "".join(parts)


def _large(weights: Floats, named: Sequence[str], query: int) -> str:
    n, left, top = len(named), 118, 92
    side = n * _CELL
    parts = [f'<rect class="tri" width="{side}" height="{side}"/>', _cells(weights, _CELL)]
    for row in range(n):
        for key in range(row + 1):
            weight = float(weights[row, key])
            x, y = key * _CELL, row * _CELL
            text = f"{named[row]} looks at {named[key]}: {weight:.3f}"
            parts.append(
                f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" fill="transparent">'
                f"<title>{escape(text)}</title></rect>"
            )
            if weight >= LEVELS[1]:
                ink = "far" if _shades(np.array(weight)) >= 4 else "near"
                parts.append(
                    f'<text class="{ink}" x="{x + _CELL / 2:g}" y="{y + _CELL / 2 + 4:g}" '
                    f'text-anchor="middle" pointer-events="none">{100 * weight:.0f}</text>'
                )
    for k, name in enumerate(named):
        middle = k * _CELL + _CELL / 2
        parts.append(
            f'<text class="mono" x="-8" y="{middle + 4:g}" text-anchor="end">{escape(name)}</text>'
            f'<text class="mono" transform="translate({middle + 4:g} -8) rotate(-60)">'
            f"{escape(name)}</text>"
        )
    parts.append(f'<rect class="frame" width="{side}" height="{side}"/>')
    parts.append(
        f'<rect class="chosen" y="{query * _CELL}" width="{(query + 1) * _CELL}" height="{_CELL}"/>'
    )
    return (
        f'<svg role="img" aria-label="Weights of one head" width="{left + side + 50}" '
        f'height="{top + side + 6}"><g transform="translate({left} {top})">'
        f"{''.join(parts)}</g></svg>"
    )


def _reading(
    looks: Floats, named: Sequence[str], query: int, features: Mapping[int, Sequence[str]]
) -> str:
    """List where one token looks, most first, and what is known about each place."""
    rows = []
    for key in np.argsort(-looks[: query + 1], kind="stable"):
        if looks[key] < LEVELS[1]:
            break
        said = "<br>".join(escape(one) for one in features.get(int(key), ()))
        cells = [
            f"<code>{escape(named[key])}</code>",
            f"{looks[key]:.3f}",
            *([said] * bool(features)),
        ]
        rows.append("<tr>" + "".join(f'<td class="n">{cell}</td>' for cell in cells) + "</tr>")
    heads = ["looks at", "weight", *(["fires there"] * bool(features))]
    head = "".join(f"<th>{name}</th>" for name in heads)
    return (
        f"<p>From <code>{escape(named[query])}</code>, framed</p>"
        f"<table><tr>{head}</tr>{''.join(rows)}</table>"
    )


def _grid(weights: Floats, layers: Sequence[int], chosen: tuple[int, int]) -> str:
    n, step, left, top = weights.shape[2], _SMALL + 10, 70, 38
    parts = [
        f'<text class="soft" x="{left}" y="11">head</text>',
        f'<text class="soft" x="0" y="{top + _SMALL / 2 + 4:g}">layer</text>',
    ]
    for head in range(weights.shape[1]):
        x = left + head * step + _SMALL / 2
        parts.append(f'<text class="soft" x="{x:g}" y="29" text-anchor="middle">{head}</text>')
    for row, layer in enumerate(layers):
        y = top + row * step
        parts.append(
            f'<text class="soft" x="{left - 10}" y="{y + _SMALL / 2 + 4:g}" '
            f'text-anchor="end">{layer}</text>'
        )
        for head in range(weights.shape[1]):
            frame = "chosen" if (layer, head) == chosen else "frame"
            parts.append(
                f'<g transform="translate({left + head * step} {y})">'
                f"<title>Layer {layer}, head {head}</title>"
                f'<rect class="tri" width="{_SMALL}" height="{_SMALL}"/>'
                f'<g transform="scale({_SMALL / n:.5g})">{_cells(weights[row, head], 1)}</g>'
                f'<rect class="{frame}" width="{_SMALL}" height="{_SMALL}"/></g>'
            )
    width, height = left + weights.shape[1] * step, top + len(layers) * step
    return (
        f'<svg role="img" aria-label="Weights of all heads" width="{width}" height="{height}">'
        f"{''.join(parts)}</svg>"
    )
