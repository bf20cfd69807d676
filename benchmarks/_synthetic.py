"""Synthetic codes of the size of a real SAE: log-normal densities, topics, related features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atlas.artifacts import CodeShard, write_shard

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

IDENTITY = {"made by": "benchmarks"}


@dataclass(frozen=True)
class Synthetic:
    """A way to draw codes, shard by shard.

    Attributes
    ----------
    d_sae, l0
        Features, and mean firings a token.
    length
        Tokens a document.
    documents
        Documents a shard.
    topics
        Topics; a feature has one, and half of its firings lie in documents of it.
    sigma
        Standard deviation of the log density.
    """

    d_sae: int = 24_576
    l0: float = 60.0
    length: int = 256
    documents: int = 196
    topics: int = 64
    sigma: float = 1.5
    seed: int = 0

    def density(self) -> NDArray[np.float64]:
        """Draw the firing rate of each feature; the densest fire at half of all positions."""
        rng = np.random.default_rng(self.seed)
        density = np.exp(rng.normal(0, self.sigma, self.d_sae))
        density *= self.l0 / density.sum()
        return np.minimum(density, 0.5)

    def shard(self, number: int) -> CodeShard:
        """Draw shard `number`; every second feature repeats a third of another one's firings."""
        rng = np.random.default_rng([self.seed, number + 1])
        rows = self.documents * self.length
        size = rng.poisson(self.density() * rows * 1.08)  # repeated draws fall together
        feature = np.repeat(np.arange(self.d_sae), size)
        of_topic = rng.integers(0, self.topics, self.d_sae)[feature]
        doc = rng.integers(0, self.documents, len(feature))
        at_home = rng.random(len(feature)) < 0.5
        doc[at_home] -= (doc[at_home] - of_topic[at_home]) % self.topics
        doc[doc < 0] += self.topics
        row = np.minimum(doc, self.documents - 1) * self.length
        row += rng.integers(0, self.length, len(feature))
        self._relate(rng, size, row)
        key = np.unique(row.astype(np.int64) * self.d_sae + feature)
        at = key // self.d_sae
        return CodeShard(
            indptr=np.searchsorted(at, np.arange(rows + 1)).astype(np.int64),
            index=(key % self.d_sae).astype(np.int32),
            value=rng.gamma(2.0, 1.0, len(key)).astype(np.float32) + np.float32(1e-3),
            document=(number * self.documents + np.arange(rows) // self.length).astype(np.int32),
            position=(np.arange(rows) % self.length).astype(np.int32),
            token=np.zeros(rows, np.int32),
        )

    def _relate(
        self, rng: np.random.Generator, size: NDArray[np.int64], row: NDArray[np.int64]
    ) -> None:
        first = np.concatenate([[0], np.cumsum(size)])
        for child in range(1, self.d_sae, 2):
            take = int(min(size[child], size[child - 1]) // 3)
            mine = first[child] + rng.integers(0, max(size[child], 1), take)
            row[mine] = row[first[child - 1] + rng.integers(0, max(size[child - 1], 1), take)]

    def write(self, folder: Path, number: int) -> Path:
        """Draw and write one shard; return its path."""
        path = folder / f"shard-{number:05d}.safetensors"
        write_shard(path, self.shard(number), identity=IDENTITY)
        return path
