"""The form of the Lab: a prompt, a task, and what the task needs."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dash import dcc, html

from atlas.errors import AtlasError
from atlas.graph.asking import ask
from atlas.web.pages.lab.asked import CHARACTERS, FEATURES, SAES, TASKS, WRITTEN
from queries.resolve import feature_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atlas.web.store import Store

    Range = tuple[float, float, float, float]

KINDS = {
    "add": "add to the activation",
    "clamp": "clamp the activation to",
    "scale": "multiply the activation by",
    "ablate": "ablate: activation 0",
    "project": "project the direction out",
}
UNITS = {
    "global_max": "× largest in the corpus",
    "local_max": "× largest in the prompt",
    "activation": "activation",
}
POSITIONS = {"all": "all tokens", "firing": "where it fires", "first": "the first token",
             "last": "the last token"}  # fmt: skip
METRICS = {"logit": "logit", "probability": "probability", "log_odds": "log odds",
           "feature": "activation of the first feature chosen"}  # fmt: skip
PLAYERS = {"tokens": "tokens", "features": "features", "communities": "communities of features"}
DIRECTIONS = {"denoise": "the first into the second (what suffices)",
              "noise": "the second into the first (what is needed)"}  # fmt: skip
#: Lowest and highest strength, step, and the one to begin with.
_RANGES: dict[str, Range] = {
    "add": (-4, 4, 0.25, 1), "clamp": (-4, 4, 0.25, 1), "scale": (-4, 4, 0.25, 2),
    "project": (0, 1, 0.05, 1),
}  # fmt: skip
_ACTIVATION: Range = (-200, 200, 1, 20)
_FOUND = 20

FIELDS = ("task", "prompt", "answer", "saes", "features", "kind", "unit", "positions", "together",
          "written", "temperature", "seed", "players", "of", "corrupt", "foil",
          "direction")  # fmt: skip
"""Names of the controls, ``lab-NAME``; the sliders have keys."""
PARTS = ("features", "steer", "explain", "patch")
"""Parts of the form that are of some tasks only."""
_DEFAULTS: dict[str, Any] = {
    "task": "read", "prompt": "", "answer": "", "kind": "add", "unit": "global_max",
    "positions": "all", "together": [], "written": 24, "temperature": 0.8, "seed": 0,
    "players": "tokens", "of": "logit", "corrupt": "", "foil": "", "direction": "denoise",
    "features": [],
}  # fmt: skip
_TEXTS = ("prompt", "answer", "corrupt", "foil")
_CHOICES = {"task": TASKS, "kind": KINDS, "unit": UNITS, "positions": POSITIONS,
            "players": PLAYERS, "of": METRICS, "direction": DIRECTIONS}  # fmt: skip


def of_address(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of controls that an address names; others, and wrong ones, are left out."""
    found: dict[str, Any] = {name: query[name] for name in _TEXTS if query.get(name)}
    found |= {name: query[name] for name, known in _CHOICES.items() if query.get(name) in known}
    keys = (query.get("features") or query.get("key") or "").split()
    if keys:
        found["features"] = list(dict.fromkeys(keys))[:FEATURES]
        found.setdefault("task", "steer")
    return found


def field_values(
    values: Sequence[Any], strengths: Mapping[str, float], *, run: str
) -> dict[str, Any]:
    """Return what a form asks, from the values of `FIELDS` and the sliders by feature."""
    asked: dict[str, Any] = dict(zip(FIELDS, values, strict=True))
    features = [] if asked["task"] == "read" else _listed(asked["features"])
    return {
        **asked,
        "run": run,
        "features": features,
        "saes": _listed(asked["saes"]),
        "together": bool(asked["together"]),
        "strengths": [strengths.get(key, 1.0) for key in features],
    }


def _listed(value: Any) -> list[str]:
    """Return what a control of several values has, whatever was sent in its place."""
    return [str(one) for one in value] if isinstance(value, list) else []


