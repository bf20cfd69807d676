"""Reads a projection out of the database, for the engines that work in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atlas.analysis.network import Network
from atlas.errors import NotFoundError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from atlas.analysis.projection import Projection
    from atlas.graph.reader import Reader


def read_network(reader: Reader, projected: Projection) -> Network:
    """Read a projection out of the database: the same graph that Graph Data Science projects.

    Parameters
    ----------
    reader
        Reads the graph.
    projected
        What to read.

    Returns
    -------
    Network
        Features that ever fire, in ascending order of (SAE, index), and the edges.

    Raises
    ------
    NotFoundError
        The run has no features that fire.
    DatabaseError
        The database fails.
    """
    rows = reader.read(
        projected.pattern()
        + "RETURN f.key AS key, id(f) AS node, collect(id(t)) AS targets,"
        + " collect(weight) AS weights",
        projected.parameters(),
        what=f"Reading the graph of {projected.run}",
    )
    if not rows:
        raise NotFoundError(
            f"The run {projected.run} has no feature that fires.", hint="Load a build first."
        )
    rows.sort(key=lambda row: _sae_and_index(row["key"]))
    place = {row["node"]: number for number, row in enumerate(rows)}
    source = np.repeat(np.arange(len(rows), dtype=np.int32), [len(row["targets"]) for row in rows])
    target = np.array([place[node] for row in rows for node in row["targets"]], np.int32)
    weight = np.array([w for row in rows for w in row["weights"]], np.float64)
    keys = [row["key"] for row in rows]
    return _network(keys, source, target, weight=weight, directed=projected.directed)


def _sae_and_index(key: str) -> tuple[str, int]:
    sae, _, index = key.rpartition("/")
    return sae, int(index)


def _network(
    keys: list[str],
    source: NDArray[np.int32],
    target: NDArray[np.int32],
    *,
    weight: NDArray[np.float64],
    directed: bool,
) -> Network:
    """Return the network; of several edges of a pair the heaviest counts."""
    if not directed:
        source, target = np.minimum(source, target), np.maximum(source, target)
    order = np.lexsort((-weight, target, source))
    source, target, weight = source[order], target[order], weight[order]
    first = np.ones(len(source), bool)
    first[1:] = (source[1:] != source[:-1]) | (target[1:] != target[:-1])
    return Network(keys, source[first], target[first], weight[first], directed)
