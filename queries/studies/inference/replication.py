"""Whether what one half of the prompts shows comes again in the other half."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.stats import spearmanr

from atlas.errors import UsageError
from queries.studies.inference.correction import false_discovery
from queries.studies.inference.intervals import wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from queries.studies.inference.contrast_result import Contrast

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Confirmation:
    """What of a contrast came again in prompts that it had not seen.

    Attributes
    ----------
    selected
        Features found in the first half.
    replicated
        Of them, those found in the second: same sign, and q over the selected at most the level.
    rate, rate_low, rate_high
        Their share, with Wilson's interval (which takes features as independent).
    rank_correlation
        Spearman's, of g in both halves, over features that vary in both.
    shrinkage
        Median of g in the second half over g in the first, of the selected: below 1 by as much as
        choosing the largest flatters them.
    table
        A row a selected feature: ``feature``, ``difference_train``, ``difference_held``,
        ``g_train``, ``g_held`` with its interval ``g_held_low`` and ``g_held_high``,
        ``auc_train``, ``auc_held``, ``q_train``, ``p_held``, ``q_held`` (over the selected),
        ``same_sign``, ``replicated``; smallest p first.
    """

    selected: int
    replicated: int
    rate: float
    rate_low: float
    rate_high: float
    rank_correlation: float
    shrinkage: float
    table: pa.Table


def halves(
    strata: Sequence[object] | NDArray[np.generic],
    *,
    seed: int = 0,
    units: Sequence[object] | NDArray[np.generic] | None = None,
) -> Bools:
    """Cut rows into two halves at random.

    Parameters
    ----------
    strata
        ``[n]``: rows of one stratum, such as a template or a set, go half to each side.
    seed
        Of the cut.
    units
        ``[n]``: rows of one unit, such as a pair, stay together; None takes each row by itself.
        A unit may have rows of several strata.

    Returns
    -------
    NDArray
        bool ``[n]``, true for the first half.
    """
    names = [str(one) for one in strata]
    own = [str(number) for number in range(len(names))] if units is None else map(str, units)
    rows: dict[str, list[int]] = defaultdict(list)
    for number, unit in enumerate(own):
        rows[unit].append(number)
    if sum(map(len, rows.values())) != len(names):
        raise UsageError("Units and strata of prompts must be as many.")
    kinds: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for unit, members in rows.items():
        kinds[tuple(sorted({names[number] for number in members}))].append(unit)
    rng, first, extra = np.random.default_rng(seed), np.zeros(len(names), dtype=bool), 1
    for kind in sorted(kinds):
        shuffled = rng.permutation(len(kinds[kind]))
        # Of odd strata the one too many goes to either side in turn.
        taken = (len(shuffled) + extra) // 2
        extra ^= len(shuffled) % 2
        for place in shuffled[:taken]:
            first[rows[kinds[kind][place]]] = True
    return first


def confirm(train: Contrast, held_out: Contrast, *, level: float = 0.05) -> Confirmation:
    """Test the features that one half found in the other half.

    Parameters
    ----------
    train, held_out
        Contrasts of the same features over prompts of which none is in both.
    level
        Of q, in both. The second q is over the selected only: they were chosen without a look at
        those prompts.

    Raises
    ------
    UsageError
        The contrasts are of different numbers of features.
    """
    if train.features != held_out.features:
        raise UsageError("The two halves are of different features.", hint="Use one SAE for both.")
    chosen = np.flatnonzero(train.q <= level)
    chosen = chosen[np.lexsort((-np.abs(train.difference[chosen]), train.p[chosen]))]
    q_held = false_discovery(held_out.p[chosen])
    same = np.sign(train.difference[chosen]) == np.sign(held_out.difference[chosen])
    again = same & (q_held <= level)
    low, high = wilson(int(again.sum()), len(chosen), level=0.95)
    columns = {
        "feature": chosen.astype(np.int64),
        "difference_train": train.difference[chosen],
        "difference_held": held_out.difference[chosen],
        "g_train": train.g[chosen],
        "g_held": held_out.g[chosen],
        "g_held_low": held_out.g_low[chosen],
        "g_held_high": held_out.g_high[chosen],
        "auc_train": train.auc[chosen],
        "auc_held": held_out.auc[chosen],
        "q_train": train.q[chosen],
        "p_held": held_out.p[chosen],
        "q_held": q_held,
        "same_sign": same,
        "replicated": again,
    }
    return Confirmation(
        selected=len(chosen),
        replicated=int(again.sum()),
        rate=float(again.mean()) if len(chosen) else np.nan,
        rate_low=low,
        rate_high=high,
        rank_correlation=_agreement(train, held_out),
        shrinkage=_shrinkage(train.g[chosen], held_out.g[chosen]),
        table=pa.table(columns),
    )


def _agreement(train: Contrast, held_out: Contrast) -> float:
    fine = np.isfinite(train.g) & np.isfinite(held_out.g)
    fine &= (train.g != 0) & (held_out.g != 0)
    if fine.sum() < 3:
        return np.nan
    return float(spearmanr(train.g[fine], held_out.g[fine]).statistic)


def _shrinkage(first: Floats, second: Floats) -> float:
    fine = np.isfinite(first) & np.isfinite(second) & (first != 0)
    return float(np.median(second[fine] / first[fine])) if fine.any() else np.nan
