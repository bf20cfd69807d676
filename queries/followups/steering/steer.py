"""Steering: features x strengths x prompts, each a row for every metric, summed up as effects."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, BeforeValidator

from atlas.errors import UsageError
from atlas.progress import Reporter, SilentReporter
from queries.followups.evidence import Evidence, Request, evidence, intervention_tables
from queries.followups.interventions import Intervention
from queries.followups.lab import PromptText  # noqa: TC001 - read by pydantic
from queries.followups.measures import Measures
from queries.followups.metrics import WITHOUT_TARGET, check_metrics
from queries.followups.preflight import preflight, preflight_table
from queries.followups.steering.drawing import GenerationSettings  # noqa: TC001 - read by pydantic
from queries.followups.steering.effects import effects, few_notes
from queries.followups.steering.generation import check_room, side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from queries.followups.engine import Engine
    from queries.followups.interventions import Arm
    from queries.followups.lab import Lab, TaskPrompt

    Floats = NDArray[np.float64]

ROWS = pa.schema(
    [
        ("set", pa.dictionary(pa.int32(), pa.string())),
        ("strength", pa.float64()),
        ("prompt", pa.dictionary(pa.int32(), pa.string())),
        ("metric", pa.dictionary(pa.int32(), pa.string())),
        ("target", pa.int64()),
        ("value", pa.float64()),
        ("baseline", pa.float64()),
        ("change", pa.float64()),
        ("flag", pa.dictionary(pa.int32(), pa.string())),
    ]
)
"""Columns of the table ``rows``."""

METRICS = ("logit", "probability", "rank", "kl")
"""Metrics where none are named."""


def _as_arm(value: Any) -> Any:
    """Take one intervention for an arm of one."""
    return (value,) if isinstance(value, Intervention | dict) else value


_Arm = Annotated[tuple[Intervention, ...], BeforeValidator(_as_arm)]


def _by_name(sets: dict[str, _Arm]) -> dict[str, _Arm]:
    """Order sets by name, as files keep them: run again, the rows come in the same order."""
    return dict(sorted(sets.items()))


class SteeringRequest(Request):
    """What to steer with, how strongly, where and what to measure.

    Attributes
    ----------
    prompts
        The prompts.
    sets
        Name to an intervention, or to several that are made together (of several hooks, say).
        They are run in the order of their names.
    strengths
        Strengths, in each intervention's unit; they replace that of the interventions. An
        ablation has none: it stays as it is, and a set of ablations alone is run once.
    metrics
        Names out of `queries.followups.metrics.METRICS`.
    generate
        How to let the model write on, beside the metrics; None does not.
    each_prompt
        Whether every prompt gets effects of its own, beside those over prompts.
    """

    kind: ClassVar[str] = "steering"

    prompts: tuple[PromptText, ...]
    sets: Annotated[dict[str, _Arm], AfterValidator(_by_name)]
    strengths: tuple[float, ...] = (1.0,)
    metrics: tuple[str, ...] = METRICS
    generate: GenerationSettings | None = None
    each_prompt: bool = False


def run(lab: Lab, request: SteeringRequest, *, reporter: Reporter | None = None) -> Evidence:
    """Steer prompts and sum up what changed.

    Parameters
    ----------
    lab
        The model with its SAEs.
    request
        What to do.
    reporter
        Told how far it is.

    Returns
    -------
    Evidence
        ``interventions``, ``on`` and ``effects`` (see `effects`; over groups where every prompt has
        one and there are two) for the graph; ``sets``, set and strength of each intervention;
        ``rows`` (see `sweep`); ``preflight``; and ``texts`` (see `side_by_side`) if asked for.

    Raises
    ------
    ModelError
        The preflight failed.
    CorpusError
        A prompt cannot be used.
    UsageError
        A metric, set or strength makes no sense, or a feature is of no loaded SAE.
    """
    check_metrics(request.metrics)
    arms = at_strengths(request.sets, request.strengths)
    prompts, notes = lab.prompts(request.prompts, needs_foils="logit_diff" in request.metrics)
    _check(lab, request, prompts, arms.values())
    checks = preflight(lab.engine, [p.tokens for p in prompts], [*arms.values()])
    rows = sweep(
        lab.engine,
        prompts,
        sets=request.sets,
        strengths=request.strengths,
        metrics=request.metrics,
        reporter=reporter,
    )
    groups = _groups(request.prompts)
    tables = {
        **intervention_tables([*arms.values()]),
        "effects": effects(
            rows,
            interventions={name: number for number, name in enumerate(arms, start=1)},
            groups=groups,
            text=lab.text,
            each_prompt=request.each_prompt,
        ),
        "sets": _sets([*arms]),
        "rows": rows,
        "preflight": preflight_table(checks),
    }
    if request.generate is not None:
        tables["texts"] = side_by_side(lab, prompts, arms, request.generate, reporter=reporter)
    notes += few_notes(len(prompts), None if groups is None else len({*groups.values()}))
    return evidence(lab, request, prompts=request.prompts, tables=tables, notes=notes)


def _check(
    lab: Lab, request: SteeringRequest, prompts: Sequence[TaskPrompt], arms: Iterable[Arm]
) -> None:
    """Raise, before anything is run, where an arm or a text is not possible."""
    Measures(prompts, request.metrics, device=lab.model.device)
    for arm in arms:
        lab.engine.check(arm)
        for prompt, what in product(prompts, arm):
            length = len(prompt.tokens) - (not what.bos)
            wrong = [place for place in what.chosen if not -length <= place < length]
            if wrong:
                raise UsageError(
                    f"Prompt {prompt.id} has {length} tokens; it has no position {wrong[0]}.",
                    hint="0 is the first token after BOS, -1 the last.",
                )
    if request.generate is not None:
        tokens = [prompt.tokens for prompt in prompts]
        check_room(lab.engine, tokens, request.generate.max_new_tokens)


def _sets(arms: Sequence[tuple[str, float]]) -> pa.Table:
    """Set and strength of each intervention, by its number."""
    names, strengths = zip(*arms, strict=True)
    columns = {"intervention": np.arange(1, len(arms) + 1), "set": names, "strength": strengths}
    return pa.table(columns)


def _groups(prompts: Sequence[PromptText]) -> dict[str, str] | None:
    """Group of each prompt, where every one has one and they are not all the same."""
    found = {prompt.id: prompt.group for prompt in prompts if prompt.group is not None}
    return found if len(found) == len(prompts) and len({*found.values()}) > 1 else None


def at_strengths(
    sets: Mapping[str, Intervention | Arm], strengths: Sequence[float]
) -> dict[tuple[str, float], Arm]:
    """Return the arms of a sweep by set and strength, in this order.

    A strength replaces that of every intervention of a set but ablations, which have none. A set
    of ablations alone is there once, at strength 1.

    Raises
    ------
    UsageError
        There is nothing to steer with.
    """
    arms: dict[tuple[str, float], Arm] = {}
    for name, what in sets.items():
        arm = (what,) if isinstance(what, Intervention) else tuple(what)
        fixed = all(one.kind == "ablate" for one in arm)
        for strength in (1.0,) if fixed else strengths:
            arms[name, float(strength)] = tuple(
                one if one.kind == "ablate" else replace(one, strength=float(strength))
                for one in arm
            )
    if not arms:
        raise UsageError("There is nothing to steer with.", hint="Give a set and a strength.")
    return arms


def sweep(
    engine: Engine,
    prompts: Sequence[TaskPrompt],
    *,
    sets: Mapping[str, Intervention | Arm],
    strengths: Sequence[float],
    metrics: Sequence[str] = METRICS,
    reporter: Reporter | None = None,
) -> pa.Table:
    """Steer every prompt with every set at every strength.

    Parameters
    ----------
    engine
        The model and its SAEs.
    prompts
        The prompts.
    sets
        Name to an intervention, or several made together; see `at_strengths`.
    strengths
        Strengths, in the unit of each intervention.
    metrics
        Names out of `queries.followups.metrics.METRICS`.
    reporter
        Told how many of the passes are done.

    Returns
    -------
    pyarrow.Table
        Columns of `ROWS`: a row a set, strength, prompt and metric, in this order. ``baseline``
        is without the intervention, ``change`` is ``value`` less it. ``flag`` is ``unchanged``
        where nothing could change (a feature that never fires), ``not_finite`` where logits are
        not, with NaN for the value; else null.

    Raises
    ------
    UsageError
        A metric does not exist or lacks a target or foils, or there is no prompt, set or strength.
    """
    check_metrics(metrics)
    arms = at_strengths(sets, strengths)
    if len({prompt.id for prompt in prompts}) < len(prompts):
        raise UsageError("Two prompts have the same id.", hint="Give each its own.")
    measure = Measures(prompts, metrics, device=engine.model.device)
    prepared = engine.prepare([prompt.tokens for prompt in prompts], reads=measure.reads)
    jobs = [(prompt, arm) for arm in arms.values() for prompt in range(len(prompts))]
    value = np.full((len(jobs), len(metrics)), np.nan)
    flag, done = np.full(len(jobs), None, object), 0
    with (reporter or SilentReporter()).step("steering (passes)", len(jobs)) as advance:
        for outcome in engine.run(prepared, jobs):
            found, finite = measure(prepared, outcome, [jobs[job][0] for job in outcome.jobs])
            value[list(outcome.jobs)] = found
            for job, fine in zip(outcome.jobs, finite, strict=True):
                flag[job] = "not_finite" if not fine else None if outcome.changed else "unchanged"
            done += len(outcome.jobs)
            advance(done)
    baseline = np.tile(measure.baseline(prepared), (len(arms), 1))
    return _table(prompts, [*arms], metrics, value=value, baseline=baseline, flag=flag)


def _table(
    prompts: Sequence[TaskPrompt],
    arms: Sequence[tuple[str, float]],
    metrics: Sequence[str],
    *,
    value: Floats,
    baseline: Floats,
    flag: NDArray[np.object_],
) -> pa.Table:
    a, p, m = np.indices((len(arms), len(prompts), len(metrics))).reshape(3, -1)
    target = np.array([None if metrics[j] in WITHOUT_TARGET else prompts[i].target
                       for i, j in zip(p, m, strict=True)], object)  # fmt: skip

    def names(index: NDArray[np.int64], words: Sequence[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(index, pa.int32()), pa.array(words))

    sets = list(dict.fromkeys(name for name, _ in arms))
    columns = [
        names(np.array([sets.index(name) for name, _ in arms])[a], sets),
        np.array([strength for _, strength in arms])[a],
        names(p, [prompt.id for prompt in prompts]),
        names(m, list(metrics)),
        pa.array(target, pa.int64()),
        value.ravel(),
        baseline.ravel(),
        (value - baseline).ravel(),
        pa.array(np.repeat(flag, len(metrics)), pa.string()).dictionary_encode(),
    ]
    return pa.Table.from_arrays([pa.array(column) if isinstance(column, np.ndarray) else column
                                 for column in columns], schema=ROWS)  # fmt: skip
