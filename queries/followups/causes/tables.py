"""Tables of the evidence of a study."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from queries.followups.causes.evaluate import top
from queries.followups.causes.layer import output_rows
from queries.followups.causes.truth import certain
from queries.followups.evidence import intervention_tables
from queries.followups.evidence_tables import AFFECTS, EFFECTS
from queries.followups.interventions import FeatureRef, Intervention

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from queries.followups.causes.judged import Judged
    from queries.followups.causes.measure import Measured
    from queries.followups.causes.truth import Effects

#: Tokens whose logits fall most that are kept of each feature.
TOKENS = 5
#: Later features of each source whose effects are kept beside the predictions.
KEPT = 50


def ablations(early: str, sources: NDArray[np.int64]) -> dict[str, pa.Table]:
    """Return tables ``interventions`` and ``on``: number n is the ablation of the n-th source."""
    return intervention_tables(
        [
            (
                Intervention(
                    "ablate", (FeatureRef(early, int(index)),), mode="zero", positions="all"
                ),
            )
            for index in sources
        ]
    )


def output_effects(
    measured: Measured, sources: NDArray[np.int64], text_of: Callable[[int], str]
) -> pa.Table:
    """Return the table ``effects``: KL divergence, and the tokens whose logits fall most.

    Both are means over excerpts, at the feature's strongest firing in each. The change of a logit
    is that of the logit less the mean of all.
    """
    seen = measured.contexts.to_pandas().dropna(subset="kl")
    rows: list[dict[str, Any]] = []
    each = {source: some["kl"].to_numpy(float) for source, some in seen.groupby("source")}
    for number, source in enumerate(sources, start=1):
        values = each.get(int(source))
        if values is not None:
            mean, half = float(values.mean()), _half_width(values)
            rows.append(
                {"intervention": number, "metric": "kl", "value": mean, "baseline": 0.0,
                 "change": mean, "prompts": len(values), "low": mean - half, "high": mean + half}
            )  # fmt: skip
    known, logits = output_rows(measured, sources)
    for row, drop in zip(known, logits.mean(axis=0) if len(known) else (), strict=True):
        number = int((seen["source"] == sources[row]).sum())
        rows += [
            {"intervention": int(row) + 1, "metric": "logit", "target": text_of(int(token)),
             "change": -float(drop[token]), "prompts": number}
            for token in top(drop, TOKENS)
        ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=EFFECTS)


def _half_width(values: NDArray[np.float64]) -> float:
    from scipy.stats import t as student

    if len(values) < 2:
        return float("nan")
    return float(student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def affects(effects: Effects, keys: tuple[str, str], *, most: int, fdr: float) -> pa.Table:
    """Return the table ``affects``: the largest certain effects of each source, most first."""
    found = certain(effects, fdr=fdr)
    size = pc.negate(pc.abs(found["change"]))
    found = found.append_column("size", size).sort_by([("row", "ascending"), ("size", "ascending")])
    row = found["row"].to_numpy()
    place = np.arange(len(row)) - np.searchsorted(row, row)
    found = found.filter(pa.array(place < most))
    row = found["row"].to_numpy()
    columns = {
        "intervention": row + 1,
        "source": [f"{keys[0]}/{effects.sources[r]}" for r in row],
        "target": [f"{keys[1]}/{t}" for t in found["target"].to_pylist()],
        "metric": ["activation"] * len(row),
        **{name: found[name] for name in ("change", "low", "high", "p", "q", "prompts")},
    }
    return pa.table({name: columns[name] for name in AFFECTS.names}, schema=AFFECTS)


def pair_effects(effects: Effects, judged: Judged, keys: tuple[str, str]) -> pa.Table:
    """Largest measured effects of each source, with what was predicted of them.

    Columns: ``source``, ``target``, ``effect`` (mean drop), ``even`` and ``odd`` (of each half of
    the excerpts), ``predicted`` (root of an effect, fitted without this source) and ``rank``.
    """
    rows: list[int] = []
    targets: list[int] = []
    ranks: list[int] = []
    for row, values in enumerate(effects.mean):
        best = top(values, KEPT)
        best = best[values[best] > 0]
        rows += [row] * len(best)
        targets += best.tolist()
        ranks += range(1, len(best) + 1)
    at = (np.array(rows, np.int64), np.array(targets, np.int64))
    return pa.table(
        {
            "source": [f"{keys[0]}/{effects.sources[r]}" for r in rows],
            "target": [f"{keys[1]}/{t}" for t in targets],
            "rank": pa.array(ranks, pa.int32()),
            "effect": effects.mean[at],
            "even": effects.halves[0][at],
            "odd": effects.halves[1][at],
            "predicted": judged.predicted[at],
        }
    )


def model_table(judged: Judged, seed: int) -> pa.Table:
    """Describe the combined score: names and values as JSON."""
    described = {
        "kind": "sklearn.ensemble.HistGradientBoostingRegressor",
        "parameters": {k: v for k, v in judged.model.model.get_params().items() if v is not None},
        "scores": list(judged.model.names),
        "target": "sign(effect) * sqrt(|effect|)",
        "fitted_on_pairs": judged.model.rows,
        "fitted_on_sources": int((judged.half == 0).sum()),
        "calibrated_on_sources": int((judged.half == 1).sum()),
        "seed": seed,
    }
    return pa.table(
        {"name": list(described), "value": [json.dumps(value) for value in described.values()]}
    )
