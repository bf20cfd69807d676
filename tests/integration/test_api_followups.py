"""Follow-ups from an atlas, without a database, and on the command line, on a tiny model."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from typer.testing import CliRunner

from atlas import Atlas
from atlas.api.objects import Community
from atlas.api.workbench import Workbench, replay_folder
from atlas.cli import app
from atlas.errors import ArtifactError, ModelError, NotFoundError, UsageError
from atlas.graph.migrate import migrate
from queries.followups.evidence import open_evidence
from queries.followups.lab import Lab
from tests import tiny
from tests.servers import empty

pytestmark = [pytest.mark.db, pytest.mark.lm]

HOOK = "blocks.2.hook_resid_pre"
PROMPTS = [
    ("the heart pumps", " blood"),
    ("the court judge has", " law"),
    ("a band plays", " music"),
]
GRAPH = """
CREATE (m:Model {key: $model, source: $source, weights_sha256: $weights})
CREATE (s:Sae {key: $sae, name: 'tiny', hook: $hook, source: $folder, weights_sha256: $digest})
CREATE (s)-[:OF]->(m)
CREATE (c:Community {key: 'run/consensus/0', number: 0, label: 'together', run: 'run'})
CREATE (r:Run {key: 'run', state: 'loaded', created: '2025-01-01', model: $model})
WITH s, c, r UNWIND range(0, 63) AS i
CREATE (f:Feature {key: $sae + '/' + toString(i), index: i, max: 4.0, mean: 2.0, firing_rate: 0.25,
                   label: 'feature ' + toString(i), run: 'run'})-[:IN]->(s)
CREATE (f)-[:FROM_RUN]->(r)
SET f.community = CASE WHEN i < 32 THEN c.key ELSE 'run/consensus/1' END
WITH f, c WHERE f.index < 3
CREATE (f)-[:MEMBER_OF]->(c)
WITH DISTINCT 1 AS once
MATCH (f:Feature {key: $firing})
CREATE (f)-[:FIRES_IN {run: 'run', rank: 1, activation: 3.0, activations:
                       [at IN range(0, $peak + 1) | CASE at WHEN $peak THEN 3.0 ELSE 0.5 END]}]->
  (:Context {key: 'd/2', tokens: $words + ['the']})
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a tiny model and an SAE fitted to it."""
    root = tmp_path_factory.mktemp("tiny")
    tiny.fit(root, {"tiny": HOOK})
    return root


@pytest.fixture(scope="module")
def firing(home):
    """A feature's key, and the token after BOS at which it fires most in the first words."""
    lab = Lab.load(str(home / "model"), [str(home / "tiny")], device="cpu")
    stream = lab.model.residuals(torch.tensor([[0, *range(2, 20)]]), [HOOK])[HOOK]
    ((name, sae),) = lab.saes.items()
    row, index, value = sae.codes(stream[0, 1:])
    strongest = int(value.argmax())
    return f"{name}/{int(index[strongest])}", int(row[strongest])


@pytest.fixture(scope="module")
def key(firing):
    return firing[0]


@pytest.fixture(scope="module")
def atlas(driver, home, firing, tmp_path_factory):
    """An atlas that has the tiny SAE's features, and no more."""
    empty(driver)
    migrate(driver)
    lab = Lab.load(str(home / "model"), [str(home / "tiny")], device="cpu")
    ((name, sae),) = lab.saes.items()
    driver.execute_query(
        GRAPH, model=lab.model.name, source=str(home / "model"), sae=name, hook=HOOK,
        firing=firing[0], peak=firing[1], words=tiny.WORDS[: firing[1] + 1],
        folder=str(home / "tiny"), digest=sae.weights_sha256, weights=lab.model.weights_sha256,
    )  # fmt: skip
    made = Atlas(driver)
    type(made).home = property(lambda self: tmp_path_factory.getbasetemp() / "followups-home")
    yield made
    del type(made).home
    empty(driver)


@pytest.fixture
def bench(home, tmp_path):
    return Workbench(str(home / "model"), [str(home / "tiny")], root=tmp_path, device="cpu")


