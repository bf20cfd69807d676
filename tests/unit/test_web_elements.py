"""Rows as pictures and files: elements, styles, layouts, and which features a view has."""

from __future__ import annotations

import io
import itertools
import json
import math

import pytest

from atlas.errors import UsageError
from atlas.formats.graphml import read_graphml
from atlas.web.pages.graph.address import path_query, real, whole, words
from atlas.web.pages.graph.elements import (
    COLOURS,
    KINDS,
    SHORT,
    community_colours,
    edge_tip,
    elements,
    graphml,
    node_tip,
    size,
    stylesheet,
)
from atlas.web.pages.graph.layouts import LAYOUTS, layout, positions
from atlas.web.pages.graph.subgraph import FULL, STEP, View, grown

KEYS = [f"toy/blocks.1/sae/{k}" for k in range(6)]


def node(place: int, **more):
    row = {
        "key": KEYS[place], "label": f"feature {place}", "community": "run/consensus/1",
        "community_label": "letters", "pagerank": 1.0, "firing_rate": 0.01,
        "top_domain": None, "top_tokens": [" a", "b\n"], "run": "run",
    }  # fmt: skip
    return row | more


def edge(a: int, b: int, kind: str = "token", strength: float | None = 0.5, **more):
    row = {
        "source": KEYS[a], "target": KEYS[b], "kind": kind, "strength": strength, "phi": strength,
        "npmi": 0.2, "n": 12, "q": 1e-9, "rank_source": 1, "rank_target": 2, "mutual": True,
        "run": "run", "key": f"run|{a}|{b}|{kind}",
    }  # fmt: skip
    return row | more


def test_nodes_and_edges_become_elements_that_refer_to_each_other():
    made = elements([node(0), node(1)], [edge(0, 1), edge(0, 1, "implies", 0.9)], chosen=[KEYS[0]])
    nodes, edges = made[:2], made[2:]
    assert [one["data"]["key"] for one in nodes] == KEYS[:2]
    assert {one["data"]["source"] for one in edges} == {nodes[0]["data"]["id"]}
    assert len({one["data"]["id"] for one in made}) == 4, "two kinds of a pair are two edges"
    assert [one["classes"] for one in made] == ["chosen", "", "token", "implies"]
    assert json.loads(json.dumps(made)) == made


def test_widths_are_by_strength_within_a_kind():
    rows = [edge(0, 1, strength=0.1), edge(1, 2, strength=0.2), edge(0, 2, "affects", -40.0),
            edge(0, 3, strength=None)]  # fmt: skip
    made = elements([node(k) for k in range(4)], rows)[4:]
    assert [one["data"]["width"] for one in made] == [3.5, 6.0, 6.0, 1.0]


def test_steps_of_a_path_stand_out_and_lie_in_a_row():
    rows = [node(k) for k in range(4)]
    made = elements(rows, [edge(0, 1), edge(2, 1), edge(0, 2)], path=[[KEYS[0], KEYS[1], KEYS[2]]])
    assert [one["classes"] for one in made[4:]] == ["token path", "token path", "token"]
    places = [(one["position"]["x"], one["position"]["y"]) for one in made[:3]]
    assert [y for _, y in places] == [0, 0, 0]
    assert [x for x, _ in places] == sorted(x for x, _ in places)


def test_the_same_features_begin_at_the_same_places_apart():
    rows = [node(k, community=f"c{k % 2}") for k in range(6)]
    places = positions(rows, chosen=[KEYS[0]])
    assert places == positions(list(reversed(rows)), chosen=[KEYS[0]])
    assert places[KEYS[0]] == (0.0, 0.0)
    assert min(math.dist(a, b) for a, b in itertools.combinations(places.values(), 2)) > 30


@pytest.mark.parametrize("pagerank", [None, float("nan"), -1.0, 0.0, 1.0, 1e9])
def test_sizes_stay_within_bounds(pagerank):
    assert 14 <= size(pagerank) <= 56


