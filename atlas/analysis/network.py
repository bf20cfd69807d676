"""A graph in memory: what every engine, backbone, layout and resampling works on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Network:
    """Features and what joins them, as arrays.

    Attributes
    ----------
    keys
        Key of each node, in ascending order of (SAE, index).
    source, target
        int32 ``[edges]``: places in `keys`. Without direction an edge is listed once, with
        ``source < target``. No edge is listed twice and none joins a node with itself.
    weight
        float64 ``[edges]``, finite. Algorithms that take weights as similarity want them above 0.
    directed
        Whether an edge goes from source to target only.
    """

    keys: Sequence[str]
    source: NDArray[np.int32]
    target: NDArray[np.int32]
    weight: NDArray[np.float64]
    directed: bool = False

    def __post_init__(self) -> None:
        """Refuse arrays that are no such graph."""
        ends = (self.source, self.target)
        if not len(self.source) == len(self.target) == len(self.weight):
            raise UsageError("A network's sources, targets and weights are of different length.")
        if len(self.source) and (
            min(int(x.min()) for x in ends) < 0 or max(int(x.max()) for x in ends) >= self.nodes
        ):
            raise UsageError("An edge of a network names a node that it does not have.")
        if not self.directed and not (self.source < self.target).all():
            raise UsageError("An undirected network lists each edge once, the lower node first.")
        if (self.source == self.target).any() or len(np.unique(self._pair)) < self.edges:
            raise UsageError("A network has an edge twice, or one that joins a node with itself.")
        if not np.isfinite(self.weight).all():
            raise UsageError("A network has a weight that is not finite.")

    @cached_property
    def _pair(self) -> NDArray[np.int64]:
        return self.source.astype(np.int64) << 32 | self.target

    @property
    def nodes(self) -> int:
        """Number of nodes, those without an edge included."""
        return len(self.keys)

    @property
    def edges(self) -> int:
        """Number of edges."""
        return len(self.source)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.integer]) -> Network:
        """Return the network with some of its edges, by mask or places; all nodes stay."""
        return Network(
            self.keys, self.source[rows], self.target[rows], self.weight[rows], self.directed
        )

    def weighted(self, weight: NDArray[np.float64]) -> Network:
        """Return the network with other weights."""
        return Network(self.keys, self.source, self.target, weight, self.directed)
