"""A check, before anything expensive, that a model and an SAE belong together."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch

from atlas.errors import ModelError
from ingest.blocks import batches, keep_mask, tokenize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.lm import LanguageModel
    from atlas.recipe import TokensSection
    from atlas.saes import LoadedSae

#: Above this share of unexplained variance an SAE is taken for another model's or another hook's.
FOREIGN = 0.8


@dataclass(frozen=True)
class SaeFigures:
    """How an SAE does on a sample of text, sink positions masked.

    Attributes
    ----------
    positions
        Unmasked positions measured.
    unexplained
        Fraction of variance unexplained: squared error over squared distance from the mean.
    l0
        Mean number of latents that fire at a position.
    silent
        Share of latents that fire nowhere in the sample (an upper bound of the dead share).
    notes
        Where a figure differs from what the SAE declares, one line each.
    """

    positions: int
    unexplained: float
    l0: float
    silent: float
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return the figures as a JSON object."""
        return asdict(self)


def check_shapes(model: LanguageModel, sae: LoadedSae) -> None:
    """Raise `ModelError` unless the hook exists in the model and the widths agree."""
    if sae.hook.depth > model.n_layers:
        raise ModelError(
            f"SAE {sae.name} reads {sae.hook.name}, but {model.name} has {model.n_layers} blocks.",
            hint="Choose an SAE of this model.",
        )
    if sae.sae.cfg.d_in != model.d_model:
        raise ModelError(
            f"SAE {sae.name} has input width {sae.sae.cfg.d_in}, the residual stream of "
            f"{model.name} has {model.d_model}.",
            hint="Choose an SAE of this model.",
        )


@torch.inference_mode()
def measure(
    model: LanguageModel,
    sae: LoadedSae,
    texts: Sequence[str],
    *,
    options: TokensSection,
    max_blocks: int = 12,
) -> SaeFigures:
    """Measure an SAE on the first blocks of `texts`.

    Raises
    ------
    ModelError
        The shapes do not fit, nothing fires, activations are not finite, or more than
        `FOREIGN` of the variance is unexplained.
    """
    check_shapes(model, sae)
    blocks = []
    for block in tokenize(
        texts, model.tokenizer, context_size=options.context_size, bos=model.bos_token_id
    ):
        blocks.append(block)
        if len(blocks) == max_blocks:
            break
    kept = []
    for batch in batches(blocks, batch_tokens=options.batch_tokens, pad=model.bos_token_id):
        stream = model.residuals(batch.tokens, [sae.hook.name])[sae.hook.name]
        keep = keep_mask(
            stream,
            batch.lengths,
            skip_positions=options.skip_positions,
            sink_ratio=options.sink_ratio,
        )
        kept.append(stream[keep].float())
    if not kept or sum(map(len, kept)) == 0:
        raise ModelError("The text holds no position that is not masked.")
    figures = _figures(sae, torch.cat(kept))
    _refuse_foreign(model, sae, figures)
    return figures


def _figures(sae: LoadedSae, stream: torch.Tensor) -> SaeFigures:
    if not bool(torch.isfinite(stream).all()):
        raise ModelError(f"Activations at {sae.hook.name} are not finite.", hint="Try float32.")
    acts = sae.sae.encode(stream)
    error = (stream - sae.sae.decode(acts)).pow(2).sum()
    unexplained = float(error / (stream - stream.mean(dim=0)).pow(2).sum())
    fires = acts > 0
    l0 = float(fires.sum(dim=-1).float().mean())
    silent = float((~fires.any(dim=0)).float().mean())
    notes = []
    declared = getattr(sae.sae.cfg, "k", None) or sae.sae.cfg.metadata.l0
    if declared and abs(l0 - declared) > 0.25 * declared:
        notes.append(f"{l0:.1f} latents fire at a position, the SAE declares {declared:.1f}")
    return SaeFigures(len(stream), unexplained, l0, silent, tuple(notes))


def _refuse_foreign(model: LanguageModel, sae: LoadedSae, figures: SaeFigures) -> None:
    if figures.l0 == 0:
        raise ModelError(f"No latent of SAE {sae.name} fires on {figures.positions} positions.")
    if figures.unexplained > FOREIGN:
        declared = sae.sae.cfg.metadata.model_name
        raise ModelError(
            f"SAE {sae.name} (of {declared}, {sae.hook.name}) leaves {figures.unexplained:.0%} of "
            f"the variance of {model.name} unexplained: they do not belong together.",
            hint="Check the model, the hook and the model's processing (weights are used as they "
            "are, without folding).",
        )
