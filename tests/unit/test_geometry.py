from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.errors import ModelError
from atlas.schemas import schema
from ingest import geometry, nearest
from ingest.cooccurrence.kinds import NearPairs
from ingest.geometry import (
    feeds_weights,
    near_among,
    pair_cosines,
    similar_features,
    table_of,
)


def decoder(seed: int, *, features: int = 40, width: int = 6, dtype=torch.float32) -> torch.Tensor:
    """Vectors of many norms, some of them exact copies, multiples or opposites, two of norm 0."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(features, width)) * rng.choice([1e-3, 1.0, 1e3], (features, 1))
    w[7], w[20], w[33] = w[2], 2 * w[2], -w[2]
    w[[5, 31]] = 0.0
    return torch.tensor(w, dtype=dtype)


def exact_cosines(w: torch.Tensor) -> np.ndarray:
    """Cosines [features, features], -inf where there is none to speak of."""
    rows = w.double().numpy()
    norm = np.linalg.norm(rows, axis=1)
    with np.errstate(invalid="ignore"):
        cosine = rows @ rows.T / np.outer(norm, norm)
    np.fill_diagonal(cosine, np.nan)
    return np.where(np.isnan(cosine), -np.inf, cosine)


def expected_lists(w: torch.Tensor, k: int) -> list[list[int]]:
    cosine = exact_cosines(w)
    index = np.arange(len(w))
    return [
        [int(j) for j in np.lexsort((index, -np.round(row, 10)))[:k] if np.isfinite(row[j])]
        for row in cosine
    ]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    k=st.integers(1, 45),
    block=st.sampled_from([1, 7, 16, 40, 1000]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_neighbours_are_those_of_all_cosines(seed, k, block, dtype):
    w = decoder(seed, dtype=dtype)
    found = similar_features(w, k=k, block=block)
    lists = expected_lists(w, k)
    assert [found.j[found.i == i].tolist() for i in range(len(w))] == lists
    assert found.rank.tolist() == [r + 1 for some in lists for r in range(len(some))]
    np.testing.assert_allclose(found.cosine, exact_cosines(w)[found.i, found.j], atol=1e-12)
    assert lists[5] == lists[31] == []
    assert (found.i.dtype, found.j.dtype, found.rank.dtype) == (np.int32,) * 3


def test_ties_go_to_the_lower_index_whatever_the_blocks():
    """Thirty copies of one vector, far more than are held, among others."""
    torch.manual_seed(1)
    w = torch.randn(90, 12)
    copies = torch.arange(3, 90, 3)[:29]
    w[copies] = w[0].clone()
    for block in (4, 32, 90):
        found = similar_features(w, k=5, block=block)
        assert found.j[found.i == 0].tolist() == copies[:5].tolist()
        last = int(copies[-1])
        assert found.j[found.i == last].tolist() == [0, *copies[:4].tolist()]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    block=st.sampled_from([3, 16, 1000]),
    min_cosine=st.sampled_from([-0.5, 0.1, 0.6, 0.999]),
)
def test_near_pairs_are_all_above_the_threshold(seed, block, min_cosine):
    w = decoder(seed)
    found = near_among(similar_features(w, k=65, block=block), min_cosine=min_cosine)
    cosine = np.triu(exact_cosines(w) + 2, 1)
    i, j = np.nonzero(np.where(np.isfinite(cosine), cosine, 0) >= min_cosine + 2)
    assert list(zip(found.i, found.j, strict=True)) == list(zip(i, j, strict=True))
    np.testing.assert_allclose(found.cosine, cosine[i, j] - 2, atol=1e-12)
    assert (found.capped, found.cap) == (0, 64)
    assert NearPairs(found.i, found.j).holds(found.i, found.j).all()


def test_the_nearest_are_kept_where_there_are_too_many():
    w = decoder(3, features=60, width=3)
    cosine = exact_cosines(w)
    many = (cosine >= 0.2).sum(axis=1)
    cap = int(np.median(many))
    found = near_among(similar_features(w, k=cap + 1, block=16), min_cosine=0.2, cap=cap)
    assert found.capped == (many > cap).sum() > 10
    expected = {
        (min(i, j), max(i, j))
        for i, some in enumerate(expected_lists(w, cap))
        for j in some
        if cosine[i, j] >= 0.2
    }
    assert list(zip(found.i, found.j, strict=True)) == sorted(expected)
    assert len(found.i) < np.triu(cosine >= 0.2).sum()
    assert (found.cosine >= 0.2).all()


def test_each_pair_of_blocks_is_multiplied_once(monkeypatch):
    seen = []
    blocks = nearest._blocks

    def spy(w, low, *, block):
        for high, cosines in blocks(w, low, block=block):
            seen.append((low, high, tuple(cosines.shape)))
            yield high, cosines

    monkeypatch.setattr(nearest, "_blocks", spy)
    similar_features(decoder(0), k=3, block=16)
    sizes = {0: 16, 16: 16, 32: 8}
    assert seen == [(a, b, (sizes[a], sizes[b])) for a in sizes for b in sizes if a <= b]


def test_few_features_have_few_neighbours():
    for features in (0, 1, 2):
        found = similar_features(torch.ones(features, 4), k=3)
        assert len(found.i) == (2 if features == 2 else 0)
        assert found.features == features
    assert len(near_among(similar_features(torch.zeros(5, 3), k=65), min_cosine=0.1).i) == 0


def test_numbers_that_are_not_finite_are_refused():
    w = decoder(0)
    w[9, 1] = float("nan")
    with pytest.raises(ModelError, match="not finite"):
        similar_features(w, k=2)


@pytest.mark.parametrize("chunk", [1, 50, 1 << 22])
def test_cosines_of_given_pairs(monkeypatch, chunk):
    monkeypatch.setattr(geometry, "CHUNK", chunk)
    w = decoder(4)
    rng = np.random.default_rng(0)
    i, j = (rng.integers(0, len(w), 200).astype(np.int32) for _ in range(2))
    rows = w.double().numpy()
    norm = np.linalg.norm(rows, axis=1)
    with np.errstate(invalid="ignore"):
        expected = (rows[i] * rows[j]).sum(axis=1) / (norm[i] * norm[j])
    found = pair_cosines(w, i, j)
    np.testing.assert_allclose(found, expected, atol=1e-14)
    np.testing.assert_array_equal(np.isnan(found), np.isin(i, [5, 31]) | np.isin(j, [5, 31]))
    np.testing.assert_array_equal(found, pair_cosines(w, j, i))
    assert np.isnan(found).any()
    assert found.dtype == np.float64


def test_cosines_are_summed_in_double_precision():
    """In float32 the small parts vanish beside 1e4 and the cosine would be 1."""
    w = torch.tensor([[1e4, 1.0], [1e4, -1.0]])
    found = pair_cosines(w, np.array([0]), np.array([1]))[0]
    assert found == pytest.approx((1e8 - 1) / (1e8 + 1), abs=1e-15)
    assert found < 1 - 1e-8


def test_weights_from_an_earlier_to_a_later_sae():
    torch.manual_seed(0)
    w_dec, w_enc = torch.randn(12, 5), torch.randn(5, 9)
    w_enc[:, 4] = 0.0
    i, j = (np.array(x, np.int32) for x in ([0, 3, 11, 3, 7], [8, 0, 2, 2, 4]))
    weight, cosine = feeds_weights(w_dec, w_enc, i, j)
    full = w_dec.double().numpy() @ w_enc.double().numpy()
    norms = np.outer(w_dec.double().norm(dim=1), w_enc.double().norm(dim=0))
    np.testing.assert_allclose(weight, full[i, j], rtol=1e-12)
    np.testing.assert_allclose(cosine[:4], (full[i, j] / norms[i, j].clip(1e-9))[:4], rtol=1e-12)
    assert weight[4] == 0
    assert np.isnan(cosine[4])
    with pytest.raises(ModelError, match="5 numbers"):
        feeds_weights(w_dec, w_enc.T, i, j)


def test_the_table_has_a_row_for_each_pair_of_neighbours():
    w, k = decoder(9), 4
    table = table_of(similar_features(w, k=k + 3, block=16), "m/h/s", k=k)
    assert table.schema == schema("similar")
    lists = expected_lists(w, k)
    pairs = sorted({(min(i, j), max(i, j)) for i, some in enumerate(lists) for j in some})
    cosine = exact_cosines(w)
    rows = table.to_pylist()
    assert [(r["source"], r["target"]) for r in rows] == [
        (f"m/h/s/{i}", f"m/h/s/{j}") for i, j in pairs
    ]
    for row, (i, j) in zip(rows, pairs, strict=True):
        ranks = [lists[a].index(b) + 1 if b in lists[a] else None for a, b in ((i, j), (j, i))]
        assert [row["rank_source"], row["rank_target"]] == ranks
        assert row["mutual"] == (None not in ranks)
        assert row["cosine"] == pytest.approx(cosine[i, j], abs=1e-12)
    assert {row["mutual"] for row in rows} == {True, False}
