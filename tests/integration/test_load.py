"""Loading: idempotent, resumable after a kill, counted, and without harm to other runs."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atlas.analysis import analyse
from atlas.errors import ArtifactError, DatabaseError
from atlas.graph import connection
from atlas.graph.migrate import migrations
from atlas.graph.reader import DriverReader
from atlas.progress import SilentReporter
from ingest.build_folder import open_build
from ingest.incremental import Batch, Writer
from ingest.load import load
from ingest.repair import verify
from ingest.verify import graph_checksum, verify_load
from tests.builds import key, planted, write_build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from neo4j import Driver

    from atlas.graph.server import ManagedServer

pytestmark = pytest.mark.db

ROOT = Path(__file__).parents[2]
BATCH_ROWS = 10

# Loads a build and kills itself, without any clean-up, after some batches.
LOADER = """
import os, signal, sys
from contextlib import contextmanager
from atlas.api import Atlas
from ingest.load import load

class Killer:
    left = int(sys.argv[2])
    def note(self, line):
        pass
    @contextmanager
    def step(self, title, total=None):
        def advance(done, total=None):
            Killer.left -= 1
            if Killer.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        yield advance

with Atlas.connect() as atlas:
    print("connected", flush=True)
    load(atlas.driver, sys.argv[1], batch_rows=int(sys.argv[3]), reporter=Killer())
