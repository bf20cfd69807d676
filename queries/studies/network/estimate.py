"""How long a network study will take, from a few passes."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.progress import SilentReporter
from queries.followups.interventions import FeatureRef, Intervention
from queries.followups.steering.steer import sweep
from queries.studies.network.attributions import attribution_tables
from queries.studies.network.prompts import tasks_of, usable_foils
from queries.studies.network.request import METRICS
from queries.studies.network.steer import ABLATION, sweeps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from queries.followups.lab import Lab, PromptText
    from queries.studies.network.request import NetworkRequest

#: Prompts and features that are timed.
PROMPTS, FEATURES = 16, 6
#: Seconds of graphs, communities and tests where 250 features are kept.
STATISTICS = 60.0


def estimate(lab: Lab, request: NetworkRequest) -> list[dict[str, Any]]:
    """Time a few passes and say how long each step will take at most.

    Parameters
    ----------
    lab
        The model and SAE.
    request
        What is asked.

    Returns
    -------
    list of dict
        `step`, `passes` (through the model; 0 where there are none) and `seconds`. All prompts
        are taken to be kept and everything to have a control, so that it is an upper bound but
        for what else the machine does.
    """
    rng = np.random.default_rng(request.seed)
    places = np.sort(rng.permutation(len(request.prompts))[:PROMPTS])
    texts, _ = usable_foils(lab, [request.prompts[place] for place in places.tolist()])
    number, jobs = len(request.prompts), steering_jobs(request)
    _look(lab, texts[:2])  # the first pass takes longer than those that follow
    looking = _timed(lambda: _look(lab, texts)) / len(texts)
    attributing = _timed(lambda: _attribute(lab, request, texts)) / len(texts)
    steering = _timed(lambda: _steer(lab, request, texts))
    steering /= len(texts) * FEATURES * len(request.factors)
    passes = number * len(request.aggregations)
    return [
        {"step": "prompts", "passes": number, "seconds": number * looking},
        {"step": "attributions", "passes": passes, "seconds": passes * attributing},
        {"step": "steering", "passes": jobs, "seconds": jobs * steering},
        {"step": "statistics", "passes": 0, "seconds": STATISTICS},
    ]


def steering_jobs(request: NetworkRequest) -> int:
    """Return the most passes that steering may take: a prompt with an intervention each."""
    single, sets = 2 * request.steered_features, 3 * request.sets * len(request.set_sizes)
    arms = 0
    for way in sweeps(request):
        units = single if way.normalise == "none" else 0
        units += 0 if way.unit == ABLATION else sets
        arms += len(way.factors) * units
    return arms * min(request.steered_prompts, len(request.prompts))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _look(lab: Lab, texts: Sequence[PromptText]) -> None:
    lab.engine.prepare([task.tokens for task in tasks_of(lab, texts)])


def _attribute(lab: Lab, request: NetworkRequest, texts: Sequence[PromptText]) -> None:
    one = request.model_copy(update={"aggregations": (request.aggregation,), "features": "union"})
    attribution_tables(lab, one, texts, reporter=SilentReporter())


def _steer(lab: Lab, request: NetworkRequest, texts: Sequence[PromptText]) -> None:
    tasks = [replace(task, foils=task.foils[:1]) for task in tasks_of(lab, texts)]
    size = lab.sae(request.sae).d_sae
    some = np.linspace(0, size - 1, min(FEATURES, size)).astype(int).tolist()
    foils = all(task.foils for task in tasks)
    sweep(
        lab.engine,
        tasks,
        sets={str(f): Intervention("add", (FeatureRef(request.sae, f),)) for f in some},
        strengths=[request.strength(factor) for factor in request.factors],
        metrics=[name for name in METRICS if name != "logit_diff" or foils],
    )
