"""Attribution statistics against brute force and a planted truth; prompt sets and metrics."""

from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from atlas.errors import CorpusError, UsageError
from ingest.attribution.aggregate import aggregate, join, kept_features, prompts_needed
from ingest.attribution.bootstrap import resample_weights, resampled_r
from ingest.attribution.correlation import fisher_p
from ingest.attribution.edges import co_attribution
from ingest.attribution.metrics import (
    Targets,
    get_metric,
    metric_names,
    register_metric,
)
from ingest.attribution.options import AttributionOptions, EdgeOptions, make_options
from ingest.attribution.prompts import read_prompts
from ingest.attribution.sums import PromptSums, pearson

ROWS = [
    {"prompt": "The heart pumps", "answer": " blood", "foils": [" air", " law"], "group": "a"},
    {"prompt": "The judge, in", "answer": " court", "foils": " bed"},
    {"prompt": "The band plays", "answer": " music"},
]


def write(folder, rows, *, suffix):
    path = folder / f"task{suffix}"
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif suffix == ".csv":
        with path.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, ["prompt", "answer", "foils", "group"])
            writer.writeheader()
            writer.writerows(
                {k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()}
                for row in rows
            )
    else:
        lists = [
            {**row, "foils": [f] if isinstance(f := row.get("foils", []), str) else f}
            for row in rows
        ]
        pq.write_table(pa.Table.from_pylist(lists), path)
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_prompt_set_is_the_same_in_every_format(tmp_path, suffix):
    task = read_prompts(write(tmp_path, ROWS, suffix=suffix))
    assert task.name == "task"
    first = 2 if suffix == ".csv" else 1
    assert [p.where for p in task.prompts] == [f"task{suffix}:{first + k}" for k in range(3)]
    assert [p.id for p in task.prompts] == [str(first + k) for k in range(3)]
    assert [p.foils for p in task.prompts] == [(" air", " law"), (" bed",), ()]
    assert [p.group for p in task.prompts] == ["a", None, None]
    assert task.prompts[1].prompt == "The judge, in"
    assert task.prompts[1].answer == " court"


def test_bad_rows_are_named(tmp_path):
    path = tmp_path / "bad.jsonl"
    good = json.dumps(ROWS[0])
    lines = [
        good,
        '{"prompt": "  ", "answer": " x"}',
        '{"prompt": "a", "answer": " x", "foils": [" y", " x"]}',
        '{"prompt": "a"}',
        "{oops",
        "[1]",
        '{"prompt": "a", "answer": " x", "foils": 7}',
        '{"prompt": "a", "answer": ""}',
    ]
    path.write_text("\n".join(lines))
    with pytest.raises(CorpusError) as caught:
        read_prompts(path)
    message = str(caught.value)
    assert message.startswith("7 of 8 prompts of bad.jsonl cannot be used")
    for part in (
        "bad.jsonl:2: empty prompt",
        "bad.jsonl:3: the answer ' x' is a foil too",
        "bad.jsonl:4: no 'answer'",
        "bad.jsonl:5: malformed JSON",
        "bad.jsonl:6: not a JSON object",
        "bad.jsonl:7: 'foils'",
        "bad.jsonl:8: empty answer",
    ):
        assert part in message
    assert "bad.jsonl:1" not in message


def test_many_bad_rows_are_counted_and_ids_must_differ(tmp_path):
    path = tmp_path / "many.jsonl"
    path.write_text('{"prompt": "", "answer": "x"}\n' * 50)
    with pytest.raises(CorpusError, match="and 30 more"):
        read_prompts(path)
    path.write_text('{"prompt": "a", "answer": "x", "id": 1}\n' * 2)
    with pytest.raises(CorpusError, match=r"many.jsonl:1: id '1' again; many.jsonl:2"):
        read_prompts(path)


def test_csv_rows_that_are_cut_or_hold_no_list_are_named(tmp_path):
    (tmp_path / "cut.csv").write_text(
        'prompt,answer,foils\nThe judge, in, court, bed\na,b,"[c"\n"d\ne",f,g\nh,i,"["\n'
    )
    with pytest.raises(CorpusError) as caught:
        read_prompts(tmp_path / "cut.csv")
    message = str(caught.value)
    assert message.startswith("3 of 4 prompts")
    assert "cut.csv:2: 4 fields, the header has 3" in message
    assert "cut.csv:3: 'foils' is not a JSON list" in message
    assert "cut.csv:6: 'foils'" in message


