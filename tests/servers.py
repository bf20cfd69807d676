"""A managed Neo4j server for the tests that need one.

The jars come from the user's cache; the first run on a machine downloads them. With
``ATLAS_TEST_HOME`` the server of that home is used (started if need be) and left running, which
saves its start while developing. Its database is emptied by the tests.

Java reads options from JAVA_TOOL_OPTIONS. Servers of tests live for minutes and hold a hundred
nodes: what its optimising compiler costs is never earned back, and a start takes a third less
without it. (Compiled code then has 48 MiB unless told otherwise, which a long run of tests fills;
Java compiles no more after that, and fails in the end.) Checking the bytecode of Neo4j's own jars
takes another quarter of a start.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from atlas.api import Atlas
from atlas.graph.connection import connect
from atlas.graph.server import ManagedServer
from ingest.verify import graph_checksum
from tests.builds import write_build

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from neo4j import Driver

_BATCH = 10_000
os.environ.setdefault(
    "JAVA_TOOL_OPTIONS",
    "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m "
    "-XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote",
)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagedServer]:
    """Return a managed server that runs."""
    kept = os.environ.get("ATLAS_TEST_HOME")
    managed = ManagedServer(kept or tmp_path_factory.mktemp("atlas-home"))
    managed.ensure_running()
    yield managed
    if not kept:
        managed.stop()


@pytest.fixture(scope="session")
def driver(server: ManagedServer) -> Iterator[Driver]:
    """Return a driver of `server`, whatever the database holds."""
    with connect(server.connection()) as opened:
        yield opened


@pytest.fixture
def clean_driver(driver: Driver, server: ManagedServer) -> Driver:
    """Return a driver of `server`, whose database is empty: no data, schema or GDS graph."""
    revive(server)
    empty(driver)
    return driver


@pytest.fixture
def wiped_driver(driver: Driver, server: ManagedServer) -> Driver:
    """Return a driver of `server`, whose database has no nodes; see `wipe`."""
    revive(server)
    wipe(driver)
    return driver


@pytest.fixture(scope="session")
def planted_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the planted build, which nobody changes."""
    return write_build(tmp_path_factory.mktemp("planted") / "b")


@pytest.fixture(scope="session")
def _planted_checksums() -> set[str]:
    """Checksums of the planted graph, as `planted_atlas` made it."""
    return set()


@pytest.fixture(scope="module")
def planted_atlas(
    driver: Driver, server: ManagedServer, planted_build: Path, _planted_checksums: set[str]
) -> Iterator[Atlas]:
    """Return an atlas of `server` that holds the planted build, analysed, and nothing else.

    Files of tests one after the other share it: it is made anew only where a file before has
    changed something.
    """
    revive(server)
    with Atlas.connect(home=server.home) as opened:
        if graph_checksum(driver) not in _planted_checksums:
            wipe(driver)
            opened.load(planted_build)
            opened.analyse()
            _planted_checksums.add(graph_checksum(driver))
        yield opened


def revive(server: ManagedServer) -> None:
    """Start the server again where a test that failed has left it dead: others shall not fail."""
    if server.process() is None:
        server.start()


def wipe(driver: Driver) -> None:
    """Delete all nodes. The schema stays, which saves its creation and plans of queries."""
    driver.execute_query("MATCH (n) DETACH DELETE n")


def empty(driver: Driver) -> None:
    """Delete all nodes, relationships, constraints, indexes and projected graphs."""
    names, _, _ = driver.execute_query("CALL gds.graph.list() YIELD graphName AS name RETURN name")
    for record in names:
        driver.execute_query("CALL gds.graph.drop($name, false)", name=record["name"])
    with driver.session() as session:
        session.run(
            f"MATCH (n) CALL (n) {{ DETACH DELETE n }} IN TRANSACTIONS OF {_BATCH} ROWS"
        ).consume()
    for kind, listing in (
        ("CONSTRAINT", "SHOW CONSTRAINTS YIELD name"),
        ("INDEX", "SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP'"),
    ):
        records, _, _ = driver.execute_query(f"{listing} RETURN name")
        for record in records:
            driver.execute_query(f"DROP {kind} `{record['name']}` IF EXISTS")
