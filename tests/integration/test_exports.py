"""Exports of a loaded run, and imports into it, from Python and the command line."""

from __future__ import annotations

import gzip
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx
import pandas as pd
import pytest
from typer.testing import CliRunner

from atlas import Atlas
from atlas.cli import app
from atlas.errors import ArtifactError, NotFoundError, UsageError
from atlas.formats import read_graph
from tests.builds import DEAD, SAE, SIZE, WEAK, key, planted, planted_edges, write_build
from tests.circuits import circuit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neo4j import Driver

    from atlas.graph.server import ManagedServer

pytestmark = pytest.mark.db

ROOT = Path(__file__).parents[2]
PLACE = "toy/1-res"
FORMS = {"graphml": "g.graphml", "gexf": "g.gexf.gz", "parquet": "p", "csv": "c"}


@pytest.fixture(scope="module")
def atlas(
    driver: Driver, server: ManagedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Atlas]:
    driver.execute_query("MATCH (n) DETACH DELETE n")
    run, rows = planted()
    run["saes"][0]["neuronpedia_id"] = PLACE
    rows["edges"].append(rows["edges"][0] | {"kind": "topic", "phi": -0.2})
    run["counts"]["edges"] += 1
    with Atlas.connect(home=server.home) as opened:
        opened.load(write_build(tmp_path_factory.mktemp("build") / "b", run, rows))
        opened.analyse()
        yield opened


@pytest.fixture
def command(
    atlas: Atlas, server: ManagedServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CliRunner]:
    for name in ("NEO4J_URI", "NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ATLAS_HOME", str(server.home))
    monkeypatch.setenv("COLUMNS", "200")
    return CliRunner()


def pairs(graph: Any) -> set[tuple[int, int]]:
    ends = (graph.edges[name].to_pylist() for name in ("source", "target"))
    return {tuple(int(k.rpartition("/")[2]) for k in pair) for pair in zip(*ends, strict=True)}


def test_a_graph_holds_what_the_database_holds(atlas: Atlas) -> None:
    graph = atlas.graph()
    stored = atlas.cypher(
        "MATCH (f:Feature) OPTIONAL MATCH (f)-[:IN]->(s) RETURN properties(f) AS p, s.key AS sae"
    )
    expected = {row["p"]["key"]: row["p"] | {"sae": row["sae"]} for row in stored}
    assert graph.keys() == [key(i) for i in range(DEAD + 1)]
    for row in graph.nodes.to_pylist():
        assert {n: v for n, v in row.items() if v is not None} == expected[row["key"]]
    edges = atlas.cypher(
        "MATCH (s)-[r:CO_OCCURS]->(t) RETURN s.key AS source, t.key AS target, properties(r) AS p"
    )
    found = {
        (row.pop("source"), row.pop("target"), row["kind"]): {
            n: v for n, v in row.items() if v is not None
        }
        for row in graph.edges.to_pylist()
    }
    assert len(found) == len(edges) == len(planted()[1]["edges"]) + 1
    for edge in edges:
        told = found[edge["source"], edge["target"], edge["p"]["kind"]]
        edge["p"].pop("key")
        assert told == edge["p"] | {"relation": "CO_OCCURS"}
    kinds = {field.name: str(field.type) for field in graph.nodes.schema}
    assert (kinds["index"], kinds["n"], kinds["degree"]) == ("int32", "int64", "int64")
    assert (kinds["pagerank"], kinds["top_tokens"]) == ("double", "list<item: string>")
    assert graph.info.weights == {"CO_OCCURS": "phi"}


def test_thresholds_choose_edges(atlas: Atlas) -> None:
    planted_pairs = planted_edges()
    token = atlas.graph(kinds=["token"])
    assert pairs(token) == {*planted_pairs, WEAK}
    strong = atlas.graph(kinds=["token"], min_weight=0.5)
    assert pairs(strong) == {pair for pair, phi in planted_pairs.items() if phi >= 0.5}
    assert pairs(atlas.graph(kinds=["token"], mutual=True)) == set(planted_pairs)
    assert pairs(atlas.graph(kinds=["token"], top_k=39)) == set(planted_pairs)
    assert pairs(atlas.graph(kinds=["token"], top_k=40)) == {*planted_pairs, WEAK}
    by_r = atlas.graph(kinds=["token"], weight="r", min_weight=0.25)
    assert pairs(by_r) == {pair for pair, phi in planted_pairs.items() if phi / 2 >= 0.25}
    assert by_r.info.weights == {"CO_OCCURS": "r"}
    joined = {f"{SAE}/{i}" for pair in pairs(strong) for i in pair}
    bare = atlas.graph(kinds=["token"], min_weight=0.5, isolated=False)
    assert set(bare.keys()) == joined
    assert bare.edges.equals(strong.edges)


