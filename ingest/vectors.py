"""The stage that keeps what vector indexes search: decoder vectors and embedded labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from atlas.analysis.embedding import LABEL_DIMENSIONS, can_embed, embed_texts
from atlas.artifacts import write_table
from atlas.schemas import schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from atlas.progress import Reporter
    from ingest.mapped import MappedSae

    Vectors = NDArray[np.float32]

__all__ = ["LABEL_DIMENSIONS", "make_vectors"]

#: Features whose vectors are written at a time.
_ROWS = 8192


def make_vectors(
    folder: Path, sae: MappedSae, *, labels: Sequence[str | None], reporter: Reporter
) -> dict[str, Any]:
    """Write ``vectors``: a row for each feature that has a decoder vector or an embedded label.

    ``decoder`` is the feature's row of the SAE's decoder, float32 ``[d_model]``, as it is in the
    SAE: neither scaled nor centred (the index compares by cosine). It is null where the codes were
    brought without weights. ``label_embedding`` is the unit vector of its label, float32 ``[256]``;
    null where there is no label, and in every row where wordllama is not installed. No table is
    written where both are null everywhere.

    Parameters
    ----------
    folder
        Folder of the stage.
    sae
        The SAE.
    labels
        Label of each of its features, or None.
    reporter
        Told of the step, and of a missing package.

    Returns
    -------
    dict
        ``decoder`` and ``label_embedding``: rows that have one.
    """
    if len(labels) != sae.d_sae:
        raise ValueError(f"{len(labels)} labels cannot be of {sae.d_sae} features")
    labelled = np.array([bool(label) for label in labels], np.bool_)
    embedded: Vectors | None = None
    if not can_embed():
        reporter.note("labels are not embedded: the extra `embed` is not installed")
    elif labelled.any():
        reporter.note(f"embedding labels of {sae.name}")
        embedded = embed_texts([label for label in labels if label])
        # A text without a known token has no direction.
        labelled[labelled] = np.isfinite(embedded).all(axis=1)
        embedded = embedded[np.isfinite(embedded).all(axis=1)]
    if embedded is None:
        labelled[:] = False
    about = {
        "decoder": 0 if sae.w_dec is None else sae.d_sae,
        "label_embedding": int(labelled.sum()),
    }
    if any(about.values()):
        write_table(folder / "vectors.parquet", _tables(sae, labelled, embedded))
    return about


def _tables(
    sae: MappedSae, labelled: NDArray[np.bool_], embedded: Vectors | None
) -> Iterator[pa.Table]:
    """Yield the rows, some at a time."""
    before = np.append(0, np.cumsum(labelled))
    for first in range(0, sae.d_sae, _ROWS):
        stop = min(first + _ROWS, sae.d_sae)
        mine = labelled[first:stop]
        values = None if embedded is None else embedded[before[first] : before[stop]]
        decoder = None if sae.w_dec is None else sae.w_dec[first:stop].float().cpu().numpy()
        has = np.full(stop - first, decoder is not None)
        keep = np.flatnonzero(has | mine)
        yield pa.table(
            {
                "feature": [f"{sae.key}/{f}" for f in range(first, stop)],
                "decoder": _lists(has, decoder),
                "label_embedding": _lists(mine, values),
            },
            schema=schema("vectors"),
        ).take(pa.array(keep))


def _lists(has: NDArray[np.bool_], values: Vectors | None) -> pa.Array:
    """Make a list for every entry of `has` that is set, from the rows of `values` in order."""
    if values is None or not len(values):
        return pa.nulls(len(has), pa.list_(pa.float32()))
    width = values.shape[1]
    offsets = np.append(0, np.cumsum(has) * width).astype(np.int32)
    flat = pa.array(np.ascontiguousarray(values, np.float32).ravel())
    return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=pa.array(~has))
