"""Shading of contexts, histograms of activations, and what edges are told to mean."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.artifacts import CodeShard, write_shard
from atlas.web.contexts import PALEST, context, heats, peak, shaded, shown, side_by_side
from atlas.web.loading import cell, chance, figure
from atlas.web.pages.edge import words as edge_words
from atlas.web.pages.feature import activations
from atlas.web.pages.feature import view as feature
from atlas.web.pages.feature.evidence import done, interval, pretty
from atlas.web.pages.search import panels as search

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "<script>alert(1)</script>"
numbers = st.one_of(st.none(), st.floats(width=32))


def marks(made: Any) -> list[Any]:
    return [part for part in made.children if not isinstance(part, str)]


def words(made: Any) -> str:
    """Return all text of a component, in order."""
    if made is None:
        return ""
    if isinstance(made, list | tuple):
        return "".join(map(words, made))
    children = getattr(made, "children", None)
    return words(children) if hasattr(made, "children") else str(made)


@given(st.lists(numbers, max_size=20), numbers)
def test_heats_are_shares_of_the_strongest(values, scale):
    made = heats(values, scale=scale)
    assert len(made) == len(values)
    for value, heat in zip(values, made, strict=True):
        fires = value is not None and math.isfinite(value) and value > 0
        assert PALEST <= heat <= 1 if fires else heat == 0
    top = peak(values)
    assert (top is None) == (not any(made))
    if top is not None and scale is None:
        assert made[top] == 1.0


def test_a_scale_makes_contexts_comparable():
    assert heats([5.0, 10.0], scale=10.0) == [0.5, 1.0]
    assert heats([5.0, 20.0], scale=10.0)[1] == 1.0, "never darker than the darkest"
    assert heats([5.0], scale=None) == [1.0]


@given(st.lists(st.tuples(st.text(), numbers), min_size=1, max_size=15))
def test_no_text_of_a_context_is_lost(pairs):
    tokens, values = zip(*pairs, strict=True)
    made = shaded(tokens, values)
    assert words(made) == shown(tokens[0].lstrip() + "".join(tokens[1:]))
    assert sum(isinstance(part, str) for part in made.children) <= len(marks(made)) + 1


def test_tokens_are_shaded_titled_and_marked():
    made = shaded([" The", " heart", " is", "\n"], [0.0, 4.0, None, 1.0], also=[1, 1, 1, 0])
    first, second = marks(made)
    assert made.children[0] == "The"
    assert (first.children, first.className, first.title) == (" heart", "fire-a peak both", "4")
    assert first.style == {"--heat": "1.00"}
    assert (second.children, second.style) == ("↵", {"--heat": "0.25"})
    assert second.className == "fire-a"


@pytest.mark.parametrize("values", [None, [1.0], []])
def test_without_activations_of_every_token_the_text_is_plain(values):
    made = shaded(["a", EVIL], values)
    assert made.children == "a" + EVIL, "markup is text"


def test_a_context_says_where_it_is_from():
    row = {"tokens": ["in", EVIL], "activations": [0.0, 2.0], "activation": 2.0,
           "document": "d/1", "domain": "law", "position": 7}  # fmt: skip
    assert words(context(row, scale=4.0)) == f"in{EVIL}2 on {EVIL} in law, d/1, token 7"
    assert words(context({"text": "plain"})) == "plain"


def joint(**more: Any) -> dict[str, Any]:
    return {"tokens": ["a", "b"], "text": "ab", "activations_a": [1.0, 2.0],
            "activations_b": [0.0, 3.0], "activation_a": 2.0, "activation_b": 3.0,
            "on_edge": True, **more}  # fmt: skip


def test_two_features_have_a_column_and_a_hue_each():
    left, right = side_by_side(joint(), scales=(2.0, 3.0)).children[0].children
    assert [mark.className for mark in marks(left.children[0])] == ["fire-a", "fire-a peak both"]
    assert [mark.className for mark in marks(right.children[0])] == ["fire-b peak both"]


def test_a_firing_without_its_strength_is_framed():
    row = joint(activations_b=None, activation_b=None, activation_a=1.0)
    _, right = side_by_side(row, scales=(2.0, 3.0)).children[0].children
    (framed,) = marks(right.children[0])
    assert (framed.children, framed.className) == ("a", "framed-b")
    row["on_edge"] = False
    _, right = side_by_side(row, scales=(2.0, 3.0)).children[0].children
    assert "no firing of it is kept" in words(right)
    neither = joint(activations_a=None, activations_b=[1.0])
    assert words(side_by_side(neither, scales=(None, None))).startswith("abBoth fire here")


def shard(rows: list[dict[int, float]]) -> CodeShard:
    index = [latent for row in rows for latent in sorted(row)]
    return CodeShard(
        indptr=np.cumsum([0, *map(len, rows)]),
        index=np.array(index, np.int32),
        value=np.array([row[k] for row in rows for k in sorted(row)], np.float32),
        **{name: np.zeros(len(rows), np.int32) for name in ("document", "position", "token")},
    )


def asked(**more: Any) -> dict[str, Any]:
    return {"key": "m/h/s/3", "sae": "m/h/s", "run": "r", "n": 3, **more}


def test_all_firings_are_counted_from_code_shards(tmp_path: Path):
    folder = tmp_path / "builds" / "r" / "codes" / "s"
    for number, rows in enumerate(([{3: 1.0}, {1: 9.0, 3: 2.0}], [{}, {3: 4.0}])):
        write_shard(folder / f"shard-{number:05d}.safetensors", shard(rows), identity={})
    store: Any = SimpleNamespace(atlas=SimpleNamespace(home=tmp_path))
    found = activations.all_firings(store, asked())
    assert found is not None
    assert found.count == sum(count for _, _, count in found.bars) == 3
    assert found.bars[0][0] == 0.0
    assert found.bars[-1][1] == 4.0
    assert found.quartiles[1] == 2.0
    assert words(activations.activations(store, asked())).startswith("Activations" + "All 3 ")
    paths = ({"run": ".."}, {"run": "../r"}, {"sae": "m/.."})
    for wrong in (*paths, {"n": 4}, {"key": "m/h/s/x"}, {"key": None}):
        assert activations.all_firings(store, asked(**wrong)) is None, wrong
    (folder / "shard-00002.safetensors").write_bytes(b"no shard")
    assert activations.read_firings(folder, 3) is None
    assert activations.read_firings(tmp_path, 3) is None
    store.atlas.home = None
    assert activations.all_firings(store, asked()) is None


@given(st.lists(st.floats(2**-20, 2**20, width=32), min_size=1, max_size=50))
def test_every_firing_is_in_one_bar(values):
    found = activations.summed_up(np.array(values, np.float32), bars=7)
    assert sum(count for _, _, count in found.bars) == found.count == len(values)
    assert list(found.quartiles) == sorted(found.quartiles)


def edge(kind: str, **more: Any) -> dict[str, Any]:
    name, _, co = kind.partition(" ")
    names = [*edge_words.SIZES, *edge_words.TESTS]
    row = dict.fromkeys(names, 0.25) | {"type": name, "kind": co or None, "direction": "both"}
    return row | {"absorption": False, "mutual": True, "evidence": {}, **more}


@pytest.mark.parametrize("kind", [*edge_words.RELATIONS, "NEAR", "MAY_JOIN"])
def test_every_relation_is_told_in_words(kind):
    row = edge(kind)
    for text in (edge_words.title(row), edge_words.sentence(row)):
        assert "A" in text
        assert "{" not in text
        assert "None" not in text
    assert edge_words.relation(row).test
    assert len(edge_words.tests(row)) == 4
    assert all(all(part) for part in edge_words.sizes(row))


def test_a_direction_decides_what_comes_first():
    row = edge("IMPLIES", direction="b to a", evidence={"p_target_given_source": 0.75})
    assert edge_words.title(row) == "B brings A with it"
    assert edge_words.sentence(row).startswith("A fires on 75 % of the B firings: B is the more sp")
    assert "absorbed" in edge_words.sentence(row | {"absorption": True})


def test_what_positions_explain_is_called_an_artefact():
    assert "artefact" not in edge_words.sentence(edge("CO_OCCURS token"))
    assert "artefact" in edge_words.sentence(edge("CO_OCCURS token", position_share=0.9))


def test_figures_of_other_relations_are_shown():
    stored = {"causal_weight": -1.5, "run": "r", "prompt_set": "capitals"}
    shown = edge_words.sizes(edge("FEEDS", evidence=stored))
    assert {"causal weight": "-1.5", "prompt set": "capitals"}.items() <= {
        name: value for name, value, _ in shown
    }.items()


def test_values_are_readable():
    assert chance(0.0) == "< 1e-300"
    assert chance(None) == "–"
    assert figure(6110.5) == "6,110"
    assert figure(0.12345) == "0.123"
    assert cell({"x": True}, "x") == "yes"
    assert words(cell({"x": [" a\n"] * 9}, "x")) == "·a↵" * 6
    assert interval({"low": -1.0, "high": 2.0}, sign=-1) == "-2 to 1"
    assert interval({"low": None, "high": 2.0}) == "–"
    assert pretty('{"a": 1}') == json.dumps({"a": 1}, indent=1)
    assert pretty(EVIL) == EVIL
    several = {"kind": "add", "strength": 4.0, "unit": "activation", "features": 2}
    assert done(several) == "add 4 activation (2 features at once)"
    assert done({"kind": "ablate", "mode": "zero", "strength": 0.0}) == "ablate zero"


def test_addresses_are_taken_with_care():
    assert [feature._rows(given) for given in (None, "x", "0", "7", "9" * 50)] == [
        10, 10, 1, 7, 200
    ]  # fmt: skip
    assert feature.quoted("a'b\\c") == "'a\\'b\\\\c'"
    made = feature.neuronpedia("gpt2-small/6-res jb?", 3)
    assert made == "https://www.neuronpedia.org/gpt2-small/6-res%20jb%3F/3"


@given(st.text(max_size=40), st.text(max_size=20))
def test_found_words_are_marked_and_no_text_is_lost(text, wanted):
    assert words(search.marked(text, wanted)) == shown(text.strip())


def test_words_are_marked_whole():
    parts = search.marked(f"The Heart of hearts {EVIL}", "heart (attack")
    assert [words(part) for part in parts if not isinstance(part, str)] == ["Heart"]
