"""Networks as graphs of igraph, and its random numbers from a seed."""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import UsageError
from atlas.extras import extra

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from atlas.analysis.network import Network

_GENERATOR = threading.Lock()


def linked_nodes(network: Network) -> NDArray[np.intp]:
    """Return the places of the nodes that have an edge, ascending."""
    return np.unique(np.concatenate([network.source, network.target])).astype(np.intp)


def require_similarity(network: Network) -> None:
    """Raise unless a network is undirected, of weights above 0.

    Raises
    ------
    UsageError
        It is directed or has a weight that is not above 0.
    """
    if network.directed or (network.weight <= 0).any():
        raise UsageError(
            "This takes an undirected network of weights above 0.",
            hint="Take the edges above 0, of relationships without direction.",
        )


def to_igraph(network: Network, *, linked: bool = False) -> Any:
    """Return a network as an `igraph.Graph` with the edge attribute ``weight``.

    Parameters
    ----------
    network
        The graph. Edges keep their order.
    linked
        Whether the vertices are the `linked_nodes` only, and not all nodes.

    Raises
    ------
    UsageError
        igraph is not installed.
    """
    igraph = extra("igraph")
    ends: NDArray[np.integer] = np.column_stack([network.source, network.target])
    nodes = network.nodes
    if linked:
        vertices = linked_nodes(network)
        ends, nodes = np.searchsorted(vertices, ends), len(vertices)
    return igraph.Graph(
        n=nodes,
        edges=ends,
        directed=network.directed,
        edge_attrs={"weight": network.weight.tolist()},
    )


@contextmanager
def seeded_igraph(seed: int) -> Iterator[None]:
    """Let igraph draw its random numbers from a generator of its own, seeded, within the block.

    igraph has one generator for the whole process: blocks of several threads wait for each other.
    """
    igraph = extra("igraph")
    with _GENERATOR:
        igraph.set_random_number_generator(random.Random(seed))  # noqa: S311
        try:
            yield
        finally:
            igraph.set_random_number_generator(random)
