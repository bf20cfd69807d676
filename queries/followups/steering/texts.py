"""Texts that the model wrote, unsteered beside steered, with how fluent they are.

A text that was steered too hard repeats itself or falls apart. Two figures show it: the share of
its pairs of tokens that are different, and the mean log probability that the unsteered model gives
its tokens, which falls where it would not have written them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pyarrow as pa
import torch

from atlas.resume import clean_pass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atlas.lm import LanguageModel
    from queries.followups.lab import TaskPrompt
    from queries.followups.steering.generation import Continuation, Which

TEXTS = pa.schema(
    [
        pa.field("set", pa.string(), nullable=False),
        pa.field("strength", pa.float64(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("sample", pa.int64(), nullable=False),
        pa.field("unsteered", pa.string(), nullable=False),
        pa.field("steered", pa.string(), nullable=False),
        pa.field("tokens_unsteered", pa.int64(), nullable=False),
        pa.field("tokens_steered", pa.int64(), nullable=False),
        pa.field("log_probability_unsteered", pa.float64()),
        pa.field("log_probability_steered", pa.float64()),
        pa.field("distinct_unsteered", pa.float64()),
        pa.field("distinct_steered", pa.float64()),
        pa.field("flag", pa.string()),
    ]
)
"""A row an arm, prompt and sample. ``log_probability`` is the mean over a text's tokens, in nats,
by the unsteered model; ``distinct`` the share of different pairs of neighbouring tokens among them;
null where the text is too short. ``flag`` is ``not_finite`` where the steered text breaks off."""

#: Logits that are held at a time: 128 MiB.
_CELLS = 1 << 25


def texts_table(
    model: LanguageModel,
    prompts: Sequence[TaskPrompt],
    arms: Sequence[tuple[str, float]],
    found: Mapping[Which, Continuation],
    *,
    batch_tokens: int,
) -> pa.Table:
    """Put texts side by side.

    Parameters
    ----------
    model
        The language model.
    prompts
        The prompts.
    arms
        Set and strength of arms 1, 2, ...; arm 0 is the unsteered one.
    found
        What was written, by arm, prompt and sample.
    batch_tokens
        Most padded tokens in a pass.

    Returns
    -------
    pyarrow.Table
        Columns of `TEXTS`.
    """
    different = list(dict.fromkeys((p, text.tokens) for (_, p, _), text in found.items()))
    pairs = [(prompts[p].tokens, tokens) for p, tokens in different]
    likely = dict(zip(different, log_probabilities(model, pairs, batch_tokens), strict=True))
    rows = []
    for (arm, p, sample), text in sorted(found.items()):
        if arm == 0:
            continue
        name, strength = arms[arm - 1]
        row = {"set": name, "strength": strength, "prompt": prompts[p].id, "sample": sample}
        for side, one in (("unsteered", found[0, p, sample]), ("steered", text)):
            row[side] = str(model.tokenizer.decode(one.tokens))
            row[f"tokens_{side}"] = len(one.tokens)
            row[f"log_probability_{side}"] = likely[p, one.tokens]
            row[f"distinct_{side}"] = distinct_pairs(one.tokens)
        rows.append({**row, "flag": None if text.finite else "not_finite"})
    return pa.Table.from_pylist(rows, schema=TEXTS)


def distinct_pairs(tokens: Sequence[int]) -> float | None:
    """Share of different ones among a text's pairs of neighbours; None below two tokens."""
    pairs = list(pairwise(tokens))
    return len({*pairs}) / len(pairs) if pairs else None


def log_probabilities(
    model: LanguageModel,
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    batch_tokens: int,
) -> list[float | None]:
    """Mean log probability, in nats, of the tokens that follow each prompt; None without any.

    Parameters
    ----------
    model
        The language model.
    pairs
        A prompt's tokens, BOS first, and those that follow.
    batch_tokens
        Most padded tokens in a pass.
    """
    found: list[float | None] = [None] * len(pairs)
    real = [number for number, (_, after) in enumerate(pairs) if after]
    longest = max((len(pairs[number][1]) for number in real), default=1)
    size = max(1, _CELLS // int(model.hf_model.config.vocab_size) // longest)
    for first in range(0, len(real), size):
        some = real[first : first + size]
        whole = [[*pairs[number][0], *pairs[number][1]] for number in some]
        starts = [len(pairs[number][0]) for number in some]
        reads = [range(at - 1, len(w) - 1) for at, w in zip(starts, whole, strict=True)]
        depths = [model.n_layers]  # nothing is resumed, so no keys and values need be kept
        _, logits = clean_pass(model, whole, depths=depths, reads=reads, batch_tokens=batch_tokens)
        follow = [token for number in some for token in pairs[number][1]]
        index = torch.tensor(follow, device=logits.device)[:, None]
        likely = logits.log_softmax(dim=1).gather(1, index)[:, 0]
        parts = torch.split(likely, [len(read) for read in reads])
        for number, part in zip(some, parts, strict=True):
            found[number] = float(part.double().mean())
    return found
