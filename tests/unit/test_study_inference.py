"""Statistics of studies: agreement with libraries and brute force, null rates, planted effects."""

from __future__ import annotations

import time
from itertools import combinations, permutations, product

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import FTestAnovaPower, TTestIndPower, TTestPower

from atlas.errors import UsageError
from queries.studies.inference import (
    bonferroni,
    compare_groups,
    confirm,
    contrast,
    crossed,
    crossed_table,
    detectable_correlation,
    detectable_groups,
    detectable_mean,
    detectable_two,
    false_discovery,
    halves,
    logit_weight_moments,
    metric_table,
    paired,
    paired_table,
    two_sets,
)
from queries.studies.inference.draws import ENOUGH, staged
from queries.studies.inference.intervals import (
    bca,
    correlation_interval,
    dz_interval,
    eta_interval,
    wilson,
)

SEEDS = 20


def test_corrections_are_those_of_statsmodels_without_the_tests_not_made() -> None:
    p = np.array([0.001, 0.04, np.nan, 0.03, 0.5, 0.03])
    made = ~np.isnan(p)
    for ours, method in ((bonferroni, "bonferroni"), (false_discovery, "fdr_bh")):
        found = ours(p)
        np.testing.assert_allclose(found[made], multipletests(p[made], method=method)[1])
        assert np.isnan(found[2])


# Groups


def grouped(seed: int, *, effect: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 4, 80)
    return rng.exponential(size=80) + effect * (groups == 2), groups


def test_group_tests_are_scipys_and_eta_is_the_share_between() -> None:
    values, groups = grouped(1, effect=1.2)
    found = compare_groups(values, groups)
    parts = [values[groups == number] for number in range(4)]
    f, h = stats.f_oneway(*parts), stats.kruskal(*parts)
    assert (found.f, found.p_anova) == pytest.approx((f.statistic, f.pvalue))
    assert (found.h, found.p_kruskal) == pytest.approx((h.statistic, h.pvalue))
    between = sum(len(part) * (part.mean() - values.mean()) ** 2 for part in parts)
    assert found.eta_squared == pytest.approx(between / ((values - values.mean()) ** 2).sum())
    assert found.eta_low < found.omega_squared < found.eta_squared < found.eta_high
    library = stats.permutation_test(
        parts,
        lambda *x: stats.f_oneway(*x).statistic,
        n_resamples=1999,
        alternative="greater",
        rng=0,
    )
    assert found.p_permutation == pytest.approx(library.pvalue, abs=0.02)


def test_permutation_p_of_groups_is_that_of_all_orders() -> None:
    values, groups = np.array([1.0, 2.5, 2.0, 6.0, 5.0, 5.5]), np.array([0, 0, 1, 1, 2, 2])
    observed = compare_groups(values, groups, permutations=20_000)
    share = np.mean(
        [
            stats.f_oneway(x[:2], x[2:4], x[4:]).statistic >= observed.f - 1e-9
            for x in map(np.array, permutations(values))
        ]
    )
    assert observed.p_permutation == pytest.approx(share, abs=0.01)


def test_groups_of_nothing_and_too_small_ones_are_left_out() -> None:
    values, groups = grouped(2)
    more = np.append(values, [50.0, 60.0, -50.0])
    found = compare_groups(more, np.append(groups, [-1, -1, 9]))
    assert (found.n, found.k, found.left_out) == (80, 4, 3)
    assert found.f == pytest.approx(compare_groups(values, groups).f)
    with pytest.raises(UsageError, match="two are needed"):
        compare_groups(values, np.zeros(80, int))
    with pytest.raises(UsageError, match="not finite"):
        compare_groups(np.append(values[1:], np.nan), groups)


def test_a_constant_metric_differs_between_no_groups() -> None:
    found = compare_groups(np.full(80, 0.1), grouped(0)[1])
    assert (found.p_permutation, found.p_anova, found.eta_squared) == (1, 1, 0)


def test_groups_hold_their_level_and_find_what_is_planted() -> None:
    null = [compare_groups(*grouped(seed), permutations=199) for seed in range(200)]
    for name in ("p_permutation", "p_kruskal", "p_anova"):
        assert within_level([getattr(one, name) for one in null]), name
    strong = [compare_groups(*grouped(s, effect=1.5), permutations=199) for s in range(SEEDS)]
    assert np.mean([one.p_permutation <= 0.05 for one in strong]) >= 0.9


def test_eta_interval_covers_the_true_share() -> None:
    rng, covered = np.random.default_rng(3), 0
    truth = 0.25 * 2 / 9 / (1 + 0.25 * 2 / 9)  # one of three means is half a deviation higher
    for _ in range(400):
        values = rng.normal(size=90) + 0.5 * (np.arange(90) % 3 == 0)
        f = stats.f_oneway(*(values[k::3] for k in range(3))).statistic
        low, high = eta_interval(f, 2, 87, level=0.95)
        covered += low <= truth <= high
    assert stats.binomtest(covered, 400, 0.95).pvalue > 0.01


