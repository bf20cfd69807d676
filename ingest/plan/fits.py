"""Whether a build fits: refusals that say what is needed, what is there and what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import ArtifactError
from ingest.plan.needs import making_bytes, peak

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ingest.plan.needs import Phase
    from ingest.plan.plan import Plan


def check_fits(plan: Plan) -> None:
    """Refuse a build that will not fit.

    Parameters
    ----------
    plan
        The build's plan.

    Raises
    ------
    ArtifactError
        A document alone, the memory, the device's memory or the disk does not suffice. The
        message names the largest part, what it needs, what is there, and what to change.
    """
    memory, means = plan.machine.memory, list(plan.l0.values())
    if plan.fixed < memory:  # else it is not the documents that are too long
        check_documents(plan.lengths, means, ids=plan.ids, memory=memory, fixed=plan.fixed)
    _check(plan.name, "memory", plan.memory, memory)
    if plan.machine.device is not None and plan.device:
        _check(plan.name, "the CUDA device's memory", plan.device, plan.machine.device)
    _check(plan.name, "disk", plan.disk, plan.machine.disk)


def check_documents(
    lengths: NDArray[np.int64],
    l0: Sequence[float],
    *,
    ids: Sequence[str],
    memory: int,
    fixed: int = 0,
) -> None:
    """Refuse a document whose codes alone do not fit into memory: a shard holds it whole.

    Parameters
    ----------
    lengths
        int64 ``[documents]``: tokens of each.
    l0
        Mean firings of each SAE at a position.
    ids
        Ids of the documents.
    memory
        Bytes that the build may take in all.
    fixed
        Bytes of them that are taken whatever the documents are.

    Raises
    ------
    ArtifactError
        Names the longest document.
    """
    if len(lengths) == 0:
        return
    longest = int(np.argmax(lengths))
    tokens = int(lengths[longest])
    need = making_bytes(tokens, [tokens * mean for mean in l0])
    if need + fixed > memory:
        raise ArtifactError(
            f"Document {ids[longest]!r} has {tokens:,} tokens, whose codes take about "
            f"{gib(need)} of memory while they are made; {gib(max(memory - fixed, 0))} are left "
            "for them.",
            hint="A document is never cut: split it into several, leave it out, or use a machine "
            "with more memory.",
        )


def gib(number: float) -> str:
    """Write bytes in the unit that suits them, such as ``1.5 GiB``."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number:,.0f} bytes"


def _check(name: str, what: str, phases: Sequence[Phase], there: int) -> None:
    worst = peak(phases)
    if worst.bytes <= there:
        return
    excess, largest = worst.bytes - there, worst.largest
    parts = sorted(worst.needs, key=lambda need: -need.bytes)
    hints = [need.advice(excess) for need in parts if need.advice(excess)][:1]
    if what == "disk":
        hints.append("Or put the atlas on another disk (--home).")
    raise ArtifactError(
        f"Build {name} needs about {gib(worst.bytes)} of {what} while {worst.name}, and "
        f"{gib(there)} are there. The largest part is {largest.what}: {gib(largest.bytes)}.",
        hint=" ".join(hints) or "Use a machine with more of it, or a smaller model or SAE.",
    )
