"""Documents and tokens of brought codes, over those of several SAEs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import ArtifactError
from ingest.brought import UNKNOWN_TOKEN, BroughtDocuments, read_vocabulary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

    from ingest.brought import Brought

UNKNOWN_TEXT = "…"
"""What is shown in the place of a token that was not brought."""


class BroughtTexts:
    """Tokens of documents and texts of tokens, as far as any of the codes says them.

    Parameters
    ----------
    brought
        Finished readings that count the same positions of the same documents.
    tokenizer
        Gives the texts of tokens that were brought without one; None shows them as ``#ID``.

    Attributes
    ----------
    documents
        The documents of the first.
    known
        Whether any token is known.

    Raises
    ------
    ArtifactError
        Two of the readings give one token id different texts.
    """

    def __init__(
        self, brought: Sequence[Brought], tokenizer: PreTrainedTokenizerBase | None
    ) -> None:
        read = [BroughtDocuments(one.folder) for one in brought]
        self.documents = read[0].documents
        self._n_positions = read[0].n_positions
        self._with_tokens = [one for one in read if one.tokens(0) is not None]
        self.known = bool(self._with_tokens)
        self._vocabulary = _joined(brought)
        self._tokenizer = tokenizer
        self.of = cache(self._of)

    def n_tokens(self, document: int) -> int:
        """Return the number of positions of a document."""
        return int(self._n_positions[document])

    def tokens(self, document: int) -> NDArray[np.int32]:
        """Token ids of a document: int32 ``[positions]``, `UNKNOWN_TOKEN` where not known.

        Raises
        ------
        ArtifactError
            Two SAEs have different tokens at one position.
        """
        merged = np.full(self._n_positions[document], UNKNOWN_TOKEN, np.int32)
        for one in self._with_tokens:
            tokens = one.tokens(document)
            if tokens is None:
                continue
            # Beyond the last firing of one SAE, another's documents may be known to go on.
            length = min(len(tokens), len(merged))
            here, said = merged[:length], tokens[:length]
            differ = (here != said) & (here != UNKNOWN_TOKEN) & (said != UNKNOWN_TOKEN)
            if differ.any():
                at = int(differ.argmax())
                raise ArtifactError(
                    f"At position {at} of document {self.documents[document].id!r} the codes of "
                    f"two SAEs have different tokens, {here[at]} and {said[at]}.",
                    hint="Give all SAEs one documents table with the tokens of all positions.",
                )
            np.copyto(here, said, where=here == UNKNOWN_TOKEN)
        return merged

    def _of(self, token: int) -> str:
        if token == UNKNOWN_TOKEN:
            return UNKNOWN_TEXT
        if token in self._vocabulary:
            return self._vocabulary[token]
        return f"#{token}" if self._tokenizer is None else str(self._tokenizer.decode([token]))


def _joined(brought: Sequence[Brought]) -> dict[int, str]:
    joined: dict[int, str] = {}
    for one in brought:
        for token, text in read_vocabulary(one.folder).items():
            if joined.setdefault(token, text) != text:
                raise ArtifactError(
                    f"Token {token} is {joined[token]!r} in the codes of one SAE and {text!r} in "
                    f"those at {one.folder}.",
                    hint="Give all SAEs one documents table with the tokens of all positions.",
                )
    return joined
