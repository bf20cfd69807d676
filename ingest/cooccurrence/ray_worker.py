"""What runs in the processes of a Ray: counting a group of code shards, merging sums."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, is_dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.cooccurrence.counter import LocalCounter
from ingest.cooccurrence.index import build_index
from ingest.cooccurrence.parts import LocalParts
from ingest.cooccurrence.values import value_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.cooccurrence.index import Ranking
    from ingest.cooccurrence.parts import Pairs
    from ingest.cooccurrence.shards import CodeFiles
    from ingest.cooccurrence.sums import Marginals, ValueSums


def count_marginals(files: CodeFiles) -> Marginals:
    """Sum the per-feature quantities of some shards."""
    return LocalCounter(files.read, files.groups, block=files.block).marginals()


def merge(*parts: Any) -> Any:
    """Add partial results: sums, arrays, or tuples of them."""
    if isinstance(parts[0], tuple):
        return tuple(merge(*column) for column in zip(*parts, strict=True))
    return reduce(add, parts)


@dataclass(frozen=True)
class Task:
    """What indexes are made for: `key` names it, so that a worker knows one that it has."""

    key: str
    ranking: Ranking


class CountingWorker:
    """Counts one group of shards; lives in a process of its own.

    Parameters
    ----------
    files
        The shards.
    cpus
        Threads for this worker.
    scratch, prefix
        Folder for the index's files (None: the machine's temporary folder) and how their own
        folder's name begins.
    """

    def __init__(self, files: CodeFiles, cpus: int, *, scratch: Path | None, prefix: str) -> None:
        self._files = files
        self._cpus = cpus
        self._scratch = scratch
        self._prefix = prefix
        self._made: tuple[str, LocalParts] | None = None

    def _parts(self, task: Task, own: Marginals) -> LocalParts:
        if self._made is None or self._made[0] != task.key:
            self._made = None
            if self._scratch:
                self._scratch.mkdir(parents=True, exist_ok=True)
            # The files are mapped when the folder goes. They keep their space until this process
            # ends, however it ends, so that a killed worker leaves nothing behind.
            with tempfile.TemporaryDirectory(prefix=self._prefix, dir=self._scratch) as folder:
                index = build_index(
                    self._files.read(),
                    owned(task.ranking),
                    own=own,
                    scratch=Path(folder),
                )
            self._made = (task.key, LocalParts([index]))
        return self._made[1]

    def joint(
        self, task: Task, own: Marginals, *, first: int, last: int, width: int
    ) -> NDArray[np.int64]:
        """See `ingest.cooccurrence.parts.Parts.joint`."""
        return self._parts(task, own).joint(first, last, width=width)

    def topic(
        self,
        task: Task,
        own: Marginals,
        *,
        scales: tuple[NDArray[np.float64], NDArray[np.float64]],
        first: int,
        last: int,
        width: int,
    ) -> NDArray[np.float32]:
        """See `ingest.cooccurrence.parts.Parts.topic`; `scales` is (rate, scale)."""
        rate, scale = owned(scales)
        return self._parts(task, own).topic(first, last, width=width, rate=rate, scale=scale)

    def sums(
        self, task: Task, own: Marginals, *, pairs: Pairs, folds: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """See `ingest.cooccurrence.parts.Parts.sums`."""
        return self._parts(task, own).sums(owned(pairs), folds=folds)

    def values(self, *, pairs: tuple[NDArray[np.int32], NDArray[np.int32]]) -> ValueSums:
        """See `ingest.cooccurrence.counter.Counter.values`; `pairs` is (i, j)."""
        i, j = owned(pairs)
        d_sae = sum(self._files.groups)

        def count(files: CodeFiles) -> ValueSums:
            return value_sums(files.read(), i=i, j=j, d_sae=d_sae)

        with ThreadPoolExecutor(self._cpus) as pool:
            return reduce(add, pool.map(count, self._files.split(self._cpus)))


def owned(value: Any) -> Any:
    """Copy arrays out of Ray's shared memory.

    There they cannot be written to, for which numba would compile each kernel a second time, and
    they keep their room for as long as they live.
    """
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, tuple):
        return tuple(owned(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{f.name: owned(getattr(value, f.name)) for f in fields(value)})
    return value
