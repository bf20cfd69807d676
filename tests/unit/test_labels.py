from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.analysis.communities import group
from atlas.analysis.labels import Member, label_community, visible

HEART = [
    Member([(" heart", 30.0), (" Heart", 10.0), (" rare", 5000.0)], ["blood", "pump"], [" beat"]),
    Member([("heart", 20.0), (" cardiac", 60.0)], ["blood"], [" beat", "s"]),
    Member([(" heart", 40.0), (" cardiac", 60.0)], ["Blood", "valve"], ["s"]),
]


def test_label_by_hand() -> None:
    # heart: 3 members x log2(1 + 30) = 14.9; cardiac: 2 x log2(61) = 11.9; rare: 1 x log2(5001) =
    # 12.3, but only one member has it, so the shared word comes first.
    label = label_community(HEART, fallback="x")
    assert label.label == "heart · cardiac · blood"
    assert label.source == "tokens and words"
    assert label.top_tokens == ["heart", "cardiac", "rare"]
    assert label.token_shares == pytest.approx([1.0, 2 / 3, 1 / 3])
    assert label.top_words == ["blood", "pump", "valve"]
    assert label.promoted == ["beat", "s"]


def test_lift_breaks_equal_shares() -> None:
    members = [Member([("a", 2.0), ("b", 8.0)]), Member([("a", 2.0), ("b", 8.0)])]
    assert label_community(members, fallback="x").top_tokens == ["b", "a"]


def test_a_member_counts_once_for_two_spellings() -> None:
    members = [Member([(" The", 2.0), ("the", 4.0)]), Member([("x", 1.0)])]
    label = label_community(members, fallback="x")
    assert label.token_shares == [0.5, 0.5]
    assert label.top_tokens[0].casefold() == "the"


def test_words_alone_and_nothing_at_all() -> None:
    words = label_community([Member(words=["one"]), Member(words=["one"])], fallback="x")
    assert (words.label, words.source) == ("one", "words")
    nothing = label_community([Member(), Member()], fallback="community 7")
    assert (nothing.label, nothing.source) == ("community 7", "none")


def test_space_is_shown() -> None:
    assert visible("\n") == "'\\n'"
    assert visible(" a ") == "a"


@given(st.permutations(HEART))
def test_order_of_members_does_not_matter(members: list[Member]) -> None:
    assert label_community(members, fallback="x") == label_community(HEART, fallback="x")


def test_groups_are_ordered_by_size_then_first_key() -> None:
    assignment = dict.fromkeys(["z", "y", "x"], 5) | dict.fromkeys("bcd", 9)
    assignment |= dict.fromkeys(["l", "m", "n", "o"], 1) | dict.fromkeys("pq", 2)
    assert group(assignment) == [["l", "m", "n", "o"], ["b", "c", "d"], ["x", "y", "z"]]


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 3), max_size=20))
def test_groups_do_not_depend_on_their_numbers(assignment: dict[str, int]) -> None:
    renamed = {key: 100 - number for key, number in assignment.items()}
    assert group(assignment) == group(renamed)
