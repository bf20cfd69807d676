"""The search for edges: marginals, candidates, exact sums, tests, choice."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from atlas.progress import Reporter, SilentReporter
from ingest.cooccurrence.edges import Edges, Implications, choose_edges, implications
from ingest.cooccurrence.engine import candidate_sums, fold_sums
from ingest.cooccurrence.index import rank_features
from ingest.cooccurrence.kinds import KINDS, NO_NEAR, NearPairs, Survivors, apply_tests
from ingest.cooccurrence.screen import make_screen
from ingest.cooccurrence.sums import ValueSums

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from atlas.recipe import EdgesSection
    from ingest.cooccurrence.counter import Counter
    from ingest.cooccurrence.sums import Marginals


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
        Directed pairs.
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

    def only(self, kind: str) -> Found:
        """Return the same with the edges of one kind."""
        mine = self.edges.kind == KINDS.index(kind)
        values = ValueSums(*(getattr(self.values, f.name)[mine] for f in fields(ValueSums)))
        folds = None if self.folds is None else (
            self.folds[0][:, :, mine], self.folds[1][:, :, mine]
        )  # fmt: skip
        return replace(self, edges=self.edges.take(mine), values=values, folds=folds)


def _values(
    counter: Counter, m: Marginals, i: NDArray[np.int32], j: NDArray[np.int32]
) -> ValueSums:
    """Sum activations over joint firings, met from the rarer feature of each pair."""
    swap = m.n[i] > m.n[j]
    rare, other = np.where(swap, j, i), np.where(swap, i, j)
    order = np.lexsort((other, rare))
    found = counter.values(rare[order], other[order])
    columns = np.empty((5, len(i)))
    columns[:, order] = [getattr(found, f.name) for f in fields(ValueSums)]
    columns[:, swap] = columns[:, swap][[0, 2, 1, 4, 3]]
    return ValueSums(*columns)


def find_edges(
    counter: Counter,
    scratch: Path,
    *,
    options: EdgesSection,
    near: NearPairs = NO_NEAR,
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
    reporter
        Told of the progress.
    """
    told = reporter or SilentReporter()
    m = counter.marginals()
    ranking = rank_features(m, groups=counter.groups, min_expected=options.min_expected)
    parts = counter.parts(ranking)
    screen = make_screen(m, ranking, options=options, near=(near.i, near.j))
    survivors = Survivors(scratch / "survivors.bin")
    for sums in candidate_sums(parts, ranking, screen, reporter=told):
        survivors.add(sums, apply_tests(sums, m, options=options, near=near))
    records = survivors.read()
    edges = choose_edges(records, m, tested=ranking.tested, options=options)
    i, j = edges.sums.i, edges.sums.j
    directed = implications(
        records,
        m,
        tested=ranking.tested,
        options=options,
        near=near.holds(records["i"], records["j"]),
    )
    del records
    survivors.path.unlink()
    folds = fold_sums(parts, ranking, i=i, j=j, folds=options.folds) if options.folds else None
    told.note("correlating activations on edges")
    values = _values(counter, m, i, j)
    return Found(m, counter.groups, ranking.tested, edges, directed, values, folds)
