"""Follow-ups beside builds: what they bring, what is refused, and how they go again."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from atlas.errors import ArtifactError, DatabaseError, NotFoundError
from atlas.graph.reader import DriverReader
from atlas.progress import SilentReporter
from ingest.build_folder import open_build
from ingest.load import load
from ingest.load_evidence import load_evidence
from ingest.runs import drop_run
from ingest.verify import graph_checksum, verify_load
from queries.catalogue import run as ask
from queries.followups.evidence import open_evidence, save_evidence
from queries.followups.evidence_tables import CONCERNS, ON
from queries.followups.replay import evidence_of_graph
from tests.builds import SAE, key, write_build
from tests.followup_evidence import planted_evidence

if TYPE_CHECKING:
    from pathlib import Path

    from neo4j import Driver

pytestmark = pytest.mark.db
WEIGHTS = "1" * 64


class Notes(SilentReporter):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, line: str) -> None:
        self.said.append(line)


@pytest.fixture(scope="module")
def mapped(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> Path:
    driver.execute_query("MATCH (n) DETACH DELETE n")
    folder = write_build(tmp_path_factory.mktemp("build") / "b")
    load(driver, folder)
    return folder


@pytest.fixture
def graph(driver: Driver, mapped: Path) -> Driver:
    """Return a driver of a database with the build alone."""
    for run in DriverReader(driver).read("MATCH (r:Run {kind: 'intervention'}) RETURN r.key AS k"):
        drop_run(driver, run["k"])
    return driver


def read(driver: Driver, text: str, **parameters: object) -> list[dict[str, Any]]:
    return DriverReader(driver).read(text, parameters)


def test_interventions_effects_and_changes_are_asked_for(graph: Driver, tmp_path: Path) -> None:
    found = planted_evidence(digest=WEIGHTS)
    summary = load_evidence(graph, save_evidence(found, tmp_path))
    assert summary.loaded
    assert {name: summary.rows[name] for name in ("interventions", "on", "effects", "affects")} == {
        "interventions": 2, "on": 4, "effects": 4, "affects": 2
    }  # fmt: skip
    reader = DriverReader(graph)
    listed = {row["key"]: row for row in ask(reader, "interventions")}
    assert {row["kind"] for row in listed.values()} == {"ablate", "several"}
    both = ask(reader, "intervention", intervention=f"{found.id}/2")[0]
    assert [(row["key"], row["strength"]) for row in both["on"]] == [
        (key(0), 4.0), (key(1), 2.0), (key(3), 2.0)
    ]  # fmt: skip
    rows = ask(reader, "effects", feature=0, prompts=True)
    assert [(row["metric"], row["change"], row["prompt"]) for row in rows] == [
        ("kl", 0.5, None), ("kl", None, None), ("logit", -2.0, None),
        ("logit", -1.0, "The heart pumps"),
    ]  # fmt: skip
    assert [(row["key"], row["change"]) for row in ask(reader, "affects", feature=0)] == [
        (key(1), -1.5), (key(8), 0.2)
    ]  # fmt: skip
    assert [row["key"] for row in ask(reader, "causes", feature=1)] == [key(0)]


def test_explanations_credit_features_and_name_what_they_are_of(
    graph: Driver, tmp_path: Path
) -> None:
    found = planted_evidence(digest=WEIGHTS)
    load_evidence(graph, save_evidence(found, tmp_path))
    reader = DriverReader(graph)
    every = {row["players"]: row for row in ask(reader, "explanations")}
    assert every["features"]["credits"] == [
        {"player": key(0), "value": 1.5}, {"player": key(1), "value": 0.5}
    ]  # fmt: skip
    assert every["tokens"]["of"] == key(0)
    assert every["tokens"]["credits"][0] == {"player": " finds", "value": 1.5}
    shares = {row["players"]: row["share"] for row in ask(reader, "explanations", feature=0)}
    assert shares == {"features": 1.5, "tokens": None}
    assert [row["share"] for row in ask(reader, "explanations", feature=1)] == [0.5]
    assert ask(reader, "explanations", feature=8) == []


def test_findings_concern_features_in_their_order(graph: Driver, tmp_path: Path) -> None:
    load_evidence(graph, save_evidence(planted_evidence(digest=WEIGHTS), tmp_path))
    reader = DriverReader(graph)
    first, second = ask(reader, "findings")
    assert (first["name"], first["verdict"], first["n"]) == ("H1", "it does", 2)
    assert (first["low"], first["estimate"], first["high"]) == (-3.0, -2.0, -1.0)
    assert first["concerns"] == []
    assert first["features"] == 0
    assert [row["feature"] for row in second["concerns"]] == [key(0), key(1)]
    assert second["statistic"] is None
    assert second["value"] is None
    of_feature = ask(reader, "findings", feature=1)
    assert [(row["name"], row["value"]) for row in of_feature] == [("community 1", 0.5)]
    assert ask(reader, "findings", run="another") == []


def test_what_is_of_an_sae_that_the_graph_lacks_is_left_out(graph: Driver, tmp_path: Path) -> None:
    found = planted_evidence(digest=WEIGHTS)
    other = "toy/blocks.3.hook_resid_pre/elsewhere"
    on = found.tables["on"].to_pylist()
    on[1]["feature"] = f"{other}/4"  # one of the second intervention's
    concerns = [*found.tables["concerns"].to_pylist(),
                {"finding": 1, "feature": f"{other}/4", "value": 1.0, "rank": 1}]  # fmt: skip
    changed = dataclasses.replace(
        found,
        identity={**found.identity, "saes": [*found.identity["saes"],
                  {"key": other, "source": "x", "weights_sha256": "cc"}]},
        tables={**found.tables, "on": pa.Table.from_pylist(on, schema=ON),
                "concerns": pa.Table.from_pylist(concerns, schema=CONCERNS)},
    )  # fmt: skip
    gone = on[1]["intervention"]
    notes = Notes()
    summary = load_evidence(graph, save_evidence(changed, tmp_path), reporter=notes)
    assert any(other in note for note in notes.said)
    assert summary.rows["interventions"] == 1
    assert summary.rows["findings"] == 2
    rows = ask(DriverReader(graph), "interventions")
    assert [row["key"].rpartition("/")[2] for row in rows] == [str(3 - gone)]
    assert read(graph, "MATCH (:Finding)-[e:CONCERNS]->() RETURN count(e) AS n")[0]["n"] == 2


def test_tested_edges_are_those_with_a_relation(graph: Driver, tmp_path: Path) -> None:
    load_evidence(graph, save_evidence(planted_evidence(digest=WEIGHTS), tmp_path))
    reader = DriverReader(graph)
    related = {
        (row["a"], row["b"])
        for row in read(
            graph,
            "MATCH (a:Feature)-[:CO_OCCURS|FEEDS|IMPLIES|SIMILAR_TO]-(b:Feature) "
            "RETURN a.key AS a, b.key AS b",
        )
    }
    rows = ask(reader, "tested_edges")
    assert {(row["source"], row["target"]) for row in rows} == {
        pair for pair in ((key(0), key(1)), (key(0), key(8))) if pair in related
    }
    assert rows[0]["target"] == key(1)
    assert (rows[0]["tested"], rows[0]["passed"], rows[0]["change"]) == (1, 1, -1.5)
    assert [row["target"] for row in ask(reader, "tested_edges", passed=True)] == [key(1)]
    assert [row["target"] for row in ask(reader, "tested_edges", feature=1)] == [key(1)]


def test_a_second_load_changes_nothing_and_dropping_leaves_the_build(
    graph: Driver, mapped: Path, tmp_path: Path
) -> None:
    before = graph_checksum(graph)
    folder = save_evidence(planted_evidence(digest=WEIGHTS), tmp_path)
    load_evidence(graph, folder)
    loaded = graph_checksum(graph)
    assert not load_evidence(graph, folder).loaded
    assert load_evidence(graph, folder, force=True).loaded
    nodes = "MATCH (n) WHERE n:Intervention OR n:Effect OR n:Explanation OR n:Prompt RETURN n.key"
    assert len(read(graph, nodes)) == 2 + 4 + 2 + 2
    assert graph_checksum(graph) == loaded != before
    drop_run(graph, planted_evidence(digest=WEIGHTS).id)
    assert read(graph, nodes) == []
    assert graph_checksum(graph) == before
    verify_load(graph, None, open_build(mapped))


def test_a_stopped_load_is_finished_by_the_next(graph: Driver, tmp_path: Path) -> None:
    folder = save_evidence(planted_evidence(digest=WEIGHTS), tmp_path)
    load_evidence(graph, folder)
    graph.execute_query("MATCH (e:Effect) DETACH DELETE e")
    graph.execute_query("MATCH (r:Run {kind: 'intervention'}) SET r.state = 'loading'")
    assert load_evidence(graph, folder).loaded
    assert read(graph, "MATCH (e:Effect) RETURN count(e) AS n") == [{"n": 4}]


@pytest.mark.parametrize(
    ("sae", "digest", "word"),
    [(SAE, "2" * 64, "other weights"), ("toy/blocks.9.hook_resid_pre/x", WEIGHTS, "does not have")],
)
def test_evidence_of_other_weights_or_saes_is_refused(
    graph: Driver, tmp_path: Path, sae: str, digest: str, word: str
) -> None:
    folder = save_evidence(planted_evidence(sae=sae, digest=digest), tmp_path)
    with pytest.raises(DatabaseError, match=word):
        load_evidence(graph, folder)
    assert read(graph, "MATCH (i:Intervention) RETURN i") == []


def test_changes_of_features_that_the_graph_lacks_are_left_out(
    graph: Driver, tmp_path: Path
) -> None:
    found = planted_evidence(digest=WEIGHTS)
    table = found.tables["affects"]
    place = table.column_names.index("target")
    strange = table.set_column(place, "target", [[key(1), "toy/blocks.3.hook_resid_pre/z/5"]])
    folder = save_evidence(
        type(found)(**{**vars(found), "tables": {**found.tables, "affects": strange}}), tmp_path
    )
    assert load_evidence(graph, folder).rows["affects"] == 1


def test_the_graph_alone_is_enough_to_run_it_again(graph: Driver, tmp_path: Path) -> None:
    found = planted_evidence(digest=WEIGHTS)
    load_evidence(graph, save_evidence(found, tmp_path))
    again = evidence_of_graph(DriverReader(graph), found.id)
    assert (again.id, again.request, again.identity) == (found.id, found.request, found.identity)
    wanted = found.tables["effects"].to_pylist()
    assert again.tables["effects"].to_pylist() == [
        {**row, "change": None} if row["change"] != row["change"] else row for row in wanted
    ]
    with pytest.raises(NotFoundError, match="no follow-up"):
        evidence_of_graph(DriverReader(graph), "steering-0")


def test_a_folder_that_was_altered_is_refused(tmp_path: Path) -> None:
    folder = save_evidence(planted_evidence(), tmp_path)
    found, wanted = open_evidence(folder), planted_evidence()
    assert (found.id, found.request, found.prompts) == (wanted.id, wanted.request, wanted.prompts)
    assert set(found.tables) == set(wanted.tables)
    for name in ("interventions", "on", "affects", "explanations", "rows"):
        assert found.tables[name].equals(wanted.tables[name])
    (folder / "effects.parquet").write_bytes(b"")
    with pytest.raises(ArtifactError, match="truncated or altered"):
        open_evidence(folder)
    (folder / "followup.json").unlink()
    with pytest.raises(ArtifactError, match="no finished follow-up"):
        open_evidence(folder)
