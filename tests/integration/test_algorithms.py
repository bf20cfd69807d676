"""Algorithms on Graph Data Science: the graphs they see, their values, and what they write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from atlas.analysis import analyse, run_algorithm
from atlas.analysis.algorithms import ALGORITHMS
from atlas.analysis.engines import gds_groups
from atlas.analysis.engines.gds_calls import run as gds_run
from atlas.analysis.engines.gds_graph import construct, gds_client, project
from atlas.analysis.estimate import estimate_algorithm
from atlas.analysis.given import Given
from atlas.analysis.outputs import NodeScores, NodeVectors, Pairs, Partition, Scalars
from atlas.analysis.projection import projection
from atlas.analysis.reading import read_network
from atlas.analysis.writing import write_result
from atlas.errors import DatabaseError, UsageError
from atlas.graph.reader import DriverReader
from ingest.load import load
from ingest.verify import graph_checksum
from tests.builds import DEAD, ISOLATED, SIZE, key, planted, planted_edges, write_build

if TYPE_CHECKING:
    from neo4j import Driver

    from atlas.analysis.network import Network
    from atlas.analysis.outputs import AlgorithmResult
    from atlas.graph.server import ManagedServer

pytestmark = pytest.mark.db

ROOT = Path(__file__).parents[2]
RUN = "synthetic"
GRAPHS = "CALL gds.graph.list() YIELD graphName RETURN graphName"

# Writes the core numbers in batches of five and kills itself before the third.
KILLED = """
import os, signal
import atlas.analysis.writing as writing
from atlas.analysis import run_algorithm
from atlas.analysis.projection import projection
from atlas.api import Atlas

def batches(rows):
    for start in range(0, len(rows), 5):
        if start == 10:
            os.kill(os.getpid(), signal.SIGKILL)
        yield rows[start:start + 5]

writing.batches = batches
with Atlas.connect() as atlas:
    found = run_algorithm(atlas.driver, "kcore", graph=projection("synthetic", top_k=0))
    writing.write_result(atlas.driver, "synthetic", found)
