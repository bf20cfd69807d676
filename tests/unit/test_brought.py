from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from atlas.artifacts import CodeShard, file_sha256, read_shard
from atlas.errors import ArtifactError, UsageError
from ingest.brought import (
    ONLY_FIRING,
    BroughtDocuments,
    BroughtOptions,
    bring,
    export_parquet,
    open_source,
    read_brought,
    read_vocabulary,
)
from ingest.brought.batches import RawBatch, check
from ingest.brought.buckets import RECORD
from ingest.brought.documents import DocumentBlock
from ingest.brought.shards import FIRING_BYTES, POSITION_BYTES, make_shard
from tests.unit.brought_files import (
    assert_same,
    expected,
    random_codes,
    write_delphi,
    write_documents,
    write_parquet,
    write_tensors,
)

SHARD = 3


def options(codes, **more):
    return BroughtOptions(**{"d_sae": codes.d_sae, "shard_documents": SHARD} | more)


def shards_of(brought):
    return [read_shard(path, identity=brought.identity) for path in brought.shard_paths]


def table_of(codes, path, **more):
    columns = {"document": range(len(codes.dense)), "n_positions": codes.lengths} | more
    return write_documents(path, columns)


def shuffled(rows, seed=0):
    order = np.random.default_rng(seed).permutation(len(rows["document"]))
    return {name: column[order] for name, column in rows.items()}


def one_row(path, **change):
    """A table of one good row and then one whose values are changed."""
    good = {"document": [0, 0], "position": [0, 1], "feature": [1, 2], "value": [0.5, 0.25]}
    columns = {k: [v[0], change.get(k, v[1])] for k, v in good.items()}
    pq.write_table(pa.table(columns), path)
    return path


