"""Whether something changed the same prompts, such as steering against none."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.special import stdtr, stdtrit
from scipy.stats import wilcoxon

from atlas.errors import UsageError
from queries.studies.inference.checks import finite, resampling, same_length
from queries.studies.inference.correction import bonferroni, false_discovery
from queries.studies.inference.draws import bound, in_blocks, signs, weights
from queries.studies.inference.intervals import bca, dz_interval
from queries.studies.inference.power import detectable_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

EXACT = 13
"""Up to so many observations all patterns of signs are gone through."""


@dataclass(frozen=True)
class PairedTest:
    """Comparison of two conditions on the same prompts.

    Attributes
    ----------
    n
        Observations: prompts, or blocks of them.
    mean_a, mean_b, difference
        Means of both, and the first less the second.
    low, high
        Interval of the difference by Student's t.
    boot_low, boot_high
        The same by the BCa bootstrap over observations.
    t, p_t, p_wilcoxon
        The t-test, and the signed-rank test (Wilcoxon 1945; differences of 0 are left out).
    p_permutation, permutations
        Of the mean, by flipping signs of the differences: all 2^n patterns up to `EXACT`
        observations, random ones beyond.
    dz, dz_low, dz_high
        Difference over the standard deviation of the differences, and its interval by the
        noncentral t. NaN where all differences are one number other than 0.
    detectable, detectable_dz
        Smallest absolute difference, and dz, found with 80 % power at this n and spread.
    """

    n: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    boot_low: float
    boot_high: float
    t: float
    p_t: float
    p_wilcoxon: float
    p_permutation: float
    permutations: int
    dz: float
    dz_low: float
    dz_high: float
    detectable: float
    detectable_dz: float


def paired(
    a: ArrayLike,
    b: ArrayLike,
    *,
    blocks: Sequence[object] | NDArray[np.generic] | None = None,
    permutations: int = 9999,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> PairedTest:
    """Test the mean difference of two conditions over prompts.

    Parameters
    ----------
    a, b
        float64 ``[prompts]``: the same prompts' values in both.
    blocks
        ``[prompts]``: prompts of one block, such as a template, tend to change alike. Their mean
        is one observation. None takes each prompt by itself.
    permutations, resamples, seed, level
        Of the sign flips, the bootstrap and the intervals.

    Raises
    ------
    UsageError
        Lengths differ, numbers are not finite, or fewer than two observations are left.
    """
    first, second = (finite(values, "A condition", ndim=1) for values in (a, b))
    return _tests(
        first[:, np.newaxis],
        second[:, np.newaxis],
        blocks=blocks,
        permutations=permutations,
        resamples=resamples,
        seed=seed,
        level=level,
    )[0]


def paired_table(
    a: ArrayLike,
    b: ArrayLike,
    *,
    names: Sequence[str],
    blocks: Sequence[object] | NDArray[np.generic] | None = None,
    permutations: int = 9999,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> pa.Table:
    """Test many conditions over the same prompts, corrected for their number.

    Parameters
    ----------
    a
        float64 ``[prompts, comparisons]``.
    b
        The same, or float64 ``[prompts]`` for all.
    names
        Of the comparisons.
    blocks, permutations, resamples, seed, level
        As in `paired`; all comparisons share the draws.

    Returns
    -------
    pyarrow.Table
        A row a comparison: ``name``, all of `PairedTest`, and ``p_bonferroni`` and ``q``
        (Benjamini and Hochberg) of p_permutation over the comparisons.
    """
    first = finite(a, "The first condition", ndim=2)
    second = np.asarray(b, dtype=np.float64)
    if second.ndim == 1:
        same_length(first, second, names="The conditions")
        second = np.repeat(second[:, np.newaxis], first.shape[1], axis=1)
    second = finite(second, "The second condition", ndim=2)
    if first.shape[1] != len(names) or not names or first.shape != second.shape:
        raise UsageError(
            f"Conditions are {first.shape} and {second.shape}, with {len(names)} names.",
            hint="Give one column and one name a comparison.",
        )
    tests = _tests(
        first,
        second,
        blocks=blocks,
        permutations=permutations,
        resamples=resamples,
        seed=seed,
        level=level,
    )
    table = pa.Table.from_pylist([asdict(test) for test in tests])
    table = table.add_column(0, "name", pa.array(list(names), pa.string()))
    p = np.array([test.p_permutation for test in tests])
    table = table.append_column("p_bonferroni", pa.array(bonferroni(p)))
    return table.append_column("q", pa.array(false_discovery(p)))


def _tests(
    first: Floats,
    second: Floats,
    *,
    blocks: Sequence[object] | NDArray[np.generic] | None,
    permutations: int,
    resamples: int,
    seed: int,
    level: float,
) -> list[PairedTest]:
    resampling(permutations=permutations, resamples=resamples, level=level)
    same_length(first, second, names="The conditions")
    if blocks is not None:
        first, second = _by_block(first, blocks), _by_block(second, blocks)
    changes, n = first - second, len(first)
    if n < 2:
        raise UsageError("One observation is left; two are the fewest that can be compared.")
    p, made = _flipped(changes, permutations, seed)
    columns: Mapping[str, Floats] = {
        "mean_a": first.mean(axis=0),
        "mean_b": second.mean(axis=0),
        **_student(changes, level),
        **_bootstrap(changes, resamples, seed + 1, level),
        "p_wilcoxon": np.array([_wilcoxon(column) for column in changes.T]),
        "p_permutation": p,
    }
    detectable_dz = detectable_mean(n)
    spread = changes.std(axis=0, ddof=1)
    return [
        PairedTest(
            n=n,
            permutations=made,
            detectable=float(detectable_dz * spread[number]),
            detectable_dz=detectable_dz,
            **{name: float(values[number]) for name, values in columns.items()},
        )
        for number in range(changes.shape[1])
    ]


def _by_block(values: Floats, blocks: Sequence[object] | NDArray[np.generic]) -> Floats:
    """Means of each block's rows, blocks in the order of their first row."""
    names = [str(block) for block in blocks]
    if len(names) != len(values):
        raise UsageError(f"{len(names)} blocks are given for {len(values)} prompts.")
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    of = np.array([numbers[name] for name in names])
    sums = np.zeros((len(numbers), values.shape[1]))
    np.add.at(sums, of, values)
    found: Floats = sums / np.bincount(of)[:, np.newaxis]
    return found


