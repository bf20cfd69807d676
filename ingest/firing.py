"""What a feature fires on: activation moments, tokens, strongest contexts, domains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from atlas.artifacts import CodeShard
    from ingest.cooccurrence.pairs import DocumentIndex


@dataclass(frozen=True)
class ActivationMoments:
    """Moments of the activation over the positions where a feature fires; NaN where none.

    Attributes
    ----------
    mean, std, max
        float64 ``[d_sae]``; std is the population standard deviation.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    max: NDArray[np.float64]


def activation_moments(codes: CodeShard, d_sae: int) -> ActivationMoments:
    """Compute the moments in float64."""
    value = codes.value.astype(np.float64)
    n = np.bincount(codes.index, minlength=d_sae)
    total = np.bincount(codes.index, weights=value, minlength=d_sae)
    largest = np.full(d_sae, -np.inf)
    np.maximum.at(largest, codes.index, value)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / n
        deviation = (value - mean[codes.index]) ** 2
        std = np.sqrt(np.bincount(codes.index, weights=deviation, minlength=d_sae) / n)
    return ActivationMoments(mean, std, np.where(n > 0, largest, np.nan))


@dataclass(frozen=True)
class TokenLift:
    """The tokens that mark a feature, a row each, ordered by feature, then rank.

    Attributes
    ----------
    feature, token
        int64.
    rank
        int64 from 1.
    n
        int64: positions of that token where the feature fires.
    share
        float64: n over the feature's firings.
    score
        float64: share * log2(P(token | fires) / P(token)), the token's part of the information
        that a firing gives about the token.
    """

    feature: NDArray[np.int64]
    token: NDArray[np.int64]
    rank: NDArray[np.int64]
    n: NDArray[np.int64]
    share: NDArray[np.float64]
    score: NDArray[np.float64]


def token_lift(codes: CodeShard, d_sae: int, *, top: int = 10, min_count: int = 2) -> TokenLift:
    """Find the `top` tokens of each feature by score, of those with lift > 1.

    A token must have at least `min_count` firings, unless the feature has fewer in all.
    """
    vocabulary = int(codes.token.max(initial=0)) + 1
    row_token = codes.token.astype(np.int64)
    token = np.repeat(row_token, np.diff(codes.indptr))
    ones = np.ones(len(token), np.int64)
    counts = sparse.coo_matrix((ones, (codes.index, token)), shape=(d_sae, vocabulary)).tocsr()
    counts.sum_duplicates()
    feature = np.repeat(np.arange(d_sae), np.diff(counts.indptr))
    fired = np.bincount(codes.index, minlength=d_sae)[feature]
    share = counts.data / fired
    base = np.bincount(row_token, minlength=vocabulary)[counts.indices] / max(codes.rows, 1)
    score = share * np.log2(share / base)
    keep = (score > 0) & (counts.data >= np.minimum(min_count, fired))
    kept = np.flatnonzero(keep)
    order = kept[np.lexsort((counts.indices[kept], -score[kept], feature[kept]))]
    f = feature[order]
    rank = np.arange(len(f)) - np.searchsorted(f, f) + 1
    best = order[rank <= top]
    return TokenLift(
        feature=feature[best],
        token=counts.indices[best].astype(np.int64),
        rank=rank[rank <= top],
        n=counts.data[best],
        share=share[best],
        score=score[best],
    )


@dataclass(frozen=True)
class Firings:
    """The strongest firing of each feature in each of its strongest documents, a row each.

    Attributes
    ----------
    feature
        int64, ascending.
    rank
        int64 from 1, by falling activation; ties go to the earlier row.
    row
        int64: row of the codes.
    value
        float32: activation there.
    """

    feature: NDArray[np.int64]
    rank: NDArray[np.int64]
    row: NDArray[np.int64]
    value: NDArray[np.float32]


def strongest_firings(codes: CodeShard, *, top: int) -> Firings:
    """Find for each feature its `top` documents by largest activation, one position each."""
    row_of = np.repeat(np.arange(codes.rows), np.diff(codes.indptr))
    document = codes.document[row_of]
    order = np.lexsort((row_of, -codes.value, document, codes.index))
    f, d = codes.index[order], document[order]
    first = np.ones(len(order), bool)
    first[1:] = (f[1:] != f[:-1]) | (d[1:] != d[:-1])
    best = order[first]
    again = np.lexsort((row_of[best], -codes.value[best], codes.index[best]))
    best = best[again]
    feature = codes.index[best].astype(np.int64)
    rank = np.arange(len(best)) - np.searchsorted(feature, feature) + 1
    take = rank <= top
    return Firings(feature[take], rank[take], row_of[best[take]], codes.value[best[take]])


def top_domains(
    docs: DocumentIndex, domain_of: NDArray[np.object_], d_sae: int
) -> tuple[list[str | None], NDArray[np.float64]]:
    """Name each feature's most distinctive domain.

    Parameters
    ----------
    docs
        Documents and the features that fire in them.
    domain_of
        Domain of each of these documents, or None.
    d_sae
        Number of features.

    Returns
    -------
    names
        The domain with the largest share * log2(lift) of the feature's documents; None where
        the feature is dead or no domain is known.
    shares
        float64 ``[d_sae]``: its share of the feature's documents; NaN where there is none.
    """
    known = sorted({d for d in domain_of if d is not None})
    code = {name: i for i, name in enumerate(known)}
    of_doc = np.array([code.get(d, -1) for d in domain_of], np.int64)
    doc = np.repeat(np.arange(len(docs.length)), np.diff(docs.doc_ptr))
    labelled = of_doc[doc] >= 0
    table = np.zeros((d_sae, max(len(known), 1)))
    np.add.at(table, (docs.feature[labelled], of_doc[doc][labelled]), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = table / table.sum(axis=1, keepdims=True)
        base = np.bincount(of_doc[of_doc >= 0], minlength=table.shape[1]) / max(
            (of_doc >= 0).sum(), 1
        )
        score = np.where(table > 0, share * np.log2(share / base), -np.inf)
    best = score.argmax(axis=1)
    there = (table.sum(axis=1) > 0) & bool(known)
    names = [known[b] if ok else None for b, ok in zip(best, there, strict=True)]
    return names, np.where(there, share[np.arange(d_sae), best], np.nan)