def test_steering_from_the_graph_is_kept_loaded_and_the_same_again(atlas, key):
    found = atlas.steer(int(key.rpartition("/")[2]), PROMPTS, strengths=(0.0, 1.0), generate=3)
    assert found.loaded
    assert found.folder.name == found.id
    effects = found.to_pandas()
    assert set(effects.metric) == {"kl", "entropy_top10", "logit", "probability", "rank"}
    kl = effects[effects.metric == "kl"].value.tolist()
    assert kl[0] == pytest.approx(0, abs=1e-5)
    assert kl[1] > 1e-3
    assert len(found.to_pandas("texts")) > 0
    rows = atlas.effects(key)
    assert len(rows) == len(effects)
    assert {row["run"] for row in rows} == {found.id}
    again = atlas.replay(found.id)
    assert again.same, again.differences
    assert again.compared > len(effects)
    shutil.rmtree(found.folder)
    from_graph = atlas.replay(found.id)
    assert from_graph.same, from_graph.differences


def test_the_unit_is_the_largest_activation_in_the_graph(atlas, key):
    unit = atlas.steer(key, PROMPTS[0], strengths=(0.5,), store=False).to_pandas()
    plain = atlas.steer(
        key, PROMPTS[0], strengths=(2.0,), unit="activation", store=False
    ).to_pandas()
    assert unit.value.tolist() == pytest.approx(plain.value.tolist(), rel=1e-4)
    assert atlas.steer(key, PROMPTS[0], kind="ablate", mode="mean", store=False).evidence.request[
        "sets"
    ][key][0]["features"][0]["mean"] == pytest.approx(0.5)


def test_sets_are_named_asked_for_or_joined(atlas):
    community = Community({"key": "run/consensus/0"}, atlas=atlas)
    for chosen, together, sets in (
        (community, False, {"run/consensus/0": 3}),
        ([0, 1], False, None),
        ([0, 1], True, {"together": 2}),
        ({"two": [0, 1], "one": atlas.feature(5)}, False, {"two": 2, "one": 1}),
        (atlas.cypher("MATCH (f:Feature) WHERE f.index < 2 RETURN f.key AS key"), True,
         {"together": 2}),
    ):  # fmt: skip
        found = atlas.steer(
            chosen, "the heart", kind="ablate", together=together, metrics=["kl"], store=False
        )
        asked = {n: len(arm[0]["features"]) for n, arm in found.evidence.request["sets"].items()}
        assert asked == (sets or {atlas.feature(i).key: 1 for i in (0, 1)})


def test_promotion_is_measured_in_the_contexts_of_the_graph(atlas, firing):
    key, peak = firing
    found = atlas.promotion(key, top=3)
    assert found.loaded
    assert {row["kind"] for row in atlas.interventions(feature=key)} >= {"ablate"}
    (context,) = found.evidence.request["contexts"][key]
    assert context == {"tokens": list(range(2, 3 + peak)), "position": peak}
    assert found.to_pandas("promotion").feature.tolist() == [key] * 6
    assert atlas.replay(found.id).same


def test_a_circuit_is_kept_and_joined_to_the_features_of_the_graph(atlas):
    found = atlas.trace(PROMPTS[0], candidates=10, sizes=(5,), draws=1)
    assert found.loaded
    kept = {row["feature"] for row in found.tables["circuit_nodes"].to_pylist() if row["kept"]}
    rows = atlas.cypher(
        "MATCH (f:Feature)-[:APPEARS_IN]->(g:AttributionGraph) RETURN f.key AS key, g.run AS run"
    )
    assert {row["key"] for row in rows} == {key for key in kept if key}
    assert rows[0]["run"] == "run"
    assert atlas.circuits(run="run")
    assert atlas.replay(found.id).same


