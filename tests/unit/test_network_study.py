"""The network study's statistics on planted truth: what is there is found, what is not is not."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from scipy.stats import rankdata
from sklearn.metrics import adjusted_rand_score

from ingest.attribution.bootstrap import resample_weights
from ingest.attribution.correlation import VARIANCE, fisher_p
from ingest.attribution.options import EdgeOptions
from queries.followups.lab import PromptText
from queries.studies.inference import compare_groups
from queries.studies.network import hypotheses
from queries.studies.network.centrality import (
    MEASURES,
    _rewired,
    centralities,
    centrality_table,
    ranks,
    rewired_null,
)
from queries.studies.network.choose import (
    Steered,
    make_sets,
    matched_controls,
    singles,
    spread_evenly,
    unit_table,
    with_controls,
)
from queries.studies.network.communities import agreed, find, greedy, negative_inside
from queries.studies.network.findings import h1_verdict, h2_verdict, h3_verdict
from queries.studies.network.graphs import (
    correlations,
    edge_table,
    make_graphs,
    names_of,
    network,
    resampled_graphs,
)
from queries.studies.network.outcomes import Outcomes, curve_table
from queries.studies.network.prompts import CANDIDATES, known_table
from queries.studies.network.request import NetworkRequest
from queries.studies.network.steer import Sweep, intervention, sweeps, takes_part
from queries.studies.network.structure import structure_of
from queries.studies.network.trials import Trials

RNG = np.random.default_rng
SEEDS = 20


def request(**values):
    prompts = (PromptText(id="a", prompt="x", answer=" y", foils=(" z",)),)
    small = {
        "edges": EdgeOptions(resamples=5), "bootstraps": 4, "seeds": 3, "greedy_bootstraps": 3,
        "rank_bootstraps": 5, "null_graphs": 19, "permutations": 99, "resamples": 99,
        "set_sizes": (2,), "factors": (2.0,), "tested_factors": (2.0,), "graph_factors": (2.0,),
        "units": ("global_max",), "normalise": ("none",), "ablate": False,
    }  # fmt: skip
    return NetworkRequest(name="planted", prompts=prompts, sae="m/h/s", **(small | values))


def planted(rng, *, prompts=90, each=8, noise=0.45):
    """Attributions of three groups of features; the third opposes the first."""
    factors = rng.normal(size=(prompts, 2))
    signal = np.repeat(np.column_stack([factors, -factors[:, 0]]), each, axis=1)
    return signal + noise * rng.normal(size=signal.shape), np.repeat([0, 1, 2], each)


def activity(features, rng):
    size = len(features)
    return pa.table(
        {"feature": features, "prompts": rng.integers(1, 90, size),
         "maximum": rng.gamma(4, 1, size), "token": [" t"] * size,
         **{f"corpus_{name}": pa.array([None] * size, pa.float64())
            for name in ("rate", "maximum", "mean")}}
    )  # fmt: skip


# Graphs.


def test_graphs_are_those_of_plain_correlations():
    values, _ = planted(RNG(0))
    values[:, 3] = 1.5
    graphs = make_graphs(values, options=EdgeOptions(resamples=5), threshold=0.7)
    varying = np.delete(np.arange(24), 3)
    r = np.zeros((24, 24))
    r[np.ix_(varying, varying)] = np.corrcoef(values[:, varying].T)
    np.fill_diagonal(r, 0)
    np.testing.assert_allclose(graphs.r, r, atol=1e-9)
    pairs = {(int(i), int(j)) for i, j in np.argwhere(np.triu(np.abs(r) > 0.7, 1))}
    found = zip(graphs.published.source.tolist(), graphs.published.target.tolist(), strict=True)
    assert set(found) == pairs
    assert (graphs.published.weight == 1).all()
    assert (graphs.positive.weight > 0).all()
    assert len(graphs.signed.i) > graphs.positive.edges > 0


def test_resampled_graphs_are_those_of_drawn_prompts():
    values, _ = planted(RNG(1), each=4)
    options = EdgeOptions(resamples=5)
    graphs = make_graphs(values, options=options, threshold=0.7)
    weights = resample_weights(90, 12, seed=3).astype(int)
    found = list(
        resampled_graphs(values, graphs, options=options, threshold=0.7, number=12, seed=3)
    )
    assert len(found) == 12
    ranked = rankdata(values, axis=0)
    for weight, (positive, published) in zip(weights, found, strict=True):
        drawn = np.repeat(np.arange(90), weight)
        r, rho = np.corrcoef(values[drawn].T), np.corrcoef(ranked[drawn].T)
        passes = np.ones_like(r, bool)
        for name, each in (("pearson", r), ("spearman", rho)):
            p = fisher_p(np.clip(each, -1, 1), 90, variance=VARIANCE[name])
            passes &= (each >= options.min_r) & (p <= graphs.critical)
        for graph, mask in ((positive, passes), (published, np.abs(r) > 0.7)):
            wanted = np.argwhere(np.triu(mask, 1))
            assert sorted(zip(graph.source.tolist(), graph.target.tolist(), strict=True)) == [
                tuple(pair) for pair in wanted.tolist()
            ]
        np.testing.assert_allclose(positive.weight, r[positive.source, positive.target])


def test_edges_are_listed_with_what_each_graph_knows():
    values, _ = planted(RNG(0))
    graphs = make_graphs(values, options=EdgeOptions(resamples=5, min_r=0.75), threshold=0.7)
    table = edge_table(graphs, np.arange(100, 124)).to_pandas()
    assert table["source"].min() >= 100
    assert (table["published"] | table["signed"]).all()
    assert table.loc[~table["signed"], "q"].isna().all()
    assert table["signed"].sum() == len(graphs.signed.i)
    assert table["published"].sum() == graphs.published.edges
    np.testing.assert_array_equal(np.sign(table["r"]), table["sign"])


# Communities.


def test_opposed_features_are_merged_as_published_and_never_in_the_signed_graph():
    values, truth = planted(RNG(0))
    asked = request()
    options = {"options": asked.edges, "threshold": 0.7}
    graphs = make_graphs(values, **options)
    resampled = list(resampled_graphs(values, graphs, number=5, seed=0, **options))
    found = find(graphs, resampled, request=asked)
    assert adjusted_rand_score(truth, found.labels["signed"]) == 1
    assert (found.labels["signed"] >= 0).all()
    merged = np.where(truth == 2, 0, truth)
    assert adjusted_rand_score(merged, found.labels["published"]) == 1
    assert negative_inside(found.labels["signed"], graphs)[0] == 0
    inside, number = negative_inside(found.labels["published"], graphs)
    assert inside == number == 64
    assert (found.recovery["signed"] > 0.9).all()
    assert found.agreement["leiden", "seeds"]["ari"].mean > 0.9


def test_agreed_communities_leave_out_what_goes_from_one_to_another():
    runs = np.tile(np.repeat([0, 1], 5), (9, 1)).astype(np.int32)
    runs = np.column_stack([runs, np.arange(9) % 3]).astype(np.int32)
    runs[:, -1] = np.where(runs[:, -1] == 2, -1, runs[:, -1])
    labels, stay = agreed(runs, threshold=0.3, seed=0)
    assert adjusted_rand_score(runs[0, :10], labels[:10]) == 1
    assert labels[10] == -1
    assert np.isnan(stay[10])
    np.testing.assert_allclose(stay[:10], 1)


def test_greedy_is_networkx_and_small_groups_are_none():
    edges = np.array([(0, 1), (0, 2), (1, 2), (3, 4), (5, 6), (5, 7), (6, 7), (5, 8)])
    labels, modularity = greedy(network(names_of(10), *edges.T, np.ones(8)))
    graph = nx.Graph(edges.tolist())
    groups = nx.community.greedy_modularity_communities(graph)
    assert modularity == pytest.approx(nx.community.modularity(graph, groups))
    assert labels.tolist() == [1, 1, 1, -1, -1, 0, 0, 0, 0, -1]


def test_shuffled_attributions_have_no_edges_and_no_communities():
    found = []
    for seed in range(SEEDS):
        rng = RNG(seed)
        values, _ = planted(rng)
        shuffled = rng.permuted(values, axis=0)
        graphs = make_graphs(shuffled, options=EdgeOptions(resamples=2), threshold=0.7)
        found.append(len(graphs.signed.i))
        assert graphs.published.edges == 0
    # One seed of 20 would do by chance; four have a probability below 2 %.
    assert sum(number > 0 for number in found) < 4
    tables = structure_of(
        shuffled, np.arange(24), groups=None, request=request(), activity=activity(range(24), rng)
    )
    assert (tables["features"]["signed"].to_numpy() == -1).all()
    assert tables["communities"].num_rows == 0
    assert tables["metric_table"].num_rows == 0
    assert tables["null"].num_rows == 0


def test_structure_of_planted_groups_has_every_table():
    rng = RNG(0)
    values, truth = planted(rng)
    values[:, truth == 1] *= 3
    features = np.arange(50, 74)
    tables = structure_of(
        values, features, groups=None, request=request(), activity=activity(features, rng)
    )
    rows = {(row["grouping"], row["metric"]): row for row in tables["metric_table"].to_pylist()}
    assert rows["signed", "std"]["q"] < 0.05
    assert rows["signed", "std"]["eta_squared"] > 0.9
    assert rows["published", "eigenvector"]["published_f"] == 30.41
    central = tables["centralities"].to_pandas()
    assert (central["rank_low"] <= central["rank_high"]).all()
    assert len(central) == 2 * len(MEASURES) * 24
    frame = tables["features"].to_pandas()
    np.testing.assert_allclose(frame["sum"], values.sum(axis=0))
    np.testing.assert_allclose(frame["sum_abs_r"], np.abs(np.corrcoef(values.T)).sum(axis=0) - 1)


# Centralities.


def test_centralities_are_those_of_networkx():
    rng = RNG(2)
    graph = nx.gnm_random_graph(14, 30, seed=4)
    edges = np.array([sorted(edge) for edge in graph.edges()])
    found = centralities(network(names_of(15), *edges.T, rng.random(30) + 1))
    graph.add_node(14)
    wanted = {
        "degree": dict(graph.degree()),
        "betweenness": nx.betweenness_centrality(graph, normalized=False),
        "closeness": nx.closeness_centrality(graph),
        "eigenvector": nx.eigenvector_centrality(graph, max_iter=5000, tol=1e-12),
    }
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], [values[k] for k in range(15)], atol=1e-6)
    none = network(names_of(3), *np.zeros((2, 0), int), np.zeros(0))
    assert all((values == 0).all() for values in centralities(none).values())


def test_ranks_share_the_best_place():
    assert ranks(np.array([3.0, 5.0, 3.0, 0.0])).tolist() == [2, 1, 2, 4]
    star = network(names_of(4), np.array([0, 0, 0]), np.array([1, 2, 3]), np.ones(3))
    path = network(names_of(4), np.array([0, 1, 2]), np.array([1, 2, 3]), np.ones(3))
    table = centrality_table(
        {"published": star}, {"published": [star, path]}, features=np.array([7, 8, 9, 10])
    ).to_pandas()
    hub = table[(table["feature"] == 7) & (table["measure"] == "degree")].iloc[0]
    assert (hub["value"], hub["rank"]) == (3, 1)
    assert hub["rank_low"] < hub["rank_high"] <= 3


def test_null_graphs_keep_degrees_and_say_how_circular_an_f_is():
    drawn = nx.planted_partition_graph(4, 8, 0.8, 0.05, seed=1)
    edges = np.array([sorted(edge) for edge in drawn.edges()])
    graph = network(names_of(32), *edges.T, np.ones(len(edges)))
    degree = np.bincount(edges.ravel(), minlength=32)
    for other in _rewired(graph, 5, 0):
        ends = np.concatenate([other.source, other.target])
        np.testing.assert_array_equal(np.bincount(ends, minlength=32), degree)
        assert not np.array_equal(other.source, graph.source)
    table = rewired_null(graph, number=19, seed=0)
    assert table["measure"].to_pylist() == list(MEASURES)
    assert table["graphs"].to_pylist() == [19] * 4
    f = dict(zip(table["measure"].to_pylist(), table["f"].to_pylist(), strict=True))
    # Over communities that a graph's own edges make, F is large where edges say nothing at all.
    noise = nx.gnm_random_graph(32, 70, seed=3)
    edges = np.array([sorted(edge) for edge in noise.edges()])
    random = rewired_null(network(names_of(32), *edges.T, np.ones(70)), number=19, seed=0)
    assert max(random["null_mean"].to_pylist()) > 2
    assert min(random["p"].to_pylist()) > 0.05
    assert f.keys() == set(MEASURES)


def test_metrics_do_not_differ_over_shuffled_communities():
    found = []
    for seed in range(SEEDS):
        rng = RNG(seed)
        values, truth = planted(rng)
        test = compare_groups(values.std(axis=0), rng.permutation(truth), permutations=199)
        found.append(test.p_permutation)
    assert sum(p <= 0.05 for p in found) < 4


# What is steered.


def test_features_are_drawn_evenly_over_communities():
    labels = np.array([0] * 20 + [1] * 3 + [-1] * 30)
    chosen = spread_evenly(labels, 11, seed=0)
    assert np.unique(labels[chosen], return_counts=True)[1].tolist() == [4, 4, 3]
    assert len(set(chosen.tolist())) == 11
    assert len(spread_evenly(labels, 100, seed=0)) == 53
    np.testing.assert_array_equal(chosen, spread_evenly(labels, 11, seed=0))


def test_sets_between_are_the_features_of_those_within():
    features, labels = np.arange(100, 118), np.repeat([0, 1, 2], 6)
    sets, notes = make_sets(features, labels, sizes=(2, 3), number=6, seed=0)
    assert notes == []
    of = dict(zip(features.tolist(), labels.tolist(), strict=True))
    for size in (2, 3):
        within = [one for one in sets if one.kind == "within" and one.size == size]
        between = [one for one in sets if one.kind == "between" and one.size == size]
        assert len({one.features for one in within}) == len(within) == len(between) == 6
        assert all(len({of[f] for f in one.features}) == 1 for one in within)
        assert all(len({of[f] for f in one.features}) == size for one in between)
        used = [sorted(f for one in some for f in one.features) for some in (within, between)]
        assert used[0] == used[1]
    few, notes = make_sets(features[:6], labels[:6], sizes=(2,), number=3, seed=0)
    assert {one.kind for one in few} == {"within"}
    assert notes == ["0 of 3 sets of 2 features between communities"]
    none, notes = make_sets(features, np.full(18, -1), sizes=(2,), number=3, seed=0)
    assert none == []
    assert len(notes) == 2


def test_controls_are_the_most_alike_and_each_is_used_once():
    rng = RNG(0)
    table = activity(np.arange(200), rng)
    features, pool = np.arange(10), np.arange(10, 200)
    found = matched_controls(features, pool, activity=table, seed=0)
    assert [*found] == list(range(10))
    assert len(set(found.values())) == 10
    assert not set(found.values()) & set(range(10))
    like = np.column_stack([table["prompts"].to_numpy(), np.log(table["maximum"].to_numpy())])
    like = like / like.std(axis=0)
    for feature, control in found.items():
        far = ((like[pool] - like[feature]) ** 2).sum(axis=1)
        # Others took at most nine of those that are nearer.
        assert (far < far[control - 10]).sum() < 20
    assert matched_controls(features, np.arange(3), activity=table, seed=0) == {}
    units = [*singles(features, np.zeros(10, int)), Steered("within-2-0", "within", (1, 2), (0, 0))]
    every, notes = with_controls(units, {k: v for k, v in found.items() if k != 2})
    assert [one.kind for one in every].count("control") == 9
    assert notes == ["2 features or sets have no control: too few others fire"]
    assert unit_table(every)["matched"].to_pylist()[-1] == "9"


def test_strengths_have_the_published_sign_and_units():
    asked = request(units=("global_max", "local_max", "fixed"), normalise=("none", "size"),
                    other_factors=(2.0,), ablate=True)  # fmt: skip
    assert asked.strength(2.0) == 4.0
    assert request(base=2.0).strength(0.5) == -1.0
    ways = sweeps(asked)
    assert len(ways) == 7
    pair = Steered("within-2-0", "within", (3, 5), (0, 0))
    alone = Steered("3", "single", (3,), (0,))
    made = {
        way: intervention(pair, way, sae="m/h/s", maximum={3: 7.0, 5: 2.0}, fixed=6.5)
        for way in ways if takes_part(pair, way)
    }  # fmt: skip
    assert made[Sweep("global_max", "none", (2.0,))].unit == "global_max"
    assert [f.maximum for f in made[Sweep("global_max", "none", (2.0,))].features] == [7.0, 2.0]
    assert made[Sweep("local_max", "size", (2.0,))].normalise == "size"
    fixed = made[Sweep("fixed", "none", (2.0,))]
    assert (fixed.unit, [f.weight for f in fixed.features]) == ("activation", [6.5, 6.5])
    assert {way.unit for way in ways if takes_part(alone, way)} == {
        "global_max", "local_max", "fixed", "ablation",
    }  # fmt: skip
    assert not any(way.normalise == "size" for way in ways if takes_part(alone, way))
    assert Sweep("ablation", "none", (1.0,)) not in made


# Hypotheses.


UNITS = 24
MEASURED = ("logit", "logit_diff")


def steered_world(rng, asked, *, h1=0.0, h2=0.0, h3=0.0, prompts=16):
    """What steering would give: noise of units and prompts, with effects that are planted."""
    labels = np.repeat([0, 1, 2], UNITS // 3)
    units = singles(np.arange(UNITS), labels)
    sets, _ = make_sets(np.arange(UNITS), labels, sizes=(2,), number=12, seed=int(rng.integers(99)))
    units, _ = with_controls([*units, *sets], {k: k + 100 for k in range(UNITS)})
    centrality = rng.normal(size=UNITS)
    effect = {
        one.name: -1 - h1 * (one.kind in {"single", "within"}) - h2 * (one.kind == "within")
        - h3 * (centrality[one.features[0]] if one.kind == "single" else 0)
        for one in units
    }  # fmt: skip
    mood = rng.normal(size=prompts)
    table = {name: [] for name in ("name", "unit", "normalise", "factor", "prompt", *MEASURED)}
    for one in units:
        for way in sweeps(asked):
            if not takes_part(one, way):
                continue
            change = effect[one.name] + mood + rng.normal() + 0.5 * rng.normal(size=prompts)
            table["name"] += [one.name] * prompts
            table["unit"] += [way.unit] * prompts
            table["normalise"] += [way.normalise] * prompts
            table["factor"] += [2.0] * prompts
            table["prompt"] += [str(p) for p in range(prompts)]
            for metric in MEASURED:
                table[metric] += (5 + change).tolist()
    table["flag"] = pa.array([None] * len(table["name"]), pa.string())
    outcomes = Outcomes(
        pa.table(table), baseline={name: np.full(prompts, 5.0) for name in MEASURED},
        prompts=[str(p) for p in range(prompts)],
    )  # fmt: skip
    central = {"signed degree": dict(enumerate(centrality.tolist()))}
    maximum = dict(enumerate(rng.gamma(4, 1, UNITS).tolist()))
    return Trials(asked, units, outcomes), central, maximum


def verdicts(rng, **effects):
    tests, central, maximum = steered_world(rng, request(), **effects)
    return (
        h1_verdict(hypotheses.h1(tests), tests),
        h2_verdict(hypotheses.h2(tests), tests),
        h3_verdict(hypotheses.h3(tests, central, maximum=maximum), tests),
    )


def test_planted_effects_are_found():
    one, two, three = verdicts(RNG(0), h1=2.0, h2=3.0, h3=1.5)
    assert one["verdict"].startswith("supported")
    assert one["estimate"] == pytest.approx(-2, abs=0.8)
    assert two["verdict"].startswith("supported")
    assert two["estimate"] == pytest.approx(-5, abs=1.2)  # sets within have the effect of both
    assert three["verdict"].startswith("supported by degree (signed graph, change)")
    assert three["estimate"] < -1


def test_without_effects_hypotheses_are_supported_no_more_often_than_by_chance():
    found = np.zeros((SEEDS, 3), bool)
    changes = 0
    for seed in range(SEEDS):
        three = verdicts(RNG(seed))
        found[seed] = [row["verdict"].startswith("supported") for row in three]
        changes += three[0]["verdict"].startswith("it changes the metric")
    assert (found.sum(axis=0) < 4).all()
    # Controls change the metric as well, which is what they are for.
    assert changes > 15


def test_each_feature_is_held_against_its_own_control():
    rng = RNG(0)
    tests, _, _ = steered_world(rng, request())
    table = hypotheses.h1_features(tests).to_pandas()
    assert len(table) == UNITS
    setting = tests.settings(sets=False)[0]
    for row in hypotheses.h1_features(tests).to_pylist()[::7]:
        own, other = (
            tests.changes([name], setting, "logit_diff")[0]
            for name in (str(row["feature"]), f"control-of-{row['feature']}")
        )
        assert row["control"] == row["feature"] + 100
        assert row["difference"] == pytest.approx((own - other).mean())
    assert (table["q"] >= table["p_permutation"]).all()


def test_sets_are_judged_beyond_the_sum_of_their_features():
    tests, _, _ = steered_world(RNG(0), request(), h2=2.0)
    table = hypotheses.h2(tests).to_pandas().set_index(["quantity", "metric"])
    change, beyond = (table.loc[(name, "logit_diff")] for name in ("change", "beyond singles"))
    setting = tests.settings(sets=True)[0]
    means = {
        kind: np.mean([
            tests.changes([one.name], setting, "logit_diff").mean()
            - sum(tests.changes([str(f)], setting, "logit_diff").mean() for f in one.features)
            for one in tests.units if one.kind == kind
        ]) for kind in ("within", "between")
    }  # fmt: skip
    assert beyond["difference"] == pytest.approx(means["within"] - means["between"])
    assert beyond["difference"] == pytest.approx(change["difference"], abs=1.5)


def test_broken_logits_are_left_out_and_counted():
    tests, central, maximum = steered_world(RNG(0), request())
    for metric, values in tests.outcomes.values.items():
        tests.outcomes.values[metric] = values.copy()
        tests.outcomes.values[metric][3, 2] = np.nan
    h1 = hypotheses.h1(tests).to_pandas()
    assert set(h1.loc[h1["kind"] == "single", "left_out"]) == {1}
    assert not h1["difference"].isna().any()
    h3 = hypotheses.h3(tests, central, maximum=maximum).to_pandas()
    assert set(h3["units"]) == {UNITS - 1}
    curves = curve_table(tests.outcomes, tests.units, tests.request).to_pandas()
    assert curves.loc[curves["kind"] == "single", "units"].unique().tolist() == [UNITS - 1]


def test_what_cannot_be_tested_is_said():
    tests, _, _ = steered_world(RNG(0), request())
    bare = Trials(tests.request, [one for one in tests.units if one.kind == "single"][:4],
                 tests.outcomes)  # fmt: skip
    assert hypotheses.h1(bare).num_columns == 0
    assert hypotheses.h2(bare).num_columns == 0
    flat = {"signed degree": dict.fromkeys(range(UNITS), 0.0)}
    nothing = hypotheses.h3(tests, flat, maximum=dict.fromkeys(range(UNITS), 1.0))
    assert nothing.num_columns == 0
    for made, table in ((h1_verdict, None), (h2_verdict, pa.table({})), (h3_verdict, nothing)):
        assert made(table, bare)["verdict"].startswith("not tested")


# Prompts and requests.


def test_known_prompts_are_counted_by_answer_with_wilsons_interval():
    rows = [
        dict.fromkeys(CANDIDATES.names)
        | {
            "group": "b" if k < 3 else "a",
            "first": k % 2 == 0,
            "choice": True,
            "kept": k > 1,
            "wrong_answers": 3,
        }
        for k in range(10)
    ]
    found = known_table(pa.Table.from_pylist(rows, schema=CANDIDATES)).to_pylist()
    assert [row["group"] for row in found] == [None, "a", "b"]
    whole = found[0]
    assert (whole["candidates"], whole["first"], whole["kept"]) == (10, 5, 8)
    n, z = 10, 1.959964
    half = z / (1 + z**2 / n) * np.sqrt(0.25 / n + z**2 / (4 * n**2))
    assert (whole["low"], whole["high"]) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-5)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"aggregation": "max", "aggregations": ("sum",)}, "one of aggregations"),
        ({"base": 0.0}, "base"),
        ({"factor": 5.0}, "one of tested_factors"),
        ({"tested_factors": (2.0, 3.0)}, "3 is not among factors"),
        ({"graph_factors": (7.0,)}, "7 is not among factors"),
        ({"units": ("global_max", "global_max")}, "twice"),
        ({"units": ()}, "at least"),
        ({"factors": (-1.0,)}, "greater than 0"),
        ({"features": "most"}, "features"),
        ({"other": 1}, "other"),
    ],
)
def test_impossible_requests_are_refused(values, said):
    with pytest.raises(ValidationError, match=said):
        request(**values)


def test_correlations_of_a_constant_column_are_nought():
    values = np.column_stack([np.arange(9.0), np.ones(9), -np.arange(9.0)])
    np.testing.assert_allclose(correlations(values), [[0, 0, -1], [0, 0, 0], [-1, 0, 0]])
