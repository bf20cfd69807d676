"""Tokens of brought codes: ids, or texts that are given ids here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import ArtifactError, UsageError
from ingest.brought.batches import tokens
from ingest.brought.index import Distinct, Index
from ingest.brought.options import ONLY_FIRING, UNKNOWN_TOKEN

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from ingest.brought.documents import DocumentSource
    from ingest.brought.options import BroughtOptions
    from ingest.brought.source import FiringSource


class Tokens:
    """Ids of tokens, for those brought as ids and for those brought as texts.

    Texts are numbered from 0 by code point, over the codes and the documents together, so that
    the ids do not depend on the order of rows.

    Parameters
    ----------
    source, documents
        Where tokens may come from.
    rows
        Rows read at a time.

    Attributes
    ----------
    index
        Numbers of texts; None where tokens are ids or absent.
    texts
        Text of each id, as far as known.

    Raises
    ------
    ArtifactError
        The codes have texts and the documents ids, or the other way round.
    """

    def __init__(self, source: FiringSource, documents: DocumentSource, *, rows: int) -> None:
        import pyarrow as pa

        kinds = {kind for kind in (source.token_type, documents.token_type) if kind is not None}
        if len(kinds) > 1:
            raise ArtifactError(
                f"The codes at {source.root} have tokens as {source.token_type}, the documents as "
                f"{documents.token_type}.",
                hint="Give both as ids or both as texts, or leave one out.",
            )
        self.known = bool(kinds)
        self.everywhere = documents.token_type is not None
        self.index: Index | None = None
        self.texts = dict(documents.vocabulary)
        if kinds == {pa.string()}:
            self.index = Index(_all_texts(source, documents, rows))
            self.texts = dict(enumerate(self.index.values.to_pylist()))

    def of(self, array: pa.Array | None, length: int) -> NDArray[np.int32]:
        """Ids of a column of tokens, `UNKNOWN_TOKEN` where null or where there is no column."""
        import pyarrow.compute as pc

        if array is None:
            return np.full(length, UNKNOWN_TOKEN, np.int32)
        if self.index is not None:
            return self.index.of(array).astype(np.int32)
        ids: NDArray[np.int64] = pc.fill_null(array, UNKNOWN_TOKEN).to_numpy()
        return ids.astype(np.int32)

    def mask(self, options: BroughtOptions) -> NDArray[np.int32]:
        """Ids of the tokens to mask.

        Raises
        ------
        UsageError
            The tokens of positions are not known, or no token has such a text.
        """
        if not options.mask_tokens:
            return np.zeros(0, np.int32)
        if not (self.everywhere or (self.known and options.positions == ONLY_FIRING)):
            raise UsageError(
                "mask_tokens needs the token of every position that counts.",
                hint="Give a documents table with tokens.",
            )
        ids: list[int] = []
        for wanted in options.mask_tokens:
            if isinstance(wanted, int):
                if self.index is not None:
                    raise UsageError(
                        f"mask_tokens names the id {wanted}, but tokens were brought as texts.",
                        hint="Name the text.",
                    )
                ids.append(wanted)
                continue
            found = [token for token, text in self.texts.items() if text == wanted]
            if not found:
                raise UsageError(
                    f"No token has the text {wanted!r} of mask_tokens.", hint="Name its id."
                )
            ids += found
        return np.array(ids, np.int32)


def _all_texts(source: FiringSource, documents: DocumentSource, rows: int) -> pa.Array:
    import pyarrow as pa

    texts = Distinct(pa.string())
    if documents.token_texts is not None:
        texts.add(documents.token_texts)
    if source.token_type is not None:
        for batch in source.batches(("token",), rows=rows):
            found = tokens(batch)
            if found is not None:
                texts.add(found)
    return texts.sorted()