def test_explanations_credit_the_communities_of_the_graph(atlas):
    found = atlas.explain(PROMPTS[0], players="communities", of="logit")
    players = found.to_pandas("players")
    assert set(players.player) == {"run/consensus/0", "run/consensus/1"}
    row = found.tables["explanations"].to_pylist()[0]
    assert sum(row["values"]) == pytest.approx(row["value"] - row["base"], abs=1e-3)
    credited = atlas.explanations()[0]["credits"]
    assert {one["player"] for one in credited} == set(players.player)
    linked = "MATCH (:Explanation)-[e:CREDITS]->(c:Community) RETURN c.key AS key, e.value AS value"
    assert atlas.cypher(linked).column("key") == ["run/consensus/0"]  # the other is not there


def test_patching_and_attention_take_the_same_prompts(atlas, key):
    found = atlas.patch([PROMPTS[0]], ["the blood pumps"], sets={"one": key}, metrics=("logit",))
    assert found.loaded
    assert "one" in set(found.to_pandas("patch_summary").name)
    paths = atlas.attention(PROMPTS[0])
    assert not paths.loaded
    assert paths.tables["attention"].num_rows > 0


def test_what_cannot_be_run_is_refused(atlas, key):
    with pytest.raises(NotFoundError):
        atlas.steer("no such feature", PROMPTS)
    with pytest.raises(UsageError, match="no feature"):
        atlas.steer([], PROMPTS)
    with pytest.raises(UsageError, match="no prompt"):
        atlas.steer(key, [])
    with pytest.raises(UsageError, match="Prompt 1 is no prompt"):
        atlas.steer(key, [3])
    with pytest.raises(UsageError, match="has no unit"):
        atlas.steer(key, PROMPTS, kind="ablate", unit="local_max")
    with pytest.raises(NotFoundError, match="no SAE"):
        atlas.lab(["tiny/other"])
    with pytest.raises(NotFoundError, match="no follow-up"):
        atlas.replay("steering-0")


def test_other_weights_than_the_graphs_are_refused(atlas, driver, key):
    name = key.rpartition("/")[0]
    right = atlas.cypher("MATCH (s:Sae) RETURN s.weights_sha256 AS w")[0]["w"]
    driver.execute_query("MATCH (s:Sae {key: $key}) SET s.weights_sha256 = 'f'", key=name)
    try:
        with pytest.raises(ModelError, match="weights"):
            atlas.steer(key, PROMPTS)
    finally:
        driver.execute_query(
            "MATCH (s:Sae {key: $key}) SET s.weights_sha256 = $w", key=name, w=right
        )


def test_without_a_database_everything_is_kept_for_a_later_load(atlas, bench, key):
    with pytest.raises(UsageError, match="global_max needs the maximum"):
        bench.steer(key, PROMPTS)
    with pytest.raises(UsageError, match="no graph"):
        bench.steer("heart", PROMPTS)
    found = bench.steer(key, PROMPTS, kind="ablate", strengths=(1.0,))
    assert not found.loaded
    assert open_evidence(found.folder).id == found.id
    assert replay_folder(found.folder, device="cpu").same
    assert atlas.load(found.folder).loaded
    assert found.id in {row["run"] for row in atlas.effects(key)}
    with pytest.raises(ArtifactError, match="no follow-up"):
        bench.replay("steering-0")


def test_the_commands_run_and_replay_without_a_database(home, key, tmp_path, monkeypatch):
    monkeypatch.setenv("ATLAS_HOME", str(tmp_path))
    asked = ["steer", "--feature", key, "--kind", "ablate", "--prompt", "the heart pumps",
             "--answer", " blood", "--prompt", "the court has", "--answer", " law",
             "--json"]  # fmt: skip
    without = CliRunner().invoke(app, asked)
    assert without.exit_code != 0
    assert "--model and --sae" in str(without.exception)
    place = ["--model", str(home / "model"), "--sae", f"tiny={home / 'tiny'}"]
    done = CliRunner().invoke(app, [*asked, *place])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {row["metric"] for row in found["effects"]} >= {"kl", "logit"}
    again = CliRunner().invoke(app, ["replay", found["folder"], "--json"])
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["same"]
