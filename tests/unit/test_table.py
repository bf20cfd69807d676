"""Results of queries: their forms, their pictures, and objects made from them."""

from __future__ import annotations

import pickle
import threading

import networkx as nx
import pandas as pd
import pytest

from atlas.api.asking import plain_names, result_of
from atlas.api.html import context_as_html, feature_as_html
from atlas.api.objects import Communities, Feature, Features
from atlas.api.table import Table
from atlas.errors import NotFoundError, UsageError
from queries.catalogue import query

EDGES = [
    {"source": "a", "target": "b", "phi": 0.5, "kinds": ["token"]},
    {"source": "b", "target": "c", "phi": 0.25, "kinds": []},
]


def features(number: int = 3) -> Features:
    rows = [{"key": f"toy/h/s/{i}", "label": f"l{i}", "n": i, "top_tokens": []} for i in range(3)]
    found = result_of(query("features"), rows[:number], {"features": [0, 1]}, atlas=None)
    assert isinstance(found, Features)
    return found


def test_a_table_is_a_sequence_of_dicts() -> None:
    table = Table(EDGES)
    assert len(table) == 2
    assert table[0]["phi"] == 0.5
    assert table == EDGES
    assert table != EDGES[:1]
    assert list(table[1:]) == EDGES[1:]
    assert isinstance(features()[1:], Features)
    assert table.column("phi") == [0.5, 0.25]
    with pytest.raises(UsageError, match=r"no column 'psi'\. It has source, target, phi"):
        table.column("psi")


def test_data_frames() -> None:
    table = Table(EDGES)
    pd.testing.assert_frame_equal(table.to_pandas(), pd.DataFrame(EDGES))
    polars = pytest.importorskip("polars")
    frame = table.to_polars()
    assert isinstance(frame, polars.DataFrame)
    assert frame.to_dicts() == EDGES
    named = features().to_pandas()
    assert named.attrs["query"] == "features"
    assert list(named.columns) == [column.name for column in query("features").columns]
    assert list(features(0).to_pandas().columns) == list(named.columns)


def test_graphs_of_edges() -> None:
    graph = Table(EDGES).to_networkx()
    assert sorted(graph.edges(data="phi")) == [("a", "b", 0.5), ("b", "c", 0.25)]
    pytest.importorskip("igraph")
    made = Table(EDGES).to_igraph()
    assert made.vs["name"] == ["a", "b", "c"]
    assert made.es["phi"] == [0.5, 0.25]
    with pytest.raises(UsageError, match="are no edges"):
        Table([{"n": 1}]).to_networkx()


def test_rows_are_what_the_header_says() -> None:
    assert isinstance(result_of(query("communities"), [], {}, atlas=None), Communities)
    card = result_of(query("feature"), [{"key": "toy/h/s/7", "n": 1}], {}, atlas=None)
    assert isinstance(card, Feature)
    assert (card.index, card.sae, card["n"]) == (7, "toy/h/s", 1)
    assert dict(card) == {"key": "toy/h/s/7", "n": 1}
    with pytest.raises(NotFoundError, match="feature finds nothing"):
        result_of(query("feature"), [], {"feature": "x"}, atlas=None)


def test_objects_stand_for_their_keys() -> None:
    found = features()
    assert plain_names({"a": found.objects()[0], "b": found, "c": [found.objects()[1], 3]}) == {
        "a": "toy/h/s/0",
        "b": ["toy/h/s/0", "toy/h/s/1", "toy/h/s/2"],
        "c": ["toy/h/s/1", 3],
    }
    assert found.objects()[0] == Feature({"key": "toy/h/s/0"})
    assert len({*found.objects(), *found.objects()}) == 3


def test_what_is_not_connected_says_so() -> None:
    for wrong in (features().community, features().to_networkx, features().objects()[0].card):
        with pytest.raises(UsageError, match="not connected to an atlas"):
            wrong()
    assert nx.number_of_nodes(features(0).to_networkx()) == 0


def test_tables_are_pickled_without_their_atlas() -> None:
    assert pickle.loads(pickle.dumps(features())) == features()
    connected = Features(features().to_dicts(), spec=query("features"), atlas=threading.Lock())
    assert pickle.loads(pickle.dumps(connected)) == features()
    feature = Feature({"key": "toy/h/s/0"}, atlas=threading.Lock())
    assert pickle.loads(pickle.dumps(feature)) == feature


def test_objects_keep_nothing_of_an_edge() -> None:
    """A row of neighbours has the joint count as `n`; the feature's own is another."""
    rows = [{"key": "toy/h/s/0", "label": "l", "n": 3, "run": "other"}]
    found = Features(rows, spec=query("neighbours")).objects()[0]
    with pytest.raises(UsageError, match="not connected"):
        _ = found["n"]


def test_markup_in_tokens_is_text() -> None:
    table = Table([{"token": "[/INST]", "[/x]": "[bold]x"}])
    assert "[/INST]" in repr(table)
    assert "[bold]x" in repr(table)
    assert "[/x]" in repr(table)
    assert "[/INST]" in repr(Feature({"key": "k", "label": "[/INST]"}, whole=True))


def test_columns_are_known_without_rows() -> None:
    empty = Table([], columns=["source", "target"])
    assert empty.columns == ["source", "target"]
    assert list(empty.to_pandas().columns) == ["source", "target"]
    assert nx.number_of_edges(empty.to_networkx()) == 0
    assert empty[:1].columns == ["source", "target"]


def test_text_and_html_of_a_table() -> None:
    wide = Table([{"key": "<script>alert(1)</script>", "phi": -0.5, "flag": True, "x": None}] * 30)
    text = repr(wide)
    assert "10 more" in text
    page = wide._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<svg") == 20
    assert "10 more" in page


def test_a_features_card_is_drawn() -> None:
    card = {
        "key": "toy/h/s/1",
        "label": "<b>bold</b>",
        "firing_rate": 0.25,
        "n": 1200,
        "fires_on": [{"token": "\n<i>", "score": 2.0}],
        "contexts": [{"text": "a<b", "tokens": ["a", "<b"], "activations": [0.0, 2.0]}],
        "community": {"label": "c"},
    }
    page = feature_as_html(card)
    assert "<b>bold</b>" not in page
    assert "<i>" not in page
    assert "&lt;b</span>" in page
    assert "rgba(255,140,0,0.75)" in page
    assert "1,200" in page
    assert Feature(card, whole=True)._repr_html_() == page


def test_a_context_without_activations_is_plain() -> None:
    assert (
        context_as_html({"text": "<x>", "tokens": ["<x>"]}) == '<span class="tok">&lt;x&gt;</span>'
    )
