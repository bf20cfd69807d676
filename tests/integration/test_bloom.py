"""Every phrase and action of the perspective on a graph, with values from its own suggestions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from neo4j.graph import Node, Path, Relationship
from typer.testing import CliRunner

from atlas import Atlas
from atlas.bloom import export_bloom, perspective
from atlas.bloom.files import FILES
from atlas.cli import app
from atlas.errors import NotFoundError, UsageError
from queries.catalogue import catalogue
from tests.builds import concept_key, key, planted, write_attribution, write_build

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path as FilePath

    from neo4j import Driver

    from atlas.graph.server import ManagedServer

pytestmark = pytest.mark.db

# What the graph of this test has none of, so that the phrase finds nothing: a second SAE, a second
# run, a run that is half loaded.
EMPTY = {"community_overlap", "edges_changed", "features_changed", "health", "layers_compared"}
TRIES = 30


@pytest.fixture(scope="module")
def atlas(
    driver: Driver, server: ManagedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Atlas]:
    driver.execute_query("MATCH (n) DETACH DELETE n")
    folder = tmp_path_factory.mktemp("build")
    with Atlas.connect(home=server.home) as opened:
        opened.load(write_build(folder / "b", *richer()))
        opened.load(write_attribution(folder / "a"))
        opened.analyse()
        for statement in LATER:
            driver.execute_query(statement, a=key(0), b=key(9))
        yield opened


def richer() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the planted build with some of what it lacks."""
    run, rows = planted()
    edge = rows["edges"][0]
    rows["edges"].append(edge | {"kind": "exclusive", "phi": -0.2, "phi_within": -0.2})
    edge["position_share"] = 0.6
    rows["implies"][0]["absorption"] = True
    rows["features"][3]["dense"] = True
    rows["about"].append(rows["about"][0] | {"concept": concept_key("goal"), "auc": 0.7})
    return run, rows


LATER = (
    """MATCH (a:Feature {key: $a}), (b:Feature {key: $b})
    CREATE (a)-[:FEEDS {key: 'made', run: a.run, phi: 0.3, mutual: true, kind: 'feeds'}]->(b)""",
    """MATCH (a:Feature {key: $a})
    CREATE (:Explanation {key: 'made', text: 'words of the heart', source: 'test', run: a.run})
      -[:EXPLAINS {run: a.run}]->(a)""",
    """MATCH (a:Feature {key: $a}), (b:Feature {key: $b})
    CREATE (a)<-[:ON]-(i:Intervention {key: 'made', run: a.run, kind: 'ablate'})
    CREATE (i)-[:CAUSED]->(:Effect {key: 'made', run: a.run, change: -0.5, metric: 'loss'})
    CREATE (a)-[:AFFECTS {key: 'made', run: a.run, change: -0.5, metric: 'firing'}]->(b)
    CREATE (a)-[:APPEARS_IN]->(:AttributionGraph {key: 'made'})
    CREATE (:Finding {key: 'made/f1', run: a.run, name: 'H1'})-[:CONCERNS {run: a.run}]->(a)""",
    "MATCH (:Feature)-[m:MEMBER_OF]->() SET m.stay = 0.9",
)


@pytest.fixture(scope="module")
def made(atlas: Atlas) -> dict[str, Any]:
    return perspective(atlas.reader)


def phrase_of(made: dict[str, Any], name: str) -> dict[str, Any]:
    text = catalogue()[name].phrase
    return next(found for found in made["templates"] if found["text"] == text)


def suggestions(
    atlas: Atlas, parameter: dict[str, Any], before: dict[str, Any] | None = None
) -> list[Any]:
    label, name = parameter["suggestionLabel"], parameter["suggestionProp"]
    statement = parameter["cypher"] or f"MATCH (n:{label}) RETURN DISTINCT n.{name} AS suggestion"
    rows = atlas.reader.read(statement, before)
    assert all(list(row) == ["suggestion"] for row in rows)
    return [row["suggestion"] for row in rows]


def picks(atlas: Atlas, phrase: dict[str, Any], place: int = 0) -> dict[str, Any] | None:
    """Return the suggestion at a place for the first parameter, and the first for the others."""
    values: dict[str, Any] = {}
    for parameter in phrase["params"]:
        found = suggestions(atlas, parameter, values)
        wanted = 0 if values else place
        if wanted >= len(found):
            return None
        values[parameter["name"][1:]] = found[wanted]
    return values


