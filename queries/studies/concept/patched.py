"""Activation patching: features of concept prompts put into their matched control prompts.

A pair is scored on what the model goes on with: the logit of the concept prompt's answer less that
of the control prompt's, each the likeliest next token where a prompt has no answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from atlas.errors import CorpusError, UsageError
from queries.followups.lab import PromptText
from queries.followups.patching import patch as patching
from queries.followups.patching.patch import PatchingRequest, PatchSet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atlas.progress import Reporter
    from queries.followups.lab import TaskPrompt
    from queries.studies.concept.setting import Setting

KEPT = ("interventions", "on", "effects", "patches", "patch_summary")


def patch_tables(
    setting: Setting,
    sets: Mapping[str, Sequence[str]],
    targets: Sequence[TaskPrompt],
    *,
    reporter: Reporter,
) -> dict[str, pa.Table]:
    """Patch held-out pairs of prompts of as many tokens.

    Parameters
    ----------
    setting
        The study.
    sets
        Name to keys of features that are patched together.
    targets
        All prompts with the token that each is scored on.
    reporter
        Told of the passes.

    Returns
    -------
    dict
        `KEPT` of `queries.followups.patching.patch`, beside the sets for all features, the error
        and the whole stream at each hook; and ``patch_notes``. Where there is no pair, only notes.
    """
    texts, corrupt, notes = usable_pairs(setting, targets)
    notes = [*notes, f"{len(texts)} held-out pairs are patched"]
    if not texts or not sets:
        return {"patch_notes": _notes([*notes, "nothing is patched"])}
    request = PatchingRequest(
        prompts=tuple(texts),
        corrupt=tuple(corrupt),
        saes=setting.request.saes,
        each=0,
        sets=tuple(PatchSet(name=name, features=tuple(keys)) for name, keys in sets.items()),
    )
    found = patching.run(setting.lab, request, reporter=reporter)
    tables = {name: found.tables[name] for name in KEPT}
    return {**tables, "patch_notes": _notes([*notes, *found.notes])}


def usable_pairs(
    setting: Setting, targets: Sequence[TaskPrompt]
) -> tuple[list[PromptText], list[str], list[str]]:
    """Return held-out pairs that can be patched: concept prompts, controls, and notes.

    A pair needs prompts of as many tokens, and answers that begin with different tokens.
    """
    texts: list[PromptText] = []
    corrupt: list[str] = []
    left = {"differ in their number of tokens": 0, "have one answer": 0, "cannot be scored": 0}
    for one, other in setting.pairs.tolist():
        if setting.train[one] or len(texts) == setting.request.causes.pairs:
            continue
        if len(setting.prompts[one].tokens) != len(setting.prompts[other].tokens):
            left["differ in their number of tokens"] += 1
        elif targets[one].target == targets[other].target:
            left["have one answer"] += 1
        elif (text := _scored(setting, one, targets[one], targets[other])) is None:
            left["cannot be scored"] += 1
        else:
            texts.append(text)
            corrupt.append(setting.request.prompts[other].prompt)
    return texts, corrupt, [f"{n} held-out pairs {why}" for why, n in left.items() if n]


def _scored(
    setting: Setting, number: int, right: TaskPrompt, wrong: TaskPrompt
) -> PromptText | None:
    """Return a prompt with answer and foil as texts; None where they are not the tokens meant."""
    lab, text = setting.lab, setting.request.prompts[number]
    if right.target is None or wrong.target is None:
        return None
    # Some tokenizers write a word without the space that stood before it.
    for space in ("", " "):
        found = PromptText(
            id=text.id, prompt=text.prompt, answer=space + lab.text(right.target),
            foils=(space + lab.text(wrong.target),), group=text.group,
        )  # fmt: skip
        try:
            (read,), _ = lab.prompts([found], needs_foils=True)
        except (CorpusError, UsageError):
            continue
        if (read.target, read.foils) == (right.target, (wrong.target,)):
            return found
    return None


def _notes(notes: Sequence[str]) -> pa.Table:
    return pa.table({"note": pa.array(notes, pa.string())})
