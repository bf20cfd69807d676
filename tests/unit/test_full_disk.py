"""A disk that is full in mid-write: an error that says so, and what was finished stays."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from atlas.artifacts import read_shard, write_shard
from tests.unit.simulate import codes_from_dense

resource = pytest.importorskip("resource", reason="limits of processes are POSIX's")

# A limit on the size of files stands in for the disk: writing past it fails in the same way.
LIMITED = """
import resource, signal, sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from atlas.artifacts import write_shard, write_table
from atlas.errors import ArtifactError
from ingest.cooccurrence.index import build_index, rank_features
from ingest.cooccurrence.kinds import Survivors, apply_tests
from ingest.cooccurrence.sums import marginals
from tests.unit.simulate import codes_from_dense

folder = Path(sys.argv[1])
rng = np.random.default_rng(0)
codes = codes_from_dense(rng.random((4000, 30)), np.repeat(np.arange(40), 100))
m = marginals(codes, 30)
ranking = rank_features(m, groups=(30,), min_expected=5.0)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
table = pa.table({"x": rng.random(100_000)})
for name, write in {
    "shard": lambda: write_shard(folder / "shard.safetensors", codes, identity={"made": "anew"}),
    "table": lambda: write_table(folder / "table.parquet", table),
    "index": lambda: build_index([codes], ranking, own=m, scratch=folder),
}.items():
    try:
        write()
    except ArtifactError as error:
        print(name, "|", error)
"""


def test_what_cannot_be_written_is_named_and_what_was_there_stays(tmp_path):
    small = codes_from_dense(np.eye(3), np.zeros(3, int))
    write_shard(tmp_path / "shard.safetensors", small, identity={"made": "before"})
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    lines = dict(line.split(" | ", 1) for line in done.stdout.splitlines() if " | " in line)
    assert set(lines) == {"shard", "table", "index"}
    for name, line in lines.items():
        assert "cannot be written" in line, name
        assert str(tmp_path) in line
    kept = read_shard(tmp_path / "shard.safetensors", identity={"made": "before"})
    assert kept.index.tolist() == [0, 1, 2]
    assert not list(tmp_path.glob("*.partial"))
    assert not (tmp_path / "table.parquet").exists()
