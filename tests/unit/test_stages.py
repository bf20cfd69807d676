"""Stages of a build: finished ones are kept, damaged ones made again, tables hashed once."""

from __future__ import annotations

import pyarrow as pa
import pytest

from atlas import artifacts
from atlas.artifacts import are_whole, file_sha256, known_sha256, write_table
from ingest.stages import run_stage

TABLE = pa.table({"x": [1, 2, 3]})


@pytest.fixture
def make():
    """What a stage does; `make.calls` counts how often."""

    def stage(folder):
        stage.calls += 1
        write_table(folder / "a.parquet", TABLE)
        (folder / "b.txt").write_text("b")
        return {"pairs": 3}

    stage.calls = 0
    return stage


def test_a_finished_stage_is_kept(tmp_path, make):
    first = run_stage(tmp_path, "s", make)
    again = run_stage(tmp_path, "s", make)
    assert make.calls == 1
    assert first == again
    assert first.about == {"pairs": 3}
    assert first.files == {
        name: file_sha256(tmp_path / "parts" / "s" / name) for name in ("a.parquet", "b.txt")
    }
    assert pa.concat_tables(first.tables("a")) == TABLE


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_stage_with_a_damaged_file_is_made_again(tmp_path, make, damage):
    first = run_stage(tmp_path, "s", make)
    path = first.folder / "b.txt"
    if damage == "changed":
        path.write_text("c")
    else:
        path.unlink()
    assert not are_whole(first.folder, first.files)
    assert run_stage(tmp_path, "s", make).files == first.files
    assert make.calls == 2
    assert path.read_text() == "b"
    assert are_whole(first.folder, first.files)


def test_a_table_is_read_once_for_its_checksum(tmp_path, make, monkeypatch):
    read = []

    def spy(path):
        read.append(path.name)
        return file_sha256(path)

    monkeypatch.setattr(artifacts, "file_sha256", spy)
    run_stage(tmp_path, "s", make)
    assert read == ["a.parquet.partial", "b.txt"]


def test_a_table_that_was_written_to_since_is_read_again(tmp_path):
    path = tmp_path / "a.parquet"
    written = write_table(path, TABLE)["sha256"]
    assert known_sha256(path) == written
    path.write_bytes(path.read_bytes() + b"more")
    assert known_sha256(path) == file_sha256(path) != written
