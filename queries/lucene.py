"""Makes text of a user safe for Neo4j's full-text indexes, which read Lucene's query language."""

from __future__ import annotations

import re

from atlas.errors import UsageError

MAX_WORDS = 64

_SPECIAL = re.compile(r'([+\-!(){}\[\]^"~*?:\\/&|<>=])')
_OPERATORS = frozenset({"AND", "OR", "NOT", "TO"})


def escape(text: str) -> str:
    """Return a Lucene query that looks for the words of `text`, whatever characters it has.

    Operators lose their meaning: special characters are escaped, and AND, OR, NOT and TO are
    written small. A feature that has more of the words ranks higher; it need not have all.

    Raises
    ------
    UsageError
        The text has no words, or more than `MAX_WORDS`.
    """
    words = text.replace("\0", " ").split()
    if not words:
        raise UsageError("There is no text to search for.", hint="Give at least one word.")
    if len(words) > MAX_WORDS:
        raise UsageError(
            f"The text to search for has {len(words)} words.", hint=f"Give at most {MAX_WORDS}."
        )
    return " ".join(
        word.lower() if word in _OPERATORS else _SPECIAL.sub(r"\\\1", word) for word in words
    )


def fuzzy(text: str) -> str:
    """Return a Lucene query for words like those of `text`: misspelt, or the beginning of others.

    Empty where `text` has no letters or digits.
    """
    words = re.findall(r"\w+", text.casefold())[:MAX_WORDS]
    return " ".join(f"{word}~ {word}*" for word in words)
