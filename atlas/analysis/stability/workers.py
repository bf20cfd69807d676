"""Runs tasks on fold counts in processes; the results do not depend on how many there are."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from atlas.analysis.stability.folds import FoldCounts

Task = TypeVar("Task")
Answer = TypeVar("Answer")

_counts: FoldCounts | None = None


class Workers:
    """Applies functions of (counts, task) to tasks, and gives the answers in their order.

    Parameters
    ----------
    counts
        Sent to each process once.
    pool
        None runs in this process.
    """

    def __init__(self, counts: FoldCounts, pool: ProcessPoolExecutor | None) -> None:
        self.counts = counts
        self._pool = pool

    def map(
        self, function: Callable[[FoldCounts, Task], Answer], tasks: Iterable[Task]
    ) -> Iterator[Answer]:
        """Yield ``function(counts, task)`` of every task, in order."""
        if self._pool is None:
            for task in tasks:
                yield function(self.counts, task)
            return
        try:
            yield from self._pool.map(_call, ((function, task) for task in tasks))
        except BrokenProcessPool as error:
            raise AtlasError(
                "A process that clusters resampled documents ended before its time.",
                hint="Where a script starts it, the script needs `if __name__ == '__main__':`; "
                "or too little memory is left: give workers=1.",
            ) from error


@contextmanager
def workers(counts: FoldCounts, number: int | None) -> Iterator[Workers]:
    """Open `number` processes (as many as there are cores where None); 1 needs none."""
    number = number or usable_cores()
    if number == 1:
        yield Workers(counts, None)
        return
    # Spawned, not forked: a fork copies the locks of other threads in whatever state they are.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(number, context, initializer=_keep, initargs=(counts,)) as pool:
        try:
            yield Workers(counts, pool)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _keep(counts: FoldCounts) -> None:
    global _counts  # noqa: PLW0603
    _counts = counts


def _call(job: tuple[Callable[[Any, Any], Any], Any]) -> Any:
    function, task = job
    return function(_counts, task)
