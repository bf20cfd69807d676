"""Effects of a sweep: intervals, tests, groups and flags, on rows with a known answer."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from queries.followups.evidence_tables import EFFECTS
from queries.followups.steering.effects import effects, false_discovery, few_notes, t_test

NUMBERS = {("x", 1.0): 1, ("x", 2.0): 2}


def rows(changes, *, strength=1.0, metric="logit", targets=None, flags=None, baseline=3.0):
    """Rows of a sweep with the given change of each prompt."""
    number = len(changes)
    return pa.table(
        {
            "set": ["x"] * number,
            "strength": [strength] * number,
            "prompt": [f"p{k}" for k in range(number)],
            "metric": [metric] * number,
            "target": pa.array(targets or [7] * number, pa.int64()),
            "value": [baseline + change for change in changes],
            "baseline": [baseline] * number,
            "change": changes,
            "flag": pa.array(flags or [None] * number, pa.string()),
        }
    )


def only(table, **options):
    (row,) = effects(table, interventions=NUMBERS, **options).to_pylist()
    return row


def test_an_effect_is_that_of_scipys_t_test():
    changes = np.random.default_rng(0).normal(0.3, 1.0, 12)
    row = only(rows(changes), text=lambda token: f"<{token}>")
    expected = stats.ttest_1samp(changes, 0)
    interval = expected.confidence_interval(0.95)
    assert row["change"] == pytest.approx(changes.mean())
    assert (row["value"], row["baseline"]) == pytest.approx((3 + changes.mean(), 3.0))
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))
    assert row["p"] == pytest.approx(expected.pvalue)
    assert row["q"] == row["p"]
    assert (row["prompts"], row["target"], row["flag"], row["prompt"]) == (12, "<7>", None, None)


def test_prompts_of_a_group_are_one_observation():
    """Two templates that differ, forty prompts: the prompts alone would look certain."""
    rng = np.random.default_rng(1)
    changes = np.concatenate([rng.normal(m, 0.01, 10) for m in (1.0, 0.2, -0.1, 0.9)])
    groups = {f"p{k}": f"g{k // 10}" for k in range(40)}
    row = only(rows(changes), groups=groups)
    means = changes.reshape(4, 10).mean(axis=1)
    expected = stats.ttest_1samp(means, 0)
    assert row["p"] == pytest.approx(expected.pvalue)
    assert row["p"] > 0.05 > only(rows(changes))["p"]
    assert row["low"] == pytest.approx(expected.confidence_interval(0.95).low)
    uneven = only(rows(changes[:15]), groups=groups)
    assert uneven["change"] == pytest.approx((means[0] + changes[10:15].mean()) / 2)
    assert uneven["value"] - uneven["baseline"] == pytest.approx(uneven["change"])
    assert (row["prompts"], uneven["prompts"]) == (40, 15)


@pytest.mark.parametrize(
    ("changes", "low", "p"),
    [([0.4], None, None), ([0.4] * 3, 0.4, None), ([0.0] * 3, 0.0, 1.0), ([0.0], None, None)],
)
def test_what_does_not_vary_has_no_test(changes, low, p):
    row = only(rows(changes))
    assert row["low"] == row["high"] == pytest.approx(low)
    assert row["p"] == row["q"] == p


def test_equal_changes_that_do_not_sum_exactly_have_no_p():
    changes = [0.1 + 0.2, 0.1 + 0.2, 0.1 + 0.2]
    assert only(rows(changes))["p"] is None


def test_rows_that_are_not_finite_are_left_out_and_unchanged_ones_count():
    changes = [1.0, np.nan, 2.0, 0.0, np.nan]
    flags = [None, "not_finite", None, "unchanged", "not_finite"]
    row = only(rows(changes, flags=flags))
    assert row["change"] == pytest.approx(1.0)
    assert row["prompts"] == 3
    assert row["flag"] == "2 of 5 not finite; 1 of 5 unchanged"
    assert row["p"] == pytest.approx(stats.ttest_1samp([1.0, 2.0, 0.0], 0).pvalue)
    gone = only(rows([np.nan] * 2, flags=["not_finite"] * 2))
    assert gone["flag"] == "2 of 2 not finite"
    assert gone["prompts"] == 0
    assert all(gone[name] is None for name in ("value", "baseline", "change", "low", "p", "q"))


def test_q_is_over_the_tests_of_the_table():
    rng = np.random.default_rng(2)
    parts = [
        rows(rng.normal(mean, 1, 8), strength=strength, metric=metric)
        for strength, metric, mean in [(1.0, "a", 2), (1.0, "b", 0.5), (2.0, "a", 0), (2.0, "b", 9)]
    ]
    table = pa.concat_tables([*parts, rows([0.3], metric="c")])
    found = effects(table, interventions=NUMBERS)
    assert found.schema == EFFECTS
    assert found["intervention"].to_pylist() == [1, 1, 2, 2, 1]
    assert found["metric"].to_pylist() == ["a", "b", "a", "b", "c"]
    p = found["p"].to_pylist()
    assert p[4] is None
    expected = stats.false_discovery_control(p[:4])
    np.testing.assert_allclose(found["q"].to_pylist()[:4], expected)
    assert max(abs(q - p) for q, p in zip(expected, p[:4], strict=True)) > 1e-6


def test_targets_are_named_where_they_are_shared():
    assert only(rows([1.0, 2.0], targets=[7, 8]))["target"] is None
    assert only(rows([1.0, 2.0], targets=[8, 8]))["target"] == "8"
    assert only(rows([1.0, 2.0], targets=[None, None]))["target"] is None


def test_every_prompt_can_have_its_row():
    table = rows([1.0, np.nan], flags=[None, "not_finite"], targets=[7, 9])
    _, one, two = effects(table, interventions=NUMBERS, each_prompt=True).to_pylist()
    assert (one["prompt"], one["change"], one["target"]) == ("p0", 1.0, "7")
    assert (two["prompt"], two["change"], two["flag"]) == ("p1", None, "not_finite")
    assert (one["prompts"], one["low"], one["p"], one["q"]) == (1, None, None, None)


def test_the_t_test_takes_arrays_of_means():
    data = np.random.default_rng(3).normal(0.2, 1, (5, 9))
    low, high, p = t_test(data.mean(axis=1), data.std(axis=1, ddof=1), np.full(5, 9.0))
    expected = stats.ttest_1samp(data, 0, axis=1)
    np.testing.assert_allclose(p, expected.pvalue)
    np.testing.assert_allclose((low, high), expected.confidence_interval(0.95), rtol=1e-12)
    q = false_discovery(np.array([0.01, np.nan, 0.02]))
    np.testing.assert_allclose(q, [0.02, np.nan, 0.02])


def test_few_prompts_are_said_to_be_few():
    assert few_notes(40, None) == []
    assert "3 prompts are few" in few_notes(3, None)[0]
    assert "one prompt has no interval" in few_notes(1, None)[0]
    assert "4 groups of prompts are few" in few_notes(40, 4)[1]
    assert len(few_notes(40, 20)) == 1
