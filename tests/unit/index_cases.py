"""Random codes, indexed for counting pairs, for tests of one way to count against another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import add
from typing import TYPE_CHECKING

import numpy as np

from ingest.cooccurrence.index import build_index, rank_features
from ingest.cooccurrence.parts import Pairs
from ingest.cooccurrence.sums import marginals
from tests.unit.simulate import codes_from_dense

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.cooccurrence.index import PairIndex, Ranking
    from ingest.cooccurrence.sums import Marginals


@dataclass
class Case:
    """Parts of a corpus; `fires` is all of it, bool [positions, features]."""

    indexes: list[PairIndex]
    ranking: Ranking
    m: Marginals
    fires: np.ndarray
    document: np.ndarray


def random_case(
    seed: int,
    *,
    features: int = 23,
    documents: int = 9,
    longest: int = 12,
    parts: int = 2,
    groups: tuple[int, ...] | None = None,
    min_expected: float = 0.3,
    scratch: Path | None = None,
) -> Case:
    """Make features of many densities: one always on, some dead, two that fire in bursts.

    Some positions, and the whole of the document before the last, have nothing but the feature
    that is always on; with an odd seed that one is dead too, and they are empty.
    """
    rng = np.random.default_rng(seed)
    length = rng.integers(1, longest + 1, documents)
    document = np.repeat(np.arange(documents), length)
    density = rng.choice([0.0, 0.03, 0.1, 0.3, 0.8], features)
    fires = rng.random((len(document), features)) < density
    fires[:, 3] = (rng.random(documents) < 0.4)[document]
    fires[:, 4] = fires[:, 3] & (rng.random(len(document)) < 0.6)
    fires[rng.random(len(document)) < 0.1] = False
    fires[document == documents - 2] = False
    fires[:, 1] = seed % 2 == 0
    fires[-1, 5] = True
    shards, cuts = [], np.linspace(0, documents, parts + 1).astype(int)
    for low, high in pairwise(cuts):
        rows = (document >= low) & (document < high)
        shard = codes_from_dense(fires[rows].astype(np.float32), document[rows] - low)
        shard.document[:] += low
        shards.append(shard)
    own = [marginals(shard, features) for shard in shards]
    m = reduce(add, own)
    ranking = rank_features(m, groups=groups or (features,), min_expected=min_expected)
    indexes = []
    for number, (shard, mine) in enumerate(zip(shards, own, strict=True)):
        folder = None if scratch is None else scratch / str(number)
        if folder is not None:
            folder.mkdir()
        indexes.append(build_index([shard], ranking, own=mine, scratch=folder))
    return Case(indexes, ranking, m, fires, document)


def some_pairs(ranking: Ranking, seed: int, *, first: int = 0, share: float = 0.5) -> Pairs:
    """Keep a share of the candidates of all columns from `first` on."""
    rng = np.random.default_rng(seed)
    kept = [np.flatnonzero(rng.random(limit) < share) for limit in ranking.limit[first:]]
    pointer = np.cumsum([0, *(len(k) for k in kept)]).astype(np.int64)
    return Pairs(first, pointer, np.concatenate([np.zeros(0), *kept]).astype(np.int32))
