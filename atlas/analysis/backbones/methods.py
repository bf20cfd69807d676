"""Backbones: fewer edges of a network, chosen so that what matters can be seen and computed.

Every function takes a `Network` and returns one with the same nodes and some of its edges, with
the weights they had. A larger weight is a stronger edge. Ties are broken by the order of the
nodes, so that the same network gives the same backbone everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from atlas.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from atlas.analysis.network import Network

Ends = Literal["either", "both"]


def threshold(network: Network, *, min_weight: float) -> Network:
    """Keep the edges of at least a weight.

    Parameters
    ----------
    network
        With or without direction.
    min_weight
        Least weight of an edge that is kept.
    """
    return network.take(network.weight >= min_weight)


def mutual_knn(network: Network, *, k: int) -> Network:
    """Keep an edge if each end is among the strongest `k` neighbours of the other.

    No feature keeps more than `k` edges, so that hubs cannot draw everything together. Features
    whose neighbours all have stronger ones are left alone.

    Parameters
    ----------
    network
        Undirected.
    k
        At least 1. Of equal weights, the one to the earlier node is the stronger.
    """
    at_source, at_target = _ranks(network, k)
    return network.take((at_source < k) & (at_target < k))


def union_knn(network: Network, *, k: int) -> Network:
    """Keep an edge if either end is among the strongest `k` neighbours of the other.

    Every feature that has an edge keeps one. Hubs keep as many as there are features that count
    them among their strongest.

    Parameters
    ----------
    network
        Undirected.
    k
        At least 1. Of equal weights, the one to the earlier node is the stronger.
    """
    at_source, at_target = _ranks(network, k)
    return network.take((at_source < k) | (at_target < k))


def disparity(
    network: Network,
    *,
    alpha: float = 0.05,
    ends: Ends = "either",
    keep_single: bool = False,
) -> Network:
    """Keep the edges that are too strong for their ends' strengths to be spread at random.

    The disparity filter of Serrano, Boguñá and Vespignani (2009, PNAS 106:6483). A node of degree
    d and strength s gives an edge of weight w the probability ``(1 - w / s) ** (d - 1)`` of being
    at least so strong if s were cut into d parts at random; the edge passes at this end if that
    is below `alpha`.

    A node of degree 1 has nothing to compare its edge with and does not judge it: the other end
    decides alone. So an edge between two such nodes goes.

    Parameters
    ----------
    network
        Undirected, of weights above 0.
    alpha
        Level, above 0 and at most 1.
    ends
        Whether an edge has to pass at ``either`` end (as published) or at ``both``.
    keep_single
        Keep all edges of nodes of degree 1 instead.

    Raises
    ------
    UsageError
        A weight is not above 0, or a parameter has an impossible value.
    """
    if not 0 < alpha <= 1:
        raise UsageError(f"alpha is {alpha}.", hint="Give a level above 0 and at most 1.")
    if ends not in ("either", "both"):
        raise UsageError(f"ends is {ends!r}.", hint="Give 'either' or 'both'.")
    at_source, at_target = disparity_levels(network)
    if ends == "either":
        kept = np.fmin(at_source, at_target) < alpha
    else:
        kept = np.fmax(at_source, at_target) < alpha
    if keep_single:
        kept |= np.isnan(at_source) | np.isnan(at_target)
    return network.take(kept)


def disparity_levels(network: Network) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the disparity filter's probability of each edge at either end.

    Returns
    -------
    at_source, at_target
        float64 ``[edges]``, in [0, 1]; NaN at a node of degree 1.

    Raises
    ------
    UsageError
        The network is directed, or a weight is not above 0.
    """
    _require_undirected(network)
    if (network.weight <= 0).any():
        raise UsageError(
            "The disparity filter needs weights above 0.", hint="Take the edges above 0 first."
        )
    degree, strength = _degree_and_strength(network)

    def at(end: NDArray[np.int32]) -> NDArray[np.float64]:
        others = (degree[end] - 1).astype(np.float64)
        # Of a strength that rounds to less than one of its parts, nothing is left.
        rest = np.maximum(1.0 - network.weight / strength[end], 0.0)
        return np.where(others > 0, rest**others, np.nan)

    return at(network.source), at(network.target)


def spanning_forest(network: Network, *, min_weight: float = np.inf) -> Network:
    """Keep the spanning forest of largest total weight, and all edges of at least a weight.

    The forest keeps the components as they are with the fewest edges; between any two features
    it has the path whose weakest edge is strongest.

    Parameters
    ----------
    network
        Undirected.
    min_weight
        Edges of at least this weight are kept beside the forest; by default none.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    _require_undirected(network)
    # Places in the order of strength, ties by nodes: all different, so there is one solution, and
    # none is 0, which scipy would take for no edge.
    order = np.lexsort((network.target, network.source, -network.weight))
    place = np.empty(network.edges, np.float64)
    place[order] = np.arange(1, network.edges + 1)
    ends = (network.source, network.target)
    graph = csr_array((place, ends), shape=(network.nodes, network.nodes))
    tree = minimum_spanning_tree(graph)
    kept = network.weight >= min_weight
    kept[order[tree.data.astype(np.int64) - 1]] = True
    return network.take(kept)


def _ranks(network: Network, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rank of each edge (0: strongest) among those of its source and of its target."""
    _require_undirected(network)
    if k < 1:
        raise UsageError(f"k is {k}.", hint="Give 1 or more.")
    node = np.concatenate([network.source, network.target])
    other = np.concatenate([network.target, network.source])
    order = np.lexsort((other, -np.tile(network.weight, 2), node))
    first = np.concatenate([[0], np.cumsum(np.bincount(node, minlength=network.nodes))])
    rank = np.empty(len(node), np.int64)
    rank[order] = np.arange(len(node)) - first[node[order]]
    return rank[: network.edges], rank[network.edges :]


def _degree_and_strength(network: Network) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    both = np.concatenate([network.source, network.target])
    degree = np.bincount(both, minlength=network.nodes)
    weight = np.tile(network.weight, 2)
    strength = np.bincount(both, weights=weight, minlength=network.nodes).astype(np.float64)
    return degree, strength


def _require_undirected(network: Network) -> None:
    if network.directed:
        raise UsageError(
            "This backbone is of undirected networks.", hint="A threshold works on directed ones."
        )