def test_files_that_are_no_prompt_set(tmp_path):
    with pytest.raises(UsageError, match="type that is not read"):
        read_prompts(tmp_path / "a.txt")
    with pytest.raises(CorpusError, match="cannot be read"):
        read_prompts(tmp_path / "absent.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(CorpusError, match="has no prompt"):
        read_prompts(tmp_path / "empty.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "caf\xe9", "answer": "x"}')
    with pytest.raises(CorpusError, match="cannot be read"):
        read_prompts(tmp_path / "latin.jsonl")
    (tmp_path / "false.parquet").write_text("no")
    with pytest.raises(CorpusError, match="cannot be read"):
        read_prompts(tmp_path / "false.parquet")


def test_a_line_separator_inside_a_prompt_does_not_cut_it(tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_text(json.dumps({"prompt": "a\u2028b", "answer": " c"}, ensure_ascii=False) + "\n")
    assert read_prompts(path).prompts[0].prompt == "a\u2028b"


def test_metrics_by_hand():
    logits = torch.tensor([[1.0, 4.0, 2.0, 0.0], [3.0, 0.0, 0.0, 5.0]])
    targets = Targets(
        answer=torch.tensor([1, 0]),
        foils=torch.tensor([[0, 2], [3, 0]]),
        is_foil=torch.tensor([[True, True], [True, False]]),
    )
    scores = {name: get_metric(name).score(logits, targets) for name in metric_names()}
    assert scores["logit-diff"].tolist() == [2.5, -2.0]
    assert scores["logit"].tolist() == [4.0, 3.0]
    probability = logits.softmax(dim=1)
    expected = torch.stack([probability[0, 1], probability[1, 0]]).log()
    torch.testing.assert_close(scores["log-prob"], expected)
    assert get_metric("logit-diff").needs_foils
    assert not get_metric("log-prob").needs_foils


def test_metrics_can_be_added_once():
    from ingest.attribution import metrics

    @register_metric("negative-logit")
    def negative(logits, targets):
        return -metrics.answer_logit(logits, targets)

    try:
        assert get_metric("negative-logit").score is negative
        with pytest.raises(UsageError, match="already"):
            register_metric("negative-logit")(negative)
    finally:
        del metrics._METRICS["negative-logit"]
    with pytest.raises(UsageError, match="Metrics: logit-diff, log-prob, logit"):
        get_metric("negative-logit")


def test_impossible_options_are_named():
    with pytest.raises(UsageError, match=r"min_r: .*given: 3.*"):
        make_options(EdgeOptions, min_r=3)
    with pytest.raises(UsageError, match=r"aggregation: .*'mean'"):
        make_options(AttributionOptions, aggregation="mean")
    assert make_options(AttributionOptions, keep="0.25").keep == 0.25
    assert make_options(AttributionOptions, keep="union").keep == "union"


entry = st.tuples(
    st.integers(0, 3),
    st.integers(0, 4),
    st.integers(0, 3),
    st.sampled_from([-2.0, -1.0, 1.0, 2.0, 3.5]),
)


@given(
    entries=st.lists(entry, max_size=30, unique_by=lambda e: e[:3]),
    how=st.sampled_from(["first", "last", "max", "sum"]),
)
def test_aggregation_equals_brute_force(entries, how):
    prompt, position, feature, value = (
        np.array([e[k] for e in entries], dtype) for k, dtype in enumerate([int, int, int, "f4"])
    )
    found = aggregate(prompt, position, feature, value, how=how)
    expected = {}
    for p, f in sorted({(e[0], e[2]) for e in entries}):
        values = [e[3] for e in sorted(entries, key=lambda e: e[1]) if (e[0], e[2]) == (p, f)]
        one = {
            "first": values[0],
            "last": values[-1],
            "max": max(values, key=abs),
            "sum": sum(values),
        }[how]
        if one != 0:
            expected[p, f] = one
    got = zip(found.prompt, found.feature, found.value, strict=True)
    assert {(int(p), int(f)): float(v) for p, f, v in got} == expected
    assert list(zip(found.prompt, found.feature, strict=True)) == sorted(expected)
    features = np.unique(found.feature)
    dense = found.dense(4, features)
    assert dense.sum() == pytest.approx(sum(expected.values()))


def test_features_are_kept_by_the_prompts_they_are_in():
    prompt = np.array([0, 0, 1, 1, 2, 3])
    feature = np.array([5, 9, 5, 9, 5, 5])
    entries = aggregate(prompt, prompt * 0, feature, np.ones(6), how="sum")
    kept = {
        keep: kept_features(entries, prompts_needed(keep, 4)).tolist()
        for keep in ("intersection", "union", 0.5, 0.51)
    }
    assert kept == {"intersection": [5], "union": [5, 9], 0.5: [5, 9], 0.51: [5]}
    only = entries.take(np.array([9]))
    assert only.feature.tolist() == [9, 9]
    halves = [entries.take(np.array([9])), entries.take(np.array([5]))]
    assert join(halves).feature.tolist() == entries.feature.tolist()


def sparse_values(rng, prompts, features, *, density=0.7):
    """Attributions as they come: many zeros, heavy tails, both signs."""
    size = rng.lognormal(0.0, 1.0, (prompts, features)) * rng.choice([-1, 1], (prompts, features))
    return size * (rng.random((prompts, features)) < density)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(1, 19), max_size=4))
def test_sums_of_shards_merge_to_the_sums_of_the_whole(seed, cuts):
    rng = np.random.default_rng(seed)
    values = sparse_values(rng, 20, 5)
    # Sums of multiples of 1/8 are exact, so that the merge must be exact to the last bit.
    exact = np.round(values * 8) / 8
    for table, rtol in ((exact, 0.0), (values, 1e-12)):
        whole = PromptSums.of(table)
        shards = [PromptSums.of(s) for s in np.split(table, sorted(set(cuts)))]
        order = rng.permutation(len(shards))
        merged = shards[order[0]]
        for k in order[1:]:
            merged = merged + shards[k]
        assert merged.prompts == 20
        for name in ("both", "low", "high"):
            assert (getattr(merged, name) == getattr(whole, name)).all()
        for name in ("x", "xy"):
            np.testing.assert_allclose(
                getattr(merged, name), getattr(whole, name), rtol=rtol, atol=rtol
            )
        columns = np.flatnonzero(merged.varies)
        if len(columns) > 1:
            r = pearson(merged.take(columns), slice(0, len(columns)))
            np.testing.assert_allclose(r, np.corrcoef(table[:, columns].T), atol=1e-9)


def test_sums_by_hand_and_of_other_features():
    sums = PromptSums.of(np.array([[1.0, 0.0, 3.0], [2.0, 4.0, 3.0]]))
    assert sums.x.tolist() == [3.0, 4.0, 6.0]
    assert sums.xy.tolist() == [[5.0, 8.0, 9.0], [8.0, 16.0, 12.0], [9.0, 12.0, 18.0]]
    assert sums.both.tolist() == [[2, 1, 2], [1, 1, 1], [2, 1, 2]]
    assert sums.varies.tolist() == [True, True, False]
    assert sums.squares.tolist() == [0.5, 8.0, 0.0]
    with pytest.raises(ValueError, match="3 and of 2 features"):
        _ = sums + PromptSums.of(np.ones((2, 2)))


def test_a_column_constant_but_for_rounding_does_not_vary():
    column = np.full(30, 0.1) + np.arange(30) * 1e-9
    assert PromptSums.of(column[:, None]).varies.tolist() == [False]


def test_p_is_that_of_fishers_z():
    r = np.array([0.5, -0.5, 0.0, 1.0])
    z = np.arctanh(0.5) * np.sqrt(17)
    expected = 2 * stats.norm.sf(z)
    np.testing.assert_allclose(fisher_p(r, 20), [expected, expected, 1.0, 0.0])
    # Independent of the formula: close to the exact test where there are many prompts.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2)) @ np.array([[1, 0.15], [0, 1]])
    exact = stats.pearsonr(x[:, 0], x[:, 1])
    assert fisher_p(np.array([exact.statistic]), 400)[0] == pytest.approx(exact.pvalue, rel=0.05)


def by_brute_force(values, options):
    """All edges by scipy, one pair at a time: {(i, j): (r, rho, p, q, sign)}."""
    n, features = values.shape
    columns = [k for k in range(features) if np.ptp(values[:, k]) > 0]
    pairs = [(i, j) for i in columns for j in columns if i < j]
    found, p = [], []
    for i, j in pairs:
        r = stats.pearsonr(values[:, i], values[:, j]).statistic
        rho = stats.spearmanr(values[:, i], values[:, j]).statistic
        each = {"pearson": (r, 1.0), "spearman": (rho, 1.06)}
        asked = list(each) if options.test == "both" else [options.test]
        over = all(abs(each[t][0]) >= options.min_r for t in asked)
        one_sign = len({np.sign(each[t][0]) for t in asked}) == 1
        ps = [
            2 * stats.norm.sf(abs(np.arctanh(each[t][0])) * np.sqrt((n - 3) / each[t][1]))
            for t in asked
        ]
        p.append(max(ps) if over and one_sign else 1.0)
        found.append((r, rho, int(np.sign(each[asked[0]][0]))))
    q = stats.false_discovery_control(p)
    return {
        pair: (*values[:2], p[k], q[k], values[2])
        for k, (pair, values) in enumerate(zip(pairs, found, strict=True))
        if q[k] < options.fdr and p[k] < 1
    }, len(pairs)


@pytest.mark.parametrize("test", ["both", "pearson", "spearman"])
def test_edges_equal_brute_force(test):
    rng = np.random.default_rng(4)
    values = sparse_values(rng, 40, 24)
    values[:, 1] = values[:, 0] + 0.4 * values[:, 1]
    values[:, 2] = -values[:, 0] + 0.4 * values[:, 2]
    values[:, 7] = 3.0
    values[:, 8] = 0.0
    options = EdgeOptions(test=test, resamples=20)
    expected, tested = by_brute_force(values, options)
    edges = co_attribution(values, options=options)
    assert (edges.tested, edges.constant, edges.features) == (tested, 2, 24)
    assert list(zip(edges.i, edges.j, strict=True)) == sorted(expected)
    assert {(0, 1), (0, 2), (1, 2)} <= set(expected)
    for k, pair in enumerate(sorted(expected)):
        r, rho, p, q, sign = expected[pair]
        got = (edges.r[k], edges.r_spearman[k], edges.p[k], edges.q[k], edges.sign[k])
        np.testing.assert_allclose(got, (r, rho, p, q, sign), rtol=1e-6, atol=1e-12)
        both = (values[:, list(pair)] != 0).all(axis=1).sum()
        assert edges.n_both[k] == both


@pytest.mark.parametrize("block", [1, 60, 10**6])
def test_resampled_r_equals_drawing_the_rows(block):
    rng = np.random.default_rng(1)
    values = sparse_values(rng, 15, 4)
    weights = resample_weights(15, 6, seed=3)
    assert (weights.sum(axis=1) == 15).all()
    i, j = np.array([0, 0, 1]), np.array([1, 2, 3])
    got = np.full((6, 3), np.nan)
    for pairs, r in resampled_r(values, i, j, weights=weights, block=block):
        got[:, pairs] = r
    for b in range(6):
        drawn = np.repeat(values, weights[b].astype(int), axis=0)
        expected = np.corrcoef(drawn.T)[i, j]
        np.testing.assert_allclose(got[b], expected, atol=1e-9)


def test_a_resample_in_which_a_column_is_constant_gives_no_r():
    values = np.array([[1.0, 1.0], [0.0, 2.0], [0.0, 3.0]])
    weights = np.array([[0.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
    ((_, r),) = resampled_r(values, np.array([0]), np.array([1]), weights=weights)
    assert np.isnan(r[0, 0])
    assert r[1, 0] == pytest.approx(np.corrcoef(values.T)[0, 1])


def test_groups_are_drawn_whole():
    groups = ["a", "a", "b", None, "b", "c"]
    weights = resample_weights(6, 50, seed=0, groups=groups)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 2] == weights[:, 4]).all()
    assert len(np.unique(weights[:, [0, 2, 3, 5]].sum(axis=1))) == 1
    assert (weights[:, 0] != weights[:, 2]).any()


def planted(seed, *, prompts=80, noise=120):
    """Two groups of five features that share a factor, one member of each against the others."""
    rng = np.random.default_rng(seed)
    values = sparse_values(rng, prompts, 10 + noise)
    truth = {}
    for first in (0, 5):
        factor = rng.normal(size=prompts) * 3
        signs = np.array([1, 1, 1, 1, -1])
        values[:, first : first + 5] = factor[:, None] * signs + rng.normal(size=(prompts, 5))
        for a in range(5):
            for b in range(a + 1, 5):
                truth[first + a, first + b] = int(signs[a] * signs[b])
    return values, truth


def test_planted_groups_are_found_with_their_signs():
    values, truth = planted(0)
    edges = co_attribution(values, options=EdgeOptions())
    pairs = list(zip(edges.i.tolist(), edges.j.tolist(), strict=True))
    found = dict(zip(pairs, edges.sign.tolist(), strict=True))
    assert {pair: found.get(pair) for pair in truth} == truth
    assert len(found) - len(truth) <= 2
    here = [pair in truth for pair in pairs]
    assert (edges.stability[here] > 0.95).all()
    assert (edges.r_low <= edges.r).all()
    assert (edges.r <= edges.r_high).all()
    assert (edges.sign == np.sign(edges.r)).all()
    assert not edges.few_prompts
    again = co_attribution(values, options=EdgeOptions())
    assert (again.stability == edges.stability).all()
    other = co_attribution(values, options=EdgeOptions(seed=1))
    assert (other.r_low != edges.r_low).any()


@pytest.mark.parametrize("test", ["both", "pearson"])
def test_stability_equals_counting_resamples_that_pass(test):
    values, _ = planted(2, prompts=18, noise=10)
    options = EdgeOptions(test=test, resamples=40, seed=7, min_r=0.5)
    edges = co_attribution(values, options=options)
    ranks = np.apply_along_axis(stats.rankdata, 0, values)
    rows = [
        np.repeat(np.arange(18), counts.astype(int)) for counts in resample_weights(18, 40, seed=7)
    ]
    asked = [(values, 1.0), (ranks, 1.06)][: 2 if test == "both" else 1]
    critical = 0.05 * len(edges.i) / edges.tested
    assert len(edges.i) >= 10
    for k, (i, j) in enumerate(zip(edges.i, edges.j, strict=True)):
        passed = []
        for drawn in rows:
            r = [np.corrcoef(x[drawn, i], x[drawn, j])[0, 1] for x, _ in asked]
            p = [
                fisher_p(np.array(one), 18, variance=v)
                for one, (_, v) in zip(r, asked, strict=True)
            ]
            passed.append(max(p) <= critical and min(np.array(r) * edges.sign[k]) >= 0.5)
        assert edges.stability[k] == np.mean(passed)
        r = [np.corrcoef(values[drawn, i], values[drawn, j])[0, 1] for drawn in rows]
        interval = np.percentile(r, [2.5, 97.5])
        np.testing.assert_allclose((edges.r_low[k], edges.r_high[k]), interval, atol=1e-9)
    assert edges.stability.min() < 1  # or the count would not be tested


def test_independent_attributions_have_no_edges_where_both_correlations_are_asked():
    counts = {"both": [], "pearson": []}
    for seed in range(20):
        values = sparse_values(np.random.default_rng(seed), 60, 150)
        for test, found in counts.items():
            edges = co_attribution(values, options=EdgeOptions(test=test, resamples=2))
            found.append(len(edges.i))
    assert np.mean(counts["both"]) <= 0.2
    # Why both are asked: outliers that meet in one prompt make Pearson's r.
    assert np.mean(counts["pearson"]) > 5


def test_a_pair_made_by_one_prompt_is_unstable():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(40, 30))
    values[7, :2] = 60.0
    edges = co_attribution(values, options=EdgeOptions(test="pearson"))
    first = [(i, j) == (0, 1) for i, j in zip(edges.i, edges.j, strict=True)]
    assert sum(first) == 1
    assert edges.r[first][0] > 0.9
    assert edges.stability[first][0] < 0.8
    assert edges.r_low[first][0] < 0.4
    strict = co_attribution(values, options=EdgeOptions())
    assert (0, 1) not in set(zip(strict.i, strict.j, strict=True))


def templates(seed=0):
    """Independent features, half of them shifted by the second of two templates."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(60, 40))
    values[30:, :20] += rng.choice([-3, 3], 20)
    values[:, 39] = values[:, 38] + 0.2 * rng.normal(size=60)
    return values, ["a"] * 30 + ["b"] * 30


def test_edges_between_templates_are_counted_and_can_be_removed():
    values, groups = templates()
    plain = co_attribution(values, options=EdgeOptions(), groups=groups)
    assert len(plain.i) > 180
    centred = values - np.repeat([values[:30].mean(axis=0), values[30:].mean(axis=0)], 30, axis=0)
    left = np.corrcoef(centred.T)[plain.i, plain.j] * plain.sign
    assert plain.lost_within == (left < 0.3).sum() > 180
    assert co_attribution(values, options=EdgeOptions()).lost_within is None
    within = co_attribution(values, options=EdgeOptions(within_groups=True), groups=groups)
    assert list(zip(within.i, within.j, strict=True)) == [(38, 39)]
    assert within.lost_within is None
    # The correlation is the partial one, with one degree of freedom less.
    template = np.repeat([0.0, 1.0], 30)
    r = np.corrcoef(values[:, [38, 39]].T, template)
    partial = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    assert within.r[0] == pytest.approx(partial)
    p = max(
        fisher_p(np.array([within.r[0]]), 59)[0],
        fisher_p(np.array([within.r_spearman[0]]), 59, variance=1.06)[0],
    )
    assert within.p[0] == pytest.approx(p)
    assert within.n_both[0] == 60


def test_a_feature_that_a_template_alone_explains_is_constant_within_groups():
    values, groups = templates()
    values[:, 0] = np.repeat([0.1, 0.7], 30)
    within = co_attribution(values, options=EdgeOptions(within_groups=True), groups=groups)
    assert within.constant == 1
    plain = co_attribution(values, options=EdgeOptions(), groups=groups)
    assert plain.constant == 0
    assert 0 in plain.i


def test_too_few_prompts_too_many_features_and_no_groups():
    with pytest.raises(CorpusError, match="7 prompts are too few"):
        co_attribution(np.ones((7, 3)), options=EdgeOptions())
    with pytest.raises(UsageError, match=r"5 features make 10 pairs; the limit is 4"):
        co_attribution(np.ones((8, 5)), options=EdgeOptions(max_features=4))
    drawn = EdgeOptions(resample="group")
    with pytest.raises(UsageError, match="fewer than two"):
        co_attribution(np.ones((8, 2)), options=drawn, groups=["a"] * 8)
    within = EdgeOptions(within_groups=True)
    with pytest.raises(CorpusError, match=r"8 prompts are too few .* within 2 groups; at least 9"):
        co_attribution(np.ones((8, 2)), options=within, groups=["a", "b"] * 4)


def test_few_prompts_for_the_pairs_are_flagged():
    rng = np.random.default_rng(0)
    few = co_attribution(rng.normal(size=(12, 200)), options=EdgeOptions(resamples=2))
    many = co_attribution(rng.normal(size=(120, 200)), options=EdgeOptions(resamples=2))
    assert few.few_prompts
    assert not many.few_prompts
    # The stated correlation is the least that one pair alone needs.
    p = fisher_p(np.array([many.detectable_r]), 120, variance=1.06)[0]
    assert p * many.tested == pytest.approx(0.05)


@pytest.mark.parametrize("features", [0, 1, 2])
def test_nothing_to_test_gives_no_edges(features):
    edges = co_attribution(np.ones((8, features)), options=EdgeOptions())
    assert (len(edges.i), edges.tested, edges.constant) == (0, 0, features)
    assert edges.few_prompts
