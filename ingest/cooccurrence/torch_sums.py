"""The sums of the tests with torch: one entry for each pair and document where the rarer fires.

The entries of a chunk of documents lie pair after pair, and within a pair by fold and document,
so that a sum over documents is a sum over a run of entries. Runs are summed in a fixed order: the
same input gives the same bits on the same device.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from ingest.cooccurrence.device_index import pieces, ragged
from ingest.cooccurrence.sums import FLOAT_SUMS, INTEGER_SUMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ingest.cooccurrence.device_index import DeviceIndex
    from ingest.cooccurrence.parts import Pairs

#: Bytes that an entry, a firing and a joint firing take while they are worked on.
ENTRY, FIRING, ELEMENT = 112, 128, 64


@dataclass(frozen=True)
class Group:
    """Kept pairs of some columns, on a device.

    Attributes
    ----------
    rank
        int64 ``[columns]``: ranks of the columns; each has a pair.
    size
        int64 ``[columns]``: pairs of each column.
    kept
        int64 ``[pairs]``: partners, column after column, ascending within one.
    """

    rank: torch.Tensor
    size: torch.Tensor
    kept: torch.Tensor

    @cached_property
    def column(self) -> torch.Tensor:
        """Place of each pair's column in `rank`: int64 ``[pairs]``."""
        return torch.repeat_interleave(self.size, output_size=len(self.kept))

    @cached_property
    def first(self) -> torch.Tensor:
        """Place of each column's first pair in `kept`: int64 ``[columns]``."""
        return self.size.cumsum(0) - self.size

    @cached_property
    def top(self) -> torch.Tensor:
        """Rank above each column's last partner: int64 ``[columns]``."""
        return self.kept[self.first + self.size - 1] + 1

    @cached_property
    def slot(self) -> torch.Tensor:
        """Place of a partner among its column's, -1 where it is none: int32 ``[columns, ranks]``.

        The last partners' rank is the last of the ranks.
        """
        shape = (len(self.rank), int(self.top.max()))
        slot = torch.full(shape, -1, dtype=torch.int32, device=self.rank.device)
        place = torch.arange(len(self.kept), device=self.rank.device) - self.first[self.column]
        slot[self.column, self.kept] = place.to(torch.int32)
        return slot


