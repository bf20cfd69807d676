"""Exact sums over documents for pairs of features.

Row by row: for a feature i, walk the documents in which it fires; within one, count its joint
firings with every other feature, and fold the document's sums into accumulators. Nothing of
size d_sae x d_sae is ever held; a block of rows at a time is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from atlas.artifacts import CodeShard


@dataclass(frozen=True)
class DocumentIndex:
    """Which features fire where, by document.

    Documents are numbered from 0 in the order in which they appear among the rows; one without
    an unmasked position does not appear.

    Attributes
    ----------
    indptr, index
        The codes' rows: int64 ``[rows + 1]``, int32 ``[nnz]``.
    length
        int64 ``[documents]``: T_d, unmasked positions.
    doc_ptr
        int64 ``[documents + 1]``: a document's slice of the next three.
    feature
        int32: the document's features, ascending.
    count
        int64: b_d, the positions where that feature fires in that document.
    row_ptr
        int64 ``[len(feature) + 1]``: slice of `row` with those positions.
    row
        int64: row numbers.
    entry_ptr, entry, entry_doc
        For each feature the places in `feature` where it stands, and their documents.
    """

    indptr: NDArray[np.int64]
    index: NDArray[np.int32]
    length: NDArray[np.int64]
    doc_ptr: NDArray[np.int64]
    feature: NDArray[np.int32]
    count: NDArray[np.int64]
    row_ptr: NDArray[np.int64]
    row: NDArray[np.int64]
    entry_ptr: NDArray[np.int64]
    entry: NDArray[np.int64]
    entry_doc: NDArray[np.int64]


def index_documents(codes: CodeShard, d_sae: int) -> DocumentIndex:
    """Index codes by document and feature; memory about 40 bytes a non-zero code."""
    _, doc_of_row, length = np.unique(codes.document, return_inverse=True, return_counts=True)
    row_of = np.repeat(np.arange(codes.rows), np.diff(codes.indptr))
    order = np.lexsort((row_of, codes.index, doc_of_row[row_of]))
    row = row_of[order]
    doc, feature = doc_of_row[row], codes.index[order]
    new = np.ones(len(order), bool)
    new[1:] = (doc[1:] != doc[:-1]) | (feature[1:] != feature[:-1])
    starts = np.flatnonzero(new)
    row_ptr = np.append(starts, len(order)).astype(np.int64)
    pair_doc, pair_feature = doc[starts], feature[starts]
    doc_ptr = np.searchsorted(pair_doc, np.arange(len(length) + 1)).astype(np.int64)
    entry = np.argsort(pair_feature, kind="stable")
    entry_ptr = np.searchsorted(pair_feature[entry], np.arange(d_sae + 1)).astype(np.int64)
    return DocumentIndex(
        indptr=codes.indptr,
        index=codes.index,
        length=length.astype(np.int64),
        doc_ptr=doc_ptr,
        feature=pair_feature,
        count=np.diff(row_ptr),
        row_ptr=row_ptr,
        row=row,
        entry_ptr=entry_ptr,
        entry=entry,
        entry_doc=pair_doc[entry],
    )


@dataclass(frozen=True)
class Marginals:
    """Sums over documents a feature, and totals.

    Attributes
    ----------
    n, d
        int64 ``[d_sae]``: positions and documents where the feature fires.
    bb, bt
        int64 ``[d_sae]``: sums of b^2 and b T.
    bb_t
        float64 ``[d_sae]``: sum of b^2 / T.
    positions, documents
        N and D (documents with an unmasked position).
    tt
        Sum of T^2.
    """

    n: NDArray[np.int64]
    d: NDArray[np.int64]
    bb: NDArray[np.int64]
    bt: NDArray[np.int64]
    bb_t: NDArray[np.float64]
    positions: int
    documents: int
    tt: int


def marginals(docs: DocumentIndex, d_sae: int) -> Marginals:
    """Sum the per-feature quantities."""
    doc = np.repeat(np.arange(len(docs.length)), np.diff(docs.doc_ptr))
    length = docs.length[doc]
    feature = docs.feature

    def total(values: NDArray[np.int64]) -> NDArray[np.int64]:
        out = np.zeros(d_sae, np.int64)
        np.add.at(out, feature, values)
        return out

    bb_t = np.bincount(feature, weights=docs.count**2 / length, minlength=d_sae)
    return Marginals(
        n=total(docs.count),
        d=np.bincount(feature, minlength=d_sae).astype(np.int64),
        bb=total(docs.count**2),
        bt=total(docs.count * length),
        bb_t=bb_t.astype(np.float64),
        positions=int(docs.length.sum()),
        documents=len(docs.length),
        tt=int((docs.length**2).sum()),
    )


@dataclass(frozen=True)
class PairSums:
    """Sums over documents for pairs (i, j), i < j, one entry a pair.

    With a, b, c the joint firings, firings of i and firings of j in a document of T positions:

    Attributes
    ----------
    i, j
        int32.
    a, d, aa, ab, ac, at, bc
        int64: sums of a, [a > 0], a^2, a b, a c, a T, b c.
    bc_t, abc_t, bbcc_tt
        float64: sums of b c / T, a b c / T, b^2 c^2 / T^2.
    """

    i: NDArray[np.int32]
    j: NDArray[np.int32]
    a: NDArray[np.int64]
    d: NDArray[np.int64]
    aa: NDArray[np.int64]
    ab: NDArray[np.int64]
    ac: NDArray[np.int64]
    at: NDArray[np.int64]
    bc: NDArray[np.int64]
    bc_t: NDArray[np.float64]
    abc_t: NDArray[np.float64]
    bbcc_tt: NDArray[np.float64]


INTEGER_SUMS = ("a", "d", "aa", "ab", "ac", "at", "bc")
FLOAT_SUMS = ("bc_t", "abc_t", "bbcc_tt")


@numba.njit(parallel=True, cache=True)
def _rows(  # noqa: PLR0913, PLR0917 - numba takes arrays, not objects
    first: int,
    integers: NDArray[np.int64],
    floats: NDArray[np.float64],
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    length: NDArray[np.int64],
    doc_ptr: NDArray[np.int64],
    feature: NDArray[np.int32],
    count: NDArray[np.int64],
    row_ptr: NDArray[np.int64],
    row: NDArray[np.int64],
    entry_ptr: NDArray[np.int64],
    entry: NDArray[np.int64],
    entry_doc: NDArray[np.int64],
) -> None:
    """Fill integers ``[block, d_sae, 7]`` and floats ``[block, d_sae, 3]`` for j > i."""
    for r in numba.prange(integers.shape[0]):
        i = first + r
        joint = np.zeros(integers.shape[1], np.int64)
        for e in range(entry_ptr[i], entry_ptr[i + 1]):
            place = entry[e]
            doc = entry_doc[e]
            t = length[doc]
            b = count[place]
            for s in range(row_ptr[place], row_ptr[place + 1]):
                for m in range(indptr[row[s]], indptr[row[s] + 1]):
                    joint[index[m]] += 1
            for other in range(place + 1, doc_ptr[doc + 1]):
                j = feature[other]
                c = count[other]
                a = joint[j]
                integers[r, j, 6] += b * c
                floats[r, j, 0] += b * c / t
                floats[r, j, 2] += (b * c / t) ** 2
                if a > 0:
                    integers[r, j, 0] += a
                    integers[r, j, 1] += 1
                    integers[r, j, 2] += a * a
                    integers[r, j, 3] += a * b
                    integers[r, j, 4] += a * c
                    integers[r, j, 5] += a * t
                    floats[r, j, 1] += a * b * c / t
            for other in range(doc_ptr[doc], doc_ptr[doc + 1]):
                joint[feature[other]] = 0


def pair_sums(
    docs: DocumentIndex, d_sae: int, *, block: int = 64
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.float64]]]:
    """Yield the sums of `block` features at a time with every later feature.

    Yields
    ------
    first
        Index of the block's first feature.
    integers
        int64 ``[block, d_sae, 7]`` in the order of `INTEGER_SUMS`; zero where j <= i.
    floats
        float64 ``[block, d_sae, 3]`` in the order of `FLOAT_SUMS`; zero where j <= i.
    """
    for first in range(0, d_sae, block):
        size = min(block, d_sae - first)
        integers = np.zeros((size, d_sae, len(INTEGER_SUMS)), np.int64)
        floats = np.zeros((size, d_sae, len(FLOAT_SUMS)), np.float64)
        _rows(
            first, integers, floats, docs.indptr, docs.index, docs.length, docs.doc_ptr,
            docs.feature, docs.count, docs.row_ptr, docs.row, docs.entry_ptr, docs.entry,
            docs.entry_doc,
        )  # fmt: skip
        yield first, integers, floats


def select(
    first: int,
    integers: NDArray[np.int64],
    floats: NDArray[np.float64],
    *,
    keep: NDArray[np.bool_],
) -> PairSums:
    """Take the pairs marked in `keep` (bool ``[block, d_sae]``) out of a block of sums."""
    r, j = np.nonzero(keep)
    exact, real = integers[r, j], floats[r, j]
    sums: dict[str, Any] = {name: exact[:, k].copy() for k, name in enumerate(INTEGER_SUMS)}
    sums |= {name: real[:, k].copy() for k, name in enumerate(FLOAT_SUMS)}
    return PairSums(i=(first + r).astype(np.int32), j=j.astype(np.int32), **sums)


def join(parts: list[PairSums]) -> PairSums:
    """Concatenate the pairs of several blocks."""
    names = PairSums.__dataclass_fields__
    return PairSums(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})
