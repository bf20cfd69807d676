"""Numbers for ids: documents by their ids, tokens by their texts."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


class Index:
    """Gives each of some distinct ids its place in their order.

    Parameters
    ----------
    values
        Arrow int64 or string, distinct, in order.
    """

    def __init__(self, values: pa.Array) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        values: NDArray[np.int64] = self.values.to_numpy()
        order = np.argsort(values, kind="stable")
        return values[order], order

    def of(self, ids: pa.Array) -> NDArray[np.int64]:
        """Look up ids; int64 of their length, -1 for nulls and for those that are not known."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not len(self.values):
            return np.full(len(ids), -1, np.int64)
        if pa.types.is_integer(self.values.type):
            ordered, order = self._sorted
            wanted: NDArray[np.int64] = pc.fill_null(ids, 0).to_numpy(zero_copy_only=False)
            at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
            found = (ordered[at] == wanted) & ids.is_valid().to_numpy(zero_copy_only=False)
            return np.where(found, order[at], -1)
        # A null would match a null among the values; there is none, as ids are checked.
        places = pc.fill_null(pc.index_in(ids, value_set=self.values), -1)
        numbers: NDArray[np.int64] = places.to_numpy(zero_copy_only=False).astype(np.int64)
        return numbers


class Distinct:
    """Collects distinct values of many arrays in memory proportional to their number."""

    def __init__(self, kind: pa.DataType) -> None:
        import pyarrow as pa

        self._known = pa.array([], kind)
        self._new: list[pa.Array] = []
        self._waiting = 0

    def add(self, array: pa.Array) -> None:
        """Take the values of an array; nulls are left out."""
        unique = array.drop_null().unique()
        self._new.append(unique)
        self._waiting += len(unique)
        # Merged only once as much is waiting as is known: the total work stays linear.
        if self._waiting > max(len(self._known), 1 << 16):
            self._merge()

    def _merge(self) -> None:
        import pyarrow as pa

        self._known = pa.concat_arrays([self._known, *self._new]).unique()
        self._new, self._waiting = [], 0

    def sorted(self) -> pa.Array:
        """Return the values in ascending order; texts by code point."""
        import pyarrow.compute as pc

        self._merge()
        return self._known.take(pc.sort_indices(self._known))