def cut_groups(pairs: Pairs, *, most_pairs: int, most_cells: int) -> Iterator[tuple[int, int]]:
    """Cut the columns of pairs into runs that fit into memory.

    Parameters
    ----------
    pairs
        Pairs by column.
    most_pairs
        Pairs of a run, unless one column has more.
    most_cells
        Columns that have pairs, times the ranks up to the last partner, likewise.

    Yields
    ------
    first, last
        Columns of a run, counted from ``pairs.first``.
    """
    size = np.diff(pairs.pointer)
    width = int(pairs.kept.max(initial=0)) + 1
    most_columns = max(most_cells // width, 1)
    first, held, columns = 0, 0, 0
    for place in np.flatnonzero(size):
        if columns and (held + size[place] > most_pairs or columns == most_columns):
            yield first, int(place)
            first, held, columns = int(place), 0, 0
        held, columns = held + int(size[place]), columns + 1
    if columns:
        yield first, len(size)


def make_group(pairs: Pairs, first: int, last: int, *, device: torch.device) -> Group:
    """Put the pairs of some columns (counted from ``pairs.first``) on a device."""
    size = np.diff(pairs.pointer[first : last + 1])
    some = np.flatnonzero(size)
    kept = pairs.kept[pairs.pointer[first] : pairs.pointer[last]].astype(np.int64)
    rank = (some + pairs.first + first).astype(np.int64)
    return Group(*(torch.from_numpy(x).to(device) for x in (rank, size[some], kept)))


def sum_group(
    x: DeviceIndex, group: Group, *, folds: int, work: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sum the pairs of a group over the documents of an index.

    Parameters
    ----------
    x, group
        Index and pairs.
    folds
        Folds of documents.
    work
        Bytes to use.

    Returns
    -------
    int64 ``[7, folds, pairs]`` and float64 ``[3, folds, pairs]``, as `Parts.sums` gives them.
    """
    pairs, where = len(group.kept), x.device
    integers = torch.zeros((len(INTEGER_SUMS), folds, pairs), dtype=torch.int64, device=where)
    floats = torch.zeros((len(FLOAT_SUMS), folds, pairs), dtype=torch.float64, device=where)
    width = int(group.rank.max()) + 1
    step = max(work // 4 // (2 * x.count.host.itemsize * width + 32 * len(group.rank)), 1)
    place = torch.from_numpy(x.column).to(where)[group.rank]
    for begin in range(0, x.documents, step):
        stored = x.count.raw(begin, begin + step, width=width)
        fires = x.count.widen(stored[:, group.rank])
        entries = ((fires > 0) * group.size).sum(1)
        for first, last, _ in pieces(entries, max(work // 2 // ENTRY, 1)):
            documents = slice(begin + first, begin + last)
            here = _Firings.find(x, fires[first:last], place, documents=documents, folds=folds)
            chunk = _Chunk(x, group, stored[first:last], here, work // 4)
            chunk.add_to(integers, floats)
            place = place + fires[first:last].sum(0)
    return integers.cpu().numpy(), floats.cpu().numpy()


@dataclass(frozen=True)
class _Firings:
    """Where the columns of a group fire in a chunk of documents, by column, fold and document.

    Attributes
    ----------
    column, document, fires, length
        int64 ``[cells]``: place of the column, place of the document, firings there, T.
    begin
        int64 ``[cells]``: first of the firings in ``DeviceIndex.start``.
    by_fold
        int64 ``[columns, folds]``: number of cells.
    """

    column: torch.Tensor
    document: torch.Tensor
    fires: torch.Tensor
    length: torch.Tensor
    begin: torch.Tensor
    by_fold: torch.Tensor

    @classmethod
    def find(
        cls,
        x: DeviceIndex,
        fires: torch.Tensor,
        place: torch.Tensor,
        *,
        documents: slice,
        folds: int,
    ) -> _Firings:
        """List them, given counts ``[documents, columns]`` and each column's next firing."""
        turned = fires.T.contiguous()
        column, document = turned.nonzero(as_tuple=True)
        cell = turned[column, document]
        # A column's firings follow one another in `start`, and so do its cells here.
        each = turned.sum(1)
        begin = cell.cumsum(0) - cell + (place - each.cumsum(0) + each)[column]
        key = column * folds + x.number[documents][document] % folds
        by_fold = torch.bincount(key, minlength=len(each) * folds).view(len(each), folds)
        order = key.argsort(stable=True) if folds > 1 else slice(None)
        column, document, cell, begin = (v[order] for v in (column, document, cell, begin))
        return cls(column, document, cell, x.length[documents][document], begin, by_fold)

    @cached_property
    def documents(self) -> torch.Tensor:
        """Documents in which each column fires: int64 ``[columns]``."""
        return self.by_fold.sum(1)

    @cached_property
    def first(self) -> torch.Tensor:
        """First cell of each column: int64 ``[columns]``."""
        return self.documents.cumsum(0) - self.documents


@dataclass(frozen=True)
class _Chunk:
    """A chunk of documents: joint counts of every entry, and their sums."""

    x: DeviceIndex
    group: Group
    stored: torch.Tensor
    firings: _Firings
    work: int

    def add_to(self, integers: torch.Tensor, floats: torch.Tensor) -> None:
        """Add the chunk's sums."""
        group, firings, folds = self.group, self.firings, integers.shape[1]
        pair, cell = ragged(firings.first[group.column], firings.documents[group.column])
        a = self._joint(len(pair))
        b = self.x.count.widen(self.stored[firings.document[cell], group.kept[pair]])
        c, t = firings.fires[cell], firings.length[cell]
        run = firings.by_fold[group.column].reshape(-1)
        del pair, cell
        for number, value in enumerate(_integer_terms(a, b, c, t)):
            integers[number] += _sum_runs(value, run).view(-1, folds).T
        for number, term in enumerate(_float_terms(a, b, c, t)):
            total = torch.segment_reduce(term, "sum", lengths=run, initial=0)
            floats[number] += total.view(-1, folds).T

    def _joint(self, entries: int) -> torch.Tensor:
        """Count joint firings: int64 ``[entries]``."""
        group, firings = self.group, self.firings
        joint = torch.zeros(entries, dtype=torch.int64, device=self.x.device)
        one = torch.ones((), dtype=torch.int64, device=self.x.device)
        stride = firings.documents[firings.column]
        base = (firings.documents * group.size).cumsum(0) - firings.documents * group.size
        entry = (base - firings.first)[firings.column]
        entry += torch.arange(len(entry), device=self.x.device)
        for cell, rank in self._elements():
            slot = group.slot[firings.column[cell], rank]
            hit = slot >= 0
            mine = cell[hit]
            joint.index_add_(0, entry[mine] + slot[hit] * stride[mine], one.expand(len(mine)))
        return joint

    def _elements(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the cell and the rank of each firing beside one of a column, some at a time."""
        firings = self.firings
        for first, last, total in pieces(firings.fires, max(self.work // FIRING, 1)):
            some = slice(first, last)
            cell, place = ragged(firings.begin[some], firings.fires[some], total=total)
            cell += first
            start = self.x.start.at(place)
            size = self.x.below(start, self.group.top[firings.column[cell]])
            for low, high, number in pieces(size, max(self.work // ELEMENT, 1)):
                owner, place = ragged(start[low:high], size[low:high], total=number)
                yield cell[low:high][owner], self.x.partner.at(place)


def _integer_terms(
    a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, t: torch.Tensor
) -> Iterator[torch.Tensor]:
    """Yield what `INTEGER_SUMS` sum."""
    yield a
    yield (a > 0).to(torch.int64)
    for one, two in ((a, a), (a, b), (a, c), (a, t), (b, c)):
        yield one * two


def _float_terms(
    a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, t: torch.Tensor
) -> Iterator[torch.Tensor]:
    """Yield what `FLOAT_SUMS` sum."""
    expected = (b * c).to(torch.float64) / t
    yield expected
    yield a * expected
    yield expected * expected


def _sum_runs(value: torch.Tensor, run: torch.Tensor) -> torch.Tensor:
    """Sum runs of int64 exactly, as differences of a running sum."""
    total = torch.cat([value.new_zeros(1), value.cumsum(0)])
    ends = run.cumsum(0)
    return total[ends] - total[ends - run]
