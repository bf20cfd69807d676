"""Queries about experiments: interventions and effects, co-attribution, prompts and circuits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from atlas.errors import NotFoundError
from atlas.graph.reader import DriverReader
from ingest.imports import import_circuit
from ingest.load import load
from ingest.load_attribution import load_attribution
from queries.catalogue import query
from queries.catalogue import run as ask
from tests.builds import SAE, key, planted_attribution, write_attribution, write_build
from tests.circuits import circuit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neo4j import Driver

pytestmark = pytest.mark.db

SAMPLES: dict[str, dict[str, Any] | None] = {
    "affects": None,
    "causes": None,
    "circuit": None,
    "circuits": None,
    "co_attributed": None,
    "effects": None,
    "evidence": {"a": 7, "b": 8},
    "explanations": None,
    "findings": None,
    "intervention": None,
    "interventions": None,
    "prompt_sets": None,
    "prompts": None,
    "tested_edges": None,
}
"""Parameters with which each query finds something in the planted build; None if it cannot, because
it needs an attribution run, an experiment or an import."""

RUN = "steer-0"
ATTRIBUTION = "capitals-attribution-0"


def intervention(number: int, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "key": f"{RUN}/{number}",
        "run": RUN,
        "kind": kind,
        "unit": "activation",
        "positions": "all",
        "features": 1,
        "parameters": json.dumps({"number": number}),
        "seed": number,
        "created": f"2025-01-0{number}T00:00:00+00:00",
        "model": "toy",
        **more,
    }


INTERVENTIONS = [
    intervention(1, "add", strength=4.0),
    intervention(2, "ablate", mode="mean", strength=0.0, features=2),
    intervention(3, "clamp", strength=2.0, unit="global_max", positions="firing"),
]
ON = [(1, 0, 4.0), (2, 0, None), (2, 1, None), (3, 3, 2.0)]
"""Number of the intervention, index of the feature, strength of the one on the other."""


def effect(number: int, place: int, metric: str, change: float, **more: Any) -> dict[str, Any]:
    return {
        "key": f"{RUN}/{number}/{place}",
        "run": RUN,
        "metric": metric,
        "baseline": 1.0,
        "value": 1.0 + change,
        "change": change,
        "prompts": 3,
        "low": change - 0.1,
        "high": change + 0.1,
        "p": 0.01,
        "q": 0.02,
        **more,
    }


EFFECTS = {
    1: [
        effect(1, 1, "logit", 0.5, target=" Rome"),
        effect(1, 2, "logit", -2.0, target=" Oslo"),
        effect(1, 3, "loss", 0.25),
        effect(1, 4, "loss", 0.75, prompts=1),
    ],
    2: [effect(2, 1, "loss", -0.5)],
}
ON_PROMPT = (f"{RUN}/1/4", "capitals/1")
AFFECTS = [(1, 0, 1, 0.8, 0.01), (1, 0, 8, -1.5, 0.5), (2, 0, 1, -0.4, 0.03), (3, 3, 1, 0.2, None)]
"""Number of the intervention, indices of the two features, change and q."""

_WRITE = """
CREATE (r:Run {key: $run, kind: 'intervention', name: 'steer', created: '2025-02-01',
               state: 'loaded', model: 'toy', versions: '{}'})
