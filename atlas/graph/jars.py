"""The jars of the managed Neo4j server: what they are, and how they get into the user's cache.

The lock file (package data) names every jar of one tested pair of Neo4j and Graph Data Science by
Maven coordinate, SHA-256 and size. Nothing is resolved at run time: jgo fetches exact coordinates,
each file is checked before it is moved to its place, and a jar that is there and right is kept.
That makes an interrupted download resume, and lets all atlases of a user share one copy.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from atlas.artifacts import file_sha256
from atlas.errors import ServerError
from atlas.graph.locks import file_lock
from atlas.paths import cache_dir
from atlas.progress import Advance, Reporter, SilentReporter

if TYPE_CHECKING:
    from collections.abc import Sequence

NEO4J_VERSION = "5.26.30"
GDS_VERSION = "2.13.9"
PAIR = f"neo4j-{NEO4J_VERSION}-gds-{GDS_VERSION}"

_THREADS = 8
_ATTEMPTS = 4
_TIMEOUT_SECONDS = 60

Folder = Literal["lib", "plugins"]


@dataclass(frozen=True)
class Jar:
    """One jar of the lock.

    Attributes
    ----------
    folder
        ``lib`` (Neo4j) or ``plugins`` (Graph Data Science).
    coordinate
        ``group:artifact:version`` or ``group:artifact:version:classifier``.
    sha256
        Lower-case hexadecimal digest of the file.
    size
        Bytes of the file.
    """

    folder: Folder
    coordinate: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        """Name of the file, ``artifact-version[-classifier].jar``."""
        return "-".join(self.coordinate.split(":")[1:]) + ".jar"

    def is_right(self, path: Path) -> bool:
        """Return whether `path` is this jar: it exists, with the locked size and digest."""
        try:
            if path.stat().st_size != self.size:
                return False
            return file_sha256(path) == self.sha256
        except OSError:
            return False


@dataclass(frozen=True)
class Distribution:
    """The installed pair of Neo4j and Graph Data Science.

    Attributes
    ----------
    root
        Versioned folder in the user's cache, holding ``lib`` and ``plugins``.
    """

    root: Path

    @property
    def lib(self) -> Path:
        """Folder of Neo4j's jars."""
        return self.root / "lib"

    @property
    def plugins(self) -> Path:
        """Folder of the Graph Data Science jars."""
        return self.root / "plugins"

    def path(self, jar: Jar) -> Path:
        """Return where `jar` belongs."""
        return self.root / jar.folder / jar.file_name


@cache
def read_lock() -> tuple[Jar, ...]:
    """Return the jars of the pair, in the order of the lock file."""
    text = files("atlas").joinpath("data", f"{PAIR}.lock.json").read_text(encoding="utf-8")
    lock = json.loads(text)
    folders: tuple[Folder, ...] = ("lib", "plugins")
    return tuple(
        Jar(folder, row["coordinate"], row["sha256"], row["bytes"])
        for folder in folders
        for row in lock[folder]
    )


def distribution() -> Distribution:
    """Return where the pair is, or will be, installed (nothing is created here)."""
    return Distribution(cache_dir() / PAIR)


def missing_jars(
    installed: Distribution, jars: Sequence[Jar] | None = None, *, by_size: bool = False
) -> list[Jar]:
    """Return the jars of the lock that are absent from `installed`, or altered there.

    Parameters
    ----------
    installed
        The folder to check.
    jars
        The jars to look for; all jars of the lock by default.
    by_size
        Compare sizes only, without reading the files.
    """
    wanted = read_lock() if jars is None else jars
    if by_size:
        return [jar for jar in wanted if _size(installed.path(jar)) != jar.size]
    # Hashing releases the GIL, so threads use the cores there are.
    with ThreadPoolExecutor(max_workers=min(_THREADS, os.cpu_count() or 1)) as pool:
        right = pool.map(lambda jar: jar.is_right(installed.path(jar)), wanted)
        return [jar for jar, ok in zip(wanted, right, strict=True) if not ok]


