"""SHAP values of a concept's features: what of a prompt's next token is due to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from queries.followups.evidence_tables import EXPLANATIONS
from queries.followups.shapley.explain import ShapRequest
from queries.followups.shapley.prompts import ByFeatures
from queries.studies.concept.filtering import METRIC

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atlas.progress import Reporter
    from queries.followups.lab import TaskPrompt
    from queries.studies.concept.setting import Setting

PLAYERS = pa.schema(
    [
        ("explanation", pa.int64()),
        ("prompt", pa.string()),
        ("sae", pa.string()),
        ("player", pa.string()),
        ("value", pa.float64()),
        ("error", pa.float64()),
        ("activation", pa.float64()),
        ("flag", pa.string()),
    ]
)
"""A row a player of an explanation: a feature, or all that fire besides; `error` is the
standard error where values are sampled, `flag` says of a feature that it never fires there."""


def feature_shap(
    setting: Setting,
    features: Mapping[str, Sequence[int]],
    targets: Sequence[TaskPrompt],
    *,
    reporter: Reporter,
) -> dict[str, pa.Table]:
    """Divide the log odds of the next token of held-out concept prompts among features.

    Parameters
    ----------
    setting
        The study.
    features
        SAE's key to the features that are players; the others that fire are one more.
    targets
        All prompts with the token that is explained.
    reporter
        Told of each prompt.

    Returns
    -------
    dict
        ``explanations`` of the graph, numbered from 1, and ``players``, see `PLAYERS`.
    """
    numbers = _short(setting)
    rows: list[dict[str, object]] = []
    players: list[dict[str, object]] = []
    for sae, index in features.items():
        if not index or not numbers:
            continue
        explain = ByFeatures(
            setting.lab, _request(setting, sae, index, numbers), [targets[k] for k in numbers]
        )
        with reporter.step(f"SHAP values of features of {sae}", len(numbers)) as advance:
            for place, number in enumerate(numbers):
                found, target = explain(place), targets[number].target
                rows.append(
                    {
                        "number": len(rows) + 1, "method": found.values.method,
                        "players": "features", "metric": METRIC, "feature": None,
                        "target": None if target is None else setting.lab.text(target),
                        "prompt": targets[number].id, "base": found.values.base,
                        "value": found.values.full, "values": found.values.values.tolist(),
                        "names": [player.name for player in found.players],
                    }
                )  # fmt: skip
                for k, player in enumerate(found.players):
                    errors = found.values.errors
                    players.append(
                        {
                            "explanation": len(rows), "prompt": targets[number].id, "sae": sae,
                            "player": player.name, "value": float(found.values.values[k]),
                            "error": None if errors is None else float(errors[k]),
                            "activation": None if np.isnan(player.activation)
                            else float(player.activation),
                            "flag": player.flag,
                        }
                    )  # fmt: skip
                advance(place + 1)
    return {
        "explanations": pa.Table.from_pylist(rows, schema=EXPLANATIONS),
        "players": pa.Table.from_pylist(players, schema=PLAYERS),
    }


def _short(setting: Setting) -> list[int]:
    """Return held-out concept prompts with a term or an answer: documents would take hours."""
    texts, terms = setting.request.prompts, setting.request.terms
    every = setting.held_out(concept=True, most=len(texts))
    some = [k for k in every if texts[k].id in terms or texts[k].answer]
    return some[: setting.request.causes.shap]


def _request(
    setting: Setting, sae: str, index: Sequence[int], numbers: Sequence[int]
) -> ShapRequest:
    most = setting.request.causes.max_evals
    return ShapRequest(
        prompts=setting.texts(numbers),
        players="features",
        of=METRIC,
        sae=sae,
        features=tuple(f"{sae}/{k}" for k in index),
        rest="player",
        explainer="exact" if 2 ** (len(index) + 1) <= most else "permutation",
        max_evals=max(most, 2 * (2 * len(index) + 3)),
        seed=setting.request.seed,
    )
