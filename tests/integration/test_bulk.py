"""Bulk loading: the same graph as over Bolt, only into an empty store, whole or not at all."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atlas.errors import ArtifactError, ServerError, UsageError
from atlas.graph.connection import connect
from atlas.graph.reader import DriverReader
from atlas.graph.staging import staging_of
from ingest.build_folder import open_build
from ingest.bulk.importer import forget_bookmarks
from ingest.load import load
from ingest.verify import graph_checksum, verify_load
from tests.builds import planted, write_build
from tests.servers import empty

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neo4j import Driver

    from atlas.graph.server import ManagedServer

pytestmark = pytest.mark.db

ROOT = Path(__file__).parents[2]

# Loads in bulk and kills itself where it is told to.
LOADER = """
import os, signal, sys, threading
from atlas.graph import staging
from atlas.graph.connection import connect
from atlas.graph.server import ManagedServer
from ingest.bulk import importer
from ingest.load import load

def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)

def die_soon(*args, run=importer.import_csv, **options):
    threading.Timer(1.0, die).start()
    run(*args, **options)
    die()

moment = sys.argv[2]
if moment == "importing":
    importer.import_csv = die_soon
else:  # one of two folders has been moved
    staging._sync = die
server = ManagedServer()
with connect(server.connection()) as driver:
    load(driver, sys.argv[1], how="bulk", server=server)
"""


class Notes:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)

    def step(self, title: str, total: float | None = None):
        from atlas.progress import SilentReporter

        self.lines.append(title)
        return SilentReporter().step(title, total)


def awkward() -> tuple[dict, dict]:
    """Return the planted build with texts and lists that are hard to write as CSV."""
    run, rows = planted()
    texts = ['"', "a,b", "line\nend\r\n", "", " blank ", "\\", "null", "é\u2028", "a\x1fb", "\t"]
    for row, text in zip(rows["tokens"], texts, strict=False):
        row["text"] = text
    rows["documents"][0]["title"] = ""
    rows["documents"][1]["title"] = "two\nlines"
    lists = [[], [""], ["", ""], ["a;b", 'q"', "\n"], ["x\x1fy"]]
    for row, values in zip(rows["features"], lists, strict=False):
        row["promoted"] = values
    for row, values in zip(rows["edges"], [[], [""], ["a", ""]], strict=False):
        row["contexts"] = values
    for row, value in zip(rows["edges"], [1 / 3, -0.0, 5e-324, 1.7e308, None], strict=False):
        row["z"] = value
    return run, rows


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_build(tmp_path_factory.mktemp("bulk") / "b", *awkward())


@pytest.fixture(scope="module")
def over_bolt(driver: Driver, build: Path) -> str:
    empty(driver)
    load(driver, build, how="bolt")
    return graph_checksum(driver)


@pytest.fixture
def new_store(server: ManagedServer, driver: Driver, over_bolt: str) -> Iterator[Driver]:
    """Return a driver of a running server whose database is empty."""
    server.ensure_running()
    with connect(server.connection()) as opened:
        empty(opened)
        yield opened
    server.ensure_running()
    forget_bookmarks(driver)


def nodes(driver: Driver) -> int:
    return int(DriverReader(driver).read("MATCH (n) RETURN count(n) AS n")[0]["n"])


FULL = """
import resource, signal, sys
from atlas.errors import ArtifactError
from atlas.graph.connection import connect
from atlas.graph.server import ManagedServer
from ingest.load import load
server = ManagedServer()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))
with connect(server.connection()) as driver:
    try:
        load(driver, sys.argv[1], how="bulk", server=server)
    except ArtifactError as error:
        print(error)
