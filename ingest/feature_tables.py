"""Tables of an SAE's features: cards, marking tokens, and where each fires most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from atlas.schemas import schema
from ingest.firing import activation_moments, strongest_firings, token_lift, top_domains
from ingest.labels import feature_label

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from atlas.artifacts import CodeShard
    from atlas.recipe import FeaturesSection
    from ingest.cooccurrence.pairs import DocumentIndex, Marginals
    from ingest.decoder import LogitWeights
    from ingest.firing import Firings, TokenLift
    from ingest.labels import WordBackground
    from ingest.tables import ContextWindows

#: A feature that fires at more than this share of positions is flagged as dense.
DENSE_RATE = 0.10


@dataclass(frozen=True)
class FeatureInputs:
    """Everything that the tables of one SAE's features are made from.

    Attributes
    ----------
    sae_key, d_sae
        Key of the SAE and its number of latents.
    codes, docs, marginals
        The codes, indexed and summed.
    domains
        Domain of each document of `docs`, or None: object ``[documents]``.
    logits
        Logit weights of the decoder.
    windows, background
        Context windows, and how common words are in such windows.
    text_of
        Token id to text.
    token_key
        Token id to the Token node's key.
    options
        How much to keep.
    """

    sae_key: str
    d_sae: int
    codes: CodeShard
    docs: DocumentIndex
    marginals: Marginals
    domains: NDArray[np.object_]
    logits: LogitWeights
    windows: ContextWindows
    background: WordBackground
    text_of: Callable[[int], str]
    token_key: Callable[[int], str]
    options: FeaturesSection


@dataclass(frozen=True)
class FeatureTables:
    """Arrow tables of one SAE, and the token ids that they name."""

    features: pa.Table
    feature_tokens: pa.Table
    contexts: list[dict[str, Any]]
    firings: pa.Table
    token_ids: set[int]


def feature_tables(inputs: FeatureInputs) -> FeatureTables:
    """Make the tables of one SAE's features (every latent has a row, dead ones too)."""
    lift = token_lift(inputs.codes, inputs.d_sae, top=inputs.options.tokens)
    firings = strongest_firings(inputs.codes, top=inputs.options.contexts)
    rows = [
        inputs.windows.row(int(d), int(p))
        for d, p in zip(
            inputs.codes.document[firings.row], inputs.codes.position[firings.row], strict=True
        )
    ]
    tokens = _feature_tokens(inputs, lift)
    return FeatureTables(
        features=_features(inputs, lift, firings, [row["text"] for row in rows]),
        feature_tokens=tokens,
        contexts=list({row["key"]: row for row in rows}.values()),
        firings=_firing_table(inputs, firings, [row["key"] for row in rows]),
        token_ids=_ids(inputs, lift),
    )


def _ids(inputs: FeatureInputs, lift: TokenLift) -> set[int]:
    parts = (lift.token, inputs.logits.promoted.ravel(), inputs.logits.suppressed.ravel())
    return {int(t) for part in parts for t in part}


def _features(
    inputs: FeatureInputs, lift: TokenLift, firings: Firings, texts: list[str]
) -> pa.Table:
    d_sae, m, logits = inputs.d_sae, inputs.marginals, inputs.logits
    moments = activation_moments(inputs.codes, d_sae)
    domain, domain_share = top_domains(inputs.docs, inputs.domains, d_sae)
    token_ptr = np.searchsorted(lift.feature, np.arange(d_sae + 1))
    text_ptr = np.searchsorted(firings.feature, np.arange(d_sae + 1))
    columns: dict[str, list[Any]] = {
        name: [] for name in ("label", "label_source", "top_tokens", "top_words")
    }
    promoted = [[inputs.text_of(int(t)) for t in row] for row in logits.promoted]
    for f in range(d_sae):
        mine = slice(token_ptr[f], token_ptr[f + 1])
        tokens = [inputs.text_of(int(t)) for t in lift.token[mine]]
        words = inputs.background.distinctive(texts[text_ptr[f] : text_ptr[f + 1]])
        label, source = feature_label(tokens, lift.share[mine].tolist(), words, promoted[f])
        for name, value in zip(columns, (label, source, tokens, words), strict=True):
            columns[name].append(value)
    rate = m.n / max(m.positions, 1)
    return pa.table(
        {
            "key": [f"{inputs.sae_key}/{f}" for f in range(d_sae)],
            "sae": [inputs.sae_key] * d_sae,
            "index": np.arange(d_sae, dtype=np.int32),
            "n": m.n,
            "d": m.d,
            "firing_rate": rate,
            "mean": _nullable(moments.mean),
            "max": _nullable(moments.max),
            "std": _nullable(moments.std),
            "dead": m.n == 0,
            "dense": rate > DENSE_RATE,
            "logit_mean": logits.mean,
            "logit_std": logits.std,
            "logit_skew": logits.skew,
            "logit_kurtosis": logits.kurtosis,
            **columns,
            "promoted": promoted,
            "suppressed": [[inputs.text_of(int(t)) for t in row] for row in logits.suppressed],
            "top_domain": domain,
            "top_domain_share": _nullable(domain_share),
        },
        schema=schema("features"),
    )


