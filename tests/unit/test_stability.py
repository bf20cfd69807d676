"""Communities from resampled documents, on counts whose answer is known."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.analysis.network import Network
from atlas.analysis.stability import (
    FoldCounts,
    Settings,
    backbone,
    compare,
    consensus,
    find_communities,
    leiden,
    rank_intervals,
    read_folds,
    recovery,
    resample,
)
from atlas.analysis.stability.consensus import number_groups, staying, together
from atlas.analysis.stability.search import choose
from atlas.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("igraph")
pytest.importorskip("sklearn")

FOLDS, POSITIONS = 16, 300
SMALL = Settings(
    top_k=8,
    resolutions=(1.0, 4.0),
    thresholds=(0.8,),
    seeds=2,
    bootstraps=6,
    trial_splits=1,
    trial_bootstraps=5,
    splits=2,
    split_bootstraps=6,
)


def counts_of(firing: np.ndarray, fold: np.ndarray, pairs: list[tuple[int, int]]) -> FoldCounts:
    """Return the counts of a matrix of firings ``[positions, nodes]``."""
    folds = int(fold.max()) + 1
    joint = np.array(
        [np.bincount(fold, firing[:, a] & firing[:, b], folds) for a, b in pairs], dtype=np.int32
    )
    source, target = np.array(pairs, dtype=np.int32).T
    fired = np.array([np.bincount(fold, column, folds) for column in firing.T], dtype=np.int64)
    keys = [f"toy/sae/{node}" for node in range(firing.shape[1])]
    return FoldCounts(keys, source, target, joint, fired, np.bincount(fold, minlength=folds))


def simulated(groups: int, size: int, *, strength: float, seed: int = 0) -> FoldCounts:
    """Return counts of features that follow their group's hidden cause with some probability."""
    rng = np.random.default_rng(seed)
    fold = np.repeat(np.arange(FOLDS), POSITIONS)
    hidden = rng.random((len(fold), groups)) < 0.1
    follows = rng.random((len(fold), groups * size)) < strength
    noise = rng.random((len(fold), groups * size)) < 0.05
    firing = (np.repeat(hidden, size, axis=1) & follows) | noise
    nodes = groups * size
    pairs = list(combinations(range(nodes), 2))
    return counts_of(firing.astype(np.int64), fold, pairs)


@pytest.fixture(scope="module")
def planted() -> FoldCounts:
    return simulated(6, 8, strength=0.5)


@pytest.fixture(scope="module")
def found(planted: FoldCounts):
    return find_communities(planted, settings=SMALL, processes=1)


# --- counts ---------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_phi_of_drawn_folds_is_that_of_the_drawn_positions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fold = rng.integers(0, 5, 60)
    fold[0] = 4  # the last fold has to exist
    firing = (rng.random((60, 4)) < 0.3).astype(np.int64)
    pairs = list(combinations(range(4), 2))
    weight = np.bincount(rng.integers(0, 5, 5), minlength=5)
    phi = counts_of(firing, fold, pairs).phi(weight)
    drawn = np.repeat(firing, weight[fold], axis=0)
    for (a, b), value in zip(pairs, phi, strict=True):
        x, y = drawn[:, a], drawn[:, b]
        varies = len(x) and x.std() > 0 and y.std() > 0
        assert value == pytest.approx(np.corrcoef(x, y)[0, 1] if varies else 0.0, abs=1e-9)


