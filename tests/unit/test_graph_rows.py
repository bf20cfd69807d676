"""The map of the graph, rows made from it, and columns as parameters and as CSV."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.progress import SilentReporter
from atlas.schemas import schema, tables
from ingest import columns, statements
from ingest.build_folder import open_build
from ingest.bulk.choice import schema_names
from ingest.bulk.csv_files import write_csv
from ingest.graph_map import EDGES, ELEMENTS, NODES, EdgeTable, elements_of, load_order, table_of
from ingest.graph_rows import columns_of, graph_rows, pair_keys
from tests.builds import key, planted, write_build


def test_every_table_of_a_build_is_in_the_map_after_what_it_refers_to() -> None:
    order = load_order(list(tables()))
    assert sorted(order) == sorted(tables())
    for table in order:
        for element in elements_of(table):
            for end in element.ends:
                needed = table_of(end.label)
                assert needed is None or order.index(needed) < order.index(table)


def test_every_column_is_an_end_a_property_or_the_choice_of_a_type() -> None:
    for table in tables():
        used: set[str] = set()
        for element in elements_of(table):
            used |= set(columns_of(element))
            if isinstance(element, EdgeTable) and element.only:
                used.add(element.only[0])
        assert set(schema(table).names) <= used


def test_keys_and_labels_have_their_constraints() -> None:
    from atlas.graph.migrate import migrations

    text = " ".join(migration.text for migration in migrations())
    for node in NODES:
        assert re.search(rf"FOR \(n:{node.label}\) REQUIRE n.key IS UNIQUE", text), node
    for edge in EDGES:
        if edge.keyed:
            assert re.search(rf"\[r:{edge.type}\]-\(\) REQUIRE r.key IS UNIQUE", text), edge
    assert {"feature_key", "co_occurs_key", "feature_text"} <= schema_names()


@pytest.mark.parametrize("way", ["create", "merge"])
def test_values_are_parameters(way: statements.Way) -> None:
    for element in ELEMENTS:
        text = statements.batch(element.table, way)
        assert ("CREATE (s)" in text) == (way == "create" and isinstance(element, EdgeTable))
        assert '"' not in text
        names = set(element.properties)  # a procedure takes the name of a property as a text
        assert set(re.findall(r"'([^']*)'", text)) <= {"", ",", "loading"} | names


def one(table: str, **values: object) -> pa.Table:
    fields = [schema(table).field(name) for name in values]
    return pa.Table.from_pylist([values], schema=pa.schema(fields))


def test_keys_of_pairs() -> None:
    def made(table: str, **values: object) -> str:
        element = elements_of(table)[0]
        assert isinstance(element, EdgeTable)
        return pair_keys(element, one(table, **values), run="r|1")[0].as_py()

    a, b, other = key(3), key(12), "toy/blocks.0.hook_resid_pre/planted/7"
    sae = a.rsplit("/", 1)[0]
    assert made("edges", source=a, target=b, kind="topic") == f"r|1|{sae}|3|12|topic"
    assert made("implies", source=a, target=b, absorption=True) == f"r|1|{sae}|3|12|absorption"
    assert made("implies", source=a, target=b, absorption=False) == f"r|1|{sae}|3|12|"
    assert made("similar", source=a, target=other) == f"r|1|{sae}|3|{other}|"


def test_rows_of_one_type_and_lists_without_values() -> None:
    _, rows = planted()
    table = pa.Table.from_pylist(rows["feature_tokens"], schema=schema("feature_tokens"))
    for element in elements_of("feature_tokens"):
        assert isinstance(element, EdgeTable)
        assert element.only is not None
        wanted = [row for row in rows["feature_tokens"] if row["relation"] == element.only[1]]
        made = graph_rows(element, table, run="r")
        assert made.num_rows == len(wanted)
        assert "relation" not in made.column_names
    rows["edges"][0]["contexts"] = ["x"]
    edges = pa.Table.from_pylist(rows["edges"][:2], schema=schema("edges"))
    made = graph_rows(elements_of("edges")[0], edges, run="r")
    assert made["contexts"].to_pylist() == [["x"], None]
    features = pa.Table.from_pylist(rows["features"], schema=schema("features"))
    made = graph_rows(elements_of("features")[0], features, run="r")
    assert made["suppressed"].to_pylist()[0] == []


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), min_size=1))
def test_doubles_are_sent_exactly(values: list[float | None]) -> None:
    sent = columns.encode(pa.table({"x": pa.array(values, pa.float64())}))["x"]
    read = [float(part) if part else None for part in sent.split(",")]
    assert [None if v is None else math.copysign(1, v) for v in read] == [
        None if v is None else math.copysign(1, v) for v in values
    ]
    assert read == values


@given(
    st.lists(
        st.one_of(st.none(), st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32))),
        min_size=1,
    )
)
def test_lists_of_numbers_are_sent_exactly(values: list[list[float] | None]) -> None:
    column = pa.array([None, *values], pa.list_(pa.float32())).slice(1)
    sent = columns.encode(pa.table({"x": column}))["x"]
    assert len(sent) == len(values)
    for text, wanted in zip(sent, values, strict=True):
        if wanted is None:
            assert text is None
        else:
            assert [float(part) for part in text.split(",") if text] == wanted


def test_integers_truth_values_and_texts() -> None:
    sent = columns.encode(
        pa.table({"n": [1, None, -(2**40)], "b": [True, False, None], "t": ["", None, "a,b"]})
    )
    assert sent == {"n": f"1,,-{2**40}", "b": "true,false,", "t": ["", None, "a,b"]}


def test_csv_of_a_build(tmp_path: Path) -> None:
    build = open_build(write_build(tmp_path / "b"))
    (tmp_path / "csv").mkdir()
    run = {"key": "synthetic", "loading_rows": 1}
    files = write_csv(build, tmp_path / "csv", run=run, reporter=SilentReporter())
    header, data = files.relationships["CO_OCCURS"]
    assert header.read_text().startswith(":START_ID(Feature),:END_ID(Feature),kind:string,n:long,")
    first = data.read_text().splitlines()[0]
    assert first.startswith('0,1,"token",10,3,5,2,1,')
    assert first.endswith(f'"synthetic|{key(0).rsplit("/", 1)[0]}|0|1|token","synthetic"')
    assert len(data.read_text().splitlines()) == build.rows("edges")
    assert files.nodes["Run"][0].read_text() == ":ID(Run),key:string,loading_rows:long\n"
    assert not files.multiline
    assert files.array_delimiter == "\x1f"
    assert set(files.relationships) >= {"IN", "FROM_RUN", "FROM_DOCUMENT", "FIRES_IN", "PROMOTES"}


def test_csv_parts_lists_by_what_no_text_has(tmp_path: Path) -> None:
    run, rows = planted()
    rows["features"][3]["top_words"] = ["a\x1fb", "c\nd"]
    build = open_build(write_build(tmp_path / "b", run, rows))
    (tmp_path / "csv").mkdir()
    made = write_csv(build, tmp_path / "csv", run={"key": "r"}, reporter=SilentReporter())
    assert made.array_delimiter == "\x1e"
    assert made.multiline
    assert len(made.relationships["IN"]) == 2
    assert len(made.relationships["IN"][1].read_text().splitlines()) == build.rows("features")


def test_pieces_begin_at_any_row(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    build = open_build(write_build(tmp_path / "b"))
    path = build.path / "firings.parquet"
    whole = pq.read_table(path)
    pq.write_table(whole, path, row_group_size=17)
    for start in (0, 1, 16, 17, 50, whole.num_rows - 1, whole.num_rows):
        rows = list(build.pieces("firings", 5, start=start))
        assert sum(piece.num_rows for piece in rows) == whole.num_rows - start
        if rows:
            keys = pa.concat_tables(rows)["context"]
            assert pc.all(pc.equal(keys, whole["context"].slice(start))).as_py()
