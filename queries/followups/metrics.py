"""What is measured of logits, with an intervention and without.

Metrics of the last token take logits ``[n, vocabulary]`` in float32, those without the
intervention and the tokens that prompts are scored on, and give ``[n]``. `perplexity` is over all
tokens of a prompt and is computed by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingest.attribution.metrics import Targets
    from queries.followups.lab import TaskPrompt

    Measure = Callable[[torch.Tensor, torch.Tensor, Targets], torch.Tensor]

#: Logits that the entropy is of.
TOP = 10


def _target(values: torch.Tensor, targets: Targets) -> torch.Tensor:
    return values.gather(1, targets.answer[:, None])[:, 0]


def rank(logits: torch.Tensor, _clean: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Tokens with a larger logit than the target, plus one."""
    larger = logits > _target(logits, targets)[:, None]
    return 1.0 + larger.sum(dim=1).float()


def logit(logits: torch.Tensor, _clean: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Logit of the target."""
    return _target(logits, targets)


def probability(logits: torch.Tensor, _clean: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Probability of the target."""
    return _target(logits.softmax(dim=1), targets)


def logit_difference(logits: torch.Tensor, _clean: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Logit of the target minus the mean logit of the foils; NaN where there is no foil."""
    foils = (logits.gather(1, targets.foils) * targets.is_foil).sum(dim=1)
    return _target(logits, targets) - foils / targets.is_foil.sum(dim=1)


def entropy_top10(logits: torch.Tensor, _clean: torch.Tensor, _targets: Targets) -> torch.Tensor:
    """Entropy, in nats, of the softmax over the ten largest logits."""
    log = logits.topk(min(TOP, logits.shape[1]), dim=1).values.log_softmax(dim=1)
    return -(log.exp() * log).sum(dim=1)


def kl(logits: torch.Tensor, clean: torch.Tensor, _targets: Targets) -> torch.Tensor:
    """KL divergence, in nats, of the steered distribution from the unsteered one."""
    before, after = clean.log_softmax(dim=1), logits.log_softmax(dim=1)
    return (before.exp() * (before - after)).sum(dim=1)


def perplexity(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Exponential of the mean negative log probability of the tokens that follow, a scalar.

    Parameters
    ----------
    logits
        ``[positions, vocabulary]``, at positions from BOS to the last but one.
    tokens
        int64 ``[positions]``, what follows each.
    """
    return torch.nn.functional.cross_entropy(logits, tokens).exp()


#: Metrics of the last token, by name.
MEASURES: dict[str, Measure] = {
    "rank": rank,
    "logit": logit,
    "probability": probability,
    "logit_diff": logit_difference,
    "entropy_top10": entropy_top10,
    "kl": kl,
}
#: Names of all metrics.
METRICS = (*MEASURES, "perplexity")
#: Those that need no target.
WITHOUT_TARGET = ("entropy_top10", "kl", "perplexity")


def check_metrics(names: Sequence[str]) -> None:
    """Raise `UsageError` where there is no metric, or none of a name."""
    wrong = [name for name in names if name not in METRICS]
    if wrong or not names:
        what = f"There is no metric {wrong[0]!r}." if wrong else "There is no metric to measure."
        raise UsageError(what, hint=f"Metrics: {', '.join(METRICS)}.")


def check_prompts(names: Sequence[str], prompts: Sequence[TaskPrompt]) -> None:
    """Raise `UsageError` where a prompt lacks the target or foils that a metric is of."""
    needy = [name for name in names if name not in WITHOUT_TARGET]
    for prompt in prompts:
        if needy and prompt.target is None:
            raise UsageError(f"Prompt {prompt.id} has no target, which {needy[0]} is of.")
        if "logit_diff" in names and not prompt.foils:
            raise UsageError(f"Prompt {prompt.id} has no foil to compare its target with.")
