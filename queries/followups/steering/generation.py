"""Texts side by side: what the model writes on, unsteered and steered, with one luck for both."""

from __future__ import annotations

import zlib
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse

from atlas.errors import UsageError
from atlas.hooks import editing
from atlas.progress import Reporter, SilentReporter
from atlas.resume import depth_hook
from queries.followups.changes import Change, resolve
from queries.followups.codes import Codes
from queries.followups.packing import Row
from queries.followups.steering.drawing import Draw
from queries.followups.steering.texts import texts_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from queries.followups.engine import Engine, Prepared
    from queries.followups.interventions import Arm
    from queries.followups.lab import Lab, TaskPrompt
    from queries.followups.steering.drawing import GenerationSettings


@dataclass(frozen=True)
class Continuation:
    """What the model wrote.

    Attributes
    ----------
    tokens
        Without the one that ends a text.
    finite
        False where logits were not, and the text breaks off.
    """

    tokens: tuple[int, ...]
    finite: bool


#: Number of an arm, prompt and sample.
Which = tuple[int, int, int]


def side_by_side(
    lab: Lab,
    prompts: Sequence[TaskPrompt],
    arms: Mapping[tuple[str, float], Arm],
    settings: GenerationSettings,
    *,
    reporter: Reporter | None = None,
) -> pa.Table:
    """Let the model write on unsteered and with each arm.

    Parameters
    ----------
    lab
        The model with its SAEs.
    prompts
        The prompts.
    arms
        Set and strength to what is done.
    settings
        How.
    reporter
        Told how far it is.

    Returns
    -------
    pyarrow.Table
        Columns of `queries.followups.steering.texts.TEXTS`, a row an arm, prompt and sample.
    """
    tokens = [prompt.tokens for prompt in prompts]
    found = generate(lab.engine, tokens, [(), *arms.values()], settings, reporter=reporter)
    return texts_table(lab.model, prompts, [*arms], found, batch_tokens=lab.engine.batch_tokens)


def generate(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    arms: Sequence[Arm],
    settings: GenerationSettings,
    *,
    reporter: Reporter | None = None,
) -> dict[Which, Continuation]:
    """Write on from every prompt in every arm; an empty arm is unsteered.

    Interventions at ``all`` positions and where features are ``firing`` go on at the tokens that
    are written; ``first``, ``last`` and ``chosen`` ones are places of the prompt. ``local_max`` is
    the prompt's.

    Returns
    -------
    dict
        Numbers of arm, prompt and sample to what was written.

    Raises
    ------
    UsageError
        There is no prompt, or prompt and text are longer than the model reads.
    """
    for arm in arms:
        if arm:
            engine.check(arm)
    check_room(engine, prompts, settings.max_new_tokens)
    prepared = engine.prepare(prompts)
    codes = {key: _wider(some, settings.max_new_tokens) for key, some in prepared.codes.items()}
    rows: dict[Which, Row] = {}
    for a, arm in enumerate(arms):
        for p in range(len(prompts)):
            changes = _changes(engine, prepared, arm, p, codes)
            for sample in range(settings.n):
                length = int(prepared.lengths[p])
                rows[a, p, sample] = Row(len(rows), p, length, 0, None, changes)
    found: dict[Which, Continuation] = {}
    with (reporter or SilentReporter()).step("writing (texts)", len(rows)) as advance:
        for batch in _batches(rows, engine.batch_tokens, settings.max_new_tokens):
            lucks = [_luck(settings.seed, sample, prompts[p]) for _, p, sample in batch]
            start = [prompts[p] for _, p, _ in batch]
            some = [rows[which] for which in batch]
            texts = _written(engine, start, some, settings, lucks)
            found.update(zip(batch, texts, strict=True))
            advance(len(found))
    return found


def check_room(engine: Engine, prompts: Sequence[Sequence[int]], more: int) -> None:
    """Raise `UsageError` where a prompt and `more` tokens are longer than the model reads."""
    longest = getattr(engine.model.hf_model.config, "max_position_embeddings", None)
    for number, prompt in enumerate(prompts):
        if longest and len(prompt) + more > longest:
            raise UsageError(
                f"Prompt {number} has {len(prompt)} tokens with BOS; with {more} more it is longer "
                f"than the {longest} that the model reads.",
                hint="Lower max_new_tokens.",
            )


