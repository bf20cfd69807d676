"""Rank tests within strata against scipy, against permutations, and on what must not be found."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from ingest.rank_test import length_strata, rank_tests, upper_p

small = st.integers(0, 4)


def one_group(scores: np.ndarray, inside: np.ndarray, stratum: np.ndarray | None = None):
    strata = np.zeros(len(scores), np.int64) if stratum is None else stratum
    member = sparse.csr_matrix(inside.astype(float)[:, None])
    return rank_tests(sparse.csr_matrix(scores.astype(float)[None]), member, stratum=strata)


@settings(max_examples=150, deadline=None)
@given(st.lists(small, min_size=1, max_size=25), st.lists(small, min_size=1, max_size=25))
def test_one_stratum_is_mann_whitney(a, b):
    scores = np.array(a + b)
    inside = np.arange(len(scores)) < len(a)
    found = one_group(scores, inside)
    wanted = stats.mannwhitneyu(
        a, b, alternative="greater", method="asymptotic", use_continuity=False
    )
    assert found.auc[0, 0] == pytest.approx(wanted.statistic / (len(a) * len(b)))
    if len(set(scores)) == 1:
        assert np.isnan(found.z[0, 0])
        assert found.p[0, 0] == 1
    else:
        assert stats.norm.sf(found.z[0, 0]) == pytest.approx(wanted.pvalue, rel=1e-9, abs=1e-300)


def brute(scores, inside, stratum):
    """Van Elteren's statistic by pairs, and its moments over all relabellings of the strata."""
    strata = [np.flatnonzero(stratum == s) for s in np.unique(stratum)]

    def statistic(chosen):
        total = 0.0
        for s in strata:
            mine = [d for d in s if d in chosen]
            rest = [d for d in s if d not in chosen]
            wins = sum(
                1.0 if scores[a] > scores[b] else 0.5 if scores[a] == scores[b] else 0.0
                for a in mine
                for b in rest
            )
            total += wins / (len(s) + 1)
        return total

    sets = [set()]
    for s in strata:
        take = int(inside[s].sum())
        sets = [old | set(new) for old in sets for new in combinations(s.tolist(), take)]
    values = np.array([statistic(chosen) for chosen in sets])
    return statistic(set(np.flatnonzero(inside).tolist())), values


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(small, st.booleans(), st.integers(0, 1)), min_size=3, max_size=9),
)
def test_strata_and_three_moments_against_all_relabellings(rows):
    scores, inside, stratum = (np.array(column) for column in zip(*rows, strict=True))
    stratum = np.unique(stratum, return_inverse=True)[1].astype(np.int64)
    found = one_group(scores, inside, stratum)
    observed, values = brute(scores, inside, stratum)
    sizes = np.bincount(stratum)
    n = np.bincount(stratum, inside)
    pairs = (n * (sizes - n) / (sizes + 1)).sum()
    if pairs == 0:
        assert np.isnan(found.auc[0, 0])
        return
    assert found.auc[0, 0] == pytest.approx(observed / pairs)
    if values.std() < 1e-9:
        assert np.isnan(found.z[0, 0])
        return
    assert found.z[0, 0] == pytest.approx((observed - values.mean()) / values.std())
    assert found.skewness[0, 0] == pytest.approx(stats.skew(values), abs=1e-6)


def test_many_at_once_are_each_alone():
    rng = np.random.default_rng(1)
    scores = sparse.random(30, 200, 0.1, random_state=2, format="csr")
    member = sparse.random(200, 5, 0.2, random_state=3, format="csr")
    member.data[:] = 1.0
    stratum = rng.integers(0, 4, 200)
    together = rank_tests(scores, member, stratum=stratum)
    for f in (0, 7, 29):
        for c in range(5):
            alone = one_group(scores[f].toarray()[0], member[:, [c]].toarray()[:, 0] > 0, stratum)
            for name in ("auc", "z", "skewness", "p"):
                assert getattr(alone, name)[0, 0] == pytest.approx(getattr(together, name)[f, c])


def test_pearson_three_is_that_of_scipy():
    z = np.linspace(-3, 12, 40)
    for skew in (-2.0, -0.3, 0.3, 2.0):
        wanted = stats.pearson3.sf(z, skew)
        assert upper_p(z, np.full(len(z), skew)) == pytest.approx(wanted, rel=1e-6, abs=1e-14)
    assert upper_p(z, np.zeros(len(z))) == pytest.approx(stats.norm.sf(z))
    assert upper_p(np.array([np.nan]), np.array([0.0])) == [1.0]


@pytest.mark.parametrize(("fires", "size"), [(20, 10), (100, 10), (20, 46), (200, 46)])
def test_tails_of_rare_features_and_small_groups_hold(fires, size):
    # A normal p of 1e-7 is no rarity here; that of the skewed distribution may be off by little.
    rng = np.random.default_rng(fires + size)
    documents, draws = 2000, 20_000
    scores = np.zeros(documents)
    scores[:fires] = rng.permutation(fires) + 1.0
    columns = np.concatenate([rng.choice(documents, size, replace=False) for _ in range(draws)])
    member = sparse.csc_matrix(
        (np.ones(len(columns)), columns, np.arange(draws + 1) * size), shape=(documents, draws)
    ).tocsr()
    row = sparse.csr_matrix(scores[None])
    found = rank_tests(row, member, stratum=np.zeros(documents, np.int64))
    for level in (1e-2, 1e-3):
        assert (found.p <= level).mean() <= 2.5 * level
    assert (found.p <= 1e-5).sum() <= 4
    if fires * size < documents:
        assert (stats.norm.sf(found.z) <= 1e-5).sum() > 8


def test_length_alone_is_nothing_among_documents_of_like_length():
    rng = np.random.default_rng(5)
    length = np.concatenate([rng.integers(9, 25, 1000), rng.integers(70, 110, 1000)])
    inside = (length > 60) & (rng.random(2000) < 0.1)
    counts = rng.binomial(length, 0.01, (300, 2000))
    scores, member = sparse.csr_matrix(counts / length), sparse.csr_matrix(inside[:, None] * 1.0)
    plain = rank_tests(scores, member, stratum=np.zeros(2000, np.int64))
    like = rank_tests(scores, member, stratum=length_strata(length))
    assert plain.auc.mean() > 0.57
    assert (plain.p < 1e-3).mean() > 0.5
    assert like.auc.mean() == pytest.approx(0.5, abs=0.01)
    assert (like.p < 0.01).mean() < 0.03


def test_strata_hold_equal_lengths_together():
    length = np.repeat([5, 9, 9, 30], 100)
    strata = length_strata(length)
    assert sorted(set(strata)) == list(range(strata.max() + 1))
    assert len({*zip(length.tolist(), strata.tolist(), strict=True)}) == 3
    assert length_strata(np.full(500, 7)).max() == 0
    assert length_strata(np.arange(30)).max() == 0
    assert length_strata(np.arange(5000)).max() == 19
    assert len(length_strata(np.zeros(0, np.int64))) == 0
