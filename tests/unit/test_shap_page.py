"""Explanations as shap's objects and as a page."""

from __future__ import annotations

from html.parser import HTMLParser

import pyarrow as pa
import pytest

from atlas.errors import NotFoundError
from queries.followups.evidence import Evidence
from queries.followups.evidence_tables import EXPLANATIONS
from queries.followups.shapley.page import shap_explanation, shap_page

EVIL = "<script>alert('x')</script>&\"quoted\""


@pytest.fixture
def evidence():
    row = {"method": "owen-partition", "metric": "logit", "target": EVIL, "feature": None,
           "prompt": EVIL, "base": 1.0}  # fmt: skip
    explanations = [
        {**row, "number": 1, "players": "tokens", "value": 3.0, "names": ["The ", EVIL, ""],
         "values": [0.5, -1.5, 3.0]},
        {**row, "number": 2, "players": "features", "value": 0.75, "names": ["m/h/s/1", "m/h/s/2"],
         "values": [-0.25, 0.0], "target": None, "feature": "m/h/t/7", "metric": "activation_max"},
        {**row, "number": 3, "players": "features", "value": 1.0, "names": [], "values": []},
    ]  # fmt: skip
    players = [
        {"explanation": one["number"], "player": name, "value": value,
         "error": None if one["number"] == 1 else 0.125,
         "activation": None if one["number"] == 1 else 2.5,
         "positions": [place], "features": [], "flag": "never_fires" if value == 0 else None}
        for one in explanations
        for place, (name, value) in enumerate(zip(one["names"], one["values"], strict=True))
    ]  # fmt: skip
    tables = {
        "explanations": pa.Table.from_pylist(explanations, schema=EXPLANATIONS),
        "players": pa.Table.from_pylist(players),
    }
    identity = {
        "model": {"key": "tiny<b>", "weights_sha256": "0"},
        "saes": [],
    }
    prompts = ({"id": EVIL, "prompt": EVIL},)
    return Evidence("shap", {}, identity, prompts, tables, notes=(EVIL,))


class Tags(HTMLParser):
    """Tags, text, and whether what opens is closed."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.text, self.titles = [], [], "", []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.titles += [value for name, value in attrs if name == "title"]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_is_whole_escaped_and_has_every_value(evidence):
    page = shap_page(evidence)
    parsed = Tags(page)
    assert parsed.open == []
    assert "script" not in parsed.tags
    assert "b" not in parsed.tags
    assert page.count("<section>") == 3
    assert "http" not in page
    for wanted in (EVIL, "The ", "+0.50", "-1.50", "1 without the players", "m/h/s/1",
                   "-0.25 ± 0.12", "2.5", "never fires", "activation_max of m/h/t/7"):  # fmt: skip
        assert wanted in parsed.text
    assert parsed.titles == ["+0.5", "-1.5", "+3"]


def test_colours_and_bars_grow_with_the_value(evidence):
    page = shap_page(evidence)
    assert "rgba(200,60,50,0.092)" in page, "a sixth of the largest"
    assert "rgba(45,100,200,0.275)" in page
    assert "rgba(200,60,50,0.550)" in page
    assert "width:100.0%;background:rgb(45,100,200)" in page


def test_explanations_are_what_shaps_plots_take(evidence):
    found = shap_explanation(evidence, 1)
    assert found.values.tolist() == [0.5, -1.5, 3.0]
    assert found.base_values == 1.0
    assert list(found.data) == ["The ", EVIL, ""]
    found = shap_explanation(evidence, 2)
    assert list(found.data) == [2.5, 2.5]
    assert found.feature_names == ["m/h/s/1", "m/h/s/2"]
    with pytest.raises(NotFoundError, match="no explanation 4"):
        shap_explanation(evidence, 4)


def test_shaps_own_plots_draw_them(evidence):
    pytest.importorskip("matplotlib").use("Agg")
    import matplotlib.pyplot as plt
    import shap

    for plot in (shap.plots.bar, shap.plots.waterfall):
        plot(shap_explanation(evidence, 2), show=False)
        labels = [text.get_text() for text in plt.gca().get_yticklabels()]
        assert any("m/h/s/1" in label for label in labels)
        plt.close("all")
