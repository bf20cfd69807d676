"""Sampling many texts at once from the language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

    from atlas.lm import LanguageModel
    from ingest.demo_text.prompts import Slot


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes
    ----------
    temperature, top_k, top_p
        As usual; `top_p` is applied within the `top_k` likeliest tokens.
    penalty
        Taken off the logit of a token once for each time that the text has it already; keeps
        a small model from going round in circles.
    max_new_tokens
        A text longer than this is cut (and then shortened to its last full sentence).
    """

    temperature: float = 0.65
    top_k: int = 50
    top_p: float = 0.9
    penalty: float = 0.5
    max_new_tokens: int = 120


def write(
    model: LanguageModel, batch: Sequence[Slot], *, system: str, sampling: Sampling
) -> list[str]:
    """Let the model answer the prompts of `batch`; one raw text a slot.

    Every slot draws from its own random numbers, so a text does not depend on which others are
    in the batch, except for rounding.
    """
    import torch

    chats = [_chat(model, system, slot) for slot in batch]
    inputs = _pad_left(model, chats)
    uniforms = np.stack(
        [np.random.default_rng(s.seed).random(sampling.max_new_tokens) for s in batch]
    )
    with torch.inference_mode():
        ids = _decode(model, inputs, uniforms, sampling)
    texts = [str(model.tokenizer.decode(row, skip_special_tokens=True)) for row in ids]
    return [(slot.opening + text).strip() for slot, text in zip(batch, texts, strict=True)]


def _chat(model: LanguageModel, system: str, slot: Slot) -> list[int]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": slot.prompt}]
    text: Any = model.tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    ids: list[int] = model.tokenizer(text + slot.opening, add_special_tokens=False)["input_ids"]
    return ids


def _pad_left(model: LanguageModel, chats: Sequence[Sequence[int]]) -> torch.Tensor:
    """int64 ``[batch, position]``; padding is -1, on the left."""
    import torch

    width = max(map(len, chats))
    inputs = torch.full((len(chats), width), -1, dtype=torch.int64)
    for row, chat in enumerate(chats):
        inputs[row, width - len(chat) :] = torch.tensor(chat)
    return inputs.to(model.device)


def _decode(
    model: LanguageModel, inputs: torch.Tensor, uniforms: NDArray[np.float64], sampling: Sampling
) -> list[list[int]]:
    """Return the new token ids of each row; rows that end leave the batch."""
    import torch

    end = model.tokenizer.eos_token_id
    texts: list[list[int]] = [[] for _ in inputs]
    alive = torch.arange(len(inputs), device=inputs.device)
    mask = inputs >= 0
    step_ids, cache = inputs.clamp(min=0), None
    position = (mask.cumsum(-1) - 1).clamp(min=0)
    for step in range(sampling.max_new_tokens):
        out = model.hf_model(
            input_ids=step_ids,
            attention_mask=mask.to(torch.int64),
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = out.past_key_values
        u = torch.from_numpy(uniforms[alive.cpu().numpy(), step]).to(inputs.device)
        logits = out.logits[:, -1].float()
        for row, index in enumerate(alive.tolist()):
            used = torch.tensor(texts[index], dtype=torch.int64, device=logits.device)
            logits[row].index_add_(0, used, torch.full(used.shape, -sampling.penalty))
        token = _draw(logits, u, sampling)
        for row, value in zip(alive.tolist(), token.tolist(), strict=True):
            texts[row].append(value)
        keep = (token != end).nonzero()[:, 0]
        if len(keep) == 0:
            break
        if len(keep) < len(token):
            cache.batch_select_indices(keep)
        alive, token, mask, position = alive[keep], token[keep], mask[keep], position[keep]
        step_ids = token[:, None]
        position = position[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=-1)
    return texts


def _draw(logits: torch.Tensor, u: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Invert the cumulative distribution of each row at `u`.

    Parameters
    ----------
    logits
        float32 ``[batch, vocabulary]``.
    u
        float64 ``[batch]`` in [0, 1).

    Returns
    -------
    torch.Tensor
        int64 ``[batch]``, token ids.
    """
    values, tokens = logits.topk(sampling.top_k, dim=-1)
    shares = (values.double() / sampling.temperature).softmax(-1)
    total = shares.cumsum(-1)
    # The token that crosses top_p stays in; so the likeliest is always there.
    shares = shares.masked_fill(total - shares >= sampling.top_p, 0.0)
    total = shares.cumsum(-1)
    chosen = (total > u[:, None] * total[:, -1:]).to(tokens.dtype).argmax(-1)
    return tokens.gather(1, chosen[:, None])[:, 0]
