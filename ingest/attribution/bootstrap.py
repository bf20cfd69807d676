"""Bootstrap over prompts: how stable a correlation is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ingest.attribution.groups import group_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

#: Entries of one ``[prompts, pairs]`` or ``[resamples, pairs]`` block: 32 MiB.
BLOCK = 1 << 22


def resample_weights(
    prompts: int, resamples: int, *, seed: int, groups: Sequence[str | None] | None = None
) -> Floats:
    """Draw how often each prompt is in each resample.

    Parameters
    ----------
    prompts
        Number of prompts.
    resamples
        Number of resamples.
    seed
        Seed of the draws.
    groups
        The prompts' groups; whole groups are then drawn, as many as there are.

    Returns
    -------
    float64 ``[resamples, prompts]``, whole numbers.
    """
    member = np.arange(prompts)
    if groups is not None:
        member = group_numbers(groups)
    units = int(member.max()) + 1
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(units, np.full(units, 1 / units), size=resamples)
    return counts[:, member].astype(np.float64)


def resampled_r(
    values: Floats, i: Integers, j: Integers, *, weights: Floats, block: int = BLOCK
) -> Iterator[tuple[slice, Floats]]:
    """Pearson's r of pairs of columns in each resample, a block of pairs after the other.

    A weighted sum of products is one matrix product for all resamples, so nothing is drawn anew
    for each pair. For Spearman's r give ranks: those of the whole set are then kept.

    Parameters
    ----------
    values
        float64 ``[prompts, features]``.
    i, j
        int64 ``[pairs]``, columns.
    weights
        float64 ``[resamples, prompts]``.
    block
        Largest number of entries of a block of pairs; bounds the memory.

    Yields
    ------
    pairs
        Which pairs.
    r
        float64 ``[resamples, pairs]``; NaN where a column is constant in a resample.
    """
    spread = values.std(axis=0)
    z = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    drawn = weights.sum(axis=1, keepdims=True)
    mean = weights @ z / drawn
    deviation = np.sqrt(np.maximum(weights @ z**2 / drawn - mean**2, 0.0))
    deviation[deviation < 1e-7] = np.nan  # constant but for rounding
    step = max(1, block // max(len(values), len(weights)))
    for start in range(0, len(i), step):
        pairs = slice(start, min(start + step, len(i)))
        a, b = i[pairs], j[pairs]
        product = weights @ (z[:, a] * z[:, b]) / drawn
        r = (product - mean[:, a] * mean[:, b]) / (deviation[:, a] * deviation[:, b])
        yield pairs, np.clip(r, -1.0, 1.0)
