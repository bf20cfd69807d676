"""Whether a metric differs between groups, such as the communities of a network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.stats import f_oneway, kruskal

from atlas.errors import UsageError
from queries.studies.inference.checks import finite, resampling, same_length
from queries.studies.inference.correction import bonferroni, false_discovery
from queries.studies.inference.draws import in_blocks, orders, permutation_p
from queries.studies.inference.intervals import eta_interval
from queries.studies.inference.power import detectable_groups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class GroupTest:
    """Comparison of a metric between groups.

    Attributes
    ----------
    n, k
        Observations and groups compared.
    left_out
        Observations in no group, or in one that is too small.
    f, p_anova
        One-way analysis of variance, which takes residuals as normal and of one spread.
    h, p_kruskal
        The same on ranks (Kruskal and Wallis 1952).
    p_permutation
        Of F, by shuffling the metric over the observations: no normality is needed.
    permutations
        How many.
    eta_squared
        Share of the metric's variance that is between groups. It is above 0 by chance: with k
        groups it is (k - 1) / (n - 1) on average.
    eta_low, eta_high
        Its interval by the noncentral F (Steiger 2004).
    omega_squared
        The same share without that bias; may be negative.
    detectable_eta
        Smallest eta squared that would be found with 80 % power.
    """

    n: int
    k: int
    left_out: int
    f: float
    p_anova: float
    h: float
    p_kruskal: float
    p_permutation: float
    permutations: int
    eta_squared: float
    eta_low: float
    eta_high: float
    omega_squared: float
    detectable_eta: float


def compare_groups(
    values: ArrayLike,
    groups: ArrayLike,
    *,
    permutations: int = 9999,
    seed: int = 0,
    level: float = 0.95,
    smallest: int = 2,
) -> GroupTest:
    """Test whether a metric's mean differs between groups.

    Observations are taken as exchangeable where groups do not matter. Metrics of one network's
    nodes are so only in part: communities are made from the edges that also make degrees, so a
    difference of degree says less than one of a metric measured apart from the edges.

    Parameters
    ----------
    values
        float64 ``[n]``.
    groups
        int64 ``[n]``: number of each observation's group; negative for none.
    permutations
        Shuffles; p is at least 1 / (1 + permutations).
    seed
        Of the shuffles.
    level
        Of the interval.
    smallest
        Groups of fewer are left out.

    Raises
    ------
    UsageError
        Values are not finite, lengths differ, or fewer than two groups are left.
    """
    resampling(permutations=permutations, resamples=1, level=level)
    every, labels = finite(values, "The metric", ndim=1), np.asarray(groups, dtype=np.int64)
    same_length(every, labels, names="The metric and its groups")
    ordered, starts = _arrange(every, labels, smallest)
    n, k = len(ordered), len(starts)
    parts = np.split(ordered, starts[1:])
    total = float(((ordered - ordered.mean()) ** 2).sum())
    if total <= 1e-24 * max(float((ordered**2).sum()), 1e-300):
        return _constant(n, k, len(every) - n, permutations)
    between = float(_between(ordered[np.newaxis], starts)[0])
    f, p_anova = f_oneway(*parts)
    h, p_kruskal = kruskal(*parts)
    eta = min(between / total, 1.0)
    spread = (total - between) / (n - k)
    low, high = eta_interval(float(f), k - 1, n - k, level=level)
    return GroupTest(
        n=n,
        k=k,
        left_out=len(every) - n,
        f=float(f),
        p_anova=float(p_anova),
        h=float(h),
        p_kruskal=float(p_kruskal),
        # F rises with the share of the variance between groups: shuffles leave the total as it is.
        p_permutation=permutation_p(_shuffled(ordered, starts, permutations, seed) / total, eta),
        permutations=permutations,
        eta_squared=eta,
        eta_low=low,
        eta_high=high,
        omega_squared=(between - (k - 1) * spread) / (total + spread),
        detectable_eta=detectable_groups(n, k),
    )


def metric_table(
    metrics: Mapping[str, ArrayLike],
    groups: ArrayLike,
    *,
    permutations: int = 9999,
    seed: int = 0,
    level: float = 0.95,
    smallest: int = 2,
) -> pa.Table:
    """Test several metrics of the same observations, corrected for their number.

    Parameters
    ----------
    metrics
        Name to float64 ``[n]``.
    groups, permutations, seed, level, smallest
        As in `compare_groups`.

    Returns
    -------
    pyarrow.Table
        A row a metric: ``metric``, all of `GroupTest`, ``p_bonferroni`` and ``q`` (Benjamini and
        Hochberg) of p_permutation over the metrics, and ``p_anova_bonferroni``, as is often
        published.
    """
    if not metrics:
        raise UsageError("There is no metric to compare.")
    tests = [
        compare_groups(
            values, groups, permutations=permutations, seed=seed, level=level, smallest=smallest
        )
        for values in metrics.values()
    ]
    table = pa.Table.from_pylist([asdict(test) for test in tests])
    table = table.add_column(0, "metric", pa.array(list(metrics)))
    p = np.array([test.p_permutation for test in tests])
    for name, column in (
        ("p_bonferroni", bonferroni(p)),
        ("q", false_discovery(p)),
        ("p_anova_bonferroni", bonferroni([test.p_anova for test in tests])),
    ):
        table = table.append_column(name, pa.array(column))
    return table


def _arrange(values: Floats, labels: Ints, smallest: int) -> tuple[Floats, Ints]:
    """Values sorted by group, without those in none, and where each group begins."""
    names, sizes = np.unique(labels[labels >= 0], return_counts=True)
    kept = np.isin(labels, names[sizes >= max(smallest, 1)])
    order = np.argsort(labels[kept], kind="stable")
    _, starts = np.unique(labels[kept][order], return_index=True)
    if len(starts) < 2:
        raise UsageError(
            f"Only {len(starts)} groups have at least {smallest} observations; two are needed.",
            hint="Use groups that are larger, or lower the smallest size.",
        )
    if len(order) <= len(starts):
        raise UsageError("Every group has one observation: nothing varies within groups.")
    return values[kept][order], starts.astype(np.int64)


def _between(rows: Floats, starts: Ints) -> Floats:
    """Sum of squares between groups of each row ``[rows, n]``, sorted by group."""
    sizes = np.diff(np.append(starts, rows.shape[1]))
    sums = np.add.reduceat(rows - rows.mean(axis=1, keepdims=True), starts, axis=1)
    found: Floats = (sums**2 / sizes).sum(axis=1)
    return found


def _shuffled(ordered: Floats, starts: Ints, permutations: int, seed: int) -> Floats:
    draw = orders(np.random.default_rng(seed), len(ordered))
    blocks = in_blocks(permutations, 2 * len(ordered))
    return np.concatenate([_between(ordered[draw(count)], starts) for count in blocks])


def _constant(n: int, k: int, left_out: int, permutations: int) -> GroupTest:
    """Return the test of a metric that is one number, so differs between no groups."""
    nan = float("nan")
    numbers = {"f": nan, "h": nan, "eta_squared": 0.0, "eta_low": nan, "eta_high": nan}
    p = dict.fromkeys(("p_anova", "p_kruskal", "p_permutation"), 1.0)
    return GroupTest(
        n=n,
        k=k,
        left_out=left_out,
        permutations=permutations,
        omega_squared=0.0,
        detectable_eta=detectable_groups(n, k),
        **numbers,
        **p,
    )
