"""Attention patterns of prompts, and which features fire where heads look."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from pydantic import Field

from atlas.errors import ModelError
from atlas.progress import SilentReporter
from queries.followups.attention.tables import attention_tables, joined
from queries.followups.evidence import Request, evidence
from queries.followups.lab import PromptText  # noqa: TC001 (pydantic reads it)
from queries.followups.patching.patches import places

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scipy import sparse

    from atlas.lm import LanguageModel
    from atlas.progress import Reporter
    from queries.followups.engine import Prepared
    from queries.followups.evidence import Evidence
    from queries.followups.lab import Lab


class AttentionRequest(Request):
    """Attention patterns.

    Attributes
    ----------
    prompts
        The prompts; answers are not needed.
    layers
        Blocks, from 0; by default all.
    saes
        Keys of the SAEs whose features are joined; by default all.
    query
        From where heads look: 0 is the first token after BOS, -1 the last.
    floor
        Smallest weight that is listed.
    top
        Features of each SAE that are listed, of a position and of a head.
    """

    kind: ClassVar[str] = "attention"

    prompts: tuple[PromptText, ...]
    layers: tuple[int, ...] = ()
    saes: tuple[str, ...] = ()
    query: int = -1
    floor: float = Field(default=0.05, ge=0, le=1)
    top: int = Field(default=5, ge=1)


def run(lab: Lab, request: AttentionRequest, *, reporter: Reporter | None = None) -> Evidence:
    """Read attention patterns.

    Parameters
    ----------
    lab
        The model and its SAEs.
    request
        What to read.
    reporter
        Is told of each step.

    Returns
    -------
    Evidence
        No table of the graph, but ``attention`` (`WEIGHTS`), ``firing``, ``heads`` and
        ``looked_at``.

    Raises
    ------
    CorpusError
        A prompt cannot be used.
    ModelError
        The model has no such layer, or does not give its attention weights.
    NotFoundError
        An SAE is not loaded.
    UsageError
        A prompt has no such position.
    """
    told = reporter or SilentReporter()
    prompts, notes = lab.prompts(request.prompts)
    saes = [key for key in dict.fromkeys(request.saes or lab.saes) if lab.sae(key)]
    lengths = [len(prompt.tokens) for prompt in prompts]
    queries = [
        int(places(length, length, positions="chosen", chosen=(request.query,)).argmax())
        for length in lengths
    ]
    layers = request.layers or tuple(range(lab.model.n_layers))
    prepared = lab.engine.prepare([prompt.tokens for prompt in prompts])
    parts = []
    with told.step("Reading attention", total=len(prompts)) as advance:
        for number, prompt in enumerate(prompts):
            parts.append(
                attention_tables(
                    attention_weights(lab.model, prompt.tokens, layers=layers).numpy(),
                    {key: _codes(prepared, key, number) for key in saes},
                    prompt=prompt.id,
                    tokens=[lab.text(token) for token in prompt.tokens],
                    layers=layers,
                    query=queries[number],
                    request=request,
                )
            )
            advance(number + 1)
    return evidence(lab, request, prompts=request.prompts, tables=joined(parts), notes=notes)


@torch.inference_mode()
def attention_weights(
    model: LanguageModel, tokens: Sequence[int], *, layers: Sequence[int]
) -> torch.Tensor:
    """Return what each head gives each key from each query, as the model itself computes it.

    The model's fused attention keeps no weights: for this pass it uses its plain one.

    Parameters
    ----------
    model
        The language model.
    tokens
        A prompt, BOS first.
    layers
        Blocks, from 0.

    Returns
    -------
    torch.Tensor
        float32 ``[layers, heads, query, key]`` on the CPU; every row sums to 1.

    Raises
    ------
    ModelError
        The model has no such layer, or does not give its weights.
    """
    wrong = [layer for layer in layers if not 0 <= layer < model.n_layers]
    if wrong:
        raise ModelError(f"{model.name} has {model.n_layers} blocks; there is no {wrong[0]}.")
    batch = torch.tensor([list(tokens)], device=model.device)
    with _plain_attention(model):
        out = model.hf_model.base_model(batch, use_cache=False, output_attentions=True).attentions
    if not out or any(out[layer] is None for layer in layers):
        raise ModelError(f"{model.name} does not give its attention weights.")
    return torch.stack([out[layer][0].float().cpu() for layer in layers])


@contextmanager
def _plain_attention(model: LanguageModel) -> Iterator[None]:
    before = model.hf_model.config._attn_implementation
    model.hf_model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.hf_model.set_attn_implementation(before)


def _codes(prepared: Prepared, sae: str, prompt: int) -> sparse.csr_array[np.float32]:
    """Activations of a prompt, ``[positions, d_sae]``; none at BOS.

    BOS draws attention whatever it holds, and SAEs are not made for its stream.
    """
    codes, length = prepared.codes[sae], int(prepared.lengths[prompt])
    rows = codes.values.tocsr()[prompt * codes.positions :][:length]
    kept: sparse.csr_array[np.float32] = rows.multiply(np.arange(length)[:, None] > 0).tocsr()
    kept.eliminate_zeros()
    return kept
