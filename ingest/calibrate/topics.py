"""Topic correlations where no two features share topics: documents are permuted a feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atlas.artifacts import writing
from ingest.calibrate.kept import TOPIC_FLOORS
from ingest.calibrate.kernels import permute_excess
from ingest.cooccurrence.engine import panels
from ingest.cooccurrence.index import reserve
from ingest.significance import benjamini_hochberg, correlation_p

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ingest.cooccurrence.index import PairIndex
    from ingest.cooccurrence.search import Rules
    from ingest.cooccurrence.sums import Marginals

    Floats = NDArray[np.float32]

#: Documents of a stratum, among which a feature's are permuted; None permutes over all.
STRATA: dict[str, int | None] = {"documents": None, "like-length": 50}


@dataclass(frozen=True)
class Permuted:
    """One permutation of the documents of every feature.

    Attributes
    ----------
    null, seed
        Which permutation: a name in `STRATA`.
    strata
        Number of strata of documents.
    most
        Largest topic correlation of a tested pair; None without pairs.
    floors
        Tested pairs from each floor of `TOPIC_FLOORS` on.
    found
        Pairs that floor and test of the run call topic edges, token edges not taken out.
    past
        Pairs past the floor whose p is at most that of the data's weakest topic edge.
    """

    null: str
    seed: int
    strata: int
    most: float | None
    floors: tuple[int, ...]
    found: int
    past: int


def strata_of(length: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], ...]:
    """Cut documents into strata of like length, at least `size` each (fewer if there are fewer).

    Returns
    -------
    order, cuts
        int64: documents by length, and where in `order` each stratum begins, with the end.
    """
    order = np.argsort(length, kind="stable").astype(np.int64)
    number = max(len(length) // size, 1)
    cuts = np.linspace(0, len(length), number + 1).astype(np.int64)
    return order, cuts


def permuted_topics(
    index: PairIndex,
    m: Marginals,
    *,
    rules: Rules,
    cut: float,
    seed: int,
    scratch: Path,
    null: str = "documents",
) -> Permuted:
    """Permute each feature's excess of firings over documents, or those of like length; correlate.

    The excess is e_id = (b_d - p_i T_d) / sqrt(T_d), of which r_topic is the correlation. Each
    feature keeps its values of e, hence its variance and its bursts; which documents of a stratum
    have them is chosen anew. Long documents have larger |e| for every feature, which alone
    spreads r_topic more widely than Fisher's z says; strata of like length keep that. They also
    keep what kinds of text that differ in length have in common, which is a topic after all.

    Parameters
    ----------
    index, m
        Counts by document, and marginals, of the data.
    rules
        Floors and false-discovery rate.
    cut
        p of the data's weakest topic edge.
    seed
        At least 0.
    scratch
        Folder for a file of float32 ``[ranks, documents]``, removed at the end.
    null
        A name in `STRATA`. Of a true correlation, 1 / (documents of a stratum) is kept.
    """
    order, cuts = strata_of(index.length, STRATA[null] or len(index.length))
    path = scratch / "permuted.bin"
    shape = (len(index.ranking.order), len(order))
    with writing(path, path):
        reserve(path, 4 * shape[0] * shape[1])
        out = np.memmap(path, dtype=np.float32, mode="r+", shape=shape)
    rate, scale = _rate_and_scale(index, m)
    permute_excess(index.count, index.length, rate, scale, order, cuts, seed, out)
    found = _count(out, index, m, rules=rules, cut=cut)
    del out
    path.unlink()
    return Permuted(null, seed, len(cuts) - 1, *found)


def _rate_and_scale(
    index: PairIndex, m: Marginals
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    order = index.ranking.order
    spread = np.sqrt(m.topic_variance[order])
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    return m.n[order] / max(m.positions, 1), scale


def _count(
    excess: Floats, index: PairIndex, m: Marginals, *, rules: Rules, cut: float
) -> tuple[float | None, tuple[int, ...], int, int]:
    """Count the tested pairs by their correlations, a panel of features at a time."""
    options, ranking = rules.options, index.ranking
    floors = np.zeros(len(TOPIC_FLOORS), np.int64)
    most, high = -np.inf, []
    for first, last, width in panels(ranking):
        r = excess[first:last] @ excess[:width].T
        r[np.arange(width) >= ranking.limit[first:last, None]] = -np.inf
        most = max(most, float(r.max()))
        r = r[r >= min(options.min_topic, *TOPIC_FLOORS)].astype(np.float64)
        floors += [np.count_nonzero(r >= floor) for floor in TOPIC_FLOORS]
        high.append(r[r >= options.min_topic])
    p = correlation_p(np.concatenate(high or [np.zeros(0)]), m.documents)
    found = int((benjamini_hochberg(p, max(ranking.tested, len(p))) <= options.fdr).sum())
    past = int((p <= cut).sum())
    return (most if np.isfinite(most) else None), tuple(floors.tolist()), found, past