# --- the same shards from every format, whatever the order and the split -------------------


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    parts=st.integers(1, 4),
    group=st.integers(1, 40),
    batch=st.integers(1, 60),
    shard=st.integers(1, 9),
    mix=st.booleans(),
)
def test_tables_give_the_same_shards_as_dense_codes(
    tmp_path_factory, seed, parts, group, batch, shard, mix
):
    folder = tmp_path_factory.mktemp("b")
    codes = random_codes(seed)
    rows = shuffled(codes.rows(), seed) if mix else codes.rows()
    table = table_of(codes, folder / "documents.parquet", tokens=codes.tokens)
    given_ = options(codes, shard_documents=shard, batch_rows=batch)
    wanted = expected(codes, shard)
    paths = [
        write_parquet(folder / "p", rows, parts=parts, group=group, seed=seed),
        write_tensors(folder / "t", rows, parts=parts, seed=seed),
    ]
    for number, path in enumerate(paths):
        brought = bring(path, folder / f"out{number}", options=given_, documents=table)
        assert_same(shards_of(brought), wanted)
        assert brought.counts["rows"] == sum(codes.lengths)
        assert brought.counts["firings"] == sum(int((c > 0).sum()) for c in codes.dense)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    splits=st.integers(1, 6),
    batch=st.integers(1, 60),
    shard=st.integers(1, 9),
    unsplit=st.booleans(),
)
def test_a_delphi_cache_gives_the_same_shards_as_dense_codes(
    tmp_path_factory, seed, splits, batch, shard, unsplit
):
    folder = tmp_path_factory.mktemp("b")
    rng = np.random.default_rng(seed)
    codes = random_codes(seed)
    codes.dense = [
        c if len(c) == 9 else np.concatenate([c, np.zeros((9 - len(c), 6), np.float32)])
        for c in codes.dense
    ]
    codes.tokens = [rng.integers(0, 50, 9).astype(np.int32) for _ in codes.dense]
    latents, tokens = np.stack(codes.dense), np.stack(codes.tokens)
    path = write_delphi(folder / "layers.1", latents, tokens, splits=splits)
    if unsplit:
        where = np.ascontiguousarray(np.argwhere(latents > 1e-5))
        path = folder / "layers.1.safetensors"
        data = {"locations": where, "activations": latents[tuple(where.T)], "tokens": tokens}
        save_file(data, path)
    given_ = options(codes, shard_documents=shard, batch_rows=batch)
    brought = bring(path, folder / "out", options=given_)
    assert brought.identity["format"] == "delphi"
    assert_same(shards_of(brought), expected(codes, shard))


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), parts=st.integers(1, 4), batch=st.integers(1, 60))
def test_only_positions_with_a_firing(tmp_path_factory, seed, parts, batch):
    folder = tmp_path_factory.mktemp("b")
    codes = random_codes(seed)
    path = write_parquet(folder / "p", shuffled(codes.rows(), seed), parts=parts, seed=seed)
    given_ = options(codes, positions=ONLY_FIRING, batch_rows=batch)
    brought = bring(path, folder / "out", options=given_)
    firing = [d for d, c in enumerate(codes.dense) if (c > 0).any()]
    wanted = expected(codes, SHARD, only_firing=True, numbers=firing)
    assert_same(shards_of(brought), wanted)
    assert brought.flags["positions"] == ONLY_FIRING
    assert brought.flags["tokens"] == "known only where something fires"
    documents = BroughtDocuments(folder / "out")
    assert [d.id for d in documents.documents] == [str(d) for d in firing]
    for number, d in enumerate(firing):
        last = int(np.flatnonzero((codes.dense[d] > 0).any(axis=1))[-1])
        assert documents.n_positions[number] == last + 1


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    skip=st.integers(0, 3),
    mask=st.sets(st.integers(0, 50), max_size=12),
    only=st.booleans(),
)
def test_masks_leave_out_positions_and_their_firings(tmp_path_factory, seed, skip, mask, only):
    folder = tmp_path_factory.mktemp("b")
    codes = random_codes(seed, share=0.6)

    def counts(document, position, token):
        return position >= skip and int(token) not in mask

    path = write_parquet(folder / "p", shuffled(codes.rows(), seed))
    table = table_of(codes, folder / "d.parquet", tokens=codes.tokens)
    given_ = options(
        codes,
        skip_positions=skip,
        mask_tokens=tuple(mask),
        positions=ONLY_FIRING if only else "all",
    )
    wanted = expected(codes, SHARD, counts=counts, only_firing=only)
    if not sum(len(shard.index) for shard in wanted):
        with pytest.raises(ArtifactError, match=r"No firing .* is left after masking"):
            bring(path, folder / "out", options=given_, documents=table)
        return
    brought = bring(path, folder / "out", options=given_, documents=table)
    assert_same(shards_of(brought), wanted)
    firings = sum(int((c > 0).sum()) for c in codes.dense)
    assert brought.counts["firings"] + brought.counts["masked_firings"] == firings
    known = sum(sum((c > 0).any(axis=1)) if only else len(c) for c in codes.dense)
    assert brought.counts["rows"] + brought.counts["masked_positions"] == known


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), known=st.booleans())
def test_our_shards_come_back_from_the_table_that_they_are_exported_to(
    tmp_path_factory, seed, known
):
    folder = tmp_path_factory.mktemp("b")
    codes = random_codes(seed, share=0.6)
    rng = np.random.default_rng(seed)
    kept = [rng.random(n) < 0.7 for n in codes.lengths]
    kept[0][codes.lengths[0] // 2] = True
    first = expected(codes, SHARD, counts=lambda d, p, t: kept[d][p], with_tokens=known)
    ids = [f"doc/{9 - d}" for d in range(len(codes.dense))]
    record = export_parquet(
        iter(first),
        folder / "codes.parquet",
        documents=folder / "documents.parquet",
        ids=ids,
        n_positions=codes.lengths,
    )
    assert record["codes"]["sha256"] == file_sha256(folder / "codes.parquet")
    assert record["codes"]["rows"] == sum(len(shard.index) for shard in first)
    assert record["documents"]["rows"] == len(ids)
    brought = bring(
        folder / "codes.parquet",
        folder / "out",
        options=options(codes),
        documents=folder / "documents.parquet",
    )
    assert_same(shards_of(brought), first)
    documents = BroughtDocuments(folder / "out")
    assert [d.id for d in documents.documents] == ids
    np.testing.assert_array_equal(documents.n_positions, codes.lengths)


def test_an_export_without_ids_numbers_the_documents_and_leaves_nothing_half_written(tmp_path):
    codes = random_codes(3)
    wanted = expected(codes, SHARD)
    path, table = tmp_path / "codes.parquet", tmp_path / "documents.parquet"
    export_parquet(wanted, path, documents=table, texts={n: f"t{n}" for n in range(50)})
    found = pq.read_table(path)
    assert found.schema.names == ["document", "position", "feature", "value", "token"]
    for name, column in codes.rows().items():
        np.testing.assert_array_equal(found[name].to_numpy(), column)
    row = pq.read_table(table).to_pylist()[0]
    assert row["tokens"] == codes.tokens[0].tolist()
    assert row["token_texts"] == [f"t{n}" for n in codes.tokens[0]]
    brought = bring(path, tmp_path / "out", options=options(codes), documents=table)
    assert read_vocabulary(tmp_path / "out").keys() == {int(t) for ts in codes.tokens for t in ts}
    assert brought.counts["documents"] == sum(n > 0 for n in codes.lengths)

    def broken():
        yield wanted[0]
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        export_parquet(broken(), tmp_path / "new.parquet", documents=tmp_path / "new2.parquet")
    with pytest.raises(UsageError, match="not in the order"):
        export_parquet(wanted[::-1], tmp_path / "new.parquet", documents=tmp_path / "new2.parquet")
    assert not list(tmp_path.glob("new*"))


# --- ids, types, tokens --------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_ids_may_be_texts_and_the_documents_table_gives_the_order(tmp_path, suffix):
    codes = random_codes(5)
    ids = [f"doc-{9 - d}" for d in range(len(codes.dense))]
    rows = shuffled(codes.rows())
    rows["document"] = np.array(ids, object)[rows["document"]]
    path = write_parquet(tmp_path / "p", rows, parts=3)
    table = write_documents(
        tmp_path / f"d{suffix}",
        {"document": ids, "n_positions": codes.lengths, "domain": ["law"] * len(ids)},
    )
    brought = bring(path, tmp_path / "out", options=options(codes), documents=table)
    firing = [(c > 0).any(axis=1) for c in codes.dense]
    for shard, wanted in zip(shards_of(brought), expected(codes, SHARD), strict=True):
        silent = np.array(
            [not firing[d][p] for d, p in zip(wanted.document, wanted.position, strict=True)]
        )
        wanted.token[silent] = -1
        assert_same([shard], [wanted])
    documents = BroughtDocuments(tmp_path / "out")
    assert [d.id for d in documents.documents] == ids
    assert {d.domain for d in documents.documents} == {"law"}
    alone = bring(path, tmp_path / "alone", options=options(codes, positions=ONLY_FIRING))
    order = sorted(d for d, f in enumerate(firing) if f.any())[::-1]
    assert_same(shards_of(alone), expected(codes, SHARD, only_firing=True, numbers=order))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("document", pa.int32()), ("document", pa.uint64()), ("document", pa.float64()),
        ("position", pa.uint8()), ("position", pa.float32()), ("feature", pa.uint16()),
        ("feature", pa.int8()), ("value", pa.float16()), ("value", pa.float64()),
        ("value", pa.int64()), ("token", pa.int16()), ("token", pa.float64()),
    ],
)  # fmt: skip
def test_any_integer_or_float_type_is_read(tmp_path, name, kind):
    codes = random_codes(1)
    codes.dense = [np.ceil(c) for c in codes.dense]
    table = pa.table(codes.rows())
    at = table.schema.get_field_index(name)
    pq.write_table(table.set_column(at, name, table[name].cast(kind)), tmp_path / "c.parquet")
    documents = table_of(codes, tmp_path / "d.parquet", tokens=codes.tokens)
    brought = bring(
        tmp_path / "c.parquet", tmp_path / "out", options=options(codes), documents=documents
    )
    assert_same(shards_of(brought), expected(codes, SHARD))


