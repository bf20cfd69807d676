"""How well a map keeps what is near."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atlas.analysis.layout.vectors import sklearn_manifold, unit_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from atlas.analysis.network import Network

SAMPLE = 4000
"""Features on which trustworthiness is measured: its memory grows with their square."""


def trustworthiness(
    vectors: NDArray[np.floating],
    points: NDArray[np.floating],
    *,
    neighbours: int = 15,
    sample: int = SAMPLE,
    seed: int = 42,
) -> float:
    """Return whether features near in the map have near vectors (Venna and Kaski 2001).

    1 where each feature's nearest of the map are the nearest by cosine; about 0.5 by chance.

    Parameters
    ----------
    vectors, points
        ``[features, dimensions]`` and ``[features, 2]``.
    neighbours
        Nearest features looked at, fewer where there are fewer than twice as many.
    sample
        Features drawn at random where there are more; it is measured among these.
    seed
        Random seed of the sample.
    """
    units = unit_vectors(vectors)
    if len(units) > sample:
        drawn = np.sort(np.random.default_rng(seed).choice(len(units), sample, replace=False))
        units, points = units[drawn], points[drawn]
    # scikit-learn wants fewer than half of the features.
    most = (len(units) - 1) // 2
    manifold = sklearn_manifold()
    return float(manifold.trustworthiness(units, points, n_neighbors=min(neighbours, most)))


def neighbour_share(network: Network, points: NDArray[np.floating], *, k: int = 20) -> float:
    """Return the share of a network's neighbours that are among the `k` nearest of the map.

    Each edge counts twice, once from either end. By chance it would be about `k` over the number
    of features on the map.

    Parameters
    ----------
    network
        What should lie together.
    points
        ``[nodes, 2]``; NaN where a node is not on the map. Edges of such nodes do not count.
    k
        Nearest features looked at.

    Returns
    -------
    float
        In [0, 1]; NaN if no edge counts.
    """
    from scipy.spatial import KDTree

    placed = np.flatnonzero(np.isfinite(points).all(1))
    on_map = np.full(network.nodes, -1)
    on_map[placed] = np.arange(len(placed))
    source, target = on_map[network.source], on_map[network.target]
    counts = (source >= 0) & (target >= 0)
    if not counts.any():
        return float("nan")
    source, target = source[counts], target[counts]
    wanted = min(k + 1, len(placed))  # a feature is the nearest of itself
    near = KDTree(points[placed]).query(points[placed], k=wanted)[1].reshape(-1, wanted)
    found = [(near[a] == b[:, None]).any(1).mean() for a, b in ((source, target), (target, source))]
    return float(np.mean(found))
