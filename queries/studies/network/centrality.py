"""Centralities on both graphs, with intervals of their ranks, and a null that keeps degrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from atlas.analysis.algorithms import algorithm
from atlas.analysis.engines import methods
from atlas.analysis.igraphs import seeded_igraph, to_igraph
from atlas.analysis.outputs import Call
from atlas.analysis.stability.consensus import number_groups
from queries.studies.network.graphs import network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from atlas.analysis.network import Network

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

MEASURES = ("degree", "betweenness", "closeness", "eigenvector")
"""Centralities: edges of a node; shortest paths through it; one over its mean distance to what it
reaches, times the share that it reaches; the first eigenvector. None takes weights."""

GRAPHS = ("published", "signed")
"""The published graph, and the positive edges of the signed one."""

#: Significant digits by which two scores differ: sums in another order give the last ones.
DIGITS = 10
#: Exchanges of ends for each edge of a rewired graph.
SWAPS = 10


def centralities(graph: Network) -> dict[str, Floats]:
    """Return each measure of `MEASURES`, float64 ``[nodes]``; 0 throughout without an edge.

    Values are rounded, so that equals are equal in every run. Where parts of a graph tie for the
    first eigenvector, which one it is of is drawn, always alike.
    """
    if not graph.edges:
        return {name: np.zeros(graph.nodes) for name in MEASURES}
    engine, found = methods("igraph"), {}
    with seeded_igraph(0):
        for name in MEASURES:
            computed = engine[name](graph, Call(algorithm(name).fill({})))
            found[name] = _rounded(np.asarray(computed.output.columns[name], np.float64))
    return found


def _rounded(scores: Floats) -> Floats:
    top = float(np.abs(scores).max(initial=0.0))
    return np.round(scores / top, DIGITS) * top if top else scores


def ranks(scores: Floats) -> Integers:
    """Return ranks, int64: 1 is the highest, equals share the best rank."""
    fallen = -scores
    return np.searchsorted(np.sort(fallen), fallen).astype(np.int64) + 1


def centrality_table(
    graphs: Mapping[str, Network],
    resampled: Mapping[str, Sequence[Network]],
    *,
    features: Integers,
) -> pa.Table:
    """List every centrality of every feature with the interval of its rank over bootstraps.

    Parameters
    ----------
    graphs
        By the names of `GRAPHS`.
    resampled
        The same graphs on bootstraps of the prompts.
    features
        Latent indices of the nodes.

    Returns
    -------
    pyarrow.Table
        graph, measure, feature, value, rank, rank_low, rank_median, rank_high (2.5, 50 and 97.5 %
        over the bootstraps; 1 is the most central).
    """
    parts = []
    for name, graph in graphs.items():
        values = centralities(graph)
        again = [centralities(other) for other in resampled[name]]
        for measure in MEASURES:
            drawn = np.stack([ranks(one[measure]) for one in again])
            low, median, high = np.quantile(drawn, (0.025, 0.5, 0.975), axis=0)
            size = len(features)
            parts.append(
                pa.table(
                    {
                        "graph": [name] * size, "measure": [measure] * size, "feature": features,
                        "value": values[measure], "rank": ranks(values[measure]),
                        "rank_low": low, "rank_median": median, "rank_high": high,
                    }
                )
            )  # fmt: skip
    return pa.concat_tables(parts)


def values_of(table: pa.Table, graph: str) -> dict[str, Floats]:
    """Return the centralities of one graph from their table, by measure."""
    frame = table.to_pandas()
    part = frame[frame["graph"] == graph]
    return {
        measure: part.loc[part["measure"] == measure, "value"].to_numpy(float)
        for measure in MEASURES
    }


def rewired_null(graph: Network, *, number: int, seed: int) -> pa.Table:
    """Hold the F of centralities over a graph's own communities against graphs of equal degrees.

    Communities and centralities are both read off the graph, so they are bound to each other even
    where edges say nothing. In each null graph ends of edges are exchanged at random, so that
    every node keeps its degree (Maslov and Sneppen 2002), and communities (greedy modularity, by
    igraph) and centralities are found anew, as on the graph itself.

    Parameters
    ----------
    graph
        Its weights do not count.
    number
        Null graphs.
    seed
        Of the exchanges.

    Returns
    -------
    pyarrow.Table
        measure, f (of the graph, with these communities), null_mean, null_high (95 %), p (share of
        null graphs whose F is as large, the graph itself counted), graphs. No row where the graph
        has fewer than two communities.
    """
    observed = _f_of(graph) if number else {}
    if not observed:
        return _null_table([])
    nulls = [_f_of(other) for other in _rewired(graph, number, seed)]
    return _null_table([_null_row(name, f, nulls) for name, f in observed.items()])


def _rewired(graph: Network, number: int, seed: int) -> list[Network]:
    base, found = to_igraph(graph), []
    # All are drawn before one is looked at: measures draw from igraph's generator as well.
    with seeded_igraph(seed):
        for _ in range(number):
            other = base.copy()
            other.rewire(SWAPS * graph.edges)
            ends = np.sort(np.array(other.get_edgelist(), np.int64), axis=1)
            found.append(network(graph.keys, ends[:, 0], ends[:, 1], np.ones(len(ends))))
    return found


def _null_row(name: str, f: float, nulls: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    others = np.array([one.get(name, 0.0) for one in nulls])
    larger = int((others >= f * (1 - 1e-9)).sum())  # rounding must not decide a tie
    return {
        "measure": name, "f": f, "null_mean": float(others.mean()),
        "null_high": float(np.quantile(others, 0.95)), "p": (1 + larger) / (1 + len(others)),
        "graphs": len(others),
    }  # fmt: skip


def _null_table(rows: list[dict[str, Any]]) -> pa.Table:
    numbers = ("f", "null_mean", "null_high", "p")
    fields = [("measure", pa.string()), *((name, pa.float64()) for name in numbers)]
    return pa.Table.from_pylist(rows, schema=pa.schema([*fields, ("graphs", pa.int64())]))


def _f_of(graph: Network) -> dict[str, float]:
    """F of each centrality over the graph's communities; empty with fewer than two."""
    from scipy.stats import f_oneway

    if not graph.edges:
        return {}
    found = methods("igraph")["greedy_modularity"](graph, Call({"weighted": False}))
    labels = number_groups(found.output.groups.astype(np.int32))
    if labels.max(initial=-1) < 1:
        return {}
    scores = centralities(graph)
    groups = [np.flatnonzero(labels == number) for number in range(labels.max() + 1)]
    found_f = {
        name: float(f_oneway(*(scores[name][some] for some in groups)).statistic)
        for name in MEASURES
        if np.ptp(scores[name][labels >= 0]) > 0
    }
    return {name: f for name, f in found_f.items() if np.isfinite(f)}
