"""What there is of memory and disk for a build."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """What a build may take in all, in bytes.

    Attributes
    ----------
    memory
        Memory that is free, and what this process has already taken of it.
    disk
        Space that is free where the build lies, and what the build has already written.
    device
        Memory of the CUDA device, free or taken by this process; None without one.
    """

    memory: int
    disk: int
    device: int | None = None


def this_machine(folder: Path, *, cuda: bool = False) -> Machine:
    """Look at this machine.

    Parameters
    ----------
    folder
        Folder of the build, which need not exist.
    cuda
        Whether the model runs on a CUDA device.
    """
    import psutil

    from atlas.graph.memory import available_mib

    mine = psutil.Process().memory_info()
    # Pages that are shared with files are available to others as well.
    taken = mine.rss - getattr(mine, "shared", 0)
    there = next(place for place in (folder, *folder.parents) if place.is_dir())
    written = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Machine(
        memory=(available_mib() << 20) + taken,
        disk=shutil.disk_usage(there).free + written,
        device=_device() if cuda else None,
    )


def _device() -> int:
    import torch

    free, _ = torch.cuda.mem_get_info()
    return int(free + torch.cuda.memory_reserved())
