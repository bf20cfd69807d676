"""How a server is recognised by its process, with small processes in its place."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from atlas.errors import DatabaseError, ServerError
from atlas.graph import process as processes
from atlas.graph.jars import Distribution
from atlas.graph.layout import ServerFolder
from atlas.graph.logs import tail
from atlas.graph.process import (
    check_port,
    class_path,
    end,
    find_process,
    find_unrecorded,
    is_alive,
    launch,
    read_record,
)
from atlas.graph.server import ManagedServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP


@pytest.fixture
def folder(tmp_path: Path) -> ServerFolder:
    made = ServerFolder(tmp_path / "neo4j")
    made.make()
    return made


@pytest.fixture
def started(folder: ServerFolder) -> Iterator[psutil.Process]:
    process = launch(command(folder), folder)
    yield process
    if is_alive(process):
        process.kill()


def command(folder: ServerFolder, code: str = SLEEP) -> list[str]:
    return [sys.executable, "-c", code, f"--home-dir={folder.root}"]


def wait_for_output(folder: ServerFolder) -> None:
    deadline = time.monotonic() + 30
    while not tail(folder.console_log, 1):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_launched_process_is_recorded_and_found(
    folder: ServerFolder, started: psutil.Process
) -> None:
    record = read_record(folder)
    assert record is not None
    assert record.pid == started.pid
    assert find_process(folder) == started
    assert os.getsid(started.pid) != os.getsid(0), "Ctrl-C in the terminal would end it"


def test_ended_process_is_not_found(folder: ServerFolder, started: psutil.Process) -> None:
    assert end(started, timeout=30) is True
    assert not is_alive(started)
    assert read_record(folder) is not None
    assert find_process(folder) is None


def test_killed_child_is_not_taken_for_running(
    folder: ServerFolder, started: psutil.Process
) -> None:
    os.kill(started.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while find_process(folder) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_process_that_ignores_the_request_is_killed(folder: ServerFolder) -> None:
    process = launch(command(folder, STUBBORN), folder)
    wait_for_output(folder)
    assert end(process, timeout=0.5) is False
    assert not is_alive(process)


def test_pid_given_to_another_process_is_not_the_server(folder: ServerFolder) -> None:
    folder.process_file.write_text(json.dumps({"pid": os.getpid()}))
    assert find_process(folder) is None


def test_server_of_another_home_is_not_the_server(folder: ServerFolder, tmp_path: Path) -> None:
    other = ServerFolder(tmp_path / "other")
    other.make()
    process = launch(command(other), other)
    folder.process_file.write_text(other.process_file.read_text())
    assert find_process(folder) is None
    assert find_process(other) == process
    end(process, timeout=30)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "{}"])
def test_damaged_record_is_no_record(folder: ServerFolder, text: str) -> None:
    folder.process_file.write_text(text)
    assert read_record(folder) is None
    assert find_process(folder) is None


def test_server_whose_record_was_lost_is_found(
    folder: ServerFolder, started: psutil.Process
) -> None:
    folder.process_file.unlink()
    assert find_process(folder) is None
    assert find_unrecorded(folder) == started
    assert find_process(folder) == started


def test_stop_ends_a_server_and_says_whether_there_was_one(tmp_path: Path) -> None:
    server = ManagedServer(tmp_path)
    assert server.stop() is False
    server.folder.make()
    process = launch(command(server.folder), server.folder)
    assert server.stop() is True
    assert not is_alive(process)
    assert server.stop() is False
    assert server.status().state == "stopped"


def test_connection_of_a_stopped_server_tells_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="atlas db start"):
        ManagedServer(tmp_path).connection()


def test_server_gets_no_password_from_this_environment(
    folder: ServerFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "secret-of-another-server")
    code = "import os; print(sorted(k for k in os.environ if k.startswith('NEO4J')), flush=True)"
    launch(command(folder, code), folder)
    wait_for_output(folder)
    assert tail(folder.console_log, 1) == ["['NEO4J_CONF', 'NEO4J_HOME']"]


def test_log_of_the_start_before_is_kept(folder: ServerFolder) -> None:
    folder.log.write_text("before\n")
    process = launch(command(folder), folder)
    assert not folder.log.exists()
    assert (folder.logs / "previous-neo4j.log").read_text() == "before\n"
    end(process, timeout=30)


def test_command_that_cannot_run_is_a_clear_error(folder: ServerFolder) -> None:
    with pytest.raises(ServerError, match="Java could not be started"):
        launch([str(folder.root / "nothing")], folder)


def test_class_path_refuses_its_separator(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="ATLAS_CACHE"):
        class_path(Distribution(tmp_path / "a:b"))


def test_start_twice_at_once_waits(tmp_path: Path) -> None:
    """The second of two commands waits for the first; the lock goes with its process."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom atlas.graph.locks import file_lock\n"
        "with file_lock(Path(sys.argv[1]), what='it'):\n"
        "    print('locked', flush=True)\n    time.sleep(600)\n"
    )
    server = ManagedServer(tmp_path)
    server.folder.make()
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(server.folder.lock_file)], stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        from atlas.graph.locks import file_lock

        with (
            pytest.raises(ServerError, match="Another process has held the database"),
            file_lock(server.folder.lock_file, what="the database", timeout=0.3),
        ):
            pass
        holder.kill()
        holder.wait()
        with file_lock(server.folder.lock_file, what="the database", timeout=10):
            pass


def test_tail_reads_the_end_only(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert tail(path, 5) == []
    path.write_text("".join(f"line {n}\n" for n in range(50_000)))
    assert tail(path, 3) == ["line 49997", "line 49998", "line 49999"]
    assert len(tail(path, 20_000)) == 20_000
    assert tail(path, 0) == []
    path.write_bytes(b"\xff\xfe broken")
    assert len(tail(path, 5)) == 1


def test_a_port_of_nobody_is_waited_for(monkeypatch):
    """The last threads of a killed server hold its port, and no process is seen to have it."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with pytest.raises(ServerError, match=rf"Port {port}.*taken by .*process {os.getpid()}"):
            check_port(port, option="--bolt-port")
        monkeypatch.setattr(processes, "_who_listens", lambda _port: None)
        closing = threading.Timer(0.3, held.close)
        closing.start()
        check_port(port, option="--bolt-port")
        monkeypatch.setattr(processes, "_LET_GO_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ServerError, match="another"):
        check_port(port, option="--bolt-port")
