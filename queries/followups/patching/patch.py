"""Activation patching: what of a clean prompt makes a corrupt one behave like it, or back.

With m(.) a metric at the last token, a patch recovers the share ``(m(patched) - m(base)) /
(m(source) - m(base))``. Denoising patches corrupt prompts with clean values (what suffices),
noising clean ones with corrupt values (what is needed).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from atlas.errors import UsageError
from atlas.progress import SilentReporter
from queries.followups.evidence import Request, evidence
from queries.followups.lab import PromptText  # noqa: TC001 (pydantic reads it)
from queries.followups.patching.candidates import Select  # noqa: TC001 (pydantic reads it)
from queries.followups.patching.pairs import (
    Direction,
    check_last_metrics,
    measured,
    measured_at_rest,
    pair_prompts,
)
from queries.followups.patching.patcher import Patcher
from queries.followups.patching.patches import PatchJob, What, Where
from queries.followups.patching.plans import Planner
from queries.followups.patching.tables import Results, patch_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from atlas.progress import Reporter
    from queries.followups.engine import Prepared
    from queries.followups.evidence import Evidence
    from queries.followups.lab import Lab
    from queries.followups.patching.pairs import Pairs
    from queries.followups.patching.plans import Plan

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

SAME = 1e-4
"""Clean and corrupt differ by less, as a part of the larger or absolutely: no share is given."""


class PatchSet(BaseModel):
    """Features, of any hooks, and errors that are patched together.

    Attributes
    ----------
    name
        Unique in its request.
    features
        Keys of features.
    errors
        Keys of SAEs whose error term is patched too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    features: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


class PatchingRequest(Request):
    """Activation patching between pairs of prompts.

    Attributes
    ----------
    prompts
        Clean prompts, with the answers and foils that both prompts of a pair are scored on.
    corrupt
        The corrupt prompt of each, of as many tokens.
    direction
        ``denoise`` patches corrupt prompts with clean values, ``noise`` clean with corrupt.
    saes
        Keys of the SAEs at whose hooks parts and single features are patched; by default all.
    metrics
        Names of `queries.followups.metrics.MEASURES`; ``kl`` is from the clean prompt.
    parts
        What is patched at each hook as a whole: all ``features``, the ``error``, the ``stream``.
    each
        Features of each SAE that are patched each by itself; None is all that differ.
    select
        How these are chosen; see `queries.followups.patching.candidates.candidates`.
    sets
        Named sets.
    positions, chosen
        Where all of the above are patched. At a position where a feature fires in neither prompt
        nothing changes, so ``all`` is also "where it fires in either".
    by_position
        Parts that are patched, at each hook, at each position by itself too. Positions are
        counted from the end (-1 is the last).
    """

    kind: ClassVar[str] = "patching"

    prompts: tuple[PromptText, ...]
    corrupt: tuple[str, ...]
    direction: Direction = "denoise"
    saes: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ("logit_diff",)
    parts: tuple[What, ...] = ("features", "error", "stream")
    each: int | None = Field(default=20, ge=0)
    select: Select = "gradient"
    sets: tuple[PatchSet, ...] = ()
    positions: Where = "all"
    chosen: tuple[int, ...] = ()
    by_position: tuple[What, ...] = ()


def run(lab: Lab, request: PatchingRequest, *, reporter: Reporter | None = None) -> Evidence:
    """Patch pairs of prompts.

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
        Beside the tables of the graph: ``patches``, a row a patch, pair and metric, and
        ``patch_summary``, a row a patch and metric; see `queries.followups.patching.tables`.

    Raises
    ------
    CorpusError
        A prompt cannot be used.
    NotFoundError
        An SAE or feature is not loaded.
    UsageError
        Two prompts of a pair differ in length, a metric does not fit, or there is nothing to do.
    """
    told = reporter or SilentReporter()
    pairs = pair_prompts(
        lab,
        request.prompts,
        request.corrupt,
        direction=request.direction,
        needs_foils="logit_diff" in request.metrics,
    )
    check_last_metrics(request.metrics, pairs.clean)
    prepared = lab.engine.prepare([prompt.tokens for prompt in pairs.prompts])
    patcher = Patcher(lab.engine, prepared)
    plans = list(Planner(lab, request, pairs, patcher).plans())
    if not plans:
        raise UsageError("There is nothing to patch.", hint="Give parts, sets or a number of each.")
    results = _measure(patcher, pairs, plans, metrics=request.metrics, reporter=told)
    target = {prompt.target for prompt in pairs.clean}
    token = target.pop() if len(target) == 1 else None
    tables = patch_tables(
        plans,
        results,
        direction=request.direction,
        metrics=request.metrics,
        target=None if token is None else lab.text(token),
    )
    notes = [*pairs.notes, *_notes(results)]
    return evidence(lab, request, prompts=pairs.texts, tables=tables, notes=notes)


def _measure(
    patcher: Patcher,
    pairs: Pairs,
    plans: Sequence[Plan],
    *,
    metrics: Sequence[str],
    reporter: Reporter,
) -> Results:
    """Run all plans on all pairs that have their positions."""
    jobs, at = [], []
    for number, plan in enumerate(plans):
        for pair, prompt in enumerate(pairs.clean):
            if -(plan.position or 0) < len(prompt.tokens):
                jobs.append(PatchJob(pairs.base(pair), pairs.source(pair), plan.patch))
                at.append((number, pair))
    shape = (len(plans), len(pairs), len(metrics))
    patched, changed = np.full(shape, np.nan), np.ones(shape[:2], bool)
    ran = np.zeros(shape[:2], bool)
    clean = patcher.prepared.logits[: len(pairs)]
    with reporter.step("Patching", total=len(jobs)) as advance:
        done = 0
        for outcome in patcher.run(jobs):
            where = [at[job] for job in outcome.jobs]
            rows = [pair for _, pair in where]
            prompts = [pairs.clean[pair] for pair in rows]
            found = measured(outcome.logits, clean[rows], prompts=prompts, metrics=metrics)
            for (number, pair), values in zip(where, found, strict=True):
                patched[number, pair], changed[number, pair] = values, outcome.changed
                ran[number, pair] = True
            done += len(rows)
            advance(done)
    return _results(patcher.prepared, pairs, metrics, patched, changed=changed, ran=ran)


def _results(
    prepared: Prepared,
    pairs: Pairs,
    metrics: Sequence[str],
    patched: Floats,
    *,
    changed: Bools,
    ran: Bools,
) -> Results:
    at_rest = measured_at_rest(prepared, pairs, metrics=metrics)
    clean, corrupt = at_rest[: len(pairs)], at_rest[len(pairs) :]
    larger = np.maximum(np.maximum(np.abs(clean), np.abs(corrupt)), 1.0)
    return Results(
        prompts=tuple(prompt.id for prompt in pairs.clean),
        clean=clean,
        corrupt=corrupt,
        patched=patched,
        differs=np.abs(clean - corrupt) > SAME * larger,
        changed=changed,
        ran=ran,
    )


def _notes(results: Results) -> list[str]:
    alike = ~results.differs
    if not alike.any():
        return []
    some = int(alike.any(axis=1).sum())
    return [f"{some} of {len(alike)} pairs do not differ in a metric and have no share of it"]
