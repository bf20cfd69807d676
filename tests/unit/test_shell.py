"""How typed or piped lines become statements."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.cli.query_shell import Completer, parsed
from atlas.cli.shell import StatementReader
from atlas.errors import UsageError
from queries.catalogue import query


def split(text: str) -> tuple[list[str], str]:
    """Feed `text` line by line; return the statements and what is left."""
    reader = StatementReader()
    found = [s for line in text.splitlines(keepends=True) for s in reader.feed(line)]
    return found, reader.pending


def test_statements_end_at_semicolons() -> None:
    assert split("RETURN 1; RETURN\n 2;\nRETURN 3") == (["RETURN 1", "RETURN\n 2"], "RETURN 3")


def test_empty_statements_are_none() -> None:
    assert split(";;  ;\n;") == ([], "")


def test_semicolons_in_quotes_names_and_comments_end_nothing() -> None:
    for text in (
        "RETURN 'a;b'",
        'RETURN "a;b"',
        "MATCH (`a;b`) RETURN 1",
        "RETURN 1 // a;b\n + 1",
        "RETURN 1 /* a;\n;b */ + 1",
        r"RETURN 'it\'s; here'",
        r'RETURN "\\"',
        "RETURN 'two\n;lines'",
        "MATCH (`a\\`) RETURN ';'",  # a backslash escapes nothing in a quoted name
    ):
        assert split(text + ";") == ([text], "")


def test_a_quote_that_nothing_ends_stays_pending() -> None:
    assert split("RETURN 'abc;\nRETURN 1;") == ([], "RETURN 'abc;\nRETURN 1;")


def test_slashes_alone_are_division() -> None:
    assert split("RETURN 4 / 2; RETURN 1;") == (["RETURN 4 / 2", "RETURN 1"], "")


def test_clear_forgets_an_open_quote() -> None:
    reader = StatementReader()
    assert list(reader.feed("RETURN 'abc;\n")) == []
    reader.clear()
    assert list(reader.feed("RETURN 1;\n")) == ["RETURN 1"]


pieces = st.sampled_from(
    ["RETURN 1", " ", "\n", "'a;b'", '"c;\'"', "`d;e`", "/* f; */", "// g;\n", "x / y", "\\'"]
)
words = st.lists(pieces.filter(lambda piece: piece != "\\'"), min_size=1).map("".join)


@given(st.lists(words.filter(lambda text: text.strip() != ""), max_size=5))
def test_joined_statements_come_apart_again(statements: list[str]) -> None:
    found, left = split("".join(statement + ";\n" for statement in statements))
    assert found == [statement.strip() for statement in statements]
    assert left == ""


@given(st.text(alphabet="a;'\"`/*\\\n ", max_size=60))
def test_no_character_is_lost(text: str) -> None:
    found, left = split(text)
    kept = "".join((*found, left))
    for character in "a'\"`/*\\":
        assert kept.count(character) == text.count(character)


def test_the_catalogue_is_completed() -> None:
    complete = Completer(["Feature", "firing_rate", "FIRES_IN"])
    assert ":neighbours" in complete.candidates(":nei", ":nei")
    assert complete.candidates(":neighbours ki", "ki") == ["kind="]
    assert complete.candidates(":neighbours kind=to", "to") == ["token", "topic"]
    assert "limit=" in complete.candidates(":neighbours 3 ", "")
    assert complete.candidates(":nothing x", "x") == []
    assert complete.candidates("MATCH (f:Fe", "Fe") == ["Feature"]
    assert complete.candidates("MATCH (f) WHERE f.fir", "fir") == ["FIRES_IN", "firing_rate"]
    assert complete("MATCH (f:Fe", "Fe", 0) == "Feature"
    assert complete("MATCH (f:Fe", "Fe", 1) is None


def test_arguments_of_a_query_are_read() -> None:
    spec = query("neighbours")
    assert parsed(spec.parameters, ["heart", "limit=5", "mutual=true", "run=null"]) == {
        "feature": "heart",
        "limit": 5,
        "mutual": True,
        "run": None,
    }
    assert parsed(query("features").parameters, ["a, b,c"]) == {"features": ["a", "b", "c"]}
    assert parsed(query("shared_neighbours").parameters, ["b=x", "y"]) == {"a": "y", "b": "x"}
    for wrong in (["heart", "other"], ["limit=many"]):
        with pytest.raises(UsageError):
            parsed(spec.parameters, wrong)
