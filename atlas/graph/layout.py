"""The folder of one managed server: where its files are, and how private ones are written."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from atlas.errors import ServerError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class ServerFolder:
    """Paths of one managed server, below ``<home>/neo4j``.

    Attributes
    ----------
    root
        The folder that Neo4j has as its home.
    """

    root: Path

    @property
    def data(self) -> Path:
        """Databases, transaction logs and users; the only folder that a reset empties."""
        return self.root / "data"

    @property
    def conf(self) -> Path:
        """Folder of ``neo4j.conf``, which is written anew at every start."""
        return self.root / "conf"

    @property
    def imports(self) -> Path:
        """The only folder that ``LOAD CSV`` may read."""
        return self.root / "import"

    @property
    def logs(self) -> Path:
        """Folder of the logs."""
        return self.root / "logs"

    @property
    def log(self) -> Path:
        """Neo4j's log for users, of the last start."""
        return self.logs / "neo4j.log"

    @property
    def debug_log(self) -> Path:
        """Neo4j's detailed log, of all starts."""
        return self.logs / "debug.log"

    @property
    def console_log(self) -> Path:
        """What the Java machine of the last start printed; mostly empty."""
        return self.logs / "console.log"

    @property
    def password_file(self) -> Path:
        """File (mode 0600) with the password of the user ``neo4j``."""
        return self.root / "password"

    @property
    def settings_file(self) -> Path:
        """JSON file with the ports and the memory."""
        return self.root / "settings.json"

    @property
    def process_file(self) -> Path:
        """JSON file that says which process is the server."""
        return self.root / "run" / "server.json"

    @property
    def lock_file(self) -> Path:
        """Lock of commands that start, stop or reset."""
        return self.root / ".lock"

    def make(self) -> None:
        """Make the folders that are missing; only their owner may enter.

        Raises
        ------
        ServerError
            They cannot be made.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name in ("conf", "data", "logs", "import", "run", "licenses"):
                (self.root / name).mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise ServerError(
                f"The database folder {self.root} cannot be made: {error.strerror}.",
                hint="Choose a folder that can be written with --home or ATLAS_HOME.",
            ) from error

    def has_data(self) -> bool:
        """Return whether a server has been started here since the last reset."""
        return (self.data / "databases").exists()

    def remove_data(self) -> bool:
        """Delete what the data folder holds, and return whether there was a database.

        The folder itself stays: it may be a link to another disk.
        """
        had_data = self.has_data()
        for path in self.data.iterdir() if self.data.is_dir() else ():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        return had_data


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all, readable by its owner only."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
