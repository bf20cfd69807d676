"""One run of Leiden on a network, with a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atlas.analysis.igraphs import linked_nodes, seeded_igraph, to_igraph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from atlas.analysis.network import Network

ITERATIONS = 2
"""Passes of Leiden. More raise modularity by less than a hundredth part and take their time."""


def leiden(
    network: Network, *, resolution: float, seed: int, iterations: int = ITERATIONS
) -> tuple[NDArray[np.int32], float]:
    """Group nodes by Leiden (Traag, Waltman and van Eck 2019), maximising weighted modularity.

    Parameters
    ----------
    network
        Undirected, weights above 0.
    resolution
        Weight of the expected edges; higher gives smaller groups.
    seed
        Random seed; same network and seed, same groups.
    iterations
        Passes over the graph.

    Returns
    -------
    labels
        int32 ``[nodes]``: number of each node's group; -1 without an edge.
    modularity
        Of these groups, at resolution 1.
    """
    labels = np.full(network.nodes, -1, dtype=np.int32)
    if not network.edges:
        return labels, 0.0
    graph = to_igraph(network, linked=True)
    with seeded_igraph(seed):
        found = graph.community_leiden(
            objective_function="modularity",
            weights=network.weight,
            resolution=resolution,
            n_iterations=iterations,
        )
    labels[linked_nodes(network)] = found.membership
    return labels, float(graph.modularity(found.membership, weights=network.weight))
