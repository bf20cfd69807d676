"""The statistics against brute force, and against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from atlas.recipe import EdgesSection
from ingest.cooccurrence.edges import token_edges
from ingest.cooccurrence.pairs import index_documents, join, marginals, pair_sums, select
from ingest.significance import (
    benjamini_hochberg,
    document_z,
    effects,
    upper_tail,
    within_document_z,
)
from tests.unit.simulate import codes_from_dense, simulate


def random_codes(seed: int, *, documents: int = 7, d_sae: int = 6):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, documents)
    document = np.repeat(np.arange(documents), lengths)
    dense = rng.random((len(document), d_sae)) * (rng.random((len(document), d_sae)) < 0.4)
    return dense, document, codes_from_dense(dense, document)


def all_pairs(codes, d_sae, *, block=64):
    docs = index_documents(codes, d_sae)
    parts = []
    for first, integers, floats in pair_sums(docs, d_sae, block=block):
        i = np.arange(first, first + len(integers))[:, None]
        parts.append(select(first, integers, floats, keep=np.arange(d_sae)[None, :] > i))
    return join(parts), marginals(docs, d_sae)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), block=st.sampled_from([1, 2, 5, 64]))
def test_sums_and_tests_equal_brute_force(seed, block):
    dense, document, codes = random_codes(seed)
    d_sae = dense.shape[1]
    sums, m = all_pairs(codes, d_sae, block=block)
    on = dense > 0
    rate = on.mean(axis=0)
    z, z_within = document_z(sums, m), within_document_z(sums)
    for k, (i, j) in enumerate(zip(sums.i, sums.j, strict=True)):
        rows = [document == d for d in np.unique(document)]
        a = np.array([(on[r, i] & on[r, j]).sum() for r in rows])
        b = np.array([on[r, i].sum() for r in rows])
        c = np.array([on[r, j].sum() for r in rows])
        t = np.array([r.sum() for r in rows])
        exact = [a, a > 0, a * a, a * b, a * c, a * t, b * c]
        names = ["a", "d", "aa", "ab", "ac", "at", "bc"]
        assert [int(getattr(sums, n)[k]) for n in names] == [int(x.sum()) for x in exact]
        assert sums.bc_t[k] == pytest.approx((b * c / t).sum(), rel=1e-12)
        u = np.array([((on[r, i] - rate[i]) * (on[r, j] - rate[j])).sum() for r in rows])
        v = a - b * c / t
        for got, x in ((z[k], u), (z_within[k], v)):
            square = (x**2).sum()
            if square > 1e-9:
                assert got == pytest.approx(x.sum() / np.sqrt(square), rel=1e-6, abs=1e-6)


def test_marginals_are_sums_over_documents():
    dense, document, codes = random_codes(3)
    _, m = all_pairs(codes, dense.shape[1])
    counts = np.array(
        [
            [(dense[document == d, i] > 0).sum() for d in np.unique(document)]
            for i in range(dense.shape[1])
        ]
    )
    t = np.bincount(document)
    assert m.n.tolist() == counts.sum(axis=1).tolist()
    assert m.d.tolist() == (counts > 0).sum(axis=1).tolist()
    assert m.bb.tolist() == (counts**2).sum(axis=1).tolist()
    assert m.bt.tolist() == (counts * t).sum(axis=1).tolist()
    assert (m.positions, m.documents, m.tt) == (len(document), len(t), (t**2).sum())


def test_effects_of_a_pair_computed_by_hand():
    # N = 100, n_i = 20, n_j = 10, n_ij = 8: E = 2, lift = 4.
    size = effects(np.array([8]), np.array([20]), np.array([10]), positions=100)
    assert size.expected[0] == pytest.approx(2.0)
    assert size.lift[0] == pytest.approx(4.0)
    assert size.pmi[0] == pytest.approx(2.0)
    assert size.npmi[0] == pytest.approx(2 / -np.log2(0.08))
    x = np.repeat([1, 1, 0, 0], [8, 12, 2, 78])
    y = np.repeat([1, 0, 1, 0], [8, 12, 2, 78])
    assert size.phi[0] == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert size.phi_max[0] == pytest.approx(np.corrcoef(x, np.r_[np.ones(10), np.zeros(90)])[0, 1])
    assert size.jaccard[0] == pytest.approx(8 / 22)
    assert size.j_given_i[0] == pytest.approx(0.4)
    assert size.i_given_j[0] == pytest.approx(0.8)


def test_effects_do_not_overflow_at_large_counts():
    n = np.array([2**40])
    size = effects(n, n * 2, n * 2, positions=2**44)
    assert size.lift[0] == pytest.approx(2**44 / 2**42)


@given(st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=40), st.integers(0, 60))
def test_bh_equals_scipy_on_the_padded_list(values, more):
    p = np.array(values)
    padded = np.concatenate([p, np.ones(more)])
    expected = stats.false_discovery_control(padded)[: len(p)]
    np.testing.assert_allclose(benjamini_hochberg(p, len(padded)), expected, rtol=1e-9)


def test_bh_refuses_more_p_values_than_tests():
    with pytest.raises(ValueError, match="3 p-values"):
        benjamini_hochberg(np.ones(3), 2)


def single_test_edges(truth, z_of):
    """BH at 5 % over all pairs with E >= 5, by one of the two tests."""
    sums, m = all_pairs(truth.codes, truth.d_sae)
    expected = m.n[sums.i] * m.n[sums.j] / m.positions
    tested = expected >= 5
    p = upper_tail(z_of(sums, m))[tested]
    found = benjamini_hochberg(p, int(tested.sum())) < 0.05
    return set(zip(sums.i[tested][found].tolist(), sums.j[tested][found].tolist(), strict=True))


def test_no_false_edges_among_independent_features_confined_to_documents():
    found = [single_test_edges(simulate(seed, documents=1000), document_z) for seed in range(2)]
    assert sum(map(len, found)) / len(found) <= 1


def test_power_and_kind_of_planted_pairs():
    truth = simulate(0, token_planted=30, topic_planted=30, independent=100, always_on=8)
    planted = truth.token_pairs | truth.topic_pairs
    robust = single_test_edges(truth, document_z)
    assert len(robust & planted) >= 50
    assert len(robust - planted) <= 0.05 * len(robust)
    within = single_test_edges(truth, lambda sums, m: within_document_z(sums))
    assert len(within & truth.token_pairs) >= 28
    assert not within & truth.topic_pairs


def test_token_edges_are_the_token_planted_pairs():
    truth = simulate(1, token_planted=20, topic_planted=20, independent=50, always_on=4)
    edges = token_edges(
        index_documents(truth.codes, truth.d_sae), truth.d_sae, options=EdgesSection()
    )
    found = set(zip(edges.sums.i.tolist(), edges.sums.j.tolist(), strict=True))
    assert len(found & truth.token_pairs) >= 19
    assert not found & truth.topic_pairs
    assert len(found - truth.token_pairs) <= 1


def test_strongest_k_of_each_feature_are_kept_with_their_ranks():
    rng = np.random.default_rng(2)
    group = rng.integers(0, 4, 6000)  # features of one group fire on the same tokens
    member = np.repeat(np.arange(4), 5)
    rate = np.linspace(0.2, 0.9, 20)
    dense = (group[:, None] == member) & (rng.random((6000, 20)) < rate)
    docs = index_documents(codes_from_dense(dense, np.repeat(np.arange(100), 60)), 20)
    every = token_edges(docs, 20, options=EdgesSection(top_k=10**6))
    few = token_edges(docs, 20, options=EdgesSection(top_k=1))
    assert 0 < len(few.sums.i) < len(every.sums.i)
    best: dict[int, float] = {}
    for i, j, phi in zip(every.sums.i, every.sums.j, every.effects.phi, strict=True):
        for f in (int(i), int(j)):
            best[f] = max(best.get(f, -1), phi)
    for i, j, phi, ri, rj in zip(
        few.sums.i, few.sums.j, few.effects.phi, few.rank_i, few.rank_j, strict=True
    ):
        assert (ri == 1) == (phi == best[int(i)])
        assert (rj == 1) == (phi == best[int(j)])
        assert ri == 1 or rj == 1


def test_nothing_fires_gives_no_edges():
    codes = codes_from_dense(np.zeros((6, 4)), np.array([0, 0, 0, 1, 1, 1]))
    edges = token_edges(index_documents(codes, 4), 4, options=EdgesSection())
    assert len(edges.sums.i) == 0
    assert edges.tested == 0
