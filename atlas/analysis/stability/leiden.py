"""One run of Leiden on a network, with a seed."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from numpy.typing import NDArray

    from atlas.analysis.network import Network

ITERATIONS = 2
"""Passes of Leiden. More raise modularity by less than a hundredth part and take their time."""


def import_igraph() -> ModuleType:
    """Return the module igraph; raises `UsageError` where it is not installed."""
    try:
        import igraph
    except ImportError as error:
        raise UsageError(
            "Communities with stability need igraph.",
            hint="Install it: pip install 'sae-feature-atlas[analysis]'.",
        ) from error
    return igraph  # type: ignore[no-any-return]


@contextmanager
def seeded(igraph: ModuleType, seed: int) -> Iterator[None]:
    """Give igraph random numbers of its own seed, and its usual source back afterwards."""
    igraph.set_random_number_generator(random.Random(seed))  # noqa: S311
    try:
        yield
    finally:
        igraph.set_random_number_generator(random)


def to_igraph(network: Network) -> tuple[Any, NDArray[np.int64]]:
    """Return an igraph graph of the nodes that have an edge, and their places in the network."""
    ends = np.stack([network.source, network.target], axis=1)
    active, compact = np.unique(ends, return_inverse=True)
    graph = import_igraph().Graph(n=len(active), edges=compact.reshape(-1, 2))
    return graph, active.astype(np.int64)


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
    graph, active = to_igraph(network)
    with seeded(import_igraph(), seed):
        found = graph.community_leiden(
            objective_function="modularity",
            weights=network.weight,
            resolution=resolution,
            n_iterations=iterations,
        )
    labels[active] = found.membership
    return labels, float(graph.modularity(found.membership, weights=network.weight))
