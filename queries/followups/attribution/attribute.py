"""What each feature of a prompt gives to a metric, by gradients: an estimate, no intervention.

The stream at an SAE's hook is decode(f) + error. `gradient` takes f_i * dm/df_i in the model as
it is; `integrated` averages the derivative over a path on which the activations grow from 0
(integrated gradients, Sundararajan et al. 2017), so that the parts add up to a difference of the
metric. Each SAE is taken by itself: what an early hook gives runs through later ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field

from atlas.errors import UsageError
from atlas.gradients import metric_gradients
from atlas.progress import Reporter, SilentReporter
from ingest.attribution.features import feature_attributions, reconstruct
from ingest.attribution.metrics import Targets, get_metric, metric_names
from queries.followups.attribution.tables import ATTRIBUTIONS, COMPLETENESS
from queries.followups.evidence import Evidence, Request, evidence
from queries.followups.lab import PromptText  # noqa: TC001 - pydantic reads it
from queries.followups.metrics import probability

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from atlas.saes import LoadedSae
    from ingest.attribution.features import FeatureAttributions
    from queries.followups.lab import Lab, TaskPrompt

    Score = Callable[[torch.Tensor], torch.Tensor]


class AttributionRequest(Request):
    """Attributions of a metric at each prompt's last token.

    Attributes
    ----------
    prompts
        The prompts, each with an answer, and foils for ``logit_diff``.
    metric
        ``logit``, ``logit_diff``, ``log_prob`` or ``probability`` of the answer, or one that
        `ingest.attribution.metrics.register_metric` added.
    saes
        Keys of SAEs; all that are loaded by default.
    method
        ``gradient`` at the prompt itself, or ``integrated`` over a path.
    steps
        Midpoints of the path.
    path
        What grows from 0 to what it is: the ``features`` alone, the error staying, or the
        ``stream`` but for the decoder's bias, so features and error together.
    top
        Rows of features kept for each prompt and SAE.
    """

    kind: ClassVar[str] = "attribution"

    prompts: tuple[PromptText, ...]
    metric: str = "logit"
    saes: tuple[str, ...] = ()
    method: Literal["gradient", "integrated"] = "gradient"
    steps: int = Field(default=32, ge=1)
    path: Literal["features", "stream"] = "stream"
    top: int = Field(default=100, ge=1)


def run(lab: Lab, request: AttributionRequest, *, reporter: Reporter | None = None) -> Evidence:
    """Attribute a metric to the features of one or several hooks.

    Positions after BOS take part; BOS, whose stream is an attention sink, stays as it is.

    Returns
    -------
    Evidence
        Tables ``attributions`` (`ATTRIBUTIONS`) and ``completeness`` (`COMPLETENESS`).

    Raises
    ------
    CorpusError, UsageError
        A prompt has no answer or no foil, or there is no such metric.
    NotFoundError
        An SAE is not loaded.
    ModelError
        The metric or a gradient is not finite.
    """
    prompts, notes = metric_prompts(lab, request.prompts, request.metric)
    saes = [lab.sae(key) for key in request.saes or tuple(lab.saes)]
    rows: list[dict[str, Any]] = []
    sums: list[dict[str, Any]] = []
    with (reporter or SilentReporter()).step("attributing (prompts)", len(prompts)) as advance:
        for number, prompt in enumerate(prompts, start=1):
            for some, whole in _of_prompt(lab, prompt, saes, request):
                rows += some
                sums.append(whole)
            advance(number)
    tables = {
        "attributions": pa.Table.from_pylist(rows, schema=ATTRIBUTIONS),
        "completeness": pa.Table.from_pylist(sums, schema=COMPLETENESS),
    }
    return evidence(lab, request, prompts=request.prompts, tables=tables, notes=notes)


def metric_prompts(
    lab: Lab, texts: Sequence[PromptText], metric: str
) -> tuple[list[TaskPrompt], list[str]]:
    """Tokenise prompts and see that each has what a metric is of; see `Lab.prompts`.

    Raises
    ------
    CorpusError, UsageError
        As `Lab.prompts`; or a prompt has no answer, or there is no such metric.
    """
    found = _metric(metric)
    prompts, notes = lab.prompts(texts, needs_foils=found[1])
    for prompt in prompts:
        if prompt.target is None:
            raise UsageError(f"Prompt {prompt.id} has no answer, which {metric} is of.")
    return prompts, notes


def scorer(metric: str, prompt: TaskPrompt, *, device: torch.device) -> Score:
    """Return a function from logits ``[n, vocabulary]`` of a prompt to the metric, ``[n]``."""
    score, _ = _metric(metric)
    foils = torch.tensor([prompt.foils or (0,)], device=device)
    known = torch.full_like(foils, bool(prompt.foils), dtype=torch.bool)
    answer = torch.tensor([prompt.target or 0], device=device)

    def of(logits: torch.Tensor) -> torch.Tensor:
        some = (x.expand(len(logits), *x.shape[1:]) for x in (answer, foils, known))
        return score(logits, Targets(*some))

    return of


def _metric(name: str) -> tuple[Callable[[torch.Tensor, Targets], torch.Tensor], bool]:
    """Return a metric's function and whether it needs foils; both spellings of a name do."""
    if name == "probability":
        return lambda logits, targets: probability(logits, logits, targets), False
    found = name.replace("_", "-")
    if found not in metric_names():
        known = [other.replace("-", "_") for other in metric_names()]
        raise UsageError(
            f"There is no metric {name!r} with a gradient.",
            hint=f"Metrics: {', '.join([*known, 'probability'])}.",
        )
    metric = get_metric(found)
    return metric.score, metric.needs_foils


