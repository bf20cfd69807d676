"""Simulated firing data with documents as bursts, for tests against a known truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atlas.artifacts import CodeShard


@dataclass
class Truth:
    codes: CodeShard
    d_sae: int
    token_pairs: set[tuple[int, int]]
    topic_pairs: set[tuple[int, int]]


def codes_from_dense(dense: np.ndarray, document: np.ndarray) -> CodeShard:
    """Make a code shard of a dense [rows, d_sae] array of activations."""
    row, col = np.nonzero(dense)
    position = np.concatenate([np.arange(c) for c in np.bincount(document) if c])
    return CodeShard(
        indptr=np.searchsorted(row, np.arange(len(dense) + 1)).astype(np.int64),
        index=col.astype(np.int32),
        value=dense[row, col].astype(np.float32),
        document=document.astype(np.int32),
        position=position.astype(np.int32),
        token=np.zeros(len(dense), np.int32),
    )


def simulate(
    seed: int,
    *,
    documents: int = 2000,
    length: int = 256,
    independent: int = 400,
    confinement: float = 0.05,
    token_planted: int = 0,
    topic_planted: int = 0,
    always_on: int = 0,
) -> Truth:
    """Simulate features confined to random documents, with planted pairs.

    An independent feature fires at rate 0.2 within a random share of the documents. A topic pair
    shares its documents but fires independently within them; a token pair shares its documents
    and the second fires where the first does with probability 0.5.
    """
    rng = np.random.default_rng(seed)
    d_sae = independent + 2 * (token_planted + topic_planted) + always_on
    columns: list[np.ndarray] = []
    rows = documents * length

    def burst(where: np.ndarray, rate: float = 0.2) -> np.ndarray:
        return (rng.random((documents, length)) < rate * where[:, None]).ravel()

    def some() -> np.ndarray:
        return rng.random(documents) < confinement

    pairs: dict[str, set[tuple[int, int]]] = {"token": set(), "topic": set()}
    columns += [burst(some()) for _ in range(independent)]
    for kind, number in (("token", token_planted), ("topic", topic_planted)):
        for _ in range(number):
            where = some()
            first = burst(where)
            second = burst(where)
            if kind == "token":
                second = np.where(first, rng.random(rows) < 0.5, second)
            pairs[kind].add((len(columns), len(columns) + 1))
            columns += [first, second]
    columns += [rng.random(rows) < 0.5 for _ in range(always_on)]
    index = np.concatenate([np.full(c.sum(), j, np.int32) for j, c in enumerate(columns)])
    row = np.concatenate([np.flatnonzero(c) for c in columns])
    order = np.lexsort((index, row))
    codes = CodeShard(
        indptr=np.searchsorted(row[order], np.arange(rows + 1)).astype(np.int64),
        index=index[order],
        value=np.ones(len(row), np.float32),
        document=np.repeat(np.arange(documents), length).astype(np.int32),
        position=np.tile(np.arange(length), documents).astype(np.int32),
        token=np.zeros(rows, np.int32),
    )
    return Truth(codes, d_sae, pairs["token"], pairs["topic"])
