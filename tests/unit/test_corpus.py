from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.errors import CorpusError, UsageError
from ingest.corpus import Corpus, Document, Problem, is_held_out, read_corpus
from ingest.sources import parse_hub_name

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "texts"
    path.mkdir()
    (path / "good.txt").write_text("A good text.")
    return path


def problems(corpus: Corpus) -> list[tuple[str, str]]:
    return [(problem.where, problem.what) for problem in corpus.problems]


def texts(corpus: Corpus) -> list[str]:
    return [document.text for document in corpus]


def write_parquet(path: Path, **columns: object) -> None:
    pq.write_table(pa.table(columns), path)


# ------------------------------------------------------------------ folders and .txt files


def test_folder_is_read_in_the_order_of_its_paths(folder: Path) -> None:
    for name in ("sports/b.txt", "sports/tennis/c.txt", "law/a.TXT"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "rows.jsonl").write_text('{"text": "one", "domain": "law", "title": "One"}\n')
    write_parquet(folder / "table.parquet", text=["two"])
    (folder / "table.csv").write_text("text\nthree\n")
    corpus = read_corpus(folder)
    assert corpus.name == "texts"
    assert [(d.id, d.domain) for d in corpus] == [
        ("good.txt", None),
        ("law/a.TXT", "law"),
        ("rows.jsonl:1", "law"),
        ("sports/b.txt", "sports"),
        ("sports/tennis/c.txt", "sports"),
        ("table.csv:2", None),
        ("table.parquet:1", None),
    ]
    assert corpus[2] == Document("rows.jsonl:1", "one", "law", "rows.jsonl", "One")
    assert corpus.problems == ()
    assert corpus.summary() == "7 documents, none skipped."
    assert corpus.domains == {"law": 2, "sports": 2}


def test_one_file(folder: Path) -> None:
    corpus = read_corpus(str(folder / "good.txt"), name="mine")
    assert (corpus.name, corpus[0].id, corpus[0].domain) == ("mine", "good.txt", None)


def test_byte_order_mark_is_no_text(folder: Path) -> None:
    (folder / "good.txt").write_bytes(b"\xef\xbb\xbfHello")
    (folder / "rows.csv").write_bytes(b"\xef\xbb\xbftext\nrow\n")
    (folder / "rows.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "line"}\n')
    assert texts(read_corpus(folder)) == ["Hello", "row", "line"]


def test_undecodable_text_file_names_the_byte(folder: Path) -> None:
    (folder / "latin.txt").write_bytes("Ein Café".encode("latin-1"))
    (folder / "wide.txt").write_bytes("Hello".encode("utf-16"))
    (folder / "marked.txt").write_bytes(b"\xef\xbb\xbfab\xff")
    corpus = read_corpus(folder)
    assert texts(corpus) == ["A good text."]
    assert corpus.problem_counts == {"not UTF-8": 3}
    latin, marked, wide = corpus.problems
    assert latin.detail.startswith("byte 0xe9 at offset 7; save the file as UTF-8")
    assert "UTF-16" in wide.detail
    assert "offset 5" in marked.detail  # of the file, the mark included


def test_bad_files_are_named(folder: Path) -> None:
    (folder / "empty.txt").write_text(" \n")
    (folder / "binary.txt").write_bytes(b"a\0b")
    (folder / "scan.pdf").write_bytes(b"%PDF")
    (folder / "gone.txt").symlink_to(folder / "nowhere")
    (folder / ".hidden.txt").write_text("passed over")
    corpus = read_corpus(folder)
    assert texts(corpus) == ["A good text."]
    assert problems(corpus) == [
        ("binary.txt", "NUL characters"),
        ("empty.txt", "empty text"),
        ("gone.txt", "cannot be read"),
        ("scan.pdf", "file type not read"),
    ]


def test_file_name_that_is_not_utf8(folder: Path) -> None:
    try:
        (folder / "caf\udce9.txt").write_text("text")
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system takes UTF-8 names only")
    corpus = read_corpus(folder)
    assert problems(corpus) == [("caf\\udce9.txt", "file name is not UTF-8")]
    assert len(corpus.sha256) == 64


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="has no document"):
        read_corpus(tmp_path)
    (tmp_path / "a.txt").write_bytes(b"\xff")
    with pytest.raises(CorpusError, match=r"1 of 1 .* 1 not UTF-8 \(a\.txt: byte 0xff"):
        read_corpus(tmp_path)


