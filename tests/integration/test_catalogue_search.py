"""The queries that search by words and by vectors, against exact answers over two SAEs."""

from __future__ import annotations

import json
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from atlas import Atlas
from atlas.errors import NotFoundError, UsageError
from atlas.graph.reader import DriverReader
from ingest.imports.explanations import import_explanations
from queries.catalogue import query, run
from queries.embedding import embed_label
from tests.builds import (
    DEAD,
    ISOLATED,
    SAE,
    SIZE,
    concept_key,
    decoder,
    embedding,
    key,
    planted,
    write_build,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from neo4j import Driver

    from atlas.graph.reader import Row
    from atlas.graph.server import ManagedServer

pytestmark = pytest.mark.db

SAMPLES: dict[str, dict[str, Any] | None] = {
    "features_like_label": {"feature": 3},
    "nearest_by_decoder": {"feature": 3},
    "nearest_by_meaning": {"text": "heart"},
    "search": {"text": "heart"},
    "search_concepts": {"text": "heart"},
    "search_contexts": {"text": "heart"},
    "search_explanations": None,  # explanations are imported, not loaded
    "search_tokens": {"text": "heart"},
}
FIRST, SECOND = "synthetic", "second"
SECOND_SAE = SAE.replace("planted", "second")
WITHOUT_DECODER = 5
EXPLANATIONS = (
    (3, "cardiac words", 0.7),
    (3, "cardiac cardiac cardiac", 0.2),
    (9, "a cardiac goal among many other things", None),
    (17, "water that flows", 0.9),
)


def second_key(index: int) -> str:
    return f"{SECOND_SAE}/{index}"


def second() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a build of another SAE: twins of the planted features, one without a decoder."""
    made, rows = planted(SECOND)
    text = json.dumps({"run": made, "rows": rows}).replace("/planted", "/second")
    other = json.loads(text)
    other["rows"]["vectors"][WITHOUT_DECODER]["decoder"] = None
    return other["run"], other["rows"]


def write_explanations(path: Path) -> Path:
    lines = [
        {
            "id": f"id-{number}",
            "modelId": "toy",
            "layer": "1-res",
            "index": str(index),
            "description": text,
            "typeName": "oai_token-act-pair",
            "explanationModelName": "some-model",
            "scores": [{"value": score, "explanationScoreTypeName": "recall_alt"}],
        }
        for number, (index, text, score) in enumerate(EXPLANATIONS)
    ]
    lines[2]["scores"] = []
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def reader(
    driver: Driver, server: ManagedServer, tmp_path_factory: pytest.TempPathFactory
) -> DriverReader:
    driver.execute_query("MATCH (n) DETACH DELETE n")
    folder = tmp_path_factory.mktemp("builds")
    with Atlas.connect(home=server.home) as atlas:
        atlas.load(write_build(folder / FIRST))
        atlas.load(write_build(folder / SECOND, *second()))
    import_explanations(
        driver,
        write_explanations(folder / "explanations.jsonl"),
        run=FIRST,
        saes={"toy/1-res": SAE},
    )
    return DriverReader(driver)


def ask(reader: DriverReader, name: str, **parameters: Any) -> list[Row]:
    spec = query(name)
    found = run(reader, name, **parameters)
    assert all(list(row) == [column.name for column in spec.columns] for row in found)
    return found


def state(reader: DriverReader, name: str, **parameters: Any) -> list[Row]:
    """Run the statement of a query with the values that it gets, names not looked up."""
    spec = query(name)
    return reader.read(spec.cypher, {p.name: p.default for p in spec.parameters} | parameters)


def keys(rows: list[Row]) -> list[str]:
    return [row["key"] for row in rows]


def cosines(vector: list[float], others: dict[str, list[float]]) -> dict[str, float]:
    def unit(values: list[float]) -> np.ndarray[Any, Any]:
        return np.asarray(values) / np.linalg.norm(values)

    return {name: float(unit(vector) @ unit(other)) for name, other in others.items()}


def nearest(found: dict[str, float]) -> list[str]:
    return sorted(found, key=lambda name: -found[name])


DECODERS = {key(index): decoder(index) for index in range(DEAD + 1)}
OTHER_DECODERS = {
    second_key(index): decoder(index) for index in range(DEAD + 1) if index != WITHOUT_DECODER
}
LABELS = {key(index): embedding(index) for index in range(DEAD)}
OTHER_LABELS = {second_key(index): embedding(index) for index in range(DEAD)}


@pytest.mark.parametrize("index", [0, 9, ISOLATED, DEAD])
def test_nearest_by_decoder(reader: DriverReader, index: int) -> None:
    expected = cosines(decoder(index), {k: v for k, v in DECODERS.items() if k != key(index)})
    rows = ask(reader, "nearest_by_decoder", feature=key(index), limit=100)
    assert keys(rows) == nearest(expected)
    assert {r["key"]: r["cosine"] for r in rows} == pytest.approx(expected, abs=1e-5)
    assert {row["sae"] for row in rows} == {SAE}
    few = ask(reader, "nearest_by_decoder", feature=f"planted/{index}", limit=3)
    assert few == rows[:3]


def test_nearest_by_decoder_in_other_saes(reader: DriverReader) -> None:
    every = DECODERS | OTHER_DECODERS
    expected = cosines(decoder(9), {k: v for k, v in every.items() if k != key(9)})
    rows = ask(reader, "nearest_by_decoder", feature=key(9), other_saes=True, limit=100)
    assert {r["key"]: r["cosine"] for r in rows} == pytest.approx(expected, abs=1e-5)
    assert (rows[0]["key"], rows[0]["sae"]) == (second_key(9), SECOND_SAE)
    assert rows[0]["cosine"] == pytest.approx(1.0, abs=1e-6)
    found = [row["cosine"] for row in rows]
    assert found == sorted(found, reverse=True)


def test_a_feature_without_a_decoder_is_near_nothing(reader: DriverReader) -> None:
    lacking = second_key(WITHOUT_DECODER)
    assert ask(reader, "nearest_by_decoder", feature=lacking, other_saes=True) == []
    assert ask(reader, "features_like_label", feature=lacking, limit=2)
    rows = ask(reader, "features_like_label", feature=key(0), other_saes=True, limit=100)
    without = {row["key"] for row in rows if row["decoder_cosine"] is None}
    assert without == {lacking}


@pytest.mark.parametrize("index", [0, 20])
def test_features_like_label(reader: DriverReader, index: int) -> None:
    expected = cosines(embedding(index), {k: v for k, v in LABELS.items() if k != key(index)})
    rows = ask(reader, "features_like_label", feature=key(index), limit=100)
    assert keys(rows) == nearest(expected)
    assert {r["key"]: r["cosine"] for r in rows} == pytest.approx(expected, abs=1e-5)
    by_decoder = cosines(decoder(index), {name: DECODERS[name] for name in expected})
    assert {r["key"]: r["decoder_cosine"] for r in rows} == pytest.approx(by_decoder, abs=1e-5)
    others = ask(reader, "features_like_label", feature=key(index), other_saes=True, limit=1)
    assert keys(others) == [second_key(index)]


def test_a_feature_without_a_label_is_like_nothing(reader: DriverReader) -> None:
    assert ask(reader, "features_like_label", feature=key(DEAD)) == []


def test_nearest_by_meaning(reader: DriverReader) -> None:
    expected = cosines(embedding(7), LABELS | OTHER_LABELS)
    rows = state(reader, "nearest_by_meaning", text=embedding(7), limit=100)
    assert {r["key"]: r["cosine"] for r in rows} == pytest.approx(expected, abs=1e-5)
    assert keys(rows[:2]) == sorted([key(7), second_key(7)])
    of_first = state(reader, "nearest_by_meaning", text=embedding(7), limit=100, run=FIRST)
    assert keys(of_first) == nearest({k: expected[k] for k in LABELS})
    assert of_first[:1] == state(
        reader, "nearest_by_meaning", text=embedding(7), limit=1, run=FIRST
    )


def test_a_text_is_embedded_as_labels_are(reader: DriverReader) -> None:
    rows = ask(reader, "nearest_by_meaning", text="diseases of the heart", run=FIRST)
    expected = cosines(embed_label("diseases of the heart"), LABELS)
    assert keys(rows) == nearest(expected)[:20]
    with pytest.raises(UsageError):
        ask(reader, "nearest_by_meaning", text="  ")


@pytest.mark.parametrize("name", ["nearest_by_decoder", "features_like_label"])
def test_features_that_are_not_there(reader: DriverReader, name: str) -> None:
    """The statements find nothing for a key that no feature has; the caller makes it an error."""
    assert state(reader, name, feature=key(999)) == []
    with pytest.raises(NotFoundError):
        ask(reader, name, feature=key(999))


def test_search_weighs_places(reader: DriverReader) -> None:
    """The word is feature 3's second token, and in the fourth context of all of its theme."""
    rows = ask(reader, "search", text="own3", run=FIRST)
    assert rows[0]["key"] == key(3)
    assert (rows[0]["score"], rows[0]["matched"]) == (1.0, ["context", "label", "token"])
    assert rows[0]["excerpt"] == "heart 3"
    assert keys(rows[1:]) == [key(index) for index in range(SIZE) if index != 3]
    for row in rows[1:]:
        assert row["score"] == pytest.approx(1 / (1 + log(4)))
        assert (row["matched"], row["excerpt"]) == (["context"], "The heart is own3.")
    (token,) = ask(reader, "search", text="own3", where="token", run=FIRST)
    assert token["score"] == pytest.approx(1 / (1 + log(2)))
    assert token["excerpt"] == " own3"


def test_search_in_runs(reader: DriverReader) -> None:
    for where in ("any", "label", "token", "context"):
        both = ask(reader, "search", text="heart", where=where)
        every = {name(index) for index in range(SIZE) for name in (key, second_key)}
        assert set(keys(both)) == every
        for run_id, name in ((FIRST, key), (SECOND, second_key)):
            rows = ask(reader, "search", text="heart", where=where, run=run_id)
            assert set(keys(rows)) == {name(index) for index in range(SIZE)}
        assert ask(reader, "search", text="heart", where=where, limit=3) == both[:3]


def test_of_equal_scores_what_is_found_in_more_places_comes_first(reader: DriverReader) -> None:
    rows = ask(reader, "search", text="heart alone", run=FIRST)
    assert [row["score"] for row in rows] == [1.0] * (SIZE + 1)
    assert keys(rows) == [*(key(index) for index in range(SIZE)), key(ISOLATED)]
    assert rows[-1]["matched"] == ["label", "token"], "no context of it is kept"


def test_search_contexts(reader: DriverReader) -> None:
    (row,) = ask(reader, "search_contexts", text="own3", per_context=100)
    assert (row["context"], row["text"]) == ("letters/0/3", "The heart is own3.")
    assert (row["document"], row["domain"], row["title"]) == ("letters/0", "domain-heart", None)
    assert (row["position"], row["token"], row["score"]) == (3, " heart", 1.0)
    expected = sorted(
        (index / 100 - 2.25, name(index)) for index in range(SIZE) for name in (key, second_key)
    )
    assert [f["key"] for f in row["features"]] == [name for _, name in expected]
    assert [f["activation"] for f in row["features"]] == pytest.approx([-a for a, _ in expected])
    assert row["features"][0]["rank"] == 4
    (mine,) = ask(reader, "search_contexts", text="own3", run=SECOND, per_context=2)
    assert [f["key"] for f in mine["features"]] == [second_key(0), second_key(1)]
    (bare,) = ask(reader, "search_contexts", text="own3", per_context=0)
    assert bare["features"] == []


def test_contexts_by_relevance(reader: DriverReader) -> None:
    rows = ask(reader, "search_contexts", text="heart own2")
    assert rows[0]["context"] == "letters/0/2", "it has both words"
    assert rows[0]["score"] == 1.0
    assert [row["context"] for row in rows[1:]] == ["letters/0/0", "letters/0/1", "letters/0/3"]
    assert all(0 < row["score"] < 1 for row in rows[1:])
    assert ask(reader, "search_contexts", text="heart own2", limit=2) == rows[:2]
    assert ask(reader, "search_contexts", text="nowhere") == []


def test_search_explanations(reader: DriverReader) -> None:
    rows = ask(reader, "search_explanations", text="cardiac")
    assert keys(rows) == [key(3), key(9)]
    best, other = rows
    assert (best["score"], best["explanations"]) == (1.0, 2)
    assert best["explanation"] == "cardiac cardiac cardiac"
    assert (best["quality"], best["measure"]) == (0.2, "recall_alt")
    assert (best["method"], best["model"]) == ("oai_token-act-pair", "some-model")
    assert best["source"] == "explanations.jsonl"
    assert other["quality"] is None
    assert 0 < other["score"] < 1
    assert keys(ask(reader, "search_explanations", text="WATER (flows")) == [key(17)]
    assert ask(reader, "search_explanations", text="cardiac", limit=1) == rows[:1]
    assert ask(reader, "search_explanations", text="cardiac", run=FIRST) == rows
    assert ask(reader, "search_explanations", text="cardiac", run=SECOND) == []


def test_search_tokens(reader: DriverReader) -> None:
    (row,) = ask(reader, "search_tokens", text="Heart")
    assert (row["token"], row["token_id"], row["model"]) == (" heart", 0, "toy")
    assert (row["fires_on"], row["promotes"], row["suppresses"]) == (16, 16, 0)
    assert row["score"] == 1.0
    (mine,) = ask(reader, "search_tokens", text="heart", run=SECOND)
    assert (mine["fires_on"], mine["promotes"]) == (8, 8)
    two = ask(reader, "search_tokens", text="own3 own4")
    assert [row["token"] for row in two] == [" own3", " own4"]
    assert [row["fires_on"] for row in two] == [2, 2]
    assert ask(reader, "search_tokens", text="own3 own4", limit=1) == two[:1]


def test_search_concepts(reader: DriverReader) -> None:
    (row,) = ask(reader, "search_concepts", text="HEART")
    assert (row["concept"], row["name"]) == (concept_key("heart"), "domain-heart")
    assert (row["score"], row["documents"], row["features"]) == (1.0, 40, 16)
    (mine,) = ask(reader, "search_concepts", text="heart", run=FIRST)
    assert mine["features"] == SIZE
    every = ask(reader, "search_concepts", text="domain heart")
    assert [row["name"] for row in every] == ["domain-heart", "domain-goal", "domain-river"]
    assert every[1]["score"] < 1
    assert ask(reader, "search_concepts", text="domain heart", limit=2) == every[:2]
    assert ask(reader, "search_concepts", text="heart", kind="term") == []


@pytest.mark.parametrize(
    "name", ["search_concepts", "search_contexts", "search_explanations", "search_tokens"]
)
def test_any_text_can_be_looked_for(reader: DriverReader, name: str) -> None:
    for text in ('"heart', "heart: [a TO b}", "AND", "~ (( !"):
        ask(reader, name, text=text)
    with pytest.raises(UsageError, match="no text"):
        ask(reader, name, text=" ")


CROWD = 60
"""Features of a large SAE for each planted one."""


@pytest.fixture
def crowd(driver: Driver, reader: DriverReader) -> Iterator[None]:
    """Put a run and an SAE beside the others that have 60 features near each of the first."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "key": f"crowd/{index}/{number}",
            "decoder": (np.asarray(decoder(index)) + rng.normal(size=8) / 100).tolist(),
            "label": (np.asarray(embedding(index)) + rng.normal(size=256) / 500).tolist(),
        }
        for index in range(DEAD)
        for number in range(CROWD)
    ]
    driver.execute_query(
        "CREATE (s:Sae {key: 'crowd'}), (r:Run {key: 'crowd', state: 'loaded'}) WITH s, r "
        "UNWIND $rows AS row "
        "CREATE (f:Feature {key: row.key, label: 'heart', run: 'crowd'}), (f)-[:IN]->(s), "
        "  (f)-[:FROM_RUN]->(r), (t:Token {key: row.key, text: 'heart'}), "
        "  (x:Context {key: row.key, text: 'heart'}), "
        "  (f)-[:FIRES_ON {run: 'crowd', rank: 1}]->(t), "
        "  (f)-[:FIRES_IN {run: 'crowd', rank: 1}]->(x) "
        "WITH f, row CALL db.create.setNodeVectorProperty(f, 'decoder', row.decoder) "
        "CALL db.create.setNodeVectorProperty(f, 'label_embedding', row.label)",
        rows=rows,
    )
    driver.execute_query("CALL db.index.fulltext.awaitEventuallyConsistentIndexRefresh()")
    yield
    driver.execute_query("MATCH (n) WHERE n.key STARTS WITH 'crowd' DETACH DELETE n")


@pytest.mark.usefixtures("crowd")
def test_a_small_sae_is_found_beside_a_large_one(reader: DriverReader) -> None:
    expected = nearest(cosines(decoder(9), {k: v for k, v in DECODERS.items() if k != key(9)}))
    assert keys(ask(reader, "nearest_by_decoder", feature=key(9))) == expected[:20]
    expected = nearest(cosines(embedding(9), {k: v for k, v in LABELS.items() if k != key(9)}))
    assert keys(ask(reader, "features_like_label", feature=key(9))) == expected[:20]
    others = ask(reader, "features_like_label", feature=key(9), other_saes=True)
    assert {row["sae"] for row in others} == {"crowd", SECOND_SAE}
    expected = nearest(cosines(embedding(7), LABELS))
    found = state(reader, "nearest_by_meaning", text=embedding(7), run=FIRST)
    assert keys(found) == expected[:20]
    for where in ("any", "label", "token", "context"):
        rows = ask(reader, "search", text="heart", where=where, run=FIRST)
        assert set(keys(rows)) == {key(index) for index in range(SIZE)}
    assert len(ask(reader, "search", text="heart", run="crowd", limit=30)) == 30
