"""Leiden over seeds and bootstraps of the documents."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from atlas.analysis.stability.folds import FoldCounts, backbone
from atlas.analysis.stability.leiden import leiden
from atlas.analysis.stability.workers import Workers, workers
from atlas.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


class Purpose(IntEnum):
    """What folds are drawn for; each purpose has random numbers of its own."""

    BOOTSTRAP = 1
    TRIAL = 2
    JUDGE = 3
    INTERVAL = 4


@dataclass(frozen=True)
class Runs:
    """Groups found by several runs.

    Attributes
    ----------
    labels
        int32 ``[runs, nodes]``: each run's groups; -1 without an edge in that run.
    modularity
        float64 ``[runs]``, at resolution 1.
    """

    labels: NDArray[np.int32]
    modularity: NDArray[np.float64]


@dataclass(frozen=True)
class Draw:
    """One weighting of the folds, and what Leiden does on it: every resolution with every seed."""

    weight: NDArray[np.int64]
    top_k: int
    resolutions: tuple[float, ...]
    seeds: tuple[int, ...]


def cluster(counts: FoldCounts, draw: Draw) -> Runs:
    """Return the runs of a draw: the seeds of the first resolution, then of the next."""
    network = backbone(counts, draw.weight, top_k=draw.top_k)
    found = [
        leiden(network, resolution=resolution, seed=seed)
        for resolution in draw.resolutions
        for seed in draw.seeds
    ]
    return Runs(np.stack([run[0] for run in found]), np.array([run[1] for run in found]))


def bootstrap(folds: NDArray[np.int64], total: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return int64 ``[total]``: how often each of `folds` is drawn, with replacement."""
    return np.bincount(rng.choice(folds, len(folds)), minlength=total).astype(np.int64)


def halves(folds: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the folds in two random halves; of an odd number one is left out."""
    order, middle = rng.permutation(folds), folds // 2
    return np.sort(order[:middle]), np.sort(order[middle : 2 * middle])


def bootstraps(
    total: int,
    number: int,
    *,
    seed: int,
    purpose: Purpose,
    split: int | None = None,
) -> Iterator[list[NDArray[np.int64]]]:
    """Yield the bootstraps of all folds, or of one half and then of the other.

    Parameters
    ----------
    total
        Number of folds.
    number
        Bootstraps of all folds, or of each half.
    seed, purpose
        Where the random numbers come from.
    split
        Number of the halving; None draws from all folds.
    """
    start = [seed, purpose] if split is None else [seed, purpose, split]
    rng = np.random.default_rng(start)
    parts = (np.arange(total),) if split is None else halves(total, rng)
    for part in parts:
        yield [bootstrap(part, total, rng) for _ in range(number)]


def resample(
    counts: FoldCounts,
    *,
    resolution: float,
    top_k: int,
    seeds: Sequence[int] = tuple(range(20)),
    number: int = 20,
    seed: int = 42,
    processes: int | None = None,
    reporter: Reporter | None = None,
) -> Runs:
    """Run Leiden with every seed on every bootstrap of the documents.

    A bootstrap draws as many folds as there are, with replacement, and makes phi, ranks and the
    backbone anew.

    Parameters
    ----------
    counts
        Canonical fold counts.
    resolution, top_k
        Of modularity and of the backbone.
    seeds
        Leiden's.
    number
        Bootstraps.
    seed
        Of the bootstraps.
    processes
        Processes; None takes one a core. The result is the same.
    reporter
        Is told of each bootstrap.

    Returns
    -------
    Runs
        ``number * len(seeds)``: the seeds of the first bootstrap, then of the next.
    """
    drawn = next(bootstraps(counts.folds, number, seed=seed, purpose=Purpose.BOOTSTRAP))
    draws = [Draw(weight, top_k, (resolution,), tuple(seeds)) for weight in drawn]
    with workers(counts, processes) as pool:
        return join(pool, draws, title="clustering bootstraps", reporter=reporter)


def join(
    pool: Workers, draws: Sequence[Draw], *, title: str, reporter: Reporter | None = None
) -> Runs:
    """Cluster every draw and return all runs, in the order of the draws."""
    found = []
    with (reporter or SilentReporter()).step(title, len(draws)) as advance:
        for done, runs in enumerate(pool.map(cluster, draws), start=1):
            found.append(runs)
            advance(done)
    return Runs(
        np.concatenate([runs.labels for runs in found]),
        np.concatenate([runs.modularity for runs in found]),
    )