def shown_fields(task: str, of: str) -> tuple[bool, bool, bool, bool]:
    """Whether a task has the features, and the parts of steering, explaining and patching."""
    features = task in ("steer", "patch") or (task == "explain" and of == "feature")
    return features, task == "steer", task == "explain", task == "patch"


def options(store: Store, text: str, chosen: Sequence[str], run: str) -> list[dict[str, str]]:
    """Return features that fit some words (or are named), and those that are chosen."""
    found: dict[str, str | None] = {}
    words = text.strip()
    if words:
        with suppress(AtlasError):  # where it names no feature, it is words to look for
            found[ask(store.atlas.reader, feature_key(words))] = None
        rows = store.ask("search", text=words, limit=_FOUND, run=run)
        found |= {row["key"]: row["label"] for row in rows}
    about = store.atlas.cypher(
        "UNWIND $keys AS key MATCH (f:Feature {key: key}) RETURN key, f.label AS label",
        keys=[*chosen, *(key for key, label in found.items() if not label)],
    )
    labels = {**found, **{row["key"]: row["label"] for row in about}}
    # What was typed is part of each, or the control would hide those that it is no part of.
    return [
        {"label": _named(key, labels.get(key)), "value": key, "search": f"{words} {key}"}
        for key in dict.fromkeys([*chosen, *found])
    ]


def _named(key: str, label: str | None) -> str:
    place = "/".join(key.split("/")[-2:])
    return f"{label} ({place})" if label else place


def sliders(
    keys: Sequence[str],
    *,
    kind: str,
    unit: str,
    values: Mapping[str, float],
    about: Mapping[str, Mapping[str, Any]],
) -> list[Any]:
    """Return a slider of its strength for each feature."""
    if kind == "ablate" or not keys:
        said = "An ablation has no strength." if keys else "Choose a feature above."
        return [html.P(said, className="dim")]
    plain = kind in ("add", "clamp") and unit == "activation"
    low, high, step, first = _ACTIVATION if plain else _RANGES[kind]
    made = []
    for key in keys[:FEATURES]:
        value = values.get(key, first)
        value = value if low <= value <= high else first
        name = _named(key, about.get(key, {}).get("label"))
        most = about.get(key, {}).get("max")
        says = f" (largest activation {most:.3g})" if most and plain else ""
        slider = dcc.Slider(
            low, high, step, value=value, id={"type": "lab-strength", "key": key},
            marks={low: f"{low:g}", 0: "0", high: f"{high:g}"}, included=False,
            tooltip={"placement": "bottom", "always_visible": False},
        )  # fmt: skip
        group = {"role": "group", "aria-label": f"Strength of {name}"}
        made.append(html.Div([html.Span(f"{name}{says}", className="name"), slider], **group))
    return made


def form(
    first: Mapping[str, Any],
    *,
    saes: Sequence[str],
    known: Mapping[str, Mapping[str, Any]],
    off: bool,
) -> Any:
    """Return the form.

    Parameters
    ----------
    first
        Values of controls to begin with.
    saes
        Keys of the SAEs that can be read.
    known
        What the graph tells of the features that are chosen.
    off
        Whether nothing can be run.
    """
    value = {**_DEFAULTS, **first}
    features = [key for key in value["features"] if key in known]
    return html.Div(
        [
            _prompt(value, saes),
            html.Fieldset([html.Legend("Task"), dcc.RadioItems(
                TASKS, value["task"], id="lab-task", className="choices")]),
            _part("features", "Features", _features(features, known)),
            _part("steer", "How to steer", *_steering(value)),
            _part("explain", "What to explain", _picks(
                _pick("players", "Share it among", PLAYERS, value),
                _pick("of", "Explain", METRICS, value))),
            _part("patch", "What to patch", *_patching(value)),
            html.Div(
                [
                    html.Button("Run", id="lab-go", type="button", className="go", disabled=off,
                                **{"aria-keyshortcuts": "Control+Enter"}),
                    html.Span("or Ctrl+Enter", className="dim small"),
                    html.Button("Cancel", id="lab-cancel", type="button", disabled=True),
                ],
                className="run",
            ),
        ],
        className="panel lab",
    )  # fmt: skip


