"""Which edges between matched features two runs share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from queries.compare.agreement import correlation
from queries.compare.read import DIRECTED, Edges, Side
from queries.compare.result import EdgeChange, KindDiff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from queries.compare.match import Matching

_EMPTY = Edges(np.empty(0, np.int32), np.empty(0, np.int32), *(np.empty(0) for _ in range(3)))


@dataclass(frozen=True)
class _Aligned:
    """The edges of one kind in both runs: rows that are the same edge, or that one run lacks."""

    kind: str
    one: Edges
    two: Edges
    names_a: NDArray[np.int64]
    names_b: NDArray[np.int64]
    kept_a: NDArray[np.intp]
    kept_b: NDArray[np.intp]
    lost: NDArray[np.intp]
    gained: NDArray[np.intp]


def compare_edges(
    a: Side, b: Side, pairs: Matching, *, top: int
) -> tuple[list[KindDiff], list[EdgeChange]]:
    """Compare the edges between matched features, kind by kind.

    Parameters
    ----------
    a, b
        The runs.
    pairs
        Their matched features.
    top
        Most changes listed of each kind and sort (kept, lost, gained).

    Returns
    -------
    kinds, changes
        Counts and correlations; the largest changes, those of one kind together.
    """
    kinds, changes = [], []
    for kind in sorted(a.edges.keys() | b.edges.keys()):
        aligned = _align(kind, a, b, pairs)
        kinds.append(_count(aligned))
        for change in ("kept", "lost", "gained"):
            changes += list(_largest(aligned, change, a, b, pairs, top=top))
    return kinds, changes


def _align(kind: str, a: Side, b: Side, pairs: Matching) -> _Aligned:
    one, two = a.edges.get(kind, _EMPTY), b.edges.get(kind, _EMPTY)
    directed = kind in DIRECTED
    names_a = _names(one, pairs.a, len(a.keys), directed=directed)
    names_b = _names(two, pairs.b, len(b.keys), directed=directed)
    inside_a, inside_b = np.flatnonzero(names_a >= 0), np.flatnonzero(names_b >= 0)
    _, in_a, in_b = np.intersect1d(
        names_a[inside_a], names_b[inside_b], assume_unique=True, return_indices=True
    )
    return _Aligned(
        kind,
        one,
        two,
        names_a,
        names_b,
        kept_a=inside_a[in_a],
        kept_b=inside_b[in_b],
        lost=np.delete(inside_a, in_a),
        gained=np.delete(inside_b, in_b),
    )


def _count(found: _Aligned) -> KindDiff:
    kept_a, kept_b = found.kept_a, found.kept_b
    return KindDiff(
        kind=found.kind,
        kept=len(kept_a),
        lost=len(found.lost),
        gained=len(found.gained),
        outside_a=int((found.names_a < 0).sum()),
        outside_b=int((found.names_b < 0).sum()),
        phi=correlation(found.one.phi[kept_a], found.two.phi[kept_b]),
        npmi=correlation(found.one.npmi[kept_a], found.two.npmi[kept_b]),
        strength=correlation(found.one.strength[kept_a], found.two.strength[kept_b]),
    )


def _names(
    edges: Edges, matched: NDArray[np.int32], features: int, *, directed: bool
) -> NDArray[np.int64]:
    """Return one number for each pair of matched features, the same in both runs; else -1."""
    pair = np.full(features, -1, np.int64)
    pair[matched] = np.arange(len(matched))
    source, target = pair[edges.source], pair[edges.target]
    if not directed:  # which end is listed first depends on the indices, which differ
        source, target = np.minimum(source, target), np.maximum(source, target)
    inside = (source >= 0) & (target >= 0)
    return np.where(inside, source << 32 | target, -1)


def _largest(
    found: _Aligned, change: str, a: Side, b: Side, pairs: Matching, *, top: int
) -> Iterator[EdgeChange]:
    """Yield the largest changes of one sort; of lost and gained edges the strongest."""
    if change == "gained":
        names = found.names_b[found.gained]
    else:
        names = found.names_a[found.kept_a if change == "kept" else found.lost]
    none = np.full(len(names), np.nan)
    before, after = {
        "kept": (found.one.strength[found.kept_a], found.two.strength[found.kept_b]),
        "lost": (found.one.strength[found.lost], none),
        "gained": (none, found.two.strength[found.gained]),
    }[change]
    size = np.abs(np.nan_to_num(after) - np.nan_to_num(before))
    for row in np.lexsort((names, -size))[:top]:
        ends = [int(names[row] >> 32), int(names[row] & 0xFFFFFFFF)]
        (s, t), (u, v) = pairs.a[ends], pairs.b[ends]
        yield EdgeChange(
            kind=found.kind,
            change=change,
            a=(a.keys[s], a.keys[t]),
            b=(b.keys[u], b.keys[v]),
            labels=(a.labels[s], a.labels[t]),
            strength_a=number(before[row]),
            strength_b=number(after[row]),
        )


def number(value: float) -> float | None:
    """Return a float that JSON can hold: None for NaN."""
    return None if np.isnan(value) else float(value)
