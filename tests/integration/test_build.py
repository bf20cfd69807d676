"""The whole way from text to graph on a tiny model: exact, resumable, the same after kills."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from atlas.artifacts import concatenate, read_shard
from atlas.build import build_atlas
from atlas.errors import ArtifactError, CorpusError, RecipeError
from atlas.recipe import load_build_recipe
from ingest.pipeline import build
from tests import tiny

# Builds to be killed are forked from a process that has read the libraries once for all of them.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["atlas.build", "ingest.pipeline", "sae_lens", "transformer_lens"])

RECIPE = """
name = "tiny"
[model]
name = "./model"
[[corpus]]
source = "./texts"
[[sae]]
source = "./sae"
[tokens]
context_size = 32
shard_documents = 20
[edges]
min_expected = 1.0
min_npmi = -0.2
fdr = 0.9
[analysis]
resolutions = [1, 2]
thresholds = [0.6, 0.8]
seeds = 3
bootstraps = 3
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with a tiny model, an SAE fitted to it, texts in two domains, and a recipe."""
    root = tmp_path_factory.mktemp("inputs")
    tiny.fit(root, {"sae": "blocks.2.hook_resid_pre"})
    for number, text in enumerate(tiny.texts(200)):
        folder = root / "texts" / ("even" if number % 2 == 0 else "odd")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:03d}.txt").write_text(text)
    (root / "r.toml").write_text(RECIPE)
    return root


@pytest.fixture(scope="module")
def built(inputs, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    return home, build(load_build_recipe(inputs / "r.toml"), home=home)


def recount(folder: Path):
    """Read all shards and count anew, densely."""
    paths = sorted((folder / "codes").glob("*/*.safetensors"))
    codes = concatenate([read_shard(path, identity={}) for path in paths])
    dense = np.zeros((codes.rows, 64), np.float32)
    dense[np.repeat(np.arange(codes.rows), np.diff(codes.indptr)), codes.index] = codes.value
    return codes, dense


def test_tables_hold_what_a_direct_recount_of_the_codes_finds(built):
    _, result = built
    codes, dense = recount(result.folder)
    on = (dense > 0).astype(np.int64)
    features = pq.read_table(result.folder / "features.parquet").to_pandas()
    assert features["n"].tolist() == on.sum(axis=0).tolist()
    documents = np.unique(codes.document)
    in_doc = np.array([on[codes.document == d].any(axis=0) for d in documents])
    assert features["d"].tolist() == in_doc.sum(axis=0).tolist()
    joint = on.T @ on
    edges = pq.read_table(result.folder / "edges.parquet").to_pandas()
    assert len(edges) > 20
    i = edges["source"].str.rsplit("/", n=1).str[1].astype(int)
    j = edges["target"].str.rsplit("/", n=1).str[1].astype(int)
    assert (i < j).all()
    assert edges["n"].tolist() == joint[i, j].tolist()
    together = [((on[:, a] & on[:, b]) > 0) for a, b in zip(i, j, strict=True)]
    assert edges["d"].tolist() == [len(np.unique(codes.document[t])) for t in together]
    phi = [np.corrcoef(on[:, a], on[:, b])[0, 1] for a, b in zip(i, j, strict=True)]
    np.testing.assert_allclose(edges["phi"], phi, rtol=1e-9)
    assert result.counts["positions"] == codes.rows


def test_firings_and_contexts_show_the_codes(built):
    _, result = built
    codes, dense = recount(result.folder)
    contexts = pq.read_table(result.folder / "contexts.parquet").to_pandas().set_index("key")
    firings = pq.read_table(result.folder / "firings.parquet").to_pandas()
    documents = pq.read_table(result.folder / "documents.parquet").to_pandas()
    place = {(d, p): r for r, (d, p) in enumerate(zip(codes.document, codes.position, strict=True))}
    number = {key: n for n, key in enumerate(documents["key"])}
    for row in firings.sample(60, random_state=0).itertuples():
        context = contexts.loc[row.context]
        feature = int(row.feature.rsplit("/", 1)[1])
        document = number[context["document"]]
        here = dense[place[document, context["position"]], feature]
        assert row.activation == pytest.approx(here)
        assert max(row.activations) >= row.activation - 1e-6
        assert len(row.activations) == len(context["tokens"])
    assert set(documents["domain"]) == {"even", "odd"}
    best = firings[firings["rank"] == 1].set_index("feature")["activation"]
    features = pq.read_table(result.folder / "features.parquet").to_pandas().set_index("key")
    live = features[~features["dead"]]
    np.testing.assert_allclose(best.loc[live.index], live["max"], rtol=1e-6)


def test_the_same_command_again_does_nothing(built, inputs):
    home, result = built
    before = {p: p.stat().st_mtime_ns for p in result.folder.rglob("*") if p.is_file()}
    again = build(load_build_recipe(inputs / "r.toml"), home=home)
    assert again.reused
    assert again.counts == result.counts
    assert {p: p.stat().st_mtime_ns for p in result.folder.rglob("*") if p.is_file()} == before


def test_a_damaged_shard_is_named_and_alone_made_anew(built, inputs, tmp_path):
    home, result = built
    copy = tmp_path / "home"
    shutil.copytree(home, copy)
    folder = copy / "builds" / result.run_id
    (folder / "run.json").unlink()
    shards = sorted((folder / "codes").glob("*/*.safetensors"))
    kept = shards[0].stat().st_mtime_ns
    damaged = shards[1]
    damaged.write_bytes(damaged.read_bytes()[:-8])
    recipe = load_build_recipe(inputs / "r.toml")
    with pytest.raises(ArtifactError, match="damaged"):
        build(recipe, home=copy)
    damaged.unlink()
    damaged.with_suffix(".json").unlink()
    repaired = build(recipe, home=copy)
    assert shards[0].stat().st_mtime_ns == kept
    assert files(repaired.folder) == files(result.folder)


def files(folder: Path) -> dict[str, str]:
    run = json.loads((folder / "run.json").read_text())
    return {name: record["sha256"] for name, record in run["files"].items()}


def test_no_text_and_no_recipe_are_clear_errors(inputs, tmp_path):
    (tmp_path / "empty").mkdir()
    recipe = RECIPE.replace("./texts", str(tmp_path / "empty")).replace("./", f"{inputs}/")
    (tmp_path / "r.toml").write_text(recipe)
    with pytest.raises(CorpusError):
        build(load_build_recipe(tmp_path / "r.toml"), home=tmp_path)
    with pytest.raises(RecipeError, match="no recipe file"):
        build_atlas("nowhere", home=tmp_path)


def start(inputs: Path, home: Path, *, load: bool = True) -> BaseProcess:
    """Start the build in a process of its own."""
    process = PROCESSES.Process(
        target=build_atlas, args=(inputs / "r.toml",), kwargs={"home": home, "load": load}
    )
    process.start()
    return process


def kill_when(process: BaseProcess, ready, *, also=()) -> None:
    """Kill the build, and before it other processes, with SIGKILL as soon as `ready()` holds."""
    deadline = time.monotonic() + 240
    while not ready():
        assert process.is_alive(), "the build ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    for other in also:
        other.kill()
    process.kill()
    process.join()


def test_a_build_killed_while_coding_and_while_writing_tables_gives_the_same_files(
    inputs, built, tmp_path
):
    _, undisturbed = built
    folder = tmp_path / "builds" / undisturbed.run_id
    kill_when(
        start(inputs, tmp_path, load=False),
        lambda: len(list(folder.glob("codes/*/*.json"))) >= 3,
    )
    assert not (folder / "run.json").exists()
    kill_when(start(inputs, tmp_path, load=False), lambda: any(folder.glob("*.parquet*")))
    assert not (folder / "run.json").exists()
    result = build(load_build_recipe(inputs / "r.toml"), home=tmp_path)
    assert files(result.folder) == files(undisturbed.folder)


@pytest.mark.db
def test_a_build_killed_anywhere_gives_the_graph_of_an_undisturbed_one(
    inputs, built, server, wiped_driver
):
    """Kill the build while it loads, then the database with it, then while it analyses.

    Each goes on where the one before was stopped.
    """
    from ingest.verify import graph_checksum
    from tests.servers import wipe

    _, undisturbed = built
    database = server.connection().database
    home = server.home
    recipe = inputs / "r.toml"
    tables = home / "builds" / undisturbed.run_id
    shutil.copytree(undisturbed.folder, tables, dirs_exist_ok=True)
    summary = build_atlas(recipe, home=home)
    expected = graph_checksum(wiped_driver, database)
    assert summary["features"] == 64
    assert summary["tables_reused"]
    build_atlas(recipe, home=home)
    assert graph_checksum(wiped_driver, database) == expected, "a second build changed the graph"

    def number(query: str) -> int:
        records, _, _ = wiped_driver.execute_query(query, database_=database)
        return records[0][0] if records else 0

    loaded = "MATCH (r:Run) RETURN coalesce(r.loading_rows, 0)"
    complete = "MATCH (r:Run {state: 'loaded'}) RETURN count(r)"
    ranked = "MATCH (f:Feature) WHERE f.pagerank IS NOT NULL RETURN count(f)"
    wipe(wiped_driver)
    kill_when(start(inputs, home), lambda: number(loaded) > 0)
    before = number(loaded)
    assert before < table_rows(tables)
    kill_when(start(inputs, home), lambda: number(loaded) > before, also=[server.process()])
    server.ensure_running()
    assert before < number(loaded) < table_rows(tables)
    # An analysis is written all at once: nothing is there of one that was stopped.
    kill_when(start(inputs, home), lambda: number(complete) == 1)
    assert number(ranked) == 0
    build_atlas(recipe, home=home)
    assert graph_checksum(wiped_driver, database) == expected


def table_rows(folder: Path) -> int:
    """Return the rows of all tables of a build."""
    return sum(pq.read_metadata(path).num_rows for path in folder.glob("*.parquet"))
