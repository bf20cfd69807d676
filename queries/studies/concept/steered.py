"""Do the features cause the concept's words? Added at control prompts, taken out at concept ones.

What is measured is the logarithm of the probability that the model gives to all of the concept's
words together, as the next token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from atlas.errors import ModelError
from queries.followups.evidence import intervention_tables
from queries.followups.evidence_tables import EFFECTS
from queries.followups.preflight import preflight, preflight_table
from queries.followups.steering.effects import false_discovery, t_test
from queries.studies.inference import paired_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from atlas.progress import Reporter
    from queries.followups.engine import Prepared
    from queries.studies.concept.setting import Setting
    from queries.studies.concept.steering_sets import SteeredSet

    Floats = NDArray[np.float64]

METRICS = ("concept_log_probability", "kl")
"""What is measured, both in nats: of the concept's words, and how far the output moves."""

ROWS = pa.schema(
    [
        ("arm", pa.int64()),
        ("draw", pa.int64()),
        ("prompt", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("baseline", pa.float64()),
    ]
)
"""A row an arm, draw (0 the features themselves, from 1 their controls), prompt and metric."""


def steering_tables(
    setting: Setting,
    sets: Sequence[SteeredSet],
    words: pa.Table,
    *,
    reporter: Reporter,
) -> dict[str, pa.Table]:
    """Steer held-out prompts with sets of features and with their controls.

    Parameters
    ----------
    setting
        The study.
    sets
        What to steer with.
    words
        Table of `steering_sets.concept_words`, not empty.
    reporter
        Told of the passes.

    Returns
    -------
    dict
        ``interventions``, ``on`` and ``effects`` of the graph for the features themselves;
        ``steering``, a row a set, action and strength: change of the words' log probability, that
        by the controls (mean over draws, prompt by prompt), and the paired test of the two over
        prompts, with `q` over the rows of the table; ``steering_rows``, see `ROWS`; and
        ``preflight``.
    """
    most = setting.request.causes.prompts
    numbers = {
        "add": setting.held_out(concept=False, most=most),
        "ablate": setting.held_out(concept=True, most=most),
    }
    prepared = {
        action: setting.lab.engine.prepare([setting.prompts[k].tokens for k in some])
        for action, some in numbers.items()
    }
    arms = [one.arms[0] for one in sets]
    checks = preflight(
        setting.lab.engine, [setting.prompts[k].tokens for k in numbers["add"]], arms
    )
    token = torch.tensor(words["token_id"].to_pylist(), device=setting.lab.model.device)
    values: list[dict[int, Floats]] = []
    with reporter.step("steering (sets)", len(sets)) as advance:
        for done, one in enumerate(sets, start=1):
            values.append(_measured(setting, prepared[one.action], one, token))
            advance(done)
    rest = {action: _at_rest(some, token) for action, some in prepared.items()}
    ids = {action: [setting.prompts[k].id for k in some] for action, some in numbers.items()}
    return {
        **intervention_tables(arms),
        "effects": _effects(sets, values, rest),
        "steering": _steering(setting, sets, values, rest),
        "steering_rows": _rows(sets, values, rest, ids),
        "preflight": preflight_table(checks),
    }


def _measured(
    setting: Setting, prepared: Prepared, one: SteeredSet, token: torch.Tensor
) -> dict[int, Floats]:
    """Return metrics by draw, float64 ``[prompts, metrics]``."""
    prompts = len(prepared.lengths)
    jobs = [(prompt, arm) for arm in one.arms.values() for prompt in range(prompts)]
    found = np.full((len(jobs), len(METRICS)), np.nan)
    for outcome in setting.lab.engine.run(prepared, jobs):
        clean = prepared.logits[outcome.clean.to(outcome.logits.device)]
        found[list(outcome.jobs)] = metrics(outcome.logits, clean, token)
    if not np.isfinite(found).all():
        raise ModelError(
            f"Steering with {one.name} gives logits that are not finite.",
            hint="Give smaller strengths.",
        )
    parts = found.reshape(len(one.arms), prompts, len(METRICS))
    return dict(zip(one.arms, parts, strict=True))


def _at_rest(prepared: Prepared, token: torch.Tensor) -> Floats:
    return metrics(prepared.logits, prepared.logits, token)


def metrics(logits: torch.Tensor, clean: torch.Tensor, token: torch.Tensor) -> Floats:
    """Return `METRICS` of logits ``[rows, vocabulary]``, float64 ``[rows, metrics]``."""
    after, before = (x.double().log_softmax(dim=1) for x in (logits, clean))
    mass = after[:, token].logsumexp(dim=1)
    kl = (before.exp() * (before - after)).sum(dim=1)
    found: Floats = torch.stack([mass, kl], dim=1).cpu().numpy()
    return found


def _effects(
    sets: Sequence[SteeredSet], values: Sequence[Mapping[int, Floats]], rest: Mapping[str, Floats]
) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for number, (one, found) in enumerate(zip(sets, values, strict=True), start=1):
        change = found[0] - rest[one.action]
        n = np.full(len(METRICS), len(change), float)
        low, high, p = t_test(change.mean(axis=0), change.std(axis=0, ddof=1), n)
        for k, metric in enumerate(METRICS):
            rows.append(
                {
                    **dict.fromkeys(EFFECTS.names), "intervention": number, "metric": metric,
                    "value": float(found[0][:, k].mean()), "change": float(change[:, k].mean()),
                    "baseline": float(rest[one.action][:, k].mean()), "prompts": len(change),
                    "low": float(low[k]), "high": float(high[k]), "p": float(p[k]),
                }
            )  # fmt: skip
    q = false_discovery(np.array([row["p"] for row in rows]))
    for row, value in zip(rows, q, strict=True):
        row["p"] = None if np.isnan(row["p"]) else row["p"]
        row["q"] = None if np.isnan(value) else float(value)
    return pa.Table.from_pylist(rows, schema=EFFECTS)


def _steering(
    setting: Setting,
    sets: Sequence[SteeredSet],
    values: Sequence[Mapping[int, Floats]],
    rest: Mapping[str, Floats],
) -> pa.Table:
    request, rows = setting.request, []
    for action in ("add", "ablate"):
        mine = [k for k, one in enumerate(sets) if one.action == action and len(one.arms) > 1]
        if not mine:
            continue
        changes = [values[k][0] - rest[action] for k in mine]
        controls = [np.mean([values[k][d] for d in sets[k].arms if d], axis=0) - rest[action]
                    for k in mine]  # fmt: skip
        table = paired_table(
            np.stack([change[:, 0] for change in changes], axis=1),
            np.stack([change[:, 0] for change in controls], axis=1),
            names=[str(k) for k in mine], permutations=request.permutations,
            resamples=request.resamples, seed=request.seed,
        )  # fmt: skip
        for k, test, change, control in zip(
            mine, table.to_pylist(), changes, controls, strict=True
        ):
            one = sets[k]
            del test["name"]
            rows.append(
                {
                    "intervention": k + 1, "set": one.name, "action": action,
                    "strength": one.strength, "features": len(one.arms[0][0].features),
                    "draws": len(one.arms) - 1, "change": test.pop("mean_a"),
                    "control_change": test.pop("mean_b"), **test,
                    "kl": float(change[:, 1].mean()), "control_kl": float(control[:, 1].mean()),
                }
            )  # fmt: skip
    if rows:
        q = false_discovery(np.array([row["p_permutation"] for row in rows]))
        for row, value in zip(rows, q, strict=True):
            row["q"] = float(value)
            right = row["difference"] > 0 if row["action"] == "add" else row["difference"] < 0
            row["as_expected"] = bool(right and value <= request.fdr)
    return pa.Table.from_pylist(rows)


def _rows(
    sets: Sequence[SteeredSet],
    values: Sequence[Mapping[int, Floats]],
    rest: Mapping[str, Floats],
    ids: Mapping[str, Sequence[str]],
) -> pa.Table:
    parts = []
    for number, (one, found) in enumerate(zip(sets, values, strict=True), start=1):
        names, n = ids[one.action], len(METRICS)
        for draw, part in found.items():
            size = part.size
            columns = [
                np.full(size, number), np.full(size, draw), np.repeat(names, n),
                np.tile(METRICS, len(names)), part.ravel(), rest[one.action].ravel(),
            ]  # fmt: skip
            parts.append(pa.table([pa.array(column) for column in columns], schema=ROWS))
    return pa.concat_tables(parts) if parts else ROWS.empty_table()
