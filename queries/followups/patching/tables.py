"""Tables of activation patching."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from queries.followups.evidence_tables import EFFECTS, INTERVENTIONS, ON
from queries.followups.patching.estimates import Estimate, false_discovery, mean_of, share_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from queries.followups.patching.pairs import Direction
    from queries.followups.patching.plans import Plan

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

PATCHES = pa.schema(
    [
        ("intervention", pa.int64()),
        ("prompt", pa.string()),
        ("metric", pa.string()),
        ("clean", pa.float64()),
        ("corrupt", pa.float64()),
        ("patched", pa.float64()),
        ("share", pa.float64()),
        ("flag", pa.string()),
    ]
)
"""A row a patch, pair (by its clean prompt) and metric. `share` is null where `flag` is
``no_difference`` (clean and corrupt are alike) or ``not_finite``; ``unchanged`` says that the
patch changed nothing."""

SUMMARY = pa.schema(
    [
        ("intervention", pa.int64()),
        ("name", pa.string()),
        ("what", pa.string()),
        ("sae", pa.string()),
        ("feature", pa.string()),
        ("position", pa.int64()),
        ("metric", pa.string()),
        ("clean", pa.float64()),
        ("corrupt", pa.float64()),
        ("patched", pa.float64()),
        ("change", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("p", pa.float64()),
        ("q", pa.float64()),
        ("share", pa.float64()),
        ("share_low", pa.float64()),
        ("share_high", pa.float64()),
        ("estimate", pa.float64()),
        ("prompts", pa.int64()),
        ("flag", pa.string()),
    ]
)
"""A row a patch and metric: means over pairs, the change from the prompts that were patched with
its 95% interval, and the share (sum of changes over sum of differences) with its own. `estimate`
is the first-order change that a single feature was chosen by."""


@dataclass(frozen=True)
class Results:
    """Metrics of pairs.

    Attributes
    ----------
    prompts
        Ids of the clean prompts.
    clean, corrupt
        ``[pairs, metrics]``, without a patch.
    patched
        ``[plans, pairs, metrics]``, NaN where logits are not finite.
    differs
        ``[pairs, metrics]``: whether clean and corrupt do.
    changed, ran
        ``[plans, pairs]``: whether the patch changed anything, and whether it was run.
    """

    prompts: tuple[str, ...]
    clean: Floats
    corrupt: Floats
    patched: Floats
    differs: Bools
    changed: Bools
    ran: Bools


def patch_tables(
    plans: Sequence[Plan],
    results: Results,
    *,
    direction: Direction,
    metrics: Sequence[str],
    target: str | None,
) -> dict[str, pa.Table]:
    """Return the tables ``interventions``, ``on``, ``effects``, ``patches``, ``patch_summary``.

    Parameters
    ----------
    plans
        What was patched.
    results
        What was measured.
    direction
        Which of a pair was patched.
    metrics
        Names, in the order of the results' last axis.
    target
        Text of the target where all pairs have one.
    """
    base = results.corrupt if direction == "denoise" else results.clean
    source = results.clean if direction == "denoise" else results.corrupt
    rows = []
    for k, metric in enumerate(metrics):
        whole = np.where(results.differs[:, k], source[:, k] - base[:, k], np.nan)
        changes = [mean_of(results.patched[n, :, k] - base[:, k]) for n in range(len(plans))]
        shares = [share_of(results.patched[n, :, k] - base[:, k], whole) for n in range(len(plans))]
        q, share_q = false_discovery(changes), false_discovery(shares)
        rows += [
            _Row(number, plan, metric, changes[n], q[n], shares[n], share_q[n], k)
            for n, (number, plan) in enumerate(enumerate(plans, start=1))
        ]
    rows.sort(key=lambda row: row.number)
    return {
        "interventions": pa.Table.from_pylist(
            [_intervention(n, plan, direction) for n, plan in enumerate(plans, start=1)],
            schema=INTERVENTIONS,
        ),
        "on": pa.Table.from_pylist(
            [
                {"intervention": n, "feature": key}
                for n, plan in enumerate(plans, start=1)
                for key in plan.features
            ],
            schema=ON,
        ),
        "effects": pa.Table.from_pylist(
            [effect for row in rows for effect in _effects(row, results, base, target)],
            schema=EFFECTS,
        ),
        "patches": _patches(results, base, source, metrics),
        "patch_summary": pa.Table.from_pylist(
            [_summary(row, results) for row in rows], schema=SUMMARY
        ),
    }


@dataclass(frozen=True)
class _Row:
    number: int
    plan: Plan
    metric: str
    change: Estimate
    q: float | None
    share: Estimate
    share_q: float | None
    column: int

    def means(self, *tables: Floats, results: Results) -> list[float | None]:
        """Means over the pairs in which the patch was measured."""
        known = ~np.isnan(results.patched[self.number - 1, :, self.column])
        return [float(t[known, self.column].mean()) if known.any() else None for t in tables]


def _intervention(number: int, plan: Plan, direction: Direction) -> dict[str, Any]:
    parameters = {"direction": direction, "name": plan.name, **asdict(plan.patch)}
    return {
        "number": number,
        "kind": "patch",
        "positions": plan.patch.positions,
        "features": len(plan.features),
        "parameters": json.dumps(parameters, sort_keys=True),
    }


def _effects(row: _Row, results: Results, base: Floats, target: str | None) -> list[dict[str, Any]]:
    """Return the change of the metric, and the share as a metric of its own."""
    patched = results.patched[row.number - 1]
    value, baseline = row.means(patched, base, results=results)
    flag = None if row.change.n else "not_finite"
    ends = {"intervention": row.number, "target": _target(row.metric, target)}
    found = [
        {
            **ends, "metric": row.metric, "value": value, "baseline": baseline,
            "change": row.change.value, "prompts": row.change.n, "low": row.change.low,
            "high": row.change.high, "p": row.change.p, "q": row.q, "flag": flag,
        }
    ]  # fmt: skip
    if row.share.value is not None:
        found.append(
            {
                **ends, "metric": f"{row.metric}_share", "value": row.share.value, "baseline": 0.0,
                "change": row.share.value, "prompts": row.share.n, "low": row.share.low,
                "high": row.share.high, "p": row.share.p, "q": row.share_q, "flag": flag,
            }
        )  # fmt: skip
    return found


def _target(metric: str, target: str | None) -> str | None:
    from queries.followups.metrics import WITHOUT_TARGET

    return None if metric in WITHOUT_TARGET else target


def _summary(row: _Row, results: Results) -> dict[str, Any]:
    plan, patched = row.plan, results.patched[row.number - 1]
    clean, corrupt, value = row.means(results.clean, results.corrupt, patched, results=results)
    ran = results.ran[row.number - 1]
    unchanged = not results.changed[row.number - 1, ran].any()
    flag = "unchanged" if unchanged else None if row.change.n else "not_finite"
    return {
        "intervention": row.number, "name": plan.name, "what": plan.what, "sae": plan.sae,
        "feature": plan.features[0] if plan.what == "feature" else None,
        "position": plan.position, "metric": row.metric,
        "clean": clean, "corrupt": corrupt, "patched": value,
        "change": row.change.value, "low": row.change.low, "high": row.change.high,
        "p": row.change.p, "q": row.q,
        "share": row.share.value, "share_low": row.share.low, "share_high": row.share.high,
        "estimate": plan.estimate, "prompts": row.change.n,
        "flag": flag or (None if row.share.value is not None else "no_difference"),
    }  # fmt: skip


def _patches(results: Results, base: Floats, source: Floats, metrics: Sequence[str]) -> pa.Table:
    patched = results.patched
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (patched - base) / np.where(results.differs, source - base, np.nan)
    flag = np.full(patched.shape, None, object)
    flag[~results.changed] = "unchanged"
    flag[np.broadcast_to(~results.differs, flag.shape)] = "no_difference"
    flag[np.isnan(patched)] = "not_finite"
    n, pair, metric = np.nonzero(np.broadcast_to(results.ran[..., None], patched.shape))
    some = (n, pair, metric)

    def numbers(values: Floats) -> pa.Array:
        return pa.array(values, pa.float64(), mask=np.isnan(values))

    return pa.table(
        [
            pa.array(n + 1),
            pa.array([results.prompts[int(k)] for k in pair], pa.string()),
            pa.array([metrics[int(k)] for k in metric], pa.string()),
            numbers(results.clean[pair, metric]),
            numbers(results.corrupt[pair, metric]),
            numbers(patched[some]),
            numbers(share[some]),
            pa.array(flag[some], pa.string()),
        ],
        schema=PATCHES,
    )
