"""Additive sums: what is counted a feature and a pair, and how two parts' counts merge.

Every number here is a sum over documents, so that sums over disjoint sets of documents merge by
addition: integers exactly, floats to rounding, whatever the split, the order and the number of
workers. Firing rates enter only when the tests are computed from the merged sums.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeVar

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from atlas.artifacts import CodeShard

Integer = TypeVar("Integer", bound="np.integer")

#: Upper edges of the strata of positions within a block; the last is open. The first positions
#: after BOS differ most, so the strata grow with the position.
STRATA = (1, 2, 4, 8, 16, 32, 64, 128)


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
    v, vv
        float64 ``[d_sae]``: sums of the activation and of its square.
    v_max
        float32 ``[d_sae]``: largest activation, 0 where the feature is dead.
    at
        int64 ``[strata, d_sae]``: firings by stratum of the position in its block.
    positions, documents
        N and D (documents with an unmasked position).
    tt, longest
        Sum of T^2, and the largest T.
    positions_at
        int64 ``[strata]``: positions by stratum.
    """

    n: NDArray[np.int64]
    d: NDArray[np.int64]
    bb: NDArray[np.int64]
    bt: NDArray[np.int64]
    bb_t: NDArray[np.float64]
    v: NDArray[np.float64]
    vv: NDArray[np.float64]
    v_max: NDArray[np.float32]
    at: NDArray[np.int64]
    positions: int
    documents: int
    tt: int
    longest: int
    positions_at: NDArray[np.int64]

    def __add__(self, other: Marginals) -> Marginals:
        """Merge the marginals of two disjoint sets of documents."""
        values = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        values["v_max"] = np.maximum(self.v_max, other.v_max)
        values["longest"] = max(self.longest, other.longest)
        return Marginals(**values)

    @property
    def topic_variance(self) -> NDArray[np.float64]:
        """V_i = sum b^2 / T - N p_i^2, the variance behind r_topic: float64 ``[d_sae]``."""
        return np.maximum(self.bb_t - self.n.astype(np.float64) ** 2 / max(self.positions, 1), 0.0)


def marginals(codes: CodeShard, d_sae: int, *, block: int = 0) -> Marginals:
    """Sum the per-feature quantities of some whole documents.

    Parameters
    ----------
    codes
        Codes in document order.
    d_sae
        Number of features.
    block
        Positions of a document in one block of the forward pass; 0 where a document is one block.
    """
    ends = document_ends(codes.document)
    in_block = codes.position % block if block else codes.position
    stratum = np.searchsorted(STRATA, in_block, side="right").astype(np.int64)
    length = np.diff(ends, prepend=0)
    integers, floats, largest, at = _marginals(
        codes.indptr, codes.index, codes.value, ends, stratum, d_sae, len(STRATA) + 1
    )
    return Marginals(
        n=integers[0],
        d=integers[1],
        bb=integers[2],
        bt=integers[3],
        bb_t=floats[0],
        v=floats[1],
        vv=floats[2],
        v_max=largest,
        at=at,
        positions=codes.rows,
        documents=len(ends),
        tt=int((length**2).sum()),
        longest=int(length.max(initial=0)),
        positions_at=np.bincount(stratum, minlength=len(STRATA) + 1).astype(np.int64),
    )


def document_ends(document: NDArray[np.int32]) -> NDArray[np.int64]:
    """Row after the last of each document, for rows in document order: int64 ``[documents]``."""
    if len(document) == 0:
        return np.zeros(0, np.int64)
    return np.append(np.flatnonzero(np.diff(document)) + 1, len(document)).astype(np.int64)


@numba.njit(cache=True)
def _marginals(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    value: NDArray[np.float32],
    ends: NDArray[np.int64],
    stratum: NDArray[np.int64],
    d_sae: int,
    strata: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float32], NDArray[np.int64]]:
    integers = np.zeros((4, d_sae), np.int64)
    floats = np.zeros((3, d_sae), np.float64)
    largest = np.zeros(d_sae, np.float32)
    at = np.zeros((strata, d_sae), np.int64)
    count = np.zeros(d_sae, np.int64)
    seen = np.empty(d_sae, np.int64)
    row = 0
    for end in ends:
        t = end - row
        found = 0
        for r in range(row, end):
            for p in range(indptr[r], indptr[r + 1]):
                i, v = index[p], value[p]
                if count[i] == 0:
                    seen[found] = i
                    found += 1
                count[i] += 1
                at[stratum[r], i] += 1
                floats[1, i] += v
                floats[2, i] += np.float64(v) * v
                largest[i] = max(largest[i], v)
        for k in range(found):
            i = seen[k]
            b = count[i]
            integers[0, i] += b
            integers[1, i] += 1
            integers[2, i] += b * b
            integers[3, i] += b * t
            floats[0, i] += b * b / t
            count[i] = 0
        row = end
    return integers, floats, largest, at


@dataclass(frozen=True)
class PairSums:
    """Sums over documents for pairs (i, j), one entry a pair.

    With a, b, c the joint firings, firings of i and firings of j in a document of T positions:

    Attributes
    ----------
    i, j
        int32: feature indices; i < j within one SAE, i of the first SAE where two are joined.
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

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.i)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> PairSums:
        """Return some of the pairs."""
        return PairSums(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


INTEGER_SUMS = ("a", "d", "aa", "ab", "ac", "at", "bc")
FLOAT_SUMS = ("bc_t", "abc_t", "bbcc_tt")
SUMS = INTEGER_SUMS + FLOAT_SUMS


def join(parts: Sequence[PairSums]) -> PairSums:
    """Concatenate the sums of different pairs."""
    names = [f.name for f in fields(PairSums)]
    return PairSums(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def merge(parts: Sequence[PairSums]) -> PairSums:
    """Add the sums of disjoint sets of documents; the result is ordered by (i, j).

    A pair that a part does not list had no joint sums there.
    """
    every = join(parts)
    key = every.i.astype(np.int64) << 32 | every.j.astype(np.int64)
    unique, where = np.unique(key, return_inverse=True)
    summed = {}
    for name in SUMS:
        values = getattr(every, name)
        summed[name] = np.zeros(len(unique), values.dtype)
        np.add.at(summed[name], where, values)
    i, j = (unique >> 32).astype(np.int32), (unique & 0xFFFFFFFF).astype(np.int32)
    return PairSums(i=i, j=j, **summed)


def rarer_first(
    n: NDArray[np.int64], i: NDArray[Integer], j: NDArray[Integer]
) -> tuple[NDArray[Integer], NDArray[Integer], NDArray[np.bool_]]:
    """Turn pairs round where j fires less often than i.

    Whoever walks over the firings of a pair does so over the rarer feature's.

    Parameters
    ----------
    n
        Firings of each feature.
    i, j
        The pairs.

    Returns
    -------
    rarer, other
        The features of each pair, in the order in which the pairs were given.
    turned
        Whether the rarer one is j.
    """
    turned = n[j] < n[i]
    return np.where(turned, j, i), np.where(turned, i, j), turned


@dataclass(frozen=True)
class ValueSums:
    """Sums over the positions where both features of a pair fire, float64, one entry a pair.

    Attributes
    ----------
    ij, i, j, ii, jj
        Sums of v_i v_j, v_i, v_j, v_i^2, v_j^2 (v is the activation).
    """

    ij: NDArray[np.float64]
    i: NDArray[np.float64]
    j: NDArray[np.float64]
    ii: NDArray[np.float64]
    jj: NDArray[np.float64]

    def __add__(self, other: ValueSums) -> ValueSums:
        """Merge the sums of the same pairs over two disjoint sets of documents."""
        return ValueSums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))
