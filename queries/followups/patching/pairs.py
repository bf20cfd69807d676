"""Pairs of prompts, clean and corrupt, and metrics of both and of what lies between."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from atlas.errors import UsageError
from ingest.attribution.metrics import Targets
from queries.followups.lab import PromptText
from queries.followups.metrics import MEASURES, check_metrics, check_prompts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from queries.followups.engine import Prepared
    from queries.followups.lab import Lab, TaskPrompt

    Floats = NDArray[np.float64]

Direction = Literal["denoise", "noise"]


@dataclass(frozen=True)
class Pairs:
    """Clean prompts and their corrupt counterparts, in tokens.

    Both of a pair are scored on the clean one's target and foils. In `Prepared` the clean prompts
    come first, then the corrupt ones.

    Attributes
    ----------
    clean, corrupt
        Prompts, pair by pair.
    texts
        All of them as written, in the order of `Prepared`.
    notes
        What was done to answers, one line each.
    direction
        ``denoise`` patches corrupt prompts with clean values, ``noise`` clean ones with corrupt.
    """

    clean: tuple[TaskPrompt, ...]
    corrupt: tuple[TaskPrompt, ...]
    texts: tuple[PromptText, ...]
    notes: tuple[str, ...]
    direction: Direction = "denoise"

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.clean)

    @property
    def prompts(self) -> tuple[TaskPrompt, ...]:
        """All prompts, in the order of `Prepared`."""
        return self.clean + self.corrupt

    def base(self, pair: int) -> int:
        """Return the number of the prompt of a pair that is patched."""
        return pair if self.direction == "noise" else len(self) + pair

    def source(self, pair: int) -> int:
        """Return the number of the prompt of a pair whose values are taken."""
        return pair if self.direction == "denoise" else len(self) + pair


def pair_prompts(
    lab: Lab,
    clean: Sequence[PromptText],
    corrupt: Sequence[str],
    *,
    direction: Direction = "denoise",
    needs_foils: bool = False,
) -> Pairs:
    """Tokenise pairs of prompts.

    Raises
    ------
    CorpusError
        A prompt cannot be used; see `Lab.prompts`.
    UsageError
        There are not as many corrupt prompts as clean ones, or two of a pair differ in their
        number of tokens. Every such pair is named.
    """
    if len(clean) != len(corrupt):
        raise UsageError(
            f"There are {len(clean)} clean prompts and {len(corrupt)} corrupt ones.",
            hint="Give one corrupt prompt for each clean one, in the same order.",
        )
    first, notes = lab.prompts(clean, needs_foils=needs_foils)
    others = [
        PromptText(id=f"{text.id} (corrupt)", prompt=other, group=text.group)
        for text, other in zip(clean, corrupt, strict=True)
    ]
    texts = (*clean, *others)
    second = [
        replace(other, target=one.target, foils=one.foils)
        for one, other in zip(first, lab.prompts(texts)[0][len(first) :], strict=True)
    ]
    unequal = [
        f"{one.id}: {len(one.tokens) - 1} and {len(other.tokens) - 1}"
        for one, other in zip(first, second, strict=True)
        if len(one.tokens) != len(other.tokens)
    ]
    if unequal:
        raise UsageError(
            f"{len(unequal)} of {len(first)} pairs differ in their number of tokens after BOS "
            f"({'; '.join(unequal[:20])}).",
            hint="Change a word for one of as many tokens.",
        )
    return Pairs(tuple(first), tuple(second), texts, tuple(notes), direction)


def check_last_metrics(metrics: Sequence[str], prompts: Sequence[TaskPrompt]) -> None:
    """Raise `UsageError` where a metric is not of the last token, or lacks a target or a foil."""
    check_metrics(metrics)
    if "perplexity" in metrics:
        raise UsageError(
            "Patching measures the last token; perplexity is over all.",
            hint=f"Metrics: {', '.join(MEASURES)}.",
        )
    check_prompts(metrics, prompts)


def targets(prompts: Sequence[TaskPrompt], device: torch.device) -> Targets:
    """Return the tokens that prompts are scored on; 0 where one has no target."""
    most = max(1, *(len(prompt.foils) for prompt in prompts))
    foils = [[*prompt.foils, *[0] * (most - len(prompt.foils))] for prompt in prompts]
    known = [[k < len(prompt.foils) for k in range(most)] for prompt in prompts]
    answer = [prompt.target or 0 for prompt in prompts]
    return Targets(*(torch.tensor(x, device=device) for x in (answer, foils, known)))


def measured(
    logits: torch.Tensor,
    reference: torch.Tensor,
    *,
    prompts: Sequence[TaskPrompt],
    metrics: Sequence[str],
) -> Floats:
    """Return metrics ``[n, metrics]``, NaN where logits are not finite.

    Parameters
    ----------
    logits
        float32 ``[n, vocabulary]``.
    reference
        Of the same shape; what ``kl`` is from.
    prompts
        Prompt of each row.
    metrics
        Names of metrics of the last token.
    """
    of = targets(prompts, logits.device)
    found = torch.stack([MEASURES[name](logits, reference, of) for name in metrics], dim=1)
    values: Floats = found.double().cpu().numpy()
    values[~torch.isfinite(logits).all(dim=1).cpu().numpy()] = np.nan
    return values


def measured_at_rest(prepared: Prepared, pairs: Pairs, *, metrics: Sequence[str]) -> Floats:
    """Return metrics of all prompts without a patch, ``[prompts, metrics]``.

    ``kl`` is from the clean prompt of each.
    """
    reference = [k % len(pairs) for k in range(len(pairs.prompts))]
    last = prepared.logits
    return measured(last, last[reference], prompts=pairs.prompts, metrics=metrics)
