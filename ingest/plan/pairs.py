"""What a search for edges will meet: tested pairs, joint firings, panels, edges."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from ingest.cooccurrence.engine import panels
from ingest.cooccurrence.index import rank_features
from ingest.cooccurrence.kinds import KINDS
from ingest.plan import costs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from atlas.recipe import EdgesSection
    from ingest.cooccurrence.index import Ranking
    from ingest.plan.rates import Rates

FEEDS = "feeds"


@dataclass(frozen=True)
class EdgeRange:
    """How many edges of a kind there may be.

    Attributes
    ----------
    kind
        ``token``, ``topic``, ``exclusive`` or ``feeds``.
    least, expected
        What a weakly related text gives, and what the demo's shares give; estimates.
    most
        No more are possible: every live feature keeps its ``top_k``, or all tested pairs pass.
    """

    kind: str
    least: int
    expected: int
    most: int

    def __add__(self, other: EdgeRange) -> EdgeRange:
        """Add the edges of another search."""
        return EdgeRange(
            self.kind,
            self.least + other.least,
            self.expected + other.expected,
            self.most + other.most,
        )


@dataclass(frozen=True)
class Search:
    """Size of one search: within an SAE, or from an earlier one to a later one.

    Attributes
    ----------
    name
        The SAE, or ``EARLY to LATE``.
    features, live
        Features, and those expected to fire.
    units, documents
        Units of observation and documents.
    codes
        Firings over units.
    tested
        Pairs with E_ij >= ``min_expected``.
    joint
        Joint firings of all pairs.
    cells, largest_panel
        Cells of all panels, and of the largest.
    kept, survivors
        Pairs that get sums, and that pass a floor; from shares of the demo.
    folded
        Documents of the rarer feature, over kept pairs: steps of their sums.
    index_bytes
        Files of the index.
    edges
        Expected edges.
    """

    name: str
    features: int
    live: int
    units: int
    documents: int
    codes: int
    tested: int
    joint: int
    cells: int
    largest_panel: int
    kept: int
    survivors: int
    folded: int
    index_bytes: int
    edges: tuple[EdgeRange, ...]

    @property
    def expected_edges(self) -> int:
        """Expected edges of all kinds."""
        return sum(edge.expected for edge in self.edges)

    def to_json(self) -> dict[str, object]:
        """Return the size as a JSON object."""
        return asdict(self)


def predict_search(
    rates: Rates,
    *,
    groups: tuple[int, ...],
    lengths: NDArray[np.int64],
    options: EdgesSection,
) -> Search:
    """Predict a search from firing rates; the tested pairs by the rule of the search itself.

    Parameters
    ----------
    rates
        Firings of the whole text, counted or expected.
    groups
        Features of each SAE.
    lengths
        int64 ``[documents]``: positions of each document of the whole text.
    options
        What is tested and kept.
    """
    m = rates.m
    ranking = rank_features(m, groups=groups, min_expected=options.min_expected)
    sizes = [(last - first) * width for first, last, width in panels(ranking)]
    codes, tested, live = int(m.n.sum()), ranking.tested, len(ranking.order)
    kept = min(tested * costs.KEPT, float(costs.KEPT_OF_FEATURE * live))
    steps = float(ranking.limit.astype(np.float64) @ m.d[ranking.order])
    return Search(
        name=rates.name,
        features=rates.d_sae,
        live=live,
        units=m.positions,
        documents=int((lengths > 0).sum()),
        codes=codes,
        tested=tested,
        joint=round(rates.joint),
        cells=sum(sizes),
        largest_panel=max(sizes, default=0),
        kept=round(kept),
        survivors=round(kept * costs.SURVIVING / costs.KEPT),
        folded=round(steps * kept / max(tested, 1)),
        index_bytes=_index_bytes(ranking, codes, lengths),
        edges=edge_ranges(tested, live, top_k=options.top_k, feeds=len(groups) > 1),
    )


def edge_ranges(tested: int, live: int, *, top_k: int, feeds: bool) -> tuple[EdgeRange, ...]:
    """Bound the edges of each kind.

    A feature keeps its strongest `top_k` of a kind, so that a kind has at most `top_k` times the
    live features; half as many where every edge is among the strongest of both its ends.
    """
    bound = min(tested, live * top_k)
    found = []
    for kind in (FEEDS,) if feeds else KINDS:
        main = kind in (FEEDS, "token")
        expected = min(
            round(costs.SIGNIFICANT[kind] * tested), round(costs.KEPT_OF_BOUND[kind] * bound)
        )
        least = min(round(costs.FEWEST * tested), bound // 2) if main else 0
        found.append(EdgeRange(kind, min(least, expected), expected, bound))
    return tuple(found)


def _index_bytes(ranking: Ranking, codes: int, lengths: NDArray[np.int64]) -> int:
    """Bytes of the files of `ingest.cooccurrence.index.build_index`."""
    live, documents = len(ranking.order), int((lengths > 0).sum())
    partner = 2 if live <= 1 << 16 else 4
    start = 4 if codes < 1 << 31 else 8
    count = 2 if int(lengths.max(initial=0)) < 1 << 16 else 4
    return codes * (partner + start) + documents * live * count