def test_phi_of_counts_beyond_32_bits_is_exact() -> None:
    joint = np.full((1, 4), 2**30, dtype=np.int32)
    fired = np.full((2, 4), 2**31, dtype=np.int64)
    counts = FoldCounts(
        ["a", "b"], np.array([0], np.int32), np.array([1], np.int32), joint, fired,
        np.full(4, 2**33, dtype=np.int64),
    )  # fmt: skip
    # p = 1/4 each, joint 1/8: (1/8 - 1/16) / (3/16)
    assert counts.phi(np.ones(4, dtype=np.int64))[0] == pytest.approx(1 / 3, rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_the_backbone_is_mutual_by_brute_force(seed: int, top_k: int) -> None:
    rng = np.random.default_rng(seed)
    fold = np.repeat(np.arange(3), 40)
    firing = (rng.random((120, 7)) < 0.4).astype(np.int64)
    pairs = [pair for pair in combinations(range(7), 2) if rng.random() < 0.8] or [(0, 1)]
    counts = counts_of(firing, fold, pairs)
    weight = np.ones(3, dtype=np.int64)
    value = {pair: phi for pair, phi in zip(pairs, counts.phi(weight), strict=True) if phi > 0}
    near = {
        node: sorted(
            (pair for pair in value if node in pair),
            key=lambda pair: (-value[pair], pair[0] + pair[1] - node),
        )[:top_k]
        for node in range(7)
    }
    wanted = {pair for pair in value if pair in near[pair[0]] and pair in near[pair[1]]}
    network = backbone(counts, weight, top_k=top_k)
    assert set(zip(network.source.tolist(), network.target.tolist(), strict=True)) == wanted


def write(folder: Path, counts: FoldCounts) -> None:
    """Write the counts as a build does."""

    def rows(values: np.ndarray) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(
            pa.array(values.astype(np.int32).ravel()), counts.folds
        )

    ends = {
        name: [counts.keys[i] for i in places]
        for name, places in (("source", counts.source), ("target", counts.target))
    }
    pq.write_table(pa.table(ends | {"n": rows(counts.joint)}), folder / "edge_folds.parquet")
    features = pa.table({"key": list(counts.keys), "n": rows(counts.firings)})
    positions = {b"positions": json.dumps(counts.positions.tolist())}
    pq.write_table(features.replace_schema_metadata(positions), folder / "feature_folds.parquet")


def test_counts_are_read_as_they_were_written(tmp_path: Path, planted: FoldCounts) -> None:
    write(tmp_path, planted)
    read = read_folds(tmp_path)
    assert list(read.keys) == planted.keys
    for name in ("source", "target", "joint", "firings", "positions"):
        np.testing.assert_array_equal(getattr(read, name), getattr(planted, name))


def test_a_build_without_counts_or_with_others_is_refused(
    tmp_path: Path, planted: FoldCounts
) -> None:
    with pytest.raises(ArtifactError, match="has no edge_folds"):
        read_folds(tmp_path)
    write(tmp_path, replace(planted, keys=[f"other/{k}" for k in planted.keys]))
    edges = pq.read_table(tmp_path / "edge_folds.parquet")
    write(tmp_path, planted)
    pq.write_table(edges, tmp_path / "edge_folds.parquet")
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_folds(tmp_path)
    with pytest.raises(UsageError, match="different length"):
        replace(planted, joint=planted.joint[:-1])


# --- agreement ------------------------------------------------------------------------------------


def test_agreement_of_the_same_groups_is_one_and_of_chance_none() -> None:
    rng = np.random.default_rng(0)
    a = np.repeat(np.arange(10), 20)
    same = compare(a, a[::1] + 3, features=200)
    assert same.ari == pytest.approx(1.0)
    assert same.ami == pytest.approx(1.0)
    other = compare(a, rng.permutation(a), features=200)
    assert abs(other.ari) < 0.05
    assert other.information < 0.1


def test_information_is_that_of_the_contingency_beyond_permutations() -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(0, 3, 40)
    b = np.where(rng.random(40) < 0.6, a, rng.integers(0, 3, 40))

    def bits(x: np.ndarray, y: np.ndarray) -> float:
        joint = np.zeros((3, 3))
        np.add.at(joint, (x, y), 1 / len(x))
        chance = np.outer(joint.sum(1), joint.sum(0))
        return float((joint * np.log2(np.where(joint > 0, joint / chance, 1))).sum())

    mean = np.mean([bits(a, rng.permutation(b)) for _ in range(4000)])
    assert compare(a, b, features=40).information == pytest.approx(bits(a, b) - mean, abs=0.01)


def test_information_does_not_reward_trivial_groups_or_leaving_out() -> None:
    fine = np.repeat(np.arange(20), 5)
    full = compare(fine, fine, features=100).information
    everything = np.zeros(100, dtype=int)
    alone = np.arange(100)
    for trivial in (everything, alone, np.full(100, -1)):
        assert compare(trivial, trivial, features=100).information == pytest.approx(0.0, abs=1e-9)
    few = np.where(fine < 4, fine, -1)
    assert compare(few, few, features=100).ari == pytest.approx(1.0)
    assert compare(few, few, features=100).information < full / 4


# --- consensus ------------------------------------------------------------------------------------


def test_numbers_go_by_size_then_first_node_and_small_groups_have_none() -> None:
    labels = np.array([7, 7, 3, 3, 3, 9, 9, 9, 9, -1, 5, 5, 5], dtype=np.int32)
    assert number_groups(labels).tolist() == [-1, -1, 1, 1, 1, 0, 0, 0, 0, -1, 2, 2, 2]


def test_staying_is_the_share_of_runs_with_the_core() -> None:
    community = np.array([0, 0, 0, 0, -1], dtype=np.int32)
    runs = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 2, 2], [4, 4, 4, -1, 4]], dtype=np.int32)
    np.testing.assert_allclose(staying(community, runs), [1, 1, 1, 1 / 3, np.nan])


