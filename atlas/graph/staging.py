"""A store made beside the one of a managed server, and put in its place when it is whole.

Everything happens in ``data/atlas-import``, on the disk of the server's data. The store that was
there is moved aside, the new one is moved in, and only then the old one goes. A file `moving`
says that the new store is whole and its move has begun: whoever starts the server next finishes
the move first. Without that file what lies there is an unfinished import, of no use.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from atlas.graph.configure import DATABASE
from atlas.graph.layout import ServerFolder, write_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PARTS = ("databases", "transactions")


@dataclass(frozen=True)
class Staging:
    """Where a store is made before it is moved to its place.

    Attributes
    ----------
    root
        The folder; Neo4j's import tool has it as its home.
    """

    root: Path

    @property
    def data(self) -> Path:
        """What the import tool takes for the server's data."""
        return self.root / "data"

    @property
    def conf(self) -> Path:
        """Folder of the import tool's ``neo4j.conf``."""
        return self.root / "conf"

    @property
    def csv(self) -> Path:
        """Folder for the files that are imported."""
        return self.root / "csv"

    @property
    def old(self) -> Path:
        """Where the store that was there is moved to."""
        return self.root / "old"

    @property
    def moving(self) -> Path:
        """File that says that the move has begun."""
        return self.root / "moving"


def staging_of(folder: ServerFolder) -> Staging:
    """Return the staging folder of a server (which need not exist)."""
    return Staging(folder.data / "atlas-import")


@contextmanager
def staging(folder: ServerFolder) -> Iterator[Staging]:
    """Make an empty staging folder for the block and remove it afterwards, however that ends.

    What an import that was killed left behind is removed first, its process included. A move that
    has begun stays, for the server's next start to finish.
    """
    made = staging_of(folder)
    _end_importers(made)
    if not made.moving.exists():
        shutil.rmtree(made.root, ignore_errors=True)
    try:
        for path in (made.root, made.data, made.conf, made.csv):
            path.mkdir(mode=0o700)
        yield made
    finally:
        if not made.moving.exists():
            shutil.rmtree(made.root, ignore_errors=True)


def put_in_place(folder: ServerFolder) -> None:
    """Put the staged store, which is whole, in the place of the server's; it must not run."""
    write_private(staging_of(folder).moving, "The new store is whole.\n")
    finish_move(folder)


def finish_move(folder: ServerFolder) -> bool:
    """Finish a move that has begun; return whether there was one. The server must not run."""
    staged = staging_of(folder)
    if not staged.moving.exists():
        return False
    for part in _PARTS:
        new, live = staged.data / part / DATABASE, folder.data / part / DATABASE
        if not new.exists():
            continue  # it is in its place
        if live.exists():
            (staged.old / part).mkdir(parents=True, exist_ok=True)
            live.replace(staged.old / part / DATABASE)
        live.parent.mkdir(parents=True, exist_ok=True)
        new.replace(live)
        _sync(live.parent)
    for path in (staged.old, staged.data, staged.conf, staged.csv):
        shutil.rmtree(path, ignore_errors=True)
    staged.moving.unlink()
    shutil.rmtree(staged.root, ignore_errors=True)
    return True


def _sync(folder: Path) -> None:
    """Make sure that a folder's entries are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _end_importers(staged: Staging) -> None:
    """End an import tool whose client was killed: it would write into what is removed."""
    mark = f"--report-file={staged.root}"
    for process in psutil.process_iter(["pid"]):
        try:
            if any(argument.startswith(mark) for argument in process.cmdline()):
                process.kill()
                process.wait(timeout=30)
        except psutil.Error:
            continue
