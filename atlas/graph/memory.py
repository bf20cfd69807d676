"""How much memory the managed server gets, and how much there is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from atlas.errors import ServerError, UsageError

DEFAULT_MEMORY = "2g"
_MIB = 1024**2
_MINIMUM_MIB = 1024
_UNITS = {"": 1 / _MIB, "k": 1 / 1024, "m": 1, "g": 1024, "t": 1024**2}
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kmgt]?)(?:i?b)?", re.IGNORECASE)


@dataclass(frozen=True)
class MemoryPlan:
    """How the server's memory is divided; all in MiB.

    Attributes
    ----------
    total
        What the server may take in all.
    heap
        Java heap: queries, transactions and GDS projections.
    page_cache
        Cache of the store files, outside the heap. The rest is left to the Java machine itself.
    """

    total: int
    heap: int
    page_cache: int


def plan_memory(size: str = DEFAULT_MEMORY) -> MemoryPlan:
    """Divide `size` (such as ``"2g"`` or ``"1536m"``): half heap, a quarter page cache.

    Raises
    ------
    UsageError
        `size` is not a size, or less than 1g.
    """
    match = _SIZE.fullmatch(size.strip())
    if match is None:
        raise UsageError(
            f"{size!r} is not an amount of memory.", hint="Write one such as 2g or 1536m."
        )
    total = int(float(match["number"]) * _UNITS[match["unit"].lower()])
    if total < _MINIMUM_MIB:
        raise UsageError(
            f"{size} is too little memory for Neo4j with Graph Data Science.",
            hint="Give it 1g or more; 2g is the default.",
        )
    return MemoryPlan(total, total // 2, total // 4)


def check_memory(plan: MemoryPlan) -> None:
    """Raise `ServerError`, with the numbers, if less memory is available than `plan` needs."""
    available = available_mib()
    if available >= plan.total:
        return
    smaller = f"{min(2, available // 1024)}g" if available >= _MINIMUM_MIB else None
    raise ServerError(
        f"The database is to have {plan.total} MiB of memory ({plan.heap} MiB heap, "
        f"{plan.page_cache} MiB page cache), but {available} MiB are available.",
        hint=(
            f"Free memory, or start it smaller with `atlas db start --memory {smaller}`."
            if smaller
            else f"Free memory: the least it runs with is {_MINIMUM_MIB} MiB."
        ),
    )


def available_mib() -> int:
    """Return the MiB of memory that a new process can take without swapping.

    The limit of the control group (a container's) counts where it is lower.
    """
    import psutil

    available = int(psutil.virtual_memory().available)
    group = _control_group_available(Path("/sys/fs/cgroup"))
    return (available if group is None else min(available, group)) // _MIB


def _control_group_available(root: Path) -> int | None:
    """Return the bytes left under the memory limit of control group v2 at `root`, if any."""
    try:
        limit = (root / "memory.max").read_text().strip()
        used = int((root / "memory.current").read_text())
        statistics = (root / "memory.stat").read_text().split("\n")
    except (OSError, ValueError):
        return None
    if not limit.isdigit():
        return None
    # File pages that nobody uses are counted as used, yet given up on demand.
    reclaimable = sum(
        int(line.split()[1]) for line in statistics if line.startswith("inactive_file ")
    )
    return max(0, int(limit) - used + reclaimable)
