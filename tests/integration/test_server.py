"""The managed server for real: start, refuse, crash, recover, stop."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import signal
import socket
import threading
import time
import urllib.request
from typing import TYPE_CHECKING

import psutil
import pytest
from neo4j.exceptions import DriverError

from atlas.doctor import examine
from atlas.errors import DatabaseError, ServerError
from atlas.graph import jars
from atlas.graph import server as managed
from atlas.graph.configure import read_password, read_settings
from atlas.graph.connection import ConnectionSettings, connect, resolve_connection
from atlas.graph.java import find_java
from atlas.graph.process import find_process
from atlas.graph.server import ManagedServer
from atlas.graph.status import read_versions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from neo4j import Driver

pytestmark = pytest.mark.db


@pytest.fixture(autouse=True)
def _no_other_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NEO4J_URI", "NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagedServer]:
    """Return a server that the tests of this module may stop and kill, smaller than the other.

    Its home has a space and a letter beyond ASCII, as homes of users do.
    """
    smaller = ManagedServer(tmp_path_factory.mktemp("other") / "Ada's átlas home")
    smaller.start(memory="1g")
    yield smaller
    smaller.stop()


@pytest.fixture
def running(own: ManagedServer) -> ManagedServer:
    own.ensure_running()
    return own


@pytest.fixture
def stopped(own: ManagedServer) -> ManagedServer:
    own.stop()
    return own


def listening_addresses(pid: int) -> set[str]:
    connections = psutil.Process(pid).net_connections(kind="tcp")
    found = {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
    return {address.removeprefix("::ffff:") for address in found}


def test_server_runs_the_locked_pair(server: ManagedServer, driver: Driver) -> None:
    versions = read_versions(driver, "neo4j")
    assert (versions.neo4j, versions.gds) == (jars.NEO4J_VERSION, jars.GDS_VERSION)
    assert versions.edition == "community"
    status = server.status()
    assert (status.state, status.neo4j, status.gds) == (
        "running",
        *dataclasses.astuple(versions)[::2],
    )
    assert status.pid is not None
    assert listening_addresses(status.pid) == {"127.0.0.1"}
    assert read_password(server.folder) not in repr(status)


def test_browser_is_served_at_the_http_port(server: ManagedServer) -> None:
    url = server.status().browser
    assert url is not None
    with urllib.request.urlopen(url, timeout=60) as answer:
        page = answer.read().decode()
    assert answer.status == 200
    assert "Neo4j Browser" in page


@pytest.mark.parametrize("password", ["neo4j", "wrong"])
def test_another_password_is_refused(server: ManagedServer, password: str) -> None:
    settings = dataclasses.replace(server.connection(), password=password)
    with pytest.raises(DatabaseError, match="refuses"):
        connect(settings)


def test_wrong_database_port_and_encryption_are_told_apart(server: ManagedServer) -> None:
    settings = server.connection()
    remembered = read_settings(server.folder)
    assert remembered is not None
    for changes, said in (
        ({"database": "nothing"}, "has no database 'nothing'"),
        ({"uri": f"bolt://127.0.0.1:{remembered.http_port}"}, "port of Bolt"),
        ({"uri": settings.uri.replace("bolt", "bolt+s")}, "does not speak TLS"),
        ({"uri": settings.uri.replace("bolt", "neo4j+ssc")}, "does not speak TLS"),
    ):
        with pytest.raises(DatabaseError, match=said):
            connect(dataclasses.replace(settings, **changes))


def test_environment_reaches_the_same_server_as_any_other(
    server: ManagedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = server.connection()
    monkeypatch.setenv("NEO4J_URI", own.uri.replace("bolt", "neo4j"))
    monkeypatch.setenv("NEO4J_PASSWORD", own.password)
    settings = resolve_connection(home=tmp_path)
    assert settings.source == "environment"
    with connect(settings) as driver:
        assert read_versions(driver, settings.database).gds == jars.GDS_VERSION


def test_doctor_finds_the_pair(server: ManagedServer) -> None:
    levels = {check.name: check.level for check in examine(server.home)}
    assert levels["database"] == "ok"
    assert levels["Neo4j and GDS versions"] == "ok"
    assert levels["Neo4j and GDS jars"] == "ok"


def test_start_of_a_running_server_changes_nothing(running: ManagedServer) -> None:
    before = running.status()
    after = running.start(memory="3g")
    assert (after.pid, after.memory) == (before.pid, before.memory)


def test_two_homes_run_at_once_and_hold_their_own(
    server: ManagedServer, running: ManagedServer
) -> None:
    first, second = server.connection(), running.connection()
    assert first.uri != second.uri
    assert first.password != second.password
    with connect(first) as one, connect(second) as two:
        one.execute_query("MERGE (:OnlyInTheFirst)")
        found, _, _ = two.execute_query("MATCH (n:OnlyInTheFirst) RETURN count(n) AS n")
        one.execute_query("MATCH (n:OnlyInTheFirst) DELETE n")
    assert found[0]["n"] == 0
    with pytest.raises(DatabaseError, match="refuses"):
        connect(dataclasses.replace(second, password=first.password))


def test_reset_deletes_the_data_and_starts_again(running: ManagedServer) -> None:
    before = running.connection()
    with connect(before) as driver:
        driver.execute_query("MERGE (:Gone)")
    assert running.reset() is True
    assert running.status().state == "running"
    assert running.connection() == before
    with connect(before) as driver:
        found, _, _ = driver.execute_query("MATCH (n) RETURN count(n) AS n")
    assert found[0]["n"] == 0


def test_stop_and_start_keep_data_ports_and_password(running: ManagedServer) -> None:
    before = running.connection()
    with connect(before) as driver:
        driver.execute_query("MERGE (:Kept {value: 42})")
    assert running.stop() is True
    assert running.status().state == "stopped"
    with pytest.raises(DatabaseError, match="atlas db start"):
        running.connection()
    # What a reused process id looks like: the record names a process, which is not the server.
    running.folder.process_file.write_text(json.dumps({"pid": os.getpid()}))
    assert running.status().state == "stopped"
    assert running.start().state == "running"
    assert running.connection() == before
    with connect(before) as driver:
        found, _, _ = driver.execute_query("MATCH (n:Kept) RETURN n.value AS value")
    assert [record["value"] for record in found] == [42]


def test_killed_while_writing_it_loses_nothing_acknowledged_and_starts_at_another_port(
    running: ManagedServer,
) -> None:
    settings = running.connection()
    with connect(settings) as driver:
        driver.execute_query("MATCH (n:Written) DETACH DELETE n")
    acknowledged: list[int] = []

    def write() -> None:
        with connect(settings) as driver, driver.session() as session:
            for number in itertools.count():
                session.run("CREATE (:Written {number: $n})", n=number).consume()
                acknowledged.append(number)

    def write_until_it_breaks() -> None:
        with pytest.raises(DriverError):
            write()

    writer = threading.Thread(target=write_until_it_breaks)
    writer.start()
    deadline = time.monotonic() + 120
    while len(acknowledged) < 200:
        assert time.monotonic() < deadline
        assert writer.is_alive()
        time.sleep(0.05)
    process = find_process(running.folder)
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    writer.join(timeout=120)
    assert not writer.is_alive()
    status = running.status()
    assert status.state == "stopped"
    assert f"process {process.pid}) ended without being stopped" in (status.problem or "")

    before = read_settings(running.folder)
    started = running.start(bolt_port=0)
    after = read_settings(running.folder)
    assert before is not None
    assert after is not None
    assert after.bolt_port not in (before.bolt_port, before.http_port)
    assert after.http_port == before.http_port
    assert started.bolt == after.bolt
    with connect(running.connection()) as driver:
        found, _, _ = driver.execute_query("MATCH (n:Written) RETURN n.number AS n ORDER BY n")
    numbers = [record["n"] for record in found]
    # The write in flight may have been stored without its acknowledgement; no more than that.
    assert numbers[: len(acknowledged)] == acknowledged
    assert len(numbers) - len(acknowledged) in (0, 1)


def test_server_that_ends_while_it_is_asked_is_started_again(running: ManagedServer) -> None:
    """One that was killed may hold on for a moment: it is there, and does not answer."""
    process = find_process(running.folder)
    assert process is not None
    process.suspend()
    killer = threading.Timer(1.0, process.kill)
    killer.start()
    status = running.start()
    killer.join()
    assert status.state == "running"
    assert status.pid != process.pid


def test_password_changed_by_hand_is_told(
    running: ManagedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managed, "_PATIENCE_SECONDS", 1.0)
    settings = running.connection()
    with connect(settings) as driver:
        driver.execute_query(
            "ALTER CURRENT USER SET PASSWORD FROM $old TO $new",
            old=settings.password,
            new="another password",
            database_="system",
        )
    with pytest.raises(ServerError, match="runs, but cannot be used"):
        running.start()
    status = running.status()
    assert "refuses" in (status.problem or "")
    with connect_once_let(dataclasses.replace(settings, password="another password")) as driver:
        driver.execute_query(
            "ALTER CURRENT USER SET PASSWORD FROM $old TO $new",
            old="another password",
            new=settings.password,
            database_="system",
        )
    assert running.status().state == "running"


def connect_once_let(settings: ConnectionSettings) -> Driver:
    """Connect, waiting while the server refuses its user after several wrong passwords."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return connect(settings)
        except DatabaseError:
            if time.monotonic() > deadline:
                raise
            time.sleep(6)


