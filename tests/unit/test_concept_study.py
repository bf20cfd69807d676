"""The parts of a concept study that need no model: statistics, groups, graph, numbers."""

from __future__ import annotations

import json
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from scipy import sparse, stats

from queries.followups.evidence import intervention_tables
from queries.followups.interventions import FeatureRef, Intervention
from queries.followups.lab import PromptText
from queries.studies.concept.activations import Firing
from queries.studies.concept.contrasts import contrast_tables, halves_of, often_enough
from queries.studies.concept.filtering import filtered, rank_of
from queries.studies.concept.joining import joined, popped
from queries.studies.concept.links import quick_list
from queries.studies.concept.maps import by_size, grouped
from queries.studies.concept.matching import Figures, drawn
from queries.studies.concept.request import Causes, ConceptRequest, Maps
from queries.studies.concept.setting import Setting
from queries.studies.concept.steered import metrics
from queries.studies.concept.subgraph import Network, _as_often, communities, joint_firing
from queries.studies.concept.weights import _ends, rates

SAE = "toy/blocks.0.hook_resid_pre/words"


def study(pairs=40, *, seed=0, shuffle=None, matched=True, **options):
    """A setting of `pairs` concept prompts and as many controls, half of each in training."""
    groups = ["concept"] * pairs + ["control"] * pairs
    if shuffle is not None:
        groups = list(np.random.default_rng(shuffle).permutation(groups))
    prompts = tuple(
        PromptText(id=str(k), prompt="x", group=group) for k, group in enumerate(groups)
    )
    concept = np.array([group == "concept" for group in groups])
    both = np.stack([np.flatnonzero(concept), np.flatnonzero(~concept)], axis=1)
    train = np.zeros(2 * pairs, bool)
    drawn = np.random.default_rng(seed).permutation(pairs)[: pairs // 2]
    train[both[drawn]] = True
    defaults = {"permutations": 499, "resamples": 60}
    request = ConceptRequest(prompts=prompts, saes=(SAE,), seed=seed, **(defaults | options))
    return Setting(
        lab=SimpleNamespace(sae=lambda key: SimpleNamespace(d_sae=64)), request=request,
        prompts=(), concept=concept, pairs=both if matched else both[:0], train=train,
        used=np.ones(2 * pairs, bool), notes=(),
    )  # fmt: skip


def activations(setting, *, planted=(), size=3.0, features=64, seed=0):
    """Tables of activations: every feature fires in half of the prompts, planted ones more."""
    rng = np.random.default_rng([seed, 7])
    prompts = len(setting.concept)
    acts = rng.exponential(size=(prompts, features)) * (rng.random((prompts, features)) < 0.5)
    for feature in planted:
        acts[setting.concept, feature] += rng.exponential(size, int(setting.concept.sum()))
    prompt, feature = np.nonzero(acts)
    values = acts[prompt, feature]
    return {
        "activations": pa.table(
            {"sae": [SAE] * len(values), "prompt": prompt, "feature": feature, "mean": values,
             "max": values, "tokens": np.ones(len(values), int), "peak": np.zeros(len(values), int)}
        ),
        "positions": pa.table({"prompt": np.arange(prompts), "counted": np.full(prompts, 9),
                               "masked": np.zeros(prompts, int)}),
        "prompt_rows": pa.table({"in_filtered": [False] * prompts}),
    }  # fmt: skip


def confirmed_of(tables):
    frame = tables["contrast"].to_pandas()
    return set(frame.loc[frame["confirmed"], "index"])


@pytest.mark.parametrize("matched", [True, False])
def test_planted_features_are_found_and_confirmed_and_no_others(matched):
    setting = study(matched=matched)
    found = contrast_tables(setting, activations(setting, planted=(3, 17, 40)))
    assert confirmed_of(found) == {3, 17, 40}
    row = found["confirmation"].to_pylist()[0]
    assert (row["confirmed"], row["paired"], row["features"]) == (3, matched, 64)
    top = found["top_features"].to_pandas()
    assert set(top["index"].head(3)) == {3, 17, 40}
    assert top["feature"].iloc[0] == f"{SAE}/{top['index'].iloc[0]}"
    assert (top["difference"] > 0).all()


def test_shuffled_labels_confirm_nothing_beyond_the_nominal_rate():
    truth = study()
    tables = activations(truth, planted=(3, 17, 40))
    runs = [len(confirmed_of(contrast_tables(study(shuffle=seed), tables))) for seed in range(20)]
    # Both halves have to agree, so that a run with any at all is rarer than 1 in 20.
    assert sum(map(bool, runs)) <= stats.binom.ppf(0.99, 20, 0.05)


def test_which_features_are_tested_does_not_depend_on_the_sets():
    tables = activations(study())
    index = [
        often_enough(one, {SAE: Firing.of(tables, SAE, width=64)})[SAE]
        for one in (study(), study(matched=False))
    ]
    np.testing.assert_array_equal(*index)
    rare = study(min_prompts=25)
    few = often_enough(rare, {SAE: Firing.of(tables, SAE, width=64)})[SAE]
    fires = Firing.of(tables, SAE, width=64).fires.toarray()[rare.train].sum(axis=0)
    np.testing.assert_array_equal(few, np.flatnonzero(fires >= 25))


def test_the_strongest_feature_is_kept_though_the_published_rule_would_drop_it():
    setting = study(pairs=60)
    found = contrast_tables(setting, activations(setting, planted=(5,), size=8.0))
    top = found["top_features"].to_pylist()[0]
    assert (top["index"], top["beyond_2sd"], top["rank_dropped"], top["confirmed"]) == (
        5, True, 0, True,
    )  # fmt: skip
    assert any(f"{SAE}/5 (rank 1) first" in note for note in found["notes"]["note"].to_pylist())


def test_too_few_prompts_of_the_filter_leave_the_whole_contrast():
    setting = study()
    tables = activations(setting, planted=(3,))
    inside = np.zeros(80, bool)
    inside[setting.pairs[:3]] = True
    tables["prompt_rows"] = pa.table({"in_filtered": inside})
    found = contrast_tables(setting, tables)
    assert set(found["contrast"]["selection"].to_pylist()) == {"all"}
    assert "too few prompts" in " ".join(found["notes"]["note"].to_pylist())
    assert halves_of(setting, np.zeros((80, 2)), inside) is None


def test_order_chooses_what_features_are_ranked_by():
    for order in ("difference", "g", "auc"):
        setting = study(order=order)
        top = contrast_tables(setting, activations(setting, planted=(3, 9)))["top_features"]
        values = top[order].to_numpy()
        assert (np.diff(values) <= 1e-9).all()


# The filter


def test_rank_counts_larger_sizes_and_ties_share():
    values = np.array([0.5, -3.0, 2.0, 2.0 + 1e-9, 0.0])
    assert rank_of(values, (1,)) == 1
    assert rank_of(values, (2,)) == rank_of(values, (3,)) == 2
    assert rank_of(values, (0, 2)) == 2
    assert rank_of(values, (4,)) == 5
    assert rank_of(np.zeros(3), (2,)) == 1


def test_of_a_pair_both_are_in_the_filtered_contrast_or_none():
    setting = study(pairs=3)
    kept = [True, True, False, True, False, True]
    assert filtered(setting, kept).tolist() == [True, False, False, True, False, False]
    alone = study(pairs=3, matched=False)
    assert filtered(alone, [*kept[:5], None]).tolist() == [*kept[:5], False]


# Weights


def test_ends_leave_out_what_never_fires_in_a_corpus():
    frame = pd.DataFrame({"feature": ["a", "b", "c"], "sae": SAE, "index": [0, 1, 2],
                          "skewness": [9.0, 1.0, 2.0], "kurtosis": [0.0, 1.0, 2.0],
                          "sd": [1.0, 2.0, 3.0], "rate": [0.0, 0.1, 0.2],
                          "log_sparsity": [np.nan, -1.0, -0.7]})  # fmt: skip
    found = _ends(frame, "corpus")
    assert set(found["feature"]) == {"b", "c"}
    first = _ends(frame, "prompts").query("measure == 'skewness' and side == 'highest'")
    assert first["feature"].tolist() == ["a", "c", "b"]
    assert first["value"].tolist() == [9.0, 2.0, 1.0]


def test_rates_are_of_positions():
    tokens = sparse.csc_array(np.array([[2.0, 0.0], [1.0, 3.0]]))
    firing = Firing(tokens, tokens, tokens, np.array([10, 20]))
    rate, source = rates(firing, None)
    np.testing.assert_allclose(rate, [3 / 30, 3 / 30])
    assert source == "prompts"
    corpus = SimpleNamespace(rate=np.array([0.5, 0.25]))
    assert rates(firing, corpus)[1] == "corpus"


# Groups, and the graph


def test_planted_groups_of_directions_come_back_whatever_the_seed():
    rng = np.random.default_rng(0)
    centres = np.eye(3, 16)
    units = np.concatenate([centres[k] + 0.05 * rng.normal(size=(n, 16))
                            for k, n in enumerate((12, 8, 5))])  # fmt: skip
    units = (units / np.linalg.norm(units, axis=1, keepdims=True)).astype(np.float32)
    labels, silhouettes, choices = grouped(units, settings=Maps(most=5, seeds=4), seed=3)
    assert labels.tolist() == [0] * 12 + [1] * 8 + [2] * 5
    assert silhouettes.min() > 0.5
    chosen = [row for row in choices if row["chosen"]]
    assert [row["groups"] for row in chosen] == [3]
    assert chosen[0]["stability"] == pytest.approx(1.0)


def test_groups_are_numbered_by_size():
    assert by_size(np.array([7, 2, 2, 5, 5, 2])).tolist() == [2, 0, 0, 1, 1, 0]


def test_joint_firing_is_fishers_of_every_pair():
    rng = np.random.default_rng(1)
    fires = rng.random((30, 6)) < 0.4
    fires[:, 1] = fires[:, 0] ^ (rng.random(30) < 0.1)
    fires[:, 5] = False
    fires[0, 5] = True  # too rare to be tested
    found = joint_firing(fires)
    assert len(found) == 10
    for row in found.itertuples():
        a, b = fires[:, row.source], fires[:, row.target]
        table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
        assert row.p == pytest.approx(stats.fisher_exact(table, "greater").pvalue)
        assert row.phi == pytest.approx(np.corrcoef(a, b)[0, 1])
        assert row.n_both == table[0][0]
    best = found.loc[found["p"].idxmin()]
    assert (best["source"], best["target"]) == (0, 1)
    assert joint_firing(fires[:, :1]).empty


def test_joint_firing_finds_no_more_than_chance_among_independent_features():
    runs = [
        (joint_firing(np.random.default_rng(seed).random((60, 12)) < 0.3)["q"] <= 0.05).any()
        for seed in range(20)
    ]
    assert sum(runs) <= stats.binom.ppf(0.99, 20, 0.05)


def test_planted_communities_are_found():
    pairs = [(a, b) for some in (range(5), range(5, 9)) for a in some for b in some if a < b]
    source, target = np.array([*pairs, (4, 5)], np.int32).T
    network = Network([str(k) for k in range(10)], source, target, np.ones(len(source)))
    labels, about = communities(network, seeds=4)
    assert labels.tolist() == [0] * 5 + [1] * 4 + [-1]
    assert about["communities"] == 2
    assert about["stability"] == pytest.approx(1.0)
    nothing = Network(["a"], source[:0], target[:0], np.ones(0))
    assert communities(nothing, seeds=2)[0].tolist() == [-1]


def test_random_sets_fire_as_often_and_are_none_of_the_features():
    rng = np.random.default_rng(0)
    rate = rng.permutation(np.linspace(0.001, 0.5, 400))
    index = np.argsort(rate)[[10, 200, 390]]
    for _ in range(20):
        found = _as_often(rate, index, rng)
        assert len(set(found)) == 3
        assert not set(found) & set(index)
        np.testing.assert_allclose(rate[found], rate[index], atol=0.04)


# Controls and steering


def test_controls_are_near_and_no_set_has_one_twice():
    setting = study(causes=Causes(controls=3))
    figures = Figures(np.linspace(0, 1, 60), np.full(60, 2.0))
    taken = [set(), set(), set()]
    free = np.arange(2, 60)
    found = [drawn(setting, figures, free, feature=k, taken=taken) for k in (0, 1)]
    for row in found:
        assert [draw for draw, _ in row] == [1, 2, 3]
        assert all(control <= 13 for _, control in row)
    assert all(len(some) == 2 for some in taken)
    assert drawn(setting, figures, free, feature=0, taken=[set()] * 3) == found[0]
    assert drawn(setting, figures, free[:0], feature=0, taken=[set()]) == []


def test_the_words_are_measured_together():
    logits = torch.tensor([[1.0, 2.0, 0.5, -1.0], [0.0, 0.0, 3.0, 0.0]])
    clean = torch.zeros(2, 4)
    found = metrics(logits, clean, torch.tensor([0, 2]))
    p = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found[:, 0], np.log(p[:, 0] + p[:, 2]), rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], (0.25 * np.log(0.25 / p)).sum(axis=1), rtol=1e-6)


