"""What a feature's decoder direction does to the logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from atlas.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class LogitWeights:
    """Logit weights W_dec . W_U of every feature, summarised.

    Attributes
    ----------
    mean, std, skew, kurtosis
        float64 ``[d_sae]``: moments over the vocabulary; kurtosis is excess kurtosis.
    promoted, suppressed
        int64 ``[d_sae, k]``: tokens with the largest and smallest *standardised* weight, the
        strongest first. A token's weights are standardised over the features: otherwise the same
        rare tokens of large unembedding norm head every list.
    promoted_score, suppressed_score
        float64 ``[d_sae, k]``: the standardised weights.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    skew: NDArray[np.float64]
    kurtosis: NDArray[np.float64]
    promoted: NDArray[np.int64]
    suppressed: NDArray[np.int64]
    promoted_score: NDArray[np.float64]
    suppressed_score: NDArray[np.float64]


def no_logit_weights(d_sae: int) -> LogitWeights:
    """Return what stands for logit weights that are not known: NaN, and no tokens."""
    unknown, none = np.full(d_sae, np.nan), np.zeros((d_sae, 0))
    tokens = none.astype(np.int64)
    return LogitWeights(unknown, unknown, unknown, unknown, tokens, tokens, none, none)


@torch.inference_mode()
def logit_weights(
    w_dec: torch.Tensor,
    unembedding: torch.Tensor,
    *,
    k: int = 10,
    block: int = 256,
    reporter: Reporter | None = None,
) -> LogitWeights:
    """Compute logit weights by blocks of features; nothing of size d_sae x vocabulary is held.

    Parameters
    ----------
    w_dec
        float32 ``[d_sae, d_model]``.
    unembedding
        float32 ``[d_model, vocabulary]``, final norm's gain folded in.
    k
        Tokens to keep a feature.
    block
        Features at a time.
    """
    centre, scale = _token_scale(w_dec, unembedding)
    k = min(k, unembedding.shape[1])
    columns: list[tuple[torch.Tensor, ...]] = []
    with (reporter or SilentReporter()).step("logit weights (features)", len(w_dec)) as advance:
        for start in range(0, len(w_dec), block):
            weights = w_dec[start : start + block] @ unembedding
            moments = _moments(weights)
            standard = (weights - centre) / scale
            top, low = standard.topk(k, dim=-1), (-standard).topk(k, dim=-1)
            columns.append((*moments, top.indices, low.indices, top.values, -low.values))
            advance(min(start + block, len(w_dec)))
    parts = [torch.cat(column).cpu().numpy() for column in zip(*columns, strict=True)]
    mean, std, skew, kurtosis, top_score, low_score = (
        parts[i].astype(np.float64) for i in (0, 1, 2, 3, 6, 7)
    )
    return LogitWeights(
        mean=mean,
        std=std,
        skew=skew,
        kurtosis=kurtosis,
        promoted=parts[4],
        suppressed=parts[5],
        promoted_score=top_score,
        suppressed_score=low_score,
    )


def _token_scale(
    w_dec: torch.Tensor, unembedding: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each token's weight over features, without the product."""
    mean = w_dec.mean(dim=0)
    centred = w_dec - mean
    covariance = centred.T @ centred / len(w_dec)
    variance = ((covariance @ unembedding) * unembedding).sum(dim=0)
    return mean @ unembedding, variance.clamp_min(1e-12).sqrt()


def _moments(weights: torch.Tensor) -> tuple[torch.Tensor, ...]:
    mean = weights.mean(dim=-1)
    centred = weights - mean[:, None]
    square = centred * centred
    variance = square.mean(dim=-1)
    std = variance.sqrt()
    third = (square * centred).mean(dim=-1)
    fourth = (square * square).mean(dim=-1)
    safe = variance.clamp_min(1e-20)
    return mean, std, third / safe**1.5, fourth / safe**2 - 3.0