def entities(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [entity for item in value for entity in entities(item)]
    return [] if value is None else [value]


def require_read_plan(atlas: Atlas, cypher: str, values: dict[str, Any]) -> None:
    with atlas.driver.session() as session:
        summary = session.run(f"EXPLAIN {cypher}", values).consume()
    assert summary.query_type == "r", cypher
    assert summary.plan is not None
    notes = [note.status_description for note in summary.gql_status_objects]
    assert not [note for note in notes if "deprecated" in note], cypher


def run(atlas: Atlas, cypher: str, values: dict[str, Any]) -> list[Any]:
    """Return the nodes, relationships and paths of a result, which has nothing else."""
    with atlas.driver.session(default_access_mode="READ") as session:
        found = [entity for record in session.run(cypher, values) for entity in entities([*record])]
    assert all(isinstance(entity, Node | Relationship | Path) for entity in found), found
    return found


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_a_phrase_with_its_own_suggestions(atlas: Atlas, made: dict[str, Any], name: str) -> None:
    phrase = phrase_of(made, name)
    tried = 0
    for place in range(TRIES if phrase["params"] else 1):
        values = picks(atlas, phrase, place)
        if values is None:
            break
        if not tried:
            require_read_plan(atlas, phrase["cypher"], values)
        tried += 1
        found = run(atlas, phrase["cypher"], values)
        # Bloom shows no relationship without its nodes.
        assert not found or any(isinstance(entity, Node | Path) for entity in found)
        if found:
            assert name not in EMPTY, "it finds something: take it from EMPTY"
            return
    assert name in EMPTY, f"{tried} suggestions, and nothing is found with any"


@pytest.mark.parametrize(
    ("name", "operator"),
    [("neighbours", "NodeUniqueIndexSeek"), ("community_members", "NodeUniqueIndexSeek")],
)
def test_what_is_picked_is_looked_up_in_an_index(
    atlas: Atlas, made: dict[str, Any], name: str, operator: str
) -> None:
    phrase = phrase_of(made, name)
    with atlas.driver.session() as session:
        summary = session.run(f"EXPLAIN {phrase['cypher']}", picks(atlas, phrase) or {}).consume()
    assert operator in json.dumps(summary.plan, default=str)


def test_features_are_picked_by_label(atlas: Atlas, made: dict[str, Any]) -> None:
    phrase = phrase_of(made, "feature")
    found = suggestions(atlas, phrase["params"][0])
    assert f"heart_3|{key(3)}" in found
    assert len(found) == 25, "all but the dead one"
    whole, bare = (
        run(atlas, phrase["cypher"], {"feature": value}) for value in (f"heart_3|{key(3)}", key(3))
    )
    assert {entity.element_id for entity in whole if isinstance(entity, Node)} == {
        entity.element_id for entity in bare if isinstance(entity, Node)
    }
    assert whole


def test_scene_actions_on_what_is_selected(atlas: Atlas, made: dict[str, Any]) -> None:
    labels = {found["id"]: found["name"] for found in made["categories"]}
    found_by = 0
    for action in made["sceneActions"]:
        label = labels[action["categories"][0]]
        with atlas.driver.session() as session:
            nodes = session.run(
                f"MATCH (n:{label}) RETURN elementId(n) AS id ORDER BY n.key LIMIT 2"
            ).value()
        found = run(atlas, action["cypher"], {"nodes": nodes})
        found_by += bool(found)
    assert found_by >= 10


def test_neighbours_of_the_selected_feature(atlas: Atlas, made: dict[str, Any]) -> None:
    action = next(a for a in made["sceneActions"] if a["name"] == catalogue()["neighbours"].title)
    with atlas.driver.session() as session:
        ids = session.run("MATCH (f:Feature {key: $key}) RETURN elementId(f)", key=key(8)).value()
    found = run(atlas, action["cypher"], {"nodes": ids})
    shown = {node["key"] for path in found if isinstance(path, Path) for node in path.nodes}
    assert shown - {key(8)} == {row["key"] for row in atlas.neighbours(8, limit=100)}


def test_every_label_and_type_is_there(atlas: Atlas, made: dict[str, Any]) -> None:
    labels = {row["label"] for row in atlas.reader.read("CALL db.labels()")}
    types = {row["relationshipType"] for row in atlas.reader.read("CALL db.relationshipTypes()")}
    assert {found["name"] for found in made["categories"]} == labels
    assert {found["name"] for found in made["relationshipTypes"]} == types
    assert {"Feature", "Community", "Token", "Context", "Run", "Prompt"} <= labels
    feature = next(found for found in made["categories"] if found["name"] == "Feature")
    kinds = {p["name"]: p["dataType"] for p in feature["properties"]}
    assert (kinds["label"], kinds["n"], kinds["mean"]) == ("string", "bigint", "number")
    assert (kinds["dead"], kinds["top_tokens"]) == ("boolean", "array")


def test_counts_and_paths_are_those_of_the_graph(atlas: Atlas, made: dict[str, Any]) -> None:
    counts = made["metadata"]["stats"]["relationshipTypes"]
    for name, n in counts.items():
        assert atlas.reader.read(f"MATCH ()-[r:{name}]->() RETURN count(r) AS n") == [{"n": n}]
    segments = {tuple(segment.values()) for segment in made["metadata"]["pathSegments"]}
    assert ("Feature", "IN", "Sae") in segments
    assert ("Prompt", "IN", "PromptSet") in segments
    assert ("Feature", "IN", "PromptSet") not in segments


def test_rules_have_the_values_of_the_graph(atlas: Atlas, made: dict[str, Any]) -> None:
    rules = next(found for found in made["categories"] if found["name"] == "Feature")["styleRules"]
    communities = {rule["conditionValue"] for rule in rules if rule["condition"] == "equals"}
    assert communities == {row["key"] for row in atlas.communities()}
    (size,) = [rule for rule in rules if rule["applySize"]]
    scores = [row["pagerank"] for row in atlas.hubs(limit=100)]
    assert float(size["minSizeValue"]) == pytest.approx(min(scores), rel=1e-3)
    assert min(scores) < float(size["maxSizeValue"]) <= max(scores) * 1.001


def test_two_exports_are_equal(atlas: Atlas, tmp_path: FilePath) -> None:
    done = [export_bloom(atlas.reader, tmp_path / name) for name in ("a", "b")]
    assert set(done[0].files) == set(FILES)
    assert (done[0].phrases, done[0].queries) == (len(catalogue()), len(catalogue()))
    for name in FILES:
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("a", "b"))
        assert first == second
        assert first
    later = perspective(atlas.reader, created="2026-02-03")
    assert later["createdAt"] == 1_770_076_800_000


