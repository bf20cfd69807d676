"""Groups of arrays that the compiled loops take: named tuples, which numba understands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Slots(NamedTuple):
    """The best places of each of some rows (features or pairs), the best first.

    Attributes
    ----------
    key
        float64 ``[rows, kept]``: what places are ordered by; -inf where a slot is empty.
    document, position
        int32 ``[rows, kept]``.
    values
        float32 ``[rows, kept, m]``: activations at the place.
    """

    key: NDArray[np.float64]
    document: NDArray[np.int32]
    position: NDArray[np.int32]
    values: NDArray[np.float32]


def empty_slots(rows: int, kept: int, *, values: int = 1) -> Slots:
    """Make empty slots; 16 + 4 * `values` bytes each."""
    return Slots(
        np.full((rows, kept), -np.inf),
        np.full((rows, kept), -1, np.int32),
        np.full((rows, kept), -1, np.int32),
        np.zeros((rows, kept, values), np.float32),
    )


class Columns(NamedTuple):
    """A shard's codes by feature.

    Attributes
    ----------
    ptr
        int64 ``[d_sae + 1]``: a feature's slice of the next two.
    row, value
        int32 and float32 ``[nnz]``: rows where it fires, ascending, and its activations there.
    document, position
        int32 ``[rows]``.
    """

    ptr: NDArray[np.int64]
    row: NDArray[np.int32]
    value: NDArray[np.float32]
    document: NDArray[np.int32]
    position: NDArray[np.int32]


class Rows(NamedTuple):
    """A shard's codes by row.

    Attributes
    ----------
    ptr
        int64 ``[rows + 1]``: a row's slice of the next two.
    feature, value
        int32 and float32 ``[nnz]``: features that fire there, ascending, and their activations.
    document, position
        int32 ``[rows]``.
    """

    ptr: NDArray[np.int64]
    feature: NDArray[np.int32]
    value: NDArray[np.float32]
    document: NDArray[np.int32]
    position: NDArray[np.int32]


class Partners(NamedTuple):
    """Pairs of features, each listed under one of the two.

    Attributes
    ----------
    ptr
        int64 ``[d_sae + 1]``: a feature's slice of `other`.
    other
        int32 ``[pairs]``: the other feature, ascending in a slice.
    """

    ptr: NDArray[np.int64]
    other: NDArray[np.int32]
