"""What experiments found, as panels: a prompt that was read, steered, explained or patched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import html

from atlas.web.pages.lab.shades import bar, shaded
from atlas.web.parts import feature_link, link, number, panel, table, visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atlas.web.pages.lab.jobs import Job
    from atlas.web.pages.lab.read import Fired, Reading
    from atlas.web.pages.lab.work import Found

    Row = dict[str, Any]

#: Players of an explanation, and patches, that are shown; all are in the graph.
_BARS = 24


def reading(found: Reading) -> list[Any]:
    """Return a prompt in tokens, with what fires at each and what may follow."""
    following = [
        [html.Code(visible(text), className="token"), f"{100 * chance:.1f} %"]
        for text, chance in found.following
    ]
    tokens = [
        html.Li([html.Code(visible(token), className="token"), _firing(fired, place)])
        for place, (token, fired) in enumerate(zip(found.tokens, found.fired, strict=True))
    ]
    said = "The strongest features at each token. The shade and the second number tell the share \
of a feature's largest activation in the corpus. Plus takes a feature over for steering."
    return [
        panel("Features per token", html.P(said, className="dim"),
              html.Ol(tokens, className="read", id="lab-read")),
        panel("What the model expects next",
              table(["token", "probability"], following, caption="Likeliest next tokens")),
    ]  # fmt: skip


def _firing(fired: Sequence[Fired], place: int) -> Any:
    if not fired:
        return html.Span("no feature fires", className="dim")
    return html.Ul([html.Li(_one(feature, place)) for feature in fired])


def _one(fired: Fired, place: int) -> list[Any]:
    if not fired.known:
        return [html.Span(f"{fired.key} (not in the graph)", className="dim"),
                html.Span(number(fired.activation), className="value")]  # fmt: skip
    share = "" if fired.share is None else f" · {100 * fired.share:.0f} %"
    says = f"Steer with {fired.label or fired.key.rpartition('/')[2]}"
    return [
        html.Button("+", id={"type": "lab-add", "key": fired.key, "place": place}, type="button",
                    n_clicks=0, title=says, **{"aria-label": says}),
        feature_link(fired.key, fired.label),
        html.Span(f"{number(fired.activation)}{share}", className="value",
                  style={"--heat": f"{fired.share or 0:.2f}"}),
    ]  # fmt: skip


def steered(job: Job, found: Found) -> list[Any]:
    """Return the texts of each set of features beside the unsteered one, and the effects."""
    tables = found.followup.tables
    on, sets, effects, texts = (
        tables[name].to_pylist() for name in ("on", "sets", "effects", "texts")
    )
    made = []
    for row in sets:
        which = (row["set"], row["strength"])
        what = [one for one in on if one["intervention"] == row["intervention"]]
        changed = [one for one in effects if one["intervention"] == row["intervention"]]
        beside = [one for one in texts if (one["set"], one["strength"]) == which]
        made.append(
            panel(
                "Steered",
                html.P(_doing(job.asked, what, found.labels)),
                *(_side_by_side(str(job.asked["prompt"]), text) for text in beside),
                _effects(changed),
            )
        )
    return made


def _doing(asked: Mapping[str, Any], what: Sequence[Row], labels: Mapping[str, str]) -> list[Any]:
    """Say what was done to which features."""
    unit = {"global_max": " × largest", "local_max": " × largest here"}.get(str(asked["unit"]), "")
    unit = unit if asked["kind"] in ("add", "clamp") else ""
    parts: list[Any] = [f"{asked['kind']} "]
    for place, one in enumerate(what):
        strength = "" if asked["kind"] == "ablate" else f" {one['strength']:+g}{unit}"
        parts += [", " if place else "", feature_link(one["feature"], labels.get(one["feature"])),
                  html.Strong(strength)]  # fmt: skip
    return parts


def _side_by_side(prompt: str, text: Row) -> Any:
    def side(name: str, which: str) -> Any:
        fluent, distinct = (text[f"{what}_{which}"] for what in ("log_probability", "distinct"))
        said = f"log probability a token {number(fluent)}, distinct pairs {number(distinct)}"
        return html.Div(
            [
                html.H3(name),
                html.P([html.Span(prompt, className="dim"), html.Span(text[which])],
                       className="text", id=f"lab-{which}-{text['set']}".replace("/", "-")),
                html.P(said, className="dim small"),
            ],
            className=f"side {which}",
        )  # fmt: skip

    broke = text["flag"] == "not_finite"
    return html.Div(
        [
            side("Unsteered", "unsteered"),
            side("Steered (broke off: the strength is too large)" if broke else "Steered",
                 "steered"),
        ],
        className="lab-sides",
    )  # fmt: skip


def _effects(rows: Sequence[Row]) -> Any:
    body = [
        [
            row["metric"] + (f" of {row['target']!r}" if row["target"] else ""),
            number(row["baseline"]),
            number(row["value"]),
            "–" if row["change"] is None else f"{row['change']:+.3g}",
        ]
        for row in rows
    ]
    heads = ["metric", "without", "with", "change"]
    return table(heads, body, caption="What changed at the prompt's last token")


def explained(job: Job, found: Found) -> list[Any]:
    """Return the SHAP values of a prompt, over its text where its tokens share it."""
    tables = found.followup.tables
    (row,), players = (tables[name].to_pylist() for name in ("explanations", "players"))
    of = row["metric"] + (f" of {row['target']!r}" if row["target"] else "")
    if row["feature"]:
        of = [
            f"{row['metric']} of ",
            feature_link(row["feature"], found.labels.get(row["feature"])),
        ]
    said = html.P(
        [*of, f": {number(row['base'])} without the \
{row['players']}, {number(row['value'])} with them ({row['method']})."]
    )  # fmt: skip
    largest = max((abs(one["value"]) for one in players), default=0) or 1.0
    text = None
    if row["players"] == "tokens":
        text = shaded([(one["player"], one["value"], one["value"] / largest) for one in players])
    return [panel("SHAP values", said, html.P(str(job.asked["prompt"]), className="dim"), text,
                  _player_bars(players, found.labels, largest))]  # fmt: skip


def _player_bars(players: Sequence[Row], labels: Mapping[str, str], largest: float) -> Any:
    ordered = sorted(players, key=lambda one: -abs(one["value"]))
    body = []
    for one in ordered[:_BARS]:
        error_ = f" ± {number(one['error'], 2)}" if one["error"] is not None else ""
        flag = f" ({one['flag'].replace('_', ' ')})" if one["flag"] else ""
        body.append(
            [
                [_player(one["player"], labels), flag],
                number(one["activation"]),
                f"{number(one['value'])}{error_}",
                bar(one["value"] / largest),
            ]
        )
    more = len(ordered) - len(body)
    caption = "Largest values first" + (f"; {more} more are in the graph" if more else "")
    return table(["player", "activation", "value", ""], body, caption=caption)


def _player(name: str, labels: Mapping[str, str]) -> Any:
    if name in labels or (name.rpartition("/")[2].isdigit() and name.count("/") > 2):
        return feature_link(name, labels.get(name))
    return link("/communities", name, key=name) if name.count("/") == 2 else html.Code(
        visible(name), className="token")  # fmt: skip


def patched(job: Job, found: Found) -> list[Any]:
    """Return what patching changed: features and errors, then the stream token by token."""
    rows = found.followup.tables["patch_summary"].to_pylist()
    whole = [row for row in rows if row["position"] is None]
    first = rows[0]
    into = "clean values into the second prompt" if job.asked["direction"] == "denoise" else \
        "values of the second prompt into the first"  # fmt: skip
    said = f"{first['metric']} is {number(first['clean'])} for the first prompt and \
{number(first['corrupt'])} for the second. Patched were {into}; a share of 1 takes the metric all \
the way."
    parts = [panel("Patched", html.P(said), _patch_table(whole, found.labels))]
    for sae in dict.fromkeys(row["sae"] for row in rows if row["position"] is not None):
        here = {row["position"]: row for row in rows
                if row["sae"] == sae and row["position"] is not None}  # fmt: skip
        shares = [
            (token, _share(here.get(place - len(found.tokens))))
            for place, token in enumerate(found.tokens)
        ]
        words = [(token, share, max(-1.0, min(1.0, share))) for token, share in shares]
        parts.append(panel(f"The stream, token by token, at {sae}", shaded(words)))
    return parts


def _share(row: Row | None) -> float:
    return float(row["share"]) if row and row["share"] is not None else 0.0


def _patch_table(rows: Sequence[Row], labels: Mapping[str, str]) -> Any:
    ordered = sorted(rows, key=lambda row: -abs(_share(row)))
    body = [
        [
            feature_link(row["feature"], labels.get(row["feature"]))
            if row["feature"] else row["name"],
            number(row["patched"]),
            number(row["share"]),
            bar(max(-1.0, min(1.0, _share(row)))),
        ]
        for row in ordered[:_BARS]
    ]  # fmt: skip
    return table(["patched", "metric", "share", ""], body, caption="Largest shares first")
