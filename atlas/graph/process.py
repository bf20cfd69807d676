"""The server's process: how it is started, recognised later, and ended."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import psutil

from atlas.errors import ServerError
from atlas.graph.configure import port_is_free
from atlas.graph.layout import ServerFolder, write_private

if TYPE_CHECKING:
    from atlas.graph.jars import Distribution
    from atlas.graph.java import JavaRuntime
    from atlas.graph.memory import MemoryPlan

_JAVA_OPTIONS = (
    "-XX:+UseG1GC",
    "-XX:-OmitStackTraceInFastThrow",
    "-XX:+DisableExplicitGC",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
    "-Dlog4j2.disable.jmx=true",
    "-Dfile.encoding=UTF-8",
    "-Djava.awt.headless=true",
)
_MAIN_CLASS = "org.neo4j.server.CommunityEntryPoint"
_LET_GO_SECONDS = 15.0

# Servers that this Python process started: kept so that a dead one can be reaped, and so that
# the garbage collector does not complain about one that outlives this process on purpose.
_children: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class ProcessRecord:
    """Which process is the server."""

    pid: int


def java_command(
    java: JavaRuntime, folder: ServerFolder, installed: Distribution, *, plan: MemoryPlan
) -> list[str]:
    """Return the command line of the server.

    Heap sizes stand here because Neo4j's settings for them are read by its own launcher only.
    """
    return [
        str(java.path),
        *_JAVA_OPTIONS,
        f"-Xms{plan.heap}m",
        f"-Xmx{plan.heap}m",
        "-cp",
        class_path(installed),
        _MAIN_CLASS,
        f"--home-dir={folder.root}",
        f"--config-dir={folder.conf}",
    ]


def class_path(installed: Distribution) -> str:
    """Return the class path of all jars of the pair.

    Raises
    ------
    ServerError
        The cache's path holds the character that separates entries of a class path.
    """
    if os.pathsep in str(installed.root):
        raise ServerError(
            f"The cache folder {installed.root} has a {os.pathsep!r} in its path, "
            "which Java cannot have on a class path.",
            hint="Set ATLAS_CACHE to another folder.",
        )
    return os.pathsep.join((f"{installed.plugins}/*", f"{installed.lib}/*"))


def launch(command: list[str], folder: ServerFolder) -> psutil.Process:
    """Start the server detached from this terminal, record it, and return its process.

    Its log begins anew; that of the start before is kept, with ``previous-`` before its name.
    """
    # Settings for clients (a password among them) are none of the server's business.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NEO4J_")}
    environment |= {"NEO4J_HOME": str(folder.root), "NEO4J_CONF": str(folder.conf)}
    for log in (folder.console_log, folder.log):
        if log.exists():
            log.replace(log.with_name(f"previous-{log.name}"))
    with folder.console_log.open("wb") as output:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=folder.root,
                start_new_session=True,
            )
        except OSError as error:
            raise ServerError(
                f"Java could not be started ({command[0]}): {error.strerror}."
            ) from error
    _children.append(child)
    _record(folder, child.pid)
    return psutil.Process(child.pid)


def _record(folder: ServerFolder, pid: int) -> None:
    write_private(folder.process_file, json.dumps(asdict(ProcessRecord(pid))) + "\n")


def find_process(folder: ServerFolder) -> psutil.Process | None:
    """Return the running server of `folder`, or None.

    A recorded process counts only if its command line names the folder, so that another process
    which was given the same id later is never taken for the server. (When it started would not
    tell: that is computed from the clock, which may have been set since.)
    """
    _reap()
    record = read_record(folder)
    if record is None:
        return None
    try:
        process = psutil.Process(record.pid)
        alive = process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return process if alive and _is_server(process, folder) else None
    except psutil.Error:
        return None


def find_unrecorded(folder: ServerFolder) -> psutil.Process | None:
    """Return a server of `folder` that no record names (its file was lost), or None."""
    for process in psutil.process_iter(["pid", "status"]):
        try:
            if process.status() != psutil.STATUS_ZOMBIE and _is_server(process, folder):
                _record(folder, process.pid)
                return process
        except psutil.Error:
            continue
    return None


def read_record(folder: ServerFolder) -> ProcessRecord | None:
    """Return the recorded process; None where there is no record or it is damaged."""
    try:
        values = json.loads(folder.process_file.read_text(encoding="utf-8"))
        return ProcessRecord(int(values["pid"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def crash_note(folder: ServerFolder) -> str | None:
    """Return what is to be said of a server that does not run, yet was not stopped; else None."""
    record = read_record(folder)
    if record is None:
        return None
    return (
        f"The database (process {record.pid}) ended without being stopped. The next start "
        "recovers what was written; `atlas db logs` shows the end of its log."
    )


def end(process: psutil.Process, *, timeout: float) -> bool:
    """Ask `process` to end; after `timeout` seconds end it by force.

    Returns
    -------
    bool
        Whether it ended by itself.
    """
    try:
        process.terminate()
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not is_alive(process):
                return True
            time.sleep(0.1)
        process.kill()
        process.wait(timeout=30)
    except psutil.NoSuchProcess:
        return True
    return False


def is_alive(process: psutil.Process) -> bool:
    """Return whether `process` still runs (a child that ended is reaped)."""
    _reap()
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def check_port(port: int, *, option: str) -> None:
    """Raise `ServerError`, naming who has `port` and the option that changes it, if it is taken.

    A server that was killed is gone for all to see while its last threads still hold its ports;
    a port that nobody is seen to have is waited for.
    """
    deadline = time.monotonic() + _LET_GO_SECONDS
    while not port_is_free(port):
        holder = _who_listens(port)
        if holder is None and time.monotonic() < deadline:
            time.sleep(0.1)
            continue
        raise ServerError(
            f"Port {port}, which this database uses, is taken by {holder or 'another process'}.",
            hint=f"End that, or choose a free port with `atlas db start {option} 0`.",
        )


def _who_listens(port: int) -> str | None:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            local = connection.laddr
            if local and local.port == port and connection.status == psutil.CONN_LISTEN:
                if connection.pid is None:
                    break
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return None


def _is_server(process: psutil.Process, folder: ServerFolder) -> bool:
    try:
        return f"--home-dir={folder.root}" in process.cmdline()
    except psutil.AccessDenied:
        return False


def _reap() -> None:
    _children[:] = [child for child in _children if child.poll() is None]
