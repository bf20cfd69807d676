"""What counts the codes of a build: here, in this process and its files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from ingest.cooccurrence.index import build_index
from ingest.cooccurrence.parts import LocalParts
from ingest.cooccurrence.sums import marginals
from ingest.cooccurrence.values import value_sums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from atlas.artifacts import CodeShard
    from ingest.cooccurrence.index import PairIndex, Ranking
    from ingest.cooccurrence.parts import Parts
    from ingest.cooccurrence.sums import Marginals, ValueSums


class Counter(Protocol):
    """Counts codes, wherever they lie; every result is merged over all documents.

    `groups` is the number of features of each SAE: one, or two of which the second is the later.
    """

    @property
    def groups(self) -> tuple[int, ...]:
        """Number of features of each SAE."""
        ...

    def marginals(self) -> Marginals:
        """Return the sums a feature."""
        ...

    def parts(self, ranking: Ranking) -> Parts:
        """Return what sums pairs, panel by panel, once the ranking is known."""
        ...

    def values(self, i: NDArray[np.int32], j: NDArray[np.int32]) -> ValueSums:
        """Sum activations over the joint firings of pairs ordered by (i, j).

        It costs a look at all partners j of i wherever i fires: i had better be the rarer one.
        """
        ...


@dataclass(frozen=True)
class LocalCounter:
    """Counts in this process, one shard in memory at a time.

    Attributes
    ----------
    read
        Yields the shards anew at each call, whole documents each, in the unit of observation.
    groups
        Number of features of each SAE.
    block
        Positions of a document in one block of the forward pass; 0 where a document is one block.
    scratch
        Folder for the files of indexes, which lose their names once they are mapped; None keeps
        an index in memory.
    device
        A torch device whose kernels count pairs; None takes the numba kernels.
    """

    read: Callable[[], Iterable[CodeShard]]
    groups: tuple[int, ...]
    block: int = 0
    scratch: Path | None = None
    device: str | None = None

    def marginals(self) -> Marginals:
        """See `Counter.marginals`."""
        return self._marginals

    @cached_property
    def _marginals(self) -> Marginals:
        d_sae, total = sum(self.groups), None
        for shard in self.read():
            part = marginals(shard, d_sae, block=self.block)
            total = part if total is None else total + part
        if total is None:
            raise ValueError("there are no shards to count")
        return total

    def parts(self, ranking: Ranking) -> Parts:
        """See `Counter.parts`."""
        index = self._index(ranking)
        if self.device is None:
            return LocalParts([index])
        from ingest.cooccurrence.torch_parts import TorchParts

        return TorchParts([index], device=self.device)

    def _index(self, ranking: Ranking) -> PairIndex:
        own = self._marginals
        if self.scratch is None:
            return build_index(self.read(), ranking, own=own)
        # Each index has its own folder. Files that are mapped when it goes keep their room on the
        # disk for as long as the index lives, and nothing else can write to them.
        with TemporaryDirectory(prefix="index-", dir=self.scratch) as folder:
            return build_index(self.read(), ranking, own=own, scratch=Path(folder))

    def values(self, i: NDArray[np.int32], j: NDArray[np.int32]) -> ValueSums:
        """See `Counter.values`."""
        return value_sums(self.read(), i=i, j=j, d_sae=sum(self.groups))