WITH r
CALL (r) { UNWIND $interventions AS row CREATE (i:Intervention)-[:FROM_RUN]->(r) SET i = row }
CALL () {
  UNWIND $on AS row
  MATCH (i:Intervention {key: row.intervention})
  MATCH (f:Feature {key: row.feature})
  CREATE (i)-[o:ON]->(f) SET o.strength = row.strength
}
CALL () {
  UNWIND $effects AS row
  MATCH (i:Intervention {key: row.intervention})
  CREATE (i)-[:CAUSED]->(e:Effect) SET e = row.effect
}
CALL () {
  MATCH (e:Effect {key: $effect})
  MATCH (p:Prompt {key: $prompt})
  CREATE (e)-[:ON_PROMPT]->(p)
}
CALL () {
  UNWIND $affects AS row
  MATCH (a:Feature {key: row.source})
  MATCH (b:Feature {key: row.target})
  CREATE (a)-[r:AFFECTS]->(b) SET r = row.values
}
"""


@pytest.fixture(scope="module")
def reader(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DriverReader]:
    driver.execute_query("MATCH (n) DETACH DELETE n")
    folder = tmp_path_factory.mktemp("builds")
    load(driver, write_build(folder / "build"))
    load_attribution(driver, write_attribution(folder / "attribution"))
    driver.execute_query(
        _WRITE,
        run=RUN,
        interventions=INTERVENTIONS,
        on=[
            {"intervention": f"{RUN}/{number}", "feature": key(index), "strength": strength}
            for number, index, strength in ON
        ],
        effects=[
            {"intervention": f"{RUN}/{number}", "effect": row}
            for number, rows in EFFECTS.items()
            for row in rows
        ],
        effect=ON_PROMPT[0],
        prompt=ON_PROMPT[1],
        affects=[affects(*row) for row in AFFECTS],
    )
    path = folder / "circuit.json"
    path.write_text(json.dumps(circuit()))
    import_circuit(driver, path, run="synthetic", saes={1: SAE})
    yield DriverReader(driver)
    driver.execute_query("MATCH (n) WHERE n.run = $run DETACH DELETE n", run=RUN)
    driver.execute_query("MATCH (n:Run|PromptSet|Prompt|AttributionGraph) DETACH DELETE n")


def affects(number: int, a: int, b: int, change: float, q: float | None) -> dict[str, Any]:
    return {
        "source": key(a),
        "target": key(b),
        "values": {
            "key": f"{RUN}|{SAE}|{a}|{b}|{number}/mean",
            "run": RUN,
            "intervention": f"{RUN}/{number}",
            "metric": "mean",
            "change": change,
            "low": change - 0.1,
            "high": change + 0.1,
            "p": q,
            "q": q,
            "prompts": 3,
        },
    }


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("affects", {"feature": 0}),
        ("causes", {"feature": 1}),
        ("circuits", {}),
        ("co_attributed", {"feature": 0}),
        ("effects", {"feature": 0}),
        ("evidence", {"a": 0, "b": 1}),
        ("intervention", {"intervention": f"{RUN}/1"}),
        ("interventions", {}),
        ("prompt_sets", {}),
        ("prompts", {"prompt_set": "capitals"}),
    ],
)
def test_the_columns_are_those_of_the_header(
    reader: DriverReader, name: str, parameters: dict[str, Any]
) -> None:
    rows = ask(reader, name, **parameters)
    assert rows
    assert all(list(row) == [column.name for column in query(name).columns] for row in rows)


def test_interventions_are_listed_newest_first(reader: DriverReader) -> None:
    rows = ask(reader, "interventions")
    assert [row["key"] for row in rows] == [f"{RUN}/{n}" for n in (3, 2, 1)]
    assert [row["effects"] for row in rows] == [0, 1, 4]
    assert [row["affected"] for row in rows] == [1, 1, 2]
    assert rows[0]["strongest"] is None
    assert rows[2]["strongest"]["target"] == " Oslo"
    assert rows[2]["strongest"]["change"] == -2.0
    assert rows[1]["on"] == [
        {"key": key(0), "label": "heart 0", "strength": None},
        {"key": key(1), "label": "heart 1", "strength": None},
    ]
    assert [row["key"] for row in ask(reader, "interventions", feature=1)] == [f"{RUN}/2"]
    assert [row["key"] for row in ask(reader, "interventions", kind="clamp")] == [f"{RUN}/3"]
    assert ask(reader, "interventions", feature=1, kind="clamp") == []
    assert ask(reader, "interventions", limit=1) == rows[:1]
    assert ask(reader, "interventions", feature=20) == []


def test_a_change_after_an_intervention_on_two_features_counts_once(
    reader: DriverReader, driver: Driver
) -> None:
    rows = [affects(2, a, b, change, 0.5) for b, change in ((9, 0.1), (10, 0.2)) for a in (0, 1)]
    for row in rows:
        row["values"]["key"] += "/more"
    driver.execute_query(
        "UNWIND $rows AS row MATCH (a:Feature {key: row.source}), (b:Feature {key: row.target}) "
        "CREATE (a)-[r:AFFECTS]->(b) SET r = row.values",
        rows=rows,
    )
    try:
        found = {row["key"]: row["affected"] for row in ask(reader, "interventions")}
        assert found == {f"{RUN}/1": 2, f"{RUN}/2": 1 + 2, f"{RUN}/3": 1}
    finally:
        driver.execute_query("MATCH ()-[r:AFFECTS]->() WHERE r.key ENDS WITH '/more' DELETE r")


def test_what_has_no_change_comes_last(reader: DriverReader, driver: Driver) -> None:
    driver.execute_query("MATCH (e:Effect {change: -2.0}) SET e.change = null")
    driver.execute_query("MATCH ()-[r:AFFECTS {change: -1.5}]->() SET r.change = null")
    try:
        effects = ask(reader, "effects", feature=0, metric="logit")
        assert [row["change"] for row in effects] == [0.5, None]
        (card,) = ask(reader, "intervention", intervention=f"{RUN}/1", limit=1)
        assert [row["change"] for row in card["effects"]] == [0.5]
        assert [row["change"] for row in card["affects"]] == [0.8]
        assert [row["change"] for row in ask(reader, "affects", feature=0)] == [0.8, -0.4, None]
        assert [row["change"] for row in ask(reader, "causes", feature=8)] == [None]
    finally:
        driver.execute_query("MATCH (e:Effect) WHERE e.change IS NULL SET e.change = -2.0")
        driver.execute_query("MATCH ()-[r:AFFECTS]->() WHERE r.change IS NULL SET r.change = -1.5")


def test_the_card_of_an_intervention(reader: DriverReader) -> None:
    (card,) = ask(reader, "intervention", intervention=f"{RUN}/1")
    assert (card["kind"], card["mode"], card["strength"]) == ("add", None, 4.0)
    assert card["on"] == [{"key": key(0), "label": "heart 0", "strength": 4.0}]
    assert [(e["metric"], e["target"], e["change"]) for e in card["effects"]] == [
        ("logit", " Oslo", -2.0),
        ("logit", " Rome", 0.5),
        ("loss", None, 0.75),
        ("loss", None, 0.25),
    ]
    assert [e["prompt"] for e in card["effects"]] == [None, None, "The capital of France is", None]
    assert [(a["by"], a["feature"], a["change"]) for a in card["affects"]] == [
        (key(0), key(8), -1.5),
        (key(0), key(1), 0.8),
    ]
    assert json.loads(card["parameters"]) == {"number": 1}
    (short,) = ask(reader, "intervention", intervention=f"{RUN}/1", limit=1)
    assert (len(short["effects"]), len(short["affects"])) == (1, 1)
    (bare,) = ask(reader, "intervention", intervention=f"{RUN}/3")
    assert bare["effects"] == []
    assert ask(reader, "intervention", intervention="none") == []


def test_effects_of_a_feature(reader: DriverReader) -> None:
    rows = ask(reader, "effects", feature=0)
    assert [(row["metric"], row["change"], row["kind"]) for row in rows] == [
        ("logit", -2.0, "add"),
        ("logit", 0.5, "add"),
        ("loss", -0.5, "ablate"),
        ("loss", 0.25, "add"),
    ]
    assert [row["strength"] for row in rows] == [4.0, 4.0, 0.0, 4.0]
    assert all(row["value"] - row["baseline"] == row["change"] for row in rows)
    every = ask(reader, "effects", feature=0, metric="loss", prompts=True)
    assert [(row["change"], row["prompt"]) for row in every] == [
        (0.75, "The capital of France is"),
        (-0.5, None),
        (0.25, None),
    ]
    assert [row["features"] for row in ask(reader, "effects", feature=1)] == [2]
    assert ask(reader, "effects", feature=3) == []
    with pytest.raises(NotFoundError):
        ask(reader, "effects", feature=99)


def test_what_affects_what(reader: DriverReader) -> None:
    forward = ask(reader, "affects", feature=0)
    assert [(row["key"], row["change"], row["kind"]) for row in forward] == [
        (key(8), -1.5, "add"),
        (key(1), 0.8, "add"),
        (key(1), -0.4, "ablate"),
    ]
    back = ask(reader, "causes", feature=1)
    assert [(row["key"], row["change"], row["features"]) for row in back] == [
        (key(0), 0.8, 1),
        (key(0), -0.4, 2),
        (key(3), 0.2, 1),
    ]
    tested = ask(reader, "causes", feature=1, max_q=0.02)
    assert [row["change"] for row in tested] == [0.8]
    assert len(ask(reader, "causes", feature=1, max_q=0.99)) == 2, "one was not tested"
    assert ask(reader, "affects", feature=1) == []
    assert ask(reader, "affects", feature=0, metric="other") == []
    assert ask(reader, "affects", feature=0, limit=1) == forward[:1]


@pytest.mark.parametrize(
    ("a", "b", "verdict", "a_to_b", "b_to_a"),
    [
        (0, 1, "confirmed", 0.8, None),
        (1, 0, "confirmed", None, 0.8),
        (7, 8, "not measured", None, None),
        (0, 20, "nothing", None, None),
        (0, 8, "nothing", None, None),
        (0, 9, "not measured", None, None),
    ],
)
def test_evidence(
    reader: DriverReader,
    a: int,
    b: int,
    verdict: str,
    a_to_b: float | None,
    b_to_a: float | None,
) -> None:
    (row,) = ask(reader, "evidence", a=a, b=b)
    assert (row["a"], row["b"], row["verdict"]) == (key(a), key(b), verdict)
    assert (row["a_to_b"], row["b_to_a"]) == (a_to_b, b_to_a)


def test_evidence_lists_what_it_rests_on(reader: DriverReader) -> None:
    (row,) = ask(reader, "evidence", a=0, b=1)
    assert [edge["kind"] for edge in row["co_occurs"]] == ["token"]
    assert [edge["direction"] for edge in row["implies"]] == ["a to b"]
    assert [(x["change"], x["passes"], x["kind"]) for x in row["affects"]] == [
        (0.8, True, "add"),
        (-0.4, True, "ablate"),
    ]
    (row,) = ask(reader, "evidence", a=9, b=0)
    assert [(edge["prompt_set"], edge["r"]) for edge in row["co_attributed"]] == [("capitals", 0.8)]
    # At a smaller rate nothing passes: joined, measured, not confirmed. 3 and 1 are joined, too.
    assert ask(reader, "evidence", a=0, b=1, max_q=0.001)[0]["verdict"] == "not confirmed"
    assert ask(reader, "evidence", a=0, b=8, max_q=0.6)[0]["verdict"] == "causal only"


def test_co_attributed_in_both_directions(reader: DriverReader) -> None:
    planted = {
        (row["source"], row["target"]): row["r"] for row in planted_attribution()["co_attributed"]
    }
    for (a, b), r in planted.items():
        for feature, other in ((a, b), (b, a)):
            (row,) = ask(reader, "co_attributed", feature=feature)
            assert (row["key"], row["r"], row["sign"]) == (other, r, 1 if r > 0 else -1)
            assert (row["r_low"], row["r_high"]) == (r - 0.05, r + 0.05)
            assert (row["prompt_set"], row["run"]) == ("capitals", ATTRIBUTION)
    assert ask(reader, "co_attributed", feature=0, prompt_set="other") == []
    assert ask(reader, "co_attributed", feature=0, metric="other") == []
    assert ask(reader, "co_attributed", feature=1) == []


def test_prompt_sets_and_prompts(reader: DriverReader) -> None:
    (row,) = ask(reader, "prompt_sets")
    assert (row["key"], row["prompts"], row["mean_score"]) == ("capitals", 3, 2.5)
    assert row["runs"] == [
        {"key": ATTRIBUTION, "kind": "attribution", "metric": "logit-diff", "edges": 2}
    ]
    prompts = ask(reader, "prompts", prompt_set="capitals")
    assert [(row["answer"], row["score"]) for row in prompts] == [
        (" Rome", 1.5),
        (" Paris", 2.5),
        (" Madrid", 3.5),
    ]
    assert [row["effects"] for row in prompts] == [0, 1, 0]
    assert ask(reader, "prompts", prompt_set="other") == []
    assert ask(reader, "prompts", prompt_set="capitals", limit=2) == prompts[:2]


def test_circuits(reader: DriverReader) -> None:
    (row,) = ask(reader, "circuits")
    assert (row["prompt"], row["run"], row["saes"]) == ("The heart is", "synthetic", [SAE])
    assert (row["nodes"], row["features"], row["matched"]) == (9, 5, 3)
    assert (row["links"], row["stored"]) == (10, 2)
    assert row["probability"] == 0.75
    assert "red" in row["answer"]
    (card,) = ask(reader, "circuit", circuit=row["key"])
    assert list(card) == [column.name for column in query("circuit").columns]
    assert [(f["key"], f["to_logits"]) for f in card["features"]] == [(key(8), 4.0), (key(5), 1.0)]
    assert card["features"][1]["positions"] == [1, 2]
    assert [(x["source"], x["target"], x["weight"]) for x in card["links"]] == [
        (key(5), key(8), 0.75),
        (key(5), key(8), -0.25),
    ]
    assert [x["probability"] for x in card["logits"]] == [0.75]
    assert len(ask(reader, "circuit", circuit=row["key"], limit=1)[0]["features"]) == 1
    assert ask(reader, "circuit", circuit="none") == []
    assert ask(reader, "circuits", run="synthetic") == [row]


def test_the_runs_of_experiments_are_listed(reader: DriverReader) -> None:
    rows = {row["key"]: row for row in ask(reader, "runs")}
    kinds = {run: row["kind"] for run, row in rows.items()}
    assert kinds == {"synthetic": "build", ATTRIBUTION: "attribution", RUN: "intervention"}
    assert rows[ATTRIBUTION]["edges"] == [{"kind": "co_attributed", "n": 2}]
    assert rows[ATTRIBUTION]["saes"] == [SAE]
    assert rows[RUN]["edges"] == [{"kind": "affects", "n": len(AFFECTS)}]
    for run in (ATTRIBUTION, RUN):
        (card,) = ask(reader, "run", run=run)
        assert card["edges"] == rows[run]["edges"]
    bad = [row["check"] for row in ask(reader, "health") if row["status"] == "warn"]
    assert bad == []
    coverage = {row["what"]: row["features"] for row in ask(reader, "coverage", run="synthetic")}
    assert (coverage["interventions"], coverage["attributions"]) == (3, 4)


def test_provenance_of_measured_edges(reader: DriverReader) -> None:
    rows = ask(reader, "edge_provenance", a=1, b=0)
    measured = [row for row in rows if row["relation"] == "AFFECTS"]
    assert [(row["made_by"], row["maker"], row["direction"]) for row in measured] == [
        ("intervention", f"{RUN}/1", "b to a"),
        ("intervention", f"{RUN}/2", "b to a"),
    ]
    assert json.loads(measured[1]["parameters"]) == {"number": 2}
    assert measured[0]["created"] == "2025-01-01T00:00:00+00:00"
    (row,) = ask(reader, "edge_provenance", a=0, b=9)
    assert (row["made_by"], row["maker"], row["direction"]) == ("attribution", ATTRIBUTION, "a - b")
    assert (row["corpus"], row["n"]) == ("capitals", 3)
    links = ask(reader, "edge_provenance", a=5, b=8)
    assert {row["made_by"] for row in links if row["relation"] == "ATTRIBUTES"} == {"import"}
    assert {len(row["digest"]) for row in links if row["relation"] == "ATTRIBUTES"} == {64}
