"""Tables of an SAE's features: cards, marking tokens, and where each fires most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from atlas.schemas import schema
from ingest.labels import feature_label

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ingest.contexts import Contexts
    from ingest.decoder import LogitWeights
    from ingest.firing import FeatureStatistics, WindowActivations
    from ingest.labels import WordBackground

#: A feature that fires at more than this share of positions is flagged as dense.
DENSE_RATE = 0.10


@dataclass(frozen=True)
class FeatureInputs:
    """Everything that the tables of one SAE's features are made from.

    Attributes
    ----------
    sae_key
        Key of the SAE.
    statistics
        What its features fire on.
    contexts
        Windows around the places of ``statistics.firings``, in that order.
    activations
        Activations within these windows.
    logits
        Logit weights of the decoder.
    background
        How common words are in windows of the corpus.
    text_of
        Token id to text.
    token_key
        Token id to the Token node's key.
    """

    sae_key: str
    statistics: FeatureStatistics
    contexts: Contexts
    activations: WindowActivations
    logits: LogitWeights
    background: WordBackground
    text_of: Callable[[int], str]
    token_key: Callable[[int], str]

    @property
    def d_sae(self) -> int:
        """Number of latents."""
        return len(self.statistics.n)


@dataclass(frozen=True)
class FeatureTables:
    """Arrow tables of one SAE, and the token ids that they name."""

    features: pa.Table
    feature_tokens: pa.Table
    contexts: pa.Table
    firings: pa.Table
    token_ids: set[int]


def feature_tables(inputs: FeatureInputs) -> FeatureTables:
    """Make the tables of one SAE's features (every latent has a row, dead ones too)."""
    return FeatureTables(
        features=_features(inputs),
        feature_tokens=_feature_tokens(inputs),
        contexts=inputs.contexts.table,
        firings=_firing_table(inputs),
        token_ids=_ids(inputs),
    )


def _ids(inputs: FeatureInputs) -> set[int]:
    logits = inputs.logits
    parts = (inputs.statistics.tokens.item, logits.promoted.ravel(), logits.suppressed.ravel())
    return {int(t) for part in parts for t in part}


def _features(inputs: FeatureInputs) -> pa.Table:
    found, logits, d_sae = inputs.statistics, inputs.logits, inputs.d_sae
    promoted = [[inputs.text_of(int(t)) for t in row] for row in logits.promoted]
    rate = found.n / max(found.positions, 1)
    return pa.table(
        {
            "key": [f"{inputs.sae_key}/{f}" for f in range(d_sae)],
            "sae": [inputs.sae_key] * d_sae,
            "index": np.arange(d_sae, dtype=np.int32),
            "n": found.n,
            "d": found.d,
            "firing_rate": rate,
            "mean": _nullable(found.moments.mean),
            "max": _nullable(found.moments.max),
            "std": _nullable(found.moments.std),
            "dead": found.n == 0,
            "dense": rate > DENSE_RATE,
            "logit_mean": logits.mean,
            "logit_std": logits.std,
            "logit_skew": logits.skew,
            "logit_kurtosis": logits.kurtosis,
            **_descriptions(inputs, promoted),
            "promoted": promoted,
            "suppressed": [[inputs.text_of(int(t)) for t in row] for row in logits.suppressed],
            "top_domain": found.domain,
            "top_domain_share": _nullable(found.domain_share),
        },
        schema=schema("features"),
    )


def _descriptions(inputs: FeatureInputs, promoted: list[list[str]]) -> dict[str, list[Any]]:
    """Label each feature by its tokens and by the words of its strongest contexts."""
    marks, firings = inputs.statistics.tokens, inputs.statistics.firings
    strongest = firings.bin < 0
    texts = inputs.contexts.table["text"].take(pa.array(inputs.contexts.row[strongest]))
    features = np.arange(inputs.d_sae + 1)
    token_ptr = np.searchsorted(marks.feature, features)
    text_ptr = np.searchsorted(firings.feature[strongest], features)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("label", "label_source", "top_tokens", "top_words")
    }
    for f in range(inputs.d_sae):
        mine = slice(token_ptr[f], token_ptr[f + 1])
        tokens = [inputs.text_of(int(t)) for t in marks.item[mine]]
        contexts = texts[text_ptr[f] : text_ptr[f + 1]].to_pylist()
        words = inputs.background.distinctive(contexts)
        label, source = feature_label(tokens, marks.share[mine].tolist(), words, promoted[f])
        for name, value in zip(columns, (label, source, tokens, words), strict=True):
            columns[name].append(value)
    return columns


def _nullable(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def _feature_tokens(inputs: FeatureInputs) -> pa.Table:
    """Rows of FIRES_ON, PROMOTES and SUPPRESSES."""
    marks, logits = inputs.statistics.tokens, inputs.logits
    k = logits.promoted.shape[1]
    feature = np.concatenate([marks.feature, *[np.repeat(np.arange(inputs.d_sae), k)] * 2])
    token = np.concatenate([marks.item, logits.promoted.ravel(), logits.suppressed.ravel()])
    each = np.tile(np.arange(1, k + 1), inputs.d_sae)
    relation = np.repeat(
        ["FIRES_ON", "PROMOTES", "SUPPRESSES"], [len(marks.item), *[logits.promoted.size] * 2]
    )
    n = np.concatenate([marks.n, np.zeros(2 * logits.promoted.size, np.int64)])
    scores = (marks.score, logits.promoted_score.ravel(), logits.suppressed_score.ravel())
    return pa.table(
        {
            "feature": [f"{inputs.sae_key}/{f}" for f in feature],
            "token": [inputs.token_key(int(t)) for t in token],
            "relation": relation,
            "rank": np.concatenate([marks.rank, each, each]).astype(np.int32),
            "score": np.concatenate(scores),
            "n": pa.array(n, mask=relation != "FIRES_ON"),
        },
        schema=schema("feature_tokens"),
    )


def _firing_table(inputs: FeatureInputs) -> pa.Table:
    firings, activations = inputs.statistics.firings, inputs.activations
    offsets = pa.array(activations.offset, pa.int32())
    return pa.table(
        {
            "feature": [f"{inputs.sae_key}/{f}" for f in firings.feature],
            "context": inputs.contexts.keys,
            "rank": firings.rank.astype(np.int32),
            "activation": firings.value.astype(np.float64),
            "activations": pa.ListArray.from_arrays(offsets, pa.array(activations.values)),
            "bin": pa.array(firings.bin, mask=firings.bin < 0),
        },
        schema=schema("firings"),
    )
