"""Graph files: what is written is read back, by the atlas and by the libraries it is meant for."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atlas.errors import ArtifactError, UsageError
from atlas.formats import FORMATS, GraphInfo, GraphTables, read_graph, write_graph
from atlas.formats.text import decode, xml_string

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX = {"graphml": ".graphml", "gexf": ".gexf", "parquet": "", "csv": ""}
NODES = pa.schema(
    [
        ("key", pa.string()),
        ("sae", pa.string()),
        ("index", pa.int32()),
        ("n", pa.int64()),
        ("mean", pa.float64()),
        ("dead", pa.bool_()),
        ("label", pa.string()),
        ("top_tokens", pa.list_(pa.string())),
        ("decoder", pa.list_(pa.float64())),
    ]
)
EDGES = pa.schema(
    [
        ("source", pa.string()),
        ("target", pa.string()),
        ("relation", pa.string()),
        ("kind", pa.string()),
        ("n", pa.int64()),
        ("phi", pa.float64()),
        ("r_topic", pa.float64()),
        ("mutual", pa.bool_()),
        ("contexts", pa.list_(pa.string())),
    ]
)
AWKWARD = ' <b>&amp;"\t\r\n\x00\x0b_x0041_ \uffff\U0001f600é '


def graph(*, directed: bool = False, twice: bool = False) -> GraphTables:
    nodes = [
        {
            "key": f"toy/hook/a&b/{i}",
            "sae": "toy/hook/a&b",
            "index": i,
            "n": 2**40 + i,
            "mean": None if i == 3 else 0.1 + i,
            "dead": i == 3,
            "label": [AWKWARD, "", None, "plain"][i],
            "top_tokens": [[AWKWARD, ""], [], None, ["a"]][i],
            "decoder": None if i == 3 else [0.25 * i, -1.0],
        }
        for i in range(4)
    ]
    keys = [row["key"] for row in nodes]
    edges = [
        _edge(keys[0], keys[1], "CO_OCCURS", "token", 0.1, ["c/1", "c/2"]),
        _edge(keys[0], keys[2], "CO_OCCURS", "topic", 1 / 3, []),
        _edge(keys[1], keys[2], "CO_OCCURS", "exclusive", -1e-17, None),
    ]
    if twice:
        edges.append(_edge(keys[0], keys[1], "CO_OCCURS", "topic", 0.2, []))
    if directed:
        edges.append(_edge(keys[2], keys[0], "IMPLIES", None, None, None))
    info = GraphInfo("run-1", directed, {"CO_OCCURS": "phi"}, {"kinds": ["token"], "top_k": 3})
    return GraphTables(info, pa.Table.from_pylist(nodes, NODES), pa.Table.from_pylist(edges, EDGES))


def _edge(a: str, b: str, relation: str, kind: str | None, phi: float | None, contexts: Any) -> Any:
    return {
        "source": a,
        "target": b,
        "relation": relation,
        "kind": kind,
        "n": 7,
        "phi": phi,
        "r_topic": 0.5 if kind == "topic" else None,
        "mutual": phi is not None and phi > 0.15,
        "contexts": contexts,
    }


def same(a: GraphTables, b: GraphTables) -> None:
    assert a.info == b.info
    assert a.nodes.schema.equals(b.nodes.schema)
    assert a.edges.schema.equals(b.edges.schema)
    assert a.nodes.to_pylist() == b.nodes.to_pylist()
    assert a.edges.to_pylist() == b.edges.to_pylist()


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("form", sorted(FORMATS))
def test_what_is_written_is_read_back(form: str, directed: bool, tmp_path: Path) -> None:
    made = graph(directed=directed, twice=True)
    path = tmp_path / f"g{SUFFIX[form]}"
    written = write_graph(made.stream(), path, file_format=form)
    assert (written.nodes, written.edges) == (made.nodes.num_rows, made.edges.num_rows)
    assert written.bytes > 0
    same(read_graph(path), made)
    left = [p.name for p in tmp_path.rglob("*") if p.name.endswith(".partial")]
    assert left == []


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_an_empty_graph_and_one_without_properties_come_back(form: str, tmp_path: Path) -> None:
    made = graph()
    for number, tables in enumerate(
        [
            GraphTables(made.info, made.nodes.slice(0, 0), made.edges.slice(0, 0)),
            GraphTables(made.info, made.nodes.select(["key"]), made.edges.select(EDGES.names[:3])),
        ]
    ):
        path = tmp_path / f"g{number}{SUFFIX[form]}"
        write_graph(tables.stream(), path, file_format=form)
        same(read_graph(path), tables)


VALUES = st.fixed_dictionaries(
    {
        "label": st.none() | st.text(st.characters(codec="utf-8")),
        "mean": st.none() | st.floats(allow_nan=False),
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "dead": st.none() | st.booleans(),
        "top_tokens": st.none() | st.lists(st.text(st.characters(codec="utf-8")), max_size=3),
        "decoder": st.none() | st.lists(st.floats(allow_nan=False, allow_infinity=False)),
    }
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(VALUES, min_size=1, max_size=4), form=st.sampled_from(sorted(FORMATS)))
def test_any_property_survives(rows: list[dict[str, Any]], form: str, tmp_path: Path) -> None:
    nodes = [{"key": str(i), "sae": "s", "index": i, **row} for i, row in enumerate(rows)]
    made = GraphTables(
        GraphInfo("r"), pa.Table.from_pylist(nodes, NODES), pa.Table.from_pylist([], EDGES)
    )
    path = tmp_path / f"any{SUFFIX[form]}"
    write_graph(made.stream(), path, file_format=form, force=True)
    same(read_graph(path), made)


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("_x0041F\x00")))
def test_xml_escapes_are_undone(text: str) -> None:
    from xml.etree.ElementTree import fromstring

    assert decode(fromstring(f'<a b="{xml_string(text)}"/>').get("b", "")) == text


def properties(row: dict[str, Any], without: set[str]) -> dict[str, Any]:
    """What XML readers give: lists as JSON text, nulls and empty text left out."""
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
        for name, value in row.items()
        if name not in without and value is not None
    }


def plain(*, directed: bool = False) -> GraphTables:
    """The graph without characters that other readers of XML cannot give back."""
    made = graph(directed=directed)
    nodes = made.nodes.to_pylist()
    nodes[0] |= {"label": ' <b>&amp;"é', "top_tokens": ["\x00", "<"]}
    return GraphTables(made.info, pa.Table.from_pylist(nodes, NODES), made.edges)


def test_networkx_reads_graphml(tmp_path: Path) -> None:
    made, path = plain(directed=True), tmp_path / "g.graphml.gz"
    write_graph(made.stream(), path, file_format="graphml")
    found = nx.read_graphml(path)
    assert isinstance(found, nx.DiGraph)
    for row in made.nodes.to_pylist():
        assert dict(found.nodes[row["key"]]) == properties(row, {"key"})
    assert found.number_of_edges() == made.edges.num_rows
    for row in made.edges.to_pylist():
        expected = properties(row, {"source", "target"})
        assert dict(found.edges[row["source"], row["target"]]) == expected
    assert json.loads(found.nodes["toy/hook/a&b/0"]["top_tokens"]) == ["\x00", "<"]


def test_networkx_reads_gexf(tmp_path: Path) -> None:
    made, path = plain(), tmp_path / "g.gexf"
    write_graph(made.stream(), path, file_format="gexf")
    found = nx.read_gexf(path)
    assert isinstance(found, nx.Graph)
    assert not found.is_directed()
    for row in made.nodes.to_pylist():
        # networkx turns the label of a node without one into None.
        got = {k: v for k, v in found.nodes[row["key"]].items() if v not in (None, "")}
        expected = {k: v for k, v in properties(row, {"key"}).items() if v != ""}
        assert got == expected
    for row in made.edges.to_pylist():
        names = {"token": "phi", "topic": "r_topic"}
        weight = {"weight": row[names[row["kind"]]]} if row["kind"] in names else {}
        expected = properties(row, {"source", "target"}) | weight
        assert dict(found.edges[row["source"], row["target"]]) == expected


def test_igraph_reads_graphml(tmp_path: Path) -> None:
    igraph = pytest.importorskip("igraph")
    made, path = plain(), tmp_path / "g.graphml"
    write_graph(made.stream(), path, file_format="graphml")
    found = igraph.Graph.Read_GraphML(str(path))
    # igraph leaves an ampersand in an id as a character reference.
    assert [key.replace("&#38;", "&") for key in found.vs["id"]] == made.keys()
    assert found.es["phi"] == made.edges["phi"].to_pylist()
    assert found.es["relation"] == ["CO_OCCURS"] * 3


def test_pandas_reads_the_parquet_files(tmp_path: Path) -> None:
    import pandas as pd

    made = graph()
    write_graph(made.stream(), tmp_path / "g", file_format="parquet")
    found = pd.read_parquet(tmp_path / "g" / "edges.parquet")
    assert found["phi"].tolist() == made.edges["phi"].to_pylist()
    described = json.loads((tmp_path / "g" / "graph.json").read_text())
    assert described["run"] == "run-1"
    assert described["counts"] == {"nodes": 4, "edges": 3}


def test_graphs_of_other_programs_are_read(tmp_path: Path) -> None:
    made = nx.DiGraph()
    made.add_node("a", size=3, name="x")
    made.add_edge("a", "b", weight=0.5)
    nx.write_graphml(made, tmp_path / "g.graphml")
    nx.write_gexf(made, tmp_path / "g.gexf")
    for name in ("g.graphml", "g.gexf"):
        found = read_graph(tmp_path / name)
        assert found.info.directed
        assert found.keys() == ["a", "b"]
        assert found.nodes["size"].to_pylist() == [3, None]
        assert found.edges.column_names[:2] == ["source", "target"]
    network = read_graph(tmp_path / "g.graphml").to_network("weight")
    assert network.weight.tolist() == [0.5]


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_what_exists_stays_unless_forced(form: str, tmp_path: Path) -> None:
    made, path = graph(), tmp_path / f"g{SUFFIX[form]}"
    write_graph(made.stream(), path, file_format=form)
    with pytest.raises(UsageError, match="exists"):
        write_graph(made.stream(), path, file_format=form)
    other = graph(twice=True)
    write_graph(other.stream(), path, file_format=form, force=True)
    same(read_graph(path), other)


def broken() -> Iterator[pa.RecordBatch]:
    yield from graph().edges.to_batches()
    raise RuntimeError("the database went away")


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_a_failure_leaves_what_was_there(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"g{SUFFIX[form]}"
    write_graph(graph().stream(), path, file_format=form)
    stream = graph().stream()
    failing = type(stream)(stream.info, stream.nodes, stream.edges, stream.node_batches, broken)
    with pytest.raises(RuntimeError, match="went away"):
        write_graph(failing, path, file_format=form, force=True)
    same(read_graph(path), graph())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_unfinished_folder_is_not_read(tmp_path: Path) -> None:
    stream = graph().stream()
    failing = type(stream)(stream.info, stream.nodes, stream.edges, stream.node_batches, broken)
    with pytest.raises(RuntimeError, match="went away"):
        write_graph(failing, tmp_path / "g", file_format="parquet")
    assert list((tmp_path / "g").iterdir()) == []
    with pytest.raises(ArtifactError, match="no finished export"):
        read_graph(tmp_path / "g")


def test_the_later_of_two_exports_into_a_folder_is_read(tmp_path: Path) -> None:
    write_graph(graph().stream(), tmp_path, file_format="parquet")
    write_graph(graph(twice=True).stream(), tmp_path, file_format="csv", force=True)
    same(read_graph(tmp_path), graph(twice=True))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.graphml"
    write_graph(graph().stream(), path, file_format="graphml")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_graph(path)
    (tmp_path / "g.gexf").write_text("<other/>")
    with pytest.raises(ArtifactError, match="not GEXF"):
        read_graph(tmp_path / "g.gexf")
    (tmp_path / "h.graphml.gz").write_bytes(gzip.compress(b"<graphml>")[:-3])
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_graph(tmp_path / "h.graphml.gz")
    with pytest.raises(ArtifactError, match="not known"):
        read_graph(tmp_path / "g.txt")


def test_gzip_gives_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("a.gexf.gz", "b.gexf.gz"):
        write_graph(graph().stream(), tmp_path / name, file_format="gexf")
    assert (tmp_path / "a.gexf.gz").read_bytes() == (tmp_path / "b.gexf.gz").read_bytes()


def test_a_graph_becomes_a_network() -> None:
    made = graph()
    network = made.to_network()
    assert list(network.keys) == made.keys()
    assert network.source.tolist() == [0, 0]
    assert network.target.tolist() == [1, 2], "without the exclusive pair"
    assert network.weight.tolist() == [0.1, 0.5], "a topic pair has r_topic"
    assert made.to_network("n").weight.tolist() == [7.0] * 2
    low = made.edges.set_column(made.edges.column_names.index("phi"), "phi", pa.array([-0.1, 0, 0]))
    with pytest.raises(UsageError, match=r"1 edges of the graph have a weight \(phi\)"):
        GraphTables(made.info, made.nodes, low).to_network()
    with pytest.raises(UsageError, match="no property"):
        made.to_network("nothing")
    with pytest.raises(UsageError, match="twice"):
        graph(twice=True).to_network()
    with pytest.raises(UsageError, match="1 edges of the graph have no phi"):
        graph(directed=True).to_network()


@pytest.mark.parametrize(
    ("selection", "weights"),
    [({}, ["0.1", "0.5", None]), ({"weight": "phi"}, ["0.1", str(1 / 3), None])],
)
def test_gexf_weights_are_those_of_the_kind(
    selection: dict[str, Any], weights: list[str | None], tmp_path: Path
) -> None:
    made = graph()
    info = GraphInfo("run-1", False, {"CO_OCCURS": "phi"}, selection)
    stream = GraphTables(info, made.nodes, made.edges).stream()
    write_graph(stream, tmp_path / "g.gexf", file_format="gexf")
    root = ET.parse(tmp_path / "g.gexf").getroot()
    assert [edge.get("weight") for edge in root.iter("{http://gexf.net/1.3}edge")] == weights


def test_an_export_that_leaves_kinds_out_has_no_weights() -> None:
    made = graph()
    info = GraphInfo("run-1", False, {"CO_OCCURS": "phi"}, {"edge_properties": ["phi"]})
    bare = GraphTables(info, made.nodes, made.edges.drop_columns(["kind"]))
    with pytest.raises(UsageError, match="3 edges of the graph have no phi"):
        bare.to_network()


def test_an_edge_to_nowhere_is_an_error() -> None:
    made = graph()
    with pytest.raises(UsageError, match="'toy/hook/a&b/2'"):
        GraphTables(made.info, made.nodes.slice(0, 2), made.edges).to_network()


def test_a_graph_becomes_one_of_networkx() -> None:
    made = graph()
    found = made.to_networkx()
    assert type(found) is nx.Graph
    assert found.graph["run"] == "run-1"
    assert list(found) == made.keys()
    first = made.nodes.to_pylist()[0]
    assert found.nodes[first["key"]] == {n: v for n, v in first.items() if n != "key"}
    assert "mean" not in found.nodes["toy/hook/a&b/3"]
    assert found.edges["toy/hook/a&b/0", "toy/hook/a&b/1"]["contexts"] == ["c/1", "c/2"]
    assert type(graph(twice=True).to_networkx()) is nx.MultiGraph
    assert type(graph(directed=True).to_networkx()) is nx.DiGraph
    assert type(made.to_networkx(multigraph=True)) is nx.MultiGraph
    with pytest.raises(UsageError, match="more than once"):
        graph(twice=True).to_networkx(multigraph=False)


def test_a_graph_becomes_one_of_igraph() -> None:
    pytest.importorskip("igraph")
    made = graph(directed=True)
    found = made.to_igraph()
    assert found.is_directed()
    assert found.vs["name"] == made.keys()
    assert found.vs["top_tokens"] == made.nodes["top_tokens"].to_pylist()
    assert found.es["phi"] == made.edges["phi"].to_pylist()
    pairs = [(found.vs[e.source]["name"], found.vs[e.target]["name"]) for e in found.es]
    assert pairs == [(e["source"], e["target"]) for e in made.edges.to_pylist()]


def test_a_graph_becomes_data_frames() -> None:
    made = graph()
    nodes, edges = made.to_pandas()
    assert nodes["n"].tolist() == made.nodes["n"].to_pylist()
    assert nodes["label"].isna().tolist() == [False, False, True, False]
    assert np.allclose(edges["phi"].astype(float), made.edges["phi"].to_pylist())


def test_neuronpedia_files() -> None:
    import io

    from atlas.formats.neuronpedia import (
        NeuronpediaFeature,
        write_explanations,
        write_quick_list,
    )

    features = [
        NeuronpediaFeature("toy", "1-res", 3, "héart", "tokens"),
        NeuronpediaFeature("toy", "1-res", 4),
    ]
    listed, lines = io.BytesIO(), io.BytesIO()
    assert write_quick_list(listed, features, name="mine") == 2
    assert json.loads(listed.getvalue()) == {
        "name": "mine",
        "features": [
            {"modelId": "toy", "layer": "1-res", "index": "3", "description": "héart"},
            {"modelId": "toy", "layer": "1-res", "index": "4"},
        ],
    }
    assert write_explanations(lines, features) == 1
    (line,) = lines.getvalue().splitlines()
    assert json.loads(line) == {
        "modelId": "toy",
        "layer": "1-res",
        "index": "3",
        "description": "héart",
        "typeName": "atlas-tokens",
        "explanationModelName": None,
    }
