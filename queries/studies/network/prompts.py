"""Which prompts the model gets right, and which of them are steered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from atlas.errors import CorpusError, UsageError
from ingest.attribution.options import MIN_PROMPTS
from ingest.attribution.tokens import BadPromptError, prompt_tokens
from queries.followups.lab import PromptText, TaskPrompt
from queries.followups.measures import Measures
from queries.studies.network.request import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.followups.engine import Prepared
    from queries.followups.lab import Lab
    from queries.studies.network.request import NetworkRequest

#: Prompts of one clean pass, each of which leaves a row of the vocabulary's width.
CHUNK = 256
#: Fewer prompts than this find strong correlations only.
FEW = 50

CANDIDATES = pa.schema(
    [
        ("prompt", pa.string()),
        ("group", pa.string()),
        ("text", pa.string()),
        ("answer", pa.string()),
        ("foils", pa.list_(pa.string())),
        ("foils_left_out", pa.int64()),
        ("wrong_answers", pa.int64()),
        ("likeliest", pa.string()),
        *((name, pa.float64()) for name in METRICS),
        ("first", pa.bool_()),
        ("choice", pa.bool_()),
        ("kept", pa.bool_()),
        ("steered", pa.bool_()),
    ]
)
"""A row a candidate. `foils` are those that the metric takes; `logit_diff` is against them;
`choice` is against all `wrong_answers`: first tokens of the foils, other than the answer's."""

