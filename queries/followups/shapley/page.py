"""Explanations for people: the objects that shap plots, and a page of HTML without scripts."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import NotFoundError
from queries.followups.shapley.games import shap_library

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queries.followups.evidence import Evidence

    Row = Mapping[str, Any]

#: Colours of what raises the outcome, and of what lowers it.
UP, DOWN = "200,60,50", "45,100,200"
_STYLE = (
    "<style>:root{color-scheme:light}body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;"
    "margin:2rem auto;padding:0 1rem;background:#fff;color:#222}h1{font-size:1.35rem}"
    "section{border-top:1px solid #ddd;padding:.4rem 0 1rem}h2{font-size:1rem;margin:.6rem 0 .2rem}"
    ".dim{color:#666;font-size:.85rem}.text{font-size:1.25rem;line-height:2.7rem;margin-top:.5rem}"
    ".tok{display:inline-block;white-space:pre;border-radius:3px;padding:0 2px;margin:0 1px;"
    "line-height:1.4;text-align:center;vertical-align:top}"
    ".tok small{display:block;font-size:.66rem;color:#333;line-height:1}"
    "table{border-collapse:collapse;width:100%}td,th{padding:3px 8px;text-align:left}"
    "th{font-size:.8rem;color:#666;font-weight:600}td.num{text-align:right;white-space:nowrap;"
    "font-variant-numeric:tabular-nums}td.name{overflow-wrap:anywhere;font-size:.8rem}th.num{text-align:right}"
    "td.bar{width:30%}.half{display:inline-block;width:50%;height:.9rem;vertical-align:middle}"
    ".half i{display:block;height:100%}.left{border-right:1px solid #999;box-sizing:border-box}"
    ".left i{margin-left:auto}</style>"
)


def shap_explanation(evidence: Evidence, number: int) -> Any:
    """Return one explanation as the object that shap's plots take.

    Parameters
    ----------
    evidence
        What `shapley.run` found.
    number
        Of the explanation, from 1.

    Returns
    -------
    shap.Explanation
        Of one row: ``values`` ``[players]``, ``base_values`` a number, ``data`` the texts of the
        tokens, or the largest activations of features and communities.

    Raises
    ------
    NotFoundError
        There is no explanation of that number.
    """
    row, players = _of(evidence, number)
    texts = row["players"] == "tokens"
    data = row["names"] if texts else [player["activation"] for player in players]
    found = shap_library().Explanation(
        values=np.array(row["values"], float),
        base_values=float(row["base"]),
        data=np.array(data, dtype=object if texts else float),
        feature_names=list(row["names"]),
    )
    found.output_names = _outcome(row)  # one name of one output breaks some versions' constructor
    return found


def shap_page(evidence: Evidence) -> str:
    """Return a page of all explanations: one file, no scripts, all text escaped.

    Tokens are shaded by their values, features and communities have bars, largest first.
    """
    rows = evidence.tables["explanations"].to_pylist()
    texts = {prompt["id"]: prompt["prompt"] for prompt in evidence.prompts}
    parts = [_section(*_of(evidence, row["number"]), texts.get(row["prompt"], "")) for row in rows]
    notes = "".join(f"<li>{escape(note)}</li>" for note in evidence.notes)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>SHAP values</title>'
        f"{_STYLE}</head><body><h1>SHAP values</h1>"
        f'<p class="dim">{escape(str(evidence.identity["model"]["key"]))} · {escape(evidence.id)}'
        f' · <span style="color:rgb({UP})">raises</span> and '
        f'<span style="color:rgb({DOWN})">lowers</span> the outcome</p>'
        f"{''.join(parts)}{f'<h2>Notes</h2><ul>{notes}</ul>' if notes else ''}</body></html>\n"
    )


def _of(evidence: Evidence, number: int) -> tuple[Row, list[Row]]:
    """Return an explanation and its players."""
    rows = evidence.tables["explanations"].to_pylist()
    row = next((row for row in rows if row["number"] == number), None)
    if row is None:
        raise NotFoundError(
            f"There is no explanation {number}.", hint=f"There are {len(rows)}, from 1 on."
        )
    players = evidence.tables["players"].to_pylist()
    return row, [player for player in players if player["explanation"] == number]


def _outcome(row: Row) -> str:
    """Say in words what is explained."""
    if row["feature"]:
        return f"{row['metric']} of {row['feature']}"
    return f"{row['metric']} of {row['target']!r}" if row["target"] else str(row["metric"])


def _section(row: Row, players: Sequence[Row], text: str) -> str:
    body = _text(players) if row["players"] == "tokens" else _bars(players)
    plain = "" if row["players"] == "tokens" else f'<div class="dim">{escape(text)}</div>'
    return (
        f"<section><h2>{escape(str(row['prompt']))}</h2>{plain}"
        f'<div class="dim">{escape(_outcome(row))}: {row["base"]:.4g} without the players, '
        f"{row['value']:.4g} with them ({escape(row['method'])})</div>{body}</section>"
    )


def _text(players: Sequence[Row]) -> str:
    largest = _largest(players)
    words = "".join(
        f'<span class="tok" title="{escape(_number(player), quote=True)}" '
        f'style="background:{_shade(player["value"], largest)}">'
        f"{escape(player['player']) or '&nbsp;'}<small>{player['value']:+.2f}</small></span>"
        for player in players
    )
    return f'<div class="text">{words}</div>'


def _bars(players: Sequence[Row]) -> str:
    largest = _largest(players)
    ordered = sorted(players, key=lambda player: -abs(player["value"]))
    body = "".join(
        f'<tr><td class="name">{escape(player["player"])}{_flag(player)}</td>'
        f'<td class="num">{player["activation"]:.3g}</td>'
        f'<td class="num">{escape(_number(player))}</td>'
        f'<td class="bar">{_bar(player["value"] / largest)}</td></tr>'
        for player in ordered
    )
    head = (
        '<tr><th>player</th><th class="num">activation</th><th class="num">value</th><th></th></tr>'
    )
    return f"<table>{head}{body}</table>"


def _largest(players: Sequence[Row]) -> float:
    return max((abs(player["value"]) for player in players), default=0.0) or 1.0


def _number(player: Row) -> str:
    error = player["error"]
    return f"{player['value']:+.4g}" + (f" ± {error:.2g}" if error is not None else "")


def _flag(player: Row) -> str:
    if not player["flag"]:
        return ""
    return f' <span class="dim">{escape(player["flag"].replace("_", " "))}</span>'


def _shade(value: float, largest: float) -> str:
    return f"rgba({UP if value > 0 else DOWN},{0.55 * abs(value) / largest:.3f})"


def _bar(share: float) -> str:
    colour = UP if share > 0 else DOWN
    inner = f'<i style="width:{100 * abs(share):.1f}%;background:rgb({colour})"></i>'
    left, right = ("", inner) if share > 0 else (inner, "")
    return f'<span class="half left">{left}</span><span class="half">{right}</span>'
