"""Path patching: how much of a feature's effect runs through features of a deeper SAE.

The sender's activation at the shallower hook is set to 0, or to its value in another prompt. At
the deeper hook the receivers' activations then move from ``a`` to ``a*`` and the stream from
``x`` to ``x*``. Three passes are measured at the last token:

- total: the stream is ``x*``;
- through: ``x + sum_j (a*_j - a_j) d_j``: receivers move, all else stays, the error too;
- rest: ``x* - sum_j (a*_j - a_j) d_j``: all else moves, receivers stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from atlas.errors import NotFoundError, UsageError
from atlas.progress import SilentReporter
from queries.followups.evidence import Request, evidence
from queries.followups.interventions import FeatureRef
from queries.followups.lab import PromptText  # noqa: TC001 (pydantic reads it)
from queries.followups.patching.pairs import (
    Direction,
    Pairs,
    check_last_metrics,
    measured_at_rest,
    pair_prompts,
)
from queries.followups.patching.patcher import Patcher
from queries.followups.patching.patches import Part, Patch, Where
from queries.followups.path_patching.passes import Path, PathPasses
from queries.followups.path_patching.tables import path_tables

if TYPE_CHECKING:
    from atlas.progress import Reporter
    from queries.followups.evidence import Evidence
    from queries.followups.lab import Lab


class PathEdge(BaseModel):
    """A sender and the receivers that its effect may run through.

    Attributes
    ----------
    sender
        Key of a feature.
    receivers
        Keys of features of one SAE at a deeper hook.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sender: str
    receivers: tuple[str, ...]


class PathPatchingRequest(Request):
    """Path patching from features to features of deeper SAEs.

    Attributes
    ----------
    prompts
        Prompts, with the answers and foils that they are scored on.
    edges
        Senders with their receivers.
    sender
        ``ablate`` sets the sender's activation to 0, ``patch`` to that in the other prompt.
    corrupt
        Of ``patch``: the corrupt prompt of each, of as many tokens.
    direction
        Of ``patch``: ``denoise`` changes corrupt prompts, ``noise`` clean ones.
    metrics
        Names of `queries.followups.metrics.MEASURES`; ``kl`` is from the clean prompt.
    positions, chosen
        Where the sender is changed; receivers move wherever that makes them.
    """

    kind: ClassVar[str] = "path_patching"

    prompts: tuple[PromptText, ...]
    edges: tuple[PathEdge, ...]
    sender: Literal["ablate", "patch"] = "ablate"
    corrupt: tuple[str, ...] = ()
    direction: Direction = "denoise"
    metrics: tuple[str, ...] = ("logit_diff",)
    positions: Where = "all"
    chosen: tuple[int, ...] = ()


def run(lab: Lab, request: PathPatchingRequest, *, reporter: Reporter | None = None) -> Evidence:
    """Patch paths.

    Parameters
    ----------
    lab
        The model and its SAEs.
    request
        What to patch.
    reporter
        Is told of each step.

    Returns
    -------
    Evidence
        Beside the tables of the graph: ``paths``, a row an edge, prompt and metric,
        ``path_receivers``, a row an edge, prompt and receiver, and ``path_summary``, a row an
        edge and metric; see `queries.followups.path_patching.tables`.

    Raises
    ------
    CorpusError
        A prompt cannot be used.
    NotFoundError
        An SAE or feature is not loaded.
    UsageError
        A receiver is not deeper than its sender, receivers are of several SAEs, two prompts of a
        pair differ in length, or a metric does not fit.
    """
    told = reporter or SilentReporter()
    pairs = _pairs(lab, request)
    check_last_metrics(request.metrics, pairs.clean)
    paths = [_path(lab, edge, request) for edge in request.edges]
    if not paths:
        raise UsageError("There is no path to patch.", hint="Give a sender with a receiver.")
    prepared = lab.engine.prepare([prompt.tokens for prompt in pairs.prompts])
    passes = PathPasses(Patcher(lab.engine, prepared), pairs, paths, request.metrics)
    with told.step("Patching paths") as advance:
        results = passes.results(advance)
    at_rest = measured_at_rest(prepared, pairs, metrics=request.metrics)
    base = at_rest[[pairs.base(pair) for pair in range(len(pairs))]]
    target = {prompt.target for prompt in pairs.clean}
    token = target.pop() if len(target) == 1 else None
    tables = path_tables(
        request,
        results,
        base=base,
        prompts=[prompt.id for prompt in pairs.clean],
        target=None if token is None else lab.text(token),
    )
    silent = int(np.isnan(results.values).all(axis=(1, 2, 3)).sum())
    notes = [f"{silent} of {len(paths)} senders change in no prompt"] if silent else []
    return evidence(lab, request, prompts=pairs.texts, tables=tables, notes=[*pairs.notes, *notes])


def _pairs(lab: Lab, request: PathPatchingRequest) -> Pairs:
    needs = "logit_diff" in request.metrics
    if request.sender == "patch":
        return pair_prompts(
            lab, request.prompts, request.corrupt, direction=request.direction, needs_foils=needs
        )
    if request.corrupt:
        raise UsageError("An ablation has no corrupt prompts.", hint="Use sender='patch'.")
    clean, notes = lab.prompts(request.prompts, needs_foils=needs)
    return Pairs(tuple(clean), (), tuple(request.prompts), tuple(notes), "noise")


def _path(lab: Lab, edge: PathEdge, request: PathPatchingRequest) -> Path:
    sender = FeatureRef.parse(edge.sender)
    receivers = [FeatureRef.parse(key) for key in edge.receivers]
    saes = {receiver.sae for receiver in receivers}
    if len(saes) != 1 or len(set(edge.receivers)) < len(receivers):
        raise UsageError(
            f"The receivers of {sender.key} are not different features of one SAE.",
            hint="Give an edge for each SAE, and each receiver once.",
        )
    deeper = saes.pop()
    if lab.sae(deeper).hook.depth <= lab.sae(sender.sae).hook.depth:
        raise UsageError(
            f"The receivers in {deeper} are not deeper than the sender {sender.key}.",
            hint="A feature reaches features of deeper hooks only.",
        )
    last = max(receiver.index for receiver in receivers)
    if last >= lab.sae(deeper).d_sae:
        raise NotFoundError(f"{deeper} has {lab.sae(deeper).d_sae} features; no {last}.")
    patch = Patch(
        (Part(sender.sae, "features", (sender.index,)),), request.positions, request.chosen
    )
    index = tuple(receiver.index for receiver in receivers)
    return Path(sender.sae, sender.index, patch, deeper, index)