# Numbers and links


def test_interventions_of_several_parts_are_numbered_on():
    def part(index, effect):
        arm = (Intervention("ablate", (FeatureRef(SAE, index),)),)
        return {**intervention_tables([arm, arm]),
                "steering": pa.table({"intervention": [2], "value": [effect]})}  # fmt: skip

    def explained(value):
        return {"explanations": pa.table({"number": [1], "value": [value]}),
                "players": pa.table({"explanation": [1]})}  # fmt: skip

    found = joined([explained(0.5), part(4, 1.0), explained(0.7), part(5, 2.0)])
    assert found["interventions"]["number"].to_pylist() == [1, 2, 3, 4]
    assert found["on"].to_pandas()[["intervention", "feature"]].to_numpy().tolist() == [
        [1, f"{SAE}/4"], [2, f"{SAE}/4"], [3, f"{SAE}/5"], [4, f"{SAE}/5"],
    ]  # fmt: skip
    assert found["steering"].to_pydict() == {"intervention": [2, 4], "value": [1.0, 2.0]}
    assert found["players"]["explanation"].to_pylist() == [1, 2]
    notes = {"notes": pa.table({"note": ["one"]})}
    assert popped(notes, "notes") == ["one"]
    assert popped(notes, "notes") == []


def test_a_quick_list_counts_from_0_and_leaves_the_index_as_it_is():
    url = quick_list("gpt2-small/8-res-jb", [6489, 0], name="medical terms")
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    assert (parts.scheme, parts.path) == ("https", "/quick-list/")
    assert query["name"] == ["medical terms"]
    assert json.loads(query["features"][0]) == [
        {"modelId": "gpt2-small", "layer": "8-res-jb", "index": "6489"},
        {"modelId": "gpt2-small", "layer": "8-res-jb", "index": "0"},
    ]
