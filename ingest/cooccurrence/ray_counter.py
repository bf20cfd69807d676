"""Counting on Ray: a worker for each group of code shards, results merged as a tree of tasks.

Every sum is one over documents, so workers count their own shards and partial results add up. A
call to a worker carries all that its index is made from; a worker that is started again after its
process died builds the index anew, and Ray repeats the call.
"""

from __future__ import annotations

import shutil
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from ingest.cooccurrence.parts import Pairs
from ingest.cooccurrence.ray_cluster import LOCAL, RETRIES, connected, share, wait_for_room
from ingest.cooccurrence.ray_merge import Merging
from ingest.cooccurrence.ray_worker import CountingWorker, Task, count_marginals
from ingest.cooccurrence.sums import FLOAT_SUMS, INTEGER_SUMS, SUMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from ingest.cooccurrence.index import Ranking
    from ingest.cooccurrence.shards import CodeFiles
    from ingest.cooccurrence.sums import Marginals, ValueSums

#: Bytes of the sums of pairs that a worker returns at a time.
SUMS_BYTES = 32 << 20


@dataclass(frozen=True)
class _Crew:
    """The workers, each with its files."""

    files: Sequence[CodeFiles]
    workers: Sequence[Any]

    def ask(self, method: str, each: Sequence[tuple[Any, ...]], **shared: Any) -> Merging:
        """Call a method of every worker, with its own arguments and those for all."""
        calls = [
            getattr(worker, method).remote(*own, **shared)
            for worker, own in zip(self.workers, each, strict=True)
        ]
        return Merging.of(list(zip(self.files, calls, strict=True)))


