"""Backbones against plain Python, networkx and the filter's own formula."""

from __future__ import annotations

import json
import threading
from itertools import combinations
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.analysis.backbones import (
    METHODS,
    Options,
    choose,
    compare_backbones,
    disparity,
    disparity_levels,
    mutual_knn,
    network_of_build,
    spanning_forest,
    summarise,
    threshold,
    union_knn,
)
from atlas.analysis.backbones.compare import seeded_leiden
from atlas.analysis.igraphs import linked_nodes, seeded_igraph, to_igraph
from atlas.analysis.network import Network
from atlas.errors import ArtifactError, UsageError
from tests.builds import DEAD, WEAK, key, planted, planted_edges, write_build

if TYPE_CHECKING:
    from pathlib import Path

Pairs = set[tuple[int, int]]


def network_of(edges: dict[tuple[int, int], float], nodes: int) -> Network:
    pairs = sorted(edges)
    ends = np.array(pairs, np.int32).reshape(-1, 2)
    weight = np.array([edges[pair] for pair in pairs], np.float64)
    return Network([f"s/{i}" for i in range(nodes)], ends[:, 0], ends[:, 1], weight)


def pairs_of(network: Network) -> Pairs:
    return set(zip(network.source.tolist(), network.target.tolist(), strict=True))


def graph_of(network: Network) -> nx.Graph:
    graph = nx.Graph()
    graph.add_nodes_from(range(network.nodes))
    rows = (network.source.tolist(), network.target.tolist(), network.weight.tolist())
    graph.add_weighted_edges_from(zip(*rows, strict=True))
    return graph


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Small graphs in which weights are often equal."""
    nodes = draw(st.integers(1, 9))
    pairs = draw(st.sets(st.sampled_from([*combinations(range(nodes), 2)]))) if nodes > 1 else set()
    weights = st.sampled_from([0.1, 0.25, 0.5, 0.5, 1.0, 3.0])
    return network_of({pair: draw(weights) for pair in sorted(pairs)}, nodes)


def strongest(network: Network, k: int) -> dict[int, set[int]]:
    """Each node's `k` strongest neighbours, of equal ones the first."""
    graph = graph_of(network)
    return {
        node: set(sorted(graph[node], key=lambda other: (-graph[node][other]["weight"], other))[:k])
        for node in graph
    }


@given(networks(), st.integers(1, 5))
def test_nearest_neighbours_are_those_of_a_plain_search(network: Network, k: int) -> None:
    best = strongest(network, k)
    every = pairs_of(network)
    assert pairs_of(mutual_knn(network, k=k)) == {
        (a, b) for a, b in every if b in best[a] and a in best[b]
    }
    assert pairs_of(union_knn(network, k=k)) == {
        (a, b) for a, b in every if b in best[a] or a in best[b]
    }


def test_of_equal_edges_the_one_to_the_earlier_node_is_kept() -> None:
    star = network_of({(0, 3): 1.0, (1, 3): 1.0, (2, 3): 1.0}, 4)
    assert pairs_of(mutual_knn(star, k=1)) == {(0, 3)}
    assert pairs_of(union_knn(star, k=1)) == {(0, 3), (1, 3), (2, 3)}


@given(networks(), st.sampled_from([0.0, 0.25, 0.3, 5.0]))
def test_a_threshold_keeps_what_reaches_it(network: Network, least: float) -> None:
    weight = {(a, b): w for a, b, w in graph_of(network).edges(data="weight")}
    kept = {pair for pair, w in weight.items() if w >= least}
    assert pairs_of(threshold(network, min_weight=least)) == kept


@given(networks())
def test_the_forest_is_as_heavy_as_networkx_finds_it(network: Network) -> None:
    kept = spanning_forest(network)
    graph, forest = graph_of(network), graph_of(kept)
    assert nx.is_forest(forest)
    assert [*map(sorted, nx.connected_components(forest))] == [
        *map(sorted, nx.connected_components(graph))
    ]
    heaviest = nx.maximum_spanning_tree(graph).size(weight="weight")
    assert forest.size(weight="weight") == pytest.approx(heaviest)


@given(networks(), st.sampled_from([0.25, 0.5]))
def test_the_forest_is_joined_by_all_edges_from_a_weight_on(network: Network, at: float) -> None:
    found = pairs_of(spanning_forest(network, min_weight=at))
    assert found == pairs_of(spanning_forest(network)) | pairs_of(threshold(network, min_weight=at))


