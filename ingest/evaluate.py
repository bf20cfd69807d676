"""How good an SAE is on text that it was not trained on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from ingest.blocks import batches, keep_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.lm import LanguageModel
    from atlas.progress import Advance
    from atlas.saes import LoadedSae
    from ingest.blocks import TokenBlock


@dataclass(frozen=True)
class SaeQuality:
    """Figures over unmasked positions (BOS and attention sinks are masked and left as they are).

    Attributes
    ----------
    positions
        Positions measured.
    unexplained
        Fraction of variance unexplained.
    loss_recovered
        1 - (loss with reconstructions - loss) / (loss with means - loss): the mean activation is
        the baseline. Next-token cross-entropy, in nats.
    loss, loss_reconstructed, loss_mean
        The three losses.
    l0
        Mean number of latents that fire at a position.
    dead
        Share of latents that fired nowhere.
    """

    positions: int
    unexplained: float
    loss_recovered: float
    loss: float
    loss_reconstructed: float
    loss_mean: float
    l0: float
    dead: float

    def to_json(self) -> dict[str, float]:
        """Return the figures as a JSON object."""
        return asdict(self)


@torch.inference_mode()
def evaluate(
    model: LanguageModel,
    sae: LoadedSae,
    blocks: Sequence[TokenBlock],
    *,
    batch_tokens: int = 2048,
    advance: Advance | None = None,
) -> SaeQuality:
    """Measure an SAE on held-out token blocks (two passes; the first finds the mean).

    Parameters
    ----------
    model, sae
        They belong together (see `ingest.preflight`).
    blocks
        Token blocks that the SAE has not seen.
    batch_tokens
        Tokens a forward pass.
    advance
        Told the number of batches done.
    """
    made = list(batches(blocks, batch_tokens=batch_tokens, pad=model.bos_token_id))
    total = torch.zeros(model.d_model, dtype=torch.float64)
    count = 0
    for batch in made:
        stream = model.residuals(batch.tokens, [sae.hook.name])[sae.hook.name]
        kept = stream[keep_mask(stream, batch.lengths)].double().cpu()
        total += kept.sum(dim=0)
        count += len(kept)
    mean = (total / max(count, 1)).float()
    sums = _Sums(sae.d_sae)
    for done, batch in enumerate(made, start=1):
        _measure(model, sae, batch.tokens, batch.lengths, mean, sums)
        if advance is not None:
            advance(done, len(made))
    return sums.result()


class _Sums:
    def __init__(self, d_sae: int) -> None:
        self.error = self.variance = self.fired = 0.0
        self.positions = self.predictions = 0
        self.losses = [0.0, 0.0, 0.0]
        self.ever = torch.zeros(d_sae, dtype=torch.bool)

    def result(self) -> SaeQuality:
        clean, reconstructed, mean = (x / max(self.predictions, 1) for x in self.losses)
        return SaeQuality(
            positions=self.positions,
            unexplained=self.error / self.variance,
            loss_recovered=1 - (reconstructed - clean) / (mean - clean),
            loss=clean,
            loss_reconstructed=reconstructed,
            loss_mean=mean,
            l0=self.fired / self.positions,
            dead=float((~self.ever).float().mean()),
        )


def _measure(
    model: LanguageModel,
    sae: LoadedSae,
    tokens: torch.Tensor,
    lengths: torch.Tensor,
    mean: torch.Tensor,
    sums: _Sums,
) -> None:
    stream = model.residuals(tokens, [sae.hook.name])[sae.hook.name]
    keep = keep_mask(stream, lengths)
    x = stream[keep].float()
    acts = sae.sae.encode(x)
    decoded = sae.sae.decode(acts)
    sums.error += float((x - decoded).pow(2).sum())
    sums.variance += float((x - mean).pow(2).sum())
    sums.fired += float((acts > 0).sum())
    sums.ever |= (acts > 0).any(dim=0).cpu()
    sums.positions += len(x)
    real = torch.arange(tokens.shape[1] - 1)[None, :] < (lengths - 1)[:, None]
    sums.predictions += int(real.sum())
    for which, replacement in enumerate((None, decoded, mean.expand_as(x))):
        edit = None if replacement is None else _replacing(keep, replacement)
        logits = model.logits(tokens, hook=sae.hook.name, edit=edit)
        chosen = logits[:, :-1][real].float()
        sums.losses[which] += float(
            functional.cross_entropy(chosen, tokens[:, 1:][real].to(chosen.device), reduction="sum")
        )


def _replacing(keep: torch.Tensor, values: torch.Tensor):  # type: ignore[no-untyped-def]
    def edit(stream: torch.Tensor) -> torch.Tensor:
        changed = stream.clone()
        changed[keep] = values.to(stream.dtype)
        return changed

    return edit
