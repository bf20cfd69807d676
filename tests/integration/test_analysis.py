"""Centrality and communities against networkx, written back, repeatable, and cleaned up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx
import pytest

from atlas.analysis import AnalysisSummary, analyse
from atlas.analysis.centrality import eigenvector_iterations
from atlas.analysis.projection import backbone, gds_client
from atlas.errors import NotFoundError, UsageError
from atlas.graph.reader import DriverReader
from ingest.load import load
from ingest.verify import graph_checksum
from tests.builds import DEAD, ISOLATED, SIZE, THEMES, key, planted, planted_edges, write_build

if TYPE_CHECKING:
    from neo4j import Driver

    from atlas.graph.server import ManagedServer

pytestmark = pytest.mark.db

ROOT = Path(__file__).parents[2]
GRAPHS = "CALL gds.graph.list() YIELD graphName RETURN graphName"

# Analyses a run and kills itself at a given call of a function of the analysis.
KILLED = """
import os, signal, sys
import atlas.analysis.run as run
from atlas.api import Atlas

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(run, sys.argv[1], die)
with Atlas.connect() as atlas:
    atlas.analyse("synthetic")
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_build(tmp_path_factory.mktemp("build") / "b")


@pytest.fixture(scope="module")
def summary(driver: Driver, build: Path) -> AnalysisSummary:
    driver.execute_query("MATCH (n) DETACH DELETE n")
    load(driver, build)
    return analyse(driver, "synthetic", seed=7)


@pytest.fixture(scope="module")
def scores(driver: Driver, summary: AnalysisSummary) -> dict[int, dict[str, Any]]:
    rows = DriverReader(driver).read("MATCH (f:Feature) RETURN properties(f) AS f")
    return {row["f"]["index"]: row["f"] for row in rows}


@pytest.fixture(scope="module")
def graph() -> nx.Graph:
    graph = nx.Graph()
    graph.add_nodes_from(range(ISOLATED + 1))
    graph.add_weighted_edges_from((a, b, phi) for (a, b), phi in planted_edges().items())
    return graph


def close(
    scores: dict[int, dict[str, Any]], name: str, expected: dict[int, float], tolerance: float
) -> None:
    found = {index: scores[index][name] for index in expected}
    assert found == pytest.approx(expected, rel=tolerance, abs=tolerance)


def test_the_backbone(summary: AnalysisSummary, graph: nx.Graph) -> None:
    assert (summary.features, summary.edges) == (ISOLATED + 1, graph.number_of_edges())


def test_degree_and_strength(scores: dict[int, dict[str, Any]], graph: nx.Graph) -> None:
    assert {index: scores[index]["degree"] for index in graph} == dict(graph.degree())
    close(scores, "strength", dict(graph.degree(weight="weight")), 1e-9)


def test_pagerank(scores: dict[int, dict[str, Any]], graph: nx.Graph) -> None:
    # networkx spreads the rank of features without edges; GDS leaves them the teleport share.
    linked = graph.subgraph(range(ISOLATED))
    ranks = nx.pagerank(linked, alpha=0.85, tol=1e-12, max_iter=1000)
    close(scores, "pagerank", {i: rank * len(linked) for i, rank in ranks.items()}, 1e-5)
    assert scores[ISOLATED]["pagerank"] == pytest.approx(0.15)


def test_betweenness(scores: dict[int, dict[str, Any]], graph: nx.Graph) -> None:
    close(scores, "betweenness", nx.betweenness_centrality(graph, normalized=False), 1e-9)


def test_closeness(scores: dict[int, dict[str, Any]], graph: nx.Graph) -> None:
    close(scores, "closeness", nx.closeness_centrality(graph, wf_improved=True), 1e-9)


def test_eigenvector(scores: dict[int, dict[str, Any]], graph: nx.Graph) -> None:
    linked = graph.subgraph(range(ISOLATED))
    close(scores, "eigenvector", nx.eigenvector_centrality_numpy(linked), 5e-4)
    assert scores[ISOLATED]["eigenvector"] == pytest.approx(0.0, abs=1e-12)


def test_gds_overflows_beyond_the_eigenvectors_iterations(
    driver: Driver, summary: AnalysisSummary
) -> None:
    """Holds the reason for `eigenvector_iterations`; if GDS mends it, the limit can go."""
    gds = gds_client(driver)
    with backbone(gds, "synthetic") as graph:
        endless = gds.eigenvector.stream(graph.graph, max_iterations=1000, tolerance=1e-12)
        limit = eigenvector_iterations(graph.top_k)
        held = gds.eigenvector.stream(graph.graph, max_iterations=limit, tolerance=1e-12)
    assert sum(endless["score"] ** 2) == 0
    assert sum(held["score"] ** 2) == pytest.approx(1.0)


