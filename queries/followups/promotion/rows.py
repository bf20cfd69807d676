"""Sums up measured promotion, token by token, and puts it in rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch

from ingest.decoder import token_scale
from queries.followups.steering.effects import false_discovery, t_test

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from queries.followups.interventions import FeatureRef
    from queries.followups.lab import Lab

    Floats = NDArray[np.float64]

METRIC = "centred_logit"
"""A token's logit less the mean over the vocabulary."""

PROMOTION = pa.schema(
    [
        pa.field("feature", pa.string(), nullable=False),
        pa.field("side", pa.string(), nullable=False),
        pa.field("rank", pa.int64(), nullable=False),
        pa.field("token_id", pa.int64(), nullable=False),
        pa.field("token", pa.string(), nullable=False),
        pa.field("promoted", pa.float64(), nullable=False),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("p", pa.float64()),
        pa.field("q", pa.float64()),
        pa.field("contexts", pa.int64(), nullable=False),
        pa.field("logit_weight", pa.float64(), nullable=False),
        pa.field("logit_weight_rank", pa.int64(), nullable=False),
    ]
)
"""A row a feature, side (``promoted`` or ``suppressed``) and rank. ``promoted`` is the mean centred
logit with the feature less that without it; ``logit_weight`` is the standardised one of the
decoder, and ``logit_weight_rank`` its place on the same side, from 1."""


@dataclass(frozen=True)
class Promotion:
    """What taking one feature out did.

    ``logit``, ``promoted``, ``low``, ``high``, ``p`` and ``q`` are float64 ``[vocabulary]``;
    ``given`` contexts were there, in ``contexts`` of which the feature fires.
    """

    given: int
    contexts: int
    logit: Floats
    promoted: Floats
    low: Floats
    high: Floats
    p: Floats
    q: Floats

    @classmethod
    def of(cls, clean: torch.Tensor, ablated: torch.Tensor, given: int) -> Promotion:
        """Sum up logits ``[contexts, vocabulary]`` with the feature and without.

        A feature also moves all logits at once, by as much as it moves one against the others;
        that changes no probability, so logits are centred first.
        """
        number = len(clean)
        clean, ablated = (
            x - x.mean(dim=1, keepdim=True) for x in (clean.double(), ablated.double())
        )
        change = clean - ablated
        mean = change.mean(dim=0).cpu().numpy()
        spread = change.std(dim=0).cpu().numpy() if number > 1 else np.full_like(mean, np.nan)
        low, high, p = t_test(mean, spread, np.full_like(mean, number))
        logit = clean.mean(dim=0).cpu().numpy()
        return cls(given, number, logit, mean, low, high, p, false_discovery(p))


def kept_tokens(found: Promotion, top: int) -> list[tuple[str, int, int]]:
    """Side, rank and token of the most promoted and the most suppressed, ties to lower tokens."""
    order = np.argsort(-found.promoted, kind="stable")[:top]
    other = np.argsort(found.promoted, kind="stable")[:top]
    sides = (("promoted", order), ("suppressed", other))
    return [(side, k, int(token)) for side, some in sides for k, token in enumerate(some, start=1)]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def effect_rows(
    lab: Lab, number: int, found: Promotion, kept: Sequence[tuple[str, int, int]]
) -> list[dict[str, object]]:
    """Return rows of the table ``effects``: with the intervention less without."""
    silent = found.given - found.contexts
    return [
        {
            "intervention": number,
            "metric": METRIC,
            "target": lab.text(token),
            "value": float(found.logit[token] - found.promoted[token]),
            "baseline": float(found.logit[token]),
            "change": -float(found.promoted[token]),
            "prompts": found.contexts,
            "low": _number(-found.high[token]),
            "high": _number(-found.low[token]),
            "p": _number(found.p[token]),
            "q": _number(found.q[token]),
            "prompt": None,
            "flag": f"{silent} of {found.given} do not fire" if silent else None,
        }
        for _, _, token in kept
    ]


def promotion_rows(
    lab: Lab,
    feature: FeatureRef,
    found: Promotion,
    kept: Sequence[tuple[str, int, int]],
    weights: NDArray[np.float32],
) -> list[dict[str, object]]:
    """Return rows of `PROMOTION`: with the feature less without."""
    return [
        {
            "feature": feature.key,
            "side": side,
            "rank": rank,
            "token_id": token,
            "token": lab.text(token),
            "promoted": float(found.promoted[token]),
            "low": _number(found.low[token]),
            "high": _number(found.high[token]),
            "p": _number(found.p[token]),
            "q": _number(found.q[token]),
            "contexts": found.contexts,
            "logit_weight": float(weights[token]),
            "logit_weight_rank": 1
            + int(((weights > weights[token]) if side == "promoted" else
                   (weights < weights[token])).sum()),
        }
        for side, rank, token in kept
    ]  # fmt: skip


class LogitWeights:
    """Standardised logit weights, as the atlas has them for its features."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.unembedding = lab.model.unembedding()
        self.scales: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    @torch.inference_mode()
    def of(self, feature: FeatureRef) -> NDArray[np.float32]:
        """Weights of every token, float32 ``[vocabulary]``, standardised over the features."""
        decoder = self.lab.sae(feature.sae).sae.W_dec.detach().float().cpu()
        if feature.sae not in self.scales:
            self.scales[feature.sae] = token_scale(decoder, self.unembedding)
        centre, scale = self.scales[feature.sae]
        weights = (decoder[feature.index] @ self.unembedding - centre) / scale
        found: NDArray[np.float32] = weights.numpy()
        return found