def test_a_huge_label_is_cut_and_markup_is_text():
    evil = "<script>alert(1)</script> " + "x" * 5000
    data = elements([node(0, label=evil)], [])[0]["data"]
    assert len(data["label"]) <= SHORT
    assert data["label"].startswith("<script>alert(1)")
    assert len(data["tip"]) < 300


def test_tips_say_what_is_known():
    assert "·a  b↵" in node_tip(node(0))
    bare = node(0, label=None, top_tokens=None, firing_rate=None, pagerank=None,
                community_label=None)  # fmt: skip
    assert node_tip(bare) == "sae/0"
    assert "npmi 0.2" in edge_tip(edge(0, 1))
    assert "npmi" not in edge_tip(edge(0, 1, "similar", npmi=None))


def test_the_largest_communities_have_colours():
    rows = [node(k % 6, community=f"c{k % 3}") for k in range(6)] + [node(0, community="c2")]
    assert next(iter(community_colours(rows))) == "c2"
    assert len(set(COLOURS)) == len(COLOURS)
    assert community_colours([node(0, community=None)]) == {}


def test_every_kind_is_drawn_otherwise():
    styles = {one["selector"]: one["style"] for one in stylesheet()}
    drawn = [tuple(sorted(styles[f"edge.{kind}"].items())) for kind in KINDS]
    assert len(set(drawn)) == len(KINDS)


def test_layouts_have_names_for_readers_and_a_tree_its_roots():
    assert layout("breadthfirst", ["n0"])["roots"] == ["n0"]
    assert "roots" not in layout("cose", ["n0"])
    assert all(layout(name)["name"] == name for name in LAYOUTS)


def test_graphml_has_the_features_and_edges_of_the_picture():
    rows = [edge(0, 1), edge(1, 2, "implies")]
    made = graphml([node(k) for k in range(3)], rows, run="run", selection={"key": KEYS[0]})
    tables = read_graphml(io.BytesIO(made))
    assert tables.keys() == KEYS[:3]
    assert tables.edges["relation"].to_pylist() == ["CO_OCCURS", "IMPLIES"]
    assert tables.info.run == "run"
    assert tables.info.directed
    assert tables.nodes["top_tokens"].to_pylist()[0] == [" a", "b\n"]


def test_graphml_of_features_without_edges():
    tables = read_graphml(io.BytesIO(graphml([node(0)], [], run="run", selection={})))
    assert (tables.nodes.num_rows, tables.edges.num_rows) == (1, 0)


def test_kinds_take_turns_until_there_are_enough():
    rows = [
        {"key": KEYS[0], "kind": "similar", "found": [KEYS[1], KEYS[2], KEYS[3]]},
        {"key": KEYS[0], "kind": "token", "found": [KEYS[4], KEYS[5]]},
    ]
    wanted = View(run=None, chosen=(KEYS[0],), centre=True, limit=4)
    assert grown(wanted, rows) == [KEYS[0], KEYS[1], KEYS[4], KEYS[2]]


def test_expanding_adds_to_what_is_there():
    found = [f"toy/blocks.1/sae/{k}" for k in range(100, 400)]
    rows = [{"key": KEYS[1], "kind": "token", "found": [KEYS[0], *found]}]
    wanted = View(run=None, chosen=tuple(KEYS[:2]), expanded=(KEYS[1],))
    assert grown(wanted, rows) == [*KEYS[:2], *found[:STEP]]
    many = View(run=None, chosen=tuple(KEYS[:2]), expanded=(KEYS[1],) * 100)
    assert len(grown(many, rows)) <= FULL


def test_numbers_of_an_address_are_checked():
    assert whole(None, "limit", usual=30, low=1, high=200) == 30
    assert real("0.25", "least", usual=0.0, low=0.0, high=1.0) == 0.25
    assert words("a, b  c") == ["a", "b", "c"]
    for text in ("x", "nan", "1e9", "-1", "<script>"):
        with pytest.raises(UsageError, match="limit"):
            whole(text, "limit", usual=30, low=1, high=200)
    with pytest.raises(UsageError, match="no path"):
        path_query("longest")