def test_recovery_is_the_best_jaccard_and_counts_lost_members() -> None:
    community = np.array([0, 0, 0, 0, 1, 1, 1, -1], dtype=np.int32)
    other = np.array([5, 5, 5, 2, -1, -1, -1, 5], dtype=np.int32)
    np.testing.assert_allclose(recovery(community, other), [3 / 5, 0.0])
    assert recovery(np.full(8, -1, np.int32), other).size == 0


def test_consensus_joins_what_is_together_and_drops_the_undecided(planted: FoldCounts) -> None:
    nodes = planted.nodes
    truth = np.repeat(np.arange(6), 8).astype(np.int32)
    runs = np.tile(truth, (10, 1))
    runs[:4, 0] = 1  # with its own in six of ten runs
    shares = together(planted, runs)
    brute = [(runs[:, a] == runs[:, b]).mean() for a, b in combinations(range(nodes), 2)]
    np.testing.assert_allclose(shares, brute)
    strict, stay = consensus(planted, runs, threshold=0.8)
    assert strict[0] == -1
    assert np.isnan(stay[0])
    loose, stay = consensus(planted, runs, threshold=0.6)
    assert loose[0] == loose[1]
    assert stay[0] == pytest.approx(0.6)
    assert compare(loose, truth, features=nodes).ari == pytest.approx(1.0)


# --- the whole search -----------------------------------------------------------------------------


def test_planted_groups_are_found_and_stable(planted: FoldCounts, found) -> None:
    truth = np.repeat(np.arange(6), 8)
    assert found.assigned >= 44
    assert compare(found.community, truth, features=planted.nodes).ari > 0.95
    assert found.stable.all()
    assert found.reached
    assert found.between_halves["ari"].low > 0.8
    assert np.nanmin(found.stay) > 0.5
    assert found.size.tolist() == sorted(found.size.tolist(), reverse=True)


def test_no_association_gives_no_stable_community() -> None:
    noise = simulated(6, 8, strength=0.0)
    found = find_communities(noise, settings=SMALL, processes=1)
    assert not found.stable.any()
    assert not found.reached
    assert found.assigned < noise.nodes / 4


def test_the_result_does_not_depend_on_the_number_of_processes(planted: FoldCounts, found) -> None:
    other = find_communities(planted, settings=SMALL, processes=2)
    np.testing.assert_array_equal(other.community, found.community)
    np.testing.assert_array_equal(other.stay, found.stay)
    assert {**other.to_json(), "seconds": 0} == {**found.to_json(), "seconds": 0}


def test_the_result_does_not_depend_on_the_order_of_nodes_and_edges(
    planted: FoldCounts, found
) -> None:
    rng = np.random.default_rng(0)
    nodes, edges = rng.permutation(planted.nodes), rng.permutation(len(planted.source))
    place = np.argsort(nodes).astype(np.int32)
    turned = FoldCounts(
        [planted.keys[i] for i in nodes],
        place[planted.target[edges]],
        place[planted.source[edges]],
        planted.joint[edges],
        planted.firings[nodes],
        planted.positions,
    )
    other = find_communities(turned, settings=SMALL, processes=1)
    assert other.assignment() == found.assignment()
    np.testing.assert_array_equal(other.stability, found.stability)


def test_json_holds_every_community_and_figure(found) -> None:
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert [c["size"] for c in plain["communities"]] == found.size.tolist()
    assert sum(len(c["members"]) for c in plain["communities"]) == plain["assigned"]
    assert set(plain["communities"][0]["members"]) == set(found.members(0))
    assert {t["resolution"] for t in plain["trials"]} == {1.0, 4.0}
    assert plain["settings"]["seed"] == SMALL.seed
    assert plain["versions"]["igraph"]


