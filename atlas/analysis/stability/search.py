"""Finds communities: chooses a resolution, clusters bootstraps, and holds halves against it."""

from __future__ import annotations

import time
from importlib import metadata
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from atlas.analysis.stability.agreement import Agreement, compare
from atlas.analysis.stability.consensus import consensus, recovery, together
from atlas.analysis.stability.resample import Draw, Purpose, Runs, bootstraps, join
from atlas.analysis.stability.result import Consensus, Spread, Trial
from atlas.analysis.stability.settings import STABLE, TARGET, Settings
from atlas.analysis.stability.workers import Workers, workers
from atlas.extras import extra
from atlas.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from atlas.analysis.stability.folds import FoldCounts

_PAIRS = 40
"""Pairs of single runs that are compared."""

Halves = list[tuple["NDArray[np.int32]", "NDArray[np.int32]"]]


def find_communities(
    counts: FoldCounts,
    *,
    settings: Settings | None = None,
    processes: int | None = None,
    reporter: Reporter | None = None,
) -> Consensus:
    """Return the communities that runs over seeds and bootstraps of the documents agree on.

    1. Halves of the documents are clustered apart, at each resolution and threshold; taken is
       what tells most of the other half (`Agreement.information`) among those whose adjusted Rand
       is 0.8 or more, or among all where none is.
    2. The consensus of all seeds and bootstraps is made with them.
    3. Other halves say how well such communities are found again, and each of them.

    Parameters
    ----------
    counts
        Of a build: `read_folds`.
    settings
        How much of everything; the default is for a published result.
    processes
        Processes; None takes one a core. The result is the same.
    reporter
        Is told how far it is.

    Returns
    -------
    Consensus
        By the nodes of `counts`. The same counts, settings and versions give the same result,
        whatever the order of nodes and edges.
    """
    began = time.monotonic()
    extra("igraph")
    settings = settings or Settings()
    report = reporter or SilentReporter()
    ordered, order = counts.canonical()
    with workers(ordered, processes) as pool:
        trials = _try(pool, settings, report)
        resolution, threshold = choose(trials) if trials else _only(settings)
        runs = _bootstrap(pool, settings, resolution, report)
        parts = _judge(pool, settings, (resolution, threshold), report)
    found, stay = consensus(ordered, runs.labels, threshold=threshold)
    # One number a feature: communities are numbered by their first node in the order of the keys.
    back = np.argsort(order)
    stability = np.mean([recovery(found, half) for pair in parts for half in pair], axis=0)
    seeds, others = _single_runs(runs, settings, _possible(ordered))
    return Consensus(
        keys=counts.keys,
        community=found[back],
        stay=stay[back],
        size=np.bincount(found[found >= 0]),
        stability=stability,
        stable=stability >= STABLE,
        resolution=resolution,
        threshold=threshold,
        trials=trials,
        modularity=Spread.of(runs.modularity.tolist()),
        between_seeds=seeds,
        between_bootstraps=others,
        between_halves=_between_halves(parts, _possible(ordered)),
        settings=settings,
        versions=_versions(),
        seconds=time.monotonic() - began,
    )


def choose(trials: Sequence[Trial]) -> tuple[float, float]:
    """Return the resolution and threshold to take.

    Those of the most information among the trials that reach the target, or among all where none
    does; of equals the first.
    """
    good = [trial for trial in trials if trial.ari >= TARGET] or list(trials)
    best = max(good, key=lambda trial: trial.information)
    return best.resolution, best.threshold


def _only(settings: Settings) -> tuple[float, float]:
    return settings.resolutions[0], settings.thresholds[0]


def _possible(counts: FoldCounts) -> int:
    """Return how many features have a candidate edge."""
    return len(np.union1d(counts.source, counts.target))


def _seeds(settings: Settings, number: int) -> tuple[int, ...]:
    return tuple(range(settings.seed, settings.seed + number))


def _try(pool: Workers, settings: Settings, reporter: Reporter) -> tuple[Trial, ...]:
    """Cluster halves at every resolution; nothing where there is nothing to choose."""
    resolutions, thresholds = settings.resolutions, settings.thresholds
    if len(resolutions) == len(thresholds) == 1:
        return ()
    number = settings.trial_bootstraps
    draws = _half_draws(pool.counts, settings, Purpose.TRIAL, resolutions)
    runs = join(pool, draws, title="trying resolutions on halves", reporter=reporter)
    shape = (settings.trial_splits, 2, number, len(resolutions), -1)
    labels = runs.labels.reshape(shape)
    trials: list[Trial] = []
    for at, resolution in enumerate(resolutions):
        shares = [[together(pool.counts, half[:, at]) for half in split] for split in labels]
        for threshold in thresholds:
            parts = [
                tuple(
                    consensus(pool.counts, half[:, at], threshold=threshold, shares=share)[0]
                    for half, share in zip(split, known, strict=True)
                )
                for split, known in zip(labels, shares, strict=True)
            ]
            trials.append(_trial(resolution, threshold, parts, _possible(pool.counts)))
    return tuple(trials)


