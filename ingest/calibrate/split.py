"""Split-half: whether the edges of half of the documents are those of the other half."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import CorpusError
from atlas.progress import Reporter, SilentReporter
from ingest.calibrate.kernels import drawn
from ingest.calibrate.search import Searched, search
from ingest.calibrate.tails import finite
from ingest.cooccurrence.edges import strength
from ingest.cooccurrence.kinds import KINDS, apply_tests
from ingest.cooccurrence.sums import marginals
from ingest.significance import effects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from atlas.artifacts import CodeShard
    from ingest.calibrate.search import Read
    from ingest.cooccurrence.search import Rules
    from ingest.cooccurrence.sums import Marginals

    Floats = NDArray[np.float64]
    Keys = NDArray[np.int64]

#: Strongest edges that are compared at matched strength.
TOP = 1000


@dataclass(frozen=True)
class Overlap:
    """Two sets of pairs.

    Attributes
    ----------
    one, two, both
        Pairs in the first, the second, and in both.
    jaccard
        Both over either; None where both are empty.
    overlap
        Both over the smaller; None where it is empty.
    """

    one: int
    two: int
    both: int
    jaccard: float | None
    overlap: float | None


@dataclass(frozen=True)
class KindSplit:
    """Edges of one kind in two halves of the documents.

    Attributes
    ----------
    kind
        Kind of edge.
    significant, kept
        Significant pairs, and edges after each feature's strongest are taken.
    kept_tested
        Those of `kept` that are tested in both halves.
    top
        The strongest (at most 1,000, as many in both) significant pairs that are tested in both.
    replicated
        Share of the edges of one half, tested in the other, that pass the kind's floor and
        unadjusted test there; over both directions. None without edges.
    pairs
        Pairs that are kept in either half and tested in both; over these are:
    npmi, phi, strength
        Spearman's rank correlation between the halves of NPMI, of phi, and of what the kind is
        ranked by. None for fewer than three pairs.
    """

    kind: str
    significant: Overlap
    kept: Overlap
    kept_tested: Overlap
    top: Overlap
    replicated: float | None
    pairs: int
    npmi: float | None
    phi: float | None
    strength: float | None


@dataclass(frozen=True)
class SplitHalf:
    """Edges of two random halves of the documents.

    Attributes
    ----------
    documents, positions, tested
        Of each half: documents, positions, tested pairs.
    tested_both
        Pairs that both halves test.
    kinds
        By kind of edge.
    """

    documents: tuple[int, int]
    positions: tuple[int, int]
    tested: tuple[int, int]
    tested_both: int
    kinds: tuple[KindSplit, ...]


def half_of(codes: CodeShard, *, seed: int, half: int) -> CodeShard:
    """Return the documents of half 0 or 1; a hash of seed and document number draws them."""
    rows = drawn(codes.document, seed) == bool(half)
    size = np.diff(codes.indptr)
    firings = np.repeat(rows, size)
    return replace(
        codes,
        indptr=np.concatenate([np.zeros(1, np.int64), np.cumsum(size[rows])]),
        index=codes.index[firings],
        value=codes.value[firings],
        **{name: getattr(codes, name)[rows] for name in ("document", "position", "token")},
    )


def split_half(
    read: Read,
    *,
    d_sae: int,
    rules: Rules,
    seed: int,
    scratch: Path,
    reporter: Reporter | None = None,
) -> SplitHalf:
    """Search each half of the documents under the same rules and compare.

    Half of the documents give half of each expected count, so that fewer pairs are tested.

    Parameters
    ----------
    read
        Yields the shards.
    d_sae
        Number of features.
    rules, scratch, reporter
        See `ingest.calibrate.search.search`.
    seed
        Seed of the halves.

    Raises
    ------
    CorpusError
        A half has no document.
    """
    told = reporter or SilentReporter()
    own = _halves(read, d_sae, seed)

    def search_half(half: int) -> Searched:
        def shards() -> Iterator[CodeShard]:
            return (half_of(codes, seed=seed, half=half) for codes in read())

        told.note(f"searching half {half + 1} of 2 of the documents")
        folder = scratch / f"half-{half}"
        return search(shards, own[half], rules=rules, scratch=folder, reporter=told)

    one, two = search_half(0), search_half(1)
    return SplitHalf(
        documents=(own[0].documents, own[1].documents),
        positions=(own[0].positions, own[1].positions),
        tested=(one.ranking.tested, two.ranking.tested),
        tested_both=_tested_both(one, two),
        kinds=tuple(_compare(one, two, kind, rules) for kind in range(len(KINDS))),
    )


def _halves(read: Read, d_sae: int, seed: int) -> tuple[Marginals, Marginals]:
    parts: tuple[list[Marginals], list[Marginals]] = ([], [])
    for codes in read():
        for half, sums in enumerate(parts):
            new = marginals(half_of(codes, seed=seed, half=half), d_sae)
            sums[:] = [sums[0] + new] if sums else [new]
    if not (parts[0] and parts[0][0].documents and parts[1][0].documents):
        raise CorpusError(
            "The documents cannot be split into two halves: one of them is empty.",
            hint="Give more documents, or another seed.",
        )
    return parts[0][0], parts[1][0]


def _tested_both(one: Searched, two: Searched) -> int:
    """Count the pairs that both halves test."""
    order, total = one.ranking.order, 0
    for column, limit in zip(order, one.ranking.limit, strict=True):
        total += int(two.tests(order[:limit], np.full(limit, column)).sum())
    return total


def _compare(one: Searched, two: Searched, kind: int, rules: Rules) -> KindSplit:
    halves, top_k = (one, two), rules.options.top_k
    found = [_keys(half, half.edges.kind == kind) for half in halves]
    kept = [_keys(half, (half.edges.kind == kind) & half.kept(top_k)) for half in halves]
    tested = [keys[_in_both(keys, one, two)] for keys in kept]
    union = np.union1d(*tested)
    here, there = (_measure(half, union, kind=kind, rules=rules) for half in halves)
    passing = [there[0][np.isin(union, tested[0])], here[0][np.isin(union, tested[1])]]
    every = np.concatenate(passing)
    npmi, phi, order = (_spearman(x, y) for x, y in zip(here[1:], there[1:], strict=True))
    return KindSplit(
        kind=KINDS[kind],
        significant=_overlap(*found),
        kept=_overlap(*kept),
        kept_tested=_overlap(*tested),
        top=_overlap(*_strongest(one, two, kind)),
        replicated=float(every.mean()) if len(every) else None,
        pairs=len(union),
        npmi=npmi,
        phi=phi,
        strength=order,
    )


def _measure(
    half: Searched, keys: Keys, *, kind: int, rules: Rules
) -> tuple[NDArray[np.bool_], Floats, Floats, Floats]:
    """Return which pairs pass as a kind in a half, and their NPMI, phi and strength there."""
    sums, m = half.sums(*_pairs(keys)), half.marginals
    tested = apply_tests(sums, m, options=rules.options, near=rules.near)
    size = effects(sums.a, m.n[sums.i], m.n[sums.j], positions=m.positions)
    by = strength(KINDS[kind], phi=size.phi, r_topic=tested.r_topic, phi_within=tested.phi_within)
    # Pairs that never fire together have the least NPMI there is.
    npmi = np.where(sums.a > 0, size.npmi, -1.0)
    return tested.kinds & (1 << kind) > 0, npmi, size.phi, by


def _keys(half: Searched, chosen: NDArray[np.bool_]) -> Keys:
    sums = half.edges.sums
    keys: Keys = sums.i[chosen].astype(np.int64) << 32 | sums.j[chosen]
    return keys


def _pairs(keys: Keys) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    return (keys >> 32).astype(np.int32), (keys & 0xFFFFFFFF).astype(np.int32)


def _in_both(keys: Keys, one: Searched, two: Searched) -> NDArray[np.bool_]:
    i, j = _pairs(keys)
    return one.tests(i, j) & two.tests(i, j)


def _overlap(one: Keys, two: Keys) -> Overlap:
    both = len(np.intersect1d(one, two, assume_unique=True))
    either, smaller = len(one) + len(two) - both, min(len(one), len(two))
    return Overlap(
        len(one),
        len(two),
        both,
        both / either if either else None,
        both / smaller if smaller else None,
    )


def _strongest(one: Searched, two: Searched, kind: int) -> list[Keys]:
    """Return each half's strongest pairs among those that both halves test, as many in both."""
    ordered = []
    for half in (one, two):
        edges, m = half.edges, half.marginals
        mine = edges.kind == kind
        s = edges.sums.take(mine)
        values = strength(
            KINDS[kind],
            phi=effects(s.a, m.n[s.i], m.n[s.j], positions=m.positions).phi,
            r_topic=edges.r_topic[mine],
            phi_within=edges.phi_within[mine],
        )
        keys = _keys(half, mine)
        keys = keys[np.argsort(-values, kind="stable")]
        ordered.append(keys[_in_both(keys, one, two)])
    size = min(TOP, *(len(keys) for keys in ordered))
    return [keys[:size] for keys in ordered]


def _spearman(x: Floats, y: Floats) -> float | None:
    from scipy.stats import spearmanr

    usable = np.isfinite(x) & np.isfinite(y)
    if usable.sum() < 3:
        return None
    return finite(float(spearmanr(x[usable], y[usable]).statistic))
