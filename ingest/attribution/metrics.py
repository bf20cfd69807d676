"""Metrics of a task: what the logits at a prompt's last token are worth.

`register_metric` adds one; every other part takes metrics by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    Score = Callable[[torch.Tensor, "Targets"], torch.Tensor]


@dataclass(frozen=True)
class Targets:
    """The tokens that a batch of prompts is scored on.

    Attributes
    ----------
    answer
        int64 ``[batch]``.
    foils
        int64 ``[batch, most foils]``, padded with 0.
    is_foil
        bool ``[batch, most foils]``, False at padding.
    """

    answer: torch.Tensor
    foils: torch.Tensor
    is_foil: torch.Tensor


@dataclass(frozen=True)
class Metric:
    """A named score.

    Attributes
    ----------
    name
        Name in tables and on the command line.
    score
        Maps logits ``[batch, vocabulary]`` (float32) and targets to ``[batch]``, differentiably.
        A prompt's score may depend on its own logits only.
    needs_foils
        Whether every prompt must have a foil.
    """

    name: str
    score: Score
    needs_foils: bool


_METRICS: dict[str, Metric] = {}


def register_metric(name: str, *, needs_foils: bool = False) -> Callable[[Score], Score]:
    """Return a decorator that adds a metric; see `Metric` for what the function takes and gives.

    Raises
    ------
    UsageError
        There is a metric of that name.
    """

    def add(score: Score) -> Score:
        if name in _METRICS:
            raise UsageError(f"There is a metric {name!r} already.", hint="Choose another name.")
        _METRICS[name] = Metric(name, score, needs_foils)
        return score

    return add


def metric_names() -> tuple[str, ...]:
    """Names of all metrics, in the order in which they were added."""
    return tuple(_METRICS)


def get_metric(name: str) -> Metric:
    """Return a metric; raises `UsageError`, naming those there are, if there is none."""
    try:
        return _METRICS[name]
    except KeyError:
        raise UsageError(
            f"There is no metric {name!r}.", hint=f"Metrics: {', '.join(metric_names())}."
        ) from None


def _of_answer(values: torch.Tensor, targets: Targets) -> torch.Tensor:
    return values.gather(1, targets.answer[:, None])[:, 0]


@register_metric("logit-diff", needs_foils=True)
def logit_difference(logits: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Logit of the answer minus the mean logit of the foils."""
    foils = (logits.gather(1, targets.foils) * targets.is_foil).sum(dim=1)
    return _of_answer(logits, targets) - foils / targets.is_foil.sum(dim=1)


@register_metric("log-prob")
def log_probability(logits: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Natural logarithm of the answer's probability."""
    return _of_answer(logits.log_softmax(dim=1), targets)


@register_metric("logit")
def answer_logit(logits: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Logit of the answer."""
    return _of_answer(logits, targets)
