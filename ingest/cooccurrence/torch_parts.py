"""Sums over the parts of a corpus with torch, on a GPU or any other device with float64."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from atlas.errors import UsageError
from ingest.cooccurrence.device_index import pieces, put_on_device, ragged
from ingest.cooccurrence.sums import FLOAT_SUMS, INTEGER_SUMS
from ingest.cooccurrence.torch_sums import ELEMENT, FIRING, cut_groups, make_group, sum_group
from ingest.precision import tf32

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ingest.cooccurrence.device_index import DeviceIndex
    from ingest.cooccurrence.index import PairIndex
    from ingest.cooccurrence.parts import Pairs

Method = Literal["gemm", "scatter"]

#: Positions of one product are fewer: float32 holds every integer up to here, and no further.
EXACT = 1 << 24


@dataclass(frozen=True)
class Cost:
    """Time of one step of each way to count, in nanoseconds.

    Attributes
    ----------
    flop
        A multiplication or an addition of a matrix product.
    cell
        A cell of a dense block: set to zero, written, read.
    firing
        A firing whose row is looked up.
    increment
        A joint firing that is added to a count.
    """

    flop: float
    cell: float
    firing: float
    increment: float


#: Orders of magnitude for two cores, and for a data-centre GPU with TF32.
COSTS: Mapping[str, Cost] = MappingProxyType(
    {
        "cpu": Cost(flop=0.02, cell=1.0, firing=150.0, increment=25.0),
        "cuda": Cost(flop=5e-6, cell=0.01, firing=3.0, increment=0.5),
    }
)


def choose(
    *,
    positions: int,
    columns: int,
    width: int,
    firings: int,
    increments: float,
    device: str,
) -> Method:
    """Choose how to count joint firings, by estimated time.

    Parameters
    ----------
    positions, columns, width
        Sides of the dense blocks: positions by columns, and positions by partners.
    firings, increments
        Firings of the columns, and joint firings with partners below their limits.
    device
        Type of the device, ``cpu`` or ``cuda``; others count as ``cuda``.
    """
    cost = COSTS.get(device, COSTS["cuda"])
    product = 2 * columns * width * cost.flop + (columns + width) * cost.cell
    walk = firings * cost.firing + increments * cost.increment
    return "gemm" if positions * product < walk else "scatter"


def default_budget(device: torch.device) -> int:
    """Bytes to use: half of a CUDA device's free memory, 1 GiB elsewhere."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    return 1 << 30


