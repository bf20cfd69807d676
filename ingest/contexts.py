"""Windows of text around positions, as rows of the table `contexts`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from atlas.schemas import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from ingest.corpus import Document

#: Rows that are made at a time, or those of one document.
_BATCH = 10_000


@dataclass(frozen=True)
class Contexts:
    """Windows around some places, each different place once.

    Attributes
    ----------
    table
        Rows of `contexts`, in the order in which their places were first named.
    row
        int64 ``[places]``: row of `table` for each place asked for.
    start, stop
        int64 ``[places]``: first and last-plus-one token position of its window.
    """

    table: pa.Table
    row: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]

    @property
    def keys(self) -> pa.ChunkedArray:
        """Context key of each place asked for."""
        return self.table["key"].take(pa.array(self.row))


class ContextWindows:
    """Windows of text around positions that count.

    Parameters
    ----------
    documents
        The corpus.
    tokens_of
        Maps a document's index to its token ids. `around` asks it once a document, `sample`
        twice, both in document order: it need not remember them.
    text_of
        Maps a token id to its text.
    corpus
        Name of the corpus, the first part of context keys.
    width
        Tokens a window, about two thirds of them before the position.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        *,
        tokens_of: Callable[[int], NDArray[np.int32]],
        text_of: Callable[[int], str],
        corpus: str,
        width: int,
    ) -> None:
        self.documents = documents
        self.tokens_of = tokens_of
        self.text_of = text_of
        self.corpus = corpus
        self.before = width * 2 // 3
        self.width = width

    def around(self, document: NDArray[np.int64], position: NDArray[np.int64]) -> Contexts:
        """Cut the windows around places.

        Parameters
        ----------
        document, position
            int64 ``[places]``: indices of documents and token positions in them; a place may
            stand there several times.
        """
        place, first, inverse = np.unique(
            document << 32 | position, return_index=True, return_inverse=True
        )
        start = np.maximum(0, (place & 0xFFFFFFFF) - self.before)
        stop = np.empty_like(start)
        batches = list(self._batches(place, start, stop))
        order = np.argsort(first)
        row = np.empty_like(order)
        row[order] = np.arange(len(order))
        table = pa.Table.from_batches(batches, schema=schema("contexts")).take(pa.array(order))
        return Contexts(table, row[inverse], start[inverse], stop[inverse])

    def _batches(
        self, place: NDArray[np.int64], start: NDArray[np.int64], stop: NDArray[np.int64]
    ) -> Iterator[pa.RecordBatch]:
        """Yield rows of sorted places, and fill `stop`; a batch's documents are held."""
        low = 0
        while low < len(place):
            last = place[min(low + _BATCH, len(place)) - 1] >> 32
            some = slice(low, int(np.searchsorted(place, (last + 1) << 32)))
            low = some.stop
            documents, row = np.unique(place[some] >> 32, return_inverse=True)
            tokens = [self.tokens_of(document) for document in documents.tolist()]
            length = np.array([len(one) for one in tokens])
            stop[some] = np.minimum(length[row], start[some] + self.width)
            first = np.append(0, np.cumsum(length))[row]
            texts = self._texts(np.concatenate(tokens), first + start[some], first + stop[some])
            names = [f"{self.corpus}/{self.documents[d].id}" for d in documents.tolist()]
            document = pa.array(names, pa.string()).take(pa.array(row))
            position = place[some] & 0xFFFFFFFF
            yield _rows(document, position, position - start[some], texts=texts)

    def _texts(
        self, tokens: NDArray[np.int32], start: NDArray[np.int64], stop: NDArray[np.int64]
    ) -> pa.ListArray:
        """Return the texts of the tokens in each slice."""
        offset = np.append(0, np.cumsum(stop - start))
        shift = np.repeat(start - offset[:-1], stop - start)
        token, place = np.unique(tokens[np.arange(offset[-1]) + shift], return_inverse=True)
        known = pa.array([self.text_of(t) for t in token.tolist()], pa.string())
        values = known.take(pa.array(place))
        return pa.ListArray.from_arrays(pa.array(offset, pa.int32()), values)

    def sample(self, limit: int = 20_000) -> list[str]:
        """Texts of windows that tile the documents, evenly chosen, at most `limit`."""
        places = [
            (d, start)
            for d in range(len(self.documents))
            for start in range(0, len(self.tokens_of(d)), self.width)
        ]
        step = max(1, -(-len(places) // limit))
        texts: list[str] = []
        for document, group in groupby(places[::step], key=itemgetter(0)):
            tokens = self.tokens_of(document)
            start = np.array([start for _, start in group])
            stop = np.minimum(start + self.width, len(tokens))
            texts += pc.binary_join(self._texts(tokens, start, stop), "").to_pylist()
        return texts


def _rows(
    document: pa.StringArray,
    position: NDArray[np.int64],
    at: NDArray[np.int64],
    *,
    texts: pa.ListArray,
) -> pa.RecordBatch:
    """Make rows of `contexts`; `at` is the place of the position in its window."""
    numbers = pa.array(position).cast(pa.string())
    columns = {
        "key": pc.binary_join_element_wise(document, numbers, "/"),
        "document": document,
        "position": pa.array(position, pa.int32()),
        "token": texts.values.take(pa.array(texts.offsets.to_numpy()[:-1] + at)),
        "text": pc.binary_join(texts, ""),
        "tokens": texts,
    }
    return pa.RecordBatch.from_pydict(columns, schema=schema("contexts"))


def join_contexts(tables: Iterable[pa.Table]) -> pa.Table:
    """Put tables of contexts one after the other and keep the first row of each key."""
    joined = pa.concat_tables([schema("contexts").empty_table(), *tables])
    first: dict[str, int] = {}
    for number, key in enumerate(joined["key"].to_pylist()):
        first.setdefault(key, number)
    return joined.take(pa.array(list(first.values()), pa.int64()))
