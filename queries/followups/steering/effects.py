"""From the rows of a sweep to its effects: means over prompts with intervals, p and q."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.special import stdtr, stdtrit

from ingest.significance import benjamini_hochberg
from queries.followups.evidence_tables import EFFECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: What an effect is of.
_KEYS = ["intervention", "metric"]
#: Fewer prompts, or groups of prompts, than this deserve a word about it.
FEW = 10


def effects(
    rows: pa.Table,
    *,
    interventions: Mapping[tuple[str, float], int],
    groups: Mapping[str, str] | None = None,
    text: Callable[[int], str] = str,
    each_prompt: bool = False,
) -> pa.Table:
    """Sum up what each set did to each metric at each strength.

    The change is tested against 0 by a one-sample t-test over prompts. Prompts of a group are
    taken as one observation, their mean: a template's prompts tend to change alike.

    Parameters
    ----------
    rows
        Rows of a sweep, with the columns of `queries.followups.steering.steer.ROWS`.
    interventions
        Set and strength to the number of the intervention.
    groups
        Prompt to its group; None takes every prompt by itself.
    text
        Gives a target token's text.
    each_prompt
        Whether to append a row for every prompt, without interval and test.

    Returns
    -------
    pyarrow.Table
        Columns of `queries.followups.evidence_tables.EFFECTS`, a row an intervention and metric in
        the order of `rows`. ``value``, ``baseline`` and ``change`` are means over the observations;
        ``low`` and ``high`` the 95 % interval of the change (Student's t), ``p`` two-sided, ``q``
        by Benjamini and Hochberg over the table's tests. One observation has neither; equal
        changes have an interval of no width and no p, or 1 where nothing changed at all.
        ``target`` is there where all prompts share it. Rows flagged ``not_finite`` are left out,
        ``unchanged`` ones count with a change of 0, and ``flag`` says how many there were.
    """
    frame = rows.to_pandas()
    numbers = [interventions[key] for key in zip(frame["set"], frame["strength"], strict=True)]
    frame["intervention"] = numbers
    prompts = frame["prompt"].astype(str)
    frame["group"] = prompts if groups is None else prompts.map(dict(groups))
    columns = _over_prompts(frame, text)
    found = pa.Table.from_pandas(columns, schema=EFFECTS, preserve_index=False)
    if each_prompt:
        single = pa.Table.from_pandas(_by_prompt(frame, text), schema=EFFECTS, preserve_index=False)
        found = pa.concat_tables([found, single])
    return found


def _over_prompts(frame: pd.DataFrame, text: Callable[[int], str]) -> pd.DataFrame:
    fine = frame[frame["flag"].astype(object) != "not_finite"]
    values = ["value", "baseline", "change"]
    grouped = fine.groupby([*_KEYS, "group"], sort=False, observed=True)[values].mean()
    seen = grouped.groupby(level=_KEYS, sort=False, observed=True)
    per = frame.groupby(_KEYS, sort=False, observed=True)
    found = seen.mean().reindex(per.size().index)
    change = seen["change"].agg(["std", "size", "min", "max"]).reindex(found.index)
    # The spread of equal numbers is not exactly 0 once it is computed.
    spread = change["std"].where(change["min"] != change["max"], 0.0)
    number = change["size"].fillna(0).to_numpy(float)
    low, high, p = t_test(found["change"].to_numpy(), spread.to_numpy(float), number)
    found = found.assign(low=low, high=high, p=p, q=false_discovery(p))
    kept = fine.groupby(_KEYS, sort=False, observed=True).size()
    found["prompts"] = kept.reindex(found.index).fillna(0).astype("int64")
    found["target"] = [_shared(part, text) for _, part in per["target"]]
    found["flag"] = [_flags(part) for _, part in per["flag"]]
    found["prompt"] = None
    return found.reset_index()


def _by_prompt(frame: pd.DataFrame, text: Callable[[int], str]) -> pd.DataFrame:
    words = {token: text(int(token)) for token in frame["target"].dropna().unique()}
    return frame.assign(
        target=frame["target"].map(words), prompts=1, low=None, high=None, p=None, q=None
    )


def _shared(targets: pd.Series[float], text: Callable[[int], str]) -> str | None:
    """Text of the token that all prompts are scored on, if it is one."""
    token = targets.iloc[0]
    return text(int(token)) if bool((targets == token).all()) else None


def _flags(flags: pd.Series[str]) -> str | None:
    """Say how many prompts are flagged."""
    words = {"not_finite": "not finite", "unchanged": "unchanged"}
    counts = flags.astype(object).value_counts()
    said = [f"{counts[f]} of {len(flags)} {word}" for f, word in words.items() if f in counts]
    return "; ".join(said) or None


def t_test(mean: Floats, spread: Floats, number: Floats) -> tuple[Floats, Floats, Floats]:
    """Interval of means and two-sided p of a mean of 0, by Student's t.

    Parameters
    ----------
    mean
        float64 means.
    spread
        Standard deviations of the observations, with n - 1 in the denominator.
    number
        Observations of each mean.

    Returns
    -------
    low, high
        float64: the ends of the 95 % interval; NaN for fewer than two observations.
    p
        float64: NaN there, and where all observations are equal; 1 where all are 0.
    """
    many = number > 1
    with np.errstate(divide="ignore", invalid="ignore"):
        error = spread / np.sqrt(number)
        free = np.where(many, number - 1, np.nan)
        half = stdtrit(free, 0.975) * error
        p = np.where(error > 0, 2 * stdtr(free, -np.abs(mean / error)), np.nan)
    p = np.where(many & (spread == 0) & (mean == 0), 1.0, p)
    return mean - half, mean + half, p


def false_discovery(p: Floats) -> Floats:
    """Benjamini and Hochberg's q of the tests that were made; NaN where p is."""
    q = np.full_like(p, np.nan)
    made = ~np.isnan(p)
    q[made] = benjamini_hochberg(p[made], int(made.sum()))
    return q


def few_notes(prompts: int, groups: int | None) -> list[str]:
    """Say what the intervals are over where that is not many prompts."""
    number, what = (prompts, "prompts") if groups is None else (groups, "groups of prompts")
    notes = [] if groups is None else [f"intervals and tests are over {groups} groups of prompts"]
    if number == 1:
        one = "prompt" if groups is None else "group of prompts"
        notes.append(f"one {one} has no interval and no p: give more")
    elif number < FEW:
        notes.append(
            f"{number} {what} are few: intervals and p take their changes as normally distributed"
        )
    return notes
