"""What a form of the Lab asks, checked here whatever the page allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from atlas.errors import UsageError

Asked = Mapping[str, Any]
"""Values of a form, plain: ``task``, ``run``, ``prompt``, ``features`` and so on."""

TASKS = {
    "read": "Read: features per token",
    "steer": "Steer with features",
    "explain": "Explain (SHAP values)",
    "patch": "Patch one prompt into another",
}
#: Most characters and tokens of a prompt, tokens to write, features of one experiment, SAEs.
CHARACTERS, TOKENS, WRITTEN, FEATURES, SAES = 2000, 128, 60, 6, 4
#: Most characters of an answer, and the largest seed.
ANSWER, _SEEDS = 100, 2**31


def check(asked: Asked) -> str:
    """Return the task that is asked for; raises `UsageError` where it cannot be done so."""
    task = str(asked.get("task"))
    if task not in TASKS:
        raise UsageError(f"The Lab has no task {task!r}.", hint=f"It has {', '.join(TASKS)}.")
    for name in ("prompt", "corrupt") if task == "patch" else ("prompt",):
        _check_text(str(asked.get(name) or ""), "second prompt" if name == "corrupt" else name)
    _check_sizes(asked)
    features = asked.get("features") or ()
    wrong = [key for key in features if not str(key).rpartition("/")[0]]
    if wrong:
        raise UsageError(f"{wrong[0]!r} is no feature's key.", hint="Choose a feature of the list.")
    needs = task == "steer" or (task == "explain" and asked.get("of") == "feature")
    if needs and not features:
        raise UsageError("No feature is chosen.", hint="Choose one, or read the prompt first.")
    if task == "steer":
        _check_steering(asked)
    if task == "explain":
        _check_range(asked, "seed", 0, _SEEDS)
    return task


def _check_sizes(asked: Asked) -> None:
    for name, most in (("features", FEATURES), ("saes", SAES)):
        if len(asked.get(name) or ()) > most:
            what = "SAEs" if name == "saes" else name
            raise UsageError(f"These are {len(asked[name])} {what}; the most is {most}.")
    for name in ("answer", "foil"):
        if len(str(asked.get(name) or "")) > ANSWER:
            raise UsageError(f"The {name} is longer than {ANSWER} characters.")


def _check_text(text: str, name: str) -> None:
    if not text.strip():
        raise UsageError(f"The {name} is empty.", hint="Type some words.")
    if len(text) > CHARACTERS:
        raise UsageError(f"The {name} has {len(text):,} characters; the most is {CHARACTERS:,}.")


def _check_steering(asked: Asked) -> None:
    strengths = [_number(one, "strength") for one in asked.get("strengths") or ()]
    if len(strengths) != len(asked["features"]):
        raise UsageError("Every feature needs a strength.")
    # A projection takes a whole plane out of the stream, of which a feature has no share.
    if asked.get("kind") == "project" and asked.get("together") and len(set(strengths)) > 1:
        raise UsageError(
            "A projection of several features together has one strength.",
            hint="Set the sliders alike, or steer with each feature by itself.",
        )
    limits = {"written": (1, WRITTEN), "temperature": (0, 5), "seed": (0, _SEEDS)}
    for name, (low, high) in limits.items():
        _check_range(asked, name, low, high)


def _check_range(asked: Asked, name: str, low: int, high: int) -> None:
    if not low <= _number(asked.get(name), name) <= high:
        raise UsageError(f"The {name} is {asked[name]}; give {low} to {high:,}.")


def _number(value: Any, name: str) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise UsageError(f"The {name} is {value!r}, not a number.")
    return found


def chosen_saes(asked: Asked, known: Sequence[str]) -> list[str]:
    """Return the SAEs that are read, those of the features that are named included."""
    of = [str(key).rpartition("/")[0] for key in asked.get("features") or ()]
    return list(dict.fromkeys([*(asked.get("saes") or known[:SAES]), *of]))


def prompt_of(asked: Asked, *, foil: str = "") -> dict[str, Any]:
    """Return the prompt that is asked about, with its answer where there is one."""
    found: dict[str, Any] = {"id": "prompt", "prompt": str(asked["prompt"])}
    if asked.get("answer"):
        found["answer"] = spaced(str(asked["answer"]))
        if foil:
            found["foils"] = [spaced(foil)]
    return found


def spaced(word: str) -> str:
    """Return a continuation with the space that words begin with in texts."""
    return word if word[:1].isspace() else f" {word}"
