"""Small pictures of rows and features for notebooks: HTML with inline SVG, no scripts.

All text of the model and of users is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_STYLE = (
    "<style>.sfa{font:13px system-ui,sans-serif}.sfa table{border-collapse:collapse;font:inherit}"
    ".sfa td,.sfa th{padding:2px 8px;text-align:left;vertical-align:top}"
    ".sfa th{opacity:.65;font-weight:600}.sfa td.num{text-align:right}"
    ".sfa .tok{white-space:pre-wrap;border-radius:2px}.sfa .dim{opacity:.65}"
    ".sfa code{font-size:12px}</style>"
)
_BARS = ("phi", "npmi", "score", "cosine", "auc", "stability", "share", "inside", "stay")
"""Columns drawn as bars, as long as the largest allows."""


def rows_as_html(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], *, title: str, total: int
) -> str:
    """Return a table of rows, with a bar beside numbers that compare.

    Parameters
    ----------
    rows
        The rows to show.
    names
        Columns to show.
    title
        Heading.
    total
        Rows that there are.
    """
    longest = {name: _largest(rows, name) for name in names if name in _BARS}
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(_cell(row.get(name), longest.get(name)) for name in names) + "</tr>"
        for row in rows
    )
    more = f'<div class="dim">{total - len(rows)} more</div>' if total > len(rows) else ""
    return (
        f'{_STYLE}<div class="sfa"><b>{escape(title)}</b> <span class="dim">{total}</span>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}</div>"
    )


def feature_as_html(card: Mapping[str, Any]) -> str:
    """Return a feature's card: figures, tokens, and contexts shaded by activation.

    Parameters
    ----------
    card
        Row of the query ``feature``.
    """
    facts = " · ".join(
        f"{name} {_number(card[name])}"
        for name in ("firing_rate", "n", "d", "mean", "max")
        if card.get(name) is not None
    )
    community = (card.get("community") or {}).get("label")
    lines = [
        f"<b>{escape(str(card.get('label') or 'no label'))}</b> <code>{escape(card['key'])}</code>",
        f'<span class="dim">{facts}</span>',
        _tokens("fires on", card.get("fires_on")),
        _tokens("promotes", card.get("promotes")),
        _tokens("suppresses", card.get("suppresses")),
        f'<span class="dim">community</span> {escape(str(community))}' if community else "",
        *(context_as_html(context) for context in card.get("contexts") or []),
    ]
    return f'{_STYLE}<div class="sfa">' + "<br>".join(line for line in lines if line) + "</div>"


def context_as_html(context: Mapping[str, Any]) -> str:
    """Return a context's tokens, the stronger the feature fires the darker.

    Parameters
    ----------
    context
        ``tokens`` (str) and ``activations`` (float), of one length; without activations plain.
    """
    tokens, values = context.get("tokens") or [], context.get("activations") or []
    if len(tokens) != len(values):
        return f'<span class="tok">{escape(str(context.get("text", "")))}</span>'
    largest = max([*values, 0.0]) or 1.0
    spans = []
    for token, value in zip(tokens, values, strict=True):
        shade = f"background:rgba(255,140,0,{0.75 * value / largest:.2f})" if value > 0 else ""
        spans.append(
            f'<span class="tok" style="{shade}" title="{_number(value)}">{escape(token)}</span>'
        )
    return "".join(spans)


def _tokens(name: str, rows: Sequence[Mapping[str, Any]] | None) -> str:
    if not rows:
        return ""
    shown = " ".join(f"<code>{escape(repr(row['token'])[1:-1])}</code>" for row in rows)
    return f'<span class="dim">{name}</span> {shown}'


def _cell(value: Any, largest: float | None) -> str:
    if isinstance(value, bool) or value is None:
        return f"<td>{'' if value is None else str(value).lower()}</td>"
    if isinstance(value, int | float):
        bar = _bar(value / largest) if largest and math.isfinite(value) else ""
        return f'<td class="num">{_number(value)} {bar}</td>'
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"<td>{escape(' '.join(str(item) for item in value[:8]))}</td>"
    return f"<td>{escape(str(value))}</td>"


def _bar(share: float) -> str:
    width = 40 * min(max(abs(share), 0.0), 1.0)
    colour = "#c0392b" if share < 0 else "#2980b9"
    return (
        '<svg width="40" height="8" role="img" aria-hidden="true">'
        f'<rect width="{width:.1f}" height="8" fill="{colour}"/></svg>'
    )


def _largest(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    numbers = [row[name] for row in rows if isinstance(row.get(name), int | float)]
    values = [abs(number) for number in numbers if math.isfinite(number)]
    return float(max(values, default=0.0)) or 1.0


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