def _wider(codes: Codes, more: int) -> Codes:
    """Return the same activations with room for more positions, at which nothing fires."""
    row, place = np.divmod(codes.values.indices, codes.positions)
    width = codes.positions + more
    parts = (codes.values.data, row * width + place, codes.values.indptr)
    shape = (codes.rows * width, codes.values.shape[1])
    return Codes(sparse.csc_array(parts, shape=shape), codes.rows, width)


def _changes(
    engine: Engine, prepared: Prepared, arm: Arm, prompt: int, codes: Mapping[str, Codes]
) -> dict[int, list[Change]]:
    """Return changes by depth, which go on at the tokens that follow the prompt."""
    changes: dict[int, list[Change]] = {}
    for what in arm:
        for sae in what.saes:
            change = resolve(what, sae, prompt=prompt, lengths=prepared.lengths, codes=codes[sae])
            places = change.places.copy()
            places[int(prepared.lengths[prompt]) :] = what.positions in {"all", "firing"}
            depth = engine.saes[sae].hook.depth
            changes.setdefault(depth, []).append(replace(change, places=places))
    return changes


def _batches(rows: Mapping[Which, Row], batch_tokens: int, more: int) -> Iterator[list[Which]]:
    """Group rows of one length, which then need no padding, a prompt's next to each other."""
    batch: list[Which] = []
    for which, row in sorted(rows.items(), key=lambda item: (item[1].length, item[0][1])):
        full = (len(batch) + 1) * (row.length + more) > batch_tokens
        if batch and (full or row.length != rows[batch[0]].length):
            yield batch
            batch = []
        batch.append(which)
    if batch:
        yield batch


def _luck(seed: int, sample: int, prompt: Sequence[int]) -> tuple[int, int, int]:
    """Seed of a sample's noise: that of the tokens themselves, whatever else is in the batch."""
    return seed, sample, zlib.crc32(np.array(prompt, np.int64).tobytes())


@torch.inference_mode()
def _written(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    rows: Sequence[Row],
    settings: GenerationSettings,
    lucks: Sequence[tuple[int, int, int]],
) -> list[Continuation]:
    """Write on from prompts of one length."""
    draw = Draw(settings, lucks)
    end = engine.model.tokenizer.eos_token_id
    tokens: list[list[int]] = [[] for _ in rows]
    finite, open_ = [True] * len(rows), set(range(len(rows)))
    for logits in _steps(engine, prompts, rows, draw):
        fine = torch.isfinite(logits).all(dim=1).tolist()
        for row in sorted(open_):
            token = draw.last[row]
            finite[row] = fine[row]
            if not fine[row] or token == end:
                open_.discard(row)
            else:
                tokens[row].append(token)
        if not open_:
            break
    return [Continuation(tuple(some), fine) for some, fine in zip(tokens, finite, strict=True)]


def _steps(
    engine: Engine, prompts: Sequence[Sequence[int]], rows: Sequence[Row], draw: Draw
) -> Iterator[torch.Tensor]:
    """Yield the logits ``[rows, vocabulary]`` of each step, once its tokens are drawn."""
    from transformers import DynamicCache

    model, cache, start = engine.model, DynamicCache(), 0
    tokens = torch.tensor([list(prompt) for prompt in prompts], device=model.device)
    depths = sorted({depth for row in rows for depth in row.changes})
    head: torch.nn.Module = model.hf_model.get_output_embeddings()
    for _ in range(draw.settings.max_new_tokens):
        with ExitStack() as attached:
            last = head.register_forward_pre_hook(lambda _, args: (args[0][:, -1:], *args[1:]))
            attached.callback(last.remove)
            for depth in depths:
                point = depth_hook(depth, len(model.blocks))
                edit = engine.edit(rows, depth, start)
                attached.callback(editing(model.blocks, point, edit).remove)
            output = model.hf_model(tokens, past_key_values=cache, use_cache=True)
        start += tokens.shape[1]
        logits: torch.Tensor = output.logits[:, -1].float()
        tokens = draw(logits)[:, None]
        yield logits
