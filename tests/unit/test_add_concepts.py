"""Concepts that are added to a finished build: from its codes and text alone, all or nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atlas.artifacts import write_shard
from atlas.errors import ArtifactError, UsageError
from atlas.progress import SilentReporter
from atlas.recipe import load_build_recipe
from atlas.schemas import schema
from ingest import add_concepts as module
from ingest.add_concepts import PARAMETER, REPLACED, add_concepts
from ingest.build_folder import open_build
from ingest.inputs import BuildInputs
from tests.builds import DEAD, SAE, planted, write_build
from tests.unit.test_about import shard_of
from tests.unit.test_ontologies import TOY

if TYPE_CHECKING:
    from pathlib import Path

    from atlas.recipe import BuildRecipe

DOCUMENTS, LENGTH = 120, 10
TEXTS = ("a heart attack", "sugar in diabetes", "nothing of note")


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_ontology", lambda name: {"toy": TOY}[name])


def write_recipe(folder: Path, texts: list[str]) -> BuildRecipe:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"id": str(n), "text": text}) for n, text in enumerate(texts)]
    (folder / "text.jsonl").write_text("\n".join(lines))
    (folder / "recipe.toml").write_text(
        'name = "toy"\n[model]\nname = "toy"\n[[sae]]\nsource = "none"\n'
        '[[corpus]]\nsource = "text.jsonl"\nid_column = "id"\n'
    )
    return load_build_recipe(folder / "recipe.toml")


def write_coded_build(folder: Path) -> tuple[Path, BuildRecipe]:
    """Write a build with text and codes: feature 0 fires where a heart attack is named."""
    texts = [TEXTS[n % 3] for n in range(DOCUMENTS)]
    recipe = write_recipe(folder / "recipe", texts)
    run, rows = planted()
    corpus = run["corpus"]
    corpus["documents"], corpus["positions"] = DOCUMENTS, DOCUMENTS * LENGTH
    corpus["sha256"] = BuildInputs(recipe, SilentReporter()).corpus_sha256
    build = write_build(folder / "build", run, rows)
    rng = np.random.default_rng(0)
    for number, first in enumerate(range(0, DOCUMENTS, DOCUMENTS // 2)):
        fires = rng.random((DOCUMENTS // 2 * LENGTH, DEAD + 1)) < 0.1
        document = first + np.arange(len(fires)) // LENGTH
        fires[:, 0] = (document % 3 == 0) & (rng.random(len(fires)) < 0.5)
        shard = shard_of(fires, first, np.full(DOCUMENTS // 2, LENGTH))
        path = build / "codes" / "planted" / f"shard-{number:05d}.safetensors"
        write_shard(path, shard, identity={"made": "here"})
    return build, recipe


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, BuildRecipe]:
    return write_coded_build(tmp_path)


def test_planted_features_are_about_what_the_texts_name(made):
    folder, recipe = made
    before = open_build(folder).digest
    done = add_concepts(folder, ["toy"], recipe=recipe)
    assert (done.run, done.ontologies, done.computed, done.loaded) == (
        "synthetic", ("toy",), True, False,
    )  # fmt: skip
    assert done.tagged == {"toy": 80}
    assert done.concepts == {"toy": 2}
    build = open_build(folder)  # checksums and references are in order
    names = {row["key"]: row for row in pq.read_table(folder / "concepts.parquet").to_pylist()}
    assert names["letters/toy/1.1.1"] == {
        "key": "letters/toy/1.1.1",
        "name": "heart attack",
        "kind": "toy",
        "source": "made by a test",
        "documents": 40,
    }
    about = pq.read_table(folder / "about.parquet")
    assert about.schema.equals(schema("about"))
    [row] = about.to_pylist()
    assert (row["feature"], row["concept"]) == (f"{SAE}/0", "letters/toy/1.1.1")
    assert row["auc"] > 0.99
    assert row["documents"] == 40
    assert build.run["parameters"][PARAMETER] == ["toy"]
    assert build.run[REPLACED] == [before]
    assert build.run["counts"]["about"] == done.about == 1
    assert not (folder / "concepts.partial").exists()


def test_the_same_again_changes_nothing(made):
    folder, recipe = made
    first = add_concepts(folder, ["toy"], recipe=recipe)
    digest = open_build(folder).digest
    again = add_concepts(folder, ["toy"])
    assert not again.computed
    assert {**vars(again), "computed": True} == vars(first)
    assert open_build(folder).digest == digest


def test_a_stopped_call_is_repeated(made, monkeypatch):
    folder, recipe = made
    add_concepts(folder, ["toy"], recipe=recipe)
    expected, tables = open_build(folder).digest, (folder / "about.parquet").read_bytes()
    # Stopped after the tables, before run.json.
    (folder / "run.json").write_text(
        json.dumps(json.loads((folder / "run.json").read_text()) | {REPLACED: []})
    )
    (folder / "about.parquet").write_bytes(tables[:-1])
    with pytest.raises(ArtifactError):
        open_build(folder)
    assert add_concepts(folder, ["toy"], recipe=recipe).computed
    assert open_build(folder).digest == expected


def test_text_that_is_not_the_builds_is_refused(made, tmp_path):
    folder, _ = made
    digest = open_build(folder).digest
    with pytest.raises(UsageError, match="Give its recipe"):
        add_concepts(folder, ["toy"])
    other = write_recipe(tmp_path / "other", ["a heart attack"] * DOCUMENTS)
    with pytest.raises(UsageError, match="is not that of synthetic"):
        add_concepts(folder, ["toy"], recipe=other)
    assert open_build(folder).digest == digest


def test_missing_codes_are_named(made):
    folder, recipe = made
    next((folder / "codes" / "planted").glob("*.safetensors")).unlink()
    with pytest.raises(ArtifactError, match=r"codes|have 600 positions"):
        add_concepts(folder, ["toy"], recipe=recipe)
    assert open_build(folder).run.get(REPLACED) is None


def test_brought_codes_have_their_text_in_the_build(made):
    folder, recipe = made
    first = add_concepts(folder, ["toy"], recipe=recipe)
    rows = [
        {"id": str(n), "n_positions": LENGTH, "text": TEXTS[n % 3], "tokens": None}
        | dict.fromkeys(("domain", "title", "source"))
        for n in range(DOCUMENTS)
    ]
    types = pa.schema(
        [("id", pa.string()), ("n_positions", pa.int64())]
        + [(name, pa.string()) for name in ("text", "domain", "title", "source")]
        + [("tokens", pa.list_(pa.int32()))]
    )
    place = folder / "codes" / "planted" / "brought"
    place.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=types), place / "documents.parquet")
    record = json.loads((folder / "run.json").read_text())
    record["parameters"].pop(PARAMETER)
    (folder / "run.json").write_text(json.dumps(record))
    assert vars(add_concepts(folder, ["toy"])) == vars(first)
    for row in rows:
        row["text"] = None
    pq.write_table(pa.Table.from_pylist(rows, schema=types), place / "documents.parquet")
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="brought without text"):
        add_concepts(folder, ["toy"])
