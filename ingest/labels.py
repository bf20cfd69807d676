"""Short labels of features from what they fire on: tokens first, then context words."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WORD = re.compile(r"[^\W\d_][\w'’-]{2,}")

#: A feature whose marking tokens cover less than this share of its firings is named by words.
MIN_TOKEN_SHARE = 0.15

#: Most parts of a label, and what stands between them.
PARTS, SEPARATOR = 3, " · "


def words_of(text: str) -> set[str]:
    """Lower-cased words of three letters or more."""
    return set(_WORD.findall(text.lower()))


class WordBackground:
    """How common words are among windows of the corpus.

    Parameters
    ----------
    windows
        Texts of windows of about the length of a context, a sample or all.
    """

    def __init__(self, windows: Iterable[str]) -> None:
        self.counts: Counter[str] = Counter()
        self.windows = 0
        for window in windows:
            self.counts.update(words_of(window))
            self.windows += 1

    def distinctive(self, contexts: Sequence[str], *, top: int = 8) -> list[str]:
        """Words that mark `contexts`, the most distinctive first.

        Scored by share of contexts * log2(that share / share of windows), add-one smoothed; a
        word must stand in two contexts and three of ten, twice as often as anywhere.
        """
        if not contexts:
            return []
        seen: Counter[str] = Counter()
        for context in contexts:
            seen.update(words_of(context))
        scores = {
            word: (n / len(contexts)) * math.log2((n / len(contexts)) / self._share(word))
            for word, n in seen.items()
            if n >= max(2, -(-3 * len(contexts) // 10))
        }
        best = sorted(scores, key=lambda word: (-scores[word], word))
        return [word for word in best if seen[word] / len(contexts) >= 2 * self._share(word)][:top]

    def _share(self, word: str) -> float:
        return (self.counts[word] + 1) / (self.windows + 1)


def feature_label(
    tokens: Sequence[str], shares: Sequence[float], words: Sequence[str], promoted: Sequence[str]
) -> tuple[str | None, str]:
    """Name a feature.

    Parameters
    ----------
    tokens, shares
        Marking tokens, the strongest first, and their share of the firings.
    words
        Distinctive context words, the strongest first.
    promoted
        Promoted tokens, the strongest first; the last resort.

    Returns
    -------
    label
        For example ``disease · syndrome · disorder``; None where nothing is known.
    source
        ``tokens``, ``contexts``, ``promoted`` or ``none``.
    """
    parts, source = label_parts(tokens, shares, words, promoted)
    return SEPARATOR.join(parts) or None, source


def label_parts(
    tokens: Sequence[str], shares: Sequence[float], words: Sequence[str], promoted: Sequence[str]
) -> tuple[tuple[str, ...], str]:
    """Return the parts, at most three, of what `feature_label` returns, and their source."""
    plain = _distinct(tokens)
    if plain and sum(shares) >= MIN_TOKEN_SHARE:
        return tuple(plain[:PARTS]), "tokens"
    if words:
        return tuple(words[:PARTS]), "contexts"
    if plain:
        return tuple(plain[:PARTS]), "tokens"
    if promoted:
        return tuple(_distinct(promoted)[:PARTS]), "promoted"
    return (), "none"


def plain_token(token: str) -> str:
    """Return a token without case and blanks, or as its escape if it is blanks alone."""
    return token.strip().lower() or token.encode("unicode_escape").decode().replace(" ", "␣")


def _distinct(tokens: Iterable[str]) -> list[str]:
    """Drop case, blanks and doubles."""
    return list(dict.fromkeys(plain for token in tokens if (plain := plain_token(token))))
