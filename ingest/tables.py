"""Tables of a build that stand for themselves: edges, documents, tokens, contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from atlas.schemas import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingest.cooccurrence.edges import Edges
    from ingest.corpus import Document


def edge_table(edges: Edges, sae_key: str, *, top_k: int) -> pa.Table:
    """Rows of CO_OCCURS, lower index first, ordered by the two indices.

    An edge is mutual where it is among the strongest `top_k` of both its features.
    """
    s, size = edges.sums, edges.effects
    columns: dict[str, Any] = {
        "source": [f"{sae_key}/{i}" for i in s.i],
        "target": [f"{sae_key}/{j}" for j in s.j],
        "kind": ["token"] * len(s.i),
        "n": s.a,
        "d": s.d,
        "expected": size.expected,
        "lift": size.lift,
        "pmi": size.pmi,
        "npmi": size.npmi,
        "phi": size.phi,
        "phi_max": size.phi_max,
        "jaccard": size.jaccard,
        "p_target_given_source": size.j_given_i,
        "p_source_given_target": size.i_given_j,
        "z": edges.z,
        "z_within": edges.z_within,
        "p": edges.p,
        "q": edges.q,
        "rank_source": edges.rank_i,
        "rank_target": edges.rank_j,
        "mutual": (edges.rank_i <= top_k) & (edges.rank_j <= top_k),
    }
    return pa.table(columns, schema=schema("edges"))


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


class ContextWindows:
    """Windows of text around positions that count.

    Parameters
    ----------
    documents
        The corpus.
    tokens_of
        Maps a document's index to its token ids.
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
        tokens_of: Callable[[int], Sequence[int]],
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

    def bounds(self, document: int, position: int) -> tuple[int, int]:
        """First and last-plus-one token position of the window around a position."""
        start = max(0, position - self.before)
        return start, min(len(self.tokens_of(document)), start + self.width)

    def row(self, document: int, position: int) -> dict[str, Any]:
        """Row of Context for a position."""
        start, stop = self.bounds(document, position)
        tokens = [self.text_of(t) for t in self.tokens_of(document)[start:stop]]
        key = f"{self.corpus}/{self.documents[document].id}"
        return {
            "key": f"{key}/{position}",
            "document": key,
            "position": position,
            "token": tokens[position - start],
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
        return [
            "".join(self.text_of(t) for t in self.tokens_of(d)[start : start + self.width])
            for d, start in places[::step]
        ]
