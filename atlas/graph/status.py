"""What is known of a managed server, and of the versions of any server."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from atlas.errors import DatabaseError

if TYPE_CHECKING:
    import psutil
    from neo4j import Driver


@dataclass(frozen=True)
class ServerStatus:
    """What is known of a managed server.

    Attributes
    ----------
    state
        ``stopped``, ``starting`` (its process runs, it does not answer yet) or ``running``.
    problem
        Why a server whose process runs does not answer, or that one ended without being stopped;
        None if all is well.
    home
        Folder of the server.
    bolt, browser
        Addresses for drivers and for a web browser; None before the first start.
    username, database
        User and database to connect as and to.
    password_file
        File with the password; None before the first start.
    memory
        Memory the server is given, such as ``2g``; None before the first start.
    pid
        Process id, None if stopped.
    resident_mib
        Memory that the process takes now, None if stopped.
    uptime_seconds
        Age of the process, None if stopped.
    neo4j, gds
        Versions: of the running server if it answers, else of the pair that would be started.
    log
        Neo4j's log.
    """

    state: str
    problem: str | None
    home: str
    bolt: str | None
    browser: str | None
    username: str
    database: str
    password_file: str | None
    memory: str | None
    pid: int | None
    resident_mib: int | None
    uptime_seconds: float | None
    neo4j: str
    gds: str
    log: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Versions:
    """Versions of a server's Neo4j and Graph Data Science, and Neo4j's edition."""

    neo4j: str
    edition: str
    gds: str


def read_versions(driver: Driver, database: str) -> Versions:
    """Ask a server for its versions.

    Raises
    ------
    DatabaseError
        The server does not answer, or has no Graph Data Science.
    """
    from neo4j.exceptions import ClientError, DriverError, Neo4jError

    try:
        records, _, _ = driver.execute_query(
            "CALL dbms.components() YIELD name, versions, edition WHERE name = 'Neo4j Kernel' "
            "RETURN versions[0] AS neo4j, edition AS edition",
            database_=database,
        )
        kernel = records[0]
        records, _, _ = driver.execute_query("RETURN gds.version() AS gds", database_=database)
    except ClientError as error:
        if "Statement" not in (error.code or ""):
            raise DatabaseError(f"The server answers with an error: {error.message}.") from error
        raise DatabaseError(
            "The server lacks the plugin Graph Data Science.",
            hint="Install the plugin that fits its Neo4j, or use `atlas db start`.",
        ) from error
    except (DriverError, Neo4jError) as error:
        raise DatabaseError(f"The server does not answer: {error}.") from error
    return Versions(kernel["neo4j"], kernel["edition"], records[0]["gds"])


def usage(process: psutil.Process | None) -> tuple[int | None, float | None]:
    """Return resident MiB and age in seconds of `process`; None where there is none."""
    import psutil

    if process is None:
        return None, None
    try:
        age = max(0.0, time.time() - process.create_time())
        return process.memory_info().rss // 1024**2, round(age, 1)
    except psutil.Error:
        return None, None
