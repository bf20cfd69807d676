from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atlas.artifacts import (
    concatenate,
    file_sha256,
    read_shard,
    shard_is_done,
    write_shard,
    write_table,
)
from atlas.errors import ArtifactError
from tests.unit.simulate import codes_from_dense

WHO = {"model": "m 1", "sae": "abc"}


def shard(seed=0, first=0):
    rng = np.random.default_rng(seed)
    dense = rng.random((9, 5)) * (rng.random((9, 5)) < 0.5)
    codes = codes_from_dense(dense, np.repeat([0, 1, 2], 3))
    return dense, type(codes)(**{**codes.__dict__, "document": codes.document + first})


def test_a_shard_comes_back_to_the_bit(tmp_path):
    _, codes = shard()
    path = tmp_path / "s.safetensors"
    write_shard(path, codes, identity=WHO)
    assert shard_is_done(path, WHO)
    back = read_shard(path, identity=WHO)
    for name in codes.__dict__:
        np.testing.assert_array_equal(getattr(back, name), getattr(codes, name))
        assert getattr(back, name).dtype == getattr(codes, name).dtype


def test_every_single_flipped_byte_of_the_data_is_found(tmp_path):
    path = tmp_path / "s.safetensors"
    write_shard(path, shard()[1], identity=WHO)
    good = path.read_bytes()
    for at in range(0, len(good), 97):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(ArtifactError, match="damaged"):
            read_shard(path, identity=WHO)
    path.write_bytes(good[:-3])
    with pytest.raises(ArtifactError, match="only this shard is computed anew"):
        read_shard(path, identity=WHO)


def test_a_shard_without_its_record_is_not_done(tmp_path):
    path = tmp_path / "s.safetensors"
    write_shard(path, shard()[1], identity=WHO)
    path.with_suffix(".json").unlink()
    assert not shard_is_done(path, WHO)
    with pytest.raises(ArtifactError, match="missing"):
        read_shard(path, identity=WHO)


def test_a_shard_of_another_sae_or_format_is_refused(tmp_path):
    path = tmp_path / "s.safetensors"
    write_shard(path, shard()[1], identity=WHO)
    with pytest.raises(ArtifactError, match="sae = 'abc'"):
        shard_is_done(path, {**WHO, "sae": "other"})
    record = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**record, "format": 99}))
    with pytest.raises(ArtifactError, match="format 99"):
        read_shard(path, identity=WHO)


def test_concatenation_stacks_rows():
    (a, first), (b, second) = shard(0), shard(1, first=3)
    joined = concatenate([first, second])
    dense = np.zeros((18, 5), np.float32)
    for row in range(18):
        cut = slice(joined.indptr[row], joined.indptr[row + 1])
        dense[row, joined.index[cut]] = joined.value[cut]
    np.testing.assert_array_equal(dense, np.concatenate([a, b]).astype(np.float32))
    assert joined.document.tolist() == sorted(joined.document.tolist())


def test_tables_are_recorded_with_rows_and_checksum(tmp_path):
    path = tmp_path / "t.parquet"
    record = write_table(path, pa.table({"x": [1, 2, 3]}))
    assert record == {"rows": 3, "sha256": file_sha256(path)}
    assert pq.read_table(path)["x"].to_pylist() == [1, 2, 3]
    assert list(tmp_path.iterdir()) == [path]
