"""Random permutations, signs and resamples, and p from them.

All statistics are compared with a tolerance: permutations that are equal to the observed order by
symmetry differ from it in the last bits, and must count as equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Draw = Callable[[int], Floats]

TOLERANCE = 1e-7
"""Share of a statistic by which a permuted one may fall short of it and still count as equal."""
ENOUGH = 20
"""A test with this many permutations at least as extreme is drawn no further."""
STEP = 4
"""Each stage has this many times the permutations of all before it."""
_CELLS = 4_000_000  # numbers of one block of draws: 32 MB


def bound(observed: Floats) -> Floats:
    """Return the least that counts as large as an observed statistic, which is not negative."""
    return observed - TOLERANCE * np.maximum(observed, 1.0)


def in_blocks(count: int, columns: int) -> Iterator[int]:
    """Cut `count` draws of `columns` numbers each into blocks that stay small."""
    size = max(1, _CELLS // max(columns, 1))
    for start in range(0, count, size):
        yield min(size, count - start)


def memberships(rng: np.random.Generator, *, first: int, second: int) -> Draw:
    """Draw labels: float64 ``[count, first + second]``, 1 where a row is dealt to the first."""
    base = np.repeat([1.0, 0.0], [first, second])
    return lambda count: rng.permuted(np.tile(base, (count, 1)), axis=1)


def signs(rng: np.random.Generator, number: int) -> Draw:
    """Draw signs: float64 ``[count, number]``, 1 or -1 with equal chance."""

    def draw(count: int) -> Floats:
        return rng.integers(0, 2, (count, number)).astype(np.float64) * 2 - 1

    return draw


def orders(rng: np.random.Generator, number: int) -> Callable[[int], Ints]:
    """Draw orders: int64 ``[count, number]``, each row a permutation."""
    base = np.arange(number)
    return lambda count: rng.permuted(np.tile(base, (count, 1)), axis=1)


def weights(rng: np.random.Generator, number: int, *, resamples: int) -> Floats:
    """Return float64 ``[resamples, number]``: how often a resample has each of the rows."""
    return rng.multinomial(number, np.full(number, 1 / number), size=resamples).astype(np.float64)


def permutation_p(drawn: Floats, observed: float) -> float:
    """Return (1 + permutations as extreme) / (1 + permutations) of draws ``[permutations]``."""
    floor = bound(np.array([observed]))[0]
    return float((1 + np.count_nonzero(drawn >= floor)) / (1 + len(drawn)))


def staged(
    statistics: Callable[[Ints, int], Iterator[Floats]],
    observed: Floats,
    *,
    permutations: int,
    limit: int,
) -> tuple[Floats, Ints, Floats]:
    """Test many columns, those that are near the floor with ever more permutations.

    With B permutations p cannot be below 1 / (1 + B), and a lone column among thousands cannot
    pass Benjamini and Hochberg there. So B grows in stages, B1 < B2 < ... < `limit`: a column
    whose count g of permutations as extreme has reached `ENOUGH` keeps p = (1 + g) / (1 + B), the
    others get more. The checkpoints are fixed beforehand and a column's stop depends on its own
    count alone (after Besag and Clifford 1991), and p stays valid: take any a, and the first
    stage k with (1 + ENOUGH) / (1 + Bk) <= a. A column that stopped before has p > a; one that
    stops there or goes on has (1 + g) / (1 + Bk) <= a whenever its final p is <= a. So p <= a
    only where the ordinary permutation p of stage k is <= a, which has at most chance a.

    Parameters
    ----------
    statistics
        Of columns (int64) and a number of permutations: gives blocks float64
        ``[some permutations, columns]`` of statistics that are not negative.
    observed
        float64 ``[columns]``.
    permutations
        Of the first stage, which all columns have.
    limit
        Most permutations; not below `permutations`.

    Returns
    -------
    p
        float64 ``[columns]``.
    made
        int64 ``[columns]``: permutations of each.
    family
        float64 ``[columns]``: p against the largest statistic of all columns in each permutation
        of the first stage (single-step max-T, Westfall and Young 1993), which holds the chance
        of any false find. Statistics must be on one scale.
    """
    floor = bound(observed)
    reached = np.zeros(len(observed), dtype=np.int64)
    made = np.zeros(len(observed), dtype=np.int64)
    active = np.arange(len(observed))
    largest: list[Floats] = []
    total, target = 0, permutations
    while len(active) and total < target:
        for block in statistics(active, target - total):
            reached[active] += np.count_nonzero(block >= floor[active], axis=0)
            if not total:
                largest.append(block.max(axis=1))
        total = target
        made[active] = total
        active = active[reached[active] < ENOUGH]
        target = min(STEP * total, max(limit, permutations))
    maxima = np.sort(np.concatenate(largest)) if largest else np.empty(0)
    beyond = len(maxima) - np.searchsorted(maxima, floor, side="left")
    return (1 + reached) / (1 + made), made, (1 + beyond) / (1 + len(maxima))
