"""Names of terms in text: words, longest matches, everyday words; against a plain search."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.term_matcher import EVERYDAY, TermMatcher, words_of_name

NAMES = {
    "E08-E13": ["Diabetes mellitus"],
    "E11": ["Type 2 diabetes mellitus", "Type II diabetes"],
    "I21": ["heart attack"],
    "heart": ["heart", "attack"],
    "K50": ["Crohn's disease"],
    "both": ["heart attack"],
}


def test_words_are_compared_without_case_plural_possessive_and_hyphen():
    assert words_of_name("Crohn's Diseases") == ("crohn", "disease")
    assert words_of_name("Non-insulin-dependent") == ("non", "insulin", "dependent")
    assert words_of_name("allergies, boss, virus, diagnosis, gas") == (
        "allergy", "boss", "virus", "diagnosis", "gas",
    )  # fmt: skip
    assert words_of_name("STRAßE") == words_of_name("strasse")


def test_roman_numerals_are_numbers_after_type_alone():
    assert words_of_name("type II diabetes") == words_of_name("Type 2 diabetes")
    assert words_of_name("I have a type I error") == ("i", "have", "a", "type", "1", "error")


def test_the_longest_name_wins_and_the_search_goes_on_behind_it():
    matcher = TermMatcher(NAMES)
    text = "After the HEART ATTACKS her heart, her type II diabetes and Crohn disease got worse."
    assert matcher.places(text) == [
        ("heart attack", ("I21", "both")),
        ("heart", ("heart",)),
        ("type 2 diabete", ("E11",)),
        ("crohn disease", ("K50",)),
    ]
    assert matcher.find("type 2 diabetes mellitus") == {"E11"}
    assert matcher.find("diabetes mellitus, type 2") == {"E08-E13"}


def test_only_whole_words_are_found():
    matcher = TermMatcher({"a": ["cold"], "b": ["common cold"]})
    assert matcher.find("scolding a coldish uncommon scold") == set()
    assert matcher.find("A common: cold!") == {"b"}
    assert matcher.find("") == set()


def test_abbreviations_numbers_and_everyday_words_name_nothing():
    assert TermMatcher({"a": ["ALL", "MS", "2024", "12 15", "", "—"]}).size == 0
    assert TermMatcher({"a": list(EVERYDAY)}).size == 0
    assert TermMatcher({"a": ["abnormal growth"]}).find("an abnormal growth") == {"a"}


WORDS = st.sampled_from(["aaaa", "bbbb", "cccc", "dddd"])


@given(
    st.dictionaries(st.sampled_from("pqr"), st.lists(st.lists(WORDS, min_size=1, max_size=3))),
    st.lists(WORDS, max_size=12),
)
def test_what_is_found_is_what_a_plain_search_finds(names, words):
    texts = {term: [" ".join(name) for name in some] for term, some in names.items()}
    found, place = [], 0
    while place < len(words):
        for length in (3, 2, 1):
            here = " ".join(words[place : place + length])
            terms = tuple(sorted(t for t, some in texts.items() if here in some))
            if terms and place + length <= len(words):
                found.append((here, terms))
                place += length
                break
        else:
            place += 1
    assert TermMatcher(texts).places(" ".join(words)) == found