def install(
    *,
    jars: Sequence[Jar] | None = None,
    into: Distribution | None = None,
    reporter: Reporter | None = None,
) -> Distribution:
    """Make the pair complete and verified in the user's cache, and return it.

    Jars that are there with the right SHA-256 are kept, others are downloaded (158 MB in all,
    8 at a time) and checked. Files that the lock does not name are removed, because all of the
    two folders is on the server's class path. Two processes at once wait for each other.

    Parameters
    ----------
    jars
        What to install; all jars of the lock by default.
    into
        Where to; `distribution()` by default.
    reporter
        Told about the download.

    Raises
    ------
    ServerError
        The downloader is not installed, a jar cannot be fetched, or has another SHA-256.
    """
    reporter = reporter or SilentReporter()
    wanted = tuple(read_lock() if jars is None else jars)
    target = into or distribution()
    for folder in ("lib", "plugins"):
        _make_folder(target.root / folder)
    with file_lock(target.root / ".lock", what="the download of the database"):
        _remove_strays(target, wanted)
        missing = missing_jars(target, wanted)
        if missing:
            _download_all(missing, target, reporter=reporter)
    return target


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServerError(
            f"The cache folder {folder} cannot be made: {error.strerror}.",
            hint="Set ATLAS_CACHE to a folder that can be written.",
        ) from error


def _remove_strays(target: Distribution, jars: Sequence[Jar]) -> None:
    wanted = {target.path(jar) for jar in jars}
    for folder in (target.lib, target.plugins):
        for path in folder.iterdir():
            if path not in wanted:
                path.unlink()


def _download_all(missing: Sequence[Jar], target: Distribution, *, reporter: Reporter) -> None:
    megabytes = sum(jar.size for jar in missing) / 1e6
    title = f"Downloading Neo4j {NEO4J_VERSION} and GDS {GDS_VERSION} ({megabytes:.0f} MB)"
    staging = target.root / ".download"
    # What an interrupted download left here is incomplete; jgo would take it as complete.
    shutil.rmtree(staging, ignore_errors=True)
    pool = ThreadPoolExecutor(max_workers=_THREADS)
    try:
        with reporter.step(title, total=len(missing)) as advance:
            jobs = [pool.submit(_download, jar, target, staging) for jar in missing]
            _wait_for(jobs, advance)
    finally:
        # The threads end before the staging folder goes, and queued jars are not begun.
        pool.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(staging, ignore_errors=True)


def _wait_for(jobs: Sequence[Future[None]], advance: Advance) -> None:
    pending: set[Future[None]] = set(jobs)
    while pending:
        done, pending = wait(pending, timeout=0.5, return_when=FIRST_EXCEPTION)
        for job in done:
            job.result()
        advance(len(jobs) - len(pending))


def _download(jar: Jar, target: Distribution, staging: Path) -> None:
    """Fetch one jar into `staging`, check it, and move it to its place."""
    failure = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(2.0**attempt)
        try:
            fetched = _fetch(jar, staging / f"{jar.file_name}.{attempt}")
        except ServerError:
            raise
        except Exception as error:  # noqa: BLE001  (jgo raises whatever its HTTP library raises)
            failure = type(error).__name__
            continue
        if jar.is_right(fetched):
            fetched.replace(target.path(jar))
            return
        failure = f"its SHA-256 is {file_sha256(fetched)}, the lock says {jar.sha256}"
    raise ServerError(
        f"The jar {jar.coordinate} could not be downloaded in {_ATTEMPTS} attempts ({failure}).",
        hint="Check the network, then run the same command again: what is there is kept.",
    )


def _fetch(jar: Jar, repository: Path) -> Path:
    """Download `jar` with jgo into the fresh Maven repository folder `repository`."""
    try:
        from jgo.maven import MavenContext
    except ImportError as error:
        raise ServerError(
            "The managed database needs the package jgo, which is not installed.",
            hint="Install it with: pip install 'sae-feature-atlas[server]'.",
        ) from error
    group, artifact, version, *classifier = jar.coordinate.split(":")
    mirror = os.environ.get("ATLAS_MAVEN_MIRROR")
    context = MavenContext(
        repo_cache=repository,
        local_repos=[],
        remote_repos={"mirror": mirror.rstrip("/")} if mirror else None,
        timeout=_TIMEOUT_SECONDS,
    )
    component = context.project(group, artifact).at_version(version)
    return Path(component.artifact(classifier=classifier[0] if classifier else "").resolve())


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
