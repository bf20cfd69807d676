from __future__ import annotations

from ingest.labels import WordBackground, feature_label, words_of


def test_distinctive_words_are_those_that_mark_the_contexts():
    background = WordBackground(["the cat sat", "the dog ran", "the court ruled"] * 20)
    words = background.distinctive(["the heart beats", "a heart valve", "the heart and the lung"])
    assert words[0] == "heart"
    assert "the" not in words
    assert "valve" not in words  # stands in one context alone
    assert background.distinctive([]) == []


def test_label_prefers_tokens_then_words_then_promoted():
    assert feature_label([" Heart", "heart", " lung"], [0.3, 0.2, 0.1], ["x"], ["y"]) == (
        "heart · lung",
        "tokens",
    )
    assert feature_label([" a"], [0.01], ["cardiac", "valve"], []) == (
        "cardiac · valve",
        "contexts",
    )
    assert feature_label([" a"], [0.01], [], []) == ("a", "tokens")
    assert feature_label([], [], [], [" z", "Z", "q"]) == ("z · q", "promoted")
    assert feature_label([], [], [], []) == (None, "none")


def test_a_token_of_blanks_is_shown_as_its_escape():
    assert feature_label(["\n\n"], [1.0], [], [])[0] == "\\n\\n"


def test_words_are_lower_case_and_three_letters_or_more():
    assert words_of("It is a Heart-rate of 72, isn't it?") == {"heart-rate", "isn't"}
