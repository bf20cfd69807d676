"""Files of other tools: explanations of Neuronpedia and attribution graphs of circuit-tracer."""

from __future__ import annotations

import gzip
import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from atlas.errors import ArtifactError
from ingest.imports.circuit_file import FEATURE, read_circuit
from ingest.imports.neuronpedia import read_explanations
from tests.circuits import circuit, feature_node, other_node

if TYPE_CHECKING:
    from pathlib import Path


def line(index: object = "3", **changes: Any) -> dict[str, Any]:
    return {
        "id": f"id-{index}",
        "modelId": "toy",
        "layer": "1-res",
        "index": index,
        "description": f"words of {index}",
        "embedding": "[0.1, 0.2]",
        "typeName": "oai_token-act-pair",
        "explanationModelName": "some-model",
        **changes,
    }


def write_lines(path: Path, *values: Any) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def test_lines_are_read(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "b.jsonl",
        line(),
        line(7, id=None, scores=[{"value": 0.7, "explanationScoreTypeName": "recall_alt"}]),
        line("8", description=""),
        line("9", scoreV1=0, scoreV2=None),
        line("10", scoreV1=0.25),
    )
    first, second, empty, unscored, old = read_explanations(path)
    assert first is not None
    assert (first.key, first.place, first.index) == ("neuronpedia/id-3", "toy/1-res", 3)
    assert (first.text, first.method, first.model) == (
        "words of 3",
        "oai_token-act-pair",
        "some-model",
    )
    assert first.score is None
    assert second is not None
    assert (second.index, second.score, second.score_type) == (7, 0.7, "recall_alt")
    assert second.key.startswith("neuronpedia/")
    assert empty is None
    assert unscored is not None
    assert unscored.score is None
    assert old is not None
    assert old.score == 0.25


def test_compressed_files_arrays_and_blank_lines_are_read(tmp_path: Path) -> None:
    plain = write_lines(tmp_path / "b.jsonl", line(), line("4"))
    expected = list(read_explanations(plain))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    (tmp_path / "array.json").write_text(json.dumps([line(), line("4")], indent=1))
    (tmp_path / "blank.jsonl").write_text("\n" + plain.read_text() + "\n\n")
    for name in ("b.jsonl.gz", "array.json", "blank.jsonl"):
        assert list(read_explanations(tmp_path / name)) == expected


def test_a_line_without_an_id_has_the_same_key_each_time(tmp_path: Path) -> None:
    values = [line(), line("4"), line(description="other"), line(typeName="other")]
    path = write_lines(tmp_path / "b.jsonl", *({**v, "id": None} for v in values))
    keys = [found.key for found in read_explanations(path) if found]
    assert len(set(keys)) == 4
    assert keys == [found.key for found in read_explanations(path) if found]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ('{"modelId": ', "line 2: no JSON"),
        ("[1]", "line 2: no JSON object"),
        (json.dumps({k: v for k, v in line().items() if k != "layer"}), "line 2: 'layer' is mis"),
        (json.dumps(line("x")), "line 2: index is 'x', no number"),
        (json.dumps(line(description=["a"])), "line 2: description is"),
        (json.dumps(line(scores=[{"value": "high"}])), "line 2: could not convert"),
    ],
)
def test_a_malformed_line_is_named(broken: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text(f"{json.dumps(line())}\n{broken}\n")
    with pytest.raises(ArtifactError, match=told):
        list(read_explanations(path))


def test_damaged_files_are_errors(tmp_path: Path) -> None:
    whole = gzip.compress(json.dumps(line()).encode() * 50)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[:-20])
    (tmp_path / "latin.jsonl").write_bytes(json.dumps(line()).encode() + b"\n\xff\n")
    (tmp_path / "array.json").write_text('[{"a": 1},\n2')
    for name in ("cut.jsonl.gz", "latin.jsonl", "array.json", "missing.jsonl"):
        with pytest.raises(ArtifactError):
            list(read_explanations(tmp_path / name))


def test_a_circuit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "g.json"
    path.write_text(json.dumps(circuit()))
    found = read_circuit(path)
    assert (found.slug, found.scan, found.prompt) == ("capitals", "toy", "The heart is")
    assert found.source_set == "res"
    kinds = {kind: len(found.of_kind(kind)) for kind in ("embedding", "error", "logit", "other")}
    assert kinds == {"embedding": 2, "error": 1, "logit": 1, "other": 0}
    features = {n.id: (n.layer, n.index, n.position) for n in found.of_kind(FEATURE)}
    assert features["1_5_2"] == (1, 5, 2)
    assert found.nodes["1_5_2"].activation == 2.5
    assert math.isnan(found.nodes["0_2_1"].influence)
    assert found.nodes["3_42_2"].probability == 0.75
    assert ("0_2_1", "1_5_2", 1.5) in found.links
    packed = tmp_path / "g.json.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    again = read_circuit(packed)
    assert again.links == found.links
    assert list(again.nodes) == list(found.nodes)


def test_the_source_set_may_be_an_address(tmp_path: Path) -> None:
    value = circuit()
    del value["metadata"]["feature_details"]
    value["metadata"]["info"] = {
        "source_urls": ["https://example.org/x", "https://neuronpedia.org/toy/transcoder-16k"]
    }
    (tmp_path / "g.json").write_text(json.dumps(value))
    assert read_circuit(tmp_path / "g.json").source_set == "transcoder-16k"
    del value["metadata"]["info"]
    (tmp_path / "g.json").write_text(json.dumps(value))
    assert read_circuit(tmp_path / "g.json").source_set is None


def broken_circuits() -> dict[str, Any]:
    strange = circuit()
    strange["links"].append({"source": "9_9_9", "target": "1_5_2", "weight": 1.0})
    twice = circuit()
    twice["links"].append(twice["links"][0])
    endless = circuit()
    endless["links"][0]["weight"] = math.inf
    clash = circuit()
    clash["nodes"].append(other_node("0_2_1", "mlp reconstruction error", layer="2", position=1))
    layer = circuit()
    layer["nodes"].append({**feature_node(1, 6, 2), "layer": "0"})
    no_prompt = circuit()
    del no_prompt["metadata"]["prompt"]
    return {
        "link .* to 9_9_9": strange,
        "comes twice": twice,
        "no finite weight": endless,
        "two nodes 0_2_1": clash,
        "odd node": layer,
        "no 'prompt'": no_prompt,
        "no 'metadata'": {"nodes": []},
        "odd": [1, 2],
    }


@pytest.mark.parametrize("told", sorted(broken_circuits()))
def test_an_odd_circuit_is_refused(told: str, tmp_path: Path) -> None:
    (tmp_path / "g.json").write_text(json.dumps(broken_circuits()[told]))
    with pytest.raises(ArtifactError, match=told):
        read_circuit(tmp_path / "g.json")
    (tmp_path / "g.json").write_text("{")
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_circuit(tmp_path / "g.json")