def test_metric_table_corrects_over_metrics() -> None:
    values, groups = grouped(4, effect=2.0)
    noise = np.random.default_rng(4).normal(size=(3, 80))
    metrics = {"degree": values, **{f"noise{k}": noise[k] for k in range(3)}}
    table = metric_table(metrics, groups, permutations=999).to_pandas()
    assert list(table["metric"]) == list(metrics)
    p = table["p_permutation"]
    np.testing.assert_allclose(table["q"], multipletests(p, method="fdr_bh")[1])
    np.testing.assert_allclose(table["p_anova_bonferroni"], np.minimum(4 * table["p_anova"], 1))
    assert table["q"][0] < 0.05 < table["q"][1:].min()


# Contrast of two sets of prompts


def sets_of_prompts(
    seed: int, *, planted: int = 0, n: tuple[int, int] = (30, 40), features: int = 300
) -> tuple[np.ndarray, np.ndarray]:
    """Sparse, skewed activations; the first `planted` features fire more on the concept."""
    rng = np.random.default_rng(seed)
    a, b = (rng.exponential(size=(k, features)) * (rng.random((k, features)) < 0.5) for k in n)
    a[:, :planted] += rng.exponential(1.5, size=(n[0], planted))
    return a, b


def welch(x: np.ndarray, y: np.ndarray, axis: int = 0) -> np.ndarray:
    error = x.var(axis=axis, ddof=1) / x.shape[axis] + y.var(axis=axis, ddof=1) / y.shape[axis]
    return np.abs(x.mean(axis=axis) - y.mean(axis=axis)) / np.sqrt(np.maximum(error, 1e-12))


def test_contrast_agrees_with_libraries_feature_by_feature() -> None:
    a, b = sets_of_prompts(0, planted=3, features=6)
    found = contrast(a, b, permutations=4000, limit=4000)
    for k in range(6):
        x, y = a[:, k], b[:, k]
        assert found.auc[k] == pytest.approx(stats.mannwhitneyu(x, y).statistic / (30 * 40))
        pooled = np.sqrt((29 * x.var(ddof=1) + 39 * y.var(ddof=1)) / 68)
        assert found.g[k] == pytest.approx((1 - 3 / 271) * (x.mean() - y.mean()) / pooled)
        shuffled = stats.permutation_test(
            (x, y), welch, n_resamples=4000, alternative="greater", rng=k
        )
        assert found.p[k] == pytest.approx(shuffled.pvalue, abs=0.03)
    assert found.difference == pytest.approx(a.mean(axis=0) - b.mean(axis=0))
    assert found.fires_control == pytest.approx((b > 0).mean(axis=0))
    np.testing.assert_allclose(found.q, multipletests(found.p, method="fdr_bh")[1])


