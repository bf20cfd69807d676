"""Tables of attention patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from scipy.special import entr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from scipy import sparse

    from queries.followups.attention.attend import AttentionRequest

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]

_TOKEN = pa.dictionary(pa.int32(), pa.string())

WEIGHTS = pa.schema(
    [
        ("prompt", _TOKEN),
        ("layer", pa.int32()),
        ("head", pa.int32()),
        ("query_position", pa.int32()),
        ("key_position", pa.int32()),
        ("weight", pa.float32()),
        ("query_token", _TOKEN),
        ("key_token", _TOKEN),
    ]
)
"""A row a weight not below the floor. Positions count BOS, which is 0."""

FIRING = pa.schema(
    [
        ("prompt", _TOKEN),
        ("position", pa.int32()),
        ("token", _TOKEN),
        ("sae", _TOKEN),
        ("rank", pa.int32()),
        ("feature", pa.string()),
        ("activation", pa.float32()),
    ]
)
"""A row a position, SAE and feature among those with the largest activation there, but for BOS."""

HEADS = pa.schema(
    [
        ("prompt", _TOKEN),
        ("layer", pa.int32()),
        ("head", pa.int32()),
        ("query_position", pa.int32()),
        ("on_bos", pa.float32()),
        ("entropy", pa.float32()),
        ("key_position", pa.int32()),
        ("key_token", _TOKEN),
        ("weight", pa.float32()),
    ]
)
"""A row a head at the chosen query: its weight on BOS, the entropy of its weights in nats, and the
token after BOS that it looks at most."""

LOOKED_AT = pa.schema(
    [
        ("prompt", _TOKEN),
        ("layer", pa.int32()),
        ("head", pa.int32()),
        ("query_position", pa.int32()),
        ("sae", _TOKEN),
        ("rank", pa.int32()),
        ("feature", pa.string()),
        ("value", pa.float32()),
    ]
)
"""A row a head, SAE and feature among those with the largest `value`: the activation at each token
after BOS, times the weight that the head gives it from the chosen query, summed."""

SCHEMAS: Mapping[str, pa.Schema] = {
    "attention": WEIGHTS,
    "heads": HEADS,
    "firing": FIRING,
    "looked_at": LOOKED_AT,
}


def attention_tables(
    weights: Floats,
    acts: Mapping[str, sparse.csr_array[np.float32]],
    *,
    prompt: str,
    tokens: Sequence[str],
    layers: Sequence[int],
    query: int,
    request: AttentionRequest,
) -> dict[str, pa.Table]:
    """Return the tables of `SCHEMAS` for one prompt.

    Parameters
    ----------
    weights
        ``[layers, heads, query, key]``.
    acts
        SAE's key to activations ``[positions, d_sae]``, none at BOS.
    prompt
        Its id.
    tokens
        Texts of its tokens, BOS first.
    layers
        The layers of `weights`.
    query
        Position from which heads look.
    request
        Has the floor and the number of features.
    """
    heads = {
        "layer": np.repeat(layers, weights.shape[1]),
        "head": np.tile(np.arange(weights.shape[1]), len(layers)),
    }
    looks = weights[:, :, query].reshape(-1, len(tokens))
    names = np.array(tokens, object)
    columns = {
        "attention": _weights(weights, np.array(layers), names, request.floor),
        "heads": {**heads, "query_position": np.full(len(looks), query), **_heads(looks, names)},
        "firing": _ranked(acts, {"position": np.arange(len(tokens)), "token": names}, request.top),
        "looked_at": _ranked(
            {key: looks @ some for key, some in acts.items()},
            {**heads, "query_position": np.full(len(looks), query)},
            request.top,
        ),
    }
    return {
        name: _table(schema, {**columns[name], "prompt": prompt})
        for name, schema in SCHEMAS.items()
    }


def joined(parts: Sequence[Mapping[str, pa.Table]]) -> dict[str, pa.Table]:
    """Join the tables of prompts."""
    return {
        name: pa.concat_tables([part[name] for part in parts]).unify_dictionaries()
        for name in SCHEMAS
    }


def _table(schema: pa.Schema, columns: Mapping[str, Any]) -> pa.Table:
    rows = len(columns[schema.names[1]])
    arrays = []
    for field in schema:
        values = columns[field.name]
        made = pa.repeat(values, rows) if isinstance(values, str) else pa.array(values)
        arrays.append(made.cast(field.type) if rows else pa.array([], field.type))
    return pa.table(arrays, schema=schema)


def _weights(
    weights: Floats, layers: Ints, names: NDArray[np.object_], floor: float
) -> dict[str, Any]:
    past = np.tril(np.ones(weights.shape[2:], bool))
    layer, head, query, key = np.nonzero((weights >= floor) & past)
    return {
        "layer": layers[layer],
        "head": head,
        "query_position": query,
        "key_position": key,
        "weight": weights[layer, head, query, key],
        "query_token": names[query],
        "key_token": names[key],
    }


def _heads(looks: Floats, names: NDArray[np.object_]) -> dict[str, Any]:
    """Describe heads by their weights ``[heads, key]`` from one query."""
    most = looks[:, 1:].argmax(axis=1) + 1
    return {
        "on_bos": looks[:, 0],
        "entropy": entr(looks).sum(axis=1),
        "key_position": most,
        "key_token": names[most],
        "weight": looks[np.arange(len(looks)), most],
    }


def _ranked(
    values: Mapping[str, Any], about: Mapping[str, NDArray[Any]], top: int
) -> dict[str, Any]:
    """Return the largest positive values of each row, and what is known `about` their rows.

    Parameters
    ----------
    values
        SAE's key to ``[rows, d_sae]``, sparse or dense.
    """
    found: dict[str, list[Any]] = {}
    for key, every in values.items():
        index = np.flatnonzero(np.asarray((every > 0).sum(axis=0)))
        some = every[:, index]
        dense = some if isinstance(some, np.ndarray) else some.toarray()
        order = np.argsort(-dense, axis=1, kind="stable")[:, :top]
        row, rank = np.indices(order.shape).reshape(2, -1)
        value = dense[row, order.ravel()]
        fires = value > 0
        features = np.array([f"{key}/{k}" for k in index], object)
        part = {
            **{name: column[row[fires]] for name, column in about.items()},
            "sae": np.full(int(fires.sum()), key, object),
            "rank": rank[fires] + 1,
            "feature": features[order.ravel()[fires]],
            "value": value[fires],
        }
        part["activation"] = part["value"]
        for name, column in part.items():
            found.setdefault(name, []).append(column)
    return {name: np.concatenate(some) for name, some in found.items()}