def test_dictionaries_of_texts_and_bfloat16_are_read(tmp_path):
    from safetensors.torch import save_file as save_torch

    codes = random_codes(2)
    codes.dense = [np.ceil(c / 16) for c in codes.dense]  # small integers, exact in bfloat16
    documents = table_of(codes, tmp_path / "d.parquet", tokens=codes.tokens)
    tensors = {k: torch.from_numpy(v) for k, v in codes.rows().items()}
    tensors["value"] = tensors["value"].bfloat16()
    save_torch(tensors, tmp_path / "c.safetensors")
    brought = bring(
        tmp_path / "c.safetensors", tmp_path / "out", options=options(codes), documents=documents
    )
    assert_same(shards_of(brought), expected(codes, SHARD))
    rows = codes.rows()
    columns = {k: pa.array(v) for k, v in rows.items()}
    columns["document"] = pa.array([str(d) for d in rows["document"]]).dictionary_encode()
    pq.write_table(pa.table(columns), tmp_path / "c.parquet")
    brought = bring(
        tmp_path / "c.parquet",
        tmp_path / "out2",
        options=options(codes),
        documents=write_documents(
            tmp_path / "d.csv",
            {"document": range(len(codes.dense)), "n_positions": codes.lengths},
        ),
    )
    assert brought.counts["firings"] == len(rows["value"])


def test_tokens_as_texts_get_ids_that_do_not_depend_on_the_order_of_rows(tmp_path):
    codes = random_codes(4, share=0.5)
    words = np.array([f"w{n:02d}" for n in range(50)], object)
    rows = codes.rows() | {"token": words[codes.rows()["token"]]}
    table = table_of(
        codes, tmp_path / "d.jsonl", token_texts=[words[t].tolist() for t in codes.tokens]
    )
    found = []
    for number, given_ in enumerate((rows, shuffled(rows))):
        path = write_parquet(tmp_path / f"p{number}", given_, parts=2)
        out = tmp_path / f"out{number}"
        brought = bring(path, out, options=options(codes), documents=table)
        found.append(shards_of(brought))
        texts = read_vocabulary(out)
        for shard, wanted in zip(found[-1], expected(codes, SHARD), strict=True):
            assert [texts[t] for t in shard.token] == [words[t] for t in wanted.token]
            tokens = BroughtDocuments(out).tokens(0)
            assert [texts[t] for t in tokens] == words[codes.tokens[0]].tolist()
    assert_same(*found)
    gone = {int(t) for t in codes.tokens[0][:2]}
    masked = bring(
        write_parquet(tmp_path / "p", rows),
        tmp_path / "masked",
        options=options(codes, mask_tokens=tuple(words[list(gone)])),
        documents=table,
    )
    wanted = expected(codes, SHARD, counts=lambda d, p, t: t not in gone)
    assert masked.counts["rows"] == sum(shard.rows for shard in wanted)
    with pytest.raises(UsageError, match="No token has the text 'nowhere'"):
        bring(
            tmp_path / "p",
            tmp_path / "x",
            options=options(codes, mask_tokens=("nowhere",)),
            documents=table,
        )
    with pytest.raises(UsageError, match="tokens were brought as texts"):
        bring(
            tmp_path / "p", tmp_path / "x", options=options(codes, mask_tokens=(3,)),
            documents=table,
        )  # fmt: skip


def test_a_token_that_differs_from_the_documents_is_an_error_with_its_row(tmp_path):
    codes = random_codes(6, share=0.5)
    rows = codes.rows()
    rows["token"] = rows["token"].copy()
    rows["token"][11] += 1
    path = write_parquet(tmp_path / "p", rows)
    table = table_of(codes, tmp_path / "d.parquet", tokens=codes.tokens)
    d, p = rows["document"][11], rows["position"][11]
    message = f"part-0.parquet, row 12: position {p} of document {d} has token"
    with pytest.raises(ArtifactError, match=message):
        bring(path, tmp_path / "out", options=options(codes), documents=table)
    same = (rows["document"] == d) & (rows["position"] == p)
    if same.sum() > 1:  # two firings of one position with two tokens, without any table
        with pytest.raises(ArtifactError, match=f"position {p} of document {d} has token"):
            bring(path, tmp_path / "o", options=options(codes, positions=ONLY_FIRING))
    texts = table_of(codes, tmp_path / "t.jsonl", token_texts=[["a"] * n for n in codes.lengths])
    with pytest.raises(ArtifactError, match="tokens as int64, the documents as string"):
        bring(path, tmp_path / "out", options=options(codes), documents=texts)


def test_masking_tokens_that_are_not_known_everywhere_is_refused(tmp_path):
    codes = random_codes(7)
    path = write_parquet(tmp_path / "p", codes.rows())
    table = table_of(codes, tmp_path / "d.parquet")
    with pytest.raises(UsageError, match="needs the token of every position"):
        bring(path, tmp_path / "o", options=options(codes, mask_tokens=(1,)), documents=table)


