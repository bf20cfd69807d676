"""A build of the size of a real SAE with all that queries read: drawn, not measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from atlas.artifacts import write_json, write_table
from atlas.schemas import FORMAT, schema
from benchmarks.algorithms import draw
from benchmarks.load import SAE, column, fields

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MODEL = "synthetic"
CORPUS = "drawn"
FEATURES = 24_576
EDGES = 1_000_000
DECODER = 64
"""Length of the drawn decoder vectors; that of an index does not change how a query is asked."""
_TOKENS, _DOCUMENTS, _CONTEXTS, _CONCEPTS = 8_000, 2_000, 20_000, 40
_SHOWN = 6
_TOP = 10


def write_atlas_build(
    folder: Path, *, features: int = FEATURES, edges: int = EDGES, seed: int = 0
) -> Path:
    """Write a build with degrees as uneven as real ones, and return its folder.

    Parameters
    ----------
    folder
        Folder to make.
    features, edges
        Size of the graph of co-occurrence.
    seed
        Of everything drawn.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    keys = pa.array([f"{SAE}/{index}" for index in range(features)])
    tables = {
        "features": _features(keys, rng),
        "edges": _edges(keys, edges, rng),
        "implies": _pairs("implies", keys, 2 * features, rng),
        "similar": _pairs("similar", keys, 8 * features, rng),
        **_texts(keys, rng),
        "vectors": _vectors(keys, rng),
    }
    files = {
        f"{name}.parquet": write_table(folder / f"{name}.parquet", table)
        for name, table in tables.items()
    }
    run = {
        "format": FORMAT,
        "run_id": "benchmark",
        "name": "benchmark",
        "created": "2025-01-01T00:00:00+00:00",
        "model": {"key": MODEL},
        "saes": [{"key": SAE, "name": "topk", "d_sae": features}],
        "corpus": {"name": CORPUS},
        "files": files,
    }
    write_json(folder / "run.json", run)
    return folder


def _table(name: str, rows: int, rng: np.random.Generator, **given: Any) -> pa.Table:
    made = {part: column(field, rows, rng) for part, field in fields(name) if part not in given}
    return pa.table({part: (made | given)[part] for part, _ in fields(name)}, schema=schema(name))


def _features(keys: pa.Array, rng: np.random.Generator) -> pa.Table:
    number = len(keys)
    words = np.array([f"word{i}" for i in range(_TOKENS)])
    label = [" · ".join(words[rng.integers(0, _TOKENS, 3)]) for _ in range(number)]
    tokens = [[f" {word}" for word in words[rng.integers(0, _TOKENS, 8)]] for _ in range(number)]
    return _table(
        "features",
        number,
        rng,
        key=keys,
        sae=pa.array([SAE] * number),
        index=pa.array(np.arange(number, dtype=np.int32)),
        n=pa.array(rng.integers(5, 5_000, number)),
        firing_rate=pa.array(rng.uniform(0, 0.05, number)),
        dead=pa.array([False] * number),
        dense=pa.array([False] * number),
        label=pa.array(label),
        label_source=pa.array(["tokens"] * number),
        top_tokens=pa.array(tokens),
    )


def _edges(keys: pa.Array, edges: int, rng: np.random.Generator) -> pa.Table:
    network, _ = draw(len(keys), edges, seed=int(rng.integers(1 << 30)))
    phi = network.weight
    one, two = _ranks(network.source, network.target, phi)
    kind = np.where(rng.random(edges) < 0.9, "token", "topic")
    return _table(
        "edges",
        edges,
        rng,
        source=keys.take(pa.array(network.source)),
        target=keys.take(pa.array(network.target)),
        kind=pa.array(kind),
        phi=pa.array(phi),
        n=pa.array(rng.integers(5, 500, edges)),
        rank_source=pa.array(one),
        rank_target=pa.array(two),
        mutual=pa.array((one <= _TOP) & (two <= _TOP)),
    )