"""


def build(folder: Path) -> Path:
    """Write the planted build with pairs that are no similarity, and some of other kinds."""
    run, rows = planted()
    like = rows["edges"][0]

    def edge(a: int, b: int, **more: Any) -> dict[str, Any]:
        return {**like, "source": key(a), "target": key(b), **more}

    rows["edges"] += [
        # Strong by every other measure, but not by the one that counts.
        edge(0, 16, kind="token", phi=-0.4, npmi=0.9, cosine=0.9, jaccard=0.9),
        edge(1, 17, kind="exclusive", phi=0.7, cosine=0.9),
        edge(2, 18, kind="topic", phi=-0.1, r_topic=0.5),
        edge(3, 19, kind="topic", phi=0.2, r_topic=-0.5),
        edge(4, 12, kind="topic", phi=0.01, r_topic=0.4),
        edge(6, 13, kind="topic", phi=0.05, r_topic=0.6),
        edge(6, 13, kind="exclusive", phi=0.05),
        edge(5, DEAD, kind="token", phi=0.9),
    ]
    implied = rows["implies"][0]
    rows["implies"] += [
        implied | {"source": key(8), "target": key(9), "p_target_given_source": 0.95},
        implied | {"source": key(9), "target": key(10)},
        implied | {"source": key(8), "target": key(10)},
        implied | {"source": key(3), "target": key(4), "absorption": True},
        implied | {"source": key(5), "target": key(6), "lift": 0.4},
    ]
    return write_build(folder, run, rows)


@pytest.fixture(scope="module")
def loaded(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> Driver:
    driver.execute_query("MATCH (n) DETACH DELETE n")
    load(driver, build(tmp_path_factory.mktemp("build") / "b"))
    return driver


@pytest.fixture(scope="module")
def network(loaded: Driver) -> Network:
    return read_network(DriverReader(loaded), projection(RUN))


def edges_of(network: Network) -> dict[tuple[str, str], float]:
    rows = zip(network.source, network.target, network.weight, strict=True)
    return {(network.keys[a], network.keys[b]): w for a, b, w in rows}


def numbers(pairs: dict[tuple[str, str], float]) -> dict[tuple[int, int], float]:
    return {(int(a.rsplit("/")[-1]), int(b.rsplit("/")[-1])): w for (a, b), w in pairs.items()}


def test_the_backbone_is_read(network: Network) -> None:
    assert network.keys == [key(index) for index in range(ISOLATED + 1)]
    assert numbers(edges_of(network)) == pytest.approx(planted_edges())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"kinds": ("topic",)}, {(4, 12): 0.4}),
        (
            {"relationship": "IMPLIES"},
            {(0, 1): 0.8, (9, 8): 0.8, (8, 9): 0.95, (9, 10): 0.8, (8, 10): 0.8},
        ),
        (
            {"relationship": "IMPLIES", "directed": False},
            {(0, 1): 0.8, (8, 9): 0.95, (9, 10): 0.8, (8, 10): 0.8},
        ),
        ({"relationship": "SIMILAR_TO", "top_k": 0}, {(0, 1): 0.7, (2, 9): 0.7}),
        ({"kinds": ("token", "topic"), "top_k": 0, "min_weight": 0.4}, None),
        ({"top_k": 0, "weight": "jaccard"}, None),
    ],
)
def test_both_ways_of_reading_give_the_same_graph(
    loaded: Driver, given: dict[str, Any], expected: dict[tuple[int, int], float] | None
) -> None:
    projected = projection(RUN, **given)
    read = numbers(edges_of(read_network(DriverReader(loaded), projected)))
    assert read
    if expected is not None:
        assert read == pytest.approx(expected)
    never = {(0, 16), (1, 17), (2, 18), (3, 19), (6, 13), (3, 4), (5, 6), (5, DEAD)} - set(
        planted_edges()
    )
    assert not never & set(read), "these go against each other, or never fire"
    with project(loaded, projected) as graph:
        frame = graph.gds.graph.relationships.stream(
            graph.graph, relationship_properties=["weight"]
        )
        ends = [graph.places(frame[name]) for name in ("sourceNodeId", "targetNodeId")]
        found: dict[tuple[str, str], float] = {}
        for a, b, weight in zip(*ends, frame.iloc[:, -1], strict=True):
            found[graph.keys[a], graph.keys[b]] = weight
        assert graph.edges == len(read)
    mine = numbers(found)
    both = read if projected.directed else read | {(b, a): w for (a, b), w in read.items()}
    assert mine == pytest.approx(both)


SCORES = [
    (name, "IMPLIES" if spec.direction == "directed" else "CO_OCCURS")
    for name, spec in ALGORITHMS.items()
    if spec.output == "scores" and {"gds", "networkx"} <= set(spec.engines)
] + [(name, "IMPLIES") for name in ("pagerank", "personalised_pagerank", "degree", "strength")]


@pytest.mark.parametrize(("name", "relationship"), SCORES)
def test_scores_agree_with_networkx(loaded: Driver, name: str, relationship: str) -> None:
    given = {"sources": [key(8), key(0)]} if name == "personalised_pagerank" else {}
    found, expected = (
        run_algorithm(
            loaded, name, graph=projection(RUN, relationship), engine=engine, parameters=given
        )
        for engine in ("gds", "networkx")
    )
    assert found.engine == "gds"
    assert found.exact == found.details.get("did_converge", True)
    mine, theirs = found.by_key(), expected.by_key()
    assert set(mine) == set(theirs)
    # GDS ends the power method before it overflows.
    loose = 5e-3 if name == "eigenvector" else 1e-5
    for one in theirs:
        assert mine[one] == pytest.approx(theirs[one], rel=loose, abs=loose / 10), one


def test_a_network_handed_over_gives_the_same(loaded: Driver, network: Network) -> None:
    native, handed = (
        run_algorithm(loaded, "pagerank", graph=graph) for graph in (projection(RUN), network)
    )
    assert handed.by_key() == pytest.approx(native.by_key(), rel=1e-9)
    assert (native.suffix, handed.suffix) == ("", "_network")
    assert handed.projection["edges"] == network.edges
    assert DriverReader(loaded).read(GRAPHS) == []


@pytest.mark.parametrize("name", ["leiden", "louvain", "label_propagation"])
def test_partitions(loaded: Driver, network: Network, name: str) -> None:
    results = [run_algorithm(loaded, name, graph=projection(RUN), seed=3) for _ in range(2)]
    outputs = [result.output for result in results]
    assert isinstance(outputs[0], Partition)
    assert isinstance(outputs[1], Partition)
    assert outputs[0].levels.tolist() == outputs[1].levels.tolist()
    groups = results[0].by_key()
    assert len({groups[key(index)] for index in range(SIZE)}) == 1
    assert groups[key(ISOLATED)] not in {groups[key(index)] for index in range(ISOLATED)}
    assert outputs[0].levels[:, -1].tolist() == outputs[0].groups.tolist()
    assert (results[0].seed == 3) == (name == "leiden")
    handed = Given(groups=results[0])
    for judge in ("modularity", "conductance"):
        mine, theirs = (
            run_algorithm(loaded, judge, graph=network, engine=engine, given=handed).output
            for engine in ("gds", "networkx")
        )
        assert isinstance(mine, Scalars)
        assert isinstance(theirs, Scalars)
        for value, expected in theirs.values.items():
            np.testing.assert_allclose(mine.values[value], expected, atol=1e-9)
        if judge == "modularity" and name != "label_propagation":
            assert mine.values["modularity"] == pytest.approx(results[0].details["modularity"])


def test_judging_what_is_made_on_the_way(loaded: Driver) -> None:
    leiden = run_algorithm(loaded, "leiden", graph=projection(RUN))
    judged = run_algorithm(loaded, "modularity", graph=projection(RUN)).output
    assert isinstance(judged, Scalars)
    assert judged.values["modularity"] == pytest.approx(leiden.details["modularity"])


def test_the_partition_judged_is_made_with_the_registrys_defaults(
    loaded: Driver, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: dict[str, Any] = {}
    monkeypatch.setattr(
        gds_groups, "run", lambda *given, **more: called.update(more) or gds_run(*given, **more)
    )
    run_algorithm(loaded, "modularity", graph=network, parameters={"of": "label_propagation"})
    assert called["max_iterations"] == 50
    with pytest.raises(UsageError, match="not above 0"):
        run_algorithm(loaded, "pagerank", graph=network.weighted(network.weight - 0.5))


def test_a_client_may_be_handed_over(loaded: Driver, network: Network) -> None:
    client = gds_client(loaded)
    with project(loaded, projection(RUN), gds=client) as one:
        assert one.gds is client
    with construct(loaded, network, gds=client) as other:
        assert other.gds is client


def test_betweenness_is_sampled_above_a_size(loaded: Driver) -> None:
    exact = run_algorithm(loaded, "betweenness", graph=projection(RUN))
    asked = {"exact_nodes": 5, "samples": 12}
    sampled, again = (
        run_algorithm(loaded, "betweenness", graph=projection(RUN), parameters=asked, seed=2)
        for _ in range(2)
    )
    assert (exact.exact, exact.details["samples"]) == (True, ISOLATED + 1)
    assert (sampled.exact, sampled.details["samples"], sampled.seed) == (False, 12, 2)
    assert sampled.by_key() == again.by_key()
    assert sampled.by_key() != exact.by_key()


def test_vectors_and_what_is_made_of_them(loaded: Driver, network: Network) -> None:
    made = run_algorithm(loaded, "fastrp", graph=projection(RUN), parameters={"dimension": 32})
    assert isinstance(made.output, NodeVectors)
    assert made.output.values.shape == (ISOLATED + 1, 32)
    near = run_algorithm(
        loaded, "knn", graph=projection(RUN), parameters={"dimension": 32, "top_k": 3}
    )
    # The same vectors, handed over and read from the features.
    vectors = {k: v.tolist() for k, v in made.by_key().items()}
    handed = run_algorithm(
        loaded, "knn", graph=network, parameters={"top_k": 3}, given=Given(vectors=vectors)
    )
    write_result(loaded, RUN, made)
    loaded.execute_query("MATCH (f:Feature) WHERE NOT f.dead SET f.decoder = f.fastrp")
    stored = run_algorithm(
        loaded, "knn", graph=projection(RUN), parameters={"top_k": 3, "vectors": "decoder"}
    )
    loaded.execute_query("MATCH (f:Feature) REMOVE f.decoder")
    alone = list(made.keys).index(key(ISOLATED))
    length = np.linalg.norm(made.output.values, axis=1, keepdims=True)
    unit = made.output.values / np.where(length > 0, length, 1)
    for result in (near, handed, stored):
        assert isinstance(result.output, Pairs)
        output = result.output
        places = {k: place for place, k in enumerate(made.keys)}
        a = [places[result.keys[s]] for s in output.source]
        b = [places[result.keys[t]] for t in output.target]
        linked = [
            (i, x, y) for i, (x, y) in enumerate(zip(a, b, strict=True)) if alone not in (x, y)
        ]
        cosine = [float(unit[x] @ unit[y]) for _, x, y in linked]
        scores = [output.columns["score"][i] for i, _, _ in linked]
        # GDS scales the cosine to 0 to 1.
        np.testing.assert_allclose(scores, (1 + np.array(cosine)) / 2, atol=1e-5)
        assert max(np.bincount(output.source)) == 3
    groups = run_algorithm(
        loaded,
        "kmeans",
        graph=network,
        parameters={"k": 3},
        given=Given(vectors=vectors),
    ).output
    assert isinstance(groups, Partition)
    assert len(set(groups.groups.tolist())) == 3
    with pytest.raises(UsageError, match="25 of 25 features have no vector 'nothing'"):
        run_algorithm(loaded, "knn", graph=network, parameters={"vectors": "nothing"})


def test_node_similarity_agrees_with_our_own(loaded: Driver) -> None:
    asked = {"top_k": 30, "cutoff": 0.2, "min_degree": 3, "max_degree": 6}
    mine, theirs = (
        run_algorithm(
            loaded, "node_similarity", graph=projection(RUN), parameters=asked, engine=engine
        )
        for engine in ("scipy", "gds")
    )
    found = []
    for result in (mine, theirs):
        assert isinstance(result.output, Pairs)
        source, target = result.output.source, result.output.target
        ends = [(result.keys[a], result.keys[b]) for a, b in zip(source, target, strict=True)]
        found.append(dict(zip(ends, result.output.columns["score"].tolist(), strict=True)))
    assert len(found[0]) > 10
    assert found[0] == pytest.approx(found[1])


def test_what_does_not_fit_is_refused_with_numbers(loaded: Driver, network: Network) -> None:
    filled = ALGORITHMS["fastrp"].fill({})
    small = estimate_algorithm(loaded, "fastrp", graph=network, parameters=filled)
    assert small.fits
    assert (small.nodes, small.edges) == (network.nodes, network.edges)
    assert 0 < small.needed < small.free <= small.heap
    for name, spec in ALGORITHMS.items():
        if "gds" in spec.engines:
            given = {"sources": [key(0)]} if name == "personalised_pagerank" else {}
            estimate_algorithm(loaded, name, graph=network, parameters=spec.fill(given)).require()
    with pytest.raises(DatabaseError, match=r"fastrp on 25 features and \d+ edges needs up to"):
        run_algorithm(loaded, "fastrp", graph=projection(RUN), parameters={"dimension": 20_000_000})
    assert DriverReader(loaded).read(GRAPHS) == []


def features(driver: Driver, *names: str) -> list[dict[str, Any]]:
    wanted = ", ".join(f"f.{name} AS {name}" for name in names)
    return DriverReader(driver).read(f"MATCH (f:Feature) RETURN {wanted} ORDER BY f.index")


def write(driver: Driver, name: str, **given: Any) -> AlgorithmResult:
    found = run_algorithm(driver, name, **{"graph": projection(RUN), **given})
    write_result(driver, RUN, found)
    return found


def test_scores_are_written_and_replaced(loaded: Driver) -> None:
    found = write(loaded, "kcore")
    rows = features(loaded, "key", "core", "scored_run")
    assert {row["key"]: row["core"] for row in rows if row["core"] is not None} == found.by_key()
    assert [row["scored_run"] for row in rows] == [*[RUN] * (ISOLATED + 1), None]
    before = graph_checksum(loaded)
    write(loaded, "kcore")
    assert graph_checksum(loaded) == before, "the same again changes nothing"
    write(loaded, "kcore", graph=projection(RUN, "SIMILAR_TO", top_k=0))
    assert features(loaded, "core") == [{"core": row["core"]} for row in rows]
    assert features(loaded, "core_similar")[2] == {"core_similar": 1}
    record = DriverReader(loaded).read(
        "MATCH (a:AlgorithmRun {key: 'synthetic/core_similar'})-[:USED]->(:Run) RETURN a"
    )[0]["a"]
    assert record["property"] == "core_similar"
    assert (record["engine"], record["exact"], record["top_k"]) == ("gds", True, 0)
    assert json.loads(record["projection"])["relationship"] == "SIMILAR_TO"


def test_every_kind_of_output_is_written(loaded: Driver) -> None:
    write(loaded, "hits", graph=projection(RUN, "IMPLIES"))
    assert features(loaded, "hub_implies")[8]["hub_implies"] > 0.1
    write(loaded, "leiden")
    levels = features(loaded, "leiden_levels", "leiden_group")
    assert levels[0]["leiden_levels"][-1] == levels[0]["leiden_group"]
    write(loaded, "modularity")
    record = DriverReader(loaded).read(
        "MATCH (a:AlgorithmRun {key: 'synthetic/modularity'}) RETURN a"
    )
    assert record[0]["a"]["modularity"] > 0.5
    counts = []
    for top_k in (2, 4, 2):
        found = write(loaded, "link_prediction", parameters={"top_k": top_k})
        assert isinstance(found.output, Pairs)
        joined = DriverReader(loaded).read(
            "MATCH (a:Feature)-[r:MAY_JOIN {run: 'synthetic'}]->(b:Feature)"
            " WHERE r.algorithm_run = 'synthetic/link_prediction'"
            " RETURN a.index AS a, b.index AS b, r.adamic_adar AS score"
        )
        assert len(joined) == len(found.output.source)
        assert all(row["score"] > 0 for row in joined)
        counts.append(len(joined))
    assert counts[0] == counts[2] < counts[1]


def test_one_feature_has_the_scores_of_one_run(loaded: Driver) -> None:
    found = run_algorithm(loaded, "kcore", graph=projection(RUN))
    before = graph_checksum(loaded)
    loaded.execute_query("MATCH (f:Feature {index: 3}) SET f.scored_run = 'other'")
    with pytest.raises(UsageError, match="hold the scores of the run other"):
        write_result(loaded, RUN, found)
    loaded.execute_query("MATCH (f:Feature {index: 3}) SET f.scored_run = 'synthetic'")
    assert graph_checksum(loaded) == before


def test_an_analysis_leaves_other_algorithms_be(loaded: Driver) -> None:
    write(loaded, "kcore")
    core = features(loaded, "core")
    analyse(loaded, RUN)
    assert features(loaded, "core") == core
    assert features(loaded, "pagerank")[0]["pagerank"] > 0
    keys = DriverReader(loaded).read("MATCH (a:AlgorithmRun) RETURN a.key AS key")
    assert {"synthetic/core", "synthetic/leiden"} <= {row["key"] for row in keys}


def test_a_write_that_is_killed_leaves_the_old_whole(loaded: Driver, server: ManagedServer) -> None:
    write(loaded, "kcore")
    before = graph_checksum(loaded)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NEO4J_")}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED],
        cwd=ROOT,
        env=environment | {"ATLAS_HOME": str(server.home)},
        timeout=180,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert graph_checksum(loaded) == before, "nothing is half written"
    found = run_algorithm(loaded, "kcore", graph=projection(RUN, top_k=0))
    write_result(loaded, RUN, found)
    assert graph_checksum(loaded) != before, "and what was to be written is something else"


def test_a_write_that_fails_half_way_leaves_the_old_whole(loaded: Driver) -> None:
    write(loaded, "kcore")
    before = graph_checksum(loaded)
    found = run_algorithm(loaded, "kcore", graph=projection(RUN, top_k=0))
    broken = replace(found, details={"unfit": {"for": "a property"}})
    with pytest.raises((DatabaseError, UsageError)):
        write_result(loaded, RUN, broken)
    assert graph_checksum(loaded) == before


def test_wrong_graphs(loaded: Driver, network: Network) -> None:
    with pytest.raises(UsageError, match="has no FEEDS above weight 0"):
        run_algorithm(loaded, "hits", graph=projection(RUN, "FEEDS"))
    with pytest.raises(UsageError, match="has no edge that is among the strongest 1"):
        run_algorithm(loaded, "kcore", graph=projection(RUN, top_k=1), engine="igraph")
    leiden = run_algorithm(loaded, "leiden", graph=network)
    fewer = replace(leiden, keys=["x", *leiden.keys[1:]])
    with pytest.raises(UsageError, match="of other features"):
        run_algorithm(loaded, "modularity", graph=network, given=Given(groups=fewer))
    scores = replace(leiden, output=NodeScores({}))
    with pytest.raises(UsageError, match="makes no partition"):
        run_algorithm(loaded, "modularity", graph=network, given=Given(groups=scores))


def test_a_graph_is_dropped_on_failure(loaded: Driver, network: Network) -> None:
    with pytest.raises(KeyError), construct(loaded, network):
        raise KeyError
    assert DriverReader(loaded).read(GRAPHS) == []