def test_nothing_to_choose_is_not_tried(planted: FoldCounts) -> None:
    one = replace(SMALL, resolutions=(2.0,), splits=1, bootstraps=1, seeds=1)
    result = find_communities(planted, settings=one, processes=1)
    assert result.trials == ()
    assert result.resolution == 2.0
    assert result.between_seeds["ari"].number == 0


def test_the_most_telling_of_those_that_agree_is_chosen(found) -> None:
    base = found.trials[0]
    make = [
        replace(base, resolution=1.0, ari=0.9, information=1.0),
        replace(base, resolution=2.0, ari=0.8, information=2.0),
        replace(base, resolution=4.0, ari=0.7, information=3.0),
    ]
    assert choose(make)[0] == 2.0
    assert choose([replace(t, ari=0.1) for t in make])[0] == 4.0


def test_runs_differ_by_bootstrap_and_repeat_by_seed(planted: FoldCounts) -> None:
    counts, _ = planted.canonical()
    options = {"resolution": 4.0, "top_k": 3, "seeds": (1, 2), "number": 3, "processes": 1}
    first, again = resample(counts, **options), resample(counts, **options)
    assert first.labels.shape == (6, planted.nodes)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert len({run.tobytes() for run in first.labels[::2]}) > 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"top_k": 0},
        {"seeds": 0},
        {"resolutions": ()},
        {"resolutions": (0.0,)},
        {"thresholds": (2,)},
    ],
)
def test_impossible_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError):
        Settings(**wrong)


# --- Leiden and centrality ------------------------------------------------------------------------


def test_leiden_leaves_nodes_without_an_edge_alone_and_igraph_as_it_was() -> None:
    import random

    pairs = [*combinations(range(4), 2), *combinations(range(4, 8), 2), (3, 4)]
    source, target = np.array(pairs, dtype=np.int32).T
    network = Network([str(i) for i in range(10)], source, target, np.ones(len(pairs)))
    random.seed(5)
    before = random.getstate()
    labels, modularity = leiden(network, resolution=1.0, seed=3)
    assert random.getstate() == before
    assert labels[8:].tolist() == [-1, -1]
    assert len(set(labels[:4])) == len(set(labels[4:8])) == 1
    assert labels[0] != labels[4]
    # by hand: 12 of 13 edges inside, both halves have 13 of 26 ends
    assert modularity == pytest.approx(12 / 13 - 2 * 0.25)


def star() -> FoldCounts:
    """Return a hub that fires with each of five leaves in turn, and a feature with no edge."""
    fold = np.repeat(np.arange(8), 60)
    firing = np.zeros((len(fold), 7), dtype=np.int64)
    for at in range(0, len(fold), 6):
        for leaf in range(5):
            firing[at + leaf, [0, leaf + 1]] = 1
    return counts_of(firing, fold, [(0, leaf) for leaf in range(1, 6)])


def test_the_hub_of_a_star_is_first_in_every_bootstrap() -> None:
    ranks = rank_intervals(star(), top_k=5, number=6, processes=1)
    assert len(ranks) == 6
    for interval in ranks.values():
        assert (interval.low[0], interval.median[0], interval.high[0]) == (1, 1, 1)
        assert set(interval.median[1:6]) == {2}
    assert ranks["pagerank"].low[6] == ranks["degree"].low[6] == 7
    with pytest.raises(UsageError, match="nonsense"):
        rank_intervals(star(), top_k=5, measures=("nonsense",))


def test_rank_intervals_are_quantiles_of_ranks_over_bootstraps(planted: FoldCounts) -> None:
    from scipy.stats import rankdata

    from atlas.analysis.stability.resample import Purpose, bootstraps

    interval = rank_intervals(planted, top_k=4, measures=("strength",), number=5, processes=1)
    counts, order = planted.canonical()
    ranks = []
    for weight in next(bootstraps(counts.folds, 5, seed=42, purpose=Purpose.INTERVAL)):
        network = backbone(counts, weight, top_k=4)
        strength = np.zeros(counts.nodes)
        np.add.at(strength, network.source, network.weight)
        np.add.at(strength, network.target, network.weight)
        ranks.append(rankdata(-np.round(strength, 9), method="min")[np.argsort(order)])
    wanted = np.quantile(ranks, (0.025, 0.5, 0.975), axis=0)
    np.testing.assert_allclose(interval["strength"].low, wanted[0])
    np.testing.assert_allclose(interval["strength"].high, wanted[2])
    assert (interval["strength"].low < interval["strength"].high).any()