def test_one_known_token_masks_a_position_whose_other_rows_have_none(tmp_path):
    rows = {
        "document": [0, 0, 0],
        "position": [4, 4, 5],
        "feature": [0, 1, 1],
        "value": [1.0, 1.0, 1.0],
        "token": [None, 7, None],
    }
    pq.write_table(pa.table(rows), tmp_path / "c.parquet")
    given_ = BroughtOptions(d_sae=2, positions=ONLY_FIRING, mask_tokens=(7,))
    brought = bring(tmp_path / "c.parquet", tmp_path / "out", options=given_)
    (shard,) = shards_of(brought)
    assert shard.position.tolist() == [5]
    assert shard.token.tolist() == [-1]
    assert brought.counts["masked_firings"] == 2


def test_zeros_are_dropped_and_counted(tmp_path):
    codes = random_codes(8)
    path = write_parquet(tmp_path / "p", codes.rows(zeros=True))
    table = table_of(codes, tmp_path / "d.parquet", tokens=codes.tokens)
    brought = bring(path, tmp_path / "out", options=options(codes), documents=table)
    assert_same(shards_of(brought), expected(codes, SHARD))
    cells = sum(c.size for c in codes.dense)
    assert brought.counts["zeros_dropped"] == cells - brought.counts["firings"] > 0
    dense = np.concatenate(codes.dense)
    assert brought.counts["silent_features"] == (dense == 0).all(axis=0).sum()
    silent = sum(not c.any() for c in codes.dense)
    assert brought.counts["documents_without_firing"] == silent > 0
    rows = {k: v[codes.rows(zeros=True)["value"] == 0] for k, v in codes.rows(zeros=True).items()}
    write_parquet(tmp_path / "z", rows)
    with pytest.raises(ArtifactError, match="are zero"):
        bring(tmp_path / "z", tmp_path / "o", options=options(codes), documents=table)


# --- what identifies the shards --------------------------------------------------------------


def test_every_source_file_is_in_the_identity_and_a_finished_reading_is_kept(tmp_path):
    codes = random_codes(9)
    path = write_parquet(tmp_path / "p", codes.rows(), parts=3)
    table = table_of(codes, tmp_path / "d.parquet")
    call = {"options": options(codes), "documents": table, "identity": {"model": "m"}}
    brought = bring(path, tmp_path / "out", **call)
    for file in path.iterdir():
        assert brought.identity[f"source {file.name}"] == file_sha256(file)
    assert brought.identity["documents"] == file_sha256(table)
    assert brought.identity["model"] == "m"
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert bring(path, tmp_path / "out", **call) == brought == read_brought(tmp_path / "out")
    assert times == {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert not (tmp_path / "out" / "brought" / "buckets").exists()
    (path / "part-0.parquet").unlink()
    with pytest.raises(ArtifactError, match="was made with sources = "):
        bring(path, tmp_path / "out", **call)


def test_a_lost_shard_is_made_again(tmp_path):
    codes = random_codes(10)
    path = write_parquet(tmp_path / "p", codes.rows())
    table = table_of(codes, tmp_path / "d.parquet", tokens=codes.tokens)
    brought = bring(path, tmp_path / "out", options=options(codes), documents=table)
    brought.shard_paths[1].unlink()
    again = bring(path, tmp_path / "out", options=options(codes), documents=table)
    assert again == brought
    assert_same(shards_of(again), expected(codes, SHARD))


def test_rows_hash_says_whether_two_saes_count_the_same_positions(tmp_path):
    codes = random_codes(11)
    table = table_of(codes, tmp_path / "d.parquet")
    hashes = []
    for name, more in (("a", {}), ("b", {}), ("c", {"skip_positions": 1})):
        rows = codes.rows()
        if name == "b":
            rows["value"] = rows["value"] * 2
        path = write_parquet(tmp_path / name, rows)
        out = bring(path, tmp_path / f"o{name}", options=options(codes, **more), documents=table)
        hashes.append(out.rows_sha256)
    assert hashes[0] == hashes[1] != hashes[2]


# --- documents tables ------------------------------------------------------------------------


def test_positions_that_count_tokens_and_texts_come_from_the_documents_table(tmp_path):
    path = tmp_path / "c.parquet"
    rows = {"document": [0, 0, 1], "position": [0, 2, 1], "feature": [1, 0, 2], "value": [1, 2, 3]}
    pq.write_table(pa.table(rows), path)
    table = write_documents(
        tmp_path / "d.jsonl",
        {
            "document": [1, 0],
            "n_positions": [2, 3],
            "text": ["b c", None],
            "title": ["T", None],
            "tokens": [[5, 6], [7, None, 9]],
            "token_texts": [["b", " c"], ["x", "y", "z"]],
            "positions": [None, [1, 2]],
        },
    )
    text = table.read_text()
    table.write_text("\n" + text.replace("\n", "\n\n"))  # empty lines are no rows
    given_ = BroughtOptions(d_sae=3, shard_documents=5)
    brought = bring(path, tmp_path / "out", options=given_, documents=table)
    (shard,) = shards_of(brought)
    assert shard.document.tolist() == [0, 0, 1, 1]
    assert shard.position.tolist() == [0, 1, 1, 2]
    assert shard.token.tolist() == [5, 6, -1, 9]
    assert shard.indptr.tolist() == [0, 0, 1, 1, 2]
    assert brought.counts["masked_firings"] == 1
    assert read_vocabulary(tmp_path / "out") == {5: "b", 6: " c", 7: "x", 9: "z"}
    documents = BroughtDocuments(tmp_path / "out")
    assert [(d.id, d.text, d.title) for d in documents.documents] == [
        ("1", "b c", "T"),
        ("0", "", None),
    ]
    assert documents.tokens(1).tolist() == [7, -1, 9]


BAD_TABLES = [
    ({"document": [0, 0], "n_positions": [3, 3]}, r"row 2: document 0 was in row 1 already"),
    ({"document": [0, 1], "n_positions": [3, -1]}, r"row 2: n_positions is negative"),
    ({"document": [0, 1]}, r"row 1: the number of positions is missing"),
    ({"document": [0], "n_positions": [3], "tokens": [[1]]}, r"row 1: tokens has another length"),
    ({"document": [0], "tokens": [[1, -4]]}, r"row 1: a token is not an id"),
    ({"document": [0], "n_positions": [3], "positions": [[0, 3]]}, r"row 1: positions has one"),
    ({"document": [0], "n_positions": [3], "positions": [[1, 1]]}, r"row 1: .* not ascending"),
    ({"document": ["0"], "n_positions": [3]}, r"document is string, the codes have int64"),
    ({"n_positions": [3]}, r"has no column document"),
    ({"document": [0, None], "n_positions": [3, 3]}, r"row 2: the document is missing"),
    ({"document": [1], "n_positions": [3]}, r"c.parquet, row 1: document 0 is not among"),
    ({"document": [0], "n_positions": [1]}, r"c.parquet, row 2: position 1 is not one of .* has 1"),
]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
@pytest.mark.parametrize(("columns", "message"), BAD_TABLES)
def test_a_documents_table_that_contradicts_is_refused(tmp_path, suffix, columns, message):
    path = one_row(tmp_path / "c.parquet")
    table = write_documents(tmp_path / f"d{suffix}", columns)
    with pytest.raises(ArtifactError, match=message):
        bring(path, tmp_path / "out", options=BroughtOptions(d_sae=3), documents=table)
    assert not list(tmp_path.glob("out/**/*.partial"))
    assert not (tmp_path / "out" / "brought" / "buckets").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("d.csv", "document,n_positions\n0,x\n", "row 1: n_positions is 'x'"),
        ("d.csv", "document,n_positions\nzero,3\n", "codes have integers"),
        ("d.csv", "document,tokens\n0,[1]\n", "holds lists, which CSV cannot"),
        ("d.csv", "", "no column document"),
        ("d.csv", "document,n_positions\n", "has no row"),
        ("d.jsonl", "", "has no row"),
        ("d.jsonl", '{"document": 0, "n_positions": 2}\n{', "row 2: not JSON"),
        ("d.jsonl", '{"document": 0, "n_positions": 2}\n[]', "row 2: a JSON object"),
        ("d.jsonl", '{"document": 0, "n_positions": "many"}', "row 1: n_positions is 'many'"),
        ("d.jsonl", '{"document": 0, "tokens": 3}', "row 1: tokens is 3"),
        ("d.parquet", "no Parquet", "cannot be read as Parquet"),
        ("d.txt", "0", "unknown suffix"),
    ],
)
def test_a_broken_documents_table_is_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ArtifactError, match=message):
        bring(
            one_row(tmp_path / "c.parquet"), tmp_path / "out", options=BroughtOptions(d_sae=3),
            documents=tmp_path / name,
        )  # fmt: skip


