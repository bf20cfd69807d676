"""The last lines of a log file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = 1 << 16


def tail(path: Path, lines: int) -> list[str]:
    """Return the last `lines` lines of `path`; an empty list where there is no such file.

    Only the end of the file is read, so a long log costs nothing.
    """
    if lines <= 0:
        return []
    try:
        with path.open("rb") as stream:
            position = stream.seek(0, 2)
            data = b""
            while position > 0 and data.count(b"\n") <= lines:
                step = min(_BLOCK, position)
                position -= step
                stream.seek(position)
                data = stream.read(step) + data
    except FileNotFoundError:
        return []
    return data.decode("utf-8", errors="replace").splitlines()[-lines:]
