"""Which decoder vectors point the same way, by blocks: nothing of size d_sae x d_sae is held.

Candidates come from single-precision products and their cosines are computed anew in double
precision, so that ranks do not depend on the size of a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np
import torch

from atlas.errors import ModelError
from ingest.nearest import nearest_candidates, wide_device

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from atlas.progress import Reporter

    Floats = NDArray[np.float64]
    Indices = NDArray[np.int32]

#: Features of a block; products of two blocks take 16 MiB.
BLOCK = 2048
#: Numbers of each factor of `_dots` at a time.
CHUNK = 1 << 22


@dataclass(frozen=True)
class Similar:
    """Neighbours of each feature by decoder cosine, ordered by feature, then rank.

    Attributes
    ----------
    i, j
        int32: the feature, and its neighbour.
    cosine
        float64.
    rank
        int32: 1 is the nearest; ties go to the lower index.
    features
        Number of features, those without neighbours included.
    """

    i: Indices
    j: Indices
    cosine: Floats
    rank: Indices
    features: int


@dataclass(frozen=True)
class Near:
    """Pairs of features whose decoder vectors are near, ordered by (i, j), i < j.

    Attributes
    ----------
    i, j
        int32.
    cosine
        float64.
    cap
        Most pairs that each feature brings in.
    capped
        Number of features that have more near ones than `cap`. A pair is kept where it is among
        the nearest `cap` of either feature, so that nothing is left out where this is 0.
    """

    i: Indices
    j: Indices
    cosine: Floats
    cap: int
    capped: int


def similar_features(
    w_dec: torch.Tensor, *, k: int, block: int = BLOCK, reporter: Reporter | None = None
) -> Similar:
    """Find each feature's `k` nearest by decoder cosine; those of norm 0 have none and are none.

    Parameters
    ----------
    w_dec
        float ``[d_sae, d_model]``.
    k
        Neighbours of a feature.
    block
        Features whose vectors are multiplied at a time.
    reporter
        Told of the features done.

    Raises
    ------
    ModelError
        The decoder holds a number that is not finite.
    """
    i, j = nearest_candidates(w_dec, k=k, block=block, reporter=reporter)
    cosine = pair_cosines(w_dec, i, j)
    order = np.lexsort((j, -np.round(cosine, 12), i))  # equal up to rounding is a tie
    i, j, cosine = i[order], j[order], cosine[order]
    rank = (np.arange(len(i)) - np.searchsorted(i, i) + 1).astype(np.int32)
    found = Similar(i, j, cosine, rank, len(w_dec))
    return _take(found, rank <= k)


def near_among(found: Similar, *, min_cosine: float, cap: int = 64) -> Near:
    """Find the pairs with a decoder cosine of at least `min_cosine` among known neighbours.

    Parameters
    ----------
    found
        More than `cap` neighbours of each feature, where it has so many.
    min_cosine
        Above -1.
    cap
        Near features kept of each one, the nearest; see `Near.capped`.
    """
    found = _take(found, found.cosine >= min_cosine)
    capped = int((np.bincount(found.i, minlength=1) > cap).sum())
    found = _take(found, found.rank <= cap)
    low, high, first, _ = _unordered(found)
    return Near(low, high, found.cosine[first], cap, capped)


def pair_cosines(w_dec: torch.Tensor, i: Indices, j: Indices) -> Floats:
    """Return decoder cosines of given pairs; NaN where a norm is 0.

    Parameters
    ----------
    w_dec
        float ``[d_sae, d_model]``.
    i, j
        Features of each pair.

    Returns
    -------
    float64 ``[pairs]``, the same for (i, j) and (j, i).
    """
    return _dots(w_dec, w_dec, i, j)[1]


def feeds_weights(
    w_dec_early: torch.Tensor, w_enc_late: torch.Tensor, i: Indices, j: Indices
) -> tuple[Floats, Floats]:
    """Return what earlier features write along the directions that later ones read.

    Parameters
    ----------
    w_dec_early
        float ``[d_sae of the earlier SAE, d_model]``.
    w_enc_late
        float ``[d_model, d_sae of the later SAE]``.
    i, j
        Earlier and later feature of each pair.

    Returns
    -------
    weight, cosine
        float64 ``[pairs]``: W_dec[i] . W_enc[:, j], and the same over both norms; the cosine is
        NaN where a norm is 0.

    Raises
    ------
    ModelError
        The SAEs read streams of different width.
    """
    if w_dec_early.shape[1] != w_enc_late.shape[0]:
        raise ModelError(
            f"The earlier SAE writes vectors of {w_dec_early.shape[1]} numbers, the later one reads"
            f" {w_enc_late.shape[0]}.",
            hint="Take two SAEs of one model.",
        )
    # Rows are gathered many times each: one copy with whole rows costs less.
    return _dots(w_dec_early, w_enc_late.T.contiguous(), i, j)


def table_of(found: Similar, sae_key: str, *, k: int) -> pa.Table:
    """Make the rows of SIMILAR_TO: pairs that are among the `k` nearest of either feature.

    Parameters
    ----------
    found
        At least `k` neighbours of each feature, where it has so many.
    sae_key
        Key of the SAE; a feature's key is ``{sae_key}/{index}``.
    k
        Neighbours of a feature.

    Returns
    -------
    pyarrow.Table
        Of the schema ``similar``: one row a pair, the lower index is the source, ordered by both
        indices. ``rank_source`` is the target's rank among the source's neighbours, null where it
        is none of them; ``mutual`` says that both ranks are there.
    """
    import pyarrow as pa

    from atlas.schemas import schema

    found = _take(found, found.rank <= k)
    low, high, first, pair = _unordered(found)
    rank = np.zeros((2, len(low)), np.int32)
    rank[(found.i > found.j).astype(int), pair] = found.rank
    keys = pa.array([f"{sae_key}/{index}" for index in range(found.features)], pa.string())
    columns = {
        "source": keys.take(pa.array(low)),
        "target": keys.take(pa.array(high)),
        "cosine": found.cosine[first],
        "rank_source": pa.array(rank[0], mask=rank[0] == 0),
        "rank_target": pa.array(rank[1], mask=rank[1] == 0),
        "mutual": (rank > 0).all(axis=0),
    }
    return pa.table(columns, schema=schema("similar"))


def _take(found: Similar, rows: NDArray[np.bool_]) -> Similar:
    return Similar(
        found.i[rows], found.j[rows], found.cosine[rows], found.rank[rows], found.features
    )


def _unordered(found: Similar) -> tuple[Indices, Indices, NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs (i < j), a row of `found` for each, and the pair of each row."""
    low, high = np.minimum(found.i, found.j), np.maximum(found.i, found.j)
    key = low.astype(np.int64) << 32 | high
    _, first, pair = np.unique(key, return_index=True, return_inverse=True)
    return low[first], high[first], first, pair