def test_without_documents_the_caller_has_to_choose(tmp_path):
    path = one_row(tmp_path / "c.parquet")
    with pytest.raises(
        UsageError, match=r"does not say where nothing fires.*only those with a fir"
    ):
        bring(path, tmp_path / "out", options=BroughtOptions(d_sae=3))
    with pytest.raises(ArtifactError, match="no documents table"):
        bring(path, tmp_path / "out", options=BroughtOptions(d_sae=3), documents=tmp_path / "no")


# --- bad rows and files ----------------------------------------------------------------------

BAD_ROWS = [
    ({"value": float("nan")}, "row 2: the value is NaN"),
    ({"value": float("inf")}, "row 2: the value is infinite"),
    ({"value": 1e39}, "row 2: the value is infinite as float32"),
    ({"value": -0.5}, "row 2: the value is negative.*nonlinearity"),
    ({"value": None}, r"row 2: the value is missing \(null\)"),
    ({"position": -1}, "row 2: the position is negative"),
    ({"position": 2**40}, "row 2: the position is over"),
    ({"position": 0.5}, "row 2: the position is not a whole number"),
    ({"feature": 3}, "row 2: feature 3 is not one of 3 latents"),
    ({"feature": -1}, "row 2: feature -1 is not one of"),
    ({"feature": None}, "row 2: the feature is missing"),
    ({"document": None}, "row 2: the document is missing"),
    ({"position": 0, "feature": 1}, "fires twice at position 0 of document 0: .*row 1 and .*row 2"),
]


@pytest.mark.parametrize(("change", "message"), BAD_ROWS)
@pytest.mark.parametrize("positions", ["all", ONLY_FIRING])
def test_a_bad_row_is_named(tmp_path, change, message, positions):
    path = one_row(tmp_path / "c.parquet", **change)
    table = write_documents(tmp_path / "d.csv", {"document": [0], "n_positions": [2]})
    given_ = BroughtOptions(d_sae=3, positions=positions, batch_rows=1)
    with pytest.raises(ArtifactError, match=message):
        bring(path, tmp_path / "out", options=given_, documents=table)


