"""Rank tests of many sparse scores against many groups of documents, within strata.

For one feature and one group the statistic is van Elteren's: Wilcoxon's rank sum in each stratum,
weighted by 1 / (N + 1) (P. van Elteren, Bulletin of the International Statistical Institute 37,
1960). With one stratum it is the Mann-Whitney U. Most documents score 0, so only the others are
sorted and everything else follows from how many there are; no array of features by documents is
made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Below this skewness a gamma distribution is a normal one.
_STRAIGHT = 1e-4


@dataclass(frozen=True)
class RankTests:
    """Tests of features against groups, float64 ``[features, groups]`` each.

    Attributes
    ----------
    auc
        Probability that a document of the group scores higher than another of its stratum, ties
        counting half; NaN where no stratum holds both.
    z
        Standardised rank sum, positive where the group scores higher; NaN without variance.
    skewness
        Of the rank sum under the null.
    """

    auc: Floats
    z: Floats
    skewness: Floats

    @property
    def p(self) -> Floats:
        """One-sided p of higher scores in the group; 1 where z is NaN."""
        return upper_p(self.z, self.skewness)


def rank_tests(
    scores: sparse.csr_matrix, member: sparse.csr_matrix, *, stratum: NDArray[np.int64]
) -> RankTests:
    """Test whether documents of a group score higher than the others of their strata.

    Under the null every document of a stratum is as likely to belong to the group as any other.
    The first three moments of the statistic are those of that permutation distribution: a group
    is a sample without replacement from the stratum's mid-ranks, of which ties (zeros most of
    all) leave less variance and more skewness.

    Parameters
    ----------
    scores
        float64 ``[features, documents]``, entries above 0.
    member
        ``[documents, groups]``, 1 where a document belongs to a group.
    stratum
        int64 ``[documents]``, from 0.

    Returns
    -------
    RankTests
    """
    sizes = np.bincount(stratum).astype(np.float64)
    one = sparse.csr_matrix(
        (np.ones(len(stratum)), (stratum, np.arange(len(stratum)))),
        shape=(len(sizes), len(stratum)),
    )
    inside = np.asarray((one @ member).todense(), np.float64)  # [strata, groups]
    outside = sizes[:, None] - inside
    weight = 1.0 / (sizes + 1.0)
    ranks = _ranks(scores, stratum, sizes)
    above = sparse.csr_matrix(
        (ranks.above_zeros * weight[stratum[scores.indices]], scores.indices, scores.indptr),
        shape=scores.shape,
    )
    total = np.asarray((above @ member).todense(), np.float64)
    total += ranks.of_zeros @ (weight[:, None] * inside)
    total -= (weight[:, None] * inside * (inside + 1) / 2).sum(axis=0)
    pairs = (weight[:, None] * inside * outside).sum(axis=0)
    variance = ranks.squares @ (weight[:, None] ** 2 * inside * outside * _inverse(sizes, 2))
    third = ranks.cubes @ (
        weight[:, None] ** 3 * inside * outside * (outside - inside) * _inverse(sizes, 3)
    )
    # What is left of a variance of 0 by rounding is no variance.
    variance[variance <= 1e-9 * pairs] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        return RankTests(
            auc=np.where(pairs > 0, total / pairs, np.nan),
            z=(total - pairs / 2) / np.sqrt(variance),
            skewness=third / variance**1.5,
        )


def upper_p(z: Floats, skewness: Floats) -> Floats:
    """P of at least `z` in a standardised Pearson type III distribution; 1 where z is NaN.

    It is a shifted gamma distribution. Where groups are small or few documents score at all, a
    rank sum is skewed, and its normal p may be wrong by a factor of a million.
    """
    from scipy.special import gammainc, gammaincc, ndtr

    p = ndtr(-z)
    bent = np.isfinite(z) & (np.abs(skewness) > _STRAIGHT)
    skew = skewness[bent]
    shape = 4.0 / skew**2
    at = np.maximum(shape + 2.0 * z[bent] / skew, 0.0)
    p[bent] = np.where(skew > 0, gammaincc(shape, at), gammainc(shape, at))
    return np.where(np.isnan(p), 1.0, p)


def length_strata(
    length: NDArray[np.int64], *, most: int = 20, smallest: int = 50
) -> NDArray[np.int64]:
    """Cut documents into numbered strata of like length; equal lengths are in one stratum.

    A feature fires somewhere in most long documents and in few short ones, whatever they are
    about. Among documents of like length that is no difference.

    Parameters
    ----------
    length
        int64 ``[documents]``: positions.
    most
        Strata at most.
    smallest
        Documents of a stratum, about; a corpus of fewer is one stratum.

    Returns
    -------
    int64 ``[documents]``, from 0 without gaps.
    """
    number = int(np.clip(len(length) // smallest, 1, most))
    cuts = np.quantile(length, np.arange(1, number) / number) if len(length) else np.zeros(0)
    return np.unique(np.searchsorted(cuts, length, side="right"), return_inverse=True)[1].astype(
        np.int64
    )


@dataclass(frozen=True)
class _Ranks:
    """Mid-ranks of features' scores within strata.

    Attributes
    ----------
    above_zeros
        float64, one for each entry of the scores: its mid-rank less that of the zeros.
    of_zeros
        float64 ``[features, strata]``: mid-rank of the zeros.
    squares, cubes
        float64 ``[features, strata]``: sums over all documents of a stratum of (rank - mean)^2
        and ^3.
    """

    above_zeros: Floats
    of_zeros: Floats
    squares: Floats
    cubes: Floats


def _ranks(scores: sparse.csr_matrix, stratum: NDArray[np.int64], sizes: Floats) -> _Ranks:
    shape = (scores.shape[0], len(sizes))
    feature = np.repeat(np.arange(shape[0]), np.diff(scores.indptr))
    cell = feature * shape[1] + stratum[scores.indices]
    order = np.lexsort((scores.data, cell))
    fired = np.bincount(cell, minlength=shape[0] * shape[1])
    zeros = (np.tile(sizes, shape[0]) - fired).astype(np.float64)
    middle = (np.tile(sizes, shape[0]) + 1) / 2
    rank = np.empty(len(order))
    rank[order] = _mid_ranks(cell[order], scores.data[order], np.cumsum(fired) - fired)
    rank += zeros[cell]
    of_zeros = np.where(zeros > 0, (zeros + 1) / 2, 0.0)

    def moment(power: int) -> Floats:
        mine = np.bincount(cell, (rank - middle[cell]) ** power, minlength=len(zeros))
        return np.asarray(mine + zeros * (of_zeros - middle) ** power).reshape(shape)

    return _Ranks(rank - of_zeros[cell], of_zeros.reshape(shape), moment(2), moment(3))


def _mid_ranks(cell: NDArray[np.int64], value: Floats, begins: NDArray[np.int64]) -> Floats:
    """Rank values that are sorted by cell, then value, from 1 within each cell."""
    new = np.ones(len(cell), np.bool_)
    new[1:] = (cell[1:] != cell[:-1]) | (value[1:] != value[:-1])
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(cell)) - 1
    middle = (first + last) / 2 + 1
    return np.asarray(middle[np.cumsum(new) - 1] - begins[cell])


def _inverse(sizes: Floats, count: int) -> Floats:
    """1 / (N (N - 1) ...), `count` factors, as a column; 0 where a stratum has fewer documents."""
    product = np.prod([sizes - k for k in range(count)], axis=0)
    inverse = np.divide(1.0, product, out=np.zeros_like(sizes), where=sizes >= count)
    return np.asarray(inverse[:, None])
