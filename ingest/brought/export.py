"""Codes as a table that others can read, and that `bring` reads back to the same shards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.artifacts import file_sha256
from atlas.errors import UsageError
from ingest.brought.options import UNKNOWN_TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    import pyarrow as pa
    from numpy.typing import NDArray

    from atlas.artifacts import CodeShard


def export_parquet(
    shards: Iterable[CodeShard],
    path: Path,
    *,
    documents: Path | None = None,
    ids: Sequence[str] | None = None,
    n_positions: Sequence[int] | None = None,
    texts: Mapping[int, str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Write codes as Parquet: document, position, feature, value and token, a row a firing.

    Rows are ordered by document, position and feature; a row group is a shard. The table alone
    does not say where nothing fires: the documents table does, and lists the positions that
    count where not all do.

    Parameters
    ----------
    shards
        The codes; one is held at a time.
    path
        File to write; it appears when it is complete.
    documents
        Where to write the documents table as well: document, n_positions, positions, tokens,
        and token_texts where `texts` is given. None writes none.
    ids
        Ids of all documents by number; the numbers themselves where None. With ids, documents
        without a row are listed too.
    n_positions
        Positions of all documents, masked ones included; by default up to the last that counts.
    texts
        Texts of token ids.

    Returns
    -------
    dict
        For ``codes`` and ``documents`` the file's rows and SHA-256.

    Raises
    ------
    UsageError
        A document's number is beyond `ids` or `n_positions`, or documents are not in order.
    """
    listing = _Documents(ids, n_positions, texts)
    with _Writer(path) as codes, _Writer(documents) as listed:
        for shard in shards:
            codes.add(_firings(shard, listing))
            if documents is not None:
                listed.add(listing.of(shard))
        if documents is not None:
            listed.add(listing.rest())
    records = {"codes": codes.record}
    return records | ({"documents": listed.record} if documents is not None else {})


class _Writer:
    """Writes tables as row groups of one Parquet file, beside its place until complete."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._writer: Any = None
        self._rows = 0
        self.record: dict[str, Any] = {}

    def __enter__(self) -> _Writer:
        return self

    def add(self, table: pa.Table) -> None:
        """Write a row group; an empty one only where it is the first, for its columns."""
        import pyarrow.parquet as pq

        if self._path is None or (self._writer is not None and not table.num_rows):
            return
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._partial, table.schema, compression="zstd")
        self._writer.write_table(table)
        self._rows += table.num_rows

    @property
    def _partial(self) -> Path:
        if self._path is None:
            raise UsageError("This table has no file.")
        return self._path.with_name(self._path.name + ".partial")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is None or self._path is None:
            return
        self._writer.close()
        if kind is not None:
            self._partial.unlink(missing_ok=True)
            return
        self.record = {"rows": self._rows, "sha256": file_sha256(self._partial)}
        self._partial.replace(self._path)


def _firings(shard: CodeShard, listing: _Documents) -> pa.Table:
    import pyarrow as pa

    row = np.repeat(np.arange(shard.rows), np.diff(shard.indptr))
    return pa.table(
        {
            "document": listing.names(shard.document[row]),
            "position": shard.position[row],
            "feature": shard.index,
            "value": shard.value,
            "token": _nullable(shard.token[row]),
        }
    )


def _nullable(token: NDArray[np.int32]) -> pa.Array:
    import pyarrow as pa

    return pa.array(token, mask=token == UNKNOWN_TOKEN)


class _Documents:
    """Rows of the documents table, in the order of the documents' numbers."""

    def __init__(
        self,
        ids: Sequence[str] | None,
        n_positions: Sequence[int] | None,
        texts: Mapping[int, str] | None,
    ) -> None:
        self._ids = ids
        self._lengths = None if n_positions is None else np.asarray(n_positions, np.int64)
        self._texts = texts
        self._next = 0

    def names(self, number: NDArray[np.int32]) -> pa.Array:
        """Ids of documents by their numbers."""
        import pyarrow as pa

        if self._ids is None:
            return pa.array(number.astype(np.int64))
        beyond = int(number.max(initial=-1))
        if beyond >= len(self._ids):
            raise UsageError(f"Document {beyond} has no id: {len(self._ids)} were given.")
        known, back = np.unique(number, return_inverse=True)
        return pa.array([self._ids[n] for n in known], pa.string()).take(pa.array(back))

    def of(self, shard: CodeShard) -> pa.Table:
        """Rows of a shard's documents, and of those before them that have no row."""
        first, count = np.unique(shard.document, return_counts=True)
        number = first
        if len(first) and first[0] < self._next:
            raise UsageError("The shards are not in the order of their documents.")
        if self._ids is not None and len(first):
            number = np.arange(self._next, first[-1] + 1)
        rows = np.zeros(len(number), np.int64)
        rows[np.searchsorted(number, first)] = count
        self._next = int(first[-1]) + 1 if len(first) else self._next
        return self._table(number, rows, shard.position, shard.token)

    def rest(self) -> pa.Table:
        """Rows of the documents after the last that has a row."""
        stop = self._next if self._ids is None else len(self._ids)
        number = np.arange(self._next, stop)
        none = np.zeros(0, np.int32)
        return self._table(number, np.zeros(len(number), np.int64), none, none)

    def _table(
        self,
        number: NDArray[np.integer[Any]],
        rows: NDArray[np.int64],
        position: NDArray[np.int32],
        token: NDArray[np.int32],
    ) -> pa.Table:
        import pyarrow as pa

        n = self._positions(number, rows, position)
        ends, starts = np.cumsum(rows), np.cumsum(n) - n
        flat = np.full(int(n.sum()), UNKNOWN_TOKEN, np.int32)
        flat[np.repeat(starts, rows) + position] = token
        offsets = np.concatenate([[0], np.cumsum(n)]).astype(np.int32)
        columns = {
            "document": self.names(number.astype(np.int32)),
            "n_positions": n,
            "positions": pa.ListArray.from_arrays(
                np.concatenate([[0], ends]).astype(np.int32), position.astype(np.int32)
            ),
            "tokens": pa.ListArray.from_arrays(offsets, _nullable(flat)),
        }
        if self._texts is not None:
            words = pa.array([self._texts.get(int(t)) for t in flat], pa.string())
            columns["token_texts"] = pa.ListArray.from_arrays(offsets, words)
        return pa.table(columns)

    def _positions(
        self, number: NDArray[np.integer[Any]], rows: NDArray[np.int64], position: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        ends = np.cumsum(rows)
        last = np.zeros(len(number), np.int64)
        last[rows > 0] = position[ends[rows > 0] - 1].astype(np.int64) + 1
        if self._lengths is None:
            return last
        beyond = int(number.max(initial=-1))
        if beyond >= len(self._lengths):
            raise UsageError(f"Document {beyond} has no n_positions.")
        n: NDArray[np.int64] = self._lengths[number]
        if (n < last).any():
            raise UsageError(
                f"Document {number[(n < last).argmax()]} has rows beyond its n_positions."
            )
        return n