def test_taken_port_is_told(stopped: ManagedServer) -> None:
    settings = read_settings(stopped.folder)
    assert settings is not None
    with (
        socket.create_server(("127.0.0.1", settings.bolt_port)),
        pytest.raises(ServerError, match=f"Port {settings.bolt_port}, .* --bolt-port 0"),
    ):
        stopped.start()
    assert stopped.status().state == "stopped"


def test_start_that_fails_shows_the_end_of_the_log(stopped: ManagedServer) -> None:
    store = stopped.folder.data / "databases" / "store_lock"
    store.unlink(missing_ok=True)
    store.mkdir()
    try:
        with pytest.raises(ServerError, match="ended while it started") as caught:
            stopped.start()
    finally:
        store.rmdir()
    message = str(caught.value)
    assert str(stopped.folder.log) in message
    assert "store_lock" in message
    assert stopped.status().state == "stopped"


def test_java_that_ends_at_once_shows_what_it_printed(
    stopped: ManagedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Java answers for its version, but not with the server's options."""
    real = find_java().path
    java = stopped.home / "java"
    java.write_text(
        f'#!/bin/sh\n[ "$1" = -version ] && exec "{real}" -version\n'
        f'exec "{real}" -XX:NoSuchOption "$@"\n'
    )
    java.chmod(0o755)
    monkeypatch.setenv("ATLAS_JAVA", str(java))
    with pytest.raises(ServerError, match="ended while it started") as caught:
        stopped.start()
    assert "NoSuchOption" in str(caught.value)
    assert stopped.status().state == "stopped"
