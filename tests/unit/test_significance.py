"""The statistics against brute force, and against simulated truth."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from atlas.recipe import EdgesSection
from ingest.cooccurrence.counter import LocalCounter
from ingest.cooccurrence.engine import candidate_sums
from ingest.cooccurrence.index import rank_features
from ingest.cooccurrence.kinds import KINDS, NearPairs
from ingest.cooccurrence.screen import make_screen
from ingest.cooccurrence.search import Found, find_edges
from ingest.cooccurrence.sums import PairSums, merge
from ingest.significance import (
    activation_correlation,
    benjamini_hochberg,
    correlation_p,
    document_z,
    effects,
    exclusion_z,
    position_share,
    topic_correlation,
    upper_tail,
    within_document_z,
    within_phi,
)
from tests.unit.simulate import codes_from_dense, simulate

EVERYTHING = EdgesSection(min_expected=1e-9, min_npmi=-1.0, min_topic=1e-9)


def all_pairs(codes, d_sae, *, min_expected=1e-9):
    """Sums of all candidate pairs that fire together or whose topics do."""
    counter = LocalCounter(lambda: [codes], (d_sae,))
    m = counter.marginals()
    ranking = rank_features(m, groups=(d_sae,), min_expected=min_expected)
    screen = make_screen(m, ranking, options=EVERYTHING)
    return merge(list(candidate_sums(counter.parts(ranking), ranking, screen))), m, ranking.tested


def search(codes, d_sae, tmp_path, *, options=None, near=None) -> Found:
    counter = LocalCounter(lambda: [codes], (d_sae,))
    extra = {} if near is None else {"near": near}
    return find_edges(counter, tmp_path, options=options or EdgesSection(), **extra)


def pairs_of(found: Found, kind: str) -> set[tuple[int, int]]:
    mine = found.edges.kind == KINDS.index(kind)
    i, j = found.edges.sums.i[mine], found.edges.sums.j[mine]
    return set(zip(i.tolist(), j.tolist(), strict=True))


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_statistics_equal_brute_force(seed):
    rng = np.random.default_rng(seed)
    document = np.repeat(np.arange(8), rng.integers(1, 9, 8))
    dense = rng.random((len(document), 6)) * (rng.random((len(document), 6)) < 0.4)
    sums, m, _ = all_pairs(codes_from_dense(dense, document), 6)
    on = dense > 0
    rate = on.mean(axis=0)
    where = [document == d for d in np.unique(document)]
    t = np.array([r.sum() for r in where])
    count = np.array([on[r].sum(axis=0) for r in where])
    mean = (count / t[:, None])[document]
    e = (count - rate * t[:, None]) / np.sqrt(t)[:, None]
    got = {
        "z": document_z(sums, m),
        "within": within_document_z(sums),
        "topic": topic_correlation(sums, m),
        "phi": within_phi(sums, m),
    }
    for k, (i, j) in enumerate(zip(sums.i, sums.j, strict=True)):
        u = np.array([((on[r, i] - rate[i]) * (on[r, j] - rate[j])).sum() for r in where])
        v = np.array([((on - mean)[r, i] * (on - mean)[r, j]).sum() for r in where])
        for name, x in (("z", u), ("within", v)):
            if (x**2).sum() > 1e-9:
                slow = x.sum() / np.sqrt((x**2).sum())
                assert got[name][k] == pytest.approx(slow, rel=1e-6, abs=1e-6)
        for name, x in (("topic", e), ("phi", on - mean)):
            scale = np.sqrt((x[:, i] ** 2).sum() * (x[:, j] ** 2).sum())
            if scale > 1e-9:
                slow = (x[:, i] * x[:, j]).sum() / scale
                assert got[name][k] == pytest.approx(slow, rel=1e-6, abs=1e-6)


def test_the_association_splits_into_a_token_part_and_a_topic_part():
    truth = simulate(0, documents=60, independent=6, token_planted=2, topic_planted=2)
    sums, m, _ = all_pairs(truth.codes, truth.d_sae)
    own = m.n - m.bb_t
    within = within_phi(sums, m) * np.sqrt(own[sums.i] * own[sums.j])
    v = m.topic_variance
    between = topic_correlation(sums, m) * np.sqrt(v[sums.i] * v[sums.j])
    whole = sums.a - m.n[sums.i] * m.n[sums.j] / m.positions
    np.testing.assert_allclose(within + between, whole, rtol=1e-6, atol=1e-6)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_correlations_of_activations_equal_numpy(seed, tmp_path_factory):
    rng = np.random.default_rng(seed)
    shared = rng.random(300)
    dense = (shared[:, None] + rng.random((300, 4))) * (rng.random((300, 4)) < 0.6)
    codes = codes_from_dense(dense, np.repeat(np.arange(30), 10))
    sums, m, _ = all_pairs(codes, 4)
    values = LocalCounter(lambda: [codes], (4,)).values(sums.i, sums.j)
    r, given_both = activation_correlation(sums, values, m)
    v = dense.astype(np.float32).astype(float)
    for k, (i, j) in enumerate(zip(sums.i, sums.j, strict=True)):
        assert r[k] == pytest.approx(np.corrcoef(v[:, i], v[:, j])[0, 1], abs=1e-8)
        both = (v[:, i] > 0) & (v[:, j] > 0)
        if both.sum() >= 3:
            slow = np.corrcoef(v[both, i], v[both, j])[0, 1]
            assert given_both[k] == pytest.approx(slow, abs=1e-8)


def test_fisher_p_of_a_correlation():
    assert correlation_p(np.array([0.3]), 103)[0] == pytest.approx(
        stats.norm.sf(np.arctanh(0.3) * 10)
    )
    assert correlation_p(np.array([np.nan, -0.5]), 50).tolist() == pytest.approx(
        [1.0, 1.0], abs=1e-3
    )
    assert correlation_p(np.array([0.9]), 3).tolist() == [1.0]


def test_joint_firing_that_positions_explain_is_reported():
    rng = np.random.default_rng(0)
    documents, length = 400, 64
    early = (np.arange(length) < 2)[None, :].repeat(documents, axis=0)
    at_start = [(rng.random((documents, length)) < 0.6) & early for _ in range(2)]
    first = rng.random((documents, length)) < 0.05
    related = [first, first & (rng.random((documents, length)) < 0.7)]
    dense = np.stack([x.ravel() for x in at_start + related], axis=1).astype(float)
    sums, m, _ = all_pairs(codes_from_dense(dense, np.repeat(np.arange(documents), length)), 4)
    share = dict(
        zip(
            zip(sums.i.tolist(), sums.j.tolist(), strict=True), position_share(sums, m), strict=True
        )
    )
    assert share[0, 1] > 0.9
    assert abs(share[2, 3]) < 0.02


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
    sums, m, tested = all_pairs(truth.codes, truth.d_sae, min_expected=5.0)
    p = upper_tail(z_of(sums, m))
    found = benjamini_hochberg(p, tested) < 0.05
    return set(zip(sums.i[found].tolist(), sums.j[found].tolist(), strict=True))


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


def test_each_planted_pair_becomes_an_edge_of_its_own_kind(tmp_path):
    truth = simulate(1, token_planted=20, topic_planted=20, independent=50, always_on=4)
    found = search(truth.codes, truth.d_sae, tmp_path)
    token, topic = pairs_of(found, "token"), pairs_of(found, "topic")
    assert len(token & truth.token_pairs) >= 19
    assert not token & truth.topic_pairs
    assert len(token - truth.token_pairs) <= 1
    assert len(topic & truth.topic_pairs) >= 19
    assert len(topic - truth.topic_pairs) <= 1
    assert not token & topic
    assert not list(tmp_path.iterdir())


def exclusive_codes(*, shared_topic: bool):
    """Features 0 and 1 take turns on the tokens where a third would fire."""
    rng = np.random.default_rng(3)
    documents, length = 600, 60
    where = rng.random(documents) < 0.2
    other = where if shared_topic else rng.random(documents) < 0.2
    slot = rng.random((documents, length))
    one = (slot < 0.3) & where[:, None]
    two = (slot > 0.6) & other[:, None]
    rest = rng.random((documents, length)) < 0.3
    dense = np.stack([x.ravel() for x in (one, two, rest)], axis=1).astype(float)
    return codes_from_dense(dense, np.repeat(np.arange(documents), length))


def test_exclusion_needs_a_reason_to_look(tmp_path):
    with_topic = search(exclusive_codes(shared_topic=True), 3, tmp_path)
    assert pairs_of(with_topic, "exclusive") == {(0, 1)}
    assert (with_topic.edges.phi_within[with_topic.edges.kind == 2] < -0.2).all()
    codes = exclusive_codes(shared_topic=False)
    assert not pairs_of(search(codes, 3, tmp_path), "exclusive")
    near = NearPairs(np.array([0], np.int32), np.array([1], np.int32))
    by_decoder = search(codes, 3, tmp_path, near=near)
    assert pairs_of(by_decoder, "exclusive") == {(0, 1)}
    absorbed = by_decoder.implications
    assert absorbed.absorption.tolist() == [True]
    m = by_decoder.marginals
    assert m.n[absorbed.source[0]] <= m.n[absorbed.target[0]]


def test_an_empty_cell_is_as_surprising_as_its_expectation_and_no_more(tmp_path):
    """Expected 5 joint firings, one hundredth in each of 500 documents: none is p = e^-5."""
    sums, _, _ = all_pairs(exclusive_codes(shared_topic=True), 3)
    rare = PairSums(
        **{f.name: np.zeros(1, getattr(sums, f.name).dtype) for f in fields(PairSums)}
        | {"bc_t": np.array([5.0]), "bbcc_tt": np.array([500 * 0.01**2])}
    )
    assert within_document_z(rare)[0] < -20
    p = upper_tail(exclusion_z(rare))[0]
    assert 0.001 < p < 0.03


def test_exclusive_edges_are_not_found_where_firings_are_shuffled(tmp_path):
    rng = np.random.default_rng(8)
    documents, length, features = 400, 60, 60
    topic = rng.integers(0, 4, documents)
    rate = np.where(topic[:, None] == np.arange(features) % 4, 0.12, 0.01)
    dense = rng.random((documents, length, features)) < rate[:, None, :]
    codes = codes_from_dense(
        dense.reshape(-1, features).astype(float), np.repeat(np.arange(documents), length)
    )
    found = search(codes, features, tmp_path)
    assert len(pairs_of(found, "topic")) > 100
    assert len(pairs_of(found, "exclusive")) <= 1


def test_a_feature_that_brings_another_with_it_implies_it(tmp_path):
    rng = np.random.default_rng(4)
    parent = rng.random(20_000) < 0.1
    child = parent & (rng.random(20_000) < 0.2)
    other = rng.random(20_000) < 0.1
    dense = np.stack([parent, child, other], axis=1).astype(float)
    codes = codes_from_dense(dense, np.repeat(np.arange(200), 100))
    pairs = search(codes, 3, tmp_path).implications
    assert (pairs.source.tolist(), pairs.target.tolist()) == ([1], [0])
    assert pairs.n.tolist() == [int(child.sum())]
    assert pairs.absorption.tolist() == [False]


def test_strongest_k_of_each_feature_are_kept_with_their_ranks(tmp_path):
    rng = np.random.default_rng(2)
    group = rng.integers(0, 4, 6000)  # features of one group fire on the same tokens
    member = np.repeat(np.arange(4), 5)
    rate = np.linspace(0.2, 0.9, 20)
    dense = (group[:, None] == member) & (rng.random((6000, 20)) < rate)
    codes = codes_from_dense(dense, np.repeat(np.arange(100), 60))
    every = search(codes, 20, tmp_path, options=EdgesSection(top_k=10**6))
    few = search(codes, 20, tmp_path, options=EdgesSection(top_k=1))
    assert 0 < len(pairs_of(few, "token")) < len(pairs_of(every, "token"))
    best: dict[int, float] = {}
    for i, j, phi in token_phis(every):
        for f in (i, j):
            best[f] = max(best.get(f, -1), phi)
    mine = few.edges.kind == 0
    ranks = zip(few.edges.rank_i[mine], few.edges.rank_j[mine], strict=True)
    for (i, j, phi), (ri, rj) in zip(token_phis(few), ranks, strict=True):
        assert (ri == 1) == (phi == best[i])
        assert (rj == 1) == (phi == best[j])
        assert ri == 1 or rj == 1


def token_phis(found: Found):
    s, m = found.edges.sums.take(found.edges.kind == 0), found.marginals
    phi = effects(s.a, m.n[s.i], m.n[s.j], positions=m.positions).phi
    return list(zip(s.i.tolist(), s.j.tolist(), phi.tolist(), strict=True))


def test_folds_of_the_edges_are_kept_where_asked(tmp_path):
    truth = simulate(1, documents=300, token_planted=5, independent=5)
    found = search(truth.codes, truth.d_sae, tmp_path, options=EdgesSection(folds=8))
    assert found.folds is not None
    integers, _ = found.folds
    assert integers.shape[1:] == (8, len(found.edges.kind))
    assert integers[0].sum(axis=0).tolist() == found.edges.sums.a.tolist()


def test_documents_as_the_unit_give_topic_edges_alone(tmp_path):
    from ingest.cooccurrence.units import to_units

    truth = simulate(5, documents=1500, token_planted=5, topic_planted=5, independent=20)
    options = EdgesSection(min_expected=1.0)
    found = search(to_units(truth.codes, "document"), truth.d_sae, tmp_path, options=options)
    assert not pairs_of(found, "token")
    assert truth.token_pairs | truth.topic_pairs <= pairs_of(found, "topic")


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_features_that_never_or_always_fire_give_no_edges(rate, tmp_path):
    dense = np.full((60, 4), rate)
    found = search(codes_from_dense(dense, np.repeat(np.arange(6), 10)), 4, tmp_path)
    assert len(found.edges.kind) == 0
    assert found.tested == (0 if rate == 0 else 6)
    assert len(found.implications.source) == 0