def positions_at_once(work: int, *, columns: int, width: int, firings: float) -> int:
    """Positions of one product: as many as fit, and fewer than `EXACT`.

    Parameters
    ----------
    work
        Bytes for the blocks and what they are made from.
    columns, width
        Sides of the blocks.
    firings
        Mean firings at a position.
    """
    row = 4 * (columns + width + 2) + 48 * max(firings, 1.0)
    return min(max(int(work // row), 1), EXACT - 1)


class TorchParts:
    """Parts of a corpus that are counted with torch, one after the other: see `Parts`.

    Integers are those of `LocalParts`; floats agree to rounding, in a fixed order of summation.

    Parameters
    ----------
    indexes
        Indexes over disjoint documents, with one ranking. What fits into half of the budget is
        kept on the device, rows first; the rest is read and sent by slices.
    device
        A torch device with float64.
    budget
        Bytes to use on the device, beside results and at least one position or document at a
        time; None takes `default_budget`. The bounds of rows, 4 or 8 bytes a position, are kept
        in the host's memory whatever it is.
    method
        How joint firings are counted: ``gemm``, products of dense blocks of zeros and ones;
        ``scatter``, one addition a joint firing; None lets `choose` decide for each panel.

    Raises
    ------
    UsageError
        The device has no float64.
    """

    def __init__(
        self,
        indexes: Sequence[PairIndex],
        *,
        device: str | torch.device,
        budget: int | None = None,
        method: Method | None = None,
    ) -> None:
        self.device = torch.device(device)
        if self.device.type == "mps":
            raise UsageError(
                "Pairs cannot be counted on an MPS device: it has no float64.",
                hint="Count them on the CPU; the model may still run on MPS.",
            )
        self.method = method
        whole = default_budget(self.device) if budget is None else budget
        self._indexes, self._work = put_on_device(indexes, device=self.device, budget=whole)

    def joint(self, first: int, last: int, *, width: int) -> NDArray[np.int64]:
        """See `Parts.joint`."""
        out = torch.zeros((last - first, width), dtype=torch.int64, device=self.device)
        for x in self._indexes:
            if (self.method or self._choose(x, first, last, width)) == "gemm":
                _add_products(x, first, last, out=out, work=self._work)
            else:
                _add_firings(x, first, last, out=out, work=self._work)
        if self._indexes:
            limit = torch.from_numpy(self._indexes[0].limit[first:last]).to(self.device)
            out *= torch.arange(width, device=self.device) < limit[:, None]
        counted: NDArray[np.int64] = out.cpu().numpy()
        return counted

    def _choose(self, x: DeviceIndex, first: int, last: int, width: int) -> Method:
        """Estimate the increments as if features were independent."""
        n = np.diff(x.column[first : last + 1]).astype(np.float64)
        beside = x.column[np.minimum(x.limit[first:last], width)] / max(x.positions, 1)
        return choose(
            positions=len(x.rows.host) - 1,
            columns=last - first,
            width=width,
            firings=int(n.sum()),
            increments=float(n @ beside),
            device=self.device.type,
        )

    def topic(
        self,
        first: int,
        last: int,
        *,
        width: int,
        rate: NDArray[np.float64],
        scale: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """See `Parts.topic`."""
        columns = last - first
        out = torch.zeros((columns, width), dtype=torch.float32, device=self.device)
        p, s = (torch.from_numpy(v.astype(np.float32)).to(self.device) for v in (rate, scale))
        reach = max(last, width)
        with tf32(allowed=False):
            for x in self._indexes:
                step = max(self._work // (16 * (columns + width) + 4 * reach), 1)
                for begin in range(0, x.documents, step):
                    stored = x.count.raw(begin, begin + step, width=reach)
                    t = x.length[begin : begin + step, None].to(torch.float32)
                    one, two = (
                        (x.count.widen(stored[:, k], torch.int32) - p[k] * t) / t.sqrt() * s[k]
                        for k in (slice(first, last), slice(width))
                    )
                    out.addmm_(one.T, two)
        found: NDArray[np.float32] = out.cpu().numpy()
        return found

    def sums(
        self, pairs: Pairs, *, folds: int = 1
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """See `Parts.sums`."""
        shape = (folds, len(pairs.kept))
        integers = np.zeros((len(INTEGER_SUMS), *shape), np.int64)
        floats = np.zeros((len(FLOAT_SUMS), *shape), np.float64)
        # An eighth for the table of slots; pairs such that their entries of 32 documents fit.
        most_pairs, most_cells = max(self._work // (1 << 12), 1), max(self._work // 32, 1)
        for first, last in cut_groups(pairs, most_pairs=most_pairs, most_cells=most_cells):
            group = make_group(pairs, first, last, device=self.device)
            mine = slice(pairs.pointer[first], pairs.pointer[last])
            for x in self._indexes:
                whole, real = sum_group(x, group, folds=folds, work=self._work)
                integers[:, :, mine] += whole
                floats[:, :, mine] += real
        return integers, floats


def _add_firings(x: DeviceIndex, first: int, last: int, *, out: torch.Tensor, work: int) -> None:
    """Add joint firings one by one: each firing of a column meets the front of its row."""
    width, flat = out.shape[1], out.view(-1)
    ends = torch.from_numpy(x.column[first + 1 : last + 1]).to(x.device)
    limit = torch.from_numpy(x.limit[first:last]).to(x.device).clamp(max=width)
    one = torch.ones((), dtype=torch.int64, device=x.device)
    until, step = int(x.column[last]), max(work // 2 // FIRING, 1)
    for low in range(int(x.column[first]), until, step):
        high = min(low + step, until)
        row = torch.searchsorted(ends, torch.arange(low, high, device=x.device), right=True)
        start = x.start.part(low, high)
        size = x.below(start, limit[row])
        for begin, end, total in pieces(size, max(work // 2 // ELEMENT, 1)):
            owner, place = ragged(start[begin:end], size[begin:end], total=total)
            cell = row[begin:end][owner] * width + x.partner.at(place)
            flat.index_add_(0, cell, one.expand(total))


def _add_products(x: DeviceIndex, first: int, last: int, *, out: torch.Tensor, work: int) -> None:
    """Add joint firings by products of dense blocks of zeros and ones.

    Both factors are exact in TF32, and a sum in float32 is exact as long as it is at most
    `EXACT`; the sums of the products are int64.
    """
    rows, width = len(x.rows.host) - 1, out.shape[1]
    step = positions_at_once(
        work, columns=last - first, width=width, firings=len(x.partner.host) / max(rows, 1)
    )
    with tf32(allowed=True):
        for low in range(0, rows, step):
            columns, partners = _blocks(x, low, min(low + step, rows), (first, last, width))
            out += (columns.T @ partners).to(torch.int64)


def _blocks(
    x: DeviceIndex, low: int, high: int, shape: tuple[int, int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Make float32 blocks ``[rows, columns]`` and ``[rows, width]`` of rows `low` to `high`."""
    first, last, width = shape
    rank = x.partner.part(int(x.rows.host[low]), int(x.rows.host[high]))
    size = torch.diff(x.rows.part(low, high + 1))
    row = torch.repeat_interleave(size, output_size=len(rank))
    columns, partners = (
        torch.zeros((high - low, side + 1), dtype=torch.float32, device=x.device)
        for side in (last - first, width)
    )
    # What is outside a block goes to a last column that is cut off: no waiting for a selection.
    inside = (rank >= first) & (rank < last)
    columns[row, torch.where(inside, rank - first, last - first)] = 1.0
    partners[row, rank.clamp(max=width)] = 1.0
    return columns[:, :-1], partners[:, :-1]
