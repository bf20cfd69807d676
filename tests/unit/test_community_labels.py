"""Labels of communities, from members whose texts are known."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.analysis.labels import Background, Member, label_community


def crowd(*marked: Member, size: int = 400) -> Background:
    """Return the background of some members and of many others that fire on `the` and `of`."""
    others = [Member(tokens=[(" the", 1.0), (" of", 1.0), (f" own{i}", 1.0)]) for i in range(size)]
    return Background([*marked, *others])


def test_general_words_name_nothing_where_a_distinctive_one_is() -> None:
    members = [
        Member(tokens=[(" the", 3.0), (" at", 1.0)] + [(" Heart", 0.5)] * (i < 4))
        for i in range(10)
    ]
    label = label_community(members, fallback="?", background=crowd(*members))
    assert label.label.split(" · ")[0] == "at"
    assert label.label.split(" · ")[1] == "Heart"
    heart = label.parts[1]
    assert (heart.kind, heart.members, heart.share) == ("tokens", 4, 0.4)
    assert heart.lift == pytest.approx(0.4 / (4 / 410))


def test_a_community_of_a_general_word_has_its_name() -> None:
    members = [Member(tokens=[(" and", 2.0)]) for _ in range(30)]
    everyone = [*members, *(Member(tokens=[(" x1y", 1.0)]) for _ in range(370))]
    label = label_community(members, fallback="?", background=Background(everyone))
    assert label.label == "and"  # of 7.5 % of all features, but of all of these
    assert label.parts[0].lift == pytest.approx(400 / 30)


def test_words_concepts_and_promoted_follow_where_tokens_do_not_mark() -> None:
    members = [
        Member(
            tokens=[(" the", 1.0)],
            words=["valve"],
            concepts=["cardiology"],
            promoted=[" heart"] if i < 7 else [" other"],
        )
        for i in range(10)
    ]
    label = label_community(members, fallback="?", background=crowd(*members))
    assert label.label == "valve · cardiology · heart"
    assert label.source == "concepts and promoted and words"
    assert label.top_concepts == ["cardiology"]
    scattered = [Member(promoted=[f" p{i}word"]) for i in range(10)]
    assert label_community(scattered, fallback="none known").label == "none known"
    assert label_community(scattered, fallback="none known").source == "none"


def test_fragments_punctuation_and_single_members_come_last() -> None:
    members = [
        Member(tokens=[(",", 9.0), (" artery", 0.2)]),
        Member(tokens=[(",", 9.0), (" artery", 0.2)]),
        Member(tokens=[(",", 9.0), (" unique", 9.0)]),
    ]
    assert label_community(members, fallback="?").label == "artery · , · unique"
    assert label_community([], fallback="empty").label == "empty"


texts = st.sampled_from([" heart", "Heart", " the", ",", " valve", " cardiac"])
lists = st.lists(texts, max_size=4)
made = st.builds(
    Member,
    tokens=st.lists(st.tuples(texts, st.floats(0, 5)), max_size=4),
    words=lists,
    promoted=lists,
    concepts=lists,
)


@given(st.lists(made, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_a_label_does_not_depend_on_the_order_of_members(
    members: list[Member], rng: random.Random
) -> None:
    shuffled = list(members)
    rng.shuffle(shuffled)
    background = Background(members)
    label = label_community(members, fallback="?", background=background)
    assert label == label_community(shuffled, fallback="?", background=background)
    assert len({part.text.casefold() for part in label.parts}) == len(label.parts) <= 3
    assert all(0 < part.share <= 1 and part.lift >= 0.99 for part in label.parts)
