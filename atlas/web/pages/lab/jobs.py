"""Work that takes longer than an answer may: one job at a time, in a thread of its own.

The model is one and is not made for several at once, so jobs wait for each other. What they found
is kept as long as the server runs, the last few of them.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from atlas.errors import AtlasError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from atlas.progress import Advance

    Work = Callable[["Progress"], Any]

State = Literal["waiting", "running", "done", "failed", "cancelled"]
_OVER = ("done", "failed", "cancelled")
#: A step that writes to the graph begins so; ended half way, it would leave half of a run there.
_WRITES = "loading "
_LOG = logging.getLogger(__name__)


class CancelledError(Exception):
    """Somebody no longer wants what a job would find."""


@dataclass(frozen=True)
class Job:
    """A job as it is at one moment.

    Attributes
    ----------
    id
        Not to be guessed; part of addresses.
    title
        What it does.
    asked
        What it was asked, as plain values.
    state
        Where it is.
    step, done, total
        What it is doing, and how far that is, in the step's own units.
    notes
        What it said on the way.
    result
        What it found, once it is done.
    error
        Why it failed, if it did.
    seconds
        How long it ran.
    stopping
        Whether it is cancelled, and ends at its next step.
    """

    id: str
    title: str
    asked: Mapping[str, Any] = field(default_factory=dict)
    state: State = "waiting"
    step: str = ""
    done: float = 0.0
    total: float | None = None
    notes: tuple[str, ...] = ()
    result: Any = field(default=None, repr=False)
    error: AtlasError | None = None
    seconds: float = 0.0
    stopping: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in _OVER


class Jobs:
    """A queue of jobs, and the thread that does them one after the other.

    Parameters
    ----------
    waiting
        Most jobs that wait; a further one is refused.
    kept
        Most jobs that are remembered once they are over.
    """

    def __init__(self, *, waiting: int = 8, kept: int = 40) -> None:
        self.waiting, self.kept = waiting, kept
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._queue: deque[tuple[str, Work]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, title: str, work: Work, asked: Mapping[str, Any] | None = None) -> Job:
        """Have something done; raises `UsageError` where too many jobs wait.

        Parameters
        ----------
        title
            What it is.
        work
            Takes its `Progress`, which it tells of its steps, and returns what it found.
        asked
            What it was asked, to be shown with what it found.
        """
        job = Job(secrets.token_hex(8), title, dict(asked or {}))
        with self._changed:
            if len(self._queue) >= self.waiting:
                raise UsageError(
                    f"{len(self._queue)} experiments wait already, the most allowed.",
                    hint="Wait until one of them is done, or cancel one.",
                )
            self._jobs[job.id] = job
            self._queue.append((job.id, work))
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="lab", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return job

    def get(self, key: str) -> Job:
        """Return a job as it is now; raises `NotFoundError` where it is not remembered."""
        with self._changed:
            found = self._jobs.get(key)
        if found is None:
            raise NotFoundError(
                f"There is no job {key!r}.",
                hint="Results are kept while the explorer runs; run it again, or look in Runs.",
            )
        return found

    def recent(self) -> list[Job]:
        """Return the jobs that are remembered, newest first."""
        with self._changed:
            return list(reversed(self._jobs.values()))

    def before(self, key: str) -> int:
        """Return how many jobs a waiting one waits for."""
        with self._changed:
            places = [job for job, _ in self._queue]
            running = sum(job.state == "running" for job in self._jobs.values())
        return running + places.index(key) if key in places else 0

    def cancel(self, key: str) -> None:
        """Take a job out of the queue, or stop it at its next step; one that is over stays."""
        with self._changed:
            job = self._jobs.get(key)
            if job is None or job.over:
                return
            if job.state == "waiting":
                self._queue = deque(item for item in self._queue if item[0] != key)
                self._jobs[key] = replace(job, state="cancelled")
                self._changed.notify_all()
            else:
                self._jobs[key] = replace(job, stopping=True)

    def wait(self, key: str, seconds: float) -> Job:
        """Return a job once it is over, or as it is after some seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs[key].over, timeout=seconds)
            return self._jobs[key]

    def change(self, key: str, **values: Any) -> None:
        """Set what is known of a job."""
        with self._changed:
            self._jobs[key] = replace(self._jobs[key], **values)
            self._changed.notify_all()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue)
                key, work = self._queue.popleft()
                self._jobs[key] = replace(self._jobs[key], state="running")
            began = time.monotonic()
            ended = self._run(key, work)
            with self._changed:
                took = time.monotonic() - began
                self._jobs[key] = replace(self._jobs[key], seconds=took, stopping=False, **ended)
                self._forget()
                self._changed.notify_all()

    def _run(self, key: str, work: Work) -> dict[str, Any]:
        try:
            return {"state": "done", "result": work(Progress(self, key))}
        except CancelledError:
            return {"state": "cancelled"}
        except AtlasError as error:
            return {"state": "failed", "error": error}
        except Exception as error:  # noqa: BLE001 (a job that fails must not end the thread)
            _LOG.exception("A job of the Lab failed")
            said = str(error).strip().splitlines() or [""]
            return {
                "state": "failed",
                "error": AtlasError(f"It failed: {type(error).__name__}: {said[0]}"),
            }

    def _forget(self) -> None:
        over = [key for key, job in self._jobs.items() if job.over]
        for key in over[: max(0, len(over) - self.kept)]:
            del self._jobs[key]


class Progress:
    """The `atlas.progress.Reporter` of a job; stops it at a step where it is no longer wanted.

    Parameters
    ----------
    jobs
        The queue.
    key
        Id of the job.
    """

    def __init__(self, jobs: Jobs, key: str) -> None:
        self._jobs, self._key = jobs, key

    def note(self, line: str) -> None:
        """Keep one line."""
        self._jobs.change(self._key, notes=(*self._jobs.get(self._key).notes, line))

    def step(self, title: str, total: float | None = None) -> AbstractContextManager[Advance]:
        """Open a step."""
        return self._step(title, total)

    def check(self) -> None:
        """Stop the job, by a `CancelledError`, where it is no longer wanted."""
        if self._jobs.get(self._key).stopping:
            raise CancelledError

    @contextmanager
    def _step(self, title: str, total: float | None) -> Iterator[Advance]:
        writes = title.startswith(_WRITES)

        def advance(done: float, total: float | None = None) -> None:
            if not writes:
                self.check()
            more = {} if total is None else {"total": total}
            self._jobs.change(self._key, done=float(done), **more)

        if not writes:
            self.check()
        self._jobs.change(self._key, step=title, done=0.0, total=total)
        yield advance
