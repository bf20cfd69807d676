"""Maps of a network: features that are joined come to lie together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.igraphs import (
    linked_nodes,
    require_similarity,
    seeded_igraph,
    to_igraph,
)
from atlas.analysis.layout.square import unit_square
from atlas.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from atlas.analysis.network import Network

ALGORITHMS = ("umap", "drl", "fruchterman-reingold")
"""Layouts of igraph."""

EPOCHS = 300
"""Rounds of UMAP on a network; more move little."""

_START = 10.0
"""Half of the side of the square that UMAP's points start in, as in umap-learn."""


def graph_layout(
    network: Network, *, algorithm: str = "umap", min_dist: float = 0.05, seed: int = 42
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the places of a network's nodes, from igraph.

    Nodes without an edge have no place: wherever they lay would say something that is not so.

    Parameters
    ----------
    network
        Undirected, of weights above 0; best a backbone with few edges a node.
    algorithm
        ``umap`` (McInnes, Healy and Melville 2018, its second half: a node's strongest edge has
        length 0, and the others are as much longer as they are weaker), ``drl`` (Martin et al.
        2011), or ``fruchterman-reingold`` (1991; for some hundred nodes).
    min_dist
        Of ``umap``: least distance in the map, before scaling.
    seed
        Random seed.

    Returns
    -------
    nodes
        int ``[placed]``: places in `network.keys` of the nodes with an edge, ascending.
    points
        float64 ``[placed, 2]`` in the unit square.

    Raises
    ------
    UsageError
        igraph is not installed, the network has no edge, is directed or has a weight that is not
        above 0, or there is no such algorithm.
    """
    if algorithm not in ALGORITHMS:
        raise UsageError(
            f"There is no graph layout {algorithm!r}.", hint=f"There are: {', '.join(ALGORITHMS)}."
        )
    if not network.edges:
        raise UsageError(
            "A network without edges has no layout.", hint="Take a backbone that keeps more."
        )
    require_similarity(network)
    graph = to_igraph(network, linked=True)
    with seeded_igraph(seed):
        layout = _layout(graph, algorithm, min_dist=min_dist, seed=seed)
    return linked_nodes(network), unit_square(np.array(layout.coords))


def _layout(graph: Any, algorithm: str, *, min_dist: float, seed: int) -> Any:
    start = np.random.default_rng(seed).uniform(-1.0, 1.0, (graph.vcount(), 2))
    if algorithm == "drl":
        return graph.layout_drl(weights="weight")
    if algorithm == "fruchterman-reingold":
        start *= np.sqrt(graph.vcount())
        return graph.layout_fruchterman_reingold(weights="weight", seed=start.tolist())
    weight = np.array(graph.es["weight"])
    return graph.layout_umap(
        dist=weight.max() - weight,
        min_dist=min_dist,
        epochs=EPOCHS,
        seed=(_START * start).tolist(),
    )
