"""What takes bytes at the same time, and what makes it less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.plan import costs

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Need:
    """Something that takes bytes.

    Attributes
    ----------
    what
        What it is.
    bytes
        How many.
    change
        What makes it smaller; empty where nothing in the recipe does.
    lower
        Name and value of what it is proportional to; the name is empty where there is nothing.
    """

    what: str
    bytes: int
    change: str = ""
    lower: tuple[str, int] = ("", 0)

    def advice(self, excess: int) -> str:
        """Say what to change so that this takes `excess` bytes less; empty if nothing does."""
        if self.bytes <= excess:
            return ""
        name, now = self.lower
        fitting = int(now * (self.bytes - excess) / self.bytes)
        if not name:
            return self.change
        return f"Set {name} to about {fitting:,} (now {now:,})." if fitting else ""


@dataclass(frozen=True)
class Phase:
    """A part of a build, and all that takes bytes during it."""

    name: str
    needs: tuple[Need, ...]

    @property
    def bytes(self) -> int:
        """Bytes in all."""
        return sum(need.bytes for need in self.needs)

    @property
    def largest(self) -> Need:
        """The need of most bytes."""
        return max(self.needs, key=lambda need: need.bytes)


def peak(phases: Iterable[Phase]) -> Phase:
    """Return the phase that takes most."""
    return max(phases, key=lambda phase: phase.bytes)


def making_bytes(rows: float, codes: Iterable[float]) -> int:
    """Bytes that making the shard of some documents takes.

    Parameters
    ----------
    rows
        Unmasked positions.
    codes
        Firings of each SAE there.
    """
    every = list(codes)
    return round(
        costs.PLACING * rows + costs.MAKING * sum(every) + costs.SORTING * max(every, default=0)
    )


def code_bytes(positions: int, codes: int) -> int:
    """Bytes of the arrays of code shards, their last pointers aside."""
    return costs.CODE * codes + costs.POSITION * positions