class RayParts:
    """Parts of a corpus in the workers of a Ray; see `ingest.cooccurrence.parts.Parts`.

    Parameters
    ----------
    crew
        The workers.
    own
        References of each worker's own marginals.
    ranking
        Ranks and candidates.
    """

    def __init__(self, crew: _Crew, own: Sequence[Any], *, ranking: Ranking) -> None:
        import ray

        self._crew = crew
        task = ray.put(Task(uuid4().hex, ranking))
        self._each = [(task, mine) for mine in own]
        self._scales: tuple[Any, Any] | None = None

    def joint(self, first: int, last: int, *, width: int) -> NDArray[np.int64]:
        """See `Parts.joint`."""
        counted: NDArray[np.int64] = self._crew.ask(
            "joint", self._each, first=first, last=last, width=width
        ).get()
        return counted

    def topic(
        self,
        first: int,
        last: int,
        *,
        width: int,
        rate: NDArray[np.float64],
        scale: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """See `Parts.topic`."""
        scales = self._put_scales(rate, scale)
        summed: NDArray[np.float32] = self._crew.ask(
            "topic", self._each, scales=scales, first=first, last=last, width=width
        ).get()
        return summed

    def _put_scales(self, rate: NDArray[np.float64], scale: NDArray[np.float64]) -> Any:
        """Put rates and scales into the object store, once for all panels."""
        import ray

        if self._scales is None or not all(map(np.array_equal, self._scales[0], (rate, scale))):
            self._scales = ((rate, scale), ray.put((rate, scale)))
        return self._scales[1]

    def sums(
        self, pairs: Pairs, *, folds: int = 1
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """See `Parts.sums`."""
        import ray

        integers = np.zeros((len(INTEGER_SUMS), folds, len(pairs.kept)), np.int64)
        floats = np.zeros((len(FLOAT_SUMS), folds, len(pairs.kept)), np.float64)
        waiting: deque[tuple[slice, Merging]] = deque()

        def store() -> None:
            place, merging = waiting.popleft()
            integers[:, :, place], floats[:, :, place] = merging.get()

        for place, piece in _pieces(pairs, SUMS_BYTES // (8 * len(SUMS) * folds)):
            waiting.append(
                (place, self._crew.ask("sums", self._each, pairs=ray.put(piece), folds=folds))
            )
            if len(waiting) > 2:  # the workers count one piece while another is fetched
                store()
        while waiting:
            store()
        return integers, floats


def _pieces(pairs: Pairs, size: int) -> Iterator[tuple[slice, Pairs]]:
    """Cut pairs between columns into pieces of at most `size`, unless one column has more."""
    first, pointer = 0, pairs.pointer
    while first < len(pointer) - 1:
        last = int(np.searchsorted(pointer, pointer[first] + size, side="right")) - 1
        last = max(first + 1, last)
        place = slice(int(pointer[first]), int(pointer[last]))
        if place.stop > place.start:
            columns = pointer[first : last + 1] - place.start
            yield place, Pairs(pairs.first + first, columns, pairs.kept[place])
        first = last


class RayCounter:
    """Counts code shards on Ray; see `ingest.cooccurrence.counter.Counter`.

    A context manager: inside, a Ray is there (see `ingest.cooccurrence.ray_cluster.connected`)
    and its workers keep their indexes; at the end they are gone, and so is a Ray that was started
    for them. Integers equal those of `LocalCounter`; floats do to rounding.

    Parameters
    ----------
    files
        The code shards, under paths that every machine of the cluster sees.
    address
        ``local``, or the address of a cluster.
    workers
        Workers, each with a group of shards; by default one a machine and at least two.
    cpus
        CPUs of each worker; by default an equal share.
    scratch
        Folder for the indexes, on each worker's machine; None takes its temporary folder.
    """

    def __init__(
        self,
        files: CodeFiles,
        address: str = LOCAL,
        *,
        workers: int | None = None,
        cpus: int | None = None,
        scratch: Path | None = None,
    ) -> None:
        if not files.shards:
            raise ValueError("there are no shards to count")
        self.groups = files.groups
        self._files = files
        self._address = address
        self._wanted = (workers, cpus)
        self._scratch = scratch
        self._prefix = f"index-{uuid4().hex[:12]}-"
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start or join the Ray."""
        workers, cpus = self._wanted
        with ExitStack() as stack:
            machines = stack.enter_context(connected(self._address, workers=workers or 2))
            number, self._cpus = share(
                machines, shards=len(self._files.shards), workers=workers, cpus=cpus
            )
            wait_for_room(number * self._cpus)
            stack.callback(self._clear)
            self._stack = stack.pop_all()
        self._groups_of_files = self._files.split(number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the workers, and the Ray where it was started here."""
        self._stack.close()

    def _clear(self) -> None:
        """Remove what workers left that were killed while they built their index."""
        if self._scratch:
            for folder in self._scratch.glob(f"{self._prefix}*"):
                shutil.rmtree(folder, ignore_errors=True)

    @cached_property
    def _own(self) -> list[Merging]:
        """Marginals of each worker's shards, counted by as many tasks as the worker has CPUs."""
        import ray

        counting = ray.remote(count_marginals).options(
            num_cpus=1, max_retries=RETRIES, scheduling_strategy="SPREAD"
        )
        return [
            Merging.of([(part, counting.remote(part)) for part in files.split(self._cpus)])
            for files in self._groups_of_files
        ]

    @cached_property
    def _crew(self) -> _Crew:
        """Start the workers; no task that needs a CPU can run from here on."""
        import ray

        self.marginals()
        threads = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        worker = ray.remote(CountingWorker).options(
            num_cpus=self._cpus,
            max_restarts=RETRIES,
            max_task_retries=RETRIES,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": dict.fromkeys(threads, str(self._cpus))},
        )
        workers = []
        for files in self._groups_of_files:
            started = worker.remote(files, self._cpus, scratch=self._scratch, prefix=self._prefix)
            self._stack.callback(ray.kill, started)
            workers.append(started)
        return _Crew(self._groups_of_files, workers)

    def marginals(self) -> Marginals:
        """See `Counter.marginals`."""
        return self._marginals

    @cached_property
    def _marginals(self) -> Marginals:
        leaves = [leaf for merging in self._own for leaf in merging.leaves]
        top = Merging.of([(m.leaves[0][0], m.result) for m in self._own])
        counted: Marginals = replace(top, leaves=leaves).get()
        return counted

    def parts(self, ranking: Ranking) -> RayParts:
        """See `Counter.parts`."""
        return RayParts(self._crew, [m.result for m in self._own], ranking=ranking)

    def values(self, i: NDArray[np.int32], j: NDArray[np.int32]) -> ValueSums:
        """See `Counter.values`."""
        import ray

        pairs = ray.put((i, j))
        counted: ValueSums = self._crew.ask(
            "values", [() for _ in self._crew.workers], pairs=pairs
        ).get()
        return counted
