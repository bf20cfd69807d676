"""Tables of a build that stand for themselves: documents, tokens, concepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from atlas.schemas import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingest.concepts import Concepts
    from ingest.corpus import Document


def document_table(documents: Sequence[Document], lengths: Sequence[int], corpus: str) -> pa.Table:
    """Rows of Document."""
    rows = [
        {
            "key": f"{corpus}/{document.id}",
            "domain": document.domain,
            "source": document.source,
            "title": document.title,
            "n_tokens": int(length),
        }
        for document, length in zip(documents, lengths, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=schema("documents"))


def token_table(token_ids: Sequence[int], text_of: Callable[[int], str], model: str) -> pa.Table:
    """Rows of Token."""
    rows = [{"key": f"{model}/{t}", "token_id": int(t), "text": text_of(t)} for t in token_ids]
    return pa.Table.from_pylist(rows, schema=schema("tokens"))


def concept_table(concepts: Sequence[Concepts]) -> pa.Table:
    """Rows of Concept; see `ingest.concepts.find_concepts`."""
    rows = [
        {"key": key, "name": name, "kind": kind.kind, "source": kind.source, "documents": int(size)}
        for kind in concepts
        for key, name, size in zip(kind.keys, kind.names, kind.sizes, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=schema("concepts"))
