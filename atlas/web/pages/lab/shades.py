"""Small pictures of numbers: bars to either side, and words that are shaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import html

from atlas.web.parts import visible

if TYPE_CHECKING:
    from collections.abc import Sequence


def shaded(words: Sequence[tuple[str, float, float]]) -> Any:
    """Return words shaded by their share of the largest value, each with its value below."""
    return html.Div(
        [
            html.Span(
                [html.Span(visible(word) or "–"), html.Small(f"{value:+.2f}")],
                className="shade up" if share > 0 else "shade down",
                style={"--heat": f"{abs(share):.2f}"},
            )
            for word, value, share in words
        ],
        className="shaded",
    )


def bar(share: float) -> Any:
    """Return a bar from the middle, to the right for more and to the left for less."""
    side = "up" if share > 0 else "down"
    inner = html.Span(className=f"fill {side}", style={"--share": f"{min(1.0, abs(share)):.3f}"})
    return html.Span(inner, className="lab-bar", **{"aria-hidden": "true"})
