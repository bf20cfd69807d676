"""Windows of text around positions, as rows of the table `contexts`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from atlas.schemas import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from ingest.corpus import Document

#: Rows that are held as Python objects before they become Arrow arrays.
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
        """Yield rows of sorted places, and fill `stop`; one document's tokens are held."""
        current, tokens = -1, list[int]()
        for low in range(0, len(place), _BATCH):
            rows = []
            for number in range(low, min(low + _BATCH, len(place))):
                document, position = int(place[number]) >> 32, int(place[number]) & 0xFFFFFFFF
                if document != current:
                    current, tokens = document, self.tokens_of(document).tolist()
                stop[number] = min(len(tokens), start[number] + self.width)
                window = tokens[start[number] : stop[number]]
                rows.append(self._row(document, position, window, position - start[number]))
            yield pa.RecordBatch.from_pylist(rows, schema=schema("contexts"))

    def _row(self, document: int, position: int, window: list[int], at: int) -> dict[str, Any]:
        tokens = [self.text_of(token) for token in window]
        key = f"{self.corpus}/{self.documents[document].id}"
        return {
            "key": f"{key}/{position}",
            "document": key,
            "position": position,
            "token": tokens[at],
            "text": "".join(tokens),
            "tokens": tokens,
        }

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
            tokens = [self.text_of(token) for token in self.tokens_of(document).tolist()]
            texts += ["".join(tokens[start : start + self.width]) for _, start in group]
        return texts


def join_contexts(tables: Iterable[pa.Table]) -> pa.Table:
    """Put tables of contexts one after the other and keep the first row of each key."""
    joined = pa.concat_tables([schema("contexts").empty_table(), *tables])
    first: dict[str, int] = {}
    for number, key in enumerate(joined["key"].to_pylist()):
        first.setdefault(key, number)
    return joined.take(pa.array(list(first.values()), pa.int64()))
