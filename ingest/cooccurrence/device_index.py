"""A `PairIndex` on a torch device: whole where it fits a budget of memory, else by slices."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ingest.cooccurrence.index import PairIndex

#: Firings looked at together while the rows of an index are found.
WINDOW = 1 << 26


def ragged(
    begin: torch.Tensor, size: torch.Tensor, *, total: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Enumerate ranges of integers, one after the other.

    Parameters
    ----------
    begin, size
        int64 ``[ranges]``: first integer and length of each range.
    total
        Sum of `size` where it is known; saves waiting for the device.

    Returns
    -------
    owner, value
        int64 ``[total]``: number of the range, and the integer.
    """
    ends = size.cumsum(0)
    if total is None:
        total = int(ends[-1]) if len(ends) else 0
    owner = torch.repeat_interleave(size, output_size=total)
    value = torch.arange(total, device=size.device)
    return owner, value.add_((begin - ends + size)[owner])


def pieces(size: torch.Tensor, most: int) -> Iterator[tuple[int, int, int]]:
    """Cut a list of sizes into runs of about `most` in sum: yields (first, last, sum).

    A run exceeds `most` by less than its largest size. Sizes of 0 at the end may be left out.
    """
    if len(size) == 0:
        return
    ends = size.cumsum(0)
    total = int(ends[-1])
    if total == 0:
        return
    marks = torch.arange(1, -(-total // most), device=size.device) * most
    cuts = torch.unique(torch.searchsorted(ends, marks) + 1)
    sums = ends[cuts - 1].tolist()
    first, before = 0, 0
    for last, until in zip([*cuts.tolist(), len(size)], [*sums, total], strict=True):
        if until > before:
            yield first, last, until - before
        first, before = last, until


class DeviceArray:
    """An integer array of an index, on the device or sent there by slices.

    Parameters
    ----------
    array
        uint16, int32 or int64; may be mapped from a file.
    device
        Where it is used.
    resident
        Whether all of it is kept on the device. On the CPU that is a view, not a copy.
    """

    def __init__(
        self, array: NDArray[np.integer[Any]], device: torch.device, *, resident: bool
    ) -> None:
        self.host: NDArray[np.integer[Any]] = np.asarray(array)
        self.device = device
        # Few torch kernels take uint16, so it travels as int16 and its bits are kept.
        self._unsigned = self.host.dtype == np.uint16
        self._signed = self.host.view(np.int16) if self._unsigned else self.host
        self._tensor = self._send(self._signed) if resident else None

    def raw(self, first: int, last: int, *, width: int | None = None) -> torch.Tensor:
        """Return rows `first` to `last` (and the first `width` columns) as they are stored."""
        where = slice(first, last) if width is None else (slice(first, last), slice(width))
        return self._send(self._signed[where]) if self._tensor is None else self._tensor[where]

    def widen(self, raw: torch.Tensor, dtype: torch.dtype = torch.int64) -> torch.Tensor:
        """Turn stored values into the integers they stand for."""
        wide = raw.to(dtype)
        return wide.bitwise_and_(0xFFFF) if self._unsigned else wide

    def part(self, first: int, last: int) -> torch.Tensor:
        """Return a slice of a one-dimensional array as int64."""
        return self.widen(self.raw(first, last))

    def at(self, place: torch.Tensor) -> torch.Tensor:
        """Return the elements at some places of a one-dimensional array as int64."""
        if self._tensor is None:
            return self.widen(self._send(np.take(self._signed, place.cpu().numpy())))
        return self.widen(self._tensor[place])

    def after(self, value: torch.Tensor) -> torch.Tensor:
        """Return, for an ascending array, its smallest element above each value."""
        if self._tensor is None:
            place = np.searchsorted(self.host, value.cpu().numpy(), side="right")
            return self.widen(self._send(np.take(self._signed, place)))
        wanted = value.to(self._tensor.dtype)
        return self.at(torch.searchsorted(self._tensor, wanted, right=True))

    def _send(self, array: NDArray[np.integer[Any]]) -> torch.Tensor:
        with warnings.catch_warnings():
            # A file mapped read-only is as good as any: nothing is written to it.
            warnings.filterwarnings("ignore", message=".*not writable.*", category=UserWarning)
            return torch.from_numpy(array).to(self.device)


class DeviceIndex:
    """An index of pairs, for counting with torch.

    Parameters
    ----------
    index
        The index.
    rows
        Where its rows begin in ``index.partner``, and where the last one ends: see `row_bounds`.
    device
        Where to count.
    resident
        Names of the arrays (``rows``, ``partner``, ``start``, ``count``) kept on the device.
    """

    def __init__(
        self,
        index: PairIndex,
        rows: NDArray[np.integer[Any]],
        *,
        device: torch.device,
        resident: frozenset[str],
    ) -> None:
        self.column = index.column
        self.limit = index.ranking.limit
        self.positions = int(index.length.sum())
        self.documents = len(index.length)
        self.device = device
        self.rows = DeviceArray(rows, device, resident="rows" in resident)
        self.partner = DeviceArray(index.partner, device, resident="partner" in resident)
        self.start = DeviceArray(index.start, device, resident="start" in resident)
        self.count = DeviceArray(index.count, device, resident="count" in resident)
        self.length = torch.from_numpy(index.length).to(device)
        self.number = torch.from_numpy(index.number).to(device)
        self._steps = int(np.diff(rows).max(initial=0)).bit_length()

    def below(self, start: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
        """Count the ranks below a limit in each of some rows, by binary search.

        Parameters
        ----------
        start
            int64 ``[rows]``: where the rows begin in `partner`.
        limit
            int64 ``[rows]``.
        """
        low, high = start, self.rows.after(start)
        for _ in range(self._steps):
            middle = (low + high) >> 1
            # An empty range may point past the end; it looks at its row's start and stays empty.
            here = torch.where(low < high, middle, start)
            up = (low < high) & (self.partner.at(here) < limit)
            low, high = torch.where(up, middle + 1, low), torch.where(up, high, middle)
        return low - start


def row_bounds(index: PairIndex) -> NDArray[np.integer[Any]]:
    """Find where the rows in which something fires begin, and where the last one ends.

    Returns
    -------
    int32 or int64 ``[rows + 1]``, ascending; the type is that of ``index.start``.
    """
    nnz = len(index.partner)
    found = []
    for low in range(0, nnz, WINDOW):
        begins = np.zeros(min(WINDOW, nnz - low), bool)
        for at in range(0, nnz, WINDOW):
            start = index.start[at : at + WINDOW]
            begins[start[(start >= low) & (start < low + len(begins))] - low] = True
        found.append((np.flatnonzero(begins) + low).astype(index.start.dtype))
    return np.concatenate([*found, np.array([nnz], index.start.dtype)])


def put_on_device(
    indexes: Sequence[PairIndex], *, device: torch.device, budget: int
) -> tuple[list[DeviceIndex], int]:
    """Keep on the device what fits half of a budget; the rest is sent by slices.

    Parameters
    ----------
    indexes
        Indexes over disjoint documents.
    device
        Where to count.
    budget
        Bytes to use on the device.

    Returns
    -------
    indexes
        The indexes, ready for counting.
    work
        Bytes of the budget that are left.
    """
    bounds = [row_bounds(index) for index in indexes]
    kept: list[set[str]] = [set() for _ in indexes]
    room = budget // 2
    for name in ("rows", "partner", "start", "count"):  # what is read most, first
        for number, index in enumerate(indexes):
            array = bounds[number] if name == "rows" else getattr(index, name)
            if array.nbytes <= room:
                room -= array.nbytes
                kept[number].add(name)
    placed = [
        DeviceIndex(index, rows, device=device, resident=frozenset(names))
        for index, rows, names in zip(indexes, bounds, kept, strict=True)
    ]
    return placed, max(budget - budget // 2 + room, 1)
