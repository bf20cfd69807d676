"""How far down or up a feature's centrality could be: rank intervals by bootstrap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.igraphs import linked_nodes, seeded_igraph, to_igraph
from atlas.analysis.stability.folds import FoldCounts, backbone
from atlas.analysis.stability.resample import Purpose, bootstraps
from atlas.analysis.stability.workers import workers
from atlas.errors import UsageError
from atlas.extras import extra
from atlas.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MEASURES = ("pagerank", "degree", "strength", "eigenvector", "betweenness", "closeness")
"""Centralities with rank intervals. PageRank and strength follow phi, the rest counts edges."""

QUANTILES = (0.025, 0.5, 0.975)

SOURCES = 256
"""Betweenness and closeness look from so many features, drawn anew in each bootstrap."""

_DIGITS = 10
"""Significant digits by which two scores differ: sums in another order give the last ones."""


@dataclass(frozen=True)
class RankInterval:
    """Ranks of every node over the bootstraps; 1 is the most central, equals share the best rank.

    Attributes
    ----------
    low, median, high
        float64 ``[nodes]``: 2.5, 50 and 97.5 % of the ranks.
    """

    low: NDArray[np.float64]
    median: NDArray[np.float64]
    high: NDArray[np.float64]


def rank_intervals(
    counts: FoldCounts,
    *,
    top_k: int,
    measures: Sequence[str] = MEASURES,
    number: int = 100,
    seed: int = 42,
    processes: int | None = None,
    reporter: Reporter | None = None,
) -> dict[str, RankInterval]:
    """Return the interval of each node's rank by each measure, over bootstraps of the documents.

    Parameters
    ----------
    counts
        Of a build: `read_folds`.
    top_k
        Of the backbone.
    measures
        Some of `MEASURES`. Betweenness is estimated from shortest paths of `SOURCES` nodes
        (Brandes and Pich 2007), closeness is the mean of one over the distance to them
        (harmonic). Their intervals hold this error too.
    number
        Bootstraps. Memory is four bytes times `number`, nodes and measures.
    seed
        Of the draws.
    processes
        Processes; None takes one a core. The result is the same.
    reporter
        Is told of each bootstrap.

    Returns
    -------
    dict
        Measure -> intervals by the nodes of `counts`. A node without an edge scores 0.

    Raises
    ------
    UsageError
        A measure is unknown, or `number` below 1.
    """
    unknown = sorted(set(measures) - set(MEASURES))
    if unknown:
        raise UsageError(
            f"No rank intervals for {', '.join(unknown)}.", hint=f"Known: {', '.join(MEASURES)}."
        )
    if number < 1 or top_k < 1:
        raise UsageError("Rank intervals need a bootstrap and a top_k of 1 or more.")
    extra("igraph")
    ordered, order = counts.canonical()
    drawn = next(bootstraps(counts.folds, number, seed=seed, purpose=Purpose.INTERVAL))
    tasks = [(weight, top_k, tuple(measures), seed + at) for at, weight in enumerate(drawn)]
    ranks = np.empty((len(measures), number, counts.nodes), dtype=np.int32)
    step = (reporter or SilentReporter()).step("ranking centralities", number)
    with workers(ordered, processes) as pool, step as advance:
        for at, found in enumerate(pool.map(_rank, tasks)):
            ranks[:, at] = found
            advance(at + 1)
    back = np.argsort(order)
    return {
        name: RankInterval(*np.quantile(ranks[at], QUANTILES, axis=0)[:, back])
        for at, name in enumerate(measures)
    }


def _rank(
    counts: FoldCounts, task: tuple[NDArray[np.int64], int, tuple[str, ...], int]
) -> NDArray[np.int32]:
    """Return int32 ``[measures, nodes]``: ranks on one bootstrap."""
    weight, top_k, measures, seed = task
    network = backbone(counts, weight, top_k=top_k)
    scores = np.zeros((len(measures), counts.nodes))
    if network.edges:
        graph, active = to_igraph(network, linked=True), linked_nodes(network)
        sources = np.random.default_rng(seed).permutation(len(active))[:SOURCES].tolist()
        with seeded_igraph(seed):
            for row, name in enumerate(measures):
                scores[row, active] = _score(graph, name, sources)
    fallen = -np.stack([_rounded(row) for row in scores])
    ranks = [np.searchsorted(np.sort(row), row) + 1 for row in fallen]
    return np.array(ranks, dtype=np.int32)


def _score(graph: Any, measure: str, sources: list[int]) -> NDArray[np.float64]:
    """Return a measure of every node of an igraph graph."""
    if measure == "pagerank":
        found = graph.pagerank(weights="weight", directed=False)
    elif measure == "degree":
        found = graph.degree()
    elif measure == "strength":
        found = graph.strength(weights="weight")
    elif measure == "eigenvector":
        found = graph.eigenvector_centrality()
    elif measure == "betweenness":
        found = graph.betweenness(directed=False, sources=sources)
    else:
        return _harmonic(graph, sources)
    return np.asarray(found, dtype=np.float64)


def _harmonic(graph: Any, sources: list[int]) -> NDArray[np.float64]:
    distance = np.array(graph.distances(source=sources), dtype=np.float64)
    near = np.divide(1.0, distance, out=np.zeros_like(distance), where=distance > 0)
    # A source has one other source less to look from: means, not sums.
    others = len(sources) - (distance == 0).sum(axis=0)
    return np.asarray(near.sum(axis=0) / np.maximum(others, 1))


def _rounded(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores to `_DIGITS` significant digits of the largest."""
    top = float(np.abs(scores).max(initial=0.0))
    return np.round(scores / top, _DIGITS) if top else scores
