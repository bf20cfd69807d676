"""A documents table that the user gives beside the codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import ArtifactError
from ingest.brought.batches import RawBatch, ids
from ingest.brought.document_rows import COLUMNS, TEXTS, read_rows
from ingest.brought.documents import DocumentBlock, as_texts, spread
from ingest.brought.index import Distinct
from ingest.brought.options import UNKNOWN_TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from ingest.brought.index import Index

_SURVEY_ROWS = 1024
_LARGEST = np.iinfo(np.int32).max


class TableDocuments:
    """Documents of a Parquet, JSON lines or CSV table, in its order.

    Columns: ``document`` (id); ``n_positions`` (may be left out where tokens are given);
    optional ``text``, ``domain``, ``title``, ``source``; ``tokens`` (ids of all positions, null
    where unknown); ``token_texts``; ``positions`` (those that count; default all).

    Parameters
    ----------
    path
        The table.
    id_type
        Arrow type of the ids in the codes. CSV knows no types: its ids are read as these.

    Raises
    ------
    ArtifactError
        The table is broken or empty, names a document twice, or contradicts itself.
    """

    def __init__(self, path: Path, id_type: pa.DataType) -> None:
        import pyarrow as pa

        self.path = path
        self._id_type = id_type
        self.vocabulary: dict[int, str] = {}
        self._texts = Distinct(pa.string())
        self._has = {"tokens": False, "token_texts": False, "positions": False}
        self.ids, self.n_positions = self._survey()
        self.token_type: pa.DataType | None = (
            pa.int64() if self._has["tokens"] else pa.string() if self._has["token_texts"] else None
        )
        self.token_texts = self._texts.sorted() if self.token_type == pa.string() else None

    def _survey(self) -> tuple[pa.Array, NDArray[np.int64] | None]:
        """Check every row once; return the ids and the numbers of positions."""
        import pyarrow as pa

        found, lengths, rows = [], [], []
        for batch in read_rows(self.path, rows=_SURVEY_ROWS):
            found.append(self._ids(batch))
            lengths.append(positions_of(batch))
            rows.append(np.arange(len(found[-1])) + batch.row)
            for name in self._has:
                self._has[name] |= batch.columns[name].null_count < len(found[-1])
            self._remember(batch)
        if not found:
            raise ArtifactError(f"Documents table {self.path} has no row.")
        every = pa.concat_arrays(found)
        self._refuse_twice(every, np.concatenate(rows))
        return every, np.concatenate(lengths)

    def _ids(self, batch: RawBatch) -> pa.Array:
        import pyarrow as pa

        found = ids(batch)
        if found.type == self._id_type:
            return found
        if self.path.suffix.lower() == ".csv":
            try:
                return found.cast(self._id_type)
            except pa.ArrowException as error:
                raise ArtifactError(
                    f"{self.path}: the codes have integers as documents, the table has others: "
                    f"{error}."
                ) from error
        raise ArtifactError(
            f"{self.path}: column document is {found.type}, the codes have {self._id_type}.",
            hint="Give the documents the same ids, of the same type, in both.",
        )

    def _refuse_twice(self, every: pa.Array, rows: NDArray[np.int64]) -> None:
        code = every.dictionary_encode().indices.to_numpy()
        _, first = np.unique(code, return_index=True)
        if len(first) < len(code):
            again = np.ones(len(code), bool)
            again[first] = False
            at = int(again.argmax())
            earlier = rows[first[code[at]]]
            raise ArtifactError(
                f"{self.path}, row {rows[at]}: document {every[at].as_py()!r} was in row "
                f"{earlier} already.",
                hint="Each document needs one row.",
            )

    def _remember(self, batch: RawBatch) -> None:
        """Take the texts of tokens."""
        import pyarrow.compute as pc

        tokens, texts = batch.columns["tokens"], batch.columns["token_texts"]
        if texts.null_count == len(texts):
            return
        self._texts.add(texts.flatten())
        both = pc.and_(tokens.is_valid(), texts.is_valid())
        token = pc.fill_null(tokens.filter(both).flatten(), UNKNOWN_TOKEN).to_numpy()
        text = texts.filter(both).flatten()
        known, first = np.unique(token, return_index=True)
        for number, at in zip(known.tolist(), first.tolist(), strict=True):
            if number not in self.vocabulary and number >= 0 and text[at].is_valid:
                self.vocabulary[number] = text[at].as_py()

    def blocks(self, size: int, *, vocabulary: Index | None = None) -> Iterator[DocumentBlock]:
        """Yield the documents in the table's order, `size` at a time."""
        first = 0
        for batch in _in_blocks(read_rows(self.path, rows=size), size):
            yield self._block(batch, first, vocabulary)
            first += len(batch.columns["document"])

    def _block(self, batch: RawBatch, first: int, vocabulary: Index | None) -> DocumentBlock:
        import pyarrow as pa
        import pyarrow.compute as pc

        n = positions_of(batch)
        tokens = None
        if self.token_type is not None:
            lists = batch.columns["tokens" if self.token_type == pa.int64() else "token_texts"]
            flat = lists.flatten()
            if vocabulary is None:
                values = pc.fill_null(flat, UNKNOWN_TOKEN).to_numpy()
            else:
                values = vocabulary.of(flat)
            tokens = spread(values, _valid(lists), n)
        counted = _counted(batch.columns["positions"], n) if self._has["positions"] else None
        texts = {name: batch.columns[name].to_pylist() for name in TEXTS}
        names = as_texts(self.ids.slice(first, len(n)))
        return DocumentBlock(first, names, n, tokens, counted, texts)