def _student(changes: Floats, level: float) -> dict[str, Floats]:
    n, mean = len(changes), changes.mean(axis=0)
    # The spread of equal numbers is not exactly 0 once it is computed.
    equal = np.ptp(changes, axis=0) <= 1e-12 * np.abs(changes).max(axis=0)
    spread = np.where(equal, 0.0, changes.std(axis=0, ddof=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        dz = np.where(spread > 0, mean / spread, np.where(mean == 0, 0.0, np.nan))
    t = dz * np.sqrt(n)
    p = np.where(np.isfinite(t), 2 * stdtr(n - 1, -np.abs(t)), np.nan)
    half = stdtrit(n - 1, (1 + level) / 2) * spread / np.sqrt(n)
    dz_low, dz_high = dz_interval(t, n, level=level)
    return {
        "difference": mean,
        "low": mean - half,
        "high": mean + half,
        "t": t,
        "p_t": p,
        "dz": dz,
        "dz_low": dz_low,
        "dz_high": dz_high,
    }


def _bootstrap(changes: Floats, resamples: int, seed: int, level: float) -> dict[str, Floats]:
    n, mean = len(changes), changes.mean(axis=0)
    drawn = weights(np.random.default_rng(seed), n, resamples=resamples) @ changes / n
    without = (changes.sum(axis=0) - changes) / (n - 1)
    low, high = bca(drawn, mean, jackknife=[without], level=level)
    return {"boot_low": low, "boot_high": high}


def _wilcoxon(changes: Floats) -> float:
    """P of the signed-rank test: exact without ties, else by the normal approximation.

    With ties among few observations scipy permutes all signs, a hundred times slower, and the
    permutation p beside does that for the mean.
    """
    if not changes.any():
        return 1.0
    sizes = np.abs(changes)
    tied = len(np.unique(sizes)) < len(sizes) or not sizes.all()
    found = wilcoxon(changes, method="approx") if tied else wilcoxon(changes)
    return float(found.pvalue)


def _flipped(changes: Floats, permutations: int, seed: int) -> tuple[Floats, int]:
    """Permutation p of the means by flips of signs, and from how many."""
    n, scale = len(changes), np.sqrt((changes**2).mean(axis=0))
    # On one scale, so that one tolerance is right for all.
    scaled = changes / np.where(scale > 0, scale, 1.0)
    floor = bound(np.abs(scaled.sum(axis=0)))
    exact = n <= EXACT
    reached = np.zeros(changes.shape[1], dtype=np.int64)
    for block in _all_signs(n) if exact else _some_signs(n, permutations, seed, changes.shape[1]):
        reached += np.count_nonzero(np.abs(block @ scaled) >= floor, axis=0)
    # The observed order is one of all patterns, and is added to random ones.
    made = 2**n if exact else permutations
    return (reached / made if exact else (1 + reached) / (1 + made)), made


def _all_signs(n: int) -> Iterator[Floats]:
    yield np.array(list(product((-1.0, 1.0), repeat=n)))


def _some_signs(n: int, permutations: int, seed: int, columns: int) -> Iterator[Floats]:
    draw = signs(np.random.default_rng(seed), n)
    for count in in_blocks(permutations, max(n, columns)):
        yield draw(count)
