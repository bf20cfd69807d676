"""Gradients of a metric at each prompt's last token with respect to residual streams.

One forward and one backward pass serve any number of hooks. Streams are read, never cut: the
gradient at an early hook runs through everything after it, later hooks included, and the
model's output is the plain model's.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from atlas.errors import ModelError, UsageError
from atlas.hooks import HookPoint, editing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from atlas.lm import LanguageModel

    Edit = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class MetricGradients:
    """A metric and its gradients for a batch of prompts.

    Attributes
    ----------
    score
        float32 ``[batch]``, the metric.
    logits
        float32 ``[batch, vocabulary]``, at each prompt's last token.
    streams
        Hook name to ``[batch, position, d_model]`` in the model's dtype, on its device.
    gradients
        Hook name to the derivative of a prompt's own metric by its stream, of the same shape. It
        is zero at padding.
    """

    score: torch.Tensor
    logits: torch.Tensor
    streams: dict[str, torch.Tensor]
    gradients: dict[str, torch.Tensor]


def metric_gradients(
    model: LanguageModel,
    tokens: torch.Tensor,
    *,
    lengths: torch.Tensor,
    hooks: Sequence[str],
    metric: Callable[[torch.Tensor], torch.Tensor],
    edits: Mapping[str, Edit] | None = None,
) -> MetricGradients:
    """Run prompts forward and backward.

    Parameters
    ----------
    model
        The language model.
    tokens
        int64 ``[batch, position]``, padded on the right.
    lengths
        int64 ``[batch]``, unpadded lengths.
    hooks
        Residual-stream hooks, any order.
    metric
        Maps logits ``[batch, vocabulary]`` (float32) to one differentiable score a prompt.
    edits
        Hook to a function that replaces its stream on the way; the gradient is then taken at the
        replaced stream.

    Raises
    ------
    ModelError
        The model has no such hook, or the metric or a gradient is not finite.
    UsageError
        The metric does not return one differentiable score a prompt.
    """
    points = [HookPoint.parse(name) for name in dict.fromkeys(hooks)]
    _check_points(points, len(model.blocks))
    held: dict[str, torch.Tensor] = {}
    with torch.inference_mode(False), torch.enable_grad(), ExitStack() as attached:
        for point in points:
            edit = _holder(held, point.name, (edits or {}).get(point.name))
            attached.callback(editing(model.blocks, point, edit).remove)
        attached.callback(_read_last_only(model, lengths).remove)
        output = model.hf_model(tokens.to(model.device), use_cache=False).logits
        logits = output[:, 0].float()
        score = metric(logits)
        if score.shape != (len(tokens),) or not score.requires_grad:
            raise UsageError(
                f"The metric gave a tensor of shape {tuple(score.shape)} for {len(tokens)} "
                "prompts; it must give one differentiable score a prompt.",
            )
        found = torch.autograd.grad(score.sum(), [held[point.name] for point in points])
    gradients = {point.name: value for point, value in zip(points, found, strict=True)}
    _check_finite(model, score, gradients)
    streams = {name: stream.detach() for name, stream in held.items()}
    return MetricGradients(score.detach(), logits.detach(), streams, gradients)


def _check_points(points: Sequence[HookPoint], blocks: int) -> None:
    for point in points:
        if point.layer >= blocks:
            raise ModelError(f"The model has {blocks} blocks; there is no hook {point.name}.")


def _holder(held: dict[str, torch.Tensor], name: str, edit: Edit | None) -> Edit:
    """Return an edit that keeps the stream as part of the graph that gradients are taken of."""

    def keep(stream: torch.Tensor) -> torch.Tensor:
        changed = stream if edit is None else edit(stream)
        # The first stream read is a leaf: nothing before it needs a gradient.
        held[name] = changed if changed.requires_grad else changed.detach().requires_grad_()
        return held[name]

    return keep


def _read_last_only(model: LanguageModel, lengths: torch.Tensor) -> Any:
    """Let the unembedding see each prompt's last token alone.

    Logits of all positions would take more memory than the rest of the pass.
    """
    last = lengths.to(model.device) - 1
    row = torch.arange(len(last), device=model.device)

    def select(_module: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (args[0][row, last][:, None], *args[1:])

    head: torch.nn.Module = model.hf_model.get_output_embeddings()
    return head.register_forward_pre_hook(select)


def _check_finite(
    model: LanguageModel, score: torch.Tensor, gradients: dict[str, torch.Tensor]
) -> None:
    wrong = [name for name, value in gradients.items() if not bool(torch.isfinite(value).all())]
    if not bool(torch.isfinite(score).all()):
        raise ModelError(f"With {model.name} the metric is not finite.", hint="Try float32.")
    if wrong:
        raise ModelError(
            f"With {model.name} the gradient at {wrong[0]} is not finite.", hint="Try float32."
        )
