"""How long the text of a recipe is: counted where it is short, else estimated from a sample."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import CorpusError
from ingest.plan import costs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from atlas.recipe import TokensSection
    from ingest.inputs import TokenTexts

#: Characters up to which every document is tokenised, and of the sample of a longer text.
COUNTED = 8_000_000
#: Documents of a longer text that are tokenised whatever the sample is: the longest.
LONGEST = 8


@dataclass(frozen=True)
class TextSize:
    """Size of a text.

    Attributes
    ----------
    lengths
        int64 ``[documents]``: tokens of each document, estimated from its characters where it was
        not tokenised.
    tokenised
        Number of documents that were tokenised.
    memory
        Bytes that the documents take while a build runs, token ids included.
    seconds
        Seconds to tokenise one token.
    """

    lengths: NDArray[np.int64]
    tokenised: int
    memory: int
    seconds: float

    @property
    def documents(self) -> int:
        """Number of documents."""
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        """Number of tokens, BOS not counted."""
        return int(self.lengths.sum())

    @property
    def counted(self) -> bool:
        """Whether every document was tokenised."""
        return self.tokenised == self.documents

    def read(self, options: TokensSection) -> int:
        """Return the number of tokens that the model reads: a BOS for every block."""
        return self.tokens + int(_blocks(self.lengths, options).sum())

    def countable(self, options: TokensSection) -> NDArray[np.int64]:
        """Positions of each document that count unless they are attention sinks."""
        skip, full = options.skip_positions, self.lengths // (options.context_size - 1)
        rest = self.lengths % (options.context_size - 1)
        whole = full * max(options.context_size - skip, 0)
        found: NDArray[np.int64] = whole + np.where(rest > 0, np.maximum(rest + 1 - skip, 0), 0)
        return found


def _blocks(lengths: NDArray[np.int64], options: TokensSection) -> NDArray[np.int64]:
    blocks: NDArray[np.int64] = -(-lengths // (options.context_size - 1))
    return blocks


def measure_text(texts: TokenTexts, *, counted: int = COUNTED) -> TextSize:
    """Count tokens.

    Parameters
    ----------
    texts
        The corpus; keeps the token ids where all of it is tokenised, as a build needs them.
    counted
        Characters up to which all documents are tokenised. Of a longer text every k-th document
        is, about so many characters of it, and the longest few, so that no document is found too
        long for the memory by an estimate alone.

    Raises
    ------
    CorpusError
        The text holds no token.
    """
    documents = texts.documents
    characters = np.array([len(document.text) for document in documents], np.int64)
    step = max(1, -(-int(characters.sum()) // counted))
    spread = np.arange(0, len(documents), step)
    longest = np.argsort(-characters, kind="stable")[:LONGEST] if step > 1 else spread[:0]
    longest = longest[np.cumsum(characters[longest]) <= counted]
    began = time.perf_counter()
    chosen = np.union1d(spread, longest)
    found = _lengths(texts, chosen.tolist(), keep=len(chosen) == len(documents))
    seconds = time.perf_counter() - began
    of_spread = found[np.isin(chosen, spread)]
    share = of_spread.sum() / max(int(characters[spread].sum()), 1)
    lengths = np.round(characters * share).astype(np.int64)
    lengths[chosen] = found
    if lengths.sum() == 0:
        raise CorpusError("The text holds no token.", hint="Give documents with text.")
    memory = sum(sys.getsizeof(document.text) for document in documents)
    memory += costs.DOCUMENT * len(documents) + costs.TOKEN * int(lengths.sum())
    return TextSize(lengths, len(chosen), memory, seconds / max(int(found.sum()), 1))


def _lengths(texts: TokenTexts, chosen: Sequence[int], *, keep: bool) -> NDArray[np.int64]:
    found: list[int] = []
    for start in range(0, len(chosen), texts.BATCH):
        some = chosen[start : start + texts.BATCH]
        if keep:
            found += [len(texts.tokens(d)) for d in some]
            continue
        pieces = [texts.documents[d].text for d in some]
        ids = texts.tokenizer(pieces, add_special_tokens=False, verbose=False)["input_ids"]
        found += [len(one) for one in ids]
    return np.array(found, np.int64)