def test_leiden_finds_the_planted_communities(
    driver: Driver, summary: AnalysisSummary, graph: nx.Graph
) -> None:
    rows = DriverReader(driver).read(
        "MATCH (f:Feature)-[m:MEMBER_OF]->(c:Community)-[:PRODUCED_BY]->(a:AlgorithmRun)"
        "-[:USED]->(:Run {key: 'synthetic'})"
        " WHERE f.community = c.key AND m.algorithm_run = a.key"
        " RETURN c.key AS key, c.number AS number, c.size AS size, c.label AS label,"
        " a.modularity AS modularity, collect(f.index) AS members ORDER BY number"
    )
    assert [row["key"] for row in rows] == [f"synthetic/leiden/{n}" for n in (1, 2, 3)]
    members = [sorted(row["members"]) for row in rows]
    planted_members = [list(range(n * SIZE, (n + 1) * SIZE)) for n in range(len(THEMES))]
    assert sorted(members) == planted_members
    for row in rows:
        assert row["size"] == SIZE
        assert row["label"].split(" · ")[0] == THEMES[row["members"][0] // SIZE]
    partition = [set(group) for group in members] + [{ISOLATED}]
    modularity = nx.community.modularity(graph, partition, weight="weight")
    assert rows[0]["modularity"] == pytest.approx(modularity, abs=1e-9)
    assert summary.modularity == rows[0]["modularity"]
    assert (summary.communities, summary.members) == (3, 24)


def test_features_that_never_fire_have_no_scores(scores: dict[int, dict[str, Any]]) -> None:
    assert "pagerank" not in scores[DEAD]
    assert "scored_run" not in scores[DEAD]
    assert "community" not in scores[ISOLATED]


def test_every_algorithm_is_recorded(driver: Driver, summary: AnalysisSummary) -> None:
    rows = DriverReader(driver).read(
        "MATCH (a:AlgorithmRun {run: 'synthetic'})-[:USED]->(:Run) RETURN properties(a) AS a"
    )
    runs = {row["a"]["property"]: row["a"] for row in rows}
    assert set(runs) == {*summary.algorithms[:-1], "community"}
    leiden = runs["community"]
    assert (leiden["seed"], leiden["concurrency"], leiden["top_k"]) == (7, 1, 10)
    assert leiden["gds_version"].startswith("2.")
    assert json.loads(leiden["parameters"])["randomSeed"] == 7
    assert json.loads(runs["pagerank"]["parameters"])["dampingFactor"] == 0.85
    assert runs["pagerank"]["did_converge"]
    assert runs["pagerank"]["milliseconds"] >= 0


def test_a_second_analysis_changes_nothing(driver: Driver, summary: AnalysisSummary) -> None:
    before = graph_checksum(driver)
    assert analyse(driver, "synthetic", seed=7).modularity == summary.modularity
    assert graph_checksum(driver) == before
    assert DriverReader(driver).read(GRAPHS) == []


def test_an_analysis_replaces_the_last(driver: Driver, summary: AnalysisSummary) -> None:
    before = graph_checksum(driver)
    # Without the strongest edges there are other communities and scores.
    driver.execute_query("MATCH ()-[r:CO_OCCURS]->() WHERE r.phi > 0.6 SET r.rank_source = 99")
    analyse(driver, "synthetic", seed=7)
    assert graph_checksum(driver) != before
    driver.execute_query("MATCH ()-[r:CO_OCCURS {rank_source: 99}]->() SET r.rank_source = 1")
    analyse(driver, "synthetic", seed=7)
    assert graph_checksum(driver) == before


@pytest.mark.parametrize("moment", ["read_values", "write_analysis"])
def test_a_killed_analysis_is_repeated(
    driver: Driver, server: ManagedServer, summary: AnalysisSummary, moment: str
) -> None:
    before = graph_checksum(driver)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("NEO4J_")
    }
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, moment],
        cwd=ROOT,
        env=environment | {"ATLAS_HOME": str(server.home)},
        timeout=180,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert graph_checksum(driver) == before, "nothing is half written"
    assert len(DriverReader(driver).read(GRAPHS)) == 1, "the killed one left its projection"
    analyse(driver, "synthetic", seed=7)
    assert graph_checksum(driver) == before
    assert DriverReader(driver).read(GRAPHS) == []


def test_the_projection_is_dropped_on_failure(driver: Driver, summary: AnalysisSummary) -> None:
    with pytest.raises(KeyError), backbone(gds_client(driver), "synthetic"):
        raise KeyError
    assert DriverReader(driver).read(GRAPHS) == []


def test_wrong_calls(driver: Driver, summary: AnalysisSummary) -> None:
    with pytest.raises(NotFoundError, match="It has: synthetic"):
        analyse(driver, "other")
    with pytest.raises(UsageError, match="top_k is 0"):
        analyse(driver, "synthetic", top_k=0)
    with pytest.raises(UsageError, match="no edge that is among the strongest 1"):
        analyse(driver, "synthetic", top_k=1)
    assert DriverReader(driver).read(GRAPHS) == []


def test_the_order_of_the_rows_does_not_matter(
    driver: Driver, scores: dict[int, dict[str, Any]], tmp_path: Path
) -> None:
    run, rows = planted()
    # Other internal ids for the same features.
    for table in rows.values():
        table.reverse()
    rows["features"].sort(key=lambda row: row["index"] * 7 % 26)
    load(driver, write_build(tmp_path / "b", run, rows), force=True)
    analyse(driver, "synthetic", seed=7)
    again = DriverReader(driver).read("MATCH (f:Feature) RETURN properties(f) AS f")
    assert {row["f"]["index"]: row["f"] for row in again} == scores
    internal = driver.execute_query(
        "MATCH (f:Feature) RETURN f.key AS key ORDER BY elementId(f)"
    ).records
    assert [row["key"] for row in internal] != [key(index) for index in range(DEAD + 1)]
