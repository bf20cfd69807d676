"""Firings sorted into one temporary file a shard, so that no table is ever held whole.

A table may give its rows in any order. Each firing goes to the file of the shard that its
document belongs to; a shard's file is then small enough to be sorted in memory.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import ArtifactError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

RECORD = np.dtype(
    [
        ("document", "<i4"),
        ("position", "<i4"),
        ("feature", "<i4"),
        ("value", "<f4"),
        ("token", "<i4"),
    ]
)
"""A firing in a temporary file: 20 bytes."""


class Buckets:
    """Temporary files of firings, removed when the context closes.

    Parameters
    ----------
    folder
        Made anew; what lies there is removed.
    documents
        Number of documents.
    shard_documents
        Documents a shard.

    Attributes
    ----------
    firings
        int64 ``[documents]``: firings of each document so far.
    last
        int64 ``[documents]``: largest position with a firing, -1 without one.
    """

    def __init__(self, folder: Path, *, documents: int, shard_documents: int) -> None:
        self.folder = folder
        self.shard_documents = shard_documents
        self.firings = np.zeros(documents, np.int64)
        self.last = np.full(documents, -1, np.int64)

    def __enter__(self) -> Buckets:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, records: NDArray[np.void]) -> None:
        """Append firings (dtype `RECORD`) to the files of their shards."""
        document = records["document"]
        self.firings += np.bincount(document, minlength=len(self.firings))
        np.maximum.at(self.last, document, records["position"])
        shard = document // self.shard_documents
        order = np.argsort(shard, kind="stable")
        numbers, starts = np.unique(shard[order], return_index=True)
        bounds = np.append(starts, len(order))
        for number, start, stop in zip(numbers, bounds[:-1], bounds[1:], strict=True):
            self._append(int(number), records[order[start:stop]])

    def _append(self, number: int, records: NDArray[np.void]) -> None:
        try:
            with self._path(number).open("ab") as handle:
                handle.write(records.tobytes())
        except OSError as error:
            raise ArtifactError(
                f"Temporary file {self._path(number)} cannot be written: {error}.",
                hint=f"{RECORD.itemsize} bytes of disk are needed for each firing.",
            ) from error

    def read(self, number: int) -> NDArray[np.void]:
        """Return the firings of a shard, in the order in which they came."""
        path = self._path(number)
        return np.fromfile(path, RECORD) if path.is_file() else np.zeros(0, RECORD)

    def _path(self, number: int) -> Path:
        return self.folder / f"bucket-{number:05d}.bin"
