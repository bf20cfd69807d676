"""Runs the import tool of Neo4j, in the Java and with the jars of the managed server."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from atlas.errors import ServerError
from atlas.graph.configure import DATABASE
from atlas.graph.jars import install
from atlas.graph.java import find_java
from atlas.graph.process import class_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from atlas.graph.memory import MemoryPlan
    from atlas.graph.staging import Staging
    from atlas.progress import Reporter

_MAIN_CLASS = "org.neo4j.cli.AdminTool"
_LAST_LINES = 12


def import_csv(
    staged: Staging,
    *,
    nodes: Mapping[str, Sequence[Path]],
    relationships: Mapping[str, Sequence[Path]],
    array_delimiter: str,
    multiline: bool,
    memory: MemoryPlan,
    reporter: Reporter,
) -> None:
    """Make a store from CSV files in a staging folder.

    Parameters
    ----------
    staged
        Where; the store is then in its ``data``.
    nodes, relationships
        Label, or type, to its files; the first line of the first is the header.
    array_delimiter
        Character between the values of a list.
    multiline
        Whether texts may hold line ends, which takes longer to read.
    memory
        What the server is given; the import has as much.
    reporter
        Is told of the download of the jars, if they are not there yet.

    Raises
    ------
    ServerError
        The tool fails (a full disk, for example); the message ends with its last lines.
    """
    java, installed = find_java(), install(reporter=reporter)
    (staged.conf / "neo4j.conf").write_text(
        # Without it an empty store takes 517 MB.
        "db.tx_log.preallocate=false\ndbms.usage_report.enabled=false\n",
        encoding="utf-8",
    )
    command = [
        str(java.path),
        "-XX:+UseParallelGC",
        f"-Xmx{memory.heap}m",
        "-cp",
        class_path(installed),
        _MAIN_CLASS,
        *("database", "import", "full", DATABASE),
        *(f"--nodes={name}={_joined(files)}" for name, files in nodes.items()),
        *(f"--relationships={name}={_joined(files)}" for name, files in relationships.items()),
        "--id-type=integer",
        f"--array-delimiter=U+{ord(array_delimiter):04X}",
        f"--multiline-fields={str(multiline).lower()}",
        f"--max-off-heap-memory={memory.page_cache}m",
        "--bad-tolerance=0",
        f"--report-file={staged.root}/report",
    ]
    _run(command, staged)


def _joined(files: Sequence[Path]) -> str:
    return ",".join(str(path) for path in files)


def _run(command: list[str], staged: Staging) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NEO4J_")}
    environment |= {"NEO4J_HOME": str(staged.root), "NEO4J_CONF": str(staged.conf)}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=staged.root,
            check=False,
        )
    except OSError as error:
        raise ServerError(f"Java could not be started ({command[0]}): {error.strerror}.") from error
    if done.returncode:
        text = done.stdout.decode("utf-8", errors="replace")
        lines = [line.rstrip() for line in text.splitlines() if line.strip()]
        shown = "\n".join(f"  {line}" for line in lines[-_LAST_LINES:])
        raise ServerError(
            f"Neo4j's import tool failed (exit code {done.returncode}). Nothing was changed in"
            f" the database. Its last lines:\n{shown}"
        )
