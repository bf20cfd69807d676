"""The page of attention patterns: what it shows, and that it stands alone."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from atlas.errors import UsageError
from queries.followups.attention.picture import LEVELS, attention_page, sharpest

TOKENS = ["<|bos|>", "The", " <b>&", " capital", "\n"]


@pytest.fixture(scope="module")
def weights():
    drawn = np.random.default_rng(0).gamma(0.3, size=(3, 4, 5, 5)) + 1e-6
    drawn = np.tril(drawn)
    return drawn / drawn.sum(axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def page(weights):
    said = {key: ["a <i>label</i>", "another"] for key in range(5)}
    return attention_page(weights, TOKENS, layers=[0, 2, 5], features=said, title="A < B")


def pictures(page):
    return [ET.fromstring(part) for part in re.findall(r"<svg.*?</svg>", page, re.S)]


def squares(group):
    """Cells of each shade, as (column, row) of paths of unit squares."""
    found = {}
    for path in group.iter("path"):
        shade = int(path.get("class")[1:])
        cells = re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)", path.get("d"))
        found[shade] = {(float(x) / float(s), float(y) / float(s)) for x, y, s in cells}
    return found


def expected(weights):
    found = {}
    for query, key in zip(*np.tril_indices(len(weights)), strict=True):
        reached = [k for k, least in enumerate(LEVELS) if weights[query, key] >= least]
        if reached:
            found.setdefault(reached[-1], set()).add((float(key), float(query)))
    return found


def test_every_head_is_drawn_with_its_weights(page, weights):
    _, large, grid = pictures(page)
    maps = [group for group in grid.iter("g") if group.find("title") is not None]
    assert len(maps) == 12
    for number, group in enumerate(maps):
        layer, head = divmod(number, 4)
        assert group.find("title").text == f"Layer {[0, 2, 5][layer]}, head {head}"
        assert squares(group) == expected(weights[layer, head])
    layer, head = sharpest(weights, [0, 2, 5])
    one = weights[[0, 2, 5].index(layer), head]
    assert squares(large) == expected(one)
    assert f"Layer {layer}, head {head}</h2>" in page
    told = [title.text for title in large.iter("title")]
    assert len(told) == 15
    assert told[4] == f"·<b>& looks at The: {one[2, 1]:.3f}"
    framed = [group.find("title").text for group in maps
              if group.findall("rect")[-1].get("class") == "chosen"]  # fmt: skip
    assert framed == [f"Layer {layer}, head {head}"]


def test_the_sharpest_head_is_found(weights):
    planted = weights.copy()
    planted[1, 3, 4] = [0.02, 0, 0, 0.98, 0]
    planted[1, 2, 4] = [0.01, 0, 0, 0, 0.99]  # looks at itself
    assert sharpest(planted, [0, 2, 5]) == (2, 3)
    # Weight on BOS does not count.
    planted[0, 0, 4] = [1, 0, 0, 0, 0]
    assert sharpest(planted, [0, 2, 5]) == (2, 3)
    assert sharpest(planted, [0, 2, 5], query=1) != (2, 3)


def test_the_page_needs_nothing_and_runs_nothing(page):
    assert "://" not in page
    assert not re.search(r"<script|<link|<img|@import|url\(|\son\w+=", page)
    assert "prefers-color-scheme: dark" in page


def test_texts_are_escaped(page):
    seen = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag, attrs):
            seen.append(tag)

    Tags().feed(page)
    assert "b" not in seen
    assert "i" not in seen
    assert "A &lt; B" in page
    assert "a &lt;i&gt;label&lt;/i&gt;" in page
    assert ">BOS<" in page
    assert ">↵<" in page


def test_a_chosen_head_and_query_are_shown(weights):
    page = attention_page(weights, TOKENS, layers=[0, 2, 5], enlarged=(5, 1), query=2)
    assert "Layer 5, head 1</h2>" in page
    rows = re.findall(r'<td class="n"><code>(.*?)</code></td><td class="n">([\d.]+)</td>', page)
    looks = weights[2, 1, 2]
    names = ["BOS", "The", "·&lt;b&gt;&amp;"]
    order = [k for k in np.argsort(-looks) if k <= 2 and looks[k] >= LEVELS[1]]
    assert rows == [(names[k], f"{looks[k]:.3f}") for k in order]
    assert "fires there" not in page


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layers": [0, 1]}, "do not fit"),
        ({"tokens": TOKENS[:4]}, "do not fit"),
        ({"query": 5}, "no position 5"),
        ({"enlarged": (1, 0)}, "no head 0 of layer 1"),
        ({"enlarged": (2, 4)}, "no head 4 of layer 2"),
    ],
)
def test_what_does_not_fit_is_refused(weights, values, message):
    given = {"tokens": TOKENS, "layers": [0, 2, 5], **values}
    with pytest.raises(UsageError, match=message):
        attention_page(weights, given.pop("tokens"), **given)


def brightness(colour):
    """Relative luminance of WCAG 2."""
    size = 1 if len(colour) == 4 else 2
    parts = [colour[1 + k * size :][:size] * (3 - size) for k in range(3)]
    linear = [((int(p, 16) / 255 + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_digits_can_be_read_and_shades_told_apart_in_light_and_dark(page):
    style = re.search(r"<style>(.*?)</style>", page, re.S).group(1)
    for part in style.split("prefers-color-scheme"):
        colours = dict(re.findall(r"--(\w+): (#\w+)", part))
        shades = [brightness(colours[f"s{k}"]) for k in range(len(LEVELS))]
        order = sorted(shades, reverse=brightness(colours["card"]) > 0.5)
        assert shades == order
        for k, shade in enumerate(shades):
            ink = brightness(colours["card" if k >= 4 else "ink"])
            ratio = (max(ink, shade) + 0.05) / (min(ink, shade) + 0.05)
            assert ratio >= 4.5, (k, ratio)
