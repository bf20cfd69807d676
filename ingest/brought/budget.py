"""Whether shards fit into memory, asked before the first is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import ArtifactError
from ingest.brought.shards import FIRING_BYTES, POSITION_BYTES

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from ingest.brought.options import BroughtOptions


def check_memory(
    ids: pa.Array,
    firings: NDArray[np.int64],
    n_positions: NDArray[np.int64],
    *,
    options: BroughtOptions,
) -> None:
    """Refuse shards whose rows would take more memory than the options allow.

    Parameters
    ----------
    ids
        Ids of the documents, for the message.
    firings, n_positions
        int64, of each document.
    options
        `memory_mb` and `shard_documents`.

    Raises
    ------
    ArtifactError
        A document, or a shard's documents together, would take more.
    """
    budget = options.memory_mb << 20
    need = firings * FIRING_BYTES + n_positions * POSITION_BYTES
    if not len(need):
        return
    worst = int(need.argmax())
    if need[worst] > budget:
        raise ArtifactError(
            f"Document {ids[worst].as_py()!r} has {firings[worst]:,} firings at "
            f"{n_positions[worst]:,} positions: about {need[worst] >> 20:,} MiB, more than "
            f"memory_mb = {options.memory_mb:,}.",
            hint="A document is never cut: raise memory_mb, or bring shorter documents.",
        )
    sums = np.add.reduceat(need, np.arange(0, len(need), options.shard_documents))
    largest = int(sums.argmax())
    if sums[largest] > budget:
        fitting = max(1, int(options.shard_documents * budget / sums[largest]))
        raise ArtifactError(
            f"Shard {largest} of {options.shard_documents:,} documents would take about "
            f"{sums[largest] >> 20:,} MiB, more than memory_mb = {options.memory_mb:,}.",
            hint=f"Raise memory_mb, or set shard_documents to about {fitting:,}.",
        )
