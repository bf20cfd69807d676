"""Which feature of one run is which of another: one to one, by keys, decoders or tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

BLOCK = 2048
"""Features of either side whose similarities are in memory at a time."""

_NONE = -2.0


@dataclass(frozen=True)
class Matching:
    """Pairs of features, one to one.

    Attributes
    ----------
    a, b
        int32 ``[pairs]``: places in the first and in the second list, ascending in `a`.
    score
        float64 ``[pairs]``: how alike they are; 1 for equal keys.
    """

    a: NDArray[np.int32]
    b: NDArray[np.int32]
    score: NDArray[np.float64]


def match_keys(a: Sequence[str], b: Sequence[str]) -> Matching:
    """Match features that have the same key; keys of one list are distinct."""
    place = {key: number for number, key in enumerate(b)}
    pairs = [(i, place[key]) for i, key in enumerate(a) if key in place]
    first, second = (np.array([pair[side] for pair in pairs], np.int32) for side in (0, 1))
    return Matching(first, second, np.ones(len(pairs)))


def match_decoders(
    a: NDArray[np.floating], b: NDArray[np.floating], *, floor: float, block: int = BLOCK
) -> Matching:
    """Match features whose decoder vectors are each other's nearest, by cosine.

    Parameters
    ----------
    a, b
        float ``[features, d_model]``. Vectors of norm 0 match nothing.
    floor
        Smallest cosine of a pair, -1 to 1.
    block
        Features of either side that are multiplied at a time: ``block**2`` floats are held.

    Returns
    -------
    Matching
        With the cosines. Of equally near features the first counts.

    Raises
    ------
    UsageError
        The vectors are of different length, or hold a number that is not finite.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise UsageError(
            f"Decoder vectors of shapes {a.shape} and {b.shape} cannot be compared.",
            hint="Match features of different models by their tokens.",
        )
    left, right = _unit(a), _unit(b)

    def cosines(rows: slice, columns: slice) -> NDArray[np.floating]:
        product: NDArray[np.floating] = left[rows] @ right[columns].T
        product[~left[rows].any(1)] = _NONE
        product[:, ~right[columns].any(1)] = _NONE
        return product

    return mutual_nearest(len(a), len(b), cosines, floor=floor, block=block)


def match_tokens(
    a: Sequence[Mapping[str, float]],
    b: Sequence[Mapping[str, float]],
    *,
    floor: float,
    block: int = BLOCK,
) -> Matching:
    """Match features that fire on the same tokens, each the other's most alike.

    A feature is the vector of its tokens, each weighted by its share of the feature's score and
    by how few features have it (the inverse document frequency of text retrieval); features are
    compared by cosine. Other tokenizers do not matter, since tokens are compared as text.

    Parameters
    ----------
    a, b
        For each feature, token -> score above 0.
    floor
        Smallest cosine of a pair, 0 to 1. Features without a token in common never match.
    block
        Features of either side that are compared at a time.

    Returns
    -------
    Matching
        With the cosines. Of equally alike features the first counts.
    """
    vocabulary = {token: n for n, token in enumerate(sorted({t for x in (*a, *b) for t in x}))}
    counts = np.zeros(len(vocabulary))
    for tokens in (*a, *b):
        counts[[vocabulary[token] for token in tokens]] += 1
    rarity = np.log1p((len(a) + len(b)) / np.maximum(counts, 1))
    left, right = (_token_rows(side, vocabulary, rarity) for side in (a, b))

    def cosines(rows: slice, columns: slice) -> NDArray[np.floating]:
        product: NDArray[np.floating] = (left[rows] @ right[columns].T).toarray()
        return np.where(product > 0, product, _NONE)

    return mutual_nearest(len(a), len(b), cosines, floor=floor, block=block)


def mutual_nearest(
    n_a: int,
    n_b: int,
    similarity: Callable[[slice, slice], NDArray[np.floating]],
    *,
    floor: float,
    block: int = BLOCK,
) -> Matching:
    """Return the pairs that are each other's nearest and at least `floor` alike.

    Parameters
    ----------
    n_a, n_b
        Features of the two sides.
    similarity
        Similarities of some rows with some columns, ``[rows, columns]``.
    floor
        Smallest similarity of a pair.
    block
        Rows and columns asked for at a time.
    """
    row = np.full(n_a, -np.inf), np.full(n_a, -1, np.int32)
    column = np.full(n_b, -np.inf), np.full(n_b, -1, np.int32)
    for low in range(0, n_a, block):
        rows = slice(low, min(low + block, n_a))
        for left in range(0, n_b, block):
            columns = slice(left, min(left + block, n_b))
            found = similarity(rows, columns)
            _keep(row, rows, found, first=left)
            _keep(column, columns, found.T, first=low)
    score, nearest = row
    a = np.flatnonzero((nearest >= 0) & (score >= floor) & (score > _NONE))
    a = a[column[1][nearest[a]] == a]
    return Matching(a.astype(np.int32), nearest[a], score[a].astype(np.float64))


def _keep(
    best: tuple[NDArray[np.floating], NDArray[np.int32]],
    place: slice,
    found: NDArray[np.floating],
    *,
    first: int,
) -> None:
    """Take over what is nearer than before; earlier columns were seen before, so they stay."""
    score, index = best
    nearest = found.argmax(1)
    value = np.take_along_axis(found, nearest[:, None], 1)[:, 0]
    better = value > score[place]
    score[place] = np.where(better, value, score[place])
    index[place] = np.where(better, nearest + first, index[place])


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return float32 vectors of norm 1, or 0 where there is nothing to scale."""
    wide = np.asarray(vectors, np.float32)
    if not np.isfinite(wide).all():
        raise UsageError(
            "A decoder vector holds a number that is not finite.",
            hint="Load the build of a sound SAE.",
        )
    largest = np.abs(wide).max(1, initial=0.0, keepdims=True)
    scaled = wide / np.where(largest > 0, largest, 1)  # so that no square underflows
    norm = np.linalg.norm(scaled, axis=1, keepdims=True)
    unit: NDArray[np.floating] = scaled / np.where(norm > 0, norm, 1)
    return unit


def _token_rows(
    features: Sequence[Mapping[str, float]],
    vocabulary: Mapping[str, int],
    rarity: NDArray[np.float64],
) -> csr_array:
    from scipy.sparse import csr_array

    lengths = [len(tokens) for tokens in features]
    columns = np.array([vocabulary[t] for tokens in features for t in tokens], np.int32)
    scores = np.array([score for tokens in features for score in tokens.values()], np.float64)
    row = np.repeat(np.arange(len(features)), lengths)
    total = np.bincount(row, scores, len(features))
    values = scores / np.where(total[row] > 0, total[row], 1) * rarity[columns]
    norm = np.sqrt(np.bincount(row, values**2, len(features)))
    values /= np.where(norm[row] > 0, norm[row], 1)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return csr_array((values, columns, starts), shape=(len(features), len(vocabulary)))
