"""The k largest pre-activations of each position, in one walk: TopK codes without dense copies.

torch needs four walks over ``[positions, d_sae]`` for what is one here: adding the bias, scaling,
choosing the k largest, sorting them by latent. The codes are the same to the last bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Pre-activations that are skipped together where none of them can be among the largest.
BLOCK = 64


def largest_positive(
    products: NDArray[np.float32],
    bias: NDArray[np.float32],
    scale: NDArray[np.float32],
    *,
    k: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Find the `k` largest of ``(products + bias) * scale`` in each row, of those above 0.

    Parameters
    ----------
    products
        float32 ``[positions, d_sae]``, finite.
    bias, scale
        float32 ``[d_sae]``.
    k
        Latents that may fire at a position; of equal ones the lower index is taken.

    Returns
    -------
    row, index, value
        int64, int32, float32, ordered by row, then latent index.
    """
    rows, k = len(products), min(k, products.shape[1])
    count = np.empty(rows, np.int64)
    index, value = np.empty((rows, k), np.int32), np.empty((rows, k), np.float32)
    _find(products, bias, scale, count, index, value)
    kept = np.arange(k) < count[:, None]
    return np.repeat(np.arange(rows), count), index[kept], value[kept]


@numba.njit(parallel=True, cache=True)
def _find(
    products: NDArray[np.float32],
    bias: NDArray[np.float32],
    scale: NDArray[np.float32],
    count: NDArray[np.int64],
    index: NDArray[np.int32],
    value: NDArray[np.float32],
) -> None:
    size, k = products.shape[1], index.shape[1]
    for r in numba.prange(len(products)):
        values, places = np.empty(4 * k + BLOCK, np.float32), np.empty(4 * k + BLOCK, np.int32)
        line = np.empty(BLOCK, np.float32)
        n, lowest = 0, np.float32(0.0)
        for begin in range(0, size, BLOCK):
            width, most = min(BLOCK, size - begin), np.float32(0.0)
            for t in range(width):  # without branches, to vectorise
                line[t] = (products[r, begin + t] + bias[begin + t]) * scale[begin + t]
                most = max(most, line[t])
            if most > lowest:
                for t in range(width):
                    if line[t] > lowest:
                        values[n], places[n] = line[t], begin + t
                        n += 1
                if n > 4 * k:
                    n, lowest = k, _keep_largest(values, places, n, k)
        if n > k:
            _keep_largest(values, places, n, k)
            n = k
        count[r] = n
        index[r, :n], value[r, :n] = places[:n], values[:n]


@numba.njit(cache=True)
def _keep_largest(
    values: NDArray[np.float32], places: NDArray[np.int32], n: int, k: int
) -> np.float32:
    """Move the `k` largest of `n` values to the front, in their order; return the least of them."""
    least: np.float32 = np.partition(values[:n], n - k)[n - k]
    ties = k
    for t in range(n):
        ties -= values[t] > least
    m = 0
    for t in range(n):
        if values[t] > least or (values[t] == least and ties > 0):
            ties -= values[t] == least
            values[m], places[m] = values[t], places[t]
            m += 1
    return least