def _dots_here(
    one: NDArray[np.float32], two: NDArray[np.float32], i: Indices, j: Indices
) -> tuple[Floats, Floats]:
    norms = [np.sqrt(np.einsum("ij,ij->i", w, w, dtype=np.float64)) for w in (one, two)]
    dot = np.empty(len(i))
    _dot_rows(one, two, i.astype(np.int64), j.astype(np.int64), dot)
    scale = norms[0][i] * norms[1][j]
    with np.errstate(divide="ignore", invalid="ignore"):
        return dot, np.clip(np.where(scale > 0, dot / scale, np.nan), -1.0, 1.0)


@numba.njit(parallel=True, cache=True, fastmath={"reassoc", "contract"})
def _dot_rows(
    one: NDArray[np.float32],
    two: NDArray[np.float32],
    i: NDArray[np.int64],
    j: NDArray[np.int64],
    out: Floats,
) -> None:
    for p in numba.prange(len(i)):
        a, b = one[i[p]], two[j[p]]
        total = 0.0
        for k in range(len(a)):
            total += np.float64(a[k]) * np.float64(b[k])
        out[p] = total


@torch.inference_mode()
def _dots(one: torch.Tensor, two: torch.Tensor, i: Indices, j: Indices) -> tuple[Floats, Floats]:
    """Return products and cosines of rows ``one[i]`` and ``two[j]``, summed in float64."""
    if {one.device.type, two.device.type} == {"cpu"} and {one.dtype, two.dtype} == {torch.float32}:
        return _dots_here(one.contiguous().numpy(), two.contiguous().numpy(), i, j)
    step = max(CHUNK // max(one.shape[1], 1), 1)
    dot, cosine = np.empty(len(i)), np.empty(len(i))
    for low in range(0, len(i), step):
        some = slice(low, low + step)
        x, y = (
            w[torch.from_numpy(index[some].astype(np.int64)).to(w.device)]
            .to(wide_device(w.device))
            .to(torch.float64)
            for w, index in ((one, i), (two, j))
        )
        product = (x * y).sum(1)
        norms = torch.linalg.vector_norm(x, dim=1) * torch.linalg.vector_norm(y, dim=1)
        unit = torch.where(norms > 0, product / norms, torch.nan).clamp(-1.0, 1.0)
        dot[some], cosine[some] = product.cpu().numpy(), unit.cpu().numpy()
    return dot, cosine
