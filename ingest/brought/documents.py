"""The documents that brought codes belong to: ids, numbers of positions, tokens and texts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from atlas.errors import ArtifactError
from ingest.brought.batches import RawBatch, ids
from ingest.brought.index import Distinct
from ingest.brought.options import UNKNOWN_TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from ingest.brought.index import Index
    from ingest.brought.source import FiringSource
    from ingest.brought.tensors import TensorFile


@dataclass(frozen=True)
class DocumentBlock:
    """Some consecutive documents.

    Attributes
    ----------
    first
        Number of the first.
    ids
        Their ids as texts.
    n_positions
        int64 ``[documents]``; None where the number of positions is not known.
    tokens
        int32, the tokens of all positions of the first document, then of the second ...;
        `UNKNOWN_TOKEN` where unknown. None without tokens.
    counted
        bool, in the same order: positions that count. None where all do.
    texts
        Columns text, domain, title and source, a value or None for each document.
    """

    first: int
    ids: list[str]
    n_positions: NDArray[np.int64] | None = None
    tokens: NDArray[np.int32] | None = None
    counted: NDArray[np.bool_] | None = None
    texts: dict[str, list[str | None]] | None = None

    @property
    def starts(self) -> NDArray[np.int64]:
        """int64 ``[documents + 1]``: where each document's positions begin in `tokens`."""
        lengths = (
            np.zeros(len(self.ids), np.int64) if self.n_positions is None else self.n_positions
        )
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


class DocumentSource(Protocol):
    """Documents in a fixed order.

    Attributes
    ----------
    ids
        Arrow int64 or string, distinct.
    n_positions
        int64, positions of each; None where they are not known.
    token_type
        Arrow int64 (ids), string (texts), or None: the tokens of all positions.
    vocabulary
        Text of token ids, as far as known.
    token_texts
        Distinct token texts in order, where tokens are texts; else None.
    """

    ids: pa.Array
    n_positions: NDArray[np.int64] | None
    token_type: pa.DataType | None
    vocabulary: dict[int, str]
    token_texts: pa.Array | None

    def blocks(self, size: int, *, vocabulary: Index | None = None) -> Iterator[DocumentBlock]:
        """Yield all documents in order, `size` at a time; `vocabulary` numbers token texts."""


class SeenDocuments:
    """The documents that a table of codes names, in the order of their ids.

    Integers are ordered by value, texts by code point. How many positions they have is unknown.
    """

    def __init__(self, source: FiringSource, *, rows: int) -> None:
        found = Distinct(source.document_type)
        for batch in source.batches(("document",), rows=rows):
            found.add(ids(batch))
        self.ids = found.sorted()
        self.n_positions: NDArray[np.int64] | None = None
        self.token_type: pa.DataType | None = None
        self.vocabulary: dict[int, str] = {}
        self.token_texts: pa.Array | None = None

    def blocks(self, size: int, *, vocabulary: Index | None = None) -> Iterator[DocumentBlock]:  # noqa: ARG002
        """Yield the ids, `size` at a time."""
        for first in range(0, len(self.ids), size):
            yield DocumentBlock(first, as_texts(self.ids.slice(first, size)))


class SequenceDocuments:
    """The sequences of a delphi cache, from its tensor ``tokens`` ``[sequences, context]``."""

    def __init__(self, file: TensorFile) -> None:
        import pyarrow as pa

        self._file = file
        sequences, self.context = file.shapes["tokens"]
        self.ids = pa.array(np.arange(sequences, dtype=np.int64))
        self.n_positions: NDArray[np.int64] | None = np.full(sequences, self.context, np.int64)
        self.token_type: pa.DataType | None = pa.int64()
        self.vocabulary: dict[int, str] = {}
        self.token_texts: pa.Array | None = None

    def blocks(self, size: int, *, vocabulary: Index | None = None) -> Iterator[DocumentBlock]:  # noqa: ARG002
        """Yield the sequences with their tokens, `size` at a time."""
        for first in range(0, len(self.ids), size):
            stop = min(first + size, len(self.ids))
            yield DocumentBlock(
                first,
                as_texts(self.ids.slice(first, size)),
                np.full(stop - first, self.context, np.int64),
                self.tokens(first, stop),
            )

    def tokens(self, start: int, stop: int) -> NDArray[np.int32]:
        """Tokens of sequences start to stop, one after the other; int32."""
        found = self._file.read("tokens", start, stop).astype(np.int64)
        out: NDArray[np.bool_] = np.any((found < 0) | (found > np.iinfo(np.int32).max), axis=1)
        RawBatch(f"tokens of {self._file.path}", start + 1, {}).fail(out, "a token is not an id")
        return found.astype(np.int32).ravel()


class MergedDocuments:
    """A documents table beside a cache that lists its sequences: texts of one, tokens of both.

    Parameters
    ----------
    table
        Names sequences by their numbers; its order is kept.
    own
        The cache's sequences.

    Raises
    ------
    ArtifactError
        The table has a sequence that the cache has not, of another length, or tokens as texts.
    """

    def __init__(self, table: DocumentSource, own: SequenceDocuments) -> None:
        self._table, self._own = table, own
        self.ids = table.ids
        self.n_positions = table.n_positions
        self.token_type = own.token_type
        self.vocabulary = table.vocabulary
        self.token_texts = None
        number = self.ids.to_numpy()
        out = (number < 0) | (number >= len(own.ids))
        if out.any():
            raise ArtifactError(
                f"The documents table names sequence {number[out.argmax()]}; the cache has "
                f"{len(own.ids)} (from 0)."
            )
        if self.n_positions is not None and (self.n_positions != own.context).any():
            at = int((self.n_positions != own.context).argmax())
            raise ArtifactError(
                f"Document {number[at]} of the documents table has {self.n_positions[at]} "
                f"positions, the cache's sequences have {own.context}."
            )
        if table.token_texts is not None:
            raise ArtifactError(
                "The documents table has tokens as texts only, the cache as ids.",
                hint="Give tokens (ids) beside token_texts, or leave token_texts out.",
            )

    def blocks(self, size: int, *, vocabulary: Index | None = None) -> Iterator[DocumentBlock]:
        """Yield the table's blocks with the cache's tokens; refuses tokens that differ."""
        for block in self._table.blocks(size, vocabulary=vocabulary):
            parts = [self._own.tokens(int(name), int(name) + 1) for name in block.ids]
            tokens = np.concatenate(parts)
            if block.tokens is not None:
                wrong = (block.tokens != UNKNOWN_TOKEN) & (block.tokens != tokens)
                if wrong.any():
                    name = block.ids[int(wrong.argmax()) // self._own.context]
                    raise ArtifactError(
                        f"Document {name}: tokens of the documents table and of the cache differ."
                    )
            yield replace(block, tokens=tokens)


def as_texts(array: pa.Array) -> list[str]:
    """Return ids as texts."""
    return [str(value) for value in array.to_pylist()]


def spread(
    values: NDArray[np.int64], there: NDArray[np.bool_], n_positions: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Lay the tokens of the documents that have any over the positions of all documents."""
    flat = np.full(int(n_positions.sum()), UNKNOWN_TOKEN, np.int32)
    flat[np.repeat(there, n_positions)] = values
    return flat