def _half_draws(
    counts: FoldCounts, settings: Settings, purpose: Purpose, resolutions: tuple[float, ...]
) -> list[Draw]:
    """Return the bootstraps of all halves, each with a seed of its own."""
    trial = purpose is Purpose.TRIAL
    splits = settings.trial_splits if trial else settings.splits
    number = settings.trial_bootstraps if trial else settings.split_bootstraps
    return [
        Draw(weight, settings.top_k, resolutions, (settings.seed + at,))
        for split in range(splits)
        for half in bootstraps(
            counts.folds, number, seed=settings.seed, purpose=purpose, split=split
        )
        for at, weight in enumerate(half)
    ]


def _trial(
    resolution: float, threshold: float, parts: Sequence[tuple[NDArray[np.int32], ...]], n: int
) -> Trial:
    agreements = [compare(a, b, features=n) for a, b in parts]
    every = [half for pair in parts for half in pair]
    return Trial(
        resolution=resolution,
        threshold=threshold,
        ari=float(np.mean([x.ari for x in agreements])),
        ami=float(np.mean([x.ami for x in agreements])),
        information=float(np.mean([x.information for x in agreements])),
        assigned=float(np.mean([(half >= 0).sum() for half in every])),
        communities=float(np.mean([half.max(initial=-1) + 1 for half in every])),
        largest=max(int((half == 0).sum()) for half in every),
    )


def _bootstrap(pool: Workers, settings: Settings, resolution: float, reporter: Reporter) -> Runs:
    seeds = _seeds(settings, settings.seeds)
    drawn = next(
        bootstraps(
            pool.counts.folds, settings.bootstraps, seed=settings.seed, purpose=Purpose.BOOTSTRAP
        )
    )
    draws = [Draw(weight, settings.top_k, (resolution,), seeds) for weight in drawn]
    return join(pool, draws, title="clustering bootstraps", reporter=reporter)


def _judge(
    pool: Workers, settings: Settings, chosen: tuple[float, float], reporter: Reporter
) -> Halves:
    """Return the communities of fresh halves."""
    resolution, threshold = chosen
    draws = _half_draws(pool.counts, settings, Purpose.JUDGE, (resolution,))
    runs = join(pool, draws, title="clustering halves", reporter=reporter)
    labels = runs.labels.reshape(settings.splits, 2, settings.split_bootstraps, -1)
    return [
        (
            consensus(pool.counts, first, threshold=threshold)[0],
            consensus(pool.counts, second, threshold=threshold)[0],
        )
        for first, second in labels
    ]


def _between_halves(parts: Halves, features: int) -> dict[str, Spread]:
    agreements = [compare(a, b, features=features) for a, b in parts]
    figures = _spreads(agreements)
    figures["information"] = Spread.of([x.information for x in agreements])
    figures["both"] = Spread.of([float(x.both) for x in agreements])
    figures["assigned"] = Spread.of([float((half >= 0).sum()) for p in parts for half in p])
    return figures


def _single_runs(
    runs: Runs, settings: Settings, features: int
) -> tuple[dict[str, Spread], dict[str, Spread]]:
    """Compare pairs of runs that differ by their seed, and pairs that differ by their bootstrap."""
    labels = runs.labels.reshape(settings.bootstraps, settings.seeds, -1)
    every = list(product(range(settings.bootstraps), range(settings.seeds)))
    rng = np.random.default_rng(settings.seed)
    chosen = [every[i] for i in rng.permutation(len(every))[:_PAIRS]]
    seeds, others = [], []
    for b, s in chosen:
        if settings.seeds > 1:
            other = labels[b, (s + 1) % settings.seeds]
            seeds.append(compare(labels[b, s], other, features=features))
        if settings.bootstraps > 1:
            other = labels[(b + 1) % settings.bootstraps, s]
            others.append(compare(labels[b, s], other, features=features))
    return _spreads(seeds), _spreads(others)


def _spreads(agreements: Sequence[Agreement]) -> dict[str, Spread]:
    return {
        "ari": Spread.of([agreement.ari for agreement in agreements]),
        "ami": Spread.of([agreement.ami for agreement in agreements]),
    }


def _versions() -> dict[str, str]:
    packages = ("igraph", "numpy", "scikit-learn", "scipy")
    return {name: metadata.version(name) for name in packages}