def test_features_and_communities_choose_nodes(atlas: Atlas) -> None:
    some = atlas.graph(features=[0, 1, 7, 8], kinds=["token"])
    assert some.keys() == [key(i) for i in (0, 1, 7, 8)]
    assert pairs(some) == {p for p in planted_edges() if set(p) <= {0, 1, 7, 8}}
    members = [row["key"] for row in atlas.community_members(1, limit=100)]
    one = atlas.graph(communities=[1])
    assert set(one.keys()) == set(members)
    assert len(members) == SIZE
    both = atlas.graph(communities=[1], features=[DEAD])
    assert set(both.keys()) == {*members, key(DEAD)}


def test_relations_and_properties_are_chosen(atlas: Atlas) -> None:
    every = atlas.graph(relations=["all"])
    assert every.info.directed
    assert set(every.edges["relation"].to_pylist()) >= {"CO_OCCURS", "IMPLIES", "SIMILAR_TO"}
    assert every.info.weights["IMPLIES"] == "p_target_given_source"
    implies = atlas.graph(relations=["IMPLIES"])
    assert pairs(implies) == {(0, 1), (9, 8)}
    assert implies.to_network().directed
    few = atlas.graph(node_properties=["pagerank"], edge_properties=["phi"])
    assert few.nodes.column_names == ["key", "pagerank"]
    assert few.edges.column_names == ["source", "target", "relation", "phi"]
    similar = atlas.graph(relations=["SIMILAR_TO"])
    assert not similar.info.directed
    assert pairs(similar) == {(0, 1), (2, 9)}
    assert "rank_target" not in similar.edges.column_names


