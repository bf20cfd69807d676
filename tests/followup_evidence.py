"""Evidence as a follow-up would find it on the planted build, without running a model."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from queries.followups.evidence import Evidence, intervention_tables
from queries.followups.evidence_tables import (
    AFFECTS,
    CONCERNS,
    EFFECTS,
    EXPLANATIONS,
    FINDINGS,
)
from queries.followups.interventions import FeatureRef, Intervention
from tests.builds import SAE, key

PROMPTS = (
    {"id": "a", "prompt": "The heart pumps", "answer": " blood", "foils": [" music"]},
    {"id": "b", "prompt": "The court finds", "answer": " guilty", "foils": []},
)


def effect(intervention: int, metric: str, change: float, **more: Any) -> dict[str, Any]:
    """Return a row of the table of effects."""
    row = dict.fromkeys(EFFECTS.names) | {"value": 1.0 + change, "baseline": 1.0}
    return row | {"intervention": intervention, "metric": metric, "change": change,
                  "prompts": 2, **more}  # fmt: skip


def planted_evidence(*, change: float = -2.0, sae: str = SAE, digest: str = "aa") -> Evidence:
    """Return two interventions with effects, changes of other features, and two explanations."""
    arms = [
        (Intervention("ablate", (FeatureRef(sae, 0),)),),
        (
            Intervention("add", (FeatureRef(sae, 0), FeatureRef(sae, 1, weight=0.5)), 4.0),
            Intervention("clamp", (FeatureRef(sae, 3),), 2.0, positions="last"),
        ),
    ]
    affects = [
        {"intervention": 1, "source": key(0), "target": key(target), "metric": "activation",
         "change": size, "low": size - 0.1, "high": size + 0.1, "p": q, "q": q, "prompts": 2}
        for target, size, q in ((1, -1.5, 0.01), (8, 0.2, 0.6))
    ]  # fmt: skip
    explanations = [
        {"number": 1, "method": "shap exact", "players": "features", "metric": "logit",
         "target": " blood", "feature": None, "prompt": "a", "base": 1.0, "value": 3.0,
         "names": [key(0), key(1)], "values": [1.5, 0.5]},
        {"number": 2, "method": "shap partition", "players": "tokens", "metric": "activation",
         "target": None, "feature": key(0), "prompt": "b", "base": 0.0, "value": 2.0,
         "names": ["The", " court", " finds"], "values": [0.0, 0.5, 1.5]},
    ]  # fmt: skip
    findings = [
        {"number": 1, "name": "H1", "question": "Does it change?", "test": "t", "unit": "prompt",
         "statistic": 3.0, "estimate": -2.0, "low": -3.0, "high": -1.0, "p": 0.01, "q": 0.02,
         "n": 2, "verdict": "it does"},
        dict.fromkeys(FINDINGS.names) | {"number": 2, "name": "community 1", "verdict": "found"},
    ]  # fmt: skip
    concerns = [
        {"finding": 2, "feature": key(1), "value": 0.5, "rank": 2},
        {"finding": 2, "feature": key(0), "value": 0.9, "rank": 1},
    ]
    effects = [
        effect(1, "logit", change, target=" blood", low=-3.0, high=-1.0, p=0.01, q=0.02),
        effect(1, "logit", -1.0, target=" blood", prompts=1, prompt="a"),
        effect(2, "kl", 0.5),
        effect(2, "kl", float("nan"), value=None, flag="2 of 2 not finite"),
    ]
    return Evidence(
        "steering",
        {"strengths": [4.0], "change": change},
        {
            "model": {"key": "toy", "source": "toy", "weights_sha256": "bb", "dtype": "float32"},
            "saes": [{"key": sae, "source": "toy-sae", "weights_sha256": digest}],
        },
        PROMPTS,
        {
            **intervention_tables(arms),
            "effects": pa.Table.from_pylist(effects, schema=EFFECTS),
            "affects": pa.Table.from_pylist(affects, schema=AFFECTS),
            "explanations": pa.Table.from_pylist(explanations, schema=EXPLANATIONS),
            "findings": pa.Table.from_pylist(findings, schema=FINDINGS),
            "concerns": pa.Table.from_pylist(concerns, schema=CONCERNS),
            "rows": pa.table({"own": [1, 2, 3]}),
        },
        ("two prompts",),
        versions={"torch": "0"},
        created="2025-03-01T00:00:00+00:00",
    )
