"""Counts by folds of documents against a count by hand, and as tables."""

from __future__ import annotations

import json
from functools import reduce
from operator import add

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ingest.cooccurrence.sums import marginals
from ingest.folds import count_folds, fold_table, with_positions
from tests.unit.simulate import codes_from_dense


def by_hand(shards, i, j, d_sae, folds):
    joint = np.zeros((len(i), folds), int)
    n, positions = np.zeros((d_sae, folds), int), np.zeros(folds, int)
    for shard in shards:
        for r in range(shard.rows):
            fold = shard.document[r] % folds
            here = set(shard.index[shard.indptr[r] : shard.indptr[r + 1]].tolist())
            positions[fold] += 1
            n[sorted(here), fold] += 1
            for pair, (a, b) in enumerate(zip(i.tolist(), j.tolist(), strict=True)):
                joint[pair, fold] += a in here and b in here
    return joint, n, positions


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 7))
def test_counts_are_those_of_a_count_by_hand(seed, parts, folds):
    rng = np.random.default_rng(seed)
    d_sae = 9
    shards = []
    for part in range(parts):
        document = np.sort(rng.integers(4 * part, 4 * part + 4, 12))
        shards.append(
            codes_from_dense(rng.random((12, d_sae)) * (rng.random((12, d_sae)) < 0.4), document)
        )
    total = reduce(add, (marginals(shard, d_sae, block=0) for shard in shards))
    pairs = [(a, b) for a in range(d_sae) for b in range(a + 1, d_sae) if rng.random() < 0.4]
    i, j = np.array(pairs, np.int32).reshape(-1, 2).T
    swap = rng.random(len(i)) < 0.5
    i, j = np.where(swap, j, i), np.where(swap, i, j)
    found = count_folds(shards, i, j, n=total.n, folds=folds)
    joint, n, positions = by_hand(shards, i, j, d_sae, folds)
    np.testing.assert_array_equal(found.joint, joint)
    np.testing.assert_array_equal(found.n, n)
    np.testing.assert_array_equal(found.positions, positions)
    np.testing.assert_array_equal(found.n.sum(1), total.n)


def test_tables_hold_one_list_a_row_and_the_positions():
    table = with_positions(
        fold_table({"key": ["a", "b"]}, np.array([[1, 2, 3], [4, 5, 6]])), np.array([7, 8, 9])
    )
    assert table["n"].type == pa.list_(pa.int32(), 3)
    assert table.to_pylist() == [{"key": "a", "n": [1, 2, 3]}, {"key": "b", "n": [4, 5, 6]}]
    assert json.loads(table.schema.metadata[b"positions"]) == [7, 8, 9]