"""


def test_a_full_disk_is_named_and_nothing_is_left(
    new_store: Driver, server: ManagedServer, build: Path
) -> None:
    process = server.process()
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(build)],
        cwd=ROOT,
        env={**os.environ, "ATLAS_HOME": str(server.home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot be written" in done.stdout
    assert not staging_of(server.folder).root.exists()
    assert server.process() == process, "the server was never stopped"
    assert nodes(new_store) == 0


def test_a_database_with_something_in_it_is_not_replaced(
    new_store: Driver, server: ManagedServer, build: Path
) -> None:
    new_store.execute_query("CREATE (:Mine {x: 1})")
    with pytest.raises(UsageError, match="not empty"):
        load(new_store, build, how="bulk", server=server)
    new_store.execute_query("MATCH (n) DETACH DELETE n")
    new_store.execute_query("CREATE INDEX mine IF NOT EXISTS FOR (n:Mine) ON (n.x)")
    with pytest.raises(UsageError, match="not empty"):
        load(new_store, build, how="bulk", server=server)
    new_store.execute_query("DROP INDEX mine")


def test_bulk_needs_a_managed_server(driver: Driver, build: Path) -> None:
    with pytest.raises(UsageError, match="not that of a managed server"):
        load(driver, build, how="bulk")
    with pytest.raises(UsageError, match="no way of loading"):
        load(driver, build, how="quickly")  # type: ignore[arg-type]


def test_a_wrong_build_stops_nothing(
    new_store: Driver, server: ManagedServer, tmp_path: Path
) -> None:
    run, rows = planted()
    rows["edges"][0]["expected"] = float("nan")
    process = server.process()
    with pytest.raises(ArtifactError, match="expected has 1 values that are not finite"):
        load(new_store, write_build(tmp_path / "b", run, rows), how="bulk", server=server)
    assert server.process() == process, "the server was never stopped"


def test_a_failed_import_leaves_the_database_as_it_was(
    new_store: Driver, server: ManagedServer, build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from atlas.graph import admin_tool

    monkeypatch.setattr(admin_tool, "_MAIN_CLASS", "org.neo4j.cli.NoSuchTool")
    with pytest.raises(ServerError, match=r"import tool failed(.|\n)*NoSuchTool"):
        load(new_store, build, how="bulk", server=server)
    assert server.process() is not None
    assert nodes(new_store) == 0
    assert not staging_of(server.folder).root.exists()


def test_a_large_build_into_an_empty_store_is_loaded_in_bulk_and_the_same_as_over_bolt(
    new_store: Driver,
    server: ManagedServer,
    build: Path,
    over_bolt: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ingest.bulk import choice

    monkeypatch.setattr(choice, "BULK_ROWS", 100)
    told = Notes()
    summary = load(new_store, build, server=server, reporter=told)
    assert summary.loaded
    assert summary.how == "bulk"
    assert any(line.startswith("loading in bulk:") for line in told.lines)
    assert graph_checksum(new_store) == over_bolt
    verify_load(new_store, None, open_build(build))
    assert not staging_of(server.folder).root.exists()
    assert load(new_store, build, server=server).how == "none"
    with pytest.raises(UsageError, match="the database is not empty"):
        load(new_store, build, how="bulk", server=server, force=True)
    assert graph_checksum(new_store) == over_bolt
    again = write_build(build.parent / "other", *planted("other"))
    assert load(new_store, again, server=server).how == "bolt"
    shutil.rmtree(again)


def test_a_killed_bulk_load_is_finished_by_the_next(
    new_store: Driver, server: ManagedServer, build: Path, over_bolt: str
) -> None:
    """Killed at two moments; each load finds what the one before it left behind."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NEO4J_")}
    for moment in ("importing", "moving"):
        done = subprocess.run(
            [sys.executable, "-c", LOADER, str(build), moment],
            cwd=ROOT,
            env=environment | {"ATLAS_HOME": str(server.home)},
            timeout=300,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL
        assert server.process() is None
        assert staging_of(server.folder).root.exists()
        assert staging_of(server.folder).moving.exists() == (moment == "moving")
        server.ensure_running()
        forget_bookmarks(new_store)
        assert (nodes(new_store) > 0) == (moment == "moving")
    summary = load(new_store, build, server=server)
    assert summary.loaded
    assert graph_checksum(new_store) == over_bolt
    assert not staging_of(server.folder).root.exists()
