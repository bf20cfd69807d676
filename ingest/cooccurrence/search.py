"""The search for edges: marginals, candidates, exact sums, tests, choice."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from atlas.progress import Reporter, SilentReporter
from ingest.cooccurrence.edges import (
    NO_IMPLICATIONS,
    Edges,
    Implications,
    choose_edges,
    implications,
    significant_pairs,
)
from ingest.cooccurrence.engine import candidate_sums, fold_sums
from ingest.cooccurrence.index import rank_features
from ingest.cooccurrence.kinds import KINDS, NO_NEAR, NearPairs, Survivors, apply_tests
from ingest.cooccurrence.screen import make_screen
from ingest.cooccurrence.sums import ValueSums, rarer_first

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from numpy.typing import NDArray

    from atlas.recipe import EdgesSection
    from ingest.cooccurrence.counter import Counter
    from ingest.cooccurrence.index import Ranking
    from ingest.cooccurrence.kinds import Tested
    from ingest.cooccurrence.parts import Parts
    from ingest.cooccurrence.sums import Marginals, PairSums

    Watch = Callable[[PairSums, Tested], None]


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes
    ----------
    marginals
        Sums a feature.
    groups
        Number of features of each SAE.
    tested
        Number of candidate pairs; each kind of edge is adjusted for so many tests.
    edges
        The edges.
    implications
        Directed pairs; none unless both token and exclusive edges were looked for.
    values
        Sums of activations of the edges, in their order.
    folds
        The edges' sums by folds of documents (int64 ``[7, folds, edges]``, float64
        ``[3, folds, edges]``), or None where none were asked for.
    """

    marginals: Marginals
    groups: tuple[int, ...]
    tested: int
    edges: Edges
    implications: Implications
    values: ValueSums
    folds: tuple[NDArray[np.int64], NDArray[np.float64]] | None


@dataclass(frozen=True)
class Rules:
    """What makes an edge in a run.

    Attributes
    ----------
    options
        Floors, false-discovery rate, edges a feature keeps.
    near
        Pairs of near decoder vectors, for which exclusion is looked for.
    """

    options: EdgesSection
    near: NearPairs = NO_NEAR

    def only(self, kinds: Collection[str]) -> Rules:
        """Return rules by which no pair is looked at that can only be of other kinds.

        Token edges are looked for in any case: a pair that is one is no topic edge.
        """
        floors = {"topic": "min_topic", "exclusive": "min_exclusive_topic"}
        never = {floor: np.inf for kind, floor in floors.items() if kind not in kinds}
        near = self.near if "exclusive" in kinds else NO_NEAR
        return Rules(self.options.model_copy(update=never), near)


def survivors_of(
    parts: Parts,
    ranking: Ranking,
    m: Marginals,
    *,
    rules: Rules,
    scratch: Path,
    wide: EdgesSection | None = None,
    watch: Watch | None = None,
    reporter: Reporter | None = None,
) -> NDArray[np.void]:
    """Test all candidates, and return those that pass some kind's floor and unadjusted test.

    Parameters
    ----------
    parts, ranking, m
        The codes, their features' order and candidates, and their marginals.
    rules
        What makes an edge.
    scratch
        Folder for the file behind the result, which loses its name here and its room on the disk
        with the result.
    wide
        Lower floors, of the pairs that `watch` is shown; by default those of the rules.
    watch
        Shown the sums and tests of all pairs past these floors, a panel of features at a time.
    reporter
        Told of the progress.

    Returns
    -------
    structured array
        See `ingest.cooccurrence.kinds.Survivors`.
    """
    near = rules.near
    screen = make_screen(m, ranking, options=wide or rules.options, near=(near.i, near.j))
    survivors = Survivors(scratch / "survivors.bin")
    for sums in candidate_sums(parts, ranking, screen, reporter=reporter):
        tested = apply_tests(sums, m, options=rules.options, near=near)
        survivors.add(sums, tested)
        if watch is not None:
            watch(sums, tested)
    records = survivors.read()
    survivors.path.unlink()
    return records


def find_edges(
    counter: Counter,
    scratch: Path,
    *,
    options: EdgesSection,
    near: NearPairs = NO_NEAR,
    kinds: Collection[str] = KINDS,
    reporter: Reporter | None = None,
) -> Found:
    """Find the edges of one SAE, or those from an earlier to a later one.

    Tested are the pairs with E_ij >= ``options.min_expected``, fixed from the marginals before
    any p is seen. Sums are kept for those whose effect may pass a floor; the others count as
    tests with p = 1.

    Parameters
    ----------
    counter
        The codes.
    scratch
        Folder for the file of surviving pairs, which is removed at the end.
    options
        Floors, false-discovery rate, how many edges a feature keeps.
    near
        Pairs of near decoder vectors.
    kinds
        Kinds of edges to find. Implications are found with token and exclusive edges.
    reporter
        Told of the progress.
    """
    told = reporter or SilentReporter()
    m = counter.marginals()
    ranking = rank_features(m, groups=counter.groups, min_expected=options.min_expected)
    parts = counter.parts(ranking)
    rules = Rules(options, near).only(kinds)
    records = survivors_of(parts, ranking, m, rules=rules, scratch=scratch, reporter=told)
    significant = significant_pairs(records, tested=ranking.tested, fdr=options.fdr, kinds=kinds)
    edges = choose_edges(records, m, significant=significant, top_k=options.top_k)
    directed = NO_IMPLICATIONS
    if {"token", "exclusive"} <= significant.keys():
        close = near.holds(records["i"], records["j"])
        directed = implications(records, m, significant=significant, options=options, near=close)
    del records
    i, j = edges.sums.i, edges.sums.j
    folds = fold_sums(parts, ranking, i=i, j=j, folds=options.folds) if options.folds else None
    told.note("correlating activations on edges")
    values = _values(counter, m, i, j)
    return Found(m, counter.groups, ranking.tested, edges, directed, values, folds)


def _values(
    counter: Counter, m: Marginals, i: NDArray[np.int32], j: NDArray[np.int32]
) -> ValueSums:
    """Sum activations over joint firings, met from the rarer feature of each pair."""
    rare, other, turned = rarer_first(m.n, i, j)
    order = np.lexsort((other, rare))
    found = counter.values(rare[order], other[order])
    columns = np.empty((5, len(i)))
    columns[:, order] = [getattr(found, f.name) for f in fields(ValueSums)]
    columns[:, turned] = columns[:, turned][[0, 2, 1, 4, 3]]
    return ValueSums(*columns)