"""


def wipe(driver: Driver) -> None:
    driver.execute_query("MATCH (n) DETACH DELETE n")


def count(driver: Driver, text: str, **parameters: object) -> int:
    return int(DriverReader(driver).read(text, parameters)[0]["n"])


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_build(tmp_path_factory.mktemp("build") / "b")


@pytest.fixture(scope="module")
def undisturbed(driver: Driver, build: Path) -> str:
    wipe(driver)
    load(driver, build)
    return graph_checksum(driver)


@pytest.fixture
def empty_graph(driver: Driver, undisturbed: str) -> Driver:
    """Return a driver of a database without nodes; the schema stays, which saves its creation."""
    wipe(driver)
    return driver


def start_loader(server: ManagedServer, build: Path, batches: int) -> subprocess.Popen[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("NEO4J_")
    }
    return subprocess.Popen(
        [sys.executable, "-c", LOADER, str(build), str(batches), str(BATCH_ROWS)],
        cwd=ROOT,
        env=environment | {"ATLAS_HOME": str(server.home)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_counts_of_nodes_and_relationships(clean_driver: Driver, build: Path) -> None:
    summary = load(clean_driver, build)
    assert summary.loaded
    reader = DriverReader(clean_driver)
    nodes = reader.read("MATCH (n) RETURN labels(n)[0] AS label, count(*) AS n")
    assert {row["label"]: row["n"] for row in nodes} == {
        "Model": 1,
        "Sae": 1,
        "Run": 1,
        "Migration": len(migrations()),
        "Feature": 26,
        "Token": 30,
        "Document": 3,
        "Context": 12,
        "Concept": len(planted()[1]["concepts"]),
    }
    relationships = reader.read("MATCH ()-[r]->() RETURN type(r) AS type, count(*) AS n")
    assert {row["type"]: row["n"] for row in relationships} == {
        "OF": 1,
        "IN": 26,
        "FROM_RUN": 26,
        "CO_OCCURS": 60,
        "IMPLIES": 2,
        "SIMILAR_TO": 2,
        "FIRES_ON": 50,
        "PROMOTES": 25,
        "SUPPRESSES": 25,
        "FIRES_IN": 96,
        "FROM_DOCUMENT": 12,
        "ABOUT": len(planted()[1]["about"]),
    }


def test_properties(driver: Driver, undisturbed: str) -> None:
    wanted = planted()[1]["edges"][0]
    edge = DriverReader(driver).read(
        "MATCH ({key: $a})-[r:CO_OCCURS]->({key: $b}) RETURN properties(r) AS r",
        {"a": wanted["source"], "b": wanted["target"]},
    )[0]["r"]
    own = ("source", "target")
    expected = {
        name: value
        for name, value in wanted.items()
        if name not in own and value not in (None, [])  # a list without values is absent
    }
    sae, low = wanted["source"].rsplit("/", 1)
    high = wanted["target"].rsplit("/", 1)[1]
    assert edge == expected | {"run": "synthetic", "key": f"synthetic|{sae}|{low}|{high}|token"}
    dead = DriverReader(driver).read("MATCH (f:Feature {dead: true}) RETURN properties(f) AS f")
    assert "mean" not in dead[0]["f"]
    assert "logit_skew" not in dead[0]["f"], "NaN is stored as absent"


def test_a_second_load_changes_nothing(empty_graph: Driver, build: Path, undisturbed: str) -> None:
    assert load(empty_graph, build).loaded
    assert not load(empty_graph, build).loaded
    assert graph_checksum(empty_graph) == undisturbed
    assert load(empty_graph, build, force=True, batch_rows=7).loaded
    assert graph_checksum(empty_graph) == undisturbed
    empty_graph.execute_query("MATCH (f:Feature {key: $key}) SET f.label = 'other'", key=key(0))
    assert graph_checksum(empty_graph) != undisturbed, "the checksum does not see a change"


def test_a_killed_load_resumes(
    empty_graph: Driver, server: ManagedServer, build: Path, undisturbed: str
) -> None:
    """Killed after 1 batch, after 12 more and after 16 more of about 40."""
    rows = 0
    for batches in (1, 12, 16):
        loader = start_loader(server, build, batches)
        loader.communicate(timeout=120)
        assert loader.returncode == -signal.SIGKILL
        before, rows = rows, count(empty_graph, "MATCH (r:Run) RETURN r.loading_rows AS n")
        assert rows >= before + (batches - 1) * BATCH_ROWS / 2
        with pytest.raises(DatabaseError, match="not loaded to its end"):
            analyse(empty_graph, "synthetic")
    assert load(empty_graph, build, batch_rows=BATCH_ROWS).loaded
    assert graph_checksum(empty_graph) == undisturbed


def test_a_load_killed_at_any_moment_resumes(
    empty_graph: Driver, server: ManagedServer, build: Path, undisturbed: str
) -> None:
    loader = start_loader(server, build, 10_000)
    assert loader.stdout is not None
    assert loader.stdout.readline() == "connected\n"
    killer = threading.Timer(0.35, loader.kill)
    killer.start()
    loader.communicate(timeout=120)
    killer.cancel()
    load(empty_graph, build)
    assert graph_checksum(empty_graph) == undisturbed


def test_two_loads_at_once(
    empty_graph: Driver, server: ManagedServer, build: Path, undisturbed: str
) -> None:
    loaders = [start_loader(server, build, 10_000) for _ in range(2)]
    for loader in loaders:
        loader.communicate(timeout=180)
    assert [loader.returncode for loader in loaders] == [0, 0]
    assert graph_checksum(empty_graph) == undisturbed


def test_another_run_stays(empty_graph: Driver, build: Path, tmp_path: Path) -> None:
    load(empty_graph, build)
    run, rows = planted("second")
    other = write_build(tmp_path / "second", run, rows)
    load(empty_graph, other)
    rows["edges"] = rows["edges"][:10]
    changed = write_build(tmp_path / "changed", run, rows)
    with pytest.raises(DatabaseError, match="holds a run second with other contents"):
        load(empty_graph, changed)
    load(empty_graph, changed, force=True)
    edges = "MATCH ()-[r:CO_OCCURS {run: $run}]->() RETURN count(r) AS n"
    assert count(empty_graph, edges, run="second") == 10
    assert count(empty_graph, edges, run="synthetic") == 60
    assert count(empty_graph, "MATCH (f:Feature) RETURN count(f) AS n") == 26
    assert verify(empty_graph, "synthetic", build).good


def test_a_forced_replacement_is_the_same_as_a_fresh_load(
    empty_graph: Driver, build: Path, tmp_path: Path
) -> None:
    run, rows = planted()
    rows["edges"] = rows["edges"][5:]
    rows["edges"][0]["phi"] = 0.99
    changed = write_build(tmp_path / "changed", run, rows)
    load(empty_graph, changed)
    fresh = graph_checksum(empty_graph)
    wipe(empty_graph)
    load(empty_graph, build)
    analyse(empty_graph, "synthetic")
    load(empty_graph, changed, force=True)
    assert graph_checksum(empty_graph) == fresh


def test_nothing_is_written_of_a_wrong_build(empty_graph: Driver, tmp_path: Path) -> None:
    run, rows = planted()
    rows["edges"][-1]["target"] = key(999)
    with pytest.raises(ArtifactError, match="name a target"):
        load(empty_graph, write_build(tmp_path / "wrong", run, rows))
    assert count(empty_graph, "MATCH (n) WHERE NOT n:Migration RETURN count(n) AS n") == 0


def test_a_lost_row_is_noticed(empty_graph: Driver, build: Path) -> None:
    """The first difference is told, so what is loaded last is damaged first."""
    load(empty_graph, build)
    for table, damage in (
        ("feature_tokens", "MATCH ()-[r:FIRES_ON]->() WITH r LIMIT 1 DELETE r"),
        ("firings", "MATCH ()-[r:FIRES_IN]->() WITH r LIMIT 1 DELETE r"),
        ("edges", "MATCH ()-[r:CO_OCCURS]->() WITH r LIMIT 1 DELETE r"),
        ("contexts", "MATCH (n:Context) WITH n LIMIT 1 DETACH DELETE n"),
        ("features", "MATCH (f:Feature)-[r:FROM_RUN]->() WITH r LIMIT 1 DELETE r"),
        ("tokens", "MATCH (n:Token) WITH n LIMIT 1 DETACH DELETE n"),
        ("documents", "MATCH (n:Document) WITH n LIMIT 1 DETACH DELETE n"),
    ):
        empty_graph.execute_query(damage)
        with pytest.raises(DatabaseError, match=rf"has \d+ of the \d+ rows of {table}\."):
            verify_load(empty_graph, None, open_build(build))


class Killer:
    """Kills a server after some batches."""

    def __init__(self, server: ManagedServer, batches: int) -> None:
        self.server, self.left = server, batches
        self.acknowledged: dict[str, float] = {}

    def note(self, line: str) -> None:
        pass

    @contextmanager
    def step(self, title: str, total: float | None = None) -> Iterator[Callable[..., None]]:
        def advance(done: float, total: float | None = None) -> None:
            self.acknowledged[title] = done
            self.left -= 1
            if self.left == 0:
                self.server.process().kill()

        yield advance


def test_a_killed_server_keeps_what_was_acknowledged(
    server: ManagedServer,
    driver: Driver,
    build: Path,
    undisturbed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wipe(driver)
    killer = Killer(server, 20)
    # Nobody starts the server again, so the driver would try in vain for half a minute.
    monkeypatch.setattr(connection, "RETRY_SECONDS", 1.0)
    with connection.connect(server.connection()) as own, pytest.raises(DatabaseError):
        load(own, build, batch_rows=BATCH_ROWS, reporter=killer)
    server.ensure_running()
    done = count(driver, "MATCH (r:Run) RETURN r.loading_rows AS n")
    assert done >= sum(killer.acknowledged.values()) > 100
    found = verify(driver, "synthetic", build)
    assert f"the run is not loaded to its end ({done} rows)" in found.problems
    lines = Lines()
    assert load(driver, build, batch_rows=BATCH_ROWS, reporter=lines).loaded
    assert any(f"after the {done} that are there" in line for line in lines.noted)
    assert graph_checksum(driver) == undisturbed


class Lines(SilentReporter):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def note(self, line: str) -> None:
        self.noted.append(line)


def test_batches_that_are_sent_again_or_too_early(
    empty_graph: Driver, build: Path, undisturbed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Writer._send
    rng = random.Random(0)

    def twice(self: Writer, batch: Batch) -> None:
        time.sleep(rng.random() / 20)  # so that the second under way may be there first
        sent(self, batch)
        sent(self, batch)

    monkeypatch.setattr(Writer, "_send", twice)
    load(empty_graph, build, batch_rows=BATCH_ROWS)
    assert graph_checksum(empty_graph) == undisturbed


def test_a_node_that_is_not_there_is_named(empty_graph: Driver, build: Path) -> None:
    class Spoiler(Lines):
        def step(self, title: str, total: float | None = None):
            if title == "loading firings":
                empty_graph.execute_query("MATCH (c:Context) WITH c LIMIT 1 DETACH DELETE c")
            return super().step(title, total)

    with pytest.raises(DatabaseError, match=r"\d+ of the rows .*firings\.parquet, name nodes"):
        load(empty_graph, build, reporter=Spoiler())
    assert verify(empty_graph, "synthetic", build, repair=True).repaired


def test_a_run_of_an_older_version_that_was_half_loaded(
    empty_graph: Driver, build: Path, undisturbed: str
) -> None:
    load(empty_graph, build)
    empty_graph.execute_query(
        "MATCH (r:Run) SET r.state = 'loading' WITH r MATCH ()-[e:CO_OCCURS|FIRES_IN]->()"
        " WITH e LIMIT 70 DELETE e"
    )
    load(empty_graph, build)
    assert graph_checksum(empty_graph) == undisturbed


def test_a_lost_constraint_is_made_before_anything_is_written(
    empty_graph: Driver, build: Path, undisturbed: str
) -> None:
    names = "SHOW CONSTRAINTS YIELD name WHERE name = 'feature_key' RETURN count(*) AS n"

    class Watcher(SilentReporter):
        found: int | None = None

        def step(self, title: str, total: float | None = None):
            if title == "loading features":
                self.found = count(empty_graph, names)
            return super().step(title, total)

    empty_graph.execute_query("DROP CONSTRAINT feature_key")
    watcher = Watcher()
    load(empty_graph, build, reporter=watcher)
    assert watcher.found == 1
    assert graph_checksum(empty_graph) == undisturbed


def test_a_newer_schema_is_refused(empty_graph: Driver, build: Path) -> None:
    empty_graph.execute_query("CREATE (:Migration {name: '9999_later', sha256: 'x'})")
    with pytest.raises(DatabaseError, match="made by a newer atlas"):
        load(empty_graph, build)
    assert count(empty_graph, "MATCH (r:Run) RETURN count(r) AS n") == 0
    empty_graph.execute_query("MATCH (m:Migration {name: '9999_later'}) DELETE m")
