"""The engines of this process against each other, against brute force and known answers."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from atlas.analysis import engines
from atlas.analysis.algorithms import ALGORITHMS, algorithm
from atlas.analysis.compute import compute_in_process
from atlas.analysis.network import Network
from atlas.analysis.outputs import (
    AlgorithmResult,
    Call,
    NodeScores,
    Pairs,
    Partition,
    Scalars,
    numbered,
    partition,
)
from atlas.errors import NotFoundError, UsageError

IN_PROCESS = ("igraph", "networkit", "networkx")


def network(edges: Any, nodes: int, *, directed: bool = False) -> Network:
    """Return a network with weights that differ."""
    ends = sorted((a, b) if directed or a < b else (b, a) for a, b in edges)
    source, target = np.array(ends, np.int32).reshape(-1, 2).T
    weight = 0.2 + ((7.0 * source + 3 * target) % 31) / 40
    keys = [f"toy/sae/{node}" for node in range(nodes)]
    return Network(keys, source.copy(), target.copy(), weight, directed)


def planted(groups: int, size: int, seed: int) -> tuple[Network, list[int]]:
    graph = nx.planted_partition_graph(groups, size, 0.5, 0.02, seed=seed)
    return network(graph.edges(), groups * size), [node // size for node in graph]


def run(graph: Network, name: str, engine: str, *, seed: int = 1, **given: Any) -> AlgorithmResult:
    call = Call(algorithm(name).fill(given), seed)
    return compute_in_process(graph, name, engine=engine, call=call)


def scores(graph: Network, name: str, engine: str, **given: Any) -> dict[str, np.ndarray]:
    output = run(graph, name, engine, **given).output
    assert isinstance(output, NodeScores)
    return dict(output.columns)


KARATE = network(nx.karate_club_graph().edges(), 35)  # one node more, without an edge
TWO_PARTS = network([*nx.lollipop_graph(6, 4).edges(), (10, 11), (11, 12), (10, 12), (12, 13)], 15)
DIRECTED = network(
    [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (0, 4), (5, 0), (6, 2), (5, 6), (1, 4)],
    8,
    directed=True,
)
EXACT = [
    name
    for name, spec in ALGORITHMS.items()
    if spec.output == "scores" and name != "personalised_pagerank" and "networkx" in spec.engines
]


def cases() -> list[tuple[str, str, str]]:
    found = []
    for name in EXACT:
        spec = ALGORITHMS[name]
        graphs = {"undirected": "KARATE TWO_PARTS", "directed": "DIRECTED"}.get(
            spec.direction, "KARATE TWO_PARTS DIRECTED"
        )
        for engine in IN_PROCESS:
            if engine in spec.engines and engine != "networkx":
                found.extend((name, engine, graph) for graph in graphs.split())
    return found


@pytest.mark.parametrize(("name", "engine", "graph"), cases())
def test_engines_agree_with_networkx(name: str, engine: str, graph: str) -> None:
    one = globals()[graph]
    expected, found = scores(one, name, "networkx"), scores(one, name, engine)
    assert set(found) == set(expected) == set(ALGORITHMS[name].columns)
    for column, values in expected.items():
        np.testing.assert_allclose(found[column], values, rtol=1e-6, atol=1e-6)
        assert found[column].dtype == values.dtype


@pytest.mark.parametrize("graph", [KARATE, DIRECTED])
@pytest.mark.parametrize("engine", ["igraph", "networkx"])
def test_personalised_pagerank_solves_its_equation(graph: Network, engine: str) -> None:
    sources = [graph.keys[0], graph.keys[3]]
    found = scores(graph, "personalised_pagerank", engine, sources=sources)
    matrix = np.zeros((graph.nodes, graph.nodes))
    matrix[graph.source, graph.target] = graph.weight
    if not graph.directed:
        matrix += matrix.T
    out = matrix.sum(1, keepdims=True)
    share = np.divide(matrix, out, out=np.zeros_like(matrix), where=out > 0)
    start = np.zeros(graph.nodes)
    start[[0, 3]] = 0.15
    exact = np.linalg.solve(np.eye(graph.nodes) - 0.85 * share.T, start)
    np.testing.assert_allclose(found["personalised_pagerank"], exact, atol=1e-6)


def test_known_answers() -> None:
    star = network([(0, n) for n in range(1, 5)], 6)
    for engine in IN_PROCESS:
        assert scores(star, "betweenness", engine)["betweenness"].tolist() == [6, 0, 0, 0, 0, 0]
        assert scores(star, "degree", engine)["degree"].tolist() == [4, 1, 1, 1, 1, 0]
        # Five of the six can be reached, at distances of 1 from the centre.
        assert scores(star, "closeness", engine)["closeness"][0] == pytest.approx(4 / 5)
        assert scores(star, "harmonic", engine)["harmonic"][1] == pytest.approx((1 + 3 / 2) / 5)
        assert scores(star, "pagerank", engine)["pagerank"][5] == pytest.approx(0.15)
        eigenvector = scores(star, "eigenvector", engine)["eigenvector"]
        assert eigenvector[0] == pytest.approx(math.sqrt(0.5), abs=1e-6)


@pytest.mark.parametrize("engine", IN_PROCESS)
def test_sampled_betweenness_is_near_and_repeatable(engine: str) -> None:
    graph = planted(4, 40, 3)[0]
    exact = scores(graph, "betweenness", engine)["betweenness"]
    first = run(graph, "betweenness", engine, exact_nodes=10, samples=80)
    again = run(graph, "betweenness", engine, exact_nodes=10, samples=80)
    assert (first.exact, first.seed, first.details["samples"]) == (False, 1, 80)
    found = first.by_key()
    assert found == again.by_key()
    values = np.array(list(found.values()))
    # networkit weights sources by distance, which changes the scale a little.
    assert values.sum() == pytest.approx(exact.sum(), rel=0.5 if engine == "networkit" else 0.1)
    assert np.corrcoef(values, exact)[0, 1] > 0.8


PARTITIONS = [
    (name, engine)
    for name in ("leiden", "louvain", "greedy_modularity", "label_propagation")
    for engine in ALGORITHMS[name].engines
    if engine in IN_PROCESS
]


@pytest.mark.parametrize(("name", "engine"), PARTITIONS)
def test_partitions_find_planted_groups(name: str, engine: str) -> None:
    graph, truth = planted(5, 24, 1)
    result = run(graph, name, engine)
    assert isinstance(result.output, Partition)
    # Label propagation may merge two groups whole.
    least = 0.7 if name == "label_propagation" else 0.95
    assert adjusted_rand_score(truth, result.output.groups) > least
    assert not result.exact
    groups = [np.flatnonzero(result.output.groups == g).tolist() for g in set(result.output.groups)]
    built = nx.Graph()
    built.add_weighted_edges_from(zip(graph.source, graph.target, graph.weight, strict=True))
    modularity = nx.community.modularity(built, groups, weight="weight")
    assert result.details["modularity"] == pytest.approx(modularity, abs=1e-6)
    again = run(graph, name, engine)
    assert isinstance(again.output, Partition)
    assert again.output.groups.tolist() == result.output.groups.tolist()
    assert again.output.levels[:, -1].tolist() == result.output.groups.tolist()


def test_the_hierarchy_is_kept() -> None:
    ring = nx.ring_of_cliques(16, 4)
    for engine in ("igraph", "networkx"):
        output = run(network(ring.edges(), 64), "louvain", engine).output
        assert isinstance(output, Partition)
        assert output.levels.shape[1] > 1, "several levels"
        for fine, coarse in zip(output.levels.T, output.levels.T[1:], strict=False):
            assert len(set(zip(fine, coarse, strict=True))) == len(set(fine)), "levels nest"


@pytest.mark.parametrize("engine", IN_PROCESS)
def test_components_and_judges(engine: str) -> None:
    found = run(TWO_PARTS, "wcc", engine)
    assert isinstance(found.output, Partition)
    assert found.output.groups.tolist() == [0] * 10 + [1] * 4 + [2]
    assert found.exact
    directed = run(DIRECTED, "wcc", engine).output
    assert isinstance(directed, Partition)
    assert directed.groups.tolist() == [0] * 7 + [1]
    judged = run(TWO_PARTS, "modularity", engine, of="wcc").output
    assert isinstance(judged, Scalars)
    inside = TWO_PARTS.weight[TWO_PARTS.source < 10].sum() / TWO_PARTS.weight.sum()
    assert judged.values["modularity"] == pytest.approx(1 - inside**2 - (1 - inside) ** 2)


def test_conductance() -> None:
    graph = network([(0, 1), (1, 2), (0, 2), (2, 3), (3, 4)], 5)
    groups = np.array([0, 0, 0, 1, 1], np.int32)
    call = Call(algorithm("conductance").fill({"of": "wcc", "weighted": False}), 0, groups)
    output = compute_in_process(graph, "conductance", engine="networkx", call=call).output
    assert isinstance(output, Scalars)
    assert output.values["conductance"] == pytest.approx([1 / 7, 1 / 3])
    assert output.values["mean_conductance"] == pytest.approx((1 / 7 + 1 / 3) / 2)


@pytest.mark.parametrize("by", ALGORITHMS["link_prediction"].columns)
@pytest.mark.parametrize("max_degree", [0, 9])
def test_link_scores_agree_with_networkx(by: str, max_degree: int) -> None:
    results = [
        run(KARATE, "link_prediction", engine, by=by, top_k=4, max_degree=max_degree)
        for engine in ("scipy", "networkx")
    ]
    ours, theirs = (result.output for result in results)
    assert isinstance(ours, Pairs)
    assert isinstance(theirs, Pairs)
    assert [result.exact for result in results] == [not max_degree] * 2
    assert next(iter(ours.columns)) == by
    assert len(ours.source) > 30
    mine = {
        (a, b): place for place, (a, b) in enumerate(zip(ours.source, ours.target, strict=True))
    }
    others = list(zip(theirs.source, theirs.target, strict=True))
    # Which of several pairs of one score are kept may differ by the last bit.
    common = [place for place, pair in enumerate(others) if pair in mine]
    assert len(common) > 0.9 * len(others)
    for name, values in theirs.columns.items():
        found = [ours.columns[name][mine[others[place]]] for place in common]
        np.testing.assert_allclose(found, values[common], rtol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_pairs_against_brute_force(data: st.DataObject) -> None:
    nodes = data.draw(st.integers(3, 12))
    every = list(combinations(range(nodes), 2))
    edges = data.draw(st.lists(st.sampled_from(every), unique=True, min_size=1))
    graph = network(edges, nodes)
    near: list[set[int]] = [set() for _ in range(nodes)]
    for a, b in edges:
        near[a].add(b)
        near[b].add(a)
    output = run(graph, "link_prediction", "scipy", by="resource_allocation", top_k=nodes).output
    assert isinstance(output, Pairs)
    expected = {
        (a, b): sum(1 / len(near[m]) for m in near[a] & near[b])
        for a, b in every
        if near[a] & near[b] and b not in near[a]
    }
    found = zip(output.source.tolist(), output.target.tolist(), strict=True)
    by_pair = dict(zip(found, output.columns["resource_allocation"].tolist(), strict=True))
    assert by_pair == pytest.approx(expected)
    alike = run(graph, "node_similarity", "scipy", cutoff=0.3, min_degree=1, top_k=2).output
    assert isinstance(alike, Pairs)
    for a in range(nodes):
        jaccard = sorted(
            (
                len(near[a] & near[b]) / len(near[a] | near[b])
                for b in range(nodes)
                if b != a and near[a] & near[b]
            ),
            reverse=True,
        )
        mine = alike.columns["score"][alike.source == a].tolist()
        assert mine == pytest.approx([x for x in jaccard if x >= 0.3 - 1e-12][:2])


@given(st.lists(st.integers(0, 5), min_size=1))
def test_groups_are_numbered_by_size(labels: list[int]) -> None:
    groups = numbered(labels)
    sizes = np.bincount(groups)
    assert (np.diff(sizes) <= 0).all()
    assert len({*zip(labels, groups, strict=True)}) == len(set(labels)) == len(sizes)
    firsts = [int(np.flatnonzero(groups == g)[0]) for g in range(len(sizes))]
    for g in range(len(sizes) - 1):
        assert sizes[g] > sizes[g + 1] or firsts[g] < firsts[g + 1]


def test_the_registry_names_what_the_engines_have() -> None:
    for engine in engines.MODULES:
        listed = {name for name, spec in ALGORITHMS.items() if engine in spec.engines}
        assert set(engines.methods(engine)) == listed, engine


def test_a_result_by_key() -> None:
    result = run(DIRECTED, "hits", "networkx")
    assert set(result.by_key()["toy/sae/0"]) == {"hub", "authority"}
    groups = AlgorithmResult("x", "y", ["a", "b", "c"], partition("g", [7, 3, 3]))
    assert groups.by_key() == {"a": 1, "b": 0, "c": 0}
    with pytest.raises(UsageError, match="no value of each feature"):
        run(KARATE, "modularity", "networkx", of="wcc").by_key()


@pytest.mark.parametrize(
    ("engine", "name", "recorded"),
    [
        ("igraph", "leiden", {"resolution", "theta", "weighted"}),
        ("igraph", "pagerank", {"damping", "weighted"}),
        ("networkit", "louvain", {"weighted"}),
        ("networkx", "louvain", {"tolerance", "max_levels", "weighted"}),
    ],
)
def test_parameters_are_recorded_where_they_are_used(
    engine: str, name: str, recorded: set[str]
) -> None:
    assert set(run(KARATE, name, engine).parameters) == recorded


def test_what_is_ignored_is_in_the_registry() -> None:
    for engine, ignored in engines.IGNORED.items():
        for name, parameters in ignored.items():
            assert engine in ALGORITHMS[name].engines
            assert set(parameters) <= {p.name for p in ALGORITHMS[name].parameters}


@pytest.mark.parametrize("name", ["pagerank", "eigenvector"])
def test_networkx_says_what_helps_where_it_does_not_converge(name: str) -> None:
    with pytest.raises(UsageError, match=r"within 10 iterations.*max_iterations or tolerance"):
        run(KARATE, name, "networkx", max_iterations=1, tolerance=1e-15)


def test_an_unknown_source() -> None:
    with pytest.raises(NotFoundError, match="no feature 'nowhere'"):
        run(KARATE, "personalised_pagerank", "igraph", sources=["nowhere"])


def test_networkx_has_no_leiden_to_judge() -> None:
    with pytest.raises(UsageError, match="no leiden"):
        run(KARATE, "modularity", "networkx")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"speed": 1}, "has no parameter 'speed'. It has: damping"),
        ({"damping": 1.5}, "damping is 1.5. It must be 1 or less"),
        ({"damping": "much"}, "It must be a number"),
        ({"damping": float("nan")}, "a finite number"),
        ({"max_iterations": 2.5}, "a whole number"),
        ({"max_iterations": True}, "a whole number"),
        ({"weighted": "perhaps"}, "true or false"),
    ],
)
def test_wrong_parameters(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        algorithm("pagerank").fill(given)


def test_parameters_from_text() -> None:
    filled = algorithm("fastrp").fill({"iteration_weights": "0, 1,0.5", "weighted": "no"})
    assert filled["iteration_weights"] == (0.0, 1.0, 0.5)
    assert filled["weighted"] is False
    assert algorithm("label-propagation").fill({"max_iterations": "7"})["max_iterations"] == 7
    with pytest.raises(UsageError, match="needs the parameter 'sources'"):
        algorithm("personalised_pagerank").fill({})
    with pytest.raises(UsageError, match="one of adamic_adar"):
        algorithm("link_prediction").fill({"by": "luck"})


def test_what_an_algorithm_requires() -> None:
    with pytest.raises(NotFoundError, match="There are: pagerank"):
        algorithm("magic")
    with pytest.raises(UsageError, match="These have: gds"):
        algorithm("fastrp").require("igraph", directed=False)
    with pytest.raises(UsageError, match="needs a graph with direction"):
        algorithm("hits").require("gds", directed=False)
    with pytest.raises(UsageError, match="without direction"):
        algorithm("leiden").require("gds", directed=True)
