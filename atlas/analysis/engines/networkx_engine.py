"""The algorithms on networkx, scaled as on Graph Data Science: a reference for small graphs."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.engines.scores import converging, group_means, rank_of_shares, unit_length
from atlas.analysis.links import LINK_SCORES, best_of_each
from atlas.analysis.outputs import Call, Computed, NodeScores, Scalars, pairs, partition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import networkx as nx
    from numpy.typing import NDArray

    from atlas.analysis.network import Network

    Method = Callable[[Network, Call], Computed]


def build(network: Network) -> nx.Graph[int]:
    """Return the network as a graph of networkx, nodes by their places, edges with `weight`."""
    import networkx as nx

    graph: nx.Graph[int] = nx.DiGraph() if network.directed else nx.Graph()
    graph.add_nodes_from(range(network.nodes))
    columns = (network.source.tolist(), network.target.tolist(), network.weight.tolist())
    graph.add_weighted_edges_from(zip(*columns, strict=True))
    return graph


def _weight(call: Call) -> str | None:
    return "weight" if call.weighted else None


def _scores(network: Network, column: str, values: Any, *, whole: bool = False) -> Computed:
    """Return the values of a dict by node."""
    ordered = [values[node] for node in range(network.nodes)]
    return Computed(NodeScores({column: np.array(ordered, np.int64 if whole else np.float64)}))


def _shares(network: Network, call: Call, start: dict[int, float] | None) -> NDArray[np.float64]:
    import networkx as nx

    with converging("pagerank"):
        share = nx.pagerank(
            build(network),
            alpha=call["damping"],
            personalization=start,
            # networkx ends when the changes of all nodes, which share a sum of 1, are this small.
            tol=call["tolerance"] / max(network.nodes, 1),
            max_iter=10 * call["max_iterations"],
            weight=_weight(call),
        )
    return np.array([share[node] for node in range(network.nodes)])


def _pagerank(network: Network, call: Call) -> Computed:
    share = _shares(network, call, None)
    ranks = rank_of_shares(share, network, damping=call["damping"])
    return Computed(NodeScores({"pagerank": ranks}))


def _personalised(network: Network, call: Call) -> Computed:
    place = {key: number for number, key in enumerate(network.keys)}
    sources = {place[key]: 1.0 for key in call["sources"]}
    share = _shares(network, call, sources)
    ranks = rank_of_shares(share, network, damping=call["damping"], sources=len(sources))
    return Computed(NodeScores({"personalised_pagerank": ranks}))


def _degrees(network: Network, call: Call, weight: str | None) -> dict[int, float]:
    graph: Any = build(network)
    if network.directed and call["orientation"] != "both":
        counted = graph.out_degree if call["orientation"] == "out" else graph.in_degree
        return dict(counted(weight=weight))
    return dict(graph.degree(weight=weight))


def _degree(network: Network, call: Call) -> Computed:
    return _scores(network, "degree", _degrees(network, call, None), whole=True)


def _strength(network: Network, call: Call) -> Computed:
    return _scores(network, "strength", _degrees(network, call, "weight"))


def _betweenness(network: Network, call: Call) -> Computed:
    import networkx as nx

    samples = call["samples"]
    exact = network.nodes <= call["exact_nodes"] or samples >= network.nodes
    values = nx.betweenness_centrality(
        build(network), k=None if exact else samples, normalized=False, seed=call.seed
    )
    found = _scores(network, "betweenness", values).output
    return Computed(found, exact, {"samples": network.nodes if exact else samples})


def _closeness(network: Network, call: Call) -> Computed:  # noqa: ARG001
    import networkx as nx

    return _scores(network, "closeness", nx.closeness_centrality(build(network)))


def _harmonic(network: Network, call: Call) -> Computed:  # noqa: ARG001
    import networkx as nx

    sums = nx.harmonic_centrality(build(network))
    others = max(network.nodes - 1, 1)
    return _scores(network, "harmonic", {node: value / others for node, value in sums.items()})


def _eigenvector(network: Network, call: Call) -> Computed:
    import networkx as nx

    with converging("eigenvector"):
        values = nx.eigenvector_centrality(
            build(network), max_iter=10 * call["max_iterations"], tol=call["tolerance"] / 10
        )
    return Computed(
        NodeScores({"eigenvector": unit_length([values[n] for n in range(network.nodes)])})
    )


def _hits(network: Network, call: Call) -> Computed:  # noqa: ARG001
    import networkx as nx

    # networkx reads weights wherever there are any; GDS counts edges.
    unweighted = network.weighted(np.ones(network.edges))
    found = dict(zip(("hub", "authority"), nx.hits(build(unweighted), tol=1e-12), strict=True))
    return Computed(
        NodeScores(
            {
                name: unit_length([values[node] for node in range(network.nodes)])
                for name, values in found.items()
            }
        )
    )


def _kcore(network: Network, call: Call) -> Computed:  # noqa: ARG001
    import networkx as nx

    return _scores(network, "core", nx.core_number(build(network)), whole=True)


def _triangles(network: Network, call: Call) -> Computed:  # noqa: ARG001
    import networkx as nx

    return _scores(network, "triangles", nx.triangles(build(network)), whole=True)


def _clustering(network: Network, call: Call) -> Computed:  # noqa: ARG001
    import networkx as nx

    return _scores(network, "clustering", nx.clustering(build(network)))


def _membership(network: Network, groups: Iterable[Iterable[int]]) -> NDArray[np.int32]:
    membership = np.zeros(network.nodes, np.int32)
    for number, group in enumerate(groups):
        membership[list(group)] = number
    return membership


def _partition(network: Network, call: Call, name: str, *levels: Any) -> Computed:
    import networkx as nx

    quality = nx.community.modularity(build(network), levels[-1], weight=_weight(call))
    members = [_membership(network, level) for level in levels]
    found = partition(f"{name}_group", members[-1], members[:-1])
    return Computed(found, False, {"modularity": float(quality)})


def _louvain(network: Network, call: Call) -> Computed:
    import networkx as nx

    levels = nx.community.louvain_partitions(
        build(network), weight=_weight(call), threshold=call["tolerance"], seed=call.seed
    )
    # A level's sets are changed by the next step.
    kept = [[set(group) for group in level] for level in levels]
    return _partition(network, call, "louvain", *kept[: call["max_levels"]])


def _greedy(network: Network, call: Call) -> Computed:
    import networkx as nx

    groups = nx.community.greedy_modularity_communities(build(network), weight=_weight(call))
    return _partition(network, call, "greedy_modularity", groups)


def _label_propagation(network: Network, call: Call) -> Computed:
    import networkx as nx

    groups = nx.community.asyn_lpa_communities(build(network), weight=_weight(call), seed=call.seed)
    return _partition(network, call, "label_propagation", list(groups))


def _wcc(network: Network, call: Call) -> Computed:  # noqa: ARG001
    import networkx as nx

    parts = nx.connected_components(build(network).to_undirected())
    return Computed(partition("component", _membership(network, parts)))


def _sets(network: Network, call: Call) -> list[set[int]]:
    """Return the groups that are judged."""
    groups = call.groups
    if groups is None:
        from atlas.analysis.engines import judged

        groups = judged(METHODS, network, call)
    return [set(np.flatnonzero(groups == group).tolist()) for group in range(groups.max() + 1)]


def _modularity(network: Network, call: Call) -> Computed:
    import networkx as nx

    value = nx.community.modularity(build(network), _sets(network, call), weight=_weight(call))
    return Computed(Scalars({"modularity": float(value)}))


def _conductance(network: Network, call: Call) -> Computed:
    import networkx as nx

    graph, found = build(network), []
    for group in _sets(network, call):
        volume = nx.volume(graph, group, weight=_weight(call))
        cut = nx.cut_size(graph, group, weight=_weight(call))
        found.append(cut / volume if volume else float("nan"))
    return Computed(group_means(np.array(found)))


def _link_prediction(network: Network, call: Call) -> Computed:
    import networkx as nx

    graph = build(network)
    middle = {n for n, d in graph.degree() if not call["max_degree"] or d <= call["max_degree"]}
    ends = sorted(
        {(a, b) for m in middle for a in graph[m] for b in graph[m] if a < b}
        - {(min(edge), max(edge)) for edge in graph.edges()}
    )
    rows = [_links(nx, graph, a, b, middle) for a, b in ends]
    table = np.array(rows, np.float64).reshape(len(ends), len(LINK_SCORES))
    source, target = np.array(ends, np.int64).reshape(-1, 2).T
    by = np.tile(table[:, LINK_SCORES.index(call["by"])], 2)
    end, other = np.concatenate([source, target]), np.concatenate([target, source])
    best = best_of_each(end, other, by, top_k=call["top_k"])
    kept = np.unique(best % max(len(ends), 1))
    names = [call["by"], *(name for name in LINK_SCORES if name != call["by"])]
    columns = {name: table[kept, LINK_SCORES.index(name)] for name in names}
    exact = len(middle) == network.nodes
    return Computed(pairs(source[kept], target[kept], columns), exact)


def _links(nx: Any, graph: Any, a: int, b: int, middle: set[int]) -> list[float]:
    """Return the scores of a pair, in the order of `LINK_SCORES`."""
    shared = set(nx.common_neighbors(graph, a, b)) & middle
    degree = [graph.degree(node) for node in shared]
    return [
        sum(1 / np.log(d) for d in degree),
        sum(1 / d for d in degree),
        len(shared),
        next(nx.preferential_attachment(graph, [(a, b)]))[2],
        len(set(graph[a]) | set(graph[b])),
    ]


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "pagerank": _pagerank,
        "personalised_pagerank": _personalised,
        "degree": _degree,
        "strength": _strength,
        "betweenness": _betweenness,
        "closeness": _closeness,
        "harmonic": _harmonic,
        "eigenvector": _eigenvector,
        "hits": _hits,
        "kcore": _kcore,
        "triangles": _triangles,
        "clustering": _clustering,
        "louvain": _louvain,
        "greedy_modularity": _greedy,
        "label_propagation": _label_propagation,
        "wcc": _wcc,
        "link_prediction": _link_prediction,
        "conductance": _conductance,
        "modularity": _modularity,
    }
)
"""Algorithm -> its method."""
