"""The search for edges as a build makes it, without what only the graph needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ingest.cooccurrence.edges import choose_edges, significant_pairs
from ingest.cooccurrence.engine import fold_sums
from ingest.cooccurrence.index import build_index, rank_features
from ingest.cooccurrence.parts import LocalParts
from ingest.cooccurrence.search import survivors_of
from ingest.cooccurrence.sums import FLOAT_SUMS, INTEGER_SUMS, PairSums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from atlas.artifacts import CodeShard
    from atlas.progress import Reporter
    from atlas.recipe import EdgesSection
    from ingest.cooccurrence.edges import Edges
    from ingest.cooccurrence.index import PairIndex, Ranking
    from ingest.cooccurrence.search import Rules, Watch
    from ingest.cooccurrence.sums import Marginals

    Read = Callable[[], Iterable[CodeShard]]


@dataclass(frozen=True)
class Searched:
    """Every significant pair of some codes, and what counts further pairs of them.

    Attributes
    ----------
    marginals, ranking, index
        Of the codes.
    edges
        Significant pairs of each kind, before any feature's strongest are taken.
    """

    marginals: Marginals
    ranking: Ranking
    index: PairIndex
    edges: Edges

    def kept(self, top_k: int) -> NDArray[np.bool_]:
        """Which edges are among the strongest `top_k` of either feature."""
        return np.minimum(self.edges.rank_i, self.edges.rank_j) <= top_k

    def mutual(self, top_k: int) -> NDArray[np.bool_]:
        """Which edges are among the strongest `top_k` of both features."""
        return np.maximum(self.edges.rank_i, self.edges.rank_j) <= top_k

    def sums(self, i: NDArray[np.int32], j: NDArray[np.int32]) -> PairSums:
        """Sum given pairs (i < j) over these codes."""
        integers, floats = fold_sums(LocalParts([self.index]), self.ranking, i=i, j=j)
        names = (*INTEGER_SUMS, *FLOAT_SUMS)
        columns = zip(names, [*integers[:, 0], *floats[:, 0]], strict=True)
        return PairSums(i=i, j=j, **dict(columns))

    def tests(self, i: NDArray[np.int32], j: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Whether each pair is one of the tested ones."""
        one, two = self.ranking.rank[i], self.ranking.rank[j]
        low, high = np.minimum(one, two), np.maximum(one, two)
        live = low >= 0
        out = np.zeros(len(i), bool)
        out[live] = low[live] < self.ranking.limit[high[live]]
        return out


def search(
    read: Read,
    m: Marginals,
    *,
    rules: Rules,
    scratch: Path,
    wide: EdgesSection | None = None,
    watch: Watch | None = None,
    reporter: Reporter | None = None,
) -> Searched:
    """Find all significant pairs, as `ingest.cooccurrence.search.find_edges` does.

    Parameters
    ----------
    read
        Yields the shards, whole documents each; read once.
    m
        Their marginals. A shuffle within documents changes none that the tests use.
    rules
        What makes an edge.
    scratch
        Folder for the index and for the surviving pairs; made here. The index stays there.
    wide
        Lower floors, of the pairs that `watch` is shown; by default those of the rules.
    watch
        Shown the sums and tests of all pairs past these floors, a panel of features at a time.
    reporter
        Told of the progress.
    """
    scratch.mkdir(parents=True)
    ranking = rank_features(m, groups=(len(m.n),), min_expected=rules.options.min_expected)
    index = build_index(read(), ranking, own=m, scratch=scratch)
    records = survivors_of(
        LocalParts([index]), ranking, m,
        rules=rules, scratch=scratch, wide=wide, watch=watch, reporter=reporter,
    )  # fmt: skip
    found = significant_pairs(records, tested=ranking.tested, fdr=rules.options.fdr)
    edges = choose_edges(records, m, significant=found, top_k=len(m.n))  # that is, all of them
    return Searched(m, ranking, index, edges)