def _prompt(value: Mapping[str, Any], saes: Sequence[str]) -> Any:
    named = {key: "/".join(key.split("/")[-2:]) for key in saes}
    chosen = [key for key in value.get("saes") or saes[:SAES] if key in named]
    boxes = dcc.Checklist(named, chosen, id="lab-saes", className="choices")
    several = {} if len(saes) > 1 else {"display": "none"}
    return html.Div(
        [
            _labelled("prompt", "Prompt", dcc.Textarea(
                id="lab-prompt", value=value["prompt"], maxLength=CHARACTERS, rows=3,
                placeholder="The patient was given")),
            _labelled("answer", "Answer (the likeliest next token where it is needed and empty)",
                      _line("answer", value)),
            html.Fieldset([html.Legend("SAEs that are read"), boxes], style=several),
        ]
    )  # fmt: skip


def _features(chosen: Sequence[str], known: Mapping[str, Mapping[str, Any]]) -> Any:
    named = [{"label": _named(key, known[key]["label"]), "value": key} for key in chosen]
    box = dcc.Dropdown(
        named, list(chosen), id="lab-features", multi=True,
        placeholder="words of a label, or a feature's key or number",
    )  # fmt: skip
    return _labelled("features", f"Features, up to {FEATURES}", box)


def _steering(value: Mapping[str, Any]) -> list[Any]:
    together = dcc.Checklist(
        {"yes": "all together (else each by itself)"}, ["yes"] if value["together"] else [],
        id="lab-together",
    )  # fmt: skip
    return [
        _picks(_pick("kind", "What is done", KINDS, value), _pick("unit", "Unit", UNITS, value),
               _pick("positions", "Where", POSITIONS, value)),
        html.Div(id="lab-sliders", className="sliders"),
        html.Fieldset([html.Legend("Several features"), together]),
        _picks(
            _labelled("written", f"Tokens to write (to {WRITTEN})",
                      _figure("written", value, low=1, high=WRITTEN, step=1)),
            _labelled("temperature", "Temperature (0: the likeliest)",
                      _figure("temperature", value, low=0, high=5, step=0.1)),
            _labelled("seed", "Seed", _figure("seed", value, low=0, high=2**31, step=1)),
        ),
    ]  # fmt: skip


def _patching(value: Mapping[str, Any]) -> list[Any]:
    return [
        _labelled("corrupt", "Second prompt, of as many tokens", dcc.Textarea(
            id="lab-corrupt", value=value["corrupt"], maxLength=CHARACTERS, rows=2)),
        _picks(
            _labelled("foil", "Answer of the second (then the logit difference is measured)",
                      _line("foil", value)),
            _pick("direction", "Patch", DIRECTIONS, value),
        ),
    ]  # fmt: skip


def _part(name: str, title: str, *children: Any) -> Any:
    return html.Fieldset([html.Legend(title), *children], id=f"lab-part-{name}",
                         style={"display": "none"})  # fmt: skip


def _picks(*controls: Any) -> Any:
    return html.Div(list(controls), className="controls")


def _pick(name: str, label: str, known: Mapping[str, str], value: Mapping[str, Any]) -> Any:
    box = dcc.Dropdown(dict(known), value[name], id=f"lab-{name}", clearable=False,
                       searchable=False)  # fmt: skip
    return _labelled(name, label, box)


def _labelled(name: str, label: str, control: Any) -> Any:
    return html.Div([html.Label(label, htmlFor=f"lab-{name}"), control], className="control")


def _line(name: str, value: Mapping[str, Any]) -> Any:
    return dcc.Input(id=f"lab-{name}", value=value[name], type="text", maxLength=100)


def _figure(name: str, value: Mapping[str, Any], *, low: float, high: float, step: float) -> Any:
    return dcc.Input(
        id=f"lab-{name}", value=value[name], type="number", min=low, max=high, step=step
    )