def test_a_firing_twice_in_two_files_names_both(tmp_path):
    codes = random_codes(12)
    rows = codes.rows()
    write_parquet(tmp_path / "p", rows)
    last = {k: v[-1:] for k, v in rows.items()}
    write_parquet(tmp_path / "q", last)
    (tmp_path / "q" / "part-0.parquet").rename(tmp_path / "p" / "part-1.parquet")
    table = table_of(codes, tmp_path / "d.parquet")
    zero = {k: v[-1:] * (k != "value") for k, v in rows.items()}  # no firing: not to be named
    write_parquet(tmp_path / "q", zero)
    (tmp_path / "q" / "part-0.parquet").rename(tmp_path / "p" / "a.parquet")
    message = rf"part-0.parquet, row {len(rows['value'])} and .*part-1.parquet, row 1"
    with pytest.raises(ArtifactError, match=message):
        bring(tmp_path / "p", tmp_path / "out", options=options(codes), documents=table)


def parquet_without(column):
    def write(folder):
        rows = {k: v for k, v in random_codes(0).rows().items() if k != column}
        pq.write_table(pa.table(rows), folder / "c.parquet")
        return folder / "c.parquet"

    return write


def parquet_with(column, values):
    def write(folder):
        rows = random_codes(0).rows()
        rows = {k: v[:2] for k, v in rows.items()} | {column: pa.array(values)}
        pq.write_table(pa.table(rows), folder / "c.parquet")
        return folder / "c.parquet"

    return write


def tensors_with(**change):
    def write(folder):
        rows = random_codes(0).rows() | change
        save_file({k: v for k, v in rows.items() if v is not None}, folder / "c.safetensors")
        return folder / "c.safetensors"

    return write


def cut_file(write, keep):
    def cut(folder):
        path = write(folder)
        path.write_bytes(path.read_bytes()[:keep])
        return path

    return cut


def empty_table(folder):
    rows = {k: v[:0] for k, v in random_codes(0).rows().items()}
    pq.write_table(pa.table(rows), folder / "c.parquet")
    return folder / "c.parquet"


def two_types(folder):
    write_parquet(folder / "p", random_codes(0).rows())
    rows = random_codes(0).rows()
    rows["document"] = rows["document"].astype(str).astype(object)
    pq.write_table(pa.table(rows), folder / "p" / "z.parquet")
    return folder / "p"


BAD_FILES = [
    (parquet_without("feature"), "has no column feature.*found: document, position, value"),
    (parquet_with("value", ["a", "b"]), "column value is string.*Numbers"),
    (parquet_with("value", [True, False]), "column value is bool"),
    (parquet_with("feature", ["1", "2"]), "column feature is string.*Integers"),
    (parquet_with("document", [[1], [2]]), "column document is list"),
    (parquet_with("token", [1, -2]), "row 2: token -2 is not an id"),
    (parquet_with("token", [None, 2**40]), "row 2: token .* is not an id"),
    (cut_file(parquet_without("token"), -20), "cannot be read as Parquet.*truncated"),
    (empty_table, "holds no row"),
    (two_types, "differ in the type of document"),
    (tensors_with(feature=None), "has no tensor feature.*document, position, token, value"),
    (tensors_with(value=np.zeros(3, np.float32)), "value has 3 rows, document has"),
    (tensors_with(value=np.zeros(3, bool)), "tensor value is BOOL"),
    (tensors_with(value=np.zeros((3, 1), np.float32)), r"shape \[3, 1\]; \[n\] is needed"),
    (cut_file(tensors_with(), -5), "cannot be read as safetensors.*truncated"),
    (cut_file(tensors_with(), 3), "cannot be read as safetensors"),
    (lambda folder: folder / "nothing", "There are no codes at"),
    (lambda folder: folder, "holds no codes"),
]


@pytest.mark.parametrize(("write", "message"), BAD_FILES)
def test_a_bad_file_is_named(tmp_path, write, message):
    path = write(tmp_path)
    given_ = BroughtOptions(d_sae=6, positions=ONLY_FIRING)
    with pytest.raises(ArtifactError, match=message):
        bring(path, tmp_path.parent / "out", options=given_)


def test_damage_within_a_parquet_file_is_found_while_reading(tmp_path):
    codes = random_codes(13, documents=200)
    path = write_parquet(tmp_path / "p", codes.rows(), group=10_000) / "part-0.parquet"
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"part-0.parquet cannot be read as Parquet"):
        bring(path, tmp_path / "out", options=options(codes, positions=ONLY_FIRING))


def test_wrong_options_are_refused(tmp_path):
    path = one_row(tmp_path / "c.parquet")
    for name, value in (("d_sae", 0), ("shard_documents", 0), ("memory_mb", 0), ("positions", "x")):
        with pytest.raises(UsageError, match=name):
            BroughtOptions(**{name: value})
    with pytest.raises(UsageError, match="Give d_sae"):
        bring(path, tmp_path / "out", options=BroughtOptions(positions=ONLY_FIRING))
    with pytest.raises(UsageError, match="Format 'csv' is unknown"):
        open_source(path, kind="csv")
    save_file({"document": np.zeros(1, np.int64)}, tmp_path / "c.safetensors")
    with pytest.raises(UsageError, match="both Parquet and safetensors"):
        open_source(tmp_path)


# --- delphi ----------------------------------------------------------------------------------


def delphi(folder, seed=0, splits=3, **more):
    codes = random_codes(seed, documents=5, share=0.4)
    latents = np.zeros((5, 9, 6), np.float32)
    for d, c in enumerate(codes.dense):
        latents[d, : len(c)] = c
    tokens = np.random.default_rng(seed).integers(0, 50, (5, 9))
    codes.dense, codes.tokens = list(latents), list(tokens.astype(np.int32))
    return codes, write_delphi(folder, latents, tokens, splits=splits, **more)


