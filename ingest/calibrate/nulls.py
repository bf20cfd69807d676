"""Shuffles of codes under which features of one document fire independently of each other.

Both keep how often each feature fires in each document, hence all that is known of topics, and
destroy which tokens it fires on. They work on one shard at a time and depend only on the seed and
the documents' numbers, so every pass over shuffled shards sees the same codes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ingest.calibrate.kernels import count_shared, rotate_documents, trade_documents
from ingest.cooccurrence.sums import document_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from atlas.artifacts import CodeShard

    Read = Callable[[], Iterable[CodeShard]]

#: Global trades of a shuffle. Each halves what is left of a pair's excess of joint firings.
TRADES = 16

#: Documents whose mixing is measured.
MIXING_DOCUMENTS = 64


def trade_rows(codes: CodeShard, *, seed: int, trades: int = TRADES) -> CodeShard:
    """Shuffle firings within documents; each position keeps its L0, each feature its count.

    Every matrix of a document (positions by features) with the same row and column sums is as
    likely as any other, up to mixing. In a global trade the document's positions are paired at
    random, and each pair deals out anew what only one of them holds.

    Parameters
    ----------
    codes
        Whole documents.
    seed
        At least 0.
    trades
        Global trades.

    Notes
    -----
    The curveball algorithm (Strona et al. 2014, Nature Communications 5:4114; uniform by Carstens
    2015, Physical Review E 91:042812) with global trades (Carstens et al. 2018, ESA).
    """
    index, value = codes.index.copy(), codes.value.copy()
    ends = document_ends(codes.document)
    trade_documents(codes.indptr, index, value, ends, codes.document, seed, trades)
    return replace(codes, index=index, value=value)


def shift_features(codes: CodeShard, *, seed: int, d_sae: int) -> CodeShard:
    """Rotate each feature's firings within each document by an independent uniform offset.

    A feature keeps its count and, up to the turn at the end, the distances between its firings.
    Positions do not keep their L0. Given the counts, a_d has mean b_d c_d / T_d exactly and
    documents are independent: the null hypothesis of the within-document test, to the letter.

    Parameters
    ----------
    codes
        Whole documents; rows are taken as neighbours, masked positions left out.
    seed
        At least 0.
    d_sae
        Number of features.
    """
    ends = document_ends(codes.document)
    indptr, index, value = rotate_documents(
        codes.indptr, codes.index, codes.value, ends, codes.document, seed, d_sae
    )
    return replace(codes, indptr=indptr, index=index, value=value)


def traded(read: Read, *, seed: int, trades: int = TRADES) -> Read:
    """Return what yields the shards that `read` yields, each shuffled by `trade_rows`."""

    def shuffled() -> Iterator[CodeShard]:
        for codes in read():
            yield trade_rows(codes, seed=seed, trades=trades)

    return shuffled


def shifted(read: Read, *, seed: int, d_sae: int) -> Read:
    """Return what yields the shards that `read` yields, each shuffled by `shift_features`."""

    def shuffled() -> Iterator[CodeShard]:
        for codes in read():
            yield shift_features(codes, seed=seed, d_sae=d_sae)

    return shuffled


@dataclass(frozen=True)
class Mixing:
    """How far trades have mixed a sample of documents.

    Attributes
    ----------
    documents, firings
        Size of the sample: the first documents of the first shard.
    trades
        Numbers of global trades looked at; the last is twice what the shuffle uses.
    stayed
        Share of firings that their feature has at the same position before and after. It falls
        to what chance alone gives and then stays there.
    mixed
        Whether twice as many trades change the share by no more than half a per cent of the
        firings, or three standard errors where the sample is small.
    """

    documents: int
    firings: int
    trades: tuple[int, ...]
    stayed: tuple[float, ...]
    mixed: bool


def mixing(codes: CodeShard, *, seed: int, trades: int = TRADES) -> Mixing:
    """Measure on some documents whether `trades` are enough."""
    ends = document_ends(codes.document)[:MIXING_DOCUMENTS]
    sample = _first_rows(codes, int(ends[-1]) if len(ends) else 0)
    numbers = (*sorted({2**k for k in range(4) if 2**k < trades}), trades, 2 * trades)
    firings = len(sample.index)
    stayed = []
    for number in numbers:
        moved = trade_rows(sample, seed=seed, trades=number)
        same = count_shared(sample.indptr, sample.index, moved.index)
        stayed.append(same / max(firings, 1))
    noise = math.sqrt(2 * stayed[-1] * (1 - stayed[-1]) / max(firings, 1))
    mixed = abs(stayed[-1] - stayed[-2]) <= max(0.005, 3 * noise)
    return Mixing(len(ends), firings, numbers, tuple(stayed), mixed)


def _first_rows(codes: CodeShard, rows: int) -> CodeShard:
    stop = codes.indptr[rows]
    return replace(
        codes,
        indptr=codes.indptr[: rows + 1],
        index=codes.index[:stop],
        value=codes.value[:stop],
        **{name: getattr(codes, name)[:rows] for name in ("document", "position", "token")},
    )
