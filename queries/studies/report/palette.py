"""Colours of reports, each for a light and a dark page.

Pictures are drawn in the light ones; in the SVG each becomes a CSS variable whose fallback it is
(see `queries.studies.report.drawing`), so that one picture follows the reader's scheme.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Colour:
    """One role: the name of its CSS variable, and its hex on light and on dark."""

    name: str
    light: str
    dark: str


PAGE = Colour("page", "#f6f7f9", "#0f1318")
CARD = Colour("card", "#fefefe", "#171c23")
INK = Colour("ink", "#1b2430", "#e6eaf0")
SOFT = Colour("soft", "#586372", "#9ba6b5")
LINE = Colour("line", "#d8dde5", "#303944")
FAINT = Colour("faint", "#b3bbc6", "#5a6472")

BLUE = Colour("blue", "#0b62ad", "#62aef0")
ORANGE = Colour("orange", "#c4480c", "#f5914f")
GREEN = Colour("green", "#0e8265", "#3fcf9f")
VIOLET = Colour("violet", "#8f4aa8", "#d193e6")
GOLD = Colour("gold", "#937000", "#e3bf45")
CYAN = Colour("cyan", "#11808f", "#56cadb")
ROSE = Colour("rose", "#b33f7d", "#f292c2")
SLATE = Colour("slate", "#4b5462", "#b4bdc9")

GROUPS = (BLUE, ORANGE, GREEN, VIOLET, GOLD, CYAN, ROSE, SLATE)
"""Of groups, the first ones furthest apart, also to readers who are colour-blind."""
MARKERS = ("o", "s", "^", "D", "v", "P")
"""Of groups: no group is told from another by colour alone."""
COLOURS = (PAGE, CARD, INK, SOFT, LINE, FAINT, *GROUPS)
POSITIVE, NEGATIVE = BLUE, ORANGE

POSITIVE_RGB, NEGATIVE_RGB = (38, 128, 214), (226, 102, 28)
"""Of heat maps and shaded text, seen on light and on dark: they are laid on more or less thick."""


def group_style(number: int) -> tuple[Colour, str]:
    """Return colour and marker of a group; 48 differ. Negative is no group."""
    if number < 0:
        return FAINT, "o"
    # After 24 both would come again together: the shapes go one on.
    shape = (number + number // 24) % len(MARKERS)
    return GROUPS[number % len(GROUPS)], MARKERS[shape]


def variables(*, dark: bool) -> str:
    """Return the CSS declarations of all colours."""
    return "".join(f"--{one.name}:{one.dark if dark else one.light};" for one in COLOURS)