def test_a_delphi_cache_says_its_width_its_run_and_what_it_left_out(tmp_path):
    codes, path = delphi(tmp_path / "layers.1")
    assert load_file(path / "2_3.safetensors")["locations"].dtype == np.uint16
    brought = bring(path, tmp_path / "out", options=BroughtOptions(shard_documents=SHARD))
    assert_same(shards_of(brought), expected(codes, SHARD))
    assert brought.d_sae == 6
    assert brought.about["model_name"] == "HuggingFaceTB/SmolLM2-135M"
    assert {"activations", "precision"} <= brought.flags.keys()
    assert len([key for key in brought.identity if key.startswith("source ")]) == 4


def test_a_delphi_cache_without_tokens_needs_documents_or_the_option(tmp_path):
    codes, path = delphi(tmp_path / "c", version="untokenised")
    with pytest.raises(UsageError, match="saved with its tokens"):
        bring(path, tmp_path / "out", options=BroughtOptions())
    table = table_of(codes, tmp_path / "d.csv")
    brought = bring(path, tmp_path / "out", options=options(codes), documents=table)
    assert_same(shards_of(brought), expected(codes, SHARD, with_tokens=False))
    assert brought.flags["tokens"] == "not known"
    assert BroughtDocuments(tmp_path / "out").tokens(0) is None


def test_an_early_delphi_cache_has_absolute_latents_and_lacks_the_last_of_each_file(tmp_path):
    codes, path = delphi(tmp_path / "c", version="absolute")
    for dense in codes.dense:
        dense[:, [1, 3, 5]] = 0
    table = table_of(codes, tmp_path / "d.csv")
    brought = bring(path, tmp_path / "out", options=options(codes), documents=table)
    assert_same(shards_of(brought), expected(codes, SHARD, with_tokens=False))
    assert "last latent of each file" in brought.flags["latents"]
    with pytest.raises(ArtifactError, match=r"2_3.safetensors, row 1: latent .* not in the file's"):
        bring(
            open_source(path, latents="relative"), tmp_path / "x", options=options(codes),
            documents=table,
        )  # fmt: skip


def test_a_documents_table_beside_a_delphi_cache_adds_texts_and_order(tmp_path):
    codes, path = delphi(tmp_path / "c")
    order = [4, 2, 0, 1, 3]
    columns = {"document": order, "n_positions": [9] * 5, "domain": list("edabc")}
    table = write_documents(tmp_path / "d.jsonl", columns)
    brought = bring(path, tmp_path / "out", options=options(codes), documents=table)
    assert_same(shards_of(brought), expected(codes, SHARD, numbers=order))
    documents = BroughtDocuments(tmp_path / "out")
    assert [d.domain for d in documents.documents] == list("edabc")
    np.testing.assert_array_equal(documents.tokens(0), codes.tokens[4])
    for change, message in (
        ({"n_positions": [9, 9, 8, 9, 9]}, "Document 0 of the documents table has 8 positions"),
        ({"document": [4, 2, 0, 1, 5]}, "names sequence 5; the cache has 5"),
        ({"tokens": [[1] * 9] * 5}, "tokens of the documents table and of the cache differ"),
        ({"token_texts": [["a"] * 9] * 5}, "tokens as texts only"),
    ):
        bad = write_documents(tmp_path / "bad.jsonl", columns | change)
        with pytest.raises(ArtifactError, match=message):
            bring(path, tmp_path / "x", options=options(codes), documents=bad)


def resave(path, **change):
    tensors = load_file(path) | change
    save_file({k: v for k, v in tensors.items() if v is not None}, path)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda p: (p / "2_3.safetensors").unlink(), ArtifactError, "lacks the file of latents 2"),
        (
            lambda p: (p / "4_5.safetensors").rename(p / "3_5.safetensors"),
            ArtifactError,
            "overlaps another",
        ),
        (
            lambda p: (p / "4_5.safetensors").rename(p / "rest.safetensors"),
            ArtifactError,
            "not named START_END",
        ),
        (
            lambda p: resave(p / "2_3.safetensors", tokens=np.ones((5, 9), np.int64)),
            ArtifactError,
            "tokens of .*2_3.safetensors and .*0_1.safetensors differ",
        ),
        (
            lambda p: resave(p / "2_3.safetensors", tokens=None),
            ArtifactError,
            "2_3.safetensors has no tokens",
        ),
        (
            lambda p: resave(p / "2_3.safetensors", activations=np.ones(2, np.float16)),
            ArtifactError,
            "locations and 2 activations",
        ),
        (
            lambda p: resave(
                p / "2_3.safetensors",
                locations=np.array([[5, 0, 0]], np.uint16),
                activations=np.ones(1, np.float16),
            ),
            ArtifactError,
            "2_3.safetensors, row 1: document 5 is not among",
        ),
        (
            lambda p: resave(
                p / "2_3.safetensors",
                locations=np.array([[0, 9, 0]], np.uint16),
                activations=np.ones(1, np.float16),
            ),
            ArtifactError,
            "row 1: position 9 is not one of document 0, which has 9",
        ),
        (
            lambda p: resave(
                p / "2_3.safetensors",
                locations=np.array([[0, 0, 2]], np.uint16),
                activations=np.ones(1, np.float16),
            ),
            ArtifactError,
            "row 1: latent 4 is not in the file's range 2 to 3",
        ),
        (
            lambda p: resave(
                p / "2_3.safetensors",
                locations=np.array([[0, 0, 1]], np.uint16),
                activations=np.full(1, np.inf, np.float16),
            ),
            ArtifactError,
            "row 1: the value is infinite.*float16 overflows",
        ),
        (
            lambda p: (p / "config.json").write_text('{"cache_ctx_len": 64}'),
            ArtifactError,
            "has sequences of 9 tokens, its config.json says 64",
        ),
        (lambda p: (p / "config.json").write_text("{"), ArtifactError, "cannot be read as JSON"),
        (
            lambda p: (p / "2_3.safetensors").write_bytes(b"\x00" * 40),
            ArtifactError,
            "2_3.safetensors cannot be read as safetensors",
        ),
    ],
)
def test_a_spoilt_delphi_cache_is_refused(tmp_path, spoil, error, message):
    codes, path = delphi(tmp_path / "c")
    spoil(path)
    with pytest.raises(error, match=message):
        bring(path, tmp_path / "out", options=options(codes))


