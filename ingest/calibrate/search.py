"""The search for edges as a build makes it, without what only the graph needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atlas.progress import Reporter, SilentReporter
from ingest.cooccurrence.edges import choose_edges
from ingest.cooccurrence.engine import candidate_sums, fold_sums
from ingest.cooccurrence.index import build_index, rank_features
from ingest.cooccurrence.kinds import NO_NEAR, NearPairs, Survivors, apply_tests
from ingest.cooccurrence.parts import LocalParts
from ingest.cooccurrence.screen import make_screen
from ingest.cooccurrence.sums import FLOAT_SUMS, INTEGER_SUMS, PairSums
from ingest.significance import effects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from atlas.artifacts import CodeShard
    from atlas.recipe import EdgesSection
    from ingest.cooccurrence.edges import Edges
    from ingest.cooccurrence.index import PairIndex, Ranking
    from ingest.cooccurrence.kinds import Tested
    from ingest.cooccurrence.sums import Marginals

    Read = Callable[[], Iterable[CodeShard]]
    Watch = Callable[[PairSums, Tested], None]


@dataclass(frozen=True)
class Rules:
    """What makes an edge in a run.

    Attributes
    ----------
    options
        Floors, false-discovery rate, edges a feature keeps.
    near
        Pairs of near decoder vectors.
    """

    options: EdgesSection
    near: NearPairs = NO_NEAR


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
        """Sum given pairs (i < j) of features that fire in these codes."""
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
    options, near = rules.options, rules.near
    ranking = rank_features(m, groups=(len(m.n),), min_expected=options.min_expected)
    index = build_index(read(), ranking, own=m, scratch=scratch)
    screen = make_screen(m, ranking, options=wide or options, near=(near.i, near.j))
    survivors = Survivors(scratch / "survivors.bin")
    told = reporter or SilentReporter()
    for sums in candidate_sums(LocalParts([index]), ranking, screen, reporter=told):
        tested = apply_tests(sums, m, options=options, near=near)
        survivors.add(sums, tested)
        if watch is not None:
            watch(sums, tested)
    everything = options.model_copy(update={"top_k": len(m.n)})
    edges = choose_edges(survivors.read(), m, tested=ranking.tested, options=everything)
    survivors.path.unlink()
    return Searched(m, ranking, index, edges)


def strength(
    sums: PairSums,
    m: Marginals,
    *,
    kind: int,
    r_topic: NDArray[np.float64],
    phi_within: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return what a kind (place in `KINDS`) is ranked by: phi, r_topic, or -phi_within."""
    if kind == 0:
        return effects(sums.a, m.n[sums.i], m.n[sums.j], positions=m.positions).phi
    return r_topic if kind == 1 else -phi_within
