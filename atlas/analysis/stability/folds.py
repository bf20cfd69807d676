"""Joint firings by fold of documents, and the backbone of any weighting of the folds.

Counts are sums over documents. Kept by fold, they give the phi of every candidate edge on any
half, or any bootstrap, of the documents without a look at the codes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atlas.analysis.network import Network
from atlas.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

FOLDS = 64
"""Folds of documents that a build keeps: document number modulo this."""

CANDIDATE_RANK = 64
"""Candidates are token edges among the strongest so many of both ends.

More than the backbone's `top_k`, by a factor of two or so: an edge that is too weak on all
documents must be able to enter on some of them.
"""

EDGE_FILE = "edge_folds.parquet"
FEATURE_FILE = "feature_folds.parquet"


@dataclass(frozen=True)
class FoldCounts:
    """Additive counts of the candidate edges, by fold of documents.

    Attributes
    ----------
    keys
        Key of each node.
    source, target
        int32 ``[edges]``: places in `keys`, in either order; no pair twice.
    joint
        int32 ``[edges, folds]``: positions where both ends fire.
    firings
        int64 ``[nodes, folds]``: positions where a node fires.
    positions
        int64 ``[folds]``: positions that are not masked.
    """

    keys: Sequence[str]
    source: NDArray[np.int32]
    target: NDArray[np.int32]
    joint: NDArray[np.int32]
    firings: NDArray[np.int64]
    positions: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse arrays whose shapes do not fit."""
        edges, folds = len(self.source), len(self.positions)
        if len(self.target) != edges or self.joint.shape != (edges, folds):
            raise UsageError("The edges of fold counts are of different length.")
        if self.firings.shape != (len(self.keys), folds):
            raise UsageError(
                "The firings of fold counts are not one row a node, one column a fold."
            )
        if len(set(self.keys)) < len(self.keys):
            raise UsageError("Fold counts name a feature twice.")

    @property
    def nodes(self) -> int:
        """Number of nodes, those without a candidate edge included."""
        return len(self.keys)

    @property
    def folds(self) -> int:
        """Number of folds."""
        return len(self.positions)

    def canonical(self) -> tuple[FoldCounts, NDArray[np.int64]]:
        """Return the counts with nodes and edges in the order of the keys, and where they were.

        Leiden and ties depend on the order of nodes; sorted first, the result does not.

        Returns
        -------
        counts
            Nodes by key, ``source < target``, edges by (source, target).
        order
            int64 ``[nodes]``: place in this object's `keys` of each node of `counts`.
        """
        order = np.array(sorted(range(self.nodes), key=self.keys.__getitem__), dtype=np.int64)
        place = np.empty(self.nodes, dtype=np.int32)
        place[order] = np.arange(self.nodes, dtype=np.int32)
        ends = np.sort(np.stack([place[self.source], place[self.target]]), axis=0)
        rows = np.lexsort((ends[1], ends[0]))
        counts = FoldCounts(
            [self.keys[i] for i in order],
            ends[0, rows],
            ends[1, rows],
            self.joint[rows],
            self.firings[order],
            self.positions,
        )
        return counts, order

    def phi(self, weight: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return phi of every candidate edge, each fold counted `weight` times.

        Parameters
        ----------
        weight
            int64 ``[folds]``: how often a fold was drawn. All ones give the build's own phi.

        Returns
        -------
        NDArray
            float64 ``[edges]``; 0 where an end never fires, or always.
        """
        total = int(self.positions @ weight)
        fired = (self.firings @ weight).astype(np.float64)
        joint = np.matmul(self.joint, weight, dtype=np.int64).astype(np.float64)
        a, b = fired[self.source], fired[self.target]
        scale = np.sqrt(a * (total - a)) * np.sqrt(b * (total - b))
        excess = total * joint - a * b
        return np.asarray(np.divide(excess, scale, out=np.zeros_like(excess), where=scale > 0))


def backbone(counts: FoldCounts, weight: NDArray[np.int64], *, top_k: int) -> Network:
    """Return the candidates that are among the `top_k` of both ends by phi, weighted by phi.

    Ranks are among the candidates with a positive phi. Equal values go by the place of the other
    end, so `counts` should be canonical.

    Parameters
    ----------
    counts
        Candidates with ``source < target``.
    weight
        int64 ``[folds]``.
    top_k
        At least 1.
    """
    phi = counts.phi(weight)
    kept = np.flatnonzero(phi > 0)
    source, target, phi = counts.source[kept], counts.target[kept], phi[kept]
    strong = (_ranks(source, target, phi) <= top_k).reshape(2, -1).all(axis=0)
    return Network(counts.keys, source[strong], target[strong], phi[strong])


def _ranks(
    source: NDArray[np.int32], target: NDArray[np.int32], strength: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return int64 ``[2 * edges]``: rank of each edge at its source, then of each at its target."""
    end, other = np.concatenate([source, target]), np.concatenate([target, source])
    order = np.lexsort((other, -np.tile(strength, 2), end))
    first = np.searchsorted(end[order], end)
    ranks = np.empty(len(end), dtype=np.int64)
    ranks[order] = np.arange(len(end))
    return ranks - first + 1


def read_folds(build: Path) -> FoldCounts:
    """Read the fold counts of a build's folder.

    Parameters
    ----------
    build
        Holds ``edge_folds.parquet`` (``source``, ``target`` str; ``n`` fixed-size list of int32)
        and ``feature_folds.parquet`` (``key`` str; ``n`` likewise), positions by fold as a JSON
        list in the latter's schema metadata under ``positions``.

    Raises
    ------
    ArtifactError
        A file is missing or not of this form.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name in (EDGE_FILE, FEATURE_FILE):
        if not (build / name).is_file():
            raise ArtifactError(
                f"The build {build} has no {name}.",
                hint="Build it again with this version: communities are resampled from it.",
            )
    try:
        edges, features = pq.read_table(build / EDGE_FILE), pq.read_table(build / FEATURE_FILE)
        positions = np.array(json.loads(features.schema.metadata[b"positions"]), dtype=np.int64)
        keys = features["key"].to_pylist()
        place = {key: number for number, key in enumerate(keys)}
        source, target = (
            np.array([place[key] for key in edges[end].to_pylist()], dtype=np.int32)
            for end in ("source", "target")
        )
        joint, firings = (_matrix(table["n"], len(positions)) for table in (edges, features))
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"The fold counts of the build {build} cannot be read: {error!r}.",
            hint="Build it again with this version.",
        ) from error
    return FoldCounts(keys, source, target, joint, firings.astype(np.int64), positions)


def _matrix(column: pa.ChunkedArray, folds: int) -> NDArray[np.int32]:
    """Return int32 ``[rows, folds]`` of a column of fixed-size lists."""
    chunks = [np.asarray(chunk.flatten(), dtype=np.int32) for chunk in column.chunks]
    flat = np.concatenate([np.zeros(0, np.int32), *chunks])
    return flat.reshape(len(column), folds)