def _nullable(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def _feature_tokens(inputs: FeatureInputs, lift: TokenLift) -> pa.Table:
    """Rows of FIRES_ON, PROMOTES and SUPPRESSES."""
    logits = inputs.logits
    k = logits.promoted.shape[1]
    feature = np.concatenate([lift.feature, *[np.repeat(np.arange(inputs.d_sae), k)] * 2])
    token = np.concatenate([lift.token, logits.promoted.ravel(), logits.suppressed.ravel()])
    each = np.tile(np.arange(1, k + 1), inputs.d_sae)
    relation = np.repeat(
        ["FIRES_ON", "PROMOTES", "SUPPRESSES"], [len(lift.token), *[logits.promoted.size] * 2]
    )
    n = np.concatenate([lift.n, np.zeros(2 * logits.promoted.size, np.int64)])
    scores = (lift.score, logits.promoted_score.ravel(), logits.suppressed_score.ravel())
    return pa.table(
        {
            "feature": [f"{inputs.sae_key}/{f}" for f in feature],
            "token": [inputs.token_key(int(t)) for t in token],
            "relation": relation,
            "rank": np.concatenate([lift.rank, each, each]).astype(np.int32),
            "score": np.concatenate(scores),
            "n": pa.array(n, mask=relation != "FIRES_ON"),
        },
        schema=schema("feature_tokens"),
    )


def _firing_table(inputs: FeatureInputs, firings: Firings, keys: list[str]) -> pa.Table:
    return pa.table(
        {
            "feature": [f"{inputs.sae_key}/{f}" for f in firings.feature],
            "context": keys,
            "rank": firings.rank.astype(np.int32),
            "activation": firings.value.astype(np.float64),
            "activations": _window_activations(inputs, firings),
        },
        schema=schema("firings"),
    )


def _window_activations(inputs: FeatureInputs, firings: Firings) -> list[NDArray[np.float32]]:
    """Look up the activation at every token of each window; 0 where it does not fire."""
    codes = inputs.codes
    place = codes.document.astype(np.int64) << 32 | codes.position
    row_of = np.repeat(np.arange(codes.rows), np.diff(codes.indptr))
    entry = row_of * inputs.d_sae + codes.index
    bounds = [
        inputs.windows.bounds(int(codes.document[r]), int(codes.position[r])) for r in firings.row
    ]
    width = np.array([stop - start for start, stop in bounds], np.int64)
    cut = np.cumsum(width)[:-1] if len(width) else np.zeros(0, np.int64)
    if len(width) == 0:
        return []
    which = np.repeat(np.arange(len(width)), width)
    position = np.concatenate([np.arange(start, stop) for start, stop in bounds])
    wanted = codes.document[firings.row][which].astype(np.int64) << 32 | position
    row = np.minimum(np.searchsorted(place, wanted), codes.rows - 1)
    key = row * inputs.d_sae + firings.feature[which]
    found = np.minimum(np.searchsorted(entry, key), len(entry) - 1)
    fires = (place[row] == wanted) & (entry[found] == key)
    return np.split(np.where(fires, codes.value[found], np.float32(0)), cut)
