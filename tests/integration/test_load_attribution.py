"""Attribution runs beside builds: what they bring, and what is refused beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from atlas.errors import ArtifactError, DatabaseError
from atlas.graph.reader import DriverReader
from ingest.load import load
from ingest.load_attribution import load_attribution
from ingest.verify import graph_checksum, verify_load
from tests.builds import SAE, key, planted_attribution, write_attribution, write_build

if TYPE_CHECKING:
    from pathlib import Path

    from neo4j import Driver

pytestmark = pytest.mark.db

NOT_THE_BUILDS = """
MATCH (n) WHERE n:PromptSet OR n:Prompt OR (n:Run AND n.kind = 'attribution')
RETURN count(n) AS n
"""


@pytest.fixture(scope="module")
def mapped(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> Path:
    driver.execute_query("MATCH (n) DETACH DELETE n")
    folder = write_build(tmp_path_factory.mktemp("build") / "b")
    load(driver, folder)
    return folder


@pytest.fixture
def graph(driver: Driver, mapped: Path) -> Driver:
    """Return a driver of a database with the build alone."""
    driver.execute_query("MATCH (n) WHERE n:PromptSet OR n:Prompt DETACH DELETE n")
    driver.execute_query("MATCH (n:Run {kind: 'attribution'}) DETACH DELETE n")
    driver.execute_query("MATCH ()-[r:CO_ATTRIBUTED]->() DELETE r")
    return driver


def read(driver: Driver, text: str, **parameters: object) -> list[dict[str, object]]:
    return DriverReader(driver).read(text, parameters)


def test_edges_prompts_and_provenance(graph: Driver, tmp_path: Path) -> None:
    summary = load_attribution(graph, write_attribution(tmp_path / "a"))
    assert summary.loaded
    assert summary.rows == {"prompts": 3, "co_attributed": 2}
    wanted = planted_attribution()
    edges = read(
        graph,
        "MATCH (a:Feature)-[r:CO_ATTRIBUTED]->(b:Feature) "
        "RETURN a.key AS source, b.key AS target, properties(r) AS r ORDER BY source",
    )
    for edge, row in zip(edges, wanted["co_attributed"], strict=True):
        own = {name: value for name, value in row.items() if name not in ("source", "target")}
        low, high = (row[end].rsplit("/", 1)[1] for end in ("source", "target"))
        own |= {"run": summary.run, "key": f"{summary.run}|{SAE}|{low}|{high}|"}
        assert edge == {"source": row["source"], "target": row["target"], "r": own}
    prompts = read(
        graph,
        "MATCH (r:Run)-[:USED]->(s:PromptSet)<-[:IN]-(p:Prompt) "
        "RETURN r.key AS run, r.state AS state, s.key AS name, properties(p) AS p ORDER BY p.key",
    )
    assert {(row["run"], row["state"], row["name"]) for row in prompts} == {
        (summary.run, "loaded", "capitals")
    }
    for found, row in zip(prompts, wanted["prompts"], strict=True):
        left_out = ("prompt_set", "group")
        assert found["p"] == {name: row[name] for name in row if name not in left_out}


def test_a_second_load_changes_nothing_and_the_build_stays(
    graph: Driver, mapped: Path, tmp_path: Path
) -> None:
    from ingest.build_folder import open_build

    folder = write_attribution(tmp_path / "a")
    before = graph_checksum(graph)
    assert load_attribution(graph, folder).loaded
    once = graph_checksum(graph)
    assert once != before
    assert not load_attribution(graph, folder).loaded
    assert load_attribution(graph, folder, force=True).loaded
    assert graph_checksum(graph) == once
    verify_load(graph, None, open_build(mapped))


def test_a_stopped_load_is_finished_by_another(graph: Driver, tmp_path: Path) -> None:
    folder = write_attribution(tmp_path / "a")
    load_attribution(graph, folder)
    whole = graph_checksum(graph)
    graph.execute_query("MATCH (r:Run {kind: 'attribution'}) SET r.state = 'loading'")
    graph.execute_query("MATCH ()-[r:CO_ATTRIBUTED]->() WITH r LIMIT 1 DELETE r")
    assert load_attribution(graph, folder).loaded
    assert graph_checksum(graph) == whole


def test_other_contents_replace_only_by_force(graph: Driver, tmp_path: Path) -> None:
    load_attribution(graph, write_attribution(tmp_path / "a"))
    rows = planted_attribution()
    rows["co_attributed"] = rows["co_attributed"][1:]
    other = write_attribution(tmp_path / "b", rows=rows)
    with pytest.raises(DatabaseError, match="with other contents"):
        load_attribution(graph, other)
    assert load_attribution(graph, other, force=True).loaded
    found = read(graph, "MATCH ()-[r:CO_ATTRIBUTED]->() RETURN count(r) AS n")
    assert found == [{"n": 1}]


def test_another_run_over_the_same_prompts_shares_them(graph: Driver, tmp_path: Path) -> None:
    load_attribution(graph, write_attribution(tmp_path / "a"))
    load_attribution(graph, write_attribution(tmp_path / "b", run_id="capitals-attribution-1"))
    counts = read(
        graph,
        "MATCH (p:Prompt) WITH count(p) AS prompts MATCH ()-[r:CO_ATTRIBUTED]->() "
        "RETURN prompts, count(r) AS edges",
    )
    assert counts == [{"prompts": 3, "edges": 4}]


def _stranger() -> dict[str, object]:
    rows = planted_attribution()
    rows["co_attributed"][0]["target"] = key(999)
    return {"rows": rows}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_stranger(), "names 1 features that the database does not have"),
        ({"saes": [{"key": "m/h/other", "weights_sha256": None}]}, "does not have"),
        ({"saes": [{"key": SAE, "weights_sha256": "9" * 64}]}, "other weights"),
    ],
)
def test_what_does_not_belong_to_the_graph_is_refused(
    graph: Driver, tmp_path: Path, change: dict[str, object], what: str
) -> None:
    with pytest.raises(DatabaseError, match=what):
        load_attribution(graph, write_attribution(tmp_path / "a", **change))
    assert read(graph, NOT_THE_BUILDS) == [{"n": 0}]


def test_other_prompts_of_the_same_name_are_refused(graph: Driver, tmp_path: Path) -> None:
    load_attribution(graph, write_attribution(tmp_path / "a"))
    other = write_attribution(
        tmp_path / "b",
        run_id="capitals-attribution-1",
        prompt_set={"name": "capitals", "sha256": "4" * 64},
    )
    with pytest.raises(DatabaseError, match="another prompt set of the name"):
        load_attribution(graph, other)


def test_files_that_are_not_whole_are_refused(graph: Driver, tmp_path: Path) -> None:
    folder = write_attribution(tmp_path / "a")
    path = folder / "co_attributed.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="truncated or altered"):
        load_attribution(graph, folder)
    with pytest.raises(ArtifactError, match="format 9"):
        load_attribution(graph, write_attribution(tmp_path / "b", format=9))
    with pytest.raises(ArtifactError, match="no finished attribution run"):
        load_attribution(graph, tmp_path)
    assert read(graph, NOT_THE_BUILDS) == [{"n": 0}]