def test_wrong_sources(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no file or folder"):
        read_corpus(tmp_path / "nowhere")
    (tmp_path / "scan.pdf").write_bytes(b"%PDF")
    with pytest.raises(UsageError, match="not read"):
        read_corpus(tmp_path / "scan.pdf")
    with pytest.raises(UsageError, match="demo:written"):
        read_corpus("demo:poems")
    with pytest.raises(UsageError, match="limit"):
        read_corpus(tmp_path, limit=0)


# ------------------------------------------------------------------ .jsonl


def test_bad_json_lines_are_named_by_their_line(folder: Path) -> None:
    lines = [
        b'{"text": "first", "id": 1}',
        b'{"text": "cut',
        b"[1, 2]",
        b'{"title": "no text"}',
        b'{"text": null}',
        b'{"text": 7}',
        b'{"text": "  "}',
        b"",
        '{"text": "Café"}'.encode("latin-1"),
        b'{"text": "half \\ud800 pair"}',
        b'{"text": "x", "domain": ["a"]}',
        b'{"text": "' + b"9" * 5000 + b'"}',
        b"[" * 200_000,
        b'{"text": "last"}',
    ]
    path = folder / "rows.jsonl"
    path.write_bytes(b"\n".join(lines))
    corpus = read_corpus(path)
    assert [d.id for d in corpus] == ["rows.jsonl:1", "rows.jsonl:12", "rows.jsonl:14"]
    assert problems(corpus) == [
        ("rows.jsonl:2", "malformed JSON"),
        ("rows.jsonl:3", "not a JSON object"),
        ("rows.jsonl:4", "no text"),
        ("rows.jsonl:5", "no text"),
        ("rows.jsonl:6", "text is not a string"),
        ("rows.jsonl:7", "empty text"),
        ("rows.jsonl:9", "not UTF-8"),
        ("rows.jsonl:10", "not valid Unicode"),
        ("rows.jsonl:11", "'domain' is not a string"),
        ("rows.jsonl:13", "malformed JSON"),
    ]
    offset = sum(len(line) + 1 for line in lines[:8]) + lines[8].index(b"\xe9")
    assert f"byte 0xe9 at offset {offset}" in corpus.problems[6].detail


def test_named_columns(folder: Path) -> None:
    path = folder / "rows.jsonl"
    rows = [
        {"body": "a", "topic": "law", "key": 5},
        {"body": "b", "topic": None, "key": 6},
        {"body": "c", "topic": "law", "key": 5},
        {"body": "d", "topic": "law", "key": None},
        {"body": "e", "key": 8},
        {"body": "f", "topic": "", "key": "9"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = read_corpus(path, text_column="body", domain_column="topic", id_column="key")
    assert [(d.id, d.domain) for d in corpus] == [("5", "law"), ("6", None), ("9", None)]
    assert problems(corpus) == [
        ("rows.jsonl:3", "duplicate id"),
        ("rows.jsonl:4", "no 'key'"),
        ("rows.jsonl:5", "no 'topic'"),
    ]


def test_limit_takes_the_first(folder: Path) -> None:
    path = folder / "rows.jsonl"
    path.write_text('{"text": "a"}\n{}\n{"text": "b"}\n{"text": "c"}\n')
    assert texts(read_corpus(path, limit=2)) == ["a", "b"]


# ------------------------------------------------------------------ .csv


def test_csv_rows_are_named_by_the_line_they_begin_on(folder: Path) -> None:
    path = folder / "rows.csv"
    path.write_bytes(
        b"text,domain\r\n"
        b'"two\nlines",law\r\n'
        b"\r\n"
        b"a, comma too many,law\r\n"
        b"short\r\n"
        b",law\r\n"
        b"caf\xe9,law\r\n"
        b'"bad"quote,law\r\n'
        b"last,\r\n"
        b'"never closed,law\r\n'
    )
    corpus = read_corpus(path)
    assert [(d.id, d.text, d.domain) for d in corpus] == [
        ("rows.csv:2", "two\nlines", "law"),
        ("rows.csv:10", "last", None),
    ]
    assert problems(corpus) == [
        ("rows.csv:5", "wrong number of fields"),
        ("rows.csv:6", "wrong number of fields"),
        ("rows.csv:7", "empty text"),
        ("rows.csv:8", "not UTF-8"),
        ("rows.csv:9", "malformed CSV"),
        ("rows.csv:11", "malformed CSV"),
    ]


def test_csv_without_the_column(folder: Path) -> None:
    (folder / "rows.csv").write_text("body,title\na,b\n")
    (folder / "void.csv").write_text("")
    corpus = read_corpus(folder)
    assert problems(corpus) == [("rows.csv", "no column 'text'"), ("void.csv", "empty file")]
    assert corpus.problems[0].detail == "it has: body, title"


def test_csv_field_longer_than_the_modules_limit(folder: Path) -> None:
    limit = csv.field_size_limit()
    (folder / "rows.csv").write_text("text\n" + "word " * 40_000 + "\n")
    assert len(read_corpus(folder / "rows.csv")[0].text) == 200_000
    assert csv.field_size_limit() == limit


# ------------------------------------------------------------------ .parquet


def test_parquet_rows(folder: Path) -> None:
    path = folder / "rows.parquet"
    write_parquet(
        path,
        text=["a", None, "", "b"],
        domain=pa.array(["law", "law", None, None]).dictionary_encode(),
    )
    corpus = read_corpus(path)
    assert [(d.id, d.domain) for d in corpus] == [
        ("rows.parquet:1", "law"),
        ("rows.parquet:4", None),
    ]
    assert problems(corpus) == [("rows.parquet:2", "no text"), ("rows.parquet:3", "empty text")]


def test_bad_parquet_files(folder: Path) -> None:
    write_parquet(folder / "whole.parquet", text=["a"] * 50)
    data = (folder / "whole.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(data[: len(data) // 2])
    (folder / "void.parquet").write_bytes(b"")
    write_parquet(folder / "numbers.parquet", text=[1, 2])
    write_parquet(folder / "rowless.parquet", text=pa.array([], pa.string()))
    write_parquet(folder / "other.parquet", body=["a"])
    corpus = read_corpus(folder)
    assert len(corpus) == 51
    assert problems(corpus) == [
        ("cut.parquet", "cannot be read"),
        ("numbers.parquet:1", "text is not a string"),
        ("numbers.parquet:2", "text is not a string"),
        ("other.parquet", "no column 'text'"),
        ("rowless.parquet", "no rows"),
        ("void.parquet", "cannot be read"),
    ]


def test_parquet_damaged_inside_keeps_the_rows_before(folder: Path) -> None:
    path = folder / "rows.parquet"
    table = pa.table({"text": [f"text {i} " * 40 for i in range(3000)]})
    pq.write_table(table, path, row_group_size=1000, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    middle = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    data[middle : middle + 400] = b"\xff" * 400
    path.write_bytes(bytes(data))
    corpus = read_corpus(path)
    assert 1000 <= len(corpus) <= 2000
    assert corpus.problems[-1].what == f"cannot be read after row {len(corpus)}"


def test_parquet_string_that_is_not_utf8(folder: Path) -> None:
    bad = pa.array([b"good", b"caf\xe9"], pa.binary()).view(pa.string())
    write_parquet(folder / "rows.parquet", text=bad)
    corpus = read_corpus(folder / "rows.parquet")
    assert texts(corpus) == ["good"]
    assert problems(corpus) == [("rows.parquet:2", "not UTF-8")]


# ------------------------------------------------------------------ the corpus


def test_summary_counts_kinds_and_names_places() -> None:
    found = [Problem(f"a.jsonl:{i}", "empty text") for i in (3, 5, 9)]
    found.append(Problem("b.csv", "no column 'text'", "it has: body"))
    corpus = Corpus("c", [Document("1", "x")], problems=found)
    assert corpus.summary() == (
        "4 of 5 rows or files skipped: 3 empty text (a.jsonl:3, a.jsonl:5, ...), "
        "1 no column 'text' (b.csv: it has: body)."
    )
    assert corpus.problem_counts == {"empty text": 3, "no column 'text'": 1}


def test_equal_ids_are_refused() -> None:
    with pytest.raises(CorpusError, match="several documents 'a'"):
        Corpus("c", [Document("a", "x"), Document("a", "y")])


def test_hash_depends_on_ids_texts_domains_and_their_order() -> None:
    a, b = Document("a", "x", "law"), Document("b", "y")
    hashes = {
        Corpus("c", documents).sha256
        for documents in (
            [a, b],
            [b, a],
            [a],
            [a, Document("b", "y", "")],
            [a, Document("b", "z")],
            [Document("a", "xl", "aw"), b],
        )
    }
    assert len(hashes) == 6
    assert Corpus("d", [a, b]).sha256 == Corpus("c", [a, b], problems=[Problem("x", "y")]).sha256


def test_corpus_is_a_sequence() -> None:
    documents = [Document(str(i), "x") for i in range(4)]
    corpus = Corpus("c", documents)
    assert list(corpus) == documents
    assert corpus[1:3] == tuple(documents[1:3])
    assert corpus[-1] is documents[-1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ROW = st.fixed_dictionaries({}, optional={"text": JSON, "domain": JSON, "title": JSON})


@given(rows=st.lists(JSON | ROW, max_size=8))
def test_every_row_is_a_document_or_a_problem(
    rows: list[object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    kept = '{"text": "kept"}\n'
    path.write_text(kept + "".join(json.dumps(row) + "\n" for row in rows))
    corpus = read_corpus(path)
    named = [document.id for document in corpus] + [problem.where for problem in corpus.problems]
    assert sorted(named) == sorted(f"rows.jsonl:{i + 1}" for i in range(len(rows) + 1))
    assert len(corpus.sha256) == 64


@given(raw=st.lists(st.sampled_from([b"text", b",", b'"', b"\n", b"\r", b"\xe9", b"\0", b"a"])))
def test_no_csv_breaks_the_reader(
    raw: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    (folder / "a.txt").write_text("kept")
    (folder / "b.csv").write_bytes(b"".join(raw))
    corpus = read_corpus(folder)
    assert corpus[0].text == "kept"
    assert len(corpus) + len(corpus.problems) >= 1


@given(texts=st.lists(st.text(), min_size=1, max_size=5))
def test_text_survives_each_kind_of_file(
    texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    usable = [text for text in texts if text.strip() and "\0" not in text] + ["x"]
    (folder / "a.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in usable))
    write_parquet(folder / "b.parquet", text=usable)
    with (folder / "c.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, quoting=csv.QUOTE_ALL)
        writer.writerows([["text"], *([text] for text in usable)])
    corpus = read_corpus(folder)
    assert [document.text for document in corpus] == usable * 3
    assert not corpus.problems


# ------------------------------------------------------------------ held out, the hub


def test_held_out_share() -> None:
    ids = [f"d{i}" for i in range(4000)]
    assert not any(is_held_out(i, 0.0) for i in ids)
    assert all(is_held_out(i, 1.0) for i in ids)
    assert 0.17 < sum(is_held_out(i, 0.2) for i in ids) / len(ids) < 0.23


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("hf:ag_news", ("ag_news", None, "train")),
        ("hf:ag_news:test", ("ag_news", None, "test")),
        ("hf:ag_news:train[:100]", ("ag_news", None, "train[:100]")),
        ("hf:a/wikitext:wikitext-2-v1", ("a/wikitext", "wikitext-2-v1", "train")),
        ("hf:a/wikitext:wikitext-2-v1:test", ("a/wikitext", "wikitext-2-v1", "test")),
        ("hf:a/b::dev", ("a/b", None, "dev")),
    ],
)
def test_hub_names(source: str, parts: tuple[str, str | None, str]) -> None:
    assert parse_hub_name(source) == parts


@pytest.mark.parametrize("source", ["hf:", "hf:a:b:c:d"])
def test_wrong_hub_names(source: str) -> None:
    with pytest.raises(UsageError, match="not of the form"):
        parse_hub_name(source)
