"""The algorithms on igraph, scaled as on Graph Data Science."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.engines.scores import (
    rank_of_shares,
    reached,
    triangles_of,
    unit_length,
)
from atlas.analysis.igraphs import seeded_igraph, to_igraph
from atlas.analysis.outputs import Call, Computed, NodeScores, Scalars, partition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from atlas.analysis.network import Network

    Method = Callable[[Network, Call], Computed]

_MODES = {"out": "out", "in": "in", "both": "all"}


def _weight(call: Call) -> str | None:
    return "weight" if call.weighted else None


def _scores(column: str, values: Any, *, whole: bool = False) -> Computed:
    return Computed(NodeScores({column: np.asarray(values, np.int64 if whole else np.float64)}))


def _pagerank(network: Network, call: Call) -> Computed:
    share = to_igraph(network).pagerank(
        damping=call["damping"], weights=_weight(call), directed=network.directed
    )
    return _scores("pagerank", rank_of_shares(share, network, damping=call["damping"]))


def _personalised(network: Network, call: Call) -> Computed:
    place = {key: number for number, key in enumerate(network.keys)}
    sources = [place[key] for key in call["sources"]]
    share = to_igraph(network).personalized_pagerank(
        damping=call["damping"],
        weights=_weight(call),
        directed=network.directed,
        reset_vertices=sources,
    )
    ranks = rank_of_shares(share, network, damping=call["damping"], sources=len(sources))
    return _scores("personalised_pagerank", ranks)


def _degree(network: Network, call: Call) -> Computed:
    return _scores(
        "degree", to_igraph(network).degree(mode=_MODES[call["orientation"]]), whole=True
    )


def _strength(network: Network, call: Call) -> Computed:
    mode = _MODES[call["orientation"]]
    return _scores("strength", to_igraph(network).strength(mode=mode, weights="weight"))


def _betweenness(network: Network, call: Call) -> Computed:
    graph, samples = to_igraph(network), call["samples"]
    if network.nodes <= call["exact_nodes"] or samples >= network.nodes:
        values = np.array(graph.betweenness(), np.float64)
        return Computed(NodeScores({"betweenness": values}), True, {"samples": network.nodes})
    rng = np.random.default_rng(call.seed)
    sources = np.sort(rng.choice(network.nodes, samples, replace=False)).tolist()
    # Each unordered pair is seen from one of its ends only, as far as that end was drawn.
    values = np.array(graph.betweenness(sources=sources), np.float64)
    scaled = values * (network.nodes / samples)
    return Computed(NodeScores({"betweenness": scaled}), False, {"samples": samples})


def _closeness(network: Network, call: Call) -> Computed:  # noqa: ARG001
    within = np.nan_to_num(np.array(to_igraph(network).closeness(normalized=True), np.float64))
    others = reached(network) - 1
    return _scores("closeness", within * others / max(network.nodes - 1, 1))


def _harmonic(network: Network, call: Call) -> Computed:  # noqa: ARG001
    return _scores("harmonic", to_igraph(network).harmonic_centrality(normalized=True))


def _eigenvector(network: Network, call: Call) -> Computed:  # noqa: ARG001
    with _unconnected():
        values = to_igraph(network).eigenvector_centrality()
    return _scores("eigenvector", unit_length(values))


def _hits(network: Network, call: Call) -> Computed:  # noqa: ARG001
    graph = to_igraph(network)
    with _unconnected():
        hub, authority = graph.hub_score(), graph.authority_score()
    columns = {"hub": unit_length(hub), "authority": unit_length(authority)}
    return Computed(NodeScores(columns))


@contextmanager
def _unconnected() -> Iterator[None]:
    """Keep igraph from warning that a graph of several parts has its scores in one of them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        yield


def _kcore(network: Network, call: Call) -> Computed:  # noqa: ARG001
    return _scores("core", to_igraph(network).coreness(), whole=True)


def _triangles(network: Network, call: Call) -> Computed:  # noqa: ARG001
    local = to_igraph(network).transitivity_local_undirected(mode="zero")
    return _scores("triangles", triangles_of(local, network), whole=True)


def _clustering(network: Network, call: Call) -> Computed:  # noqa: ARG001
    return _scores("clustering", to_igraph(network).transitivity_local_undirected(mode="zero"))


def _partition(network: Network, call: Call, name: str, groups: Any, *levels: Any) -> Computed:
    quality = to_igraph(network).modularity(groups, weights=_weight(call))
    found = partition(f"{name}_group", groups, levels)
    return Computed(found, False, {"modularity": float(quality)})


def _leiden(network: Network, call: Call) -> Computed:
    with seeded_igraph(call.seed):
        found = to_igraph(network).community_leiden(
            objective_function="modularity",
            weights=_weight(call),
            resolution=call["resolution"],
            beta=call["theta"],
            n_iterations=-1,
        )
    return _partition(network, call, "leiden", found.membership)


def _louvain(network: Network, call: Call) -> Computed:
    with seeded_igraph(call.seed):
        levels = to_igraph(network).community_multilevel(weights=_weight(call), return_levels=True)
    groups = [level.membership for level in levels]
    return _partition(network, call, "louvain", groups[-1], *groups[:-1])


def _greedy(network: Network, call: Call) -> Computed:
    merged = to_igraph(network).community_fastgreedy(weights=_weight(call)).as_clustering()
    return _partition(network, call, "greedy_modularity", merged.membership)


def _label_propagation(network: Network, call: Call) -> Computed:
    with seeded_igraph(call.seed):
        found = to_igraph(network).community_label_propagation(weights=_weight(call))
    return _partition(network, call, "label_propagation", found.membership)


def _wcc(network: Network, call: Call) -> Computed:  # noqa: ARG001
    parts = to_igraph(network).connected_components(mode="weak")
    return Computed(partition("component", parts.membership))


def _modularity(network: Network, call: Call) -> Computed:
    groups = call.groups
    if groups is None:
        from atlas.analysis.engines import judged

        groups = judged(METHODS, network, call)
    value = to_igraph(network).modularity(groups.tolist(), weights=_weight(call))
    return Computed(Scalars({"modularity": float(value)}))


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
        "leiden": _leiden,
        "louvain": _louvain,
        "greedy_modularity": _greedy,
        "label_propagation": _label_propagation,
        "wcc": _wcc,
        "modularity": _modularity,
    }
)
"""Algorithm -> its method."""
