from __future__ import annotations

import pytest

from atlas.errors import DatabaseError
from atlas.graph.migrate import Migration, check, migrations, statements


def test_statements_are_split_outside_quotes_and_comments() -> None:
    text = """// first; not a statement
    CREATE (a {x: 'semi;colon', y: "it's; fine"}); /* block; comment */
    MATCH (`odd;name`) RETURN 4 / 2 ;;
    // last
    RETURN 'escaped \\' ; quote'"""
    assert statements(text) == [
        "CREATE (a {x: 'semi;colon', y: \"it's; fine\"})",
        "MATCH (`odd;name`) RETURN 4 / 2",
        "RETURN 'escaped \\' ; quote'",
    ]


def test_statements_of_an_address() -> None:
    assert statements("RETURN 'bolt://host' AS a; RETURN 1") == [
        "RETURN 'bolt://host' AS a",
        "RETURN 1",
    ]


def test_the_migrations_are_numbered_in_order_and_repeatable() -> None:
    found = migrations()
    assert [int(m.name[:4]) for m in found] == list(range(1, len(found) + 1))
    assert found[0].name == "0001_initial"
    for statement in statements(found[0].text):
        assert " IF NOT EXISTS" in statement


def test_line_ends_do_not_change_a_checksum() -> None:
    assert all("\r" not in migration.text for migration in migrations())


ONE, TWO = Migration("0001_a", "RETURN 1"), Migration("0002_b", "RETURN 2")


def test_a_changed_migration_is_an_error() -> None:
    check({"0001_a": ONE.sha256}, [ONE, TWO])
    with pytest.raises(DatabaseError, match=r"0001_a was applied.*another text"):
        check({"0001_a": TWO.sha256}, [ONE, TWO])


def test_an_unknown_migration_is_an_error() -> None:
    with pytest.raises(DatabaseError, match=r"newer atlas.*0002_b"):
        check({"0001_a": ONE.sha256, "0002_b": TWO.sha256}, [ONE])
