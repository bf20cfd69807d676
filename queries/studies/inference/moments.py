"""Shape of the distribution of a feature's logit weights over the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from atlas.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Moments of each feature's logit weights, float64 ``[features]`` each.

    Attributes
    ----------
    mean, sd
        In logits for one unit of activation; population standard deviation.
    skewness
        Above 0 where a few tokens are promoted much, below where a few are suppressed.
    kurtosis
        In excess of a normal distribution's 3: high where few tokens stand out.
    lowest, highest
        Extreme weights.
    """

    mean: Floats
    sd: Floats
    skewness: Floats
    kurtosis: Floats
    lowest: Floats
    highest: Floats

    def table(self) -> pa.Table:
        """Return a row a feature: ``feature`` (0-based) and the moments."""
        columns = {"feature": pa.array(np.arange(len(self.mean)), pa.int64())}
        return pa.table(columns | {name: pa.array(column) for name, column in vars(self).items()})


def logit_weight_moments(
    directions: ArrayLike,
    unembedding: ArrayLike,
    *,
    standardised: bool = False,
    block: int = 256,
    tokens: ArrayLike | None = None,
) -> Moments:
    """Return the moments of ``directions @ unembedding`` over tokens, some features at a time.

    Parameters
    ----------
    directions
        ``[features, d_model]``: the SAE's decoder.
    unembedding
        ``[d_model, vocabulary]``: the model's unembedding, with the final norm's scale folded in.
    standardised
        Whether directions have length 1 and the unembedding's columns are centred over tokens
        and have length 1, so that weights are cosines: tokens with long unembeddings otherwise
        are at the ends for every feature, and long directions have large deviations.
    block
        Features at a time: memory is some ``20 * block * vocabulary`` bytes.
    tokens
        bool ``[vocabulary]``: which count. None takes all.

    Returns
    -------
    Moments
        Of products in float32, with sums in float64. Skewness and kurtosis of a feature whose
        weights are all one number are NaN.

    Raises
    ------
    UsageError
        Shapes do not fit, or no token is left.
    """
    rows = np.asarray(directions, dtype=np.float32)
    columns = np.asarray(unembedding, dtype=np.float32)
    if rows.ndim != 2 or columns.ndim != 2 or rows.shape[1] != columns.shape[0]:
        raise UsageError(f"Directions {rows.shape} and unembedding {columns.shape} do not fit.")
    if tokens is not None:
        columns = columns[:, np.asarray(tokens, dtype=bool)]
    if not columns.shape[1]:
        raise UsageError("No token is left whose weight could be measured.")
    if standardised:
        columns = _unit(columns - columns.mean(axis=1, keepdims=True), axis=0)
        rows = _unit(rows, axis=1)
    columns = np.ascontiguousarray(columns)
    parts = [
        _moments((rows[start : start + block] @ columns).astype(np.float64))
        for start in range(0, len(rows), block)
    ]
    return Moments(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _unit(values: NDArray[np.floating], *, axis: int) -> NDArray[np.float32]:
    sizes = np.linalg.norm(values, axis=axis, keepdims=True)
    return (values / np.where(sizes > 0, sizes, 1)).astype(np.float32)


def _moments(weights: Floats) -> tuple[Floats, ...]:
    mean = weights.mean(axis=1)
    lowest, highest = weights.min(axis=1), weights.max(axis=1)
    weights -= mean[:, np.newaxis]
    squares = weights**2
    variance = squares.mean(axis=1)
    third = np.einsum("ij,ij->i", squares, weights) / weights.shape[1]
    fourth = np.einsum("ij,ij->i", squares, squares) / weights.shape[1]
    fine = variance > 1e-14 * np.maximum(lowest**2, highest**2)
    safe = np.where(fine, variance, 1.0)
    skewness = np.where(fine, third / safe**1.5, np.nan)
    kurtosis = np.where(fine, fourth / safe**2 - 3, np.nan)
    return mean, np.sqrt(variance), skewness, kurtosis, lowest, highest