def test_the_wrong_folder_of_a_delphi_cache_is_explained(tmp_path):
    _, path = delphi(tmp_path / "cache" / "layers.1")
    delphi(tmp_path / "cache" / "layers.2")
    with pytest.raises(UsageError, match=r"several folders of codes: layers.1, layers.2"):
        open_source(tmp_path / "cache")
    with pytest.raises(UsageError, match="one range of latents only"):
        open_source(path / "0_1.safetensors")
    with pytest.raises(UsageError, match=r"d_sae is 7, the files .* have 6"):
        bring(path, tmp_path / "out", options=BroughtOptions(d_sae=7))


# --- memory ----------------------------------------------------------------------------------


def test_a_document_or_shard_over_the_memory_budget_is_refused_with_numbers(tmp_path):
    path = one_row(tmp_path / "c.parquet", position=500_000)
    given_ = BroughtOptions(d_sae=3, positions=ONLY_FIRING, memory_mb=1)
    with pytest.raises(ArtifactError, match="Document 0 has 2 firings at 500,001 positions"):
        bring(path, tmp_path / "out", options=given_)
    rows = {"document": np.arange(40), "position": [5] * 40, "feature": [0] * 40, "value": [1] * 40}
    pq.write_table(pa.table(rows), tmp_path / "c.parquet")
    table = write_documents(tmp_path / "d.csv", {"document": range(40), "n_positions": [1000] * 40})
    given_ = BroughtOptions(d_sae=3, shard_documents=30, memory_mb=1)
    with pytest.raises(ArtifactError, match=r"Shard 0 of 30 .* shard_documents to about 1[34]"):
        bring(tmp_path / "c.parquet", tmp_path / "out", options=given_, documents=table)
    given_ = BroughtOptions(d_sae=3, shard_documents=13, memory_mb=1)
    brought = bring(tmp_path / "c.parquet", tmp_path / "out", options=given_, documents=table)
    assert brought.counts["rows"] == 40_000
    assert brought.shards == 4


def test_memory_is_bounded_by_a_batch_and_a_shard_not_by_the_table(tmp_path):
    rng = np.random.default_rng(0)
    documents, length, each = 400, 100, 10
    n = documents * length * each
    feature = rng.permuted(np.tile(np.arange(64), (documents * length, 1)), axis=1)[:, :each]
    rows = {
        "document": np.repeat(np.arange(documents), length * each),
        "position": np.tile(np.repeat(np.arange(length), each), documents),
        "feature": feature.ravel(),
        "value": rng.random(n).astype(np.float32) + 0.5,
    }
    write_parquet(tmp_path / "p", shuffled(rows), group=20_000)
    table = write_documents(
        tmp_path / "d.parquet", {"document": range(documents), "n_positions": [length] * documents}
    )
    given_ = BroughtOptions(d_sae=64, shard_documents=10, batch_rows=10_000, memory_mb=2)
    del rows, feature
    tracemalloc.start()
    try:
        brought = bring(tmp_path / "p", tmp_path / "out", options=given_, documents=table)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert brought.counts["firings"] == n
    # As columns in memory the table alone takes 28 bytes a row, over 10 MB.
    assert peak < 6e6, f"{peak / 1e6:.1f} MB for {n:,} firings"


def test_a_batch_is_checked_without_its_file(tmp_path):
    columns = {
        "document": pa.array([1]),
        "position": pa.array([2]),
        "feature": pa.array([3]),
        "value": pa.array([0.5]),
    }
    found = check(RawBatch("f", 1, columns), 4)
    assert found.value.dtype == np.float32
    assert found.token is None


def test_the_report_is_plain_json(tmp_path):
    codes, path = delphi(tmp_path / "c")
    brought = bring(path, tmp_path / "out", options=options(codes))
    report = json.loads((tmp_path / "out" / "brought" / "report.json").read_text())
    assert report["counts"] == brought.counts
    assert isinstance(shards_of(brought)[0], CodeShard)


@pytest.mark.parametrize("positions", ["all", ONLY_FIRING])
@pytest.mark.parametrize("each", [1, 24])
def test_a_shard_takes_no_more_memory_than_the_budget_reckons_with(positions, each):
    documents, length = 20, 400
    n = documents * length * each
    records = np.zeros(n, RECORD)
    records["document"] = np.repeat(np.arange(documents), length * each)
    records["position"] = np.tile(np.repeat(np.arange(length), each), documents)
    records["feature"] = np.tile(np.arange(each), documents * length)
    records["value"], records["token"] = 1, -1
    records = records[np.random.default_rng(0).permutation(n)]
    lengths = np.full(documents, length, np.int64)
    tokens = np.zeros(documents * length, np.int32)
    block = DocumentBlock(0, ["d"] * documents, lengths, tokens)
    given_ = BroughtOptions(d_sae=each, positions=positions)
    tracemalloc.start()
    try:
        mask = np.array([3], np.int32)
        made = make_shard(records, block, options=given_, mask=mask, d_sae=each)
        peak = tracemalloc.get_traced_memory()[1] + records.nbytes
    finally:
        tracemalloc.stop()
    assert len(made.shard.index) == n
    assert peak < n * FIRING_BYTES + documents * length * POSITION_BYTES + 100_000
