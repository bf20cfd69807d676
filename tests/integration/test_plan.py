"""A plan against the build that it plans, on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from atlas.artifacts import concatenate, read_shard
from atlas.cli import app
from atlas.errors import ArtifactError
from atlas.progress import SilentReporter
from atlas.recipe import load_build_recipe
from tests import tiny

pytestmark = pytest.mark.lm

RECIPE = """
name = "tiny"
[model]
name = "./model"
[[corpus]]
source = "./texts"
[[sae]]
source = "./early"
[[sae]]
source = "./late"
[tokens]
context_size = 32
batch_tokens = 512
shard_documents = 100
[edges]
min_expected = 2.0
min_npmi = 0.02
folds = 4
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A tiny model, an SAE fitted to each of two hooks, 300 texts, and a recipe."""
    from ingest.inputs import BuildInputs

    root = tmp_path_factory.mktemp("inputs")
    tiny.fit(root, {"early": "blocks.1.hook_resid_pre", "late": "blocks.3.hook_resid_pre"})
    tiny.write_texts(root / "texts", 300)
    (root / "r.toml").write_text(RECIPE)
    return BuildInputs(load_build_recipe(root / "r.toml"), SilentReporter())


@pytest.fixture(scope="module")
def built(inputs, tmp_path_factory):
    from ingest.pipeline import build_inputs

    return build_inputs(inputs, home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def plan(inputs, tmp_path_factory):
    from ingest.plan import make_plan

    home = tmp_path_factory.mktemp("empty")
    made = make_plan(inputs, home=home, sample_tokens=100_000)  # all of it, however slow
    assert not list(home.iterdir()), "a plan wrote into the atlas's folder"
    return made


def codes_of(built, name):
    paths = sorted((built.folder / "codes" / name).glob("*.safetensors"))
    return concatenate([read_shard(path, identity={}) for path in paths])


def test_what_is_counted_in_all_of_the_text_is_exact(plan, built):
    assert plan.measured.whole
    assert plan.documents == plan.tokenised == 300
    assert plan.tokens == sum(len(text.split()) for text in tiny.texts(300))
    assert plan.positions == built.counts["positions"]
    assert plan.tested == built.counts["tested_pairs"]
    for search, name in zip(plan.searches, ("early", "late"), strict=False):
        codes = codes_of(built, name)
        assert search.codes == len(codes.index)
        assert plan.l0[name] == len(codes.index) / codes.rows
    assert [search.name for search in plan.searches] == ["early", "late", "early to late"]


def test_code_shards_take_what_was_planned(plan, built):
    shards = list((built.folder / "codes").rglob("*"))
    written = sum(path.stat().st_size for path in shards if path.is_file())
    assert written <= plan.code_bytes <= 1.1 * written
    arrays = 0
    for name in ("early", "late"):
        codes = codes_of(built, name)
        arrays += 8 * len(codes.index) + 20 * codes.rows
    assert plan.code_bytes == arrays + 2048 * 6


def test_disk_is_within_a_factor_of_two(plan, built):
    written = sum(path.stat().st_size for path in built.folder.rglob("*") if path.is_file())
    tables = sum(path.stat().st_size for path in built.folder.glob("*.parquet"))
    writing = next(phase for phase in plan.disk if phase.name == "writing tables")
    needs = {need.what: need.bytes for need in writing.needs}
    assert tables / 2 < needs["tables"] < 2 * tables
    assert written / 2 < needs["code shards"] + needs["tables"] < 2 * written


def test_rows_are_within_bounds_and_about_right(plan, built):
    for table in ("features", "documents", "feature_tokens", "firings", "contexts", "tokens"):
        assert plan.rows[table] == pytest.approx(built.counts[table], rel=0.3), table
    kinds = pq.read_table(built.folder / "edges.parquet", columns=["kind"])["kind"].to_pylist()
    for kind in ("token", "topic", "exclusive"):
        assert kinds.count(kind) <= plan.edges()[kind].most
    assert built.counts["feeds"] <= plan.edges()["feeds"].most


def test_everything_is_timed(plan):
    assert plan.measured.tokens_per_second > 100
    assert set(plan.measured.positions_per_second) == {"early", "late"}
    assert all(seconds > 0 for seconds in plan.measured.seconds.values())
    assert plan.measured.total == sum(plan.measured.seconds.values())


def test_a_sample_of_a_sixth_is_near(inputs, plan, tmp_path):
    from ingest.plan import make_plan

    sampled = make_plan(inputs, home=tmp_path, sample_tokens=1000)
    assert not sampled.measured.whole
    assert 30 < sampled.measured.documents < 90
    assert sampled.tokens == plan.tokens
    assert sampled.positions == pytest.approx(plan.positions, rel=0.02)
    assert sampled.tested == pytest.approx(plan.tested, rel=0.1)
    assert sampled.joint == pytest.approx(plan.joint, rel=0.1)
    assert sampled.code_bytes == pytest.approx(plan.code_bytes, rel=0.02)


def test_a_document_longer_than_the_sample_is_cut(inputs, tmp_path):
    from ingest.plan.sample import take_sample
    from ingest.plan.text import measure_text

    sample = take_sample(inputs, measure_text(inputs.text), folder=tmp_path, seconds=1.0, tokens=2)
    assert len(sample.documents) == 1
    assert not sample.whole
    assert 1 <= sample.countable <= 4


def test_an_sae_of_another_width_is_refused(inputs, tmp_path):
    from atlas.errors import ModelError
    from ingest.inputs import BuildInputs
    from ingest.plan import make_plan

    tiny.sae(tmp_path / "wide", d_in=48)
    section = inputs.recipe.sae[0].model_copy(update={"source": str(tmp_path / "wide")})
    recipe = inputs.recipe.model_copy(update={"sae": [section]})
    with pytest.raises(ModelError, match="input width 48"):
        make_plan(BuildInputs(recipe, SilentReporter()), home=tmp_path)


def test_a_quick_plan_needs_the_preflight_alone_and_errs_on_the_safe_side(inputs, plan, built):
    from ingest.plan import Machine, check_fits, quick_plan

    figures = json.loads((built.folder / "preflight.json").read_text())
    plenty = Machine(memory=1 << 40, disk=1 << 40)
    quick = quick_plan(inputs, figures, folder=built.folder, machine=plenty)
    check_fits(quick)
    assert quick.measured is None
    assert quick.positions >= plan.positions
    assert quick.code_bytes >= plan.code_bytes
    assert [phase.name for phase in quick.disk] == [phase.name for phase in plan.disk[:-1]]
    assert json.loads(json.dumps(quick.to_json()))["measured"] is None
    with pytest.raises(ArtifactError, match="code shards: "):
        check_fits(quick_plan(inputs, figures, folder=built.folder, machine=Machine(1 << 40, 1000)))
    short = Machine(memory=100 << 20, disk=1 << 40)
    with pytest.raises(ArtifactError, match=r"of memory while .*100\.0 MiB are there"):
        check_fits(quick_plan(inputs, figures, folder=built.folder, machine=short))
    one = max(quick.lengths)
    tight = Machine(memory=quick.fixed + 1000, disk=1 << 40)
    with pytest.raises(ArtifactError, match=rf"has {one} tokens"):
        check_fits(quick_plan(inputs, figures, folder=built.folder, machine=tight))


@pytest.fixture
def run(inputs, tmp_path, monkeypatch):
    """Run the command on a recipe beside the model, in an empty home."""
    monkeypatch.setenv("ATLAS_HOME", str(tmp_path))
    monkeypatch.delenv("NEO4J_URI", raising=False)
    root = Path(inputs.recipe.model.name).parent
    return lambda recipe, *options: CliRunner().invoke(app, ["plan", str(root / recipe), *options])


def test_the_command_says_that_it_fits(run, plan, tmp_path):
    done = run("r.toml", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["fits"]
    # A busy machine reads less than all of the text in the time that a plan may take.
    assert said["tested_pairs"] == pytest.approx(plan.tested, rel=0.1)
    assert said["disk"]["peak_bytes"] >= plan.code_bytes
    assert not list(tmp_path.iterdir())


def test_the_command_says_what_does_not_fit(run, inputs):
    root = Path(inputs.recipe.model.name).parent
    (root / "huge.toml").write_text(RECIPE.replace("folds = 4", "folds = 1000000000"))
    done = run("huge.toml")
    assert done.exit_code == 1, done.output
    said = " ".join(done.stdout.split())
    assert "tested pairs" in said
    assert "The largest part is sums by folds" in said
    assert "Set edges.folds to about" in said
