"""Finds the names of terms in text: whole words whatever their case, the longest name first."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_POSSESSIVE = re.compile(r"['’]s$|['’]")
_ROMAN = {"i": "1", "ii": "2", "iii": "3", "iv": "4", "v": "5"}

#: Words that end in these are no plurals.
_SINGULAR = ("ss", "us", "is")

#: A name of one word has at least so many letters: shorter ones are abbreviations, which without
#: case are words of the language ("ALL", "MS").
_LEAST_LETTERS = 4


def words_of_name(text: str) -> tuple[str, ...]:
    """Split a text into words that are compared.

    Case is folded, hyphens separate, a possessive 's falls away, and so does the s of a plural in
    words of four letters and more (``ies`` becomes ``y``): *Crohn's Diseases* is *crohn disease*.
    Roman numerals up to five after *type* are numbers.
    """
    words = [_plain(word) for word in _WORD.findall(text.casefold())]
    return tuple(
        _ROMAN.get(word, word) if place and words[place - 1] == "type" else word
        for place, word in enumerate(words)
    )


def _plain(word: str) -> str:
    word = _POSSESSIVE.sub("", word)
    if len(word) < _LEAST_LETTERS or not word.endswith("s") or word.endswith(_SINGULAR):
        return word
    return f"{word[:-3]}y" if word.endswith("ies") and len(word) > _LEAST_LETTERS else word[:-1]


EVERYDAY = frozenset(
    "amelia anger arranging axis boil bouncing burn collecting corn cutting death dribbling ecstasy"
    " fall falling growth hive illusion inactivity inertia jumping mole plague rigidity spinning"
    " worm worry".split()
)
"""Names of one word that are passed over: in general text they mostly mean something else.

Found by reading what matched in the demo text (*growth* is a tumour in 119 of 2,070 documents, on
26 of 45 topics), so other text may need other words.
"""


class TermMatcher:
    """Finds names in texts.

    From left to right, at each word the longest name that begins there is taken and the search
    goes on behind it, so that *heart* is not found in *heart attack* where both are names. A name
    of several terms finds them all.

    Parameters
    ----------
    names
        Term -> its names. Passed over are names of one word of fewer than four letters or of
        `EVERYDAY`, and names of digits alone.

    Attributes
    ----------
    size
        Number of different names.
    """

    def __init__(self, names: Mapping[str, Iterable[str]]) -> None:
        found: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for term, texts in names.items():
            for text in texts:
                words = words_of_name(text)
                if _can_name(words):
                    found[words].add(term)
        self.size = len(found)
        self._terms = {words: tuple(sorted(terms)) for words, terms in found.items()}
        lengths: dict[str, set[int]] = defaultdict(set)
        for words in found:
            lengths[words[0]].add(len(words))
        self._lengths = {word: sorted(of, reverse=True) for word, of in lengths.items()}

    def find(self, text: str) -> set[str]:
        """Return the terms that a text names."""
        return {term for _, terms in self.places(text) for term in terms}

    def places(self, text: str) -> list[tuple[str, tuple[str, ...]]]:
        """Return what was found from left to right: the words, joined, and the terms they name."""
        words, found, place = words_of_name(text), [], 0
        while place < len(words):
            length = self._longest(words, place)
            if length:
                here = words[place : place + length]
                found.append((" ".join(here), self._terms[here]))
            place += max(length, 1)
        return found

    def _longest(self, words: tuple[str, ...], place: int) -> int:
        for length in self._lengths.get(words[place], ()):
            if words[place : place + length] in self._terms:
                return length
        return 0


def _can_name(words: tuple[str, ...]) -> bool:
    if len(words) == 1:
        long = len(words[0]) >= _LEAST_LETTERS and not words[0].isdecimal()
        return long and words[0] not in EVERYDAY
    return any(not word.isdecimal() for word in words)
