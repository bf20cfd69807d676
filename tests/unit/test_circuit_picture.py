"""Pruning against dense sums over paths, graph files, and the picture of a circuit."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from atlas.errors import UsageError
from ingest.imports import circuit
from ingest.imports.circuit_file import read_circuit
from ingest.imports.run_saes import RunSae
from queries.followups.circuits.file import circuit_saes, graph_file, write_circuit
from queries.followups.circuits.layout import place_nodes
from queries.followups.circuits.picture import circuit_page, circuit_svg, draw_circuit
from queries.followups.circuits.pruning import influences, normalised, prune
from queries.followups.evidence import Evidence

SAES = {12: "toy/blocks.12.hook_resid_pre/a", 18: "toy/blocks.18.hook_resid_pre/b"}


def layered(rng, sizes):
    """A random graph in layers, sources before targets; the last node is the output."""
    bounds = np.cumsum([0, *sizes])
    adjacency = np.zeros((bounds[-1], bounds[-1]))
    for (a, b), (_, d) in pairwise(pairwise(bounds)):
        adjacency[b:d, a:b] = rng.normal(size=(d - b, b - a)) * (rng.random((d - b, b - a)) < 0.7)
    return adjacency


def paths(adjacency, weights, target=None):
    """Influence by walking down all paths, one after the other."""
    size = np.abs(adjacency)
    found = np.zeros(len(adjacency))

    def walk(node, carried):
        total = size[node].sum()
        for source in np.flatnonzero(size[node]):
            part = carried * size[node, source] / total
            found[source] += part
            walk(source, part)

    for node in np.flatnonzero(weights):
        walk(node, weights[node])
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 5), min_size=1, max_size=4),
       st.floats(0, 1), st.floats(0, 1))  # fmt: skip
@example(19620, [1, 1, 3, 3], 0.0, 0.0)  # equal influences, which differ in their last digits
def test_pruning_is_that_of_all_paths(seed, sizes, node_share, edge_share):
    rng = np.random.default_rng(seed)
    adjacency = layered(rng, [*sizes, 1])
    n = len(adjacency)
    weights = np.zeros(n)
    weights[-1] = 1
    always = np.zeros(n, bool)
    always[: sizes[0]] = always[-1] = True
    fed = ~always & (rng.random(n) < 0.7)
    found = prune(adjacency, weights=weights, always=always, fed=fed,
                  node_threshold=node_share, edge_threshold=edge_share)  # fmt: skip
    expected = paths(adjacency, weights)
    np.testing.assert_allclose(found.influence, expected, atol=1e-9)
    # The least number of the largest that holds the share, and what equals the last of them.
    nodes = held(expected, node_share) | always
    kept = np.where(nodes[:, None] & nodes, adjacency, 0)
    brought = normalised(kept) * (paths(kept, weights) + weights)[:, None]
    edges = held(brought, edge_share)
    while True:
        edges &= nodes[:, None] & nodes
        lost = [
            k for k in np.flatnonzero(nodes & ~always)
            if not edges[:, k].any() or (fed[k] and not edges[k].any())
        ]  # fmt: skip
        if not lost:
            break
        nodes[lost] = False
    assert (found.nodes == nodes).all()
    assert (found.edges == edges).all()
    if expected.any():
        assert found.cumulative.max() == pytest.approx(1)
        assert found.cumulative.min() == pytest.approx(expected.max() / expected.sum())


def held(scores, share):
    total, so_far = scores.sum(), 0.0
    found = np.zeros(scores.shape, bool)
    for value in sorted(scores.ravel(), reverse=True):
        if value <= 1e-12:
            break
        found |= np.abs(scores - value) < 1e-12
        so_far += value
        if so_far / total >= share - 1e-12:
            break
    return found


def test_influence_is_the_inverse_less_one():
    adjacency = layered(np.random.default_rng(0), [3, 4, 4, 2])
    weights = np.array([0.0] * 11 + [0.7, 0.3])
    shares = normalised(adjacency)
    dense = weights @ (np.linalg.inv(np.eye(13) - shares) - np.eye(13))
    series = sum(weights @ np.linalg.matrix_power(shares, k) for k in range(1, 5))
    np.testing.assert_allclose(influences(adjacency, weights), dense, atol=1e-12)
    np.testing.assert_allclose(dense, series, atol=1e-12)


def test_no_more_nodes_are_kept_than_asked_for():
    adjacency = layered(np.random.default_rng(1), [3, 8, 8, 1])
    weights, always = np.zeros(20), np.zeros(20, bool)
    weights[-1], always[:3], always[-1] = 1, True, True
    found = prune(adjacency, weights=weights, always=always, fed=~always, max_nodes=6,
                  node_threshold=1.0, edge_threshold=1.0)  # fmt: skip
    best = np.argsort(-np.where(always, 0, found.influence))[:6]
    assert 3 < found.nodes[3:-1].sum() <= 6
    assert set(np.flatnonzero(found.nodes & ~always)) <= set(best)


def test_a_graph_without_influence_keeps_what_is_always_kept():
    always = np.array([True, False, True])
    found = prune(np.zeros((3, 3)), weights=np.array([0.0, 0, 1]), always=always, fed=~always)
    assert found.nodes.tolist() == always.tolist()
    assert not found.edges.any()
    assert not found.cumulative.any()


@pytest.mark.parametrize("name", ["node_threshold", "edge_threshold"])
def test_a_threshold_must_be_a_share(name):
    mask = np.ones(2, bool)
    with pytest.raises(UsageError, match=r"is 1\.5; give a share"):
        prune(np.zeros((2, 2)), weights=np.ones(2), always=mask, fed=mask, **{name: 1.5})


def node(ident, kind, level, position, **more):
    sae = SAES.get(int(ident.split("_")[0])) if kind in {"feature", "error"} else None
    feature = f"{sae}/{ident.split('_')[1]}" if kind == "feature" else None
    return {
        "prompt": "p", "id": ident, "kind": kind, "level": level, "position": position,
        "sae": sae, "feature": feature, "token": f" w{position}", "activation": None,
        "attribution": None, "share": 0.0, "influence": 1.0, "kept": True, **more,
    }  # fmt: skip


def edge(source, target, weight):
    return {"prompt": "p", "source": source, "target": target, "weight": weight, "share": 0.1}


def sample():
    nodes = [
        node("12_5_0", "feature", 0, 0, activation=2.5, attribution=0.5, share=0.4),
        node("12_-1_1", "error", 0, 1, share=0.1),
        node("18_7_1", "feature", 1, 1, activation=1.5, attribution=-0.5, share=0.2),
        node("E_40_0", "token", -1, 0, share=0.2, token="<the>"),
        node("E_41_1", "token", -1, 1, share=0.1),
        node("31_9_1", "logit", 2, 1),
    ]
    edges = [
        edge("E_40_0", "12_5_0", 2.5), edge("12_5_0", "18_7_1", 1.0),
        edge("12_-1_1", "18_7_1", -0.5), edge("18_7_1", "31_9_1", -0.25),
    ]  # fmt: skip
    return nodes, edges


def evidence():
    nodes, edges = sample()
    metadata = {
        "slug": "p", "scan": "toy", "prompt": "a b", "prompt_tokens": ["a", " b"],
        "node_threshold": 0.8, "saes": {str(k): v for k, v in SAES.items()},
    }  # fmt: skip
    file = graph_file(nodes, edges, metadata=metadata, output="out", probability=0.25)
    about = {"prompt": "p", "metric": "logit", "target": " <b>&", "value": 2.0,
             "probability": 0.25, "json": json.dumps(file)}  # fmt: skip
    gone = node("12_6_0", "feature", 0, 0, kept=False)
    tables = {"circuits": [about], "circuit_nodes": [*nodes, gone], "circuit_edges": edges}
    made = {name: pa.Table.from_pylist(rows) for name, rows in tables.items()}
    return Evidence("circuit", {}, {"model": {}, "saes": []}, (), made)


def test_a_graph_file_has_what_readers_want(tmp_path):
    path = write_circuit(evidence(), tmp_path / "graph.json")
    read = read_circuit(path)
    assert [node.kind for node in read.nodes.values()] == [
        "feature", "error", "feature", "embedding", "embedding", "logit",
    ]  # fmt: skip
    assert read.links[1] == ("12_5_0", "18_7_1", 1.0)
    assert circuit_saes(evidence()) == SAES
    value = json.loads(path.read_text())
    assert set(value) == {"metadata", "qParams", "nodes", "links"}
    assert value["nodes"][0]["feature"] == 17 * 18 // 2 + 5  # circuit-tracer's pairing
    assert len({shown["jsNodeId"] for shown in value["nodes"]}) == 6
    bare = Evidence("steer", {}, {"model": {}, "saes": []}, (), {})
    with pytest.raises(UsageError, match="is no circuit"):
        write_circuit(bare, tmp_path / "x.json")


def test_the_import_joins_each_layer_to_its_sae(tmp_path):
    """Two residual SAEs at different blocks: what `import_circuit` stores, without a server."""
    read = read_circuit(write_circuit(evidence(), tmp_path / "graph.json"))
    found = [RunSae(key, None, key.split("/")[1]) for key in SAES.values()]
    assert circuit._layers(read, found, circuit_saes(evidence()), by_hook=False) == SAES
    assert circuit._layers(read, found, {}, by_hook=True) == SAES
    keys = {n.id: f"{SAES[n.layer]}/{n.index}" for n in read.of_kind("feature")}
    assert keys == {"12_5_0": f"{SAES[12]}/5", "18_7_1": f"{SAES[18]}/7"}
    (link,) = circuit._link_rows(read, keys, "g")
    assert (link["source"], link["target"]) == (f"{SAES[12]}/5", f"{SAES[18]}/7")
    assert link["properties"]["weight"] == 1.0
    rows = {row["feature"]: row["properties"] for row in circuit._node_rows(read, keys)}
    assert rows[f"{SAES[12]}/5"]["from_embeddings"] == 2.5
    assert rows[f"{SAES[18]}/7"]["from_errors"] == -0.5
    assert rows[f"{SAES[18]}/7"]["to_logits"] == -0.25


def parsed(svg):
    return ET.fromstring(svg)


def test_a_picture_is_well_formed_and_needs_nothing_else():
    svg = draw_circuit(evidence(), labels={f"{SAES[12]}/5": "<script>x</script> & co"})
    root = parsed(svg)
    texts = ["".join(found.itertext()) for found in root.iter() if found.tag.endswith("}text")]
    assert "<script>x</scr…"[:14] + "…" in texts
    assert "#7" in texts
    assert "<b>&" in texts
    assert "#6" not in texts  # it was pruned
    assert "<script" not in svg
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|url\(|@import", svg)
    hovers = ["".join(found.itertext()) for found in root.iter() if found.tag.endswith("}title")]
    assert any("40.0 % of all influence" in hover and "activation 2.5" in hover for hover in hovers)
    assert "prefers-color-scheme:dark" in svg
    page = circuit_page(svg, title="a <b>")
    assert "<title>a &lt;b&gt;</title>" in page
    assert svg in page


def test_marks_widths_and_signs_say_what_the_rows_say():
    nodes, edges = sample()
    root = parsed(circuit_svg(nodes, edges, output="out"))
    drawn = [e for e in root.iter() if "edge" in e.get("class", "") and e.get("stroke-opacity")]
    told = {
        "".join(e.itertext()): (e.get("class").split()[-1], float(e.get("stroke-width")))
        for e in drawn
    }
    assert told["#5 → #7: +1"] == ("plus", 5.0)
    assert told["error → #7: -0.5"] == ("minus", 2.75)
    assert told["#7 → out: -0.25"] == ("minus", 5.0)  # the largest into its row
    circles = {
        e.get("r") for e in root.iter()
        if e.get("class") == "feature mark"
    }  # fmt: skip
    assert circles == {"8.0", f"{3 + 5 * 0.5**0.5:.1f}"}
    assert sum(e.get("class") == "error mark" for e in root.iter()) == 1


def test_rows_go_up_and_columns_to_the_right_and_nothing_overlaps():
    rng = np.random.default_rng(0)
    nodes = [node(f"E_{k}_{k}", "token", -1, k) for k in range(6)]
    nodes += [
        node(f"{layer}_{k}_{p}", "feature", level, p, share=float(rng.random()))
        for level, layer in enumerate((12, 18)) for p in range(6)
        for k in range(14 if p == 5 else p)
    ]  # fmt: skip
    nodes.append(node("31_9_5", "logit", 2, 5))
    names = {n["id"]: n["id"] for n in nodes}
    found = place_nodes(nodes, names)
    heights = [found.rows[level] for level in (2, 1, 0, -1)]
    assert heights == sorted(heights)
    assert list(found.columns.values()) == sorted(found.columns.values())
    places = list(found.places.values())
    for number, (x, y) in enumerate(places):
        assert 0 < x < found.width
        assert 0 < y < found.height
        for a, b in places[:number]:
            assert abs(x - a) > 55 or abs(y - b) > 15
    assert len(places) == len(nodes)


def test_a_circuit_of_nothing_but_tokens_is_drawn():
    nodes = [node("E_40_0", "token", -1, 0), node("31_9_0", "logit", 2, 0)]
    assert parsed(circuit_svg(nodes, [])).tag.endswith("svg")
