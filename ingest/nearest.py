"""The nearest decoder vectors by single-precision products of blocks: candidates for exact ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
import torch

from atlas.errors import ModelError
from atlas.progress import Reporter, SilentReporter
from ingest.precision import tf32

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Indices = NDArray[np.int32]

#: Neighbours held beyond those asked for, since single precision may swap near ties.
SLACK = 8
#: Steps of a cosine while candidates are chosen; what falls into one step goes by index.
STEPS = 1 << 22
#: Below all cosines, and what stands where there is none.
_LOWEST, _NONE = -1.5, -2.0
_EMPTY = torch.iinfo(torch.int64).min
#: Cosines that are skipped together where none of them can be among the nearest.
_RUN = 64


def wide_device(device: torch.device) -> torch.device:
    """Return where double precision is computed: MPS devices have none, so their data moves."""
    return torch.device("cpu") if device.type == "mps" else device


@torch.inference_mode()
def nearest_candidates(
    w_dec: torch.Tensor,
    *,
    k: int,
    block: int,
    reporter: Reporter | None = None,
) -> tuple[Indices, Indices]:
    """Find at least the `k` nearest of each feature by decoder cosine.

    Parameters
    ----------
    w_dec
        float ``[d_sae, d_model]``; vectors of norm 0 have no neighbours and are none.
    k
        Neighbours of a feature; a few more are returned.
    block
        Features whose vectors are multiplied at a time.
    reporter
        Told of the features done.

    Returns
    -------
    i, j
        int32: a feature and a neighbour of it, ordered by feature.

    Raises
    ------
    ModelError
        The decoder holds a number that is not finite.
    """
    features = len(w_dec)
    kind = _BestHere if w_dec.device.type == "cpu" else _Best
    best = kind(features, k + SLACK, device=wide_device(w_dec.device))
    told = reporter or SilentReporter()
    with (
        told.step("comparing decoder vectors (features)", features) as advance,
        tf32(allowed=False),
    ):
        for low in range(0, features, block):
            for high, cosines in _blocks(w_dec, low, block=block):
                best.add(low, high, cosines)
                if high != low:  # a pair of blocks is multiplied once and serves both
                    best.add(high, low, cosines.T)
            advance(min(low + block, features))
    return best.pairs()


def _blocks(w_dec: torch.Tensor, low: int, *, block: int) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the cosines of a block of features with itself and every later block."""
    one, live = _unit(w_dec[low : low + block])
    for high in range(low, len(w_dec), block):
        two, other = _unit(w_dec[high : high + block])
        cosines = (one @ two.T).masked_fill_(~(live[:, None] & other), _NONE)
        if high == low:
            cosines.fill_diagonal_(_NONE)
        yield high, cosines.to(wide_device(w_dec.device))


def _unit(vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return float32 unit vectors, and which norms are above 0."""
    vectors = vectors.to(torch.float32)
    largest = vectors.abs().amax(dim=1, keepdim=True)
    if not bool(torch.isfinite(largest).all()):
        raise ModelError(
            "The SAE's decoder holds numbers that are not finite.", hint="Load or train it anew."
        )
    live = largest > 0
    scaled = vectors / torch.where(live, largest, 1.0)  # so that no square underflows
    norm = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
    return scaled / torch.where(live, norm, 1.0), live[:, 0]


class _Best:
    """The nearest `k` of each feature so far.

    A candidate is one integer, its cosine in steps and then its index, lower indices first: so
    the order is total, and the largest integers are the same however the blocks are cut.
    """

    def __init__(self, features: int, k: int, *, device: torch.device) -> None:
        self.features, self.k = features, k
        self.keys = torch.full((features, k), _EMPTY, dtype=torch.int64, device=device)
        self.floor = torch.full((features,), _LOWEST, dtype=torch.float32, device=device)

    def add(self, low: int, high: int, cosines: torch.Tensor) -> None:
        """Take cosines of the features from `low` on with those from `high` on."""
        mine = slice(low, low + len(cosines))
        better = (cosines >= self.floor[mine, None]).contiguous()
        row, column = better.nonzero(as_tuple=True)
        if len(row) == 0:
            return
        step = (cosines[row, column] * STEPS).round().to(torch.int64)
        key = step * self.features + (self.features - 1 - high - column)
        each = better.sum(1)
        place = torch.arange(len(row), device=row.device) - (each.cumsum(0) - each)[row]
        new = torch.full((len(cosines), int(each.max())), _EMPTY, device=row.device)
        new[row, place] = key
        merged = torch.cat([self.keys[mine], new], dim=1).topk(self.k, dim=1).values
        self.keys[mine] = merged
        # One step below the last that is held, so that rounding keeps no equal one out.
        least = (merged[:, -1].div(self.features, rounding_mode="floor") - 1) / STEPS
        full = merged[:, -1] > _EMPTY
        self.floor[mine] = torch.where(full, least, _LOWEST).clamp_min(_LOWEST)

    def pairs(self) -> tuple[Indices, Indices]:
        """Return each feature with each of its candidates."""
        row, place = (self.keys > _EMPTY).nonzero(as_tuple=True)
        other = self.features - 1 - self.keys[row, place].remainder(self.features)
        return row.cpu().numpy().astype(np.int32), other.cpu().numpy().astype(np.int32)


class _BestHere(_Best):
    """The same on a CPU, in one walk over each row of cosines."""

    def add(self, low: int, high: int, cosines: torch.Tensor) -> None:
        """Take cosines of the features from `low` on with those from `high` on."""
        keys = self.keys[low : low + len(cosines)].numpy()
        _keep_nearest(cosines.contiguous().numpy(), high, self.features, keys)


@numba.njit(parallel=True, cache=True)
def _keep_nearest(
    cosines: NDArray[np.float32], high: int, features: int, keys: NDArray[np.int64]
) -> None:
    k, width = keys.shape[1], cosines.shape[1]
    for r in numba.prange(len(cosines)):
        held = np.empty(4 * k + _RUN, np.int64)
        held[:k], n = keys[r], k
        floor = _floor(keys[r].min(), features)
        for begin in range(0, width, _RUN):
            stop, most = min(begin + _RUN, width), np.float32(_NONE)
            for t in range(begin, stop):  # without branches, to vectorise
                most = max(most, cosines[r, t])
            if most >= floor:
                for t in range(begin, stop):
                    if cosines[r, t] >= floor:
                        step = np.int64(np.rint(cosines[r, t] * np.float32(STEPS)))
                        held[n] = step * features + (features - 1 - high - t)
                        n += 1
                if n > 4 * k:
                    held[:k], n = np.partition(held[:n], n - k)[n - k :], k
                    floor = _floor(held[:k].min(), features)
        keys[r] = np.partition(held[:n], n - k)[n - k :]


@numba.njit(cache=True)
def _floor(least: int, features: int) -> np.float32:
    """Return a cosine one step below the last that is held, so that rounding drops no equal one."""
    if least == _EMPTY:
        return np.float32(_LOWEST)
    return max(np.float32((least // features - 1) / STEPS), np.float32(_LOWEST))
