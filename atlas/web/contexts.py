"""Contexts: texts whose tokens are shaded by how strongly a feature fires on them.

Shades are backgrounds whose strength is a variable of the style (``--heat``, 0 to 1); the hue is
that of a class, ``fire-a`` or ``fire-b``, so that light and dark are the style sheet's business.
All text is a child of its element, and so shown as it is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dash import html

from atlas.web.parts import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Activations = Sequence[float | None]

#: The palest shade, so that a weak firing can be told from none.
PALEST = 0.08
# Line breaks would make a context as tall as its tokens are many; they are shown as signs.
_SIGNS = str.maketrans({"\n": "↵", "\r": "↵", "\t": "⇥"})


def shown(token: str) -> str:
    """Return a token's text with signs for breaks and tabs; spaces stay."""
    return token.translate(_SIGNS)


def heats(activations: Activations, *, scale: float | None = None) -> list[float]:
    """Return how strongly to shade each token, 0 to 1.

    Parameters
    ----------
    activations
        Of one feature; what is not above 0, or no number, is not shaded.
    scale
        The activation of the strongest shade; by default the largest of these.
    """
    values = [_firing(value) for value in activations]
    most = _firing(scale) or max(values, default=0.0)
    return [min(1.0, max(PALEST, value / most)) if value > 0 else 0.0 for value in values]


def peak(activations: Activations) -> int | None:
    """Return the place of the first token with the largest activation; None where none fires."""
    values = [_firing(value) for value in activations]
    most = max(values, default=0.0)
    return values.index(most) if most > 0 else None


def shaded(
    tokens: Sequence[str],
    activations: Activations | None,
    *,
    scale: float | None = None,
    hue: str = "a",
    also: Activations | None = None,
) -> Any:
    """Return a text whose tokens are shaded by a feature's activations.

    Parameters
    ----------
    tokens
        Texts of the tokens.
    activations
        As many; None or another number of them leaves the text plain.
    scale
        As for `heats`.
    hue
        ``a`` or ``b``.
    also
        Activations of another feature: tokens on which both fire are underlined.
    """
    if activations is None or len(activations) != len(tokens):
        return html.P(shown("".join(tokens)).strip(), className="context")
    strong, top = heats(activations, scale=scale), peak(activations)
    # The space of a first token would look like an indent.
    tokens = [token.lstrip() if place == 0 else token for place, token in enumerate(tokens)]
    other = [_firing(value) > 0 for value in also] if also is not None else []
    parts: list[Any] = []
    for place, (token, heat) in enumerate(zip(tokens, strong, strict=True)):
        if heat == 0.0:
            # Tokens without a shade are one text: a page has thousands of them.
            if parts and isinstance(parts[-1], str):
                parts[-1] += shown(token)
            else:
                parts.append(shown(token))
            continue
        both = place < len(other) and other[place]
        marks = [f"fire-{hue}", *(["peak"] if place == top else []), *(["both"] if both else [])]
        parts.append(
            html.Mark(
                shown(token), className=" ".join(marks), title=number(activations[place]),
                style={"--heat": f"{heat:.2f}"},
            )
        )  # fmt: skip
    return html.P(parts, className="context")


def context(row: Mapping[str, Any], *, scale: float | None = None) -> Any:
    """Return a context of a feature with a line that says where it is from.

    Parameters
    ----------
    row
        ``tokens`` and ``activations``, or ``text`` alone; ``activation``, ``document``,
        ``position`` and ``domain`` where they are known.
    scale
        As for `heats`.
    """
    tokens = row.get("tokens") or [row.get("text") or ""]
    activations = row.get("activations")
    top = peak(activations) if activations and len(activations) == len(tokens) else None
    strongest = html.Code(shown(tokens[top]).strip() or "white space") if top is not None else None
    return html.Figure(
        [
            shaded(tokens, activations, scale=scale),
            html.Figcaption(_line(row, strongest), className="dim small"),
        ],
        className="firing",
    )


def side_by_side(row: Mapping[str, Any], *, scales: tuple[float | None, float | None]) -> Any:
    """Return a context twice, shaded by one feature and by another.

    Where the activations of neither are kept, it is there once, as it is.

    Parameters
    ----------
    row
        Row of the query ``joint_contexts``.
    scales
        The activation of the strongest shade of each.
    """
    tokens = row.get("tokens") or [row.get("text") or ""]
    kept = [row.get("activations_a"), row.get("activations_b")]
    kept = [one if one is not None and len(one) == len(tokens) else None for one in kept]
    caption = html.Figcaption(_line(row, None), className="dim small")
    if not any(kept):
        note = html.P("Both fire here; how strongly is not kept.", className="dim small")
        return html.Figure([shaded(tokens, None), note, caption], className="firing")
    columns = [
        _side(row, tokens, "a", own=kept[0], other=kept[1], scale=scales[0]),
        _side(row, tokens, "b", own=kept[1], other=kept[0], scale=scales[1]),
    ]
    return html.Figure([html.Div(columns, className="sides"), caption], className="firing")


def _side(
    row: Mapping[str, Any], tokens: Sequence[str], hue: str, *,
    own: Activations | None, other: Activations | None, scale: float | None,
) -> Any:  # fmt: skip
    name = hue.upper()
    if own is not None:
        text = shaded(tokens, own, scale=scale, hue=hue, also=other)
        note = f"{name}: {number(row[f'activation_{hue}'])} at the strongest"
    elif row.get("on_edge") and other is not None:
        # Their edge keeps positions where both fire, and this one is where the other was kept.
        at = row[f"activation_{'b' if hue == 'a' else 'a'}"]
        place = min(range(len(other)), key=lambda k: abs(_firing(other[k]) - _firing(at)))
        text = html.P(_framed(tokens, place, hue), className="context")
        note = f"{name}: fires on the framed token; how strongly is not kept"
    else:
        text, note = shaded(tokens, None), f"{name}: no firing of it is kept here"
    return html.Div([text, html.P(note, className="dim small")])


def _framed(tokens: Sequence[str], place: int, hue: str) -> list[Any]:
    before, after = (shown("".join(some)) for some in (tokens[:place], tokens[place + 1 :]))
    framed = html.Mark(shown(tokens[place]), className=f"framed-{hue}")
    return [before.lstrip(), framed, after]


def _line(row: Mapping[str, Any], strongest: Any) -> list[Any]:
    """Return where a context is from, and how strong its strongest firing is."""
    parts: list[Any] = []
    if row.get("activation") is not None:
        parts.append(f"{number(row['activation'])} ")
    if strongest is not None:
        parts += ["on ", strongest, " "]
    where = [str(row[name]) for name in ("domain", "document") if row.get(name)]
    if where:
        parts.append(f"in {', '.join(where)}")
    if row.get("position") is not None:
        parts.append(f", token {number(row['position'])}")
    return parts


def _firing(value: float | None) -> float:
    """Return an activation; 0 where it is none, not finite or not above 0."""
    return float(value) if value is not None and math.isfinite(value) and value > 0 else 0.0
