"""What many runs agree on: consensus communities and how stable they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atlas.analysis.stability.settings import MIN_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from atlas.analysis.stability.folds import FoldCounts

KEEP = 0.5
"""A feature stays in a community that it is with in at least this share of the runs."""


def together(counts: FoldCounts, labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return float64 ``[edges]``: share of runs in which a candidate's ends are in one group."""
    shared = np.zeros(len(counts.source), dtype=np.int64)
    for run in labels:
        group = run[counts.source]
        shared += (group == run[counts.target]) & (group >= 0)
    return shared / max(len(labels), 1)


def consensus(
    counts: FoldCounts,
    labels: NDArray[np.int32],
    *,
    threshold: float,
    shares: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the communities that runs agree on.

    Evidence accumulation (Fred and Jain 2005): features are joined where they are in one group in
    at least `threshold` of the runs, and a community is what hangs together so. Only candidate
    edges are looked at (as Tandon et al. 2019 do), so memory is that of the edges. Then features
    go that are with their community's core in less than half of the runs, and communities that
    are too small.

    Parameters
    ----------
    counts
        Canonical fold counts.
    labels
        int32 ``[runs, nodes]``: each run's groups, -1 for none.
    threshold
        Share of runs, above 0 and at most 1.
    shares
        Of `together`, where known.

    Returns
    -------
    community
        int32 ``[nodes]``: 0 for the largest, equal sizes by their first node; -1 for features
        that belong nowhere stably.
    stay
        float64 ``[nodes]``: share of runs in which a feature is in its community's core; NaN
        where it has none. A run's core is its group with the most of the community's members.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    shares = together(counts, labels) if shares is None else shares
    joined = shares >= threshold
    ends = counts.source[joined], counts.target[joined]
    graph = coo_array((np.ones(len(ends[0])), ends), shape=(counts.nodes, counts.nodes))
    _, component = connected_components(graph, directed=False)
    community = number_groups(component.astype(np.int32))
    stay = staying(community, labels)
    # Without the ones that go, a community's core may be another: until none goes.
    while (stay < KEEP).any():
        community = number_groups(np.where(stay < KEEP, -1, community).astype(np.int32))
        stay = staying(community, labels)
    return community, stay


def number_groups(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Give numbers to groups of at least `MIN_SIZE` by falling size.

    Equal sizes go by their first node; what is in no such group is -1.

    Parameters
    ----------
    labels
        int32 ``[nodes]``; negative for none.
    """
    assigned = np.flatnonzero(labels >= 0)
    _, first, inverse, sizes = np.unique(
        labels[assigned], return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((first, -sizes))
    number = np.empty(len(order), dtype=np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    out = np.full(len(labels), -1, dtype=np.int32)
    out[assigned] = np.where(sizes[inverse] >= MIN_SIZE, number[inverse], -1)
    return out


def staying(community: NDArray[np.int32], labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return each feature's share of runs in its community's core, as `consensus` does."""
    stay = np.full(len(community), np.nan)
    members = np.flatnonzero(community >= 0)
    if not len(members):
        return stay
    own = community[members]
    found = np.zeros(len(members), dtype=np.int64)
    for run in labels:
        groups = run[members]
        core = _cores(own, groups, int(own.max()) + 1)
        found += (groups == core[own]) & (groups >= 0)
    stay[members] = found / max(len(labels), 1)
    return stay


def _cores(
    community: NDArray[np.int32], groups: NDArray[np.int32], number: int
) -> NDArray[np.int64]:
    """Return int64 ``[communities]``: the group with the most members of each; -1 for none."""
    seen = groups >= 0
    pairs, sizes = np.unique(
        community[seen].astype(np.int64) << 32 | groups[seen], return_counts=True
    )
    # Written last: the largest, and among equals the lowest group.
    order = np.lexsort((-pairs, sizes))
    core = np.full(number, -1, dtype=np.int64)
    core[pairs[order] >> 32] = pairs[order] & 0xFFFFFFFF
    return core


def recovery(community: NDArray[np.int32], other: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the best Jaccard of each community with the communities of another grouping.

    Parameters
    ----------
    community, other
        int32 ``[nodes]``, -1 for none. A member without a community in `other` counts as lost.

    Returns
    -------
    NDArray
        float64 ``[communities]``, in [0, 1].
    """
    best = np.zeros(int(community.max(initial=-1)) + 1)
    shared = (community >= 0) & (other >= 0)
    if not shared.any():
        return best
    sizes, others = np.bincount(community[community >= 0]), np.bincount(other[other >= 0])
    pairs, common = np.unique(
        community[shared].astype(np.int64) << 32 | other[shared], return_counts=True
    )
    a, b = pairs >> 32, pairs & 0xFFFFFFFF
    np.maximum.at(best, a, common / (sizes[a] + others[b] - common))
    return best
