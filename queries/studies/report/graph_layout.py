"""Places nodes of a graph so that its communities are seen apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_GOLDEN = np.pi * (3 - np.sqrt(5))  # turns between neighbours of a sunflower


def place_communities(nodes: Ints, ends: Ints, *, weight: Floats, communities: Ints) -> Floats:
    """Lay each community out by force in a disc of its own, and pack the discs.

    Parameters
    ----------
    nodes
        int64 ``[n]``: which are placed.
    ends
        int64 ``[edges, 2]``.
    weight
        float64 ``[edges]``, signed; only edges above 0 pull.
    communities
        int64 ``[every node]``; negative for none.

    Returns
    -------
    NDArray
        float64 ``[n, 2]``.
    """
    kinds = communities[nodes]
    names, sizes = np.unique(kinds, return_counts=True)
    # Large first, what is in no community last: it is put around the others.
    order = np.lexsort((names, -sizes, names < 0))
    radii = np.sqrt(sizes[order]) + 0.6
    centres = _pack(radii)
    xy = np.zeros((len(nodes), 2))
    for centre, radius, kind in zip(centres, radii, names[order], strict=True):
        members = nodes[kinds == kind]
        xy[kinds == kind] = centre + (radius - 0.6) * _disc(members, ends, weight)
    return xy


def _pack(radii: Floats) -> Floats:
    """Centres of discs that do not overlap: each as far inside a spiral as it fits."""
    placed: list[Floats] = []
    for radius in radii:
        taken, sizes = np.array(placed).reshape(-1, 2), radii[: len(placed)]
        for step in range(100_000):
            angle = 0.35 * step**0.75
            # Wider than high, as figures are.
            centre = 0.11 * angle * np.array([1.25 * np.cos(angle), np.sin(angle)])
            if (np.hypot(*(taken - centre).T) >= sizes + radius).all():
                break
        placed.append(centre)
    return np.array(placed).reshape(-1, 2)


def _disc(members: Ints, ends: Ints, weight: Floats) -> Floats:
    """Places of one community's nodes within a disc of radius 1."""
    number = len(members)
    turn = np.arange(number) * _GOLDEN
    reach = np.sqrt((np.arange(number) + 0.5) / number)
    sunflower = np.column_stack([np.cos(turn), np.sin(turn)]) * reach[:, np.newaxis]
    inside = np.isin(ends, members).all(axis=1) & (weight > 0)
    if number < 3 or not inside.any():
        return sunflower if number > 1 else np.zeros((number, 2))
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(members.tolist())
    pairs = zip(*ends[inside].T.tolist(), weight[inside].tolist(), strict=True)
    graph.add_weighted_edges_from(pairs)
    start = dict(zip(members.tolist(), sunflower, strict=True))
    found = nx.spring_layout(graph, pos=start, k=1.6 / np.sqrt(number), iterations=60, seed=0)
    places = np.array([found[node] for node in members.tolist()])
    places -= np.median(places, axis=0)
    places /= 1.5 * float(np.median(np.hypot(*places.T))) or 1.0
    # Force crowds what is closely knit: every node goes to a place of the sunflower near its own.
    gaps = ((np.clip(places, -2, 2)[:, np.newaxis] - sunflower) ** 2).sum(axis=2)
    spread: Floats = sunflower[linear_sum_assignment(gaps)[1]]
    return spread
