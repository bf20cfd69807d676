"""Which nodes and edges of an attribution graph matter for its output.

The rule of circuit-tracer (Ameisen et al. 2025, "Circuit Tracing", appendix on graph pruning):
absolute weights, each row divided by its sum, give A; the influence of a node is what all paths
from it to the outputs carry, w (A + A^2 + ...) = w ((I - A)^-1 - I). Nodes are kept from the
largest influence down until they hold a given share of the sum; then edges, by the share of the
target's influence that they bring; then what has lost all its edges goes too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]


#: By less than this scores do not differ; all of one output's add up to a few.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Pruned:
    """What is kept of a graph of n nodes.

    Attributes
    ----------
    nodes, edges
        bool ``[n]`` and ``[n, n]`` (target, source): what is kept.
    influence
        float64 ``[n]``, before pruning.
    cumulative
        float64 ``[n]``: share of all influence that a node and those above it hold together.
    scores
        float64 ``[n, n]``: influence that an edge brings, in the graph of the kept nodes.
    """

    nodes: Mask
    edges: Mask
    influence: Floats
    cumulative: Floats
    scores: Floats


def normalised(adjacency: Floats) -> Floats:
    """Return absolute weights with rows that sum to 1; a row of zeros stays one."""
    size = np.abs(adjacency)
    sums = size.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(size, sums, out=np.zeros_like(size), where=sums > 0)
    return shares


def influences(adjacency: Floats, weights: Floats) -> Floats:
    """Influence of each node on the outputs.

    Parameters
    ----------
    adjacency
        ``[n, n]`` (target, source), without a cycle.
    weights
        ``[n]``: what each output counts, 0 elsewhere.

    Returns
    -------
    numpy.ndarray
        float64 ``[n]``; an output that feeds nothing has none.
    """
    shares = normalised(adjacency)
    found: Floats = np.linalg.solve((np.eye(len(shares)) - shares).T, weights) - weights
    # What rounding leaves of a node without a path to an output is no influence.
    return np.where(found > _ROUNDING, found, 0.0)


def prune(
    adjacency: Floats,
    *,
    weights: Floats,
    always: Mask,
    fed: Mask,
    node_threshold: float = 0.8,
    edge_threshold: float = 0.98,
    max_nodes: int | None = None,
) -> Pruned:
    """Keep the nodes and edges that matter.

    Parameters
    ----------
    adjacency
        ``[n, n]`` (target, source), direct effects; without a cycle.
    weights
        ``[n]``: what each output counts.
    always
        Nodes that are kept in any case: tokens and outputs.
    fed
        Nodes that go when nothing that is kept feeds them: features.
    node_threshold, edge_threshold
        Share of all influence that the kept nodes, and edges, hold; from 0 to 1.
    max_nodes
        Most nodes beside those always kept, of the largest influence.

    Raises
    ------
    UsageError
        A threshold is not a share.
    """
    for name, value in (("node", node_threshold), ("edge", edge_threshold)):
        if not 0 <= value <= 1:
            raise UsageError(f"The {name} threshold is {value}; give a share from 0 to 1.")
    influence = influences(adjacency, weights)
    nodes = _largest(influence, node_threshold) & ~always
    if max_nodes is not None:
        ranked = np.argsort(-np.where(nodes, influence, -1.0), kind="stable")
        nodes[ranked[max_nodes:]] = False
    nodes |= always
    kept = np.where(nodes[:, None] & nodes, adjacency, 0.0)
    scores = normalised(kept) * (influences(kept, weights) + weights)[:, None]
    edges = _largest(scores, edge_threshold)
    nodes, edges = _connected(nodes, edges, always=always, fed=fed)
    return Pruned(nodes, edges, influence, _cumulative(influence), scores)


def _largest(scores: Floats, share: float) -> Mask:
    """Mark the largest scores that together hold a share; nothing that is 0."""
    ranked = np.sort(scores, axis=None)[::-1]
    total = ranked.sum()
    if total <= 0:
        return np.zeros(scores.shape, bool)
    # Equal scores of a chain differ in their last digits, which must not decide.
    place = int(np.searchsorted(ranked.cumsum() / total, share - _ROUNDING))
    least = ranked[min(place, len(ranked) - 1)]
    found: Mask = (scores >= least - _ROUNDING) & (scores > 0)
    return found


def _connected(nodes: Mask, edges: Mask, *, always: Mask, fed: Mask) -> tuple[Mask, Mask]:
    """Drop nodes that feed nothing, or should be fed and are not, until there is none."""
    while True:
        edges = edges & nodes[:, None] & nodes
        lost = nodes & ~always & (~edges.any(axis=0) | (fed & ~edges.any(axis=1)))
        if not lost.any():
            return nodes, edges
        nodes = nodes & ~lost


def _cumulative(influence: Floats) -> Floats:
    order = np.argsort(-influence, kind="stable")
    found = np.zeros_like(influence)
    found[order] = influence[order].cumsum() / max(float(influence.sum()), 1e-300)
    return found
