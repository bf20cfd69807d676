"""An SAE as the stages after the codes see it: names, weights that may be there, code shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from atlas.artifacts import read_shard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch

    from atlas.artifacts import CodeShard


@dataclass(frozen=True)
class MappedSae:
    """An SAE whose codes lie in shards.

    Attributes
    ----------
    name, key
        Name in the build, and key in the atlas: ``{model}/{hook}/{name}``.
    hook
        Name of its hook.
    depth
        Number of blocks before its hook; SAEs are ordered by it.
    d_sae
        Number of features.
    paths
        Code shards, in the order of the documents.
    identity
        What they must have been made from.
    block
        Positions of a document in one block of the forward pass; 0 where a document is one block.
    w_dec, w_enc
        float32 ``[d_sae, d_model]`` and ``[d_model, d_sae]`` on the CPU; None where the codes were
        brought without weights.
    """

    name: str
    key: str
    hook: str
    depth: int
    d_sae: int
    paths: tuple[Path, ...]
    identity: dict[str, str]
    block: int
    w_dec: torch.Tensor | None
    w_enc: torch.Tensor | None

    def read(self) -> Iterator[CodeShard]:
        """Yield the shards, checked; one at a time is in memory."""
        for path in self.paths:
            yield read_shard(path, identity=self.identity)