def positions_of(batch: RawBatch) -> NDArray[np.int64]:
    """Return the number of positions of each row, checked against its lists; int64."""
    import pyarrow.compute as pc

    given = pc.fill_null(batch.columns["n_positions"], -1).to_numpy()
    batch.fail(_valid(batch.columns["n_positions"]) & (given < 0), "n_positions is negative")
    n = given.copy()
    for name in ("tokens", "token_texts"):
        length = pc.fill_null(pc.list_value_length(batch.columns[name]), -1).to_numpy()
        n = np.where(n < 0, length, n)
        batch.fail((length >= 0) & (length != n), f"{name} has another length than n_positions")
    batch.fail(
        n < 0,
        "the number of positions is missing",
        hint="Give n_positions, or the tokens of all positions.",
    )
    batch.fail(n > _LARGEST, f"n_positions is over {_LARGEST:,}")
    _check_lists(batch, n)
    lengths: NDArray[np.int64] = n.astype(np.int64)
    return lengths


def _check_lists(batch: RawBatch, n: NDArray[np.int64]) -> None:
    tokens = batch.columns["tokens"]
    if tokens.null_count < len(tokens):
        row = np.repeat(np.arange(len(tokens)), _lengths(tokens))
        value = tokens.flatten().to_numpy(zero_copy_only=False)
        _fail_in(batch, row[(value < 0) | (value > _LARGEST)], "a token is not an id")
    places = batch.columns["positions"]
    if places.null_count < len(places):
        row = np.repeat(np.arange(len(places)), _lengths(places))
        flat = places.flatten()
        value = flat.to_numpy(zero_copy_only=False)
        out = ~_valid(flat) | (value < 0) | (value >= n[row])
        _fail_in(batch, row[out], "positions has one that the document does not have")
        falls = (value[1:] <= value[:-1]) & (row[1:] == row[:-1])
        _fail_in(batch, row[1:][falls], "positions is not ascending")


def _fail_in(batch: RawBatch, rows: NDArray[np.int64], what: str) -> None:
    if len(rows):
        batch.fail_at(int(rows[0]), what)


def _lengths(lists: pa.Array) -> NDArray[np.int64]:
    import pyarrow.compute as pc

    lengths: NDArray[np.int64] = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    return lengths


def _valid(array: pa.Array) -> NDArray[np.bool_]:
    valid: NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _counted(places: pa.Array, n: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the positions that count: those listed, or all where there is no list."""
    flags = np.repeat(~_valid(places), n)
    start = np.cumsum(n) - n
    row = np.repeat(np.arange(len(n)), _lengths(places))
    flags[start[row] + places.flatten().to_numpy()] = True
    return flags


def _in_blocks(batches: Iterator[RawBatch], size: int) -> Iterator[RawBatch]:
    """Join and cut batches so that each but the last has `size` rows."""
    import pyarrow as pa

    waiting: pa.Table | None = None
    row, file = 1, ""
    for batch in batches:
        file = batch.file
        table = pa.table(batch.columns)
        waiting = table if waiting is None else pa.concat_tables([waiting, table])
        while len(waiting) >= size:
            yield _as_batch(file, row, waiting.slice(0, size))
            waiting, row = waiting.slice(size), row + size
    if waiting is not None and len(waiting):
        yield _as_batch(file, row, waiting)


def _as_batch(file: str, row: int, table: pa.Table) -> RawBatch:
    whole = table.combine_chunks().to_batches()[0]
    return RawBatch(file, row, {name: whole.column(name) for name in COLUMNS})
