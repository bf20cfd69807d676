"""The algorithms on networkit, scaled as on Graph Data Science, on one thread."""

from __future__ import annotations

from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.engines.scores import rank_of_shares, triangles_of, unit_length
from atlas.analysis.outputs import Call, Computed, NodeScores, Scalars, partition
from atlas.extras import extra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from atlas.analysis.network import Network

    Method = Callable[[Network, Call], Computed]


def build(network: Network, *, weighted: bool = False) -> Any:
    """Return the network as a `networkit.Graph`, nodes in the same order."""
    networkit = extra("networkit")
    ends = (network.source.astype(np.uint64), network.target.astype(np.uint64))
    return networkit.GraphFromCoo(
        (network.weight if weighted else np.ones(network.edges), ends),
        n=network.nodes,
        weighted=weighted,
        directed=network.directed,
    )


@contextmanager
def one_thread(seed: int) -> Iterator[Any]:
    """Let networkit run on one thread with this seed; yield the package."""
    networkit = extra("networkit")
    before = networkit.getMaxNumberOfThreads()
    networkit.setNumberOfThreads(1)
    networkit.setSeed(seed, False)
    try:
        yield networkit
    finally:
        networkit.setNumberOfThreads(before)


def _scores(column: str, values: Any, *, whole: bool = False) -> Computed:
    return Computed(NodeScores({column: np.asarray(values, np.int64 if whole else np.float64)}))


def _pagerank(network: Network, call: Call) -> Computed:
    with one_thread(call.seed) as nk:
        ranked = nk.centrality.PageRank(
            build(network, weighted=call.weighted),
            damp=call["damping"],
            tol=call["tolerance"] / max(network.nodes, 1),
        ).run()
    # What nodes without outgoing edges let go changes the sum alone.
    share = np.array(ranked.scores())
    share /= share.sum()
    return _scores("pagerank", rank_of_shares(share, network, damping=call["damping"]))


def _ends(network: Network, call: Call) -> Any:
    """Return the nodes whose edges are counted, one entry an edge."""
    orientation = call["orientation"] if network.directed else "both"
    parts = {"out": [network.source], "in": [network.target]}
    return np.concatenate(parts.get(orientation, [network.source, network.target]))


def _degree(network: Network, call: Call) -> Computed:
    graph = build(network)
    nodes = range(network.nodes)
    out = np.array([graph.degreeOut(node) for node in nodes], np.int64)
    if not network.directed or call["orientation"] == "out":
        return _scores("degree", out, whole=True)
    into = np.array([graph.degreeIn(node) for node in nodes], np.int64)
    return _scores("degree", into if call["orientation"] == "in" else out + into, whole=True)


def _strength(network: Network, call: Call) -> Computed:
    graph = build(network, weighted=True)
    nodes = range(network.nodes)
    out = np.array([graph.weightedDegree(node) for node in nodes])
    if not network.directed or call["orientation"] == "out":
        return _scores("strength", out)
    into = np.array([graph.weightedDegreeIn(node) for node in nodes])
    return _scores("strength", into if call["orientation"] == "in" else out + into)


def _betweenness(network: Network, call: Call) -> Computed:
    exact = network.nodes <= call["exact_nodes"] or call["samples"] >= network.nodes
    with one_thread(call.seed) as nk:
        graph = build(network)
        found = (
            nk.centrality.Betweenness(graph)
            if exact
            else nk.centrality.EstimateBetweenness(graph, call["samples"])
        )
        values = np.array(found.run().scores()) / 2  # each pair is counted from both ends
    samples = network.nodes if exact else call["samples"]
    return Computed(NodeScores({"betweenness": values}), exact, {"samples": samples})


def _closeness(network: Network, call: Call) -> Computed:
    with one_thread(call.seed) as nk:
        variant = nk.centrality.ClosenessVariant.GENERALIZED
        found = nk.centrality.Closeness(build(network), True, variant).run()
    return _scores("closeness", np.nan_to_num(found.scores()))