@pytest.mark.parametrize("sizes", [(3, 4), (4, 4)])
def test_contrast_p_is_that_of_all_labels(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    both = rng.normal(size=(sum(sizes), 4)).round(1)
    both[: sizes[0], 0] += 2
    both[:, 3] = 0
    found = contrast(both[: sizes[0]], both[sizes[0] :], permutations=20_000, limit=20_000)
    choices = combinations(range(sum(sizes)), sizes[0])
    every = np.array([welch(both[list(rows)], np.delete(both, rows, axis=0)) for rows in choices])
    exact = (every >= every[0] - 1e-9).mean(axis=0)  # the first choice is the observed one
    assert found.p == pytest.approx(exact, abs=0.012)
    assert found.p[3] == 1


def test_paired_contrast_p_is_that_of_all_signs() -> None:
    rng = np.random.default_rng(6)
    changes = rng.normal(0.4, 1, size=(8, 5)).round(1)
    base = rng.normal(size=(8, 5)) * 10  # pairs differ much from one another
    found = contrast(base + changes, base, pairs=True, permutations=20_000, limit=20_000)
    flips = np.array(list(product((-1, 1), repeat=8)))
    exact = (np.abs(flips @ changes) >= np.abs(changes.sum(axis=0)) - 1e-9).mean(axis=0)
    assert found.p == pytest.approx(exact, abs=0.012)
    assert found.p != pytest.approx(contrast(base + changes, base).p, abs=0.012)


def test_more_permutations_let_a_lone_feature_pass() -> None:
    a, b = sets_of_prompts(7, n=(25, 25), features=2000)
    a[:, 0] += 3
    short = contrast(a, b, permutations=500, limit=500, resamples=50)
    long = contrast(a, b, permutations=500, resamples=50)
    assert short.p[0] == 1 / 501
    assert short.q[0] > 0.05 >= long.q[0]
    assert long.permutations[0] == 40_000
    assert set(long.permutations) <= {500, 2000, 8000, 32_000, 40_000}
    again = long.permutations == 500
    np.testing.assert_array_equal(short.p[again], long.p[again])
    assert (short.p[again] >= (1 + ENOUGH) / 501).all()


def test_staged_p_is_valid_where_statistics_are_exchangeable() -> None:
    # Each column's observed statistic is a draw like any other, so P(p <= a) is at most a.
    rng = np.random.default_rng(8)
    columns = 40_000
    observed = rng.random(columns)

    def statistics(active: np.ndarray, count: int):
        for _ in range(count):
            yield rng.random((1, len(active)))

    p, made, _ = staged(statistics, observed, permutations=40, limit=640)
    assert set(made) == {40, 160, 640}
    for level in (0.002, 0.01, 0.05, 0.2, 0.5, 0.513):
        hits = int((p <= level).sum())
        assert stats.binomtest(hits, columns, level, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize("pairs", [False, True])
def test_contrast_holds_its_level(pairs: bool) -> None:
    small, family, found = [], [], 0
    sizes = (20, 20) if pairs else (15, 30)
    for seed in range(SEEDS):
        a, b = sets_of_prompts(seed, n=sizes)
        null = contrast(a, b, pairs=pairs, permutations=400, resamples=20, seed=seed)
        small += list(null.p)
        family.append(float(null.p_family.min()))
        found += int((null.q <= 0.05).any())
    assert within_level(small)
    assert within_level(family)
    assert stats.binomtest(found, SEEDS, 0.05, alternative="greater").pvalue > 0.01


@pytest.mark.parametrize("pairs", [False, True])
def test_contrast_finds_what_is_planted_and_little_else(pairs: bool) -> None:
    hits, false = 0, 0
    for seed in range(SEEDS):
        a, b = sets_of_prompts(seed, planted=10, n=(40, 40))
        if pairs:
            a, b = (x + 5 * np.random.default_rng(seed).random((40, 1)) for x in (a, b))
        found = np.flatnonzero(
            contrast(a, b, pairs=pairs, permutations=400, resamples=20).q <= 0.05
        )
        hits, false = hits + int((found < 10).sum()), false + int((found >= 10).sum())
    assert hits >= 0.95 * 10 * SEEDS
    assert false / (hits + false) <= 0.08


def test_unequal_spread_alone_is_not_found() -> None:
    p = []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        a, b = rng.normal(0, 4, size=(15, 100)), rng.normal(0, 1, size=(45, 100))
        p += list(contrast(a, b, permutations=300, resamples=20).p)
    # The plain difference of means would reject some 20 % here.
    assert np.mean(np.array(p) <= 0.05) < 0.075


def test_intervals_of_g_and_auc_cover_the_truth() -> None:
    rng = np.random.default_rng(9)
    a, b = rng.normal(0.8, 1, size=(40, 1500)), rng.normal(size=(50, 1500))
    found = contrast(a, b, permutations=20, limit=20, resamples=800)
    for low, high, truth in (
        (found.g_low, found.g_high, 0.8),
        (found.auc_low, found.auc_high, stats.norm.cdf(0.8 / np.sqrt(2))),
    ):
        share = np.mean((low <= truth) & (truth <= high))
        assert 0.925 <= share <= 0.97


def test_bca_is_scipys() -> None:
    x = np.random.default_rng(10).exponential(size=40)
    rng = np.random.default_rng(0)
    drawn = x[rng.integers(0, 40, (20_000, 40))].mean(axis=1)
    without = (x.sum() - x) / 39
    low, high = bca(drawn[:, None], x.mean(keepdims=True), jackknife=[without[:, None]], level=0.95)
    library = stats.bootstrap((x,), np.mean, n_resamples=20_000, method="BCa", rng=1)
    wanted = library.confidence_interval
    assert (low[0], high[0]) == pytest.approx((wanted.low, wanted.high), abs=0.012)


def test_a_separating_feature_has_an_auc_interval_with_width() -> None:
    a, b = np.arange(10.0)[:, None] + 100, np.arange(12.0)[:, None]
    up, down = contrast(a, b, resamples=50), contrast(b, a, resamples=50)
    assert (up.auc[0], up.auc_high[0], down.auc[0], down.auc_low[0]) == (1, 1, 0, 0)
    assert 0.6 < up.auc_low[0] < 0.95
    assert down.auc_high[0] == pytest.approx(1 - up.auc_low[0])


def test_silent_and_constant_features_have_numbers_or_nan_not_errors() -> None:
    a, b = np.zeros((6, 3)), np.zeros((6, 3))
    a[:, 1], b[:, 1] = 2.0, 1.0
    a[0, 2] = 0.1
    with np.errstate(all="raise"):
        found = contrast(a, b, resamples=50)
    assert (found.p[0], found.g[0], found.auc[0], found.p[2]) == (1, 0, 0.5, 1)
    assert np.isnan(found.g[1])
    assert found.p[1] < 0.01
    assert found.auc[1] == 1


def test_outliers_are_reported_and_nothing_is_dropped() -> None:
    a, b = sets_of_prompts(11, planted=2, features=200)
    b[0, 50] = 500.0  # one prompt makes the least difference of all
    found = contrast(a, b, permutations=50, limit=50, resamples=20)
    difference = a.mean(axis=0) - b.mean(axis=0)
    far = np.abs(difference - difference.mean()) > 2 * difference.std(ddof=1)
    np.testing.assert_array_equal(found.beyond_2sd, far)
    assert far[50]
    assert found.beyond_robust[:2].all()
    assert found.rank[50] == 200
    assert found.rank[0] in (1, 2)
    assert found.rank_dropped[50] == 0
    assert found.prompts_beyond[50] >= 1
    kept = np.abs(b[:, 50] - b[:, 50].mean()) <= 2 * b[:, 50].std(ddof=1)
    own = np.abs(a[:, 50] - a[:, 50].mean()) <= 2 * a[:, 50].std(ddof=1)
    assert found.difference_without[50] == pytest.approx(a[own, 50].mean() - b[kept, 50].mean())
    strong = contrast(*sets_of_prompts(12, planted=5, n=(60, 60)), resamples=20)
    assert "thrown away 5 of the 5 largest differences" in strong.outlier_notes(top=5)[0]
    assert strong.q[:5].max() < 0.05  # and still they are tested


def test_silent_features_do_not_make_all_others_outliers() -> None:
    a, b = sets_of_prompts(20, features=400)
    a[:, 40:], b[:, 40:] = 0, 0
    a[:, 7] += 4
    found = contrast(a, b, permutations=50, limit=50, resamples=20)
    far = np.flatnonzero(found.beyond_robust)
    assert 7 in far
    assert len(far) <= 3


def test_contrast_table_has_the_rows_that_are_asked_for() -> None:
    found = contrast(*sets_of_prompts(13, features=20), permutations=50, limit=50, resamples=20)
    rows = found.table(np.array([7, 3])).to_pylist()
    assert [row["feature"] for row in rows] == [7, 3]
    assert rows[0]["difference"] == found.difference[7]
    assert found.table().num_rows == 20


def test_same_seed_same_numbers() -> None:
    a, b = sets_of_prompts(14, planted=4)
    first, second = (contrast(a, b, permutations=100, resamples=30, seed=3) for _ in range(2))
    assert first.table().equals(second.table())
    assert not first.table().equals(contrast(a, b, permutations=100, resamples=30, seed=4).table())


def test_contrast_tells_what_is_wrong() -> None:
    a, b = sets_of_prompts(15)
    with pytest.raises(UsageError, match="no pairs"):
        contrast(a, b, pairs=True)
    with pytest.raises(UsageError, match="same SAE"):
        contrast(a, b[:, :7])
    with pytest.raises(UsageError, match="at least 2"):
        contrast(a[:1], b)
    with pytest.raises(UsageError, match="level"):
        contrast(a, b, level=95)


def test_contrast_of_8192_features_is_fast() -> None:
    a, b = sets_of_prompts(16, planted=50, n=(100, 100), features=8192)
    start = time.process_time()
    found = contrast(a, b)
    assert time.process_time() - start < 60
    assert (found.q[:50] <= 0.05).all()


# Halves


def test_halves_are_balanced_and_keep_units_whole() -> None:
    strata = np.repeat(["a", "b", "c"], [10, 7, 5])
    first = halves(strata, seed=1)
    assert [int(first[strata == name].sum()) for name in "abc"] in ([5, 4, 2], [5, 3, 3])
    kinds = np.tile(["concept", "control"], 11)
    pairs = np.repeat(np.arange(11), 2)
    both = halves(kinds, seed=2, units=pairs)
    np.testing.assert_array_equal(both[::2], both[1::2])
    assert both[::2].sum() in (5, 6)
    np.testing.assert_array_equal(first, halves(strata, seed=1))
    assert any((first != halves(strata, seed=seed)).any() for seed in range(2, 5))


def test_what_is_planted_comes_again_and_what_was_luck_does_not() -> None:
    a, b = sets_of_prompts(17, planted=15, n=(60, 60))
    luck, _ = sets_of_prompts(18, planted=30, n=(60, 60))
    a[:30, 100:110] = luck[:30, :10]  # ten features differ in the first half only
    train = contrast(a[:30], b[:30], permutations=400, resamples=100)
    held = contrast(a[30:], b[30:], permutations=400, resamples=100, seed=1)
    found = confirm(train, held)
    again = found.table.to_pandas().query("replicated")["feature"]
    assert set(range(15)) <= set(again)
    assert not set(range(100, 110)) & set(again)
    assert found.replicated == len(again)
    assert found.rate_low < found.rate == len(again) / found.selected < found.rate_high
    assert found.shrinkage < 1
    p = found.table["p_held"].to_numpy()
    np.testing.assert_allclose(found.table["q_held"], multipletests(p, method="fdr_bh")[1])


def test_nothing_found_is_nothing_to_confirm() -> None:
    a, b = sets_of_prompts(19, features=5)
    one = contrast(a, b, permutations=50, limit=50, resamples=20)
    found = confirm(one, one, level=1e-9)
    assert (found.selected, found.replicated, found.table.num_rows) == (0, 0, 0)
    assert np.isnan(found.rate)


# Pairs of conditions


def test_paired_is_scipys() -> None:
    rng = np.random.default_rng(20)
    b = rng.normal(size=25)
    a = b + rng.exponential(0.5, size=25) - 0.2
    found, d = paired(a, b), a - b
    t = stats.ttest_rel(a, b)
    assert (found.t, found.p_t) == pytest.approx((t.statistic, t.pvalue))
    assert (found.low, found.high) == pytest.approx(tuple(t.confidence_interval()))
    assert found.p_wilcoxon == pytest.approx(stats.wilcoxon(a, b).pvalue)
    assert found.dz == pytest.approx(d.mean() / d.std(ddof=1))
    library = stats.bootstrap((d,), np.mean, n_resamples=9999, method="BCa", rng=1)
    wanted = library.confidence_interval
    assert (found.boot_low, found.boot_high) == pytest.approx((wanted.low, wanted.high), abs=0.03)
    flips = stats.permutation_test(
        (d,), np.mean, permutation_type="samples", n_resamples=9999, rng=2
    )
    assert found.p_permutation == pytest.approx(flips.pvalue, abs=0.01)


def test_few_pairs_are_tested_by_all_patterns() -> None:
    d = np.array([0.3, 0.1, -0.2, 0.5, 0.4, 0.25])
    found = paired(d, np.zeros(6))
    flips = np.abs(np.array(list(product((-1, 1), repeat=6))) @ d)
    assert found.p_permutation == (flips >= abs(d.sum()) - 1e-9).mean()
    assert found.permutations == 64


def test_noncentral_interval_of_dz_is_where_its_tails_are() -> None:
    low, high = dz_interval(np.array([3.0, -60.0, np.nan]), 20, level=0.95)
    assert stats.nct.sf(3, 19, low[0] * np.sqrt(20)) == pytest.approx(0.025)
    assert stats.nct.cdf(3, 19, high[0] * np.sqrt(20)) == pytest.approx(0.025)
    assert low[1] < -60 / np.sqrt(20) < high[1] < 0
    assert np.isnan(low[2])


def test_blocks_of_prompts_count_once() -> None:
    rng = np.random.default_rng(21)
    p = []
    for _ in range(100):
        shared = np.repeat(rng.normal(size=6), 10)  # prompts of a template change alike
        d = shared + 0.1 * rng.normal(size=60)
        templates = np.repeat(list("abcdef"), 10)
        p.append(
            [
                paired(d, np.zeros(60), blocks=blocks, permutations=199, resamples=10).p_permutation
                for blocks in (templates, None)
            ]
        )
    blocked, pooled = np.array(p).T
    assert within_level(blocked)
    assert np.mean(pooled <= 0.05) > 0.3
    one = paired(d, np.zeros(60), blocks=templates)
    assert (one.n, one.difference) == (6, pytest.approx(d.mean()))


def test_paired_holds_its_level_and_has_the_power_it_says() -> None:
    rng = np.random.default_rng(22)
    null = paired_table(rng.laplace(size=(20, 400)), np.zeros(20), names=list(map(str, range(400))))
    for name in ("p_permutation", "p_t", "p_wilcoxon"):
        assert within_level(null[name].to_numpy()), name
    a = rng.normal(detectable_mean(20), 1, size=(20, 400))
    p = paired_table(a, np.zeros(20), names=list(map(str, range(400))))["p_t"].to_numpy()
    assert stats.binomtest(int((p <= 0.05).sum()), 400, 0.8).pvalue > 0.01


def test_paired_table_is_paired_column_by_column() -> None:
    rng = np.random.default_rng(23)
    a, b = rng.normal(0.5, 1, size=(18, 3)), rng.normal(size=18)
    rows = paired_table(a, b, names=["x", "y", "z"], permutations=500).to_pylist()
    one = vars(paired(a[:, 1], b, permutations=500))
    assert {key: rows[1][key] for key in one} == pytest.approx(one)
    p = [row["p_permutation"] for row in rows]
    assert [row["q"] for row in rows] == pytest.approx(multipletests(p, method="fdr_bh")[1])


def test_conditions_that_are_one_number_apart() -> None:
    same = paired(np.ones(5), np.ones(5))
    assert (same.p_t, same.p_permutation, same.p_wilcoxon, same.dz) == (1, 1, 1, 0)
    shifted = paired(np.full(20, 0.3), np.full(20, 0.1))
    assert np.isnan(shifted.dz)
    assert (shifted.low, shifted.high) == pytest.approx((0.2, 0.2))
    with pytest.raises(UsageError, match="One observation"):
        paired([1.0, 2.0], [0.0, 0.0], blocks=["a", "a"])


# Units x prompts


def steered(seed: int, *, slope: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Values of 30 units on 12 prompts: a unit's own level, a prompt's own, and noise."""
    rng = np.random.default_rng(seed)
    predictor = rng.exponential(size=30)
    unit = slope * stats.zscore(predictor) + rng.normal(size=30)
    return unit[:, None] + rng.normal(size=12) + 0.5 * rng.normal(size=(30, 12)), predictor


def test_crossed_is_the_regression_of_the_units_means() -> None:
    values, x = steered(0, slope=0.7)
    found, library = crossed(values, x), stats.linregress(x, values.mean(axis=1))
    assert found.slope == pytest.approx(library.slope * x.std(ddof=1))
    assert (found.r, found.p_ols) == pytest.approx((library.rvalue, library.pvalue))
    assert found.r2_low <= found.r2 <= found.r2_high
    assert found.spearman == pytest.approx(stats.spearmanr(x, values.mean(axis=1)).statistic)
    per = [stats.linregress(x, column).slope * x.std(ddof=1) for column in values.T]
    assert found.prompt_slopes == pytest.approx(np.array(per))
    assert found.low < found.slope < found.high
    ranked = crossed(values, x, ranks=True)
    assert ranked.r == pytest.approx(np.corrcoef(stats.rankdata(x), values.mean(axis=1))[0, 1])


def test_crossed_with_covariates_is_the_partial_regression() -> None:
    values, x = steered(1, slope=0.5)
    other = x + np.random.default_rng(1).normal(size=30)
    found = crossed(values, x, covariates=other[:, None])
    design = np.column_stack([np.ones(30), other, stats.zscore(x, ddof=1)])
    slopes, rest = np.linalg.lstsq(design, values.mean(axis=1), rcond=None)[:2]
    error = np.sqrt(rest[0] / 27 * np.linalg.inv(design.T @ design)[2, 2])
    assert found.slope == pytest.approx(slopes[2])
    assert found.p_ols == pytest.approx(2 * stats.t.sf(abs(slopes[2] / error), 27))
    assert found.p_permutation == pytest.approx(found.p_ols, abs=0.02)
    with pytest.raises(UsageError, match="combination of the covariates"):
        crossed(values, x, covariates=3 * x[:, None] + 1)


def test_crossed_p_is_that_of_all_orders_of_units() -> None:
    rng = np.random.default_rng(2)
    values, x = rng.normal(size=(6, 3)), np.array([1.0, 2.0, 2.0, 3.0, 5.0, 9.0])
    found, means = crossed(values, x, permutations=20_000), values.mean(axis=1)
    every = [abs(np.corrcoef(np.array(order), means)[0, 1]) for order in permutations(x)]
    assert found.p_permutation == pytest.approx(
        np.mean(np.array(every) >= abs(found.r) - 1e-9), abs=0.012
    )


def test_crossed_p_with_covariates_is_that_of_all_orders_of_residuals() -> None:
    rng = np.random.default_rng(0)
    values, x, others = rng.normal(size=(7, 2)), rng.normal(size=7), rng.normal(size=(7, 2))
    found, means = crossed(values, x, covariates=others, permutations=20_000), values.mean(axis=1)
    reduced = np.column_stack([np.ones(7), others])
    fitted = reduced @ np.linalg.lstsq(reduced, means, rcond=None)[0]
    full = np.column_stack([reduced, x])
    inverse = np.linalg.inv(full.T @ full)
    orders = np.array(list(permutations(range(7))))
    drawn = fitted + (means - fitted)[orders]  # Freedman and Lane, each order fitted anew
    slopes = drawn @ full @ inverse
    rest = ((drawn - slopes @ full.T) ** 2).sum(axis=1)
    t = np.abs(slopes[:, 3]) / np.sqrt(rest * inverse[3, 3] / 3)
    assert found.p_permutation == pytest.approx((t >= t[0] - 1e-9).mean(), abs=0.012)


def test_units_are_the_unit_of_inference() -> None:
    null = [steered(seed) for seed in range(300)]
    ours = [crossed(*one, permutations=199, resamples=20) for one in null]
    for name in ("p_permutation", "p_spearman", "p_ols"):
        assert within_level([getattr(one, name) for one in ours]), name
    pooled = [stats.pearsonr(np.repeat(x, 12), values.ravel()).pvalue for values, x in null[:60]]
    assert np.mean(np.array(pooled) <= 0.05) > 0.3  # what taking all values as independent does
    found = [crossed(*steered(s, slope=1.0), permutations=199, resamples=20) for s in range(SEEDS)]
    assert np.mean([one.p_permutation <= 0.05 for one in found]) >= 0.9


def test_slope_interval_covers_the_truth_and_not_too_seldom() -> None:
    covered = 0
    for seed in range(150):
        values, x = steered(seed, slope=0.5)
        # Over all units the slope is 0.5 for one standard deviation; noise is the units' own.
        one = crossed(values, x, permutations=1, resamples=300, seed=seed)
        covered += one.low <= 0.5 <= one.high
    assert covered / 150 >= 0.9


def test_prompts_that_differ_widen_the_interval() -> None:
    rng, covered = np.random.default_rng(6), 0
    for seed in range(40):
        x = stats.zscore(rng.normal(size=40), ddof=1)
        values = x[:, None] * rng.normal(0.5, 1, size=12) + 0.1 * rng.normal(size=(40, 12))
        one = crossed(values, x, permutations=1, resamples=200, seed=seed)
        covered += one.low <= 0.5 <= one.high
    assert covered >= 34


def test_sets_interval_counts_prompts_that_differ_too() -> None:
    rng, covered = np.random.default_rng(7), 0
    within = np.arange(30) % 2 == 0
    for seed in range(40):
        values = within[:, None] * rng.normal(0.5, 1, size=12) + 0.1 * rng.normal(size=(30, 12))
        one = two_sets(values, within, permutations=1, resamples=200, seed=seed)
        covered += one.low <= 0.5 <= one.high
    assert covered >= 34


def test_crossed_table_corrects_over_predictors() -> None:
    values, x = steered(5, slope=1.5)
    rng = np.random.default_rng(5)
    table = crossed_table(values, {"degree": x, "noise": rng.normal(size=30)}, permutations=999)
    rows = table.to_pylist()
    assert [row["predictor"] for row in rows] == ["degree", "noise"]
    assert rows[0]["p_bonferroni"] == pytest.approx(2 * rows[0]["p_permutation"])
    assert rows[0]["q"] < 0.05 < rows[1]["q"]
    assert "prompt_slopes" not in table.column_names


def sets(seed: int, *, effect: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """40 sets of sizes 2 to 5 on 10 prompts; larger ones do more and are more often within."""
    rng = np.random.default_rng(seed)
    size = rng.integers(2, 6, 40)
    within = rng.random(40) < size / 7
    own = 1.5 * size + effect * within + rng.normal(size=40)
    return own[:, None] + rng.normal(size=10) + rng.normal(size=(40, 10)), within, size


def test_sets_without_strata_are_libraries_tests() -> None:
    values, within, _ = sets(0, effect=1.0)
    found, means = two_sets(values, within), values.mean(axis=1)
    assert found.difference == pytest.approx(means[within].mean() - means[~within].mean())
    t = stats.ttest_ind(means[within], means[~within], equal_var=False)
    assert (found.t, found.p_welch) == pytest.approx((t.statistic, t.pvalue))
    u = stats.mannwhitneyu(means[within], means[~within])
    assert found.p_mannwhitney == pytest.approx(u.pvalue)
    assert found.low < found.difference < found.high


def test_strata_are_those_of_a_regression_with_their_effects() -> None:
    values, within, size = sets(1, effect=1.0)
    found = two_sets(values, within, strata=size)
    design = np.column_stack([within, *(size == k for k in range(2, 6))]).astype(float)
    slopes = np.linalg.lstsq(design, values.mean(axis=1), rcond=None)[0]
    assert found.difference == pytest.approx(slopes[0])


def test_sets_p_is_that_of_all_labels_within_strata() -> None:
    rng = np.random.default_rng(2)
    values, strata = rng.normal(size=(7, 2)), np.array([0, 0, 0, 1, 1, 1, 1])
    within = np.array([1, 0, 0, 1, 1, 0, 0], bool)
    found, means = two_sets(values, within, strata=strata, permutations=20_000), values.mean(axis=1)
    every = []
    for one, two in product(combinations(range(3), 1), combinations(range(3, 7), 2)):
        label = np.isin(np.arange(7), one + two)
        gaps = [
            means[(strata == s) & label].mean() - means[(strata == s) & ~label].mean()
            for s in (0, 1)
        ]
        every.append(abs((2 / 3 * gaps[0] + 1 * gaps[1]) / (5 / 3)))
    assert found.p_permutation == pytest.approx(
        np.mean(np.array(every) >= abs(found.difference) - 1e-9), abs=0.012
    )


def test_sets_hold_their_level_where_size_matters_and_find_what_is_planted() -> None:
    p = []
    for seed in range(200):
        values, within, size = sets(seed)
        p.append(two_sets(values, within, strata=size, permutations=199, resamples=20))
    assert within_level([one.p_permutation for one in p])
    assert np.mean([one.p_welch <= 0.05 for one in p]) > 0.1  # without strata size is to blame
    found = []
    for seed in range(SEEDS):
        values, within, size = sets(seed, effect=1.5)
        found.append(two_sets(values, within, strata=size, permutations=199, resamples=20))
    assert np.mean([one.p_permutation <= 0.05 for one in found]) >= 0.9


def test_sets_of_one_kind_cannot_be_compared() -> None:
    values, within, size = sets(3)
    with pytest.raises(UsageError, match="both kinds"):
        two_sets(values, np.ones(40, bool))
    with pytest.raises(UsageError, match="strata"):
        two_sets(values, within, strata=size[:5])


# Power


def test_power_is_statsmodels() -> None:
    assert detectable_mean(25) == pytest.approx(
        TTestPower().solve_power(nobs=25, alpha=0.05, power=0.8), rel=1e-4
    )
    assert detectable_two(30, 45, power=0.9, level=0.01) == pytest.approx(
        TTestIndPower().solve_power(nobs1=30, ratio=1.5, alpha=0.01, power=0.9), rel=1e-4
    )
    effect = FTestAnovaPower().solve_power(nobs=120, k_groups=5, alpha=0.05, power=0.8)
    assert detectable_groups(120, 5) == pytest.approx(effect**2 / (1 + effect**2), rel=1e-4)
    assert np.isnan([detectable_mean(1), detectable_correlation(3), detectable_groups(5, 5)]).all()


def test_power_of_a_correlation_is_what_it_says() -> None:
    rng, r = np.random.default_rng(24), detectable_correlation(40)
    x = rng.normal(size=(2000, 40))
    y = r * x + np.sqrt(1 - r**2) * rng.normal(size=(2000, 40))
    p = stats.pearsonr(x, y, axis=1).pvalue
    assert np.mean(p <= 0.05) == pytest.approx(0.8, abs=0.03)


def test_small_intervals() -> None:
    wanted = stats.binomtest(7, 9).proportion_ci(method="wilson")
    assert wilson(7, 9, level=0.95) == pytest.approx((wanted.low, wanted.high))
    x, y = np.random.default_rng(25).normal(size=(2, 30))
    library = stats.pearsonr(x, x + y)
    assert correlation_interval(library.statistic, 30, level=0.95) == pytest.approx(
        tuple(library.confidence_interval())
    )


# Logit weights


@pytest.mark.parametrize("standardised", [False, True])
def test_moments_are_scipys_and_do_not_depend_on_the_block(standardised: bool) -> None:
    rng = np.random.default_rng(26)
    rows, columns = rng.normal(size=(11, 8)), rng.exponential(size=(8, 500))
    rows[3], keep = 0, np.arange(500) % 3 > 0
    found = logit_weight_moments(rows, columns, standardised=standardised, block=4, tokens=keep)
    part = columns[:, keep]
    if standardised:
        part = part - part.mean(axis=1, keepdims=True)
        part = part / np.linalg.norm(part, axis=0)
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    weights = rows @ part
    alive = np.arange(11) != 3
    np.testing.assert_allclose(found.mean, weights.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(found.sd, weights.std(axis=1), atol=1e-5)
    np.testing.assert_allclose(found.skewness[alive], stats.skew(weights[alive], axis=1), atol=1e-4)
    np.testing.assert_allclose(
        found.kurtosis[alive], stats.kurtosis(weights[alive], axis=1), atol=1e-4
    )
    np.testing.assert_allclose(found.highest, weights.max(axis=1), atol=1e-5)
    assert np.isnan(found.skewness[3])
    assert found.table().column_names[0] == "feature"
    whole = logit_weight_moments(rows, columns, standardised=standardised, block=999, tokens=keep)
    np.testing.assert_allclose(found.kurtosis, whole.kurtosis, rtol=1e-5)


def test_a_feature_of_few_tokens_stands_out() -> None:
    rng = np.random.default_rng(27)
    columns = rng.normal(size=(16, 2000))
    columns[:, :5] += 12 * np.eye(16)[0][:, None]
    found = logit_weight_moments(np.eye(16), columns)
    assert found.skewness.argmax() == found.kurtosis.argmax() == 0
    with pytest.raises(UsageError, match="do not fit"):
        logit_weight_moments(np.eye(15), columns)


def within_level(p, level: float = 0.05) -> bool:
    """Whether p is at most the level no more often than the level says."""
    hits = int((np.asarray(p) <= level).sum())
    return bool(stats.binomtest(hits, len(p), level, alternative="greater").pvalue > 1e-3)
