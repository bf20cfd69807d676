"""What this machine has of what the atlas needs, and how to cure what is missing."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from atlas.errors import AtlasError, DatabaseError
from atlas.graph.jars import GDS_VERSION, NEO4J_VERSION, distribution, missing_jars, read_lock
from atlas.graph.java import find_java
from atlas.graph.memory import DEFAULT_MEMORY, available_mib, plan_memory
from atlas.ownership import DISTRIBUTION, owners
from atlas.paths import cache_dir, home_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from atlas.graph.connection import ConnectionSettings

Level = Literal["ok", "note", "fail"]

_PYTHON = (3, 11)
_DISK_FAIL_GIB = 1.0
_DISK_NOTE_GIB = 5.0


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes
    ----------
    name
        What was looked at.
    level
        ``ok``; ``note`` (something is missing that not every command needs); ``fail``.
    found
        What was found.
    cure
        What to do; None where nothing is to be done.
    """

    name: str
    level: Level
    found: str
    cure: str | None = None


def examine(home: str | Path | None = None) -> list[Check]:
    """Look at Python, packages, Java, GPU, memory, disk and database; nothing is changed.

    Parameters
    ----------
    home
        Folder of the atlas; `atlas.paths.home_dir` by default.

    Returns
    -------
    list of Check
        In the order of the sentence above.
    """
    managed = not os.environ.get("NEO4J_URI")
    return [
        _python(),
        *_packages(),
        *(_managed_parts() if managed else ()),
        _gpu(),
        _memory(home, managed=managed),
        *_disk(home),
        *_database(home),
    ]


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] >= _PYTHON:
        return Check("Python", "ok", f"{version} ({sys.executable})")
    needed = ".".join(str(part) for part in _PYTHON)
    return Check("Python", "fail", version, f"Use Python {needed} or later.")


def _packages() -> Iterator[Check]:
    """Check that the three import packages are the atlas's own."""
    for name, owner in owners().items():
        title = f"package {name}"
        if owner.problem:
            yield Check(title, "fail", owner.problem, owner.cure)
        elif not owner.installed:
            yield Check(
                title,
                "note",
                f"{owner.location}, a source tree that is not installed",
                "Install it with `pip install -e .` in that folder.",
            )
        else:
            yield Check(title, "ok", f"{owner.location}, of {DISTRIBUTION} {owner.version}")


def _managed_parts() -> Iterator[Check]:
    try:
        java = find_java()
        yield Check("Java", "ok", f"{java.version} from {java.source} ({java.path})")
    except AtlasError as error:
        yield Check("Java", "fail", error.message, error.hint)
    missing = missing_jars(distribution())
    total = len(read_lock())
    root = distribution().root
    if not missing:
        yield Check("Neo4j and GDS jars", "ok", f"{total} of {total} are there and right ({root})")
    elif _has_downloader():
        megabytes = sum(jar.size for jar in missing) / 1e6
        yield Check(
            "Neo4j and GDS jars",
            "note",
            f"{len(missing)} of {total} are missing or altered in {root}",
            f"`atlas db start` downloads them ({megabytes:.0f} MB).",
        )
    else:
        yield Check(
            "Neo4j and GDS jars",
            "fail",
            f"{len(missing)} of {total} are missing, and so is their downloader jgo",
            f"Install it with `pip install '{DISTRIBUTION}[server]'`.",
        )


def _has_downloader() -> bool:
    from importlib.util import find_spec

    return find_spec("jgo") is not None


def _gpu() -> Check:
    try:
        import torch
    except ImportError:
        return Check(
            "GPU",
            "note",
            "PyTorch is not installed; only building an atlas from a model needs it",
            f"Install it with `pip install '{DISTRIBUTION}[lm]'`.",
        )
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        memory = device.total_memory / 1024**3
        return Check("GPU", "ok", f"{device.name}, {memory:.0f} GiB (PyTorch {torch.__version__})")
    if torch.backends.mps.is_available():
        return Check("GPU", "ok", f"Apple GPU (PyTorch {torch.__version__})")
    return Check(
        "GPU",
        "note",
        f"none that PyTorch {torch.__version__} can use; the model runs on the CPU",
        "For large corpora install a PyTorch built for the GPU of a machine that has one.",
    )


def _memory(home: str | Path | None, *, managed: bool) -> Check:
    from atlas.graph.configure import read_settings
    from atlas.graph.server import ManagedServer

    available = available_mib()
    server = ManagedServer(home)
    try:
        settings = read_settings(server.folder)
        plan = plan_memory(settings.memory if settings else DEFAULT_MEMORY)
    except AtlasError as error:
        return Check("memory", "fail", error.message, error.hint)
    if not managed or server.process() is not None:
        return Check("memory", "ok", f"{available} MiB available")
    if available >= plan.total:
        return Check(
            "memory", "ok", f"{available} MiB available, {plan.total} MiB for the database"
        )
    return Check(
        "memory",
        "fail",
        f"{available} MiB available, {plan.total} MiB wanted for the database",
        "Free memory, or start the database smaller: `atlas db start --memory 1g`.",
    )


def _disk(home: str | Path | None) -> Iterator[Check]:
    for name, folder in (("home", home_dir(home)), ("cache", cache_dir())):
        existing = folder
        while not existing.exists():
            existing = existing.parent
        free = shutil.disk_usage(existing).free / 1024**3
        level: Level = "ok"
        if free < _DISK_NOTE_GIB:
            level = "fail" if free < _DISK_FAIL_GIB else "note"
        elif not os.access(existing, os.W_OK):
            level = "fail"
        variable = "ATLAS_HOME" if name == "home" else "ATLAS_CACHE"
        cure = f"Free space, or set {variable} to a folder that can be written, on another disk."
        yield Check(
            f"disk of the {name}",
            level,
            f"{free:.1f} GiB free for {folder}",
            None if level == "ok" else cure,
        )


def _database(home: str | Path | None) -> Iterator[Check]:
    from atlas.graph.connection import connect, resolve_connection
    from atlas.graph.status import read_versions

    try:
        settings = resolve_connection(home=home)
    except DatabaseError as error:
        # A managed server that is stopped is no fault; a missing password is one.
        level: Level = "fail" if os.environ.get("NEO4J_URI") else "note"
        yield Check("database", level, error.message, error.hint)
        return
    except AtlasError as error:
        yield Check("database", "fail", error.message, error.hint)
        return
    try:
        with connect(settings) as driver:
            yield Check("database", "ok", f"{settings.uri} ({settings.source}) answers")
            versions = read_versions(driver, settings.database)
    except AtlasError as error:
        yield Check("database", "fail", error.message, error.hint)
        return
    yield _pair(settings, versions.neo4j, versions.gds)


def _pair(settings: ConnectionSettings, neo4j: str, gds: str) -> Check:
    found = f"Neo4j {neo4j} with GDS {gds}"
    if (neo4j, gds) == (NEO4J_VERSION, GDS_VERSION):
        return Check("Neo4j and GDS versions", "ok", f"{found}, the tested pair")
    cure = (
        "Restart it: `atlas db stop`, then `atlas db start`."
        if settings.source == "managed server"
        else f"The tested pair is Neo4j {NEO4J_VERSION} with GDS {GDS_VERSION}; use it in doubt."
    )
    return Check("Neo4j and GDS versions", "note", found, cure)
