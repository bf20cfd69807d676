"""Labels of the planted graph: order of sources, scores by hand, any callable as labeller."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from atlas.analysis.embedding import can_embed, embed_texts
from atlas.errors import NotFoundError, UsageError
from ingest.labelling import LabelOptions, label_features
from ingest.load import load
from tests.builds import DEAD, ISOLATED, SIZE, key, planted, theme, write_build
from tests.servers import wipe

if TYPE_CHECKING:
    from neo4j import Driver

pytestmark = pytest.mark.db

RUN = "synthetic"


@pytest.fixture(scope="module")
def loaded(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> Driver:
    """The planted graph, whose two weaker firings are drawn from bins."""
    wipe(driver)
    run, rows = planted()
    for row in rows["firings"]:
        row["bin"] = row["rank"] - 3 if row["rank"] > 2 else None
    rows["features"][3] |= {"top_words": ["valve"]}
    rows["feature_tokens"] = [
        row
        for row in rows["feature_tokens"]
        if not (row["feature"] in (key(3), key(4)) and row["relation"] == "FIRES_ON")
    ]
    rows["features"][4] |= {"top_words": [], "promoted": [" is", "IS"]}
    load(driver, write_build(tmp_path_factory.mktemp("build"), run, rows))
    return driver


def read(driver: Driver) -> dict[int, dict]:
    rows, _, _ = driver.execute_query("MATCH (f:Feature) RETURN f {.*} AS f ORDER BY f.index")
    return {row["f"]["index"]: row["f"] for row in rows}


def test_labels_of_tokens_words_and_promoted_tokens_have_scores(loaded: Driver):
    done = label_features(loaded, RUN)
    assert (done.features, done.kept, done.scored) == (DEAD, 0, DEAD - 1)
    assert done.sources == {"contexts": 1, "promoted": 1, "tokens": DEAD - 2}
    found = read(loaded)
    # Held out are windows 2 and 3 of a theme, with activations 2.5 or 2.25 at its word and 0.5 at
    # that of another feature. There are six such windows of five tokens, two of them of a theme.
    for index in range(SIZE * 3):
        if index in (3, 4):
            continue
        own = 0.5 if index % SIZE in (2, 3) else 0.0
        peaks = 2.5 + 2.25
        explained = (peaks + own) / (peaks + 1)
        chance = (2 + (own > 0)) / 30
        assert found[index]["label"] == f"{theme(index)} · own{index}"
        assert found[index]["label_source"] == "tokens"
        assert found[index]["label_score"] == pytest.approx(explained - chance)
        assert found[index]["label_contexts"] == 2
        assert found[index]["label_run"] == f"{RUN}/label"
    assert (found[3]["label"], found[3]["label_source"]) == ("valve", "contexts")
    assert found[3]["label_score"] == 0, "no window has the word"
    # Promoted is the token after the theme's word: 1/2 of the activation, in 6 of 24 places.
    assert (found[4]["label"], found[4]["label_source"]) == ("is", "promoted")
    assert found[4]["label_score"] == pytest.approx(4.75 / 5.75 - 6 / 24)
    assert "label_score" not in found[ISOLATED], "it has no context"
    assert found[ISOLATED]["label"] == "alone · own24"
    assert "label" not in found[DEAD]
    scores = [f["label_score"] for f in found.values() if "label_score" in f]
    assert done.mean_score == pytest.approx(sum(scores) / len(scores))
    [[record]], _, _ = loaded.execute_query(
        "MATCH (a:AlgorithmRun {key: $key})-[:USED]->(:Run {key: $run}) RETURN a",
        key=done.algorithm_run,
        run=RUN,
    )
    assert json.loads(record["sources"]) == done.sources
    assert (record["algorithm"], record["features"]) == ("labels", DEAD)
    again = label_features(loaded, RUN)
    assert again.changed == 0
    assert {**vars(again), "changed": done.changed} == vars(done)
    assert read(loaded) == found


def test_labels_are_embedded_anew(loaded: Driver):
    if not can_embed():
        pytest.skip("wordllama is not installed")
    label_features(loaded, RUN, options=LabelOptions(labeller=lambda _: "an engine"))
    vector = embed_texts(["an engine"])[0]
    assert read(loaded)[9]["label_embedding"] == pytest.approx(vector.tolist())
    rows, _, _ = loaded.execute_query(
        "CALL db.index.vector.queryNodes('feature_label_embedding', 1, $vector) YIELD score"
        " RETURN score",
        vector=vector.tolist(),
    )
    assert rows[0]["score"] == pytest.approx(1.0, abs=1e-5)
    label_features(loaded, RUN)
    assert read(loaded)[9]["label"] == "goal · own9"


def test_explanations_come_first_then_any_callable(loaded: Driver):
    loaded.execute_query(
        "UNWIND [[0, 'weak', 0.1], [0, 'best', 0.9], [0, 'silent', null], [1, 'only', null]] AS x"
        " MATCH (f:Feature {index: x[0]})"
        " CREATE (:Explanation {key: x[1], text: x[1], score: x[2]})-[:EXPLAINS {run: $run}]->(f)",
        run=RUN,
    )
    seen = []

    def labeller(evidence):
        seen.append(evidence)
        return None if evidence.key == key(5) else f"about {evidence.tokens[:1]}"

    options = LabelOptions(labeller=labeller, labeller_name="mine")
    done = label_features(loaded, RUN, options=options)
    assert done.sources == {"mine": DEAD - 3, "neuronpedia": 2, "tokens": 1}
    found = read(loaded)
    assert [found[i]["label"] for i in (0, 1)] == ["best", "only"]
    assert found[2]["label"] == "about (' heart',)"
    assert "label_score" not in found[0]
    assert "label_score" not in found[2]
    assert found[5]["label"] == "heart · own5"
    assert len(seen) == DEAD - 2
    # What it was shown: the strongest contexts, not those that were held out.
    [two] = [evidence for evidence in seen if evidence.key == key(2)]
    assert [shown.text for shown in two.contexts] == ["The heart is own0.", "The heart is own1."]
    assert two.contexts[0].activations == pytest.approx((0, 3, 0, 0.5, 0))
    # Labels it gave are not asked for again, unless that is wanted.
    seen.clear()
    more = label_features(loaded, RUN, options=options)
    assert (more.kept, len(seen)) == (DEAD - 3, 1)
    assert read(loaded) == found
    again = LabelOptions(labeller=labeller, labeller_name="mine", again=True)
    assert label_features(loaded, RUN, options=again, features=[key(7), key(8)]).features == 2
    [[record]], _, _ = loaded.execute_query("MATCH (a:AlgorithmRun) RETURN a")
    assert record["features"] == DEAD, "the record is of all labels, not of the last call"
    assert json.loads(record["sources"]) == done.sources
    plain = label_features(loaded, RUN, options=LabelOptions(explanations=False))
    assert plain.sources == {"contexts": 1, "promoted": 1, "tokens": DEAD - 2}
    loaded.execute_query("MATCH (e:Explanation) DETACH DELETE e")


def test_a_stopped_labeller_loses_nothing_that_was_written(loaded: Driver, monkeypatch):
    from ingest.labelling import run as module

    monkeypatch.setattr(module, "BATCH", 10)
    asked = []

    def labeller(evidence):
        asked.append(evidence.key)
        if len(asked) == 15:
            raise KeyboardInterrupt
        return "said"

    options = LabelOptions(labeller=labeller, labeller_name="slow")
    with pytest.raises(KeyboardInterrupt):
        label_features(loaded, RUN, options=options)
    done = label_features(loaded, RUN, options=options)
    assert (done.kept, done.features) == (10, DEAD - 10)
    assert {f["label"] for i, f in read(loaded).items() if i != DEAD} == {"said"}


def test_wrong_runs_are_refused(loaded: Driver):
    with pytest.raises(NotFoundError, match="no live features of a run 'none'"):
        label_features(loaded, "none")
    with pytest.raises(NotFoundError, match="None of the features named"):
        label_features(loaded, RUN, features=["no feature"])
    loaded.execute_query("MATCH (f:Feature {index: 2}) SET f.run = 'later'")
    with pytest.raises(UsageError, match="hold the numbers of the run later"):
        label_features(loaded, RUN)
    loaded.execute_query("MATCH (f:Feature {index: 2}) SET f.run = $run", run=RUN)
    loaded.execute_query("MATCH (r:Run) SET r.state = 'loading'")
    with pytest.raises(UsageError, match="not loaded to its end"):
        label_features(loaded, RUN)
    loaded.execute_query("MATCH (r:Run) SET r.state = 'loaded'")


def test_without_held_out_contexts_labels_have_no_scores(loaded: Driver):
    loaded.execute_query("MATCH ()-[x:FIRES_IN]->() REMOVE x.bin")
    done = label_features(loaded, RUN)
    assert (done.scored, done.mean_score) == (0, None)
    assert "label_score" not in read(loaded)[0]