def level(graph: nx.Graph, node: int, other: int) -> float | None:
    """The published formula, one edge at a time; None at degree 1."""
    degree = graph.degree(node)
    share = graph[node][other]["weight"] / graph.degree(node, weight="weight")
    return None if degree == 1 else (1 - share) ** (degree - 1)


@given(
    networks(),
    st.sampled_from([0.05, 0.3, 0.6, 1.0]),
    st.sampled_from(["either", "both"]),
    st.booleans(),
)
def test_the_disparity_filter_is_its_formula(
    network: Network, alpha: float, ends: str, single: bool
) -> None:
    graph, expected = graph_of(network), set()
    at_source, at_target = disparity_levels(network)
    for place, (a, b) in enumerate(graph.edges):
        levels = [level(graph, a, b), level(graph, b, a)]
        found = [at_source[place], at_target[place]]
        assert found == pytest.approx([np.nan if x is None else x for x in levels], nan_ok=True)
        judged = [x for x in found if not np.isnan(x)]
        decide = any if ends == "either" else all
        if (judged and decide(x < alpha for x in judged)) or (single and len(judged) < 2):
            expected.add((a, b))
    kept = disparity(network, alpha=alpha, ends=ends, keep_single=single)
    assert pairs_of(kept) == expected


def test_the_disparity_filter_of_a_star_by_hand() -> None:
    # The centre has strength 10 in 5 edges: (1 - 6/10)^4 = 0.0256, (1 - 1/10)^4 = 0.6561.
    star = network_of({(0, 5): 6.0} | {(i, 5): 1.0 for i in range(1, 5)}, 7)
    at_source, at_target = disparity_levels(star)
    assert np.isnan(at_source).all()
    assert at_target == pytest.approx([0.0256] + [0.6561] * 4)
    assert pairs_of(disparity(star, alpha=0.05)) == {(0, 5)}
    assert pairs_of(disparity(star, alpha=0.05, ends="both")) == {(0, 5)}
    assert pairs_of(disparity(star, alpha=0.05, keep_single=True)) == pairs_of(star)


def test_an_edge_of_two_nodes_of_degree_1_goes() -> None:
    pair = network_of({(0, 1): 1.0}, 2)
    assert disparity(pair, alpha=1.0).edges == 0


@given(networks(), st.sampled_from(METHODS), st.integers(0, 2**32 - 1))
def test_backbones_keep_nodes_and_weights_and_do_not_see_the_order_of_edges(
    network: Network, method: str, seed: int
) -> None:
    choice = choose(method, Options(k=2, min_weight=0.3, alpha=0.5))
    kept = choice.apply(network)
    whole = graph_of(network)
    assert list(kept.keys) == list(network.keys)
    assert all(whole[a][b]["weight"] == w for a, b, w in graph_of(kept).edges(data="weight"))
    order = np.random.default_rng(seed).permutation(network.edges)
    assert pairs_of(choice.apply(network.take(order))) == pairs_of(kept)


@given(networks())
def test_summaries_are_what_networkx_counts(network: Network) -> None:
    kept = union_knn(network, k=2)
    found = summarise(kept, network, name="x")
    graph = graph_of(kept)
    graph.remove_nodes_from([*nx.isolates(graph)])
    sizes = [len(part) for part in nx.connected_components(graph)]
    assert (found.edges, found.nodes) == (graph.number_of_edges(), graph.number_of_nodes())
    assert (found.components, found.largest) == (len(sizes), max(sizes, default=0))
    if network.edges:
        total = graph_of(network).size(weight="weight")
        assert found.weight_share == pytest.approx(graph.size(weight="weight") / total)
        assert found.mean_degree == pytest.approx(2 * found.edges / found.nodes)
        assert found.clustering == pytest.approx(nx.average_clustering(graph))
        nodes = linked_nodes(kept).tolist()
        assert nodes == sorted(graph)
        parts = [
            {nodes[v] for v in part}
            for part in seeded_leiden(to_igraph(kept, linked=True), seed=42)
        ]
        assert found.modularity == pytest.approx(nx.community.modularity(graph, parts))
        assert found.communities == sum(len(part) >= 3 for part in parts)


