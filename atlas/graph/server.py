"""A Neo4j server of one's own: started, watched and stopped without Docker or a system service.

    from atlas.graph.server import ManagedServer

    ManagedServer().ensure_running()

The server listens on the loopback interface only, keeps everything below ``<home>/neo4j``, and
outlives the process that started it. Two homes are two servers.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from atlas.errors import DatabaseError, ServerError
from atlas.graph.configure import (
    DATABASE,
    USERNAME,
    ServerSettings,
    choose_settings,
    ensure_user,
    port_is_free,
    read_password,
    read_settings,
    save_settings,
    write_configuration,
)
from atlas.graph.connection import ConnectionSettings, connect, is_final
from atlas.graph.jars import GDS_VERSION, NEO4J_VERSION, install
from atlas.graph.java import find_java
from atlas.graph.layout import ServerFolder
from atlas.graph.locks import file_lock
from atlas.graph.logs import tail
from atlas.graph.memory import check_memory, plan_memory
from atlas.graph.process import (
    check_port,
    crash_note,
    end,
    find_process,
    find_unrecorded,
    is_alive,
    java_command,
    launch,
)
from atlas.graph.staging import finish_move
from atlas.graph.status import ServerStatus, Versions, read_versions, usage
from atlas.paths import home_dir
from atlas.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psutil

START_SECONDS = 300.0
STOP_SECONDS = 120.0
_POLL_SECONDS = 0.5
_FAILURE_LINES = 15
# A server that has just opened its port may refuse for a moment what it accepts later.
_PATIENCE_SECONDS = 10.0
_REFUSED_SECONDS = 6.0


class ManagedServer:
    """The Neo4j server of one atlas.

    Parameters
    ----------
    home
        Folder of the atlas; `atlas.paths.home_dir` by default. The server is in ``<home>/neo4j``.
    """

    def __init__(self, home: str | Path | None = None) -> None:
        self.home = home_dir(home)
        self.folder = ServerFolder(self.home / "neo4j")

    def process(self) -> psutil.Process | None:
        """Return the server's process, or None if it does not run."""
        return find_process(self.folder)

    def start(
        self,
        *,
        memory: str | None = None,
        bolt_port: int | None = None,
        http_port: int | None = None,
        timeout: float = START_SECONDS,
        reporter: Reporter | None = None,
    ) -> ServerStatus:
        """Start the server if it does not run, and wait until it answers.

        Parameters
        ----------
        memory
            Memory for the server, such as ``"2g"`` (the default), remembered for later starts.
        bolt_port, http_port
            Ports instead of the remembered (at first: free) ones, remembered for later starts; 0
            chooses a free one.
        timeout
            Seconds to wait for the first answer.
        reporter
            Told about the download (first start of a user) and the wait.

        Raises
        ------
        ServerError
            A jar, Java, memory or a port is missing, or the server ended or does not answer; the
            message of the latter ends with the log's last lines.
        """
        reporter = reporter or SilentReporter()
        self.folder.make()
        with file_lock(self.folder.lock_file, what=f"the database in {self.home}"):
            process = self.process() or find_unrecorded(self.folder)
            if process is None or not self._found(process, timeout=timeout, reporter=reporter):
                settings = choose_settings(
                    self.folder, memory=memory, bolt_port=bolt_port, http_port=http_port
                )
                process = self._launch(settings, reporter)
                self._await(process, timeout=timeout, reporter=reporter)
            elif (memory, bolt_port, http_port) != (None, None, None):
                reporter.note("The database runs already; stop it to change memory or ports.")
        return self.status()

    def _found(self, process: psutil.Process, *, timeout: float, reporter: Reporter) -> bool:
        """Wait until a server that was found running answers; False where it was about to end.

        A killed server holds on for a moment: it is still seen, and does not answer any more.
        """
        try:
            self._await(process, timeout=timeout, reporter=reporter)
        except ServerError:
            if is_alive(process):
                raise
            return False
        return True

    def ensure_running(self, *, reporter: Reporter | None = None) -> ServerStatus:
        """Start the server unless it runs and answers; return its status."""
        status = self.status()
        return status if status.state == "running" else self.start(reporter=reporter)

    def stop(self, *, timeout: float = STOP_SECONDS, reporter: Reporter | None = None) -> bool:
        """Stop the server.

        Parameters
        ----------
        timeout
            Seconds it has to end by itself; then it is killed (nothing acknowledged is lost, the
            next start replays the transaction log).
        reporter
            Told if it has to be killed.

        Returns
        -------
        bool
            Whether a server was running.
        """
        if not self.folder.root.is_dir():
            return False
        with file_lock(self.folder.lock_file, what=f"the database in {self.home}"):
            return self._stop(timeout=timeout, reporter=reporter or SilentReporter())

    @contextmanager
    def stopped(self, *, reporter: Reporter | None = None) -> Iterator[None]:
        """Keep the server stopped for the block, then start it and wait until it answers.

        It is started if the block raises an `Exception` as well. Other commands that start, stop
        or reset wait for the end.
        """
        reporter = reporter or SilentReporter()
        self.folder.make()
        with file_lock(self.folder.lock_file, what=f"the database in {self.home}"):
            self._stop(timeout=STOP_SECONDS, reporter=reporter)
            try:
                yield
            except Exception:
                self._start_again(reporter)
                raise
            self._start_again(reporter)

    def _start_again(self, reporter: Reporter) -> None:
        process = self._launch(choose_settings(self.folder), reporter)
        self._await(process, timeout=START_SECONDS, reporter=reporter)

    def reset(self, *, reporter: Reporter | None = None) -> bool:
        """Delete all data of the database; settings, password and logs stay.

        A running server is stopped first and started again afterwards.

        Returns
        -------
        bool
            Whether there was data.
        """
        if not self.folder.root.is_dir():
            return False
        with file_lock(self.folder.lock_file, what=f"the database in {self.home}"):
            was_running = self._stop(timeout=STOP_SECONDS, reporter=reporter or SilentReporter())
            had_data = self.folder.remove_data()
        if was_running:
            self.start(reporter=reporter)
        return had_data

    def status(self) -> ServerStatus:
        """Return what is known of the server; one that runs is asked for its versions."""
        settings = read_settings(self.folder)
        process = self.process()
        versions, problem = None, None if process else crash_note(self.folder)
        if process:
            try:
                versions = self._ask()
            except DatabaseError as error:
                problem = str(error)
        resident, uptime = usage(process)
        password_file = self.folder.password_file
        return ServerStatus(
            state="stopped" if process is None else "running" if versions else "starting",
            problem=problem,
            home=str(self.folder.root),
            bolt=settings.bolt if settings else None,
            browser=settings.browser if settings else None,
            username=USERNAME,
            database=DATABASE,
            password_file=str(password_file) if password_file.exists() else None,
            memory=settings.memory if settings else None,
            pid=process.pid if process else None,
            resident_mib=resident,
            uptime_seconds=uptime,
            neo4j=versions.neo4j if versions else NEO4J_VERSION,
            gds=versions.gds if versions else GDS_VERSION,
            log=str(self.folder.log),
        )

    def log_lines(self, lines: int = 50, *, debug: bool = False) -> list[str]:
        """Return the last lines of the server's log, or of its detailed log.

        What the Java machine itself printed (why it did not start) comes last.
        """
        logged = tail(self.folder.debug_log if debug else self.folder.log, lines)
        printed = tail(self.folder.console_log, lines)
        return [line for line in (*logged, *printed) if line.strip()][-lines:]

    def connection(self, *, database: str | None = None) -> ConnectionSettings:
        """Return how to connect.

        Raises
        ------
        DatabaseError
            The server is not running.
        """
        settings = read_settings(self.folder)
        if settings is None or self.process() is None:
            raise DatabaseError(
                f"The database in {self.home} is not running.",
                hint="Start it with `atlas db start`, or set NEO4J_URI to use another.",
            )
        return self._connection(settings, database=database)

    def _connection(
        self, settings: ServerSettings, *, database: str | None = None
    ) -> ConnectionSettings:
        return ConnectionSettings(
            uri=settings.bolt,
            username=USERNAME,
            password=read_password(self.folder),
            database=database or DATABASE,
            source="managed server",
        )

    def _launch(self, settings: ServerSettings, reporter: Reporter) -> psutil.Process:
        """Check all that a start needs, then start the process."""
        if crash := crash_note(self.folder):
            reporter.note(crash)
        java = find_java()
        plan = plan_memory(settings.memory)
        check_memory(plan)
        check_port(settings.bolt_port, option="--bolt-port")
        check_port(settings.http_port, option="--http-port")
        installed = install(reporter=reporter)
        if finish_move(self.folder):
            reporter.note("The import that was interrupted is now in its place.")
        ensure_user(self.folder)
        write_configuration(self.folder, installed, settings, plan=plan)
        command = java_command(java, self.folder, installed, plan=plan)
        save_settings(self.folder, settings)
        return launch(command, self.folder)

    def _await(self, process: psutil.Process, *, timeout: float, reporter: Reporter) -> None:
        """Wait until the server answers with its versions."""
        begun = time.monotonic()
        refusal: tuple[float, DatabaseError] | None = None
        with reporter.step("Starting Neo4j") as advance:
            while True:
                try:
                    self._ask()
                    break
                except DatabaseError as error:
                    now = time.monotonic()
                    refusal = (refusal or (now, error)) if is_final(error) else None
                if not is_alive(process):
                    raise self._failure("The database ended while it started.")
                if refusal and now - refusal[0] > _PATIENCE_SECONDS:
                    raise ServerError(f"The database runs, but cannot be used. {refusal[1]}")
                if now - begun > timeout:
                    raise self._failure(
                        f"The database (process {process.pid}) does not answer after "
                        f"{timeout:.0f} seconds; `atlas db start` waits on."
                    )
                # Asked often with a wrong password, the server would lock its user out.
                time.sleep(_REFUSED_SECONDS if refusal else _POLL_SECONDS)
            advance(1, 1)

    def _failure(self, what: str) -> ServerError:
        lines = self.log_lines(_FAILURE_LINES)
        shown = "\n".join(f"  {line}" for line in lines) if lines else "  (it is empty)"
        return ServerError(f"{what} The last lines of its log, {self.folder.log}:\n{shown}")

    def _ask(self) -> Versions:
        """Return the versions of the server; a `DatabaseError` if it does not answer."""
        settings = read_settings(self.folder)
        if settings is None or port_is_free(settings.bolt_port):
            raise DatabaseError("It does not listen at its port yet.")
        with connect(self._connection(settings)) as driver:
            return read_versions(driver, DATABASE)

    def _stop(self, *, timeout: float, reporter: Reporter) -> bool:
        process = self.process() or find_unrecorded(self.folder)
        if process is not None and not end(process, timeout=timeout):
            reporter.note(f"The database did not stop in {timeout:.0f} seconds and was killed.")
        self.folder.process_file.unlink(missing_ok=True)
        return process is not None
