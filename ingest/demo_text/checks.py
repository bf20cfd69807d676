"""Which of the model's texts are kept as documents, and why the others are not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ingest.demo_text.prompts import Slot, content_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MIN_WORDS = 25
#: Least share of distinct word trigrams; loops of a small model fall far below it.
MIN_DISTINCT = 0.88
#: Largest share of word 5-grams that a document may have in common with its topic's others.
MAX_SHARED = 0.15

_SENTENCE_END = re.compile(r"[.!?][\"')]?(?=\s|$)")
_LIST_ITEM = re.compile(r"(?m)^\s*(?:\d+[.)]|[-*#•>])\s")
_MARKUP = re.compile(r"[\[\]{}<>|_*#`~\\]|https?:")
#: The model speaks of its task or of itself instead of the subject.
_TALK = re.compile(
    r"\b(?:language model|encyclopedia|magazine|paragraph|article|essay|this text"
    r"|this passage|chapter|curious reader|dear (?:reader|student)s?|here(?:'s| is) an?|sure,|my"
    r"|me)\b|^[^.]{0,40}:",
    re.IGNORECASE,
)
# With the verb, so that "World War I was" passes.
_FIRST_PERSON = re.compile(
    r"\bI'(?:m|ve|d|ll)\b|\bI (?:am|have|had|w(?:ould|ill|ant)|can|could|think|love|like|start"
    r"|began|remember|stood|found|see|know|hope|believe|understand)"
)
_TWICE = re.compile(r"\b(\w+) \1\b", re.IGNORECASE)
_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")


def clean(raw: str) -> str:
    """Cut `raw` after its last full sentence and put it on one line.

    An abbreviation may be taken for the end of a sentence; that only cuts a little more.
    """
    text = " ".join(raw.split())
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else ""


def words(text: str) -> list[str]:
    """Lower-case words of `text`."""
    return _WORD.findall(text.lower())


def ngrams(sequence: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All runs of `n` neighbours, in order, repeats included."""
    return [tuple(sequence[i : i + n]) for i in range(len(sequence) - n + 1)]


def distinct_share(text: str, n: int = 3) -> float:
    """Distinct word n-grams over all of them; 1 where there are none."""
    grams = ngrams(words(text), n)
    return len(set(grams)) / len(grams) if grams else 1.0


def shared(text: str, others: Iterable[str], n: int = 5) -> float:
    """Largest share of the n-grams of `text` that one of `others` has as well."""
    mine = set(ngrams(words(text), n))
    if not mine:
        return 0.0
    return max((len(mine & set(ngrams(words(o), n))) / len(mine) for o in others), default=0.0)


def fault(raw: str, slot: Slot, accepted: Sequence[str]) -> str | None:
    """Say why a text is not kept, or None where it is.

    Parameters
    ----------
    raw
        What the model wrote, before `clean`.
    slot
        What it was asked for.
    accepted
        The documents of the topic kept so far.
    """
    text = clean(raw)
    if len(words(text)) < MIN_WORDS:
        return "short"
    faults = {
        "markup": _LIST_ITEM.search(raw) or _MARKUP.search(text) or not text.isascii(),
        "talk": not text[0].isupper() or _TALK.search(text) or _FIRST_PERSON.search(text),
        "repeats": distinct_share(text) < MIN_DISTINCT or _TWICE.search(text),
        # The first five letters stand for the stem: "swimming" is met by "swimmers".
        "off subject": not any(w[:5] in text.lower() for w in content_words(slot.subject)),
        "near duplicate": shared(text, accepted) > MAX_SHARED,
    }
    return next((name for name, found in faults.items() if found), None)
