"""Partitions, vectors and pairs on Graph Data Science."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.engines import judged_call
from atlas.analysis.engines.gds_calls import CONCURRENCY, GROUPS, VECTORS, run, weight_of
from atlas.analysis.engines.scores import group_means
from atlas.analysis.outputs import (
    Call,
    Computed,
    NodeVectors,
    Pairs,
    Scalars,
    numbered,
    pairs,
    partition,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atlas.analysis.engines.gds_calls import Method
    from atlas.analysis.engines.gds_graph import GdsGraph


_SETTINGS = MappingProxyType(
    {
        "resolution": "gamma",
        "theta": "theta",
        "tolerance": "tolerance",
        "max_levels": "max_levels",
        "max_iterations": "max_iterations",
    }
)
"""Parameters of partitions: the registry's name -> the server's."""


def _settings(name: str, call: Call) -> dict[str, Any]:
    """Return what the server is told of a partition of the registry."""
    made = {_SETTINGS[key]: value for key, value in call.parameters.items() if key in _SETTINGS}
    if "weighted" in call.parameters:
        made["relationship_weight_property"] = weight_of(call)
    if name == "leiden":
        made["random_seed"] = call.seed
    return made


def _leiden(graph: GdsGraph, call: Call) -> Computed:
    return _hierarchy(graph, "leiden", call)


def _louvain(graph: GdsGraph, call: Call) -> Computed:
    return _hierarchy(graph, "louvain", call)


def _hierarchy(graph: GdsGraph, name: str, call: Call) -> Computed:
    settings = _settings(name, call)
    details = run(graph, name, name, include_intermediate_communities=True, **settings)
    levels = graph.values(name).reshape(graph.nodes, -1)
    found = partition(f"{name}_group", levels[:, -1], list(levels.T[:-1]))
    return Computed(found, False, details)


def _label_propagation(graph: GdsGraph, call: Call) -> Computed:
    name = "label_propagation"
    details = run(graph, name, name, **_settings(name, call))
    groups = graph.values("label_propagation")
    return Computed(partition("label_propagation_group", groups), False, details)


def _wcc(graph: GdsGraph, call: Call) -> Computed:  # noqa: ARG001
    details = run(graph, "wcc", "wcc")
    return Computed(partition("component", graph.values("wcc")), True, details)


def _fastrp(graph: GdsGraph, call: Call) -> Computed:
    run(
        graph,
        "fast_rp",
        "fastrp",
        embedding_dimension=call["dimension"],
        iteration_weights=list(call.parameters.get("iteration_weights", (0.0, 1.0, 1.0))),
        normalization_strength=call.parameters.get("normalization_strength", 0.0),
        relationship_weight_property=weight_of(call),
        random_seed=call.seed,
    )
    return Computed(NodeVectors("fastrp", graph.values("fastrp").astype(np.float32)), False)


def _vectors(graph: GdsGraph, call: Call) -> str:
    """Return the name of the node property with the vectors, made here if they are FastRP's."""
    if call.vectors is not None:
        return VECTORS
    _fastrp(graph, call)
    return "fastrp"


def _knn(graph: GdsGraph, call: Call) -> Computed:
    frame = graph.gds.knn.stream(
        graph.graph,
        node_properties={_vectors(graph, call): "COSINE"},
        top_k=call["top_k"],
        similarity_cutoff=call["cutoff"],
        sample_rate=call["sample_rate"],
        random_seed=call.seed,
        concurrency=CONCURRENCY,
    )
    return Computed(_streamed(graph, frame), False)


def _node_similarity(graph: GdsGraph, call: Call) -> Computed:
    least = 1e-42  # the server's own default: more than nothing in common
    frame = graph.gds.node_similarity.stream(
        graph.graph,
        top_k=call["top_k"],
        similarity_cutoff=max(call["cutoff"], least),
        degree_cutoff=call["min_degree"],
        upper_degree_cutoff=call["max_degree"],
        concurrency=CONCURRENCY,
    )
    return Computed(_streamed(graph, frame))


def _streamed(graph: GdsGraph, frame: Any) -> Pairs:
    source, target = (graph.places(frame[name].to_numpy(np.int64)) for name in ("node1", "node2"))
    return pairs(source, target, {"score": frame["similarity"].to_numpy(np.float64)})


def _kmeans(graph: GdsGraph, call: Call) -> Computed:
    details = run(
        graph,
        "kmeans",
        "kmeans",
        node_property=_vectors(graph, call),
        k=call["k"],
        max_iterations=call["max_iterations"],
        number_of_restarts=call["restarts"],
        random_seed=call.seed,
    )
    return Computed(partition("kmeans_group", graph.values("kmeans")), False, details)


def _judged(graph: GdsGraph, call: Call) -> str:
    """Return the name of the node property with the partition to judge, made here if need be."""
    if call.groups is not None:
        return GROUPS
    of = call["of"]
    run(graph, of, GROUPS, **_settings(of, judged_call(call)))
    return GROUPS


def _conductance(graph: GdsGraph, call: Call) -> Computed:
    name = _judged(graph, call)
    frame = graph.gds.conductance.stream(
        graph.graph,
        community_property=name,
        relationship_weight_property=weight_of(call),
        concurrency=CONCURRENCY,
    )
    found = dict(zip(frame["community"].tolist(), frame["conductance"].tolist(), strict=True))
    labels = graph.values(name)
    # A group without edges has none.
    groups = numbered(labels)
    by_group = np.full(int(groups.max(initial=-1)) + 1, np.nan)
    by_group[groups] = [found.get(label, np.nan) for label in labels.tolist()]
    return Computed(group_means(by_group))


def _modularity(graph: GdsGraph, call: Call) -> Computed:
    result = graph.gds.modularity.stats(
        graph.graph,
        community_property=_judged(graph, call),
        relationship_weight_property=weight_of(call),
        concurrency=CONCURRENCY,
    )
    return Computed(Scalars({"modularity": float(result.modularity)}))


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "leiden": _leiden,
        "louvain": _louvain,
        "label_propagation": _label_propagation,
        "wcc": _wcc,
        "fastrp": _fastrp,
        "knn": _knn,
        "kmeans": _kmeans,
        "node_similarity": _node_similarity,
        "conductance": _conductance,
        "modularity": _modularity,
    }
)
"""Algorithm -> its method."""
