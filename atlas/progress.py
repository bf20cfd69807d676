"""Progress of long steps, on stderr, and only where stderr is a terminal.

Libraries take a `Reporter`; the command line passes one made by `reporter`. Where there is no
terminal each step prints one line when it begins (the log of a CI run stays readable).
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


class Advance(Protocol):
    """Report progress within a step."""

    def __call__(self, done: float, total: float | None = None) -> None:
        """Say how far the step is, in the step's own units, and of how many where that changed."""


class Reporter(Protocol):
    """Receives what a long job is doing."""

    def note(self, line: str) -> None:
        """Take one line worth reading."""

    def step(self, title: str, total: float | None = None) -> _Step:
        """Open a step; a context manager that yields an `Advance`."""


class _Step(Protocol):
    def __enter__(self) -> Advance: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool | None: ...


class SilentReporter:
    """Reports nothing; the default of every library function."""

    def note(self, line: str) -> None:
        """Ignore `line`."""

    @contextmanager
    def _step(self) -> Iterator[Advance]:
        yield lambda done, total=None: None

    def step(self, title: str, total: float | None = None) -> _Step:  # noqa: ARG002
        """Open a step that reports nothing."""
        return self._step()


class ConsoleReporter:
    """Writes notes and progress bars to stderr with rich."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)

    def note(self, line: str) -> None:
        """Print one line."""
        self.console.print(line, markup=False)

    @contextmanager
    def _bar(self, title: str, total: float | None) -> Iterator[Advance]:
        columns = (
            TextColumn("{task.description:<44}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(title, total=total)

            def advance(done: float, total: float | None = None) -> None:
                progress.update(task, completed=done, total=total)

            yield advance

    @contextmanager
    def _line(self, title: str) -> Iterator[Advance]:
        self.note(title)
        yield lambda done, total=None: None

    def step(self, title: str, total: float | None = None) -> _Step:
        """Open a step: a bar on a terminal, one line elsewhere."""
        return self._bar(title, total) if sys.stderr.isatty() else self._line(title)


def reporter(*, quiet: bool = False) -> Reporter:
    """Return the reporter for a command: silent if `quiet`, else the console's."""
    return SilentReporter() if quiet else ConsoleReporter()