def _harmonic(network: Network, call: Call) -> Computed:
    with one_thread(call.seed) as nk:
        found = nk.centrality.HarmonicCloseness(build(network), True).run()
    return _scores("harmonic", found.scores())


def _eigenvector(network: Network, call: Call) -> Computed:
    with one_thread(call.seed) as nk:
        graph = build(network)
        # A loop at each node changes no eigenvector, and keeps the power method from swinging
        # between the two sides of a bipartite graph.
        for node in range(network.nodes):
            graph.addEdge(node, node)
        found = nk.centrality.EigenvectorCentrality(graph, call["tolerance"] / 100).run()
    return _scores("eigenvector", unit_length(found.scores()))


def _kcore(network: Network, call: Call) -> Computed:
    with one_thread(call.seed) as nk:
        found = nk.centrality.CoreDecomposition(build(network)).run()
    return _scores("core", np.array(found.scores()), whole=True)


def _local_clustering(network: Network, call: Call) -> Any:
    with one_thread(call.seed) as nk:
        # The fast variant wants degrees of at least 2 everywhere; this one takes any graph.
        return np.nan_to_num(
            nk.centrality.LocalClusteringCoefficient(build(network), False).run().scores()
        )


def _triangles(network: Network, call: Call) -> Computed:
    local = _local_clustering(network, call)
    return _scores("triangles", triangles_of(local, network), whole=True)


def _clustering(network: Network, call: Call) -> Computed:
    return _scores("clustering", _local_clustering(network, call))


def _detect(network: Network, call: Call, name: str, make: Callable[[Any, Any], Any]) -> Computed:
    """Run a method of `networkit.community`; `make` gets the package and the graph."""
    with one_thread(call.seed) as nk:
        graph = build(network, weighted=call.weighted)
        found = make(nk, graph).run().getPartition()
        quality = nk.community.Modularity().getQuality(found, graph)
    groups = partition(f"{name}_group", found.getVector())
    return Computed(groups, False, {"modularity": float(quality)})


def _leiden(network: Network, call: Call) -> Computed:
    return _detect(
        network,
        call,
        "leiden",
        lambda nk, graph: nk.community.ParallelLeiden(
            graph, iterations=call["max_levels"], gamma=call["resolution"]
        ),
    )


def _louvain(network: Network, call: Call) -> Computed:
    return _detect(
        network,
        call,
        "louvain",
        lambda nk, graph: nk.community.PLM(graph, refine=False, par="none randomized"),
    )


def _label_propagation(network: Network, call: Call) -> Computed:
    return _detect(
        network,
        call,
        "label_propagation",
        lambda nk, graph: nk.community.PLP(graph, maxIterations=call["max_iterations"]),
    )


def _wcc(network: Network, call: Call) -> Computed:
    with one_thread(call.seed) as nk:
        graph = build(network)
        kind = (
            nk.components.WeaklyConnectedComponents
            if network.directed
            else nk.components.ConnectedComponents
        )
        found = kind(graph).run().getPartition()
    return Computed(partition("component", found.getVector()))


def _modularity(network: Network, call: Call) -> Computed:
    groups = call.groups
    if groups is None:
        from atlas.analysis.engines import judged

        groups = judged(METHODS, network, call)
    with one_thread(call.seed) as nk:
        graph = build(network, weighted=call.weighted)
        given = nk.structures.Partition(network.nodes)
        given.setUpperBound(int(groups.max(initial=0)) + 1)
        for node, group in enumerate(groups.tolist()):
            given[node] = group
        value = nk.community.Modularity().getQuality(given, graph)
    return Computed(Scalars({"modularity": float(value)}))


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "pagerank": _pagerank,
        "degree": _degree,
        "strength": _strength,
        "betweenness": _betweenness,
        "closeness": _closeness,
        "harmonic": _harmonic,
        "eigenvector": _eigenvector,
        "kcore": _kcore,
        "triangles": _triangles,
        "clustering": _clustering,
        "leiden": _leiden,
        "louvain": _louvain,
        "label_propagation": _label_propagation,
        "wcc": _wcc,
        "modularity": _modularity,
    }
)
"""Algorithm -> its method."""