@pytest.mark.parametrize(
    ("selection", "error", "told"),
    [
        ({"run": "nothing"}, NotFoundError, "no run"),
        ({"relations": ["NOTHING"]}, UsageError, "no relation 'NOTHING'"),
        ({"relations": "IMPLIES"}, UsageError, "is a list"),
        ({"kinds": ["nothing"]}, UsageError, "no edges of kind"),
        ({"top_k": 0}, UsageError, "at least 1"),
        ({"relations": ["IMPLIES"], "mutual": True}, UsageError, "IMPLIES have no mutual"),
        ({"relations": ["IMPLIES"], "top_k": 3}, UsageError, "rank_source, which top_k needs"),
        ({"weight": "nothing"}, UsageError, "have no nothing"),
        ({"features": ["nothing at all"]}, NotFoundError, "No feature"),
        ({"communities": [77]}, NotFoundError, "no community"),
        ({"node_properties": ["nothing"]}, UsageError, "property 'nothing'"),
        ({"edge_properties": ["nothing"]}, UsageError, "property 'nothing'"),
        ({"colour": "red"}, UsageError, "no option 'colour'"),
    ],
)
def test_a_wrong_selection_is_refused(
    atlas: Atlas, selection: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        atlas.graph(**selection)


@pytest.mark.parametrize("form", sorted(FORMS))
def test_files_hold_the_graph_and_come_back(atlas: Atlas, form: str, tmp_path: Path) -> None:
    expected = atlas.graph(relations=["all"])
    path = tmp_path / FORMS[form]
    written = atlas.export(form, path, relations=["all"])
    assert (written.nodes, written.edges) == (expected.nodes.num_rows, expected.edges.num_rows)
    found = read_graph(path)
    assert found.info == expected.info
    assert found.nodes.equals(expected.nodes)
    assert found.edges.equals(expected.edges)
    with pytest.raises(UsageError, match="exists"):
        atlas.export(form, path)
    again = tmp_path / "again" / FORMS[form]
    atlas.export(form, again, relations=["all"])
    for part in [path] if path.is_file() else path.iterdir():
        same = again if path.is_file() else again / part.name
        assert same.read_bytes() == part.read_bytes()


def test_pages_do_not_change_the_graph(atlas: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = atlas.graph(relations=["all"])
    monkeypatch.setattr("queries.exports.source.SOURCES_A_PAGE", 3)
    monkeypatch.setattr("queries.exports.source.NODES_A_PAGE", 5)
    paged = atlas.graph(relations=["all"])
    assert paged.nodes.equals(whole.nodes)
    assert paged.edges.equals(whole.edges)


def test_other_libraries_get_the_same_graph(atlas: Atlas) -> None:
    graph = atlas.graph(kinds=["token"])
    network = graph.to_network()
    phi = planted_edges() | {WEAK: 0.02}
    listed = zip(network.source.tolist(), network.target.tolist(), network.weight, strict=True)
    assert {(a, b): w for a, b, w in listed} == phi
    made = graph.to_networkx()
    assert type(made) is nx.Graph
    assert {(u, v): d["phi"] for u, v, d in made.edges(data=True)} == {
        (key(a), key(b)): value for (a, b), value in phi.items()
    }
    pytest.importorskip("igraph")
    degrees = dict(zip(graph.keys(), graph.to_igraph().degree(), strict=True))
    assert degrees == dict(made.degree())


def test_the_command_line_exports(command: CliRunner, tmp_path: Path) -> None:
    path = tmp_path / "g.graphml"
    words = ["export", "graphml", str(path), "--kind", "token", "--min-weight", "0.5"]
    done = command.invoke(app, [*words, "--no-isolated", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    made = nx.read_graphml(path)
    assert (told["nodes"], told["edges"]) == (len(made), made.number_of_edges())
    assert min(phi for _, _, phi in made.edges(data="phi")) >= 0.5
    refused = command.invoke(app, words)
    assert isinstance(refused.exception, UsageError)
    forced = command.invoke(app, [*words, "--community", "1", "--force"])
    assert forced.exit_code == 0, forced.output
    assert len(nx.read_graphml(path)) == SIZE


def test_the_commands_of_the_page_run(
    command: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "exports.md").read_text()
    commands = re.findall(r"^\$ atlas (export .*)$", page, flags=re.MULTILINE)
    assert len(commands) >= 5
    monkeypatch.chdir(tmp_path)
    for line in commands:
        done = command.invoke(app, shlex.split(line))
        assert done.exit_code == 0, f"{line}\n{done.output}"
    assert len(list(tmp_path.iterdir())) == len(commands)


def test_pyg_is_exported(atlas: Atlas, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "g.pt"
    atlas.export("pyg", path, x=["pagerank", "firing_rate"])
    made = torch.load(path, weights_only=True)
    assert made["x"].shape == (DEAD + 1, 2)
    assert made["edges"]["co_occurs_token"]["edge_index"].shape[1] == 2 * (len(planted_edges()) + 1)
    with pytest.raises(UsageError, match="x is for"):
        atlas.export("csv", tmp_path / "c", x="pagerank")
    with pytest.raises(UsageError, match="no format"):
        atlas.export("xlsx", tmp_path / "c")


def explanations(tmp_path: Path, *rows: dict[str, Any], name: str = "batch-0.jsonl") -> Path:
    path = tmp_path / name
    usual = {"modelId": "toy", "layer": "1-res", "typeName": "m", "explanationModelName": "llm"}
    path.write_text("".join(json.dumps({**usual, **row}) + "\n" for row in rows))
    return path


def stored_explanations(atlas: Atlas) -> list[dict[str, Any]]:
    return atlas.cypher(
        "MATCH (e:Explanation)-[r:EXPLAINS]->(f:Feature) "
        "RETURN properties(e) AS e, properties(r) AS r, f.key AS key ORDER BY e.key"
    )


@pytest.fixture
def nothing_imported(atlas: Atlas) -> Iterator[None]:
    before = atlas.cypher(
        "MATCH (f:Feature) RETURN f.key AS key, f.label AS a, f.label_source AS b"
    )
    yield
    atlas.driver.execute_query(
        "MATCH (n) WHERE n:Explanation OR n:AttributionGraph DETACH DELETE n"
    )
    atlas.driver.execute_query("MATCH ()-[r:ATTRIBUTES]->() DELETE r")
    atlas.driver.execute_query(
        "UNWIND $rows AS row MATCH (f:Feature {key: row.key}) "
        "SET f.label = row.a, f.label_source = row.b",
        rows=before.to_dicts(),
    )


@pytest.mark.usefixtures("nothing_imported")
def test_explanations_are_imported_once(atlas: Atlas, tmp_path: Path) -> None:
    path = explanations(
        tmp_path,
        {"id": "a", "index": "3", "description": "first", "scoreV1": 0.2},
        {"id": "b", "index": "3", "description": "better", "scoreV1": 0.6},
        {"id": "c", "index": "4", "description": "four"},
        {"id": "d", "index": "4", "description": "later"},
        {"id": "e", "index": "999", "description": "of no feature"},
        {"id": "f", "index": "4", "description": "elsewhere", "layer": "7-res"},
        {"id": "g", "index": "4", "description": ""},
    )
    labels = {row["key"]: row["label"] for row in atlas.graph().nodes.to_pylist()}
    (done,) = atlas.import_neuronpedia(path)
    assert (done.lines, done.stored, done.features, done.labels, done.empty) == (7, 4, 2, 0, 1)
    assert done.unmatched == {"toy/1-res": 1, "toy/7-res": 1}
    first = stored_explanations(atlas)
    assert [row["key"] for row in first] == [key(3), key(3), key(4), key(4)]
    assert first[0]["e"] == {
        "key": "neuronpedia/a",
        "text": "first",
        "method": "m",
        "model": "llm",
        "score": 0.2,
        "source": "batch-0.jsonl",
        "sha256": done.sha256,
    }
    assert first[0]["r"] == {"run": "synthetic", "source": "batch-0.jsonl", "sha256": done.sha256}
    assert labels == {row["key"]: row["label"] for row in atlas.graph().nodes.to_pylist()}
    atlas.import_neuronpedia(path)
    assert stored_explanations(atlas) == first
    atlas.driver.execute_query(
        "MATCH (f:Feature {key: $key}) SET f.label_run = 'synthetic/label', f.label_score = 0.5",
        key=key(3),
    )
    (labelled,) = atlas.import_neuronpedia(path, as_labels=True)
    assert labelled.labels == 2
    marks = atlas.cypher(
        "MATCH (f:Feature {key: $key}) RETURN f.label_run AS run, f.label_score AS score",
        key=key(3),
    )
    assert marks == [{"run": None, "score": None}], "they are of an earlier label"
    found = {row["index"]: row for row in atlas.graph().nodes.to_pylist()}
    assert (found[3]["label"], found[3]["label_source"]) == ("better", "neuronpedia")
    assert found[4]["label"] == "four"
    assert found[5]["label_source"] == "tokens"


@pytest.mark.usefixtures("nothing_imported")
def test_a_malformed_line_stores_nothing_of_its_file(atlas: Atlas, tmp_path: Path) -> None:
    explanations(tmp_path, {"id": "a", "index": "3", "description": "whole"}, name="0.jsonl")
    broken = explanations(tmp_path, {"id": "b", "index": "3", "description": "x"}, name="1.jsonl")
    broken.write_text(broken.read_text() + '{"modelId"\n')
    with pytest.raises(ArtifactError, match=r"1\.jsonl, line 2"):
        atlas.import_neuronpedia(tmp_path)
    assert [row["e"]["key"] for row in stored_explanations(atlas)] == ["neuronpedia/a"]


@pytest.mark.usefixtures("nothing_imported")
def test_labels_go_out_and_come_back_as_explanations(atlas: Atlas, tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl.gz"
    written = atlas.export("neuronpedia", path)
    labels = {i: row["label"] for i, row in enumerate(atlas.graph().nodes.to_pylist())}
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert {int(line["index"]): line["description"] for line in lines} == {
        i: label for i, label in labels.items() if label
    }
    (done,) = atlas.import_neuronpedia(path)
    assert done.stored == done.lines == written.nodes == DEAD
    assert {row["key"]: row["e"]["text"] for row in stored_explanations(atlas)} == {
        key(i): label for i, label in labels.items() if label
    }
    atlas.export("neuronpedia", tmp_path / "q.json", features=[3])
    assert json.loads((tmp_path / "q.json").read_text())["features"][0]["index"] == "3"
    with pytest.raises(UsageError, match=r"\.json for a quick list"):
        atlas.export("neuronpedia", tmp_path / "q.txt")
    atlas.export("neuronpedia", tmp_path / "r.json", features=[3], neuronpedia={SAE: "a/b"})
    assert json.loads((tmp_path / "r.json").read_text())["features"][0]["modelId"] == "a"


@pytest.fixture
def graph_file(tmp_path: Path) -> Path:
    path = tmp_path / "capitals.json"
    path.write_text(json.dumps(circuit()))
    return path


def attributes(atlas: Atlas) -> pd.DataFrame:
    return pd.DataFrame(
        atlas.cypher(
            "MATCH (s)-[r:ATTRIBUTES]->(t) RETURN s.index AS s, t.index AS t, r.weight AS w, "
            "r.source_position AS sp, r.target_position AS tp, r.run AS run, r.graph AS graph, "
            "r.key AS key ORDER BY s, t, sp"
        )
    )


@pytest.mark.usefixtures("nothing_imported")
def test_a_circuit_is_joined_to_the_features(atlas: Atlas, graph_file: Path) -> None:
    # The SAE's Neuronpedia id is the graph's scan, layer 1 and its source set.
    done = atlas.import_circuit(graph_file)
    assert done.saes == {1: SAE}
    assert (done.nodes, done.features, done.links) == (9, 5, 10)
    assert (done.matched, done.stored) == (3, 2)
    assert done.unmatched == {0: 1, 1: 1}
    found = attributes(atlas)
    assert found[["s", "t", "w", "sp", "tp"]].to_numpy().tolist() == [
        [5, 8, 0.75, 1, 2],
        [5, 8, -0.25, 2, 2],
    ]
    assert set(found["run"]) == {"synthetic"}
    assert set(found["graph"]) == {done.graph}
    (graph,) = atlas.cypher("MATCH (g:AttributionGraph)-[:FROM_RUN]->(r) RETURN g, r.key AS run")
    told = graph["g"]
    assert (told["prompt"], told["scan"], told["slug"]) == ("The heart is", "toy", "capitals")
    assert (told["embeddings"], told["errors"], told["logits"]) == (2, 1, 1)
    assert told["logit_probabilities"] == [0.75]
    (five, eight) = atlas.cypher(
        "MATCH (f)-[r:APPEARS_IN]->(:AttributionGraph) "
        "RETURN f.index AS i, properties(r) AS r ORDER BY i"
    )
    assert five["r"]["positions"] == [1, 2]
    assert five["r"]["activations"] == [1.25, 2.5]
    assert (five["r"]["from_embeddings"], five["r"]["to_logits"]) == (1.5, 1.0)
    assert (eight["r"]["from_errors"], eight["r"]["to_logits"]) == (0.125, 4.0)
    atlas.import_circuit(graph_file)
    assert attributes(atlas).equals(found)
    exported = atlas.graph(relations=["ATTRIBUTES"], isolated=False)
    assert sorted(exported.edges["weight"].to_pylist()) == [-0.25, 0.75]
    assert exported.keys() == [key(5), key(8)]


@pytest.mark.usefixtures("nothing_imported")
def test_layers_are_mapped_as_asked(atlas: Atlas, graph_file: Path) -> None:
    value = circuit()
    del value["metadata"]["feature_details"]
    graph_file.write_text(json.dumps(value))
    with pytest.raises(UsageError, match="No layer of the graph has an SAE"):
        atlas.import_circuit(graph_file)
    assert atlas.import_circuit(graph_file, by_hook=True).saes == {1: SAE}
    both = atlas.import_circuit(graph_file, saes={0: "planted", 1: SAE})
    assert both.saes == {0: SAE, 1: SAE}
    assert (both.matched, both.stored) == (4, 3)
    # The same file with other SAEs replaces what it had brought.
    assert len(attributes(atlas)) == 3
    fewer = atlas.import_circuit(graph_file, saes={1: SAE})
    assert fewer.graph == both.graph
    assert len(attributes(atlas)) == 2
    assert atlas.cypher("MATCH (g:AttributionGraph) RETURN g.saes AS saes") == [{"saes": [SAE]}]
    with pytest.raises(NotFoundError, match="no SAE 'other'"):
        atlas.import_circuit(graph_file, saes={1: "other"})


@pytest.mark.usefixtures("nothing_imported")
def test_the_command_line_imports(
    atlas: Atlas, command: CliRunner, graph_file: Path, tmp_path: Path
) -> None:
    path = explanations(tmp_path, {"index": 3, "description": "three", "layer": "x"})
    words = ["import", "neuronpedia", str(path), "--sae", f"toy/x={SAE}", "--as-labels"]
    done = command.invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["stored"] == 1
    assert atlas.feature(3)["label"] == "three"
    done = command.invoke(app, ["import", "circuit", str(graph_file), "--sae", "1=planted"])
    assert done.exit_code == 0, done.output
    assert "capitals" in done.stdout
    assert len(attributes(atlas)) == 2
    for wrong in ("one=planted", "1"):
        refused = command.invoke(app, ["import", "circuit", str(graph_file), "--sae", wrong])
        assert isinstance(refused.exception, UsageError)
