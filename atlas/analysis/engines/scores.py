"""What engines share: one normalisation for all of them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.outputs import Scalars
from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from atlas.analysis.network import Network


def unit_length(values: ArrayLike) -> NDArray[np.float64]:
    """Return a vector scaled so that its squares sum to 1, its largest entry positive."""
    vector = np.asarray(values, np.float64)
    norm = float(np.linalg.norm(vector))
    if not norm:
        return vector
    return vector / norm * (np.sign(vector[np.argmax(np.abs(vector))]) or 1.0)


def rank_of_shares(
    share: ArrayLike, network: Network, *, damping: float, sources: int | None = None
) -> NDArray[np.float64]:
    """Turn PageRank that sums to 1 into that of Graph Data Science.

    Libraries send the rank of nodes without outgoing edges back to where the surfer starts; GDS
    lets it go, and gives each start ``1 - damping``. Both solve ``(I - damping P') x = c b`` and
    differ by the factor c alone.

    Parameters
    ----------
    share
        ``[nodes]``: sums to 1.
    network
        The graph.
    damping
        Share of the rank that follows edges.
    sources
        Number of nodes where the surfer starts; None: all.
    """
    values = np.asarray(share, np.float64)
    ends = out_degree(network) == 0
    sent_back = (1 - damping) + damping * float(values[ends].sum())
    starts = network.nodes if sources is None else sources
    return values * ((1 - damping) * starts / sent_back)


def out_degree(network: Network) -> NDArray[np.int64]:
    """Return the number of edges of each node, of directed ones those that leave it."""
    degree = np.bincount(network.source, minlength=network.nodes)
    if not network.directed:
        degree += np.bincount(network.target, minlength=network.nodes)
    return degree


def triangles_of(clustering: ArrayLike, network: Network) -> NDArray[np.int64]:
    """Return the triangles of each node from its local clustering coefficient."""
    degree = out_degree(network)
    possible = degree * (degree - 1) // 2
    return np.rint(np.nan_to_num(np.asarray(clustering, np.float64)) * possible).astype(np.int64)


def group_means(by_group: NDArray[np.float64]) -> Scalars:
    """Return the conductance of each group and its mean over those with edges."""
    known = by_group[np.isfinite(by_group)]
    mean = float(known.mean()) if len(known) else float("nan")
    return Scalars({"mean_conductance": mean, "conductance": by_group})


def reached(network: Network) -> NDArray[np.int64]:
    """Return the size of each node's component."""
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    shape = (network.nodes, network.nodes)
    joined: Any = sparse.coo_matrix(
        (np.ones(network.edges), (network.source, network.target)), shape
    )
    _, component = connected_components(joined, directed=False)
    sizes: NDArray[np.int64] = np.bincount(component)[component]
    return sizes


@contextmanager
def converging(name: str) -> Iterator[None]:
    """Raise what networkx raises of a power method that does not converge as a `UsageError`."""
    import networkx as nx

    try:
        yield
    except nx.PowerIterationFailedConvergence as error:
        raise UsageError(
            f"{name} on networkx: {error}.",
            hint="Give larger max_iterations or tolerance, or take another engine.",
        ) from error