KNOWN = pa.schema(
    [
        ("group", pa.string()),
        ("candidates", pa.int64()),
        ("first", pa.int64()),
        ("share", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("choice", pa.int64()),
        ("chance", pa.float64()),
        ("kept", pa.int64()),
    ]
)
"""A row a group, the first (without a group) over all: prompts whose answer ranks first, their
share with its 95 % interval (Wilson 1927), those whose answer is above all wrong answers, and the
share of these that guessing among the answers would give."""


def candidate_table(lab: Lab, request: NetworkRequest) -> tuple[pa.Table, list[str]]:
    """Look at every candidate: what the model says, and whether it is kept.

    Returns
    -------
    pyarrow.Table
        Columns of `CANDIDATES`.
    list of str
        Notes.

    Raises
    ------
    CorpusError
        A prompt cannot be used, or fewer are kept than correlations can be made of.
    UsageError
        A prompt has no answer.
    """
    texts, left_out = usable_foils(lab, request.prompts)
    needs = request.metric == "logit_diff" or request.keep == "choice"
    tasks, notes = lab.prompts(texts, needs_foils=needs)
    rng = np.random.default_rng([request.seed, 1])
    rows = []
    for first in range(0, len(tasks), CHUNK):
        some = slice(first, first + CHUNK)
        prepared = lab.engine.prepare([task.tokens for task in tasks[some]])
        pairs = zip(texts[some], tasks[some], left_out[some], strict=True)
        chosen = [
            (_drawn(text, rng) if request.foil == "random" else text, task, lost)
            for text, task, lost in pairs
        ]
        rows += _rows(lab, request, prepared, chosen)
    _refuse_few(rows, request)
    steered = _drawn_evenly(rows, request)
    for number, row in enumerate(rows):
        row["steered"] = number in steered
    if sum(left_out):
        notes.append(f"{sum(left_out)} foils begin with the same token as the answer: left out")
    return pa.Table.from_pylist(rows, schema=CANDIDATES), notes


def usable_foils(lab: Lab, prompts: Sequence[PromptText]) -> tuple[list[PromptText], list[int]]:
    """Leave out foils that cannot be told from the answer by their first token.

    Returns
    -------
    list of PromptText
        The prompts with the foils that are left.
    list of int
        How many were left out of each.

    Raises
    ------
    UsageError
        A prompt has no answer.
    """
    without = next((text.id for text in prompts if text.answer is None), None)
    if without is not None:
        raise UsageError(f"Prompt {without} has no answer.", hint="Give every prompt its answer.")
    found, left_out = [], []
    for text in prompts:
        foils = _other_tokens(lab, text)
        found.append(text.model_copy(update={"foils": foils}))
        left_out.append(len(text.foils) - len(foils))
    return found, left_out


def _other_tokens(lab: Lab, text: PromptText) -> tuple[str, ...]:
    tokenizer = lab.model.tokenizer
    try:
        answer = prompt_tokens(tokenizer, text.prompt, answer=text.answer).answer
        of_foil = {
            foil: prompt_tokens(tokenizer, text.prompt, answer=None, foils=(foil,)).foils[0]
            for foil in text.foils
        }
    except BadPromptError:
        return text.foils  # what is wrong is told of all prompts together
    return tuple(foil for foil, token in of_foil.items() if token != answer)


def _drawn(text: PromptText, rng: np.random.Generator) -> PromptText:
    """Take one foil, as the published study does."""
    if not text.foils:
        return text
    return text.model_copy(update={"foils": (text.foils[rng.integers(len(text.foils))],)})


def _rows(
    lab: Lab,
    request: NetworkRequest,
    prepared: Prepared,
    prompts: Sequence[tuple[PromptText, TaskPrompt, int]],
) -> list[dict[str, Any]]:
    chosen = tasks_of(lab, [text for text, _, _ in prompts])
    with_foils = all(task.foils for task in chosen)
    names = [name for name in METRICS if name != "logit_diff" or with_foils]
    values = Measures(chosen, names, device=lab.model.device).baseline(prepared)
    rows = []
    for number, (text, task, lost) in enumerate(prompts):
        logits = prepared.logits[number]
        of = dict(zip(names, values[number].tolist(), strict=True))
        foils = torch.tensor(task.foils, dtype=torch.int64, device=logits.device)
        above = bool((logits[task.target or 0] > logits[foils]).all()) if task.foils else False
        right = {"first": of["rank"] == 1, "choice": above, "all": True}
        rows.append(
            {
                "prompt": text.id, "group": text.group, "text": text.prompt, "answer": text.answer,
                "foils": list(text.foils), "foils_left_out": lost, "wrong_answers": len(task.foils),
                "likeliest": lab.text(int(logits.argmax())), "logit_diff": None, **of,
                "first": right["first"], "choice": above, "kept": right[request.keep],
            }
        )  # fmt: skip
    return rows


def _refuse_few(rows: Sequence[dict[str, Any]], request: NetworkRequest) -> None:
    kept, first, choice = (sum(row[name] for row in rows) for name in ("kept", "first", "choice"))
    if kept >= MIN_PROMPTS:
        return
    raise CorpusError(
        f"{kept} of {len(rows)} prompts are kept (keep = {request.keep!r}; the answer ranks first "
        f"in {first} and above its foils in {choice}); a network study needs {MIN_PROMPTS}.",
        hint="Take facts that the model knows, a model that knows these, or keep = 'choice'.",
    )


def _drawn_evenly(rows: Sequence[dict[str, Any]], request: NetworkRequest) -> set[int]:
    """Draw prompts to steer, one of each group in turn."""
    rng = np.random.default_rng([request.seed, 2])
    kept = [number for number, row in enumerate(rows) if row["kept"]]
    groups: dict[str | None, list[int]] = {}
    for place in rng.permutation(len(kept)):
        groups.setdefault(rows[kept[place]]["group"], []).append(kept[place])
    turns = sorted((turn, name or "", number) for name, members in groups.items()
                   for turn, number in enumerate(members))  # fmt: skip
    return {number for _, _, number in turns[: request.steered_prompts]}


def known_table(candidates: pa.Table) -> pa.Table:
    """Count what the model knows, over all prompts and by group; columns of `KNOWN`."""
    from scipy.stats import binomtest

    frame = candidates.to_pandas()
    parts = [(None, frame), *frame.groupby("group", sort=True, dropna=True)]
    rows = []
    for name, part in parts:
        size, first = len(part), int(part["first"].sum())
        low, high = binomtest(first, size).proportion_ci(method="wilson")
        rows.append(
            {
                "group": name, "candidates": size, "first": first, "share": first / size,
                "low": float(low), "high": float(high), "choice": int(part["choice"].sum()),
                "chance": float((1 / (1 + part["wrong_answers"])).mean()),
                "kept": int(part["kept"].sum()),
            }
        )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=KNOWN)


def kept_prompts(candidates: pa.Table, *, only: str = "kept") -> list[PromptText]:
    """Return the prompts of a boolean column, with the foils that the metric takes."""
    return [
        PromptText(
            id=row["prompt"], prompt=row["text"], answer=row["answer"], foils=tuple(row["foils"]),
            group=row["group"],
        )
        for row in candidates.to_pylist() if row[only]
    ]  # fmt: skip


def tasks_of(lab: Lab, texts: Sequence[PromptText]) -> list[TaskPrompt]:
    """Return prompts in tokens."""
    return lab.prompts(texts)[0]
