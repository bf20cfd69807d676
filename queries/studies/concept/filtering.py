"""Which prompts turn on their term: SHAP values of tokens, and what each prompt is otherwise.

A prompt is kept where a token of its term is among those with the largest SHAP values, by size,
of the log odds of the next token. Both sets are filtered by the same rule, each by its own terms.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from atlas.resume import clean_pass
from queries.followups.evidence_tables import EXPLANATIONS
from queries.followups.shapley.explain import ShapRequest
from queries.followups.shapley.prompts import ByTokens
from queries.studies.prompt_tables import CONCEPT, CONTROL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from atlas.progress import Reporter
    from queries.followups.lab import TaskPrompt
    from queries.studies.concept.setting import Setting

#: Sizes that differ by less, as a part, are taken for equal: masked prompts may tie.
SAME = 1e-6
METRIC = "log_odds"

NEXT = pa.schema(
    [
        ("prompt", pa.int32()),
        ("next", pa.int64()),
        ("next_probability", pa.float64()),
        ("answer_rank", pa.int64()),
        ("answer_probability", pa.float64()),
    ]
)
"""A row a prompt, by number: the likeliest next token, and how likely the answer is."""

RANKS = pa.schema(
    [
        ("prompt", pa.int32()),
        ("term_rank", pa.int64()),
        ("tokens", pa.int64()),
        ("largest", pa.string()),
        ("coarse", pa.bool_()),
    ]
)
"""A row a prompt with a term: rank of the term's best token by the size of its SHAP value, out of
how many tokens, the token that is first, and whether the budget left some neighbours with one
value between them."""

PROMPTS = pa.schema(
    [
        ("number", pa.int64()),
        ("prompt", pa.string()),
        ("set", pa.string()),
        ("match", pa.string()),
        ("half", pa.string()),
        ("text", pa.string()),
        ("term", pa.string()),
        ("answer", pa.string()),
        ("tokens", pa.int64()),
        ("next", pa.string()),
        ("next_probability", pa.float64()),
        ("answer_rank", pa.int64()),
        ("answer_probability", pa.float64()),
        ("term_rank", pa.int64()),
        ("kept", pa.bool_()),
        ("in_filtered", pa.bool_()),
        ("reason", pa.string()),
    ]
)
"""A row a prompt, number from 0: `kept` by the filter, null where it was not asked; `in_filtered`
whether it is in the filtered contrast, where of a pair both are kept."""


def next_tokens(setting: Setting) -> dict[str, pa.Table]:
    """Read what the model expects after each prompt; the table ``next``, see `NEXT`."""
    model, prompts = setting.lab.model, setting.prompts
    _, logits = clean_pass(
        model,
        [prompt.tokens for prompt in prompts],
        depths=[model.n_layers],
        reads=[[len(prompt.tokens) - 1] for prompt in prompts],
        batch_tokens=setting.lab.engine.batch_tokens,
    )
    probability = logits.double().softmax(dim=1)
    likeliest = logits.argmax(dim=1)
    rows = []
    for number, prompt in enumerate(prompts):
        token = int(likeliest[number])
        row: dict[str, float] = {"prompt": number, "next": token}
        row["next_probability"] = float(probability[number, token])
        if prompt.target is not None:
            larger = logits[number] > logits[number, prompt.target]
            row["answer_rank"] = 1 + int(larger.sum())
            row["answer_probability"] = float(probability[number, prompt.target])
        rows.append(row)
    return {"next": pa.Table.from_pylist(rows, schema=NEXT)}


def with_target(setting: Setting, next_table: pa.Table, *, of: str) -> list[TaskPrompt]:
    """Return the prompts with the target that is explained: the likeliest token or the answer.

    A prompt without an answer is explained by the likeliest token.
    """
    likeliest = next_table["next"].to_pylist()
    return [
        replace(prompt, target=likeliest[k], foils=())
        if of == "next" or prompt.target is None
        else replace(prompt, foils=())
        for k, prompt in enumerate(setting.prompts)
    ]


def asked(setting: Setting) -> list[int]:
    """Return the prompts that the filter looks at: those with a term that is not cut off."""
    return [
        number
        for number, places in enumerate(setting.term_places)
        if places and places[-1] < len(setting.prompts[number].tokens) - 1
    ]


def token_shap(
    setting: Setting, numbers: Sequence[int], next_table: pa.Table, *, reporter: Reporter
) -> dict[str, pa.Table]:
    """Explain prompts by their tokens.

    Parameters
    ----------
    setting
        The study.
    numbers
        Prompts, each with a term.
    next_table
        Table ``next``.
    reporter
        Told of each prompt.

    Returns
    -------
    dict
        ``explanations`` of the graph, numbered from 1, and ``ranks``, see `RANKS`.
    """
    lab, settings = setting.lab, setting.request.shap
    prompts = with_target(setting, next_table, of=settings.of)
    request = ShapRequest(
        prompts=setting.texts(numbers),
        of=METRIC,
        max_evals=settings.max_evals,
        seed=setting.request.seed,
    )
    explain = ByTokens(lab, request, [prompts[k] for k in numbers])
    rows, ranks = [], []
    with reporter.step("SHAP values of tokens (prompts)", len(numbers)) as advance:
        for place, number in enumerate(numbers):
            found = explain(place)
            names = [player.name for player in found.players]
            values = found.values.values
            rank = rank_of(values, setting.term_places[number])
            ranks.append(
                {
                    "prompt": number, "term_rank": rank, "tokens": len(names),
                    "largest": names[int(np.abs(values).argmax())], "coarse": found.values.coarse,
                }
            )  # fmt: skip
            target = prompts[number].target
            rows.append(
                {
                    "number": place + 1, "method": found.values.method, "players": "tokens",
                    "metric": METRIC, "target": None if target is None else lab.text(target),
                    "feature": None, "prompt": prompts[number].id, "base": found.values.base,
                    "value": found.values.full, "names": names, "values": values.tolist(),
                }
            )  # fmt: skip
            advance(place + 1)
    return {
        "explanations": pa.Table.from_pylist(rows, schema=EXPLANATIONS),
        "ranks": pa.Table.from_pylist(ranks, schema=RANKS),
    }


def rank_of(values: NDArray[np.float64], places: Sequence[int]) -> int:
    """Rank of the best of some tokens by size; equal sizes share the better rank.

    Parameters
    ----------
    values
        float64 ``[tokens]``.
    places
        Tokens, from 0, at least one.
    """
    sizes = np.abs(values)
    best = float(sizes[list(places)].max())
    return 1 + int((sizes > best * (1 + SAME) + 1e-12).sum())


def prompt_table(setting: Setting, tables: Mapping[str, pa.Table]) -> pa.Table:
    """Put together what is known of each prompt; see `PROMPTS`.

    Parameters
    ----------
    setting
        The study.
    tables
        ``next`` and, where the filter was asked, ``ranks``.
    """
    ranks = {row["prompt"]: row for row in tables["ranks"].to_pylist()} if "ranks" in tables else {}
    known = tables["next"].to_pylist()
    match = {**setting.request.matches, **{b: a for a, b in setting.request.matches.items()}}
    kept = [_kept(setting, number, ranks) for number in range(len(setting.prompts))]
    inside = filtered(setting, [one for one, _ in kept])
    rows = []
    for number, (text, prompt) in enumerate(
        zip(setting.request.prompts, setting.prompts, strict=True)
    ):
        half = "train" if setting.train[number] else "held_out"
        rows.append(
            {
                **known[number], "number": number, "prompt": text.id,
                "set": CONCEPT if setting.concept[number] else CONTROL,
                "match": match.get(text.id), "half": half if setting.used[number] else None,
                "text": text.prompt, "term": setting.request.terms.get(text.id),
                "answer": text.answer, "tokens": len(prompt.tokens) - 1,
                "next": setting.lab.text(known[number]["next"]),
                "term_rank": ranks.get(number, {}).get("term_rank"),
                "kept": kept[number][0], "in_filtered": bool(inside[number]),
                "reason": kept[number][1],
            }
        )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=PROMPTS)


def _kept(
    setting: Setting, number: int, ranks: Mapping[int, Mapping[str, object]]
) -> tuple[bool | None, str]:
    """Whether the filter keeps a prompt, and why."""
    if number not in ranks:
        return None, "has no term" if not setting.term_places[number] else "its term is cut off"
    row, top = ranks[number], setting.request.shap.top
    rank = int(str(row["term_rank"]))
    what = f"its term is number {rank} of {row['tokens']} tokens"
    return (True, what) if rank <= top else (False, f"{what}, behind the first {top}")


def filtered(setting: Setting, kept: Sequence[bool | None]) -> NDArray[np.bool_]:
    """Return the prompts of the filtered contrast, bool ``[prompts]``: of a pair both, or none."""
    inside = np.array([bool(one) for one in kept]) & setting.used
    both = inside[setting.pairs].all(axis=1)
    if len(setting.pairs):
        inside[:] = False
        inside[setting.pairs[both]] = True
    return inside
