"""Draws with matplotlib into SVG that is the same every time and follows light and dark."""

from __future__ import annotations

import io
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.extras import extra
from queries.studies.report.palette import CARD, COLOURS, INK, LINE, SOFT, variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Canvas
    from numpy.typing import NDArray

WIDTH, WIDE = 4.9, 7.2
"""Inches of a figure of the text's width and of the page's: small, so that a phone shows it."""
FONT = 10.0
_FEW = 9  # values that have a tick each
_RC = {
    "svg.fonttype": "none",  # text stays text: small, searchable, read aloud
    "text.parse_math": False,  # a dollar sign in a token is a dollar sign
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": FONT,
    "axes.titlesize": FONT + 0.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": FONT,
    "xtick.labelsize": FONT - 0.5,
    "ytick.labelsize": FONT - 0.5,
    "legend.fontsize": FONT - 0.5,
    "legend.frameon": False,
    "text.color": INK.light,
    "axes.labelcolor": INK.light,
    "axes.titlecolor": INK.light,
    "xtick.labelcolor": SOFT.light,
    "ytick.labelcolor": SOFT.light,
    "xtick.color": LINE.light,
    "ytick.color": LINE.light,
    "axes.edgecolor": LINE.light,
    "axes.facecolor": CARD.light,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": LINE.light,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "figure.constrained_layout.use": False,
}
_VARIABLES = {one.light: one.name for one in COLOURS}
_HEAD = re.compile(r"^.*?(?=<svg)|<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL)
_COLOUR = re.compile(r"(?<=: )#[0-9a-f]{6}\b")
_FONT = re.compile(r"font-family: [^;\"]*")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass
class Drawing:
    """A picture in the making.

    Attributes
    ----------
    canvas, axes
        Of matplotlib.
    svg
        The finished picture, once `drawing` is left.
    """

    canvas: Canvas
    axes: Axes
    svg: str = field(default="")


@contextmanager
def drawing(name: str, *, width: float = WIDTH, height: float = 3.6) -> Iterator[Drawing]:
    """Give axes to draw on, and the SVG afterwards.

    Parameters
    ----------
    name
        Of the figure: its marks' ids begin so, and do not clash with another figure's.
    width, height
        In inches of 72 points.

    Raises
    ------
    UsageError
        matplotlib is not installed.
    """
    mpl, figure = extra("matplotlib", of="study"), extra("matplotlib.figure", of="study")
    with mpl.rc_context({**_RC, "svg.hashsalt": name}):
        canvas = figure.Figure(figsize=(width, height), layout="constrained")
        made = Drawing(canvas, canvas.add_subplot())
        yield made
        made.svg = _finish(_save(canvas), name)


@contextmanager
def _any_letters() -> Iterator[None]:
    """Draw without a word on letters that the measuring font lacks: the reader's own has them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def lay_out(axes: Axes) -> None:
    """Put axes where they will be in the finished picture."""
    canvas = axes.get_figure(root=True)
    if canvas is not None:
        with _any_letters():
            canvas.draw_without_rendering()


def _save(canvas: Canvas) -> str:
    buffer = io.StringIO()
    nothing: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with _any_letters():
        canvas.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return buffer.getvalue()


def _finish(svg: str, name: str) -> str:
    """Turn colours into variables, and make ids this figure's own."""
    svg = _HEAD.sub("", svg)
    svg = _COLOUR.sub(_variable, svg)
    svg = _FONT.sub("font-family: system-ui, sans-serif", svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-").replace("<svg ", '<svg class="drawn" ', 1)
    return "\n".join(line.strip() for line in svg.splitlines() if line.strip()) + "\n"


def _variable(match: re.Match[str]) -> str:
    colour = match.group()
    known = _VARIABLES.get(colour)
    return f"var(--{known}, {colour})" if known else colour


#: Of drawn pictures: letters have a rim in the colour of the page, to be read on marks.
STYLE = (
    ".drawn *{stroke-linejoin:round;stroke-linecap:butt}"
    ".drawn text{paint-order:stroke;stroke:var(--card);stroke-width:2.4px;stroke-linejoin:round}"
)


def standalone(svg: str) -> str:
    """Return a picture as a file of its own, with its colours for light and dark."""
    style = (
        f"<style>svg{{{variables(dark=False)}background:var(--card)}}"
        f"@media(prefers-color-scheme:dark){{svg{{{variables(dark=True)}}}}}{STYLE}</style>"
    )
    return re.sub(r"(<svg[^>]*>)", lambda match: match.group(1) + style, svg, count=1)


def plain_number(value: float, _: object = None) -> str:
    """Return a short number with a true minus, without powers: the ticks of logarithmic axes."""
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def log_ticks(axis: Axis, values: NDArray[np.float64]) -> None:
    """Write the values on a logarithmic axis at it where they are few, or else its decades."""
    ticker = extra("matplotlib.ticker", of="study")
    some = np.unique(values[np.isfinite(values) & (values > 0)])
    if 1 < len(some) <= _FEW:
        axis.set_major_locator(ticker.FixedLocator(some))
        axis.set_minor_locator(ticker.NullLocator())
    axis.set_major_formatter(ticker.FuncFormatter(plain_number))
    axis.set_minor_formatter(ticker.NullFormatter())


def plain(text: object, most: int = 40) -> str:
    """Return a text that can stand in a picture: on one line, not too long, without controls."""
    words = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))
    words = words.replace("\r", "").replace("\n", "\N{RETURN SYMBOL}").replace("\t", " ")
    return words if len(words) <= most else words[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
