"""Attributions of every feature of every SAE for a whole prompt set, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from atlas.gradients import metric_gradients
from atlas.progress import Reporter, SilentReporter
from ingest.attribution.aggregate import aggregate, join
from ingest.attribution.features import feature_attributions, reconstruct
from ingest.attribution.metrics import Targets, get_metric
from ingest.blocks import batches, keep_mask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from atlas.gradients import Edit, MetricGradients
    from atlas.lm import LanguageModel
    from atlas.saes import LoadedSae
    from ingest.attribution.aggregate import PromptAttributions
    from ingest.attribution.features import FeatureAttributions
    from ingest.attribution.options import AttributionOptions
    from ingest.attribution.tokens import TokenisedPrompts
    from ingest.blocks import Batch

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SetAttributions:
    """Attributions of a prompt set.

    Attributes
    ----------
    entries
        Aggregated attributions. Feature ``offsets[s] + index`` is latent ``index`` of SAE s.
    offsets
        int64 ``[SAEs + 1]``.
    score
        float64 ``[prompts]``, the metric.
    features, bias, error, total
        float64 ``[SAEs, prompts]``: sums over unmasked positions (never aggregated otherwise) of
        the features' attributions, of the bias', the error's, and of stream times gradient.
    masked
        Positions masked as attention sinks.
    """

    entries: PromptAttributions
    offsets: NDArray[np.int64]
    score: Floats
    features: Floats
    bias: Floats
    error: Floats
    total: Floats
    masked: int


def attribute_prompts(
    model: LanguageModel,
    saes: Sequence[LoadedSae],
    prompts: TokenisedPrompts,
    *,
    options: AttributionOptions,
    reporter: Reporter | None = None,
) -> SetAttributions:
    """Attribute a metric to the features of some SAEs, one pass for all of them.

    The metric is taken at each prompt's last token. BOS, padding and attention sinks (positions
    whose norm at the deepest hook exceeds ``options.sink_ratio`` times the prompt's median) are
    masked. With ``options.steps`` the gradient is averaged along the path on which one SAE's
    activations grow from 0 to what they are, its bias and error staying (integrated gradients);
    each SAE then takes as many more passes.

    Raises
    ------
    ModelError
        The metric or a gradient is not finite, or a hook does not exist.
    UsageError
        There is no such metric.
    """
    size = len(prompts.blocks)
    offsets = np.cumsum([0, *(sae.d_sae for sae in saes)])
    sums = np.zeros((4, len(saes), size))
    score = np.zeros(size)
    parts: list[PromptAttributions] = []
    masked = done = 0
    with (reporter or SilentReporter()).step("attributing (prompts)", size) as advance:
        for batch in batches(
            prompts.blocks, batch_tokens=options.batch_tokens, pad=model.bos_token_id
        ):
            run = _BatchRun(model, saes, batch=batch, prompts=prompts, options=options)
            score[run.numbers] = run.clean.score.cpu().numpy()
            masked += run.masked
            for s, sae in enumerate(saes):
                found = feature_attributions(sae, *run.at(sae))
                parts.append(run.aggregate(found, int(offsets[s])))
                sums[:, s, run.numbers] = run.sums(found)
            done += len(run.numbers)
            advance(done)
    features, bias, error, total = sums
    return SetAttributions(
        join(parts),
        offsets,
        score,
        features=features,
        bias=bias,
        error=error,
        total=total,
        masked=masked,
    )


class _BatchRun:
    """One batch of prompts: the pass through the model, the mask, and sums by prompt."""

    def __init__(
        self,
        model: LanguageModel,
        saes: Sequence[LoadedSae],
        *,
        batch: Batch,
        prompts: TokenisedPrompts,
        options: AttributionOptions,
    ) -> None:
        self.model, self.batch, self.options = model, batch, options
        self.numbers = np.array([block.document for block in batch.blocks])
        score, targets = get_metric(options.metric).score, self._targets(prompts)
        self._score = lambda logits: score(logits, targets)
        self.clean = self._gradients([sae.hook.name for sae in saes])
        self._mask(self.clean.streams[max(saes, key=lambda sae: sae.hook.depth).hook.name])

    def at(self, sae: LoadedSae) -> tuple[torch.Tensor, torch.Tensor]:
        """Stream and gradient at the unmasked positions of an SAE's hook."""
        hook = sae.hook.name
        stream = self.clean.streams[hook][self.keep]
        if self.options.steps == 0:
            return stream, self.clean.gradients[hook][self.keep]
        return stream, self._path_gradient(sae, stream)

    def aggregate(self, found: FeatureAttributions, offset: int) -> PromptAttributions:
        """One number a prompt and feature."""
        return aggregate(
            self.numbers[self.row[found.row]],
            self.column[found.row],
            found.index + offset,
            found.value,
            how=self.options.aggregation,
        )

    def sums(self, found: FeatureAttributions) -> Floats:
        """Sum over positions, ``[4, prompts]``: features, bias, error, total."""
        size = len(self.numbers)
        features = np.bincount(self.row[found.row], weights=found.value, minlength=size)
        others = [
            np.bincount(self.row, weights=values, minlength=size)
            for values in (found.bias, found.error, found.total)
        ]
        return np.stack([features, *others])

    def _targets(self, prompts: TokenisedPrompts) -> Targets:
        foils = [prompts.foils[n] for n in self.numbers]
        most = max(1, *(len(f) for f in foils))
        padded = torch.tensor([[*f, *([0] * (most - len(f)))] for f in foils])
        is_foil = torch.tensor([[k < len(f) for k in range(most)] for f in foils])
        answer = torch.tensor([prompts.answers[n] for n in self.numbers])
        return Targets(*(x.to(self.model.device) for x in (answer, padded, is_foil)))

    def _mask(self, stream: torch.Tensor) -> None:
        """Mark positions that count; a prompt's mask does not depend on its batch."""
        o, lengths = self.options, self.batch.lengths
        rows = [
            keep_mask(
                stream[r : r + 1],
                lengths[r : r + 1],
                skip_positions=o.skip_positions,
                sink_ratio=o.sink_ratio,
            )
            for r in range(len(lengths))
        ]
        self.keep = torch.cat(rows)
        self.row, self.column = (x.cpu().numpy() for x in self.keep.nonzero(as_tuple=True))
        self.masked = int((lengths - o.skip_positions).clamp(min=0).sum()) - len(self.row)

    def _gradients(
        self, hooks: Sequence[str], edits: Mapping[str, Edit] | None = None
    ) -> MetricGradients:
        return metric_gradients(
            self.model,
            self.batch.tokens,
            lengths=self.batch.lengths,
            hooks=hooks,
            metric=self._score,
            edits=edits,
        )

    def _path_gradient(self, sae: LoadedSae, stream: torch.Tensor) -> torch.Tensor:
        """Mean gradient along the path, at the midpoints of equal steps."""
        hook, steps = sae.hook.name, self.options.steps
        whole = stream - reconstruct(sae, stream, scale=1.0)
        total = torch.zeros_like(stream, dtype=torch.float32)
        for step in range(steps):
            moved = whole + reconstruct(sae, stream, scale=(step + 0.5) / steps)

            def put(plain: torch.Tensor, moved: torch.Tensor = moved) -> torch.Tensor:
                changed = plain.clone()
                changed[self.keep] = moved.to(plain.dtype)
                return changed

            total += self._gradients([hook], {hook: put}).gradients[hook][self.keep].float()
        return total / steps
