"""Edges that a search finds in shuffled codes, against those that it finds in the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atlas.progress import Reporter, SilentReporter
from ingest.calibrate.nulls import TRADES, shifted, traded
from ingest.calibrate.search import Searched, search
from ingest.calibrate.tails import Extremes, Level, Tails, cuts_of
from ingest.cooccurrence.kinds import KINDS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ingest.calibrate.search import Read
    from ingest.cooccurrence.search import Rules
    from ingest.cooccurrence.sums import Marginals

#: Shuffles within documents.
WITHIN = ("trade", "shift")

#: Kinds that a shuffle within documents makes false; it keeps all that topic edges are made of.
FALSIFIED = ("token", "exclusive")


@dataclass(frozen=True)
class FalseEdges:
    """Edges of one kind, and what a null in which none is true gives.

    Attributes
    ----------
    null
        ``trade``, ``shift``, ``documents`` or ``like-length``.
    kind
        Kind of edge.
    found, kept
        Significant pairs in the data, and edges left after each feature's strongest are taken.
    null_found, null_kept
        The same where the whole search runs on shuffled codes, one number a repeat; for topics
        `null_kept` is empty.
    null_past
        Pairs of the shuffled codes that pass the floor and the p that the data's own weakest
        significant pair has, one number a repeat.
    fdp
        Mean of `null_past` over `found`: the empirical false-discovery proportion, at most 1;
        None where nothing is found in the data.
    """

    null: str
    kind: str
    found: int
    kept: int
    null_found: tuple[int, ...]
    null_kept: tuple[int, ...]
    null_past: tuple[int, ...]
    fdp: float | None


@dataclass(frozen=True)
class Shuffled:
    """One shuffle of the codes, searched.

    Attributes
    ----------
    null, seed
        Which shuffle.
    extremes
        Of the shuffled codes' statistics.
    pairs_of_one_topic
        Pairs that `levels` is taken over: r_topic from the topic floor on.
    levels
        How often the p of the within-document statistic is at most some levels.
    excess_left
        Excess of joint firings within documents on the data's token edges, over what it is in
        the data: 0 where the shuffle destroys what it should; None without token edges.
    found, kept, past
        By kind: significant pairs, edges among the strongest, pairs past the data's own cut.
    """

    null: str
    seed: int
    extremes: Extremes
    pairs_of_one_topic: int
    levels: tuple[Level, ...]
    excess_left: float | None
    found: dict[str, int]
    kept: dict[str, int]
    past: dict[str, int]


@dataclass(frozen=True)
class Reference:
    """What shuffled codes are compared with.

    Attributes
    ----------
    marginals
        Of the data.
    found, kept
        Significant pairs and edges of each kind.
    cuts
        Largest p of a significant pair of each kind.
    i, j
        int32: the token edges that are kept.
    excess
        Their excess of joint firings within documents, summed.
    """

    marginals: Marginals
    found: dict[str, int]
    kept: dict[str, int]
    cuts: dict[str, float]
    i: NDArray[np.int32]
    j: NDArray[np.int32]
    excess: float


def reference(searched: Searched, *, top_k: int) -> Reference:
    """Take from the data's search what shuffled codes are compared with."""
    edges = searched.edges
    token = (edges.kind == KINDS.index("token")) & searched.kept(top_k)
    return Reference(
        marginals=searched.marginals,
        found=counts(searched),
        kept=counts(searched, top_k=top_k),
        cuts=cuts_of(edges),
        i=edges.sums.i[token],
        j=edges.sums.j[token],
        excess=float((edges.sums.a - edges.sums.bc_t)[token].sum()),
    )


def counts(searched: Searched, *, top_k: int | None = None) -> dict[str, int]:
    """Count significant pairs by kind, or edges among the strongest `top_k` of either feature."""
    kind = searched.edges.kind if top_k is None else searched.edges.kind[searched.kept(top_k)]
    return dict(zip(KINDS, np.bincount(kind, minlength=len(KINDS)).tolist(), strict=True))


def search_shuffled(
    read: Read,
    data: Reference,
    *,
    null: str,
    seed: int,
    rules: Rules,
    scratch: Path,
    trades: int = TRADES,
    reporter: Reporter | None = None,
) -> Shuffled:
    """Shuffle within documents, search, compare.

    Parameters
    ----------
    read
        Yields the data's shards.
    data
        What the data's search found.
    null
        ``trade`` or ``shift``; see `ingest.calibrate.nulls`.
    seed
        Seed of the shuffle.
    rules, scratch, reporter
        See `ingest.calibrate.search.search`.
    trades
        Global trades.
    """
    m = data.marginals
    (reporter or SilentReporter()).note(f"searching shuffled codes ({null}, seed {seed})")
    codes = (
        traded(read, seed=seed, trades=trades)
        if null == "trade"
        else shifted(read, seed=seed, d_sae=len(m.n))
    )
    tails = Tails(m, options=rules.options, cuts=data.cuts)
    searched = search(codes, m, rules=rules, scratch=scratch, watch=tails, reporter=reporter)
    sums = searched.sums(data.i, data.j)
    left = float((sums.a - sums.bc_t).sum())
    return Shuffled(
        null=null,
        seed=seed,
        extremes=tails.extremes(),
        pairs_of_one_topic=tails.of_one_topic,
        levels=tails.levels(),
        excess_left=left / data.excess if data.excess > 0 else None,
        found=counts(searched),
        kept=counts(searched, top_k=rules.options.top_k),
        past=tails.past,
    )


def false_edges(data: Reference, shuffled: tuple[Shuffled, ...]) -> tuple[FalseEdges, ...]:
    """Compare all shuffles with the data, for the kinds that they make false."""
    out = []
    for null in WITHIN:
        mine = [run for run in shuffled if run.null == null]
        for kind in FALSIFIED if mine else ():
            past = tuple(run.past[kind] for run in mine)
            out.append(
                FalseEdges(
                    null=null,
                    kind=kind,
                    found=data.found[kind],
                    kept=data.kept[kind],
                    null_found=tuple(run.found[kind] for run in mine),
                    null_kept=tuple(run.kept[kind] for run in mine),
                    null_past=past,
                    fdp=proportion(past, data.found[kind]),
                )
            )
    return tuple(out)


def proportion(past: tuple[int, ...], found: int) -> float | None:
    """Return mean false over found, at most 1; None where nothing is found."""
    return min(float(np.mean(past)) / found, 1.0) if found else None