def _ranks(
    source: NDArray[np.int32], target: NDArray[np.int32], phi: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return each edge's place among the edges of its source, and of its target."""
    ends = np.concatenate([source, target])
    order = np.lexsort((-np.concatenate([phi, phi]), ends))
    begins = np.searchsorted(ends[order], np.arange(int(ends.max()) + 1))
    rank = np.empty(len(ends), np.int32)
    rank[order] = np.arange(len(ends)) - begins[ends[order]] + 1
    return rank[: len(source)], rank[len(source) :]


def _pairs(name: str, keys: pa.Array, rows: int, rng: np.random.Generator) -> pa.Table:
    number = len(keys)
    pair = np.unique(rng.integers(0, number * number, rows))
    source, target = pair // number, pair % number
    keep = source < target
    ends = {"source": source[keep], "target": target[keep]}
    given: dict[str, Any] = {end: keys.take(pa.array(where)) for end, where in ends.items()}
    return _table(name, int(keep.sum()), rng, **given)


def _texts(keys: pa.Array, rng: np.random.Generator) -> dict[str, pa.Table]:
    """Return tokens, documents, contexts, concepts, and their links to features."""
    number = len(keys)
    words = [f" word{i}" for i in range(_TOKENS)]
    tokens = pa.array([f"{MODEL}/{i}" for i in range(_TOKENS)])
    documents = pa.array([f"{CORPUS}/{i}" for i in range(_DOCUMENTS)])
    places = np.arange(_CONTEXTS)
    contexts = pa.array([f"{CORPUS}/{i % _DOCUMENTS}/{i // _DOCUMENTS}" for i in places])
    concepts = pa.array([f"{CORPUS}/domain/d{i}" for i in range(_CONCEPTS)])
    text = [[words[(i * 7 + k) % _TOKENS] for k in range(21)] for i in places]
    links = [_linked(keys, tokens, _SHOWN, rng) for _ in range(3)]
    feature = pa.concat_arrays([link[0] for link in links])
    relation = np.repeat(["FIRES_ON", "PROMOTES", "SUPPRESSES"], number * _SHOWN)
    rank = np.tile(np.arange(1, _SHOWN + 1, dtype=np.int32), number * 3)
    fires, where = _linked(keys, contexts, _SHOWN, rng)
    about, concept = _linked(keys, concepts, 2, rng)
    return {
        "tokens": _table("tokens", _TOKENS, rng, key=tokens, text=pa.array(words)),
        "feature_tokens": _table(
            "feature_tokens",
            len(feature),
            rng,
            feature=feature,
            token=pa.concat_arrays([link[1] for link in links]),
            relation=pa.array(relation),
            rank=pa.array(rank),
        ),
        "documents": _table("documents", _DOCUMENTS, rng, key=documents),
        "contexts": _table(
            "contexts",
            _CONTEXTS,
            rng,
            key=contexts,
            document=documents.take(pa.array(places % _DOCUMENTS)),
            position=pa.array((places // _DOCUMENTS).astype(np.int32)),
            text=pa.array(["".join(tokens) for tokens in text]),
            tokens=pa.array(text),
        ),
        "firings": _table(
            "firings",
            len(fires),
            rng,
            feature=fires,
            context=where,
            rank=pa.array(np.tile(np.arange(1, _SHOWN + 1, dtype=np.int32), number)),
            activations=pa.array(list(rng.random((len(fires), 21))), pa.list_(pa.float64())).cast(
                schema("firings").field("activations").type
            ),
        ),
        "concepts": _table("concepts", _CONCEPTS, rng, key=concepts),
        "about": _table("about", len(about), rng, feature=about, concept=concept),
    }


def _linked(
    keys: pa.Array, others: pa.Array, each: int, rng: np.random.Generator
) -> tuple[pa.Array, pa.Array]:
    """Return `each` distinct others for every key."""
    first = rng.integers(0, len(others), len(keys))
    found = (first[:, None] + np.arange(each)[None] * 3) % len(others)
    feature = np.repeat(np.arange(len(keys)), each)
    return keys.take(pa.array(feature)), others.take(pa.array(found.ravel()))


def _vectors(keys: pa.Array, rng: np.random.Generator) -> pa.Table:
    decoder = rng.standard_normal((len(keys), DECODER)).astype(np.float32)
    label = rng.standard_normal((len(keys), 256)).astype(np.float32)
    label /= np.linalg.norm(label, axis=1, keepdims=True)
    given = {"decoder": decoder, "label_embedding": label}
    return _table(
        "vectors",
        len(keys),
        rng,
        feature=keys,
        **{
            name: pa.array(list(values)).cast(schema("vectors").field(name).type)
            for name, values in given.items()
        },
    )
