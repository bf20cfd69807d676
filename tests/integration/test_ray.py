"""Counting on a private Ray of three workers: the same numbers as in this process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from atlas.artifacts import write_shard
from atlas.errors import ArtifactError, AtlasError, UsageError
from atlas.recipe import EdgesSection
from ingest.cooccurrence import ray_cluster, ray_counter, ray_merge
from ingest.cooccurrence.counter import LocalCounter
from ingest.cooccurrence.engine import candidate_sums, panels
from ingest.cooccurrence.index import rank_features
from ingest.cooccurrence.parts import Pairs, Parts
from ingest.cooccurrence.ray_cluster import connected, share
from ingest.cooccurrence.ray_counter import RayCounter
from ingest.cooccurrence.screen import make_screen
from ingest.cooccurrence.search import find_edges
from ingest.cooccurrence.shards import CodeFiles, ShardFile
from ingest.cooccurrence.sums import merge
from tests.unit.simulate import codes_from_dense

ray = pytest.importorskip("ray", reason="ray is not installed (extra [ray])")

FEATURES = 48
WORKERS = 3
OPTIONS = EdgesSection(min_expected=1.0, min_npmi=0.0, min_topic=0.1, fdr=0.5, folds=3)


def draw(seed: int, *, features: int = FEATURES) -> tuple[np.ndarray, np.ndarray]:
    """Draw activations of 12 documents of different lengths, each on two of eight topics."""
    rng = np.random.default_rng(seed)
    length = rng.integers(5, 60, 12)
    document = 12 * seed + np.repeat(np.arange(12), length)
    on_topic = rng.random((12, 8)) < 0.25
    rate = np.where(on_topic[:, np.arange(features) % 8], 0.4, 0.04)
    fires = rng.random((len(document), features)) < np.repeat(rate, length, axis=0)
    fires[:, 1] |= fires[:, 0] & (rng.random(len(document)) < 0.8)
    return fires * rng.gamma(2.0, 1.0, fires.shape), document


def write(
    folder: Path, saes: tuple[int, ...], *, shards: int = 7, unit: str = "token"
) -> CodeFiles:
    listed = []
    for number in range(shards):
        dense, document = draw(number, features=sum(saes))
        files, first = [], 0
        for sae, size in enumerate(saes):
            file = ShardFile(folder / f"sae{sae}-{number}.safetensors", {"sae": str(sae)})
            codes = codes_from_dense(dense[:, first : first + size], document)
            write_shard(file.path, codes, identity=file.identity)
            files.append(file)
            first += size
        listed.append(tuple(files))
    return CodeFiles(listed, saes, unit=unit, block=16)


def local(files: CodeFiles) -> LocalCounter:
    return LocalCounter(files.read, files.groups, block=files.block)


@pytest.fixture(scope="module", autouse=True)
def ray_session() -> Iterator[None]:
    """One private Ray for all tests; the counters in it share it."""
    with connected("local", workers=WORKERS + 2):
        yield


@pytest.fixture
def files(tmp_path: Path) -> CodeFiles:
    return write(tmp_path, (FEATURES,))


@pytest.fixture(scope="module")
def crew(
    ray_session: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LocalCounter, RayCounter]]:
    """Count the same files here and by three workers, which start once for several tests."""
    folder = tmp_path_factory.mktemp("crew")
    files = write(folder, (FEATURES,))
    with RayCounter(files, workers=WORKERS, cpus=1, scratch=folder / "scratch") as counter:
        yield local(files), counter


def assert_same(one: Any, two: Any) -> None:
    """Integers are equal, floats to rounding; goes through dataclasses and tuples."""
    if isinstance(one, tuple):
        for a, b in zip(one, two, strict=True):
            assert_same(a, b)
    elif hasattr(one, "__dataclass_fields__"):
        for f in fields(one):
            assert_same(getattr(one, f.name), getattr(two, f.name))
    elif isinstance(one, np.ndarray) and one.dtype.kind == "f":
        assert one.dtype == two.dtype
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)
    elif isinstance(one, np.ndarray):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)
    else:
        assert one == two


def test_a_search_on_ray_finds_what_one_process_finds(
    crew: tuple[LocalCounter, RayCounter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_merge, "FAN", 2)  # three workers make a tree of two levels
    one, counter = crew
    alone = find_edges(one, tmp_path, options=OPTIONS)
    assert len(alone.edges.kind) > 20
    assert_same(alone, find_edges(counter, tmp_path, options=OPTIONS))
    assert len(worker_processes()) == WORKERS
    scratch = counter._files.shards[0][0].path.parent / "scratch"
    assert list(scratch.iterdir()) == [], "mapped files have no name"


def test_two_saes_are_joined_by_windows(tmp_path: Path) -> None:
    files = write(tmp_path, (20, 28), unit="window:4")
    alone = find_edges(local(files), tmp_path, options=OPTIONS)
    assert len(alone.edges.kind) > 20
    with RayCounter(files, workers=1, cpus=2) as counter:
        assert_same(alone, find_edges(counter, tmp_path, options=OPTIONS))


def test_each_sum_equals_that_of_one_process(
    crew: tuple[LocalCounter, RayCounter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_counter, "SUMS_BYTES", 80 * 2 * 40)  # forty pairs at a time
    one, counter = crew
    m = one.marginals()
    assert_same(m, counter.marginals())
    ranking = rank_features(m, groups=one.groups, min_expected=1.0)
    here, there = one.parts(ranking), counter.parts(ranking)
    screen = make_screen(m, ranking, options=OPTIONS)
    for first, last, width in panels(ranking):
        joint = here.joint(first, last, width=width)
        assert joint.any()
        assert_same(joint, there.joint(first, last, width=width))
        topic = [
            p.topic(first, last, width=width, rate=screen.rate, scale=screen.scale)
            for p in (here, there)
        ]
        np.testing.assert_allclose(*topic, atol=1e-6)
    pairs = all_pairs(ranking.limit)
    assert len(pairs.kept) > 200
    assert_same(here.sums(pairs, folds=2), there.sums(pairs, folds=2))
    i, j = (x.astype(np.int32) for x in np.triu_indices(FEATURES, 1))
    assert_same(one.values(i, j), counter.values(i, j))


def all_pairs(limit: np.ndarray) -> Pairs:
    pointer = np.concatenate([[0], np.cumsum(limit)])
    kept = np.concatenate([np.arange(end) for end in limit]).astype(np.int32)
    return Pairs(0, pointer, kept)


class Killing:
    """Parts of which the processes of two workers are killed before one call."""

    def __init__(self, parts: Parts, *, call: int) -> None:
        self.parts, self.call, self.made = parts, call, 0

    def __getattr__(self, name: str) -> Any:
        if self.made == self.call:
            for process in worker_processes()[:2]:
                os.kill(process, signal.SIGKILL)
        self.made += 1
        return getattr(self.parts, name)


def worker_processes() -> list[int]:
    """Processes of counting workers, oldest first; Ray gives a process its actor's name."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # one that has ended, of whatever kind
            if "CountingWorker" in " ".join(process.cmdline()[:1]):
                found.append((process.create_time(), process.pid))
    return [pid for _, pid in sorted(found)]


