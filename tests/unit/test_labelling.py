"""Scores of labels against planted truth, and what a language model is asked."""

from __future__ import annotations

from importlib import util

import numpy as np
import pytest

from atlas.errors import UsageError
from ingest.labelling import (
    Background,
    Evidence,
    Shown,
    label_prompt,
    litellm_labeller,
    score_label,
)
from ingest.labelling.llm import clean_answer
from ingest.labels import label_parts


def shown(text: str, *activations: float) -> Shown:
    """Make a context whose tokens are the words of a text with the blank before them."""
    words = text.split()
    tokens = tuple(word if n == 0 else f" {word}" for n, word in enumerate(words))
    return Shown(text, tokens, activations or (0.0,) * len(tokens))


COMMON = Background(
    [shown("the cat sat on the mat"), shown("a dog ran to the heart"), shown("one two three four")]
)


def test_a_score_is_the_explained_activation_less_chance():
    held_out = [shown("my Heart beats", 0, 3, 1), shown("the heart", 1, 5)]
    found = score_label(("heart",), "tokens", held_out, background=COMMON)
    assert found is not None
    assert (found.explained, found.chance, found.contexts) == (8 / 10, 1 / 16, 2)
    assert found.score == 8 / 10 - 1 / 16


def test_a_word_that_is_everywhere_explains_little_beyond_chance():
    rng = np.random.default_rng(0)
    vocabulary = ["the"] * 40 + [f"word{n}" for n in range(60)]
    texts = [" ".join(rng.choice(vocabulary, 20)) for _ in range(400)]
    background = Background([shown(text) for text in texts[:200]])
    # A feature that fires anywhere, and one that fires on a rare word and nowhere else.
    anywhere = [shown(text, *rng.random(20)) for text in texts[200:]]
    rare = [shown(text, *(word == "word7" for word in text.split())) for text in texts[200:]]
    blind = score_label(("the",), "tokens", anywhere, background=background)
    seeing = score_label(("word7",), "tokens", rare, background=background)
    assert blind is not None
    assert seeing is not None
    assert blind.explained > 0.35
    assert abs(blind.score) < 0.03
    assert seeing.explained == 1
    assert seeing.score > 0.98
    assert seeing.contexts == sum("word7 " in f"{text} " for text in texts[200:])


def test_words_explain_the_contexts_that_have_them():
    held_out = [shown("the cardiac valve", 0, 0, 2), shown("so it goes", 1, 0, 1)]
    background = Background([shown("cardiac arrest"), shown("a valve"), shown("b"), shown("c d")])
    found = score_label(("cardiac", "valve"), "contexts", held_out, background=background)
    assert found is not None
    assert (found.explained, found.chance) == (2 / 4, 2 / 4)
    assert found.score == 0


def test_promoted_tokens_explain_the_position_before_them():
    held_out = [shown("New York is", 4, 1, 0), shown("New Delhi", 3, 0)]
    background = Background([shown("in York now"), shown("York first")])
    found = score_label(("york",), "promoted", held_out, background=background)
    assert found is not None
    assert (found.explained, found.chance) == (4 / 8, 1 / 3)


def test_without_held_out_activation_there_is_no_score():
    assert score_label(("a",), "tokens", [], background=COMMON) is None
    assert score_label(("a",), "tokens", [shown("a b", 0, 0)], background=COMMON) is None
    assert score_label((), "none", [shown("a b", 1, 0)], background=COMMON) is None
    empty = Background([])
    found = score_label(("b",), "tokens", [shown("a b", 0, 1)], background=empty)
    assert found is not None
    assert found.score == 1


def test_equal_windows_count_once():
    once = Background([shown("a b"), shown("c d")])
    twice = Background([shown("a b"), shown("c d"), shown("a b")])
    assert twice.windows == once.windows == 2
    assert twice.share(("a",), "tokens") == once.share(("a",), "tokens") == 1 / 4


def test_parts_are_those_of_the_label():
    tokens, shares = [" Heart", "heart", " lung", "x", "y"], [0.3, 0.2, 0.1, 0.1, 0.1]
    assert label_parts(tokens, shares, [], []) == (("heart", "lung", "x"), "tokens")
    assert label_parts([], [], [], []) == ((), "none")


def test_the_prompt_marks_strong_tokens_and_hides_the_label():
    evidence = Evidence(
        "toy/0",
        tokens=(" heart",),
        shares=(0.9,),
        promoted=(" beat",),
        contexts=(shown("my heart beats fast", 0, 4, 2, 1), shown("no\nactivations")),
        explanation="secret",
        label="hidden",
    )
    prompt = label_prompt(evidence)
    assert "- my« heart»« beats» fast" in prompt
    assert "- no activations" in prompt
    assert "Tokens it fires on: ' heart'" in prompt
    assert "secret" not in prompt
    assert "hidden" not in prompt


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ('\n "Heart and circulation."\nBecause', "Heart and circulation"),
        ("Label: **hearts**", "hearts"),
        ("  \n ", None),
        ("x" * 200, "x" * 80),
    ],
)
def test_answers_become_short_labels(answer, label):
    assert clean_answer(answer) == label


@pytest.mark.skipif(util.find_spec("litellm") is not None, reason="litellm is installed")
def test_without_litellm_the_extra_is_named():
    with pytest.raises(UsageError, match=r"sae-feature-atlas\[litellm\]"):
        litellm_labeller("ollama/llama3.2")


def test_litellm_is_asked_and_answers():
    pytest.importorskip("litellm", reason="the extra litellm is not installed")
    labeller = litellm_labeller("gpt-4o-mini", mock_response='"Hearts."')
    assert labeller(Evidence("toy/0", contexts=(shown("a heart", 0, 1),))) == "Hearts"