def test_a_comparison_names_its_rows_and_repeats_itself() -> None:
    network = network_of(planted_edges(), 26)
    rows = compare_backbones(network)
    assert rows[0].backbone == "all"
    assert rows[0].weight_share == rows[0].edge_share == 1.0
    assert len({row.backbone for row in rows}) == len(rows)
    assert rows == compare_backbones(network)
    assert rows[0].communities == 3
    parts = nx.community.louvain_communities(graph_of(network), seed=1)
    assert rows[0].modularity == pytest.approx(nx.community.modularity(graph_of(network), parts))


def test_seeded_blocks_of_several_threads_wait_for_each_other() -> None:
    entered = threading.Event()

    def other() -> None:
        with seeded_igraph(2):
            entered.set()

    with seeded_igraph(1):
        thread = threading.Thread(target=other)
        thread.start()
        assert not entered.wait(0.2), "igraph has one generator for the whole process"
    thread.join(10)
    assert entered.is_set()


def test_leidens_seed_leaves_other_random_numbers_alone() -> None:
    import random

    random.seed(5)
    expected = [random.random() for _ in range(2)]
    random.seed(5)
    first = random.random()
    compare_backbones(network_of(planted_edges(), 26), [choose("all")])
    assert [first, random.random()] == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: mutual_knn(x, k=0), "k is 0"),
        (lambda x: disparity(x, alpha=0.0), "alpha is 0.0"),
        (lambda x: disparity(x, ends="none"), "ends is 'none'"),
        (lambda x: disparity(x.weighted(x.weight - 1.0)), "weights above 0"),
        (lambda x: summarise(x.weighted(-x.weight), x, name="x"), "weights above 0"),
        (lambda x: choose("knn"), "no backbone 'knn'.*mutual-knn"),
        (lambda x: union_knn(Network(x.keys, x.source, x.target, x.weight, True), k=1), "undirect"),
        (lambda x: spanning_forest(Network(x.keys, x.target, x.source, x.weight, True)), "undirec"),
    ],
)
def test_wrong_use_is_refused(call, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call(network_of({(0, 1): 1.0, (1, 2): 0.5}, 3))


def test_networks_without_edges_pass() -> None:
    none = network_of({}, 3)
    assert all(choose(method).apply(none).edges == 0 for method in METHODS)
    assert summarise(none, none, name="none").nodes == 0


def test_a_build_is_read_without_exclusive_and_negative_edges(tmp_path: Path) -> None:
    run, rows = planted()
    flipped = {"source": key(1), "target": key(20), "kind": "exclusive", "phi": 0.5}
    negative = {"source": key(2), "target": key(20), "phi": -0.1}
    absent = {"source": key(3), "target": key(20), "phi": float("nan")}
    like = rows["edges"][0]
    rows["edges"] += [{**like, **change} for change in (flipped, negative, absent)]
    network = network_of_build(write_build(tmp_path, run, rows))
    assert list(network.keys) == [key(index) for index in range(DEAD)]
    found = zip(network.source.tolist(), network.target.tolist(), network.weight, strict=True)
    assert {(a, b): w for a, b, w in found} == planted_edges() | {WEAK: 0.02}
    npmi = network_of_build(tmp_path, weight="npmi")
    assert npmi.weight == pytest.approx(0.2 + network.weight / 10)


def test_a_folder_that_is_no_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no build that can be read"):
        network_of_build(tmp_path)
    with pytest.raises(UsageError, match="no weight 'lift'"):
        network_of_build(tmp_path, weight="lift")


def test_the_command_compares_a_builds_backbones_without_a_database(tmp_path: Path) -> None:
    import typer
    from typer.testing import CliRunner

    from atlas.cli.backbone import register

    app = typer.Typer()
    register(app)
    folder = str(write_build(tmp_path))
    done = CliRunner().invoke(app, [folder, "--compare", "--json"])
    assert done.exit_code == 0, done.output
    assert [row["backbone"] for row in json.loads(done.stdout)][:2] == [
        "all",
        "threshold min_weight=0.05",
    ]
    done = CliRunner().invoke(app, [folder, "--method", "union-knn", "--k", "1", "--json"])
    kept = union_knn(network_of_build(folder), k=1)
    (row,) = json.loads(done.stdout)
    assert (row["backbone"], row["edges"]) == ("union-knn k=1", kept.edges)
