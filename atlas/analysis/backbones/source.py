"""Reads the co-occurrence network of a run, from the graph or from a build's folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atlas.analysis.network import Network
from atlas.analysis.projection import projection
from atlas.analysis.reading import read_network
from atlas.errors import ArtifactError, UsageError
from atlas.schemas import file_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from atlas.graph.reader import Reader

KIND = "token"
"""Kind of the edges read: features that fire together at the same positions."""

WEIGHTS = ("phi", "npmi", "jaccard", "phi_share")
"""Properties of an edge that can be its weight: above 0, and larger is stronger."""


def network_of_run(reader: Reader, run: str, *, weight: str = "phi") -> Network:
    """Return the co-occurrence network of a loaded run.

    Edges are those of kind ``token`` with phi and weight above 0: exclusive edges and pairs that
    fire together less than by chance are no similarity. Nodes are the features that ever fire.

    Parameters
    ----------
    reader
        Reads the graph.
    run
        Key of the run.
    weight
        One of `WEIGHTS`.

    Raises
    ------
    UsageError
        The weight is none of `WEIGHTS`.
    NotFoundError
        The run has no features that fire.
    """
    _check_weight(weight)
    # The graph's own ranks thin nothing here: backbones have ranks of what they are given.
    return read_network(reader, projection(run, kinds=(KIND,), top_k=0, weight=weight))


def network_of_build(folder: str | Path, *, weight: str = "phi") -> Network:
    """Return the co-occurrence network of a build's folder; no database is needed.

    Parameters
    ----------
    folder
        Folder made by `atlas build`; its files features.parquet and edges.parquet are read.
    weight
        One of `WEIGHTS`.

    Returns
    -------
    Network
        As of `network_of_run`.

    Raises
    ------
    UsageError
        The weight is none of `WEIGHTS`.
    ArtifactError
        A file is missing or cannot be read, or an edge names a feature that is not there.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    _check_weight(weight)
    folder = Path(folder).expanduser()
    try:
        features = pq.read_table(
            folder / file_name("features"),
            columns=["key", "sae", "index"],
            filters=~pc.field("dead"),
        )
        chosen = (pc.field("kind") == KIND) & (pc.field("phi") > 0) & (pc.field(weight) > 0)
        edges = pq.read_table(
            folder / file_name("edges"), columns=["source", "target", weight], filters=chosen
        )
    except (OSError, pa.ArrowInvalid) as error:
        raise ArtifactError(
            f"{folder} is no build that can be read: {error}.", hint="Build it again."
        ) from error
    keys = features.sort_by([("sae", "ascending"), ("index", "ascending")]).column("key")
    ends = [pc.index_in(edges.column(name), value_set=keys) for name in ("source", "target")]
    if any(end.null_count for end in ends):
        raise ArtifactError(
            f"{folder / file_name('edges')} joins a feature that {file_name('features')} lacks.",
            hint="Build it again.",
        )
    a, b = (end.to_numpy() for end in ends)
    return _network(keys.to_pylist(), a, b, weight=edges.column(weight).to_numpy())


def _check_weight(weight: str) -> None:
    if weight not in WEIGHTS:
        raise UsageError(
            f"There is no weight {weight!r}.", hint=f"There are: {', '.join(WEIGHTS)}."
        )


def _network(
    keys: Sequence[str],
    a: NDArray[np.integer],
    b: NDArray[np.integer],
    *,
    weight: NDArray[np.float64],
) -> Network:
    """Return the network of pairs in any order, in the order of their ends."""
    usable = np.isfinite(weight)
    a, b, weight = a[usable], b[usable], weight[usable]
    low, high = np.minimum(a, b).astype(np.int32), np.maximum(a, b).astype(np.int32)
    order = np.lexsort((high, low))
    return Network(keys, low[order], high[order], weight[order].astype(np.float64))