def test_files_are_not_overwritten(atlas: Atlas, tmp_path: FilePath) -> None:
    (tmp_path / "style.grass").write_text("mine")
    with pytest.raises(UsageError, match=r"style.grass exists"):
        export_bloom(atlas.reader, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["style.grass"]
    export_bloom(atlas.reader, tmp_path, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    assert (tmp_path / "style.grass").read_text() != "mine"


def test_the_command(
    atlas: Atlas, server: ManagedServer, tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NEO4J_URI", "NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ATLAS_HOME", str(server.home))
    monkeypatch.setenv("COLUMNS", "200")
    out = tmp_path / "bloom"
    table = CliRunner().invoke(app, ["bloom", "export", "--out", str(out)])
    assert table.exit_code == 0, table.output
    assert all(name in table.stdout for name in FILES)
    again = CliRunner().invoke(app, ["bloom", "export", "--out", str(out), "--force", "--json"])
    done = json.loads(again.stdout)
    assert done["phrases"] == len(catalogue())
    whole = json.loads((out / "perspective.json").read_text("utf-8"))
    assert whole == perspective(atlas.reader)


def test_an_empty_database(atlas: Atlas) -> None:
    class Nothing:
        def read(self, text: str, parameters: Any = None, *, what: str = "query") -> list[Any]:
            return atlas.reader.read(text.replace("(r:Run)", "(r:Run {key: 'none'})"), parameters)

    with pytest.raises(NotFoundError, match="has no run"):
        perspective(Nothing())
