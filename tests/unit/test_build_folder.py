"""What a build folder must not have: everything here is found before anything is written."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atlas.errors import ArtifactError
from atlas.schemas import tables
from ingest.build_folder import open_build, without_nan
from tests.builds import DEAD, SAE, Tables, key, planted, write_build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_good_build_opens(tmp_path: Path) -> None:
    build = open_build(write_build(tmp_path / "b"))
    assert build.run_id == "synthetic"
    assert build.tables == list(tables())
    assert build.rows("features") == DEAD + 1


def test_optional_tables_may_be_left_out(tmp_path: Path) -> None:
    run, rows = planted()
    only = {name: rows[name] for name in ("features", "edges")}
    assert open_build(write_build(tmp_path / "b", run, only)).tables == ["features", "edges"]


def test_the_digest_follows_the_contents(tmp_path: Path) -> None:
    run, rows = planted()
    first = open_build(write_build(tmp_path / "a")).digest
    assert open_build(write_build(tmp_path / "b")).digest == first
    rows["edges"][0]["phi"] += 0.01
    assert open_build(write_build(tmp_path / "c", run, rows)).digest != first


def test_pieces_are_in_order_and_nan_is_none(tmp_path: Path) -> None:
    build = open_build(write_build(tmp_path / "b"))
    pieces = list(build.pieces("features", 10))
    assert [len(piece) for piece in pieces] == [10, 10, 6]
    rows = [row for piece in pieces for row in without_nan(piece).to_pylist()]
    assert [row["index"] for row in rows] == list(range(DEAD + 1))
    assert rows[DEAD]["logit_skew"] is None
    assert rows[0]["logit_skew"] == 0.1


def _edge_to_unknown(rows: Tables) -> None:
    rows["edges"][0]["target"] = f"{SAE}/999"


def _edge_backwards(rows: Tables) -> None:
    edge = rows["edges"][0]
    edge["source"], edge["target"] = edge["target"], edge["source"]


def _edge_twice(rows: Tables) -> None:
    rows["edges"].append(dict(rows["edges"][0]))


def _feature_twice(rows: Tables) -> None:
    rows["features"].append(dict(rows["features"][0]))


def _feature_of_other_sae(rows: Tables) -> None:
    rows["features"][0]["sae"] = "toy/blocks.1.hook_resid_pre/other"


def _feature_key_wrong(rows: Tables) -> None:
    rows["features"][DEAD]["key"] = key(DEAD + 100)


def _no_edges(rows: Tables) -> None:
    rows["edges"].clear()


def _no_features(rows: Tables) -> None:
    rows["features"].clear()


def _unknown_relation(rows: Tables) -> None:
    rows["feature_tokens"][0]["relation"] = "LIKES"


def _unknown_token(rows: Tables) -> None:
    rows["feature_tokens"][0]["token"] = "toy/77"


def _unknown_document(rows: Tables) -> None:
    rows["contexts"][0]["document"] = "letters/77"


def _unknown_context(rows: Tables) -> None:
    rows["firings"][0]["context"] = "letters/0/77"


def _activation_not_finite(rows: Tables) -> None:
    rows["firings"][7]["activations"][1] = float("nan")


def _activation_empty(rows: Tables) -> None:
    rows["firings"][7]["activations"][1] = None


def _decoder_not_finite(rows: Tables) -> None:
    rows["vectors"][0]["decoder"][0] = float("inf")


def _lost_documents(rows: Tables) -> None:
    del rows["documents"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_edge_to_unknown, "edges.parquet: 1 rows name a target .*planted/999"),
        (_edge_backwards, "does not go from a lower to a higher index"),
        (_edge_twice, "edges.parquet has the row .* more than once"),
        (_feature_twice, "features.parquet has the row .* more than once"),
        (_feature_of_other_sae, "the column sae has 'toy/blocks.1.hook_resid_pre/other'"),
        (_feature_key_wrong, "is not its SAE's key and its index"),
        (_no_edges, "edges.parquet has no rows"),
        (_no_features, "features.parquet has no rows"),
        (_unknown_relation, "relation has 'LIKES'"),
        (_unknown_token, "name a token that tokens.parquet does not have"),
        (_unknown_document, "name a document"),
        (_unknown_context, "name a context"),
        (
            _activation_not_finite,
            "firings.parquet: lists of the column activations have 1 values that are not finite",
        ),
        (_activation_empty, "lists of the column activations have 1 empty values"),
        (_decoder_not_finite, "vectors.parquet: lists of the column decoder have 1 values"),
        (_lost_documents, "has contexts.parquet but lacks documents.parquet"),
    ],
)
def test_wrong_contents(tmp_path: Path, spoil: Callable[[Tables], None], message: str) -> None:
    run, rows = planted()
    spoil(rows)
    with pytest.raises(ArtifactError, match=message):
        open_build(write_build(tmp_path / "b", run, rows))


def _rewrite(folder: Path, name: str, table: pa.Table) -> None:
    """Replace a table and correct its entry in run.json, so that only its contents are wrong."""
    path = folder / f"{name}.parquet"
    pq.write_table(table, path)
    run = json.loads((folder / "run.json").read_text())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    run["files"][path.name] = {"rows": table.num_rows, "sha256": digest}
    (folder / "run.json").write_text(json.dumps(run))


def test_a_missing_column(tmp_path: Path) -> None:
    folder = write_build(tmp_path / "b")
    _rewrite(folder, "edges", pq.read_table(folder / "edges.parquet").drop_columns(["phi"]))
    with pytest.raises(ArtifactError, match=r"edges\.parquet lacks the column phi"):
        open_build(folder)


def test_a_column_of_another_type(tmp_path: Path) -> None:
    folder = write_build(tmp_path / "b")
    table = pq.read_table(folder / "edges.parquet")
    as_text = table["n"].cast(pa.string())
    _rewrite(folder, "edges", table.set_column(table.column_names.index("n"), "n", as_text))
    with pytest.raises(ArtifactError, match="the column n is string, expected int64"):
        open_build(folder)


def test_large_text_and_further_columns_are_fine(tmp_path: Path) -> None:
    folder = write_build(tmp_path / "b")
    table = pq.read_table(folder / "tokens.parquet")
    table = table.set_column(2, "text", table["text"].cast(pa.large_string()))
    _rewrite(folder, "tokens", table.append_column("extra", table["token_id"]))
    build = open_build(folder)
    assert set(next(build.pieces("tokens", 5)).column_names) == {"key", "token_id", "text"}


def test_an_empty_cell(tmp_path: Path) -> None:
    folder = write_build(tmp_path / "b")
    table = pq.read_table(folder / "edges.parquet")
    holed = pa.array([None, *table["expected"].to_pylist()[1:]], pa.float64())
    field = pa.field("expected", pa.float64())
    place = table.column_names.index("expected")
    _rewrite(folder, "edges", table.set_column(place, field, holed))
    with pytest.raises(ArtifactError, match="the column expected has 1 empty values"):
        open_build(folder)


def test_a_missing_file(tmp_path: Path) -> None:
    folder = write_build(tmp_path / "b")
    (folder / "firings.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"firings\.parquet is missing"):
        open_build(folder)


def test_a_truncated_and_an_altered_file(tmp_path: Path) -> None:
    folder = write_build(tmp_path / "b")
    path = folder / "edges.parquet"
    whole = path.read_bytes()
    for spoiled in (whole[:-100], whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]):
        path.write_bytes(spoiled)
        with pytest.raises(ArtifactError, match=r"edges\.parquet is truncated or altered"):
            open_build(folder)


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    folder = write_build(tmp_path / "b")
    (folder / "edges.parquet").write_text("no parquet")
    run = json.loads((folder / "run.json").read_text())
    run["files"]["edges.parquet"]["sha256"] = hashlib.sha256(b"no parquet").hexdigest()
    (folder / "run.json").write_text(json.dumps(run))
    with pytest.raises(ArtifactError, match="is no Parquet file"):
        open_build(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 1}, "format 1; this atlas reads format 2"),
        ({"run_id": None}, "lacks run_id"),
        ({"files": {"features.parquet": {"rows": 1}}}, "entry of features.parquet lacks"),
        ({"files": {"features.parquet": {"rows": 1, "sha256": ""}}}, "names no edges.parquet"),
        ({"saes": [{"name": "x"}]}, "the model or an SAE has no key"),
        ({"saes": "x"}, "saes is not what it should be"),
    ],
)
def test_a_wrong_run_json(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write_build(tmp_path / "b")
    run = json.loads((folder / "run.json").read_text()) | change
    run = {name: value for name, value in run.items() if value is not None}
    (folder / "run.json").write_text(json.dumps(run))
    with pytest.raises(ArtifactError, match=message):
        open_build(folder)


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_run_json_that_is_none(tmp_path: Path, text: str) -> None:
    folder = write_build(tmp_path / "b")
    (folder / "run.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"run\.json"):
        open_build(folder)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no finished build"):
        open_build(tmp_path / "none")