def test_killed_workers_change_nothing(
    crew: tuple[LocalCounter, RayCounter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.cooccurrence.engine.CELLS", 300)  # some panels
    one, counter = crew
    m = one.marginals()
    ranking = rank_features(m, groups=one.groups, min_expected=1.0)
    screen = make_screen(m, ranking, options=OPTIONS)
    alone = merge(list(candidate_sums(one.parts(ranking), ranking, screen)))
    killing = Killing(counter.parts(ranking), call=4)
    killing.joint(1, 9, width=9)
    processes = set(worker_processes())
    spread = merge(list(candidate_sums(killing, ranking, screen)))
    assert killing.made > 6
    assert len(set(worker_processes()) - processes) == 2
    assert_same(alone, spread)
    assert_same(one.values(alone.i, alone.j), counter.values(alone.i, alone.j))


def test_a_worker_that_dies_again_and_again_is_named(
    files: CodeFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_counter, "RETRIES", 0)
    ranking = rank_features(local(files).marginals(), groups=files.groups, min_expected=1.0)
    others = set(worker_processes())
    with RayCounter(files, workers=2, cpus=1) as counter:
        parts = counter.parts(ranking)
        parts.joint(1, 9, width=9)
        os.kill(min(set(worker_processes()) - others), signal.SIGKILL)
        with pytest.raises(AtlasError, match=r"died .* while counting .*sae0-\d.safetensors") as e:
            parts.joint(1, 9, width=9)
    assert "Traceback" not in str(e.value)
    assert str(e.value).count("sae0-") == 2, "one group of shards, not all"


def test_a_damaged_shard_is_named(files: CodeFiles) -> None:
    path = files.shards[4][0].path
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with (
        RayCounter(files, workers=1, cpus=1) as counter,
        pytest.raises(ArtifactError, match=rf"^Code shard {path} is damaged.*Delete sae0-4") as e,
    ):
        counter.marginals()
    assert "ray::" not in str(e.value)


def test_a_shard_that_goes_after_the_marginals_is_named(
    crew: tuple[LocalCounter, RayCounter],
) -> None:
    _, counter = crew
    ranking = rank_features(counter.marginals(), groups=counter.groups, min_expected=1.0)
    path = counter._files.shards[0][0].path
    content = path.read_bytes()
    parts = counter.parts(ranking)
    path.unlink()
    try:
        with pytest.raises(ArtifactError, match=r"^Code shard .*sae0-0.safetensors is missing"):
            parts.joint(1, 9, width=9)
    finally:
        path.write_bytes(content)
    assert parts.joint(1, 9, width=9).any(), "the workers live on"


def test_a_folder_that_a_machine_does_not_see_is_named(files: CodeFiles) -> None:
    lost = [(replace(f, path=f.path.parent / "elsewhere" / f.path.name),) for (f,) in files.shards]
    with (
        RayCounter(replace(files, shards=lost), workers=1, cpus=1) as counter,
        pytest.raises(ArtifactError, match=r"elsewhere is not there on the machine"),
    ):
        counter.marginals()


def test_a_running_cluster_is_joined_and_left(files: CodeFiles) -> None:
    address = ray.get_runtime_context().gcs_address
    shards = [str(file.path) for (file,) in files.shards]
    program = f"""
from pathlib import Path
from ingest.cooccurrence.ray_counter import RayCounter
from ingest.cooccurrence.shards import CodeFiles, ShardFile
shards = [(ShardFile(Path(path), {{"sae": "0"}}),) for path in {shards}]
with RayCounter(CodeFiles(shards, ({FEATURES},)), {address!r}, workers=1, cpus=1) as counter:
    print(counter.marginals().n.tolist())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(local(files).marginals().n.tolist()), done.stderr
    assert ray.cluster_resources()["CPU"] > 0, "the cluster runs on"


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(AtlasError, match=r"sae-feature-atlas\[ray\]"), connected("local"):
        pass


def test_cpus_that_others_keep_are_an_error(
    crew: tuple[LocalCounter, RayCounter], files: CodeFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "PATIENCE", 0.3)
    assert len(crew[1]._crew.workers) == WORKERS
    taken = ray.cluster_resources()["CPU"]
    with (
        pytest.raises(AtlasError, match=r"wants \d+ CPUs .*, and \d+ are free"),
        RayCounter(files, workers=1, cpus=int(taken)),
    ):
        pass


@pytest.mark.parametrize("address", ["somewhere", "host:", ":1", "host:99999", ""])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="not the address"):
        ray_cluster._try_address(address)


def test_an_address_where_nothing_listens_is_refused_soon() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but it does not listen
        started = time.monotonic()
        with pytest.raises(AtlasError, match=r"No Ray cluster answers at 127.0.0.1:\d+"):
            ray_cluster._try_address(f"127.0.0.1:{taken.getsockname()[1]}")
    assert time.monotonic() - started < ray_cluster.PATIENCE


@pytest.mark.parametrize(
    ("machines", "shards", "workers", "expected"),
    [
        ([8], 100, None, (2, 4)),
        ([1], 100, None, (1, 1)),
        ([16, 16, 16], 100, None, (3, 16)),
        ([16, 4], 100, None, (2, 4)),
        ([16, 16], 1, None, (1, 16)),
        ([2, 2], 100, 3, (3, 1)),
        ([8, 1], 100, 6, (6, 1)),
        ([4], 100, 64, (4, 1)),
    ],
)
def test_the_workers_fit_on_the_machines(
    machines: list[int], shards: int, workers: int | None, expected: tuple[int, int]
) -> None:
    number, cpus = share(machines, shards=shards, workers=workers)
    assert (number, cpus) == expected
    assert sum(machine // cpus for machine in machines) >= number
