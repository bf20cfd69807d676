"""A lock between processes, kept by the operating system.

The lock goes with the process that holds it, however that ends, so none is ever stale. The file
stays: removing it would let two processes lock two files of one name.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from atlas.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POLL_SECONDS = 0.1


@contextmanager
def file_lock(path: Path, *, what: str, timeout: float = 900.0) -> Iterator[None]:
    """Hold an exclusive lock on the file `path` (made if absent) for the block.

    Parameters
    ----------
    path
        The lock file; its folder must exist.
    what
        What the lock guards, for the message of the error.
    timeout
        Seconds to wait for another process.

    Raises
    ------
    ServerError
        Another process held the lock for longer than `timeout`, the file cannot be written, or
        this system has no such locks.
    """
    with _open(path) as stream:
        deadline = time.monotonic() + timeout
        while not _try_lock(stream):
            if time.monotonic() > deadline:
                raise ServerError(
                    f"Another process has held {what} for {timeout:.0f} seconds ({path}).",
                    hint="Wait for it to end, or end it, and run the command again.",
                )
            time.sleep(_POLL_SECONDS)
        yield


def _open(path: Path) -> IO[str]:
    try:
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise ServerError(f"The file {path} cannot be written: {error.strerror}.") from error


def _try_lock(stream: IO[str]) -> bool:
    try:
        import fcntl
    except ImportError as error:
        raise ServerError(
            "The managed database runs on Linux and macOS only.",
            hint="Start one with `docker compose up` and set NEO4J_URI and NEO4J_PASSWORD.",
        ) from error
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