def _of_prompt(
    lab: Lab, prompt: TaskPrompt, saes: Sequence[LoadedSae], request: AttributionRequest
) -> list[tuple[list[dict[str, Any]], dict[str, Any]]]:
    """Rows of features and positions, and sums, for each SAE."""
    score = scorer(request.metric, prompt, device=lab.model.device)
    clean = metric_gradients(
        lab.model,
        torch.tensor([prompt.tokens]),
        lengths=torch.tensor([len(prompt.tokens)]),
        hooks=[sae.hook.name for sae in saes],
        metric=score,
    )
    found = []
    for sae in saes:
        stream = clean.streams[sae.hook.name][0, 1:]
        path = path_gradient(
            lab, prompt, sae=sae, stream=stream, score=score, path=request.path,
            steps=request.steps if request.method == "integrated" else 0,
        )  # fmt: skip
        gradient = (
            path.gradient if path.gradient is not None else clean.gradients[sae.hook.name][0, 1:]
        )
        parts = feature_attributions(sae, stream, gradient)
        key = sae.key(lab.model.name)
        rows, listed = _rows(lab, prompt, sae, stream, parts, request.top)
        on_path = request.path == "stream"
        features, error, bias = (
            float(x.sum(dtype=np.float64)) for x in (parts.value, parts.error, parts.bias)
        )
        value = float(clean.score[0])
        residual = value - path.base - features - (error if on_path else 0.0)
        sums = {
            "prompt": prompt.id, "sae": key, "value": value, "base": path.base,
            "features": features, "error": error, "bias": bias, "residual": residual,
            "listed": listed,
        }  # fmt: skip
        found.append((rows, sums))
    return found


class PathGradient(NamedTuple):
    """The metric where a path begins, and the mean gradient on it, ``[positions, d_model]``."""

    base: float
    gradient: torch.Tensor | None


def path_gradient(
    lab: Lab,
    prompt: TaskPrompt,
    *,
    sae: LoadedSae,
    stream: torch.Tensor,
    score: Score,
    steps: int,
    path: Literal["features", "stream"],
) -> PathGradient:
    """Average the metric's gradient over midpoints of a path; see `AttributionRequest.path`.

    Parameters
    ----------
    lab, prompt
        The model and the prompt.
    sae
        The SAE.
    stream
        ``[positions, d_model]`` at its hook, without BOS.
    score
        The metric.
    steps
        Number of midpoints; with 0 only the beginning is evaluated, and the gradient is None.
    path
        What grows.
    """
    bias = reconstruct(sae, stream, scale=0.0)
    moving = stream - bias if path == "stream" else reconstruct(sae, stream, scale=1.0) - bias
    shares = torch.tensor([0.0, *((k + 0.5) / steps for k in range(steps))], device=stream.device)
    size = max(1, lab.engine.batch_tokens // len(prompt.tokens))
    total, base = torch.zeros_like(stream), 0.0
    for first in range(0, len(shares), size):
        some = shares[first : first + size]
        moved = stream + (some[:, None, None] - 1) * moving

        def put(plain: torch.Tensor, moved: torch.Tensor = moved) -> torch.Tensor:
            return torch.cat([plain[:, :1], moved], dim=1)

        found = metric_gradients(
            lab.model,
            torch.tensor([prompt.tokens]).expand(len(some), -1),
            lengths=torch.full((len(some),), len(prompt.tokens)),
            hooks=[sae.hook.name],
            metric=score,
            edits={sae.hook.name: put},
        )
        gradients = found.gradients[sae.hook.name][:, 1:]
        total += gradients[1 if first == 0 else 0 :].sum(dim=0)
        base = float(found.score[0]) if first == 0 else base
    return PathGradient(base, total / steps if steps else None)


def _rows(
    lab: Lab,
    prompt: TaskPrompt,
    sae: LoadedSae,
    stream: torch.Tensor,
    parts: FeatureAttributions,
    top: int,
) -> tuple[list[dict[str, Any]], float]:
    """Rows of the largest features, then of errors and biases; and the share that is listed."""
    # The larger comes first; equals in the order of position and index.
    order = np.argsort(-np.abs(parts.value), kind="stable")[:top]
    key, fires = sae.key(lab.model.name), _activations(sae, stream)
    shared = {"prompt": prompt.id, "sae": key}

    def place(position: int) -> dict[str, Any]:
        token = lab.text(prompt.tokens[position + 1])
        return {**shared, "position": position, "token": token}

    rows = [
        {
            **place(int(parts.row[k])), "kind": "feature", "feature": f"{key}/{parts.index[k]}",
            "activation": fires[int(parts.row[k]), int(parts.index[k])],
            "attribution": float(parts.value[k]),
        }
        for k in order
    ]  # fmt: skip
    for kind, values in (("error", parts.error), ("bias", parts.bias)):
        rows += [
            {**place(position), "kind": kind, "attribution": float(value)}
            for position, value in enumerate(values)
        ]
    size: NDArray[np.float64] = np.abs(parts.value).astype(np.float64)
    return rows, float(size[order].sum() / size.sum()) if size.any() else 1.0


def _activations(sae: LoadedSae, stream: torch.Tensor) -> dict[tuple[int, int], float]:
    row, index, value = (x.tolist() for x in sae.codes(stream))
    return dict(zip(zip(row, index, strict=True), value, strict=True))
