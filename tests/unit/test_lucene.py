from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.errors import UsageError
from queries.lucene import MAX_WORDS, escape


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("heart attack", "heart attack"),
        ("heart (AND", r"heart \(AND"),
        ("a AND NOT b", "a and not b"),
        ('"quoted', r"\"quoted"),
        ("C:\\x*?~^", r"C\:\\x\*\?\~\^"),
        ("  two\n words\t", "two words"),
        ("AND", "and"),
        ("ANDY", "ANDY"),
    ],
)
def test_escape(text: str, query: str) -> None:
    assert escape(text) == query


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_no_words(text: str) -> None:
    with pytest.raises(UsageError, match="no text"):
        escape(text)


def test_too_many_words() -> None:
    assert escape("x " * MAX_WORDS)
    with pytest.raises(UsageError, match=f"{MAX_WORDS + 1} words"):
        escape("x " * (MAX_WORDS + 1))


@given(st.text(min_size=1))
def test_no_operator_is_left(text: str) -> None:
    try:
        query = escape(text)
    except UsageError:
        return
    plain = re.sub(r"\\.", "", query, flags=re.DOTALL)
    assert not re.search(r'[+\-!(){}\[\]^"~*?:/&|]', plain)
    assert not {"AND", "OR", "NOT"} & set(plain.split(" "))
