"""The code shards that are counted: their files, and how they are read."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from atlas.artifacts import read_shard
from atlas.errors import ArtifactError
from ingest.cooccurrence.units import side_by_side, to_units

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from atlas.artifacts import CodeShard


@dataclass(frozen=True)
class ShardFile:
    """A code shard's file, and what its codes must have been made from."""

    path: Path
    identity: dict[str, str]


@dataclass(frozen=True)
class CodeFiles:
    """Code shards on disk, and how they are read.

    Attributes
    ----------
    shards
        For each shard its file, or two of the same documents where two SAEs are joined.
    groups
        Number of features of each SAE.
    unit
        ``token``, ``window:W`` or ``document``.
    block
        Positions of a document in one block of the forward pass; 0 where a document is one block.
    """

    shards: Sequence[tuple[ShardFile, ...]]
    groups: tuple[int, ...]
    unit: str = "token"
    block: int = 0

    def __str__(self) -> str:
        """Name the files."""
        first, last = self.shards[0][0].path, self.shards[-1][0].path
        return str(first) if len(self.shards) == 1 else f"{first} to {last.name}"

    def read(self) -> Iterator[CodeShard]:
        """Yield each shard in the unit of observation; raises `ArtifactError`."""
        for files in self.shards:
            codes = [_read(file) for file in files]
            joined = codes[0] if len(codes) == 1 else side_by_side(*codes, d_sae=self.groups[0])
            yield to_units(joined, self.unit)

    def split(self, number: int) -> list[CodeFiles]:
        """Cut into at most `number` groups of successive shards, none of them empty."""
        cuts = np.linspace(0, len(self.shards), min(number, len(self.shards)) + 1).astype(int)
        return [replace(self, shards=self.shards[a:b]) for a, b in pairwise(cuts)]


def _read(file: ShardFile) -> CodeShard:
    if not file.path.parent.is_dir():
        raise ArtifactError(
            f"The folder {file.path.parent} is not there on the machine {platform.node()}, "
            "which is to count its shards.",
            hint="Keep the build where all machines of the cluster see it under the same path.",
        )
    return read_shard(file.path, identity=file.identity)
