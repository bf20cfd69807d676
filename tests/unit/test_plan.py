"""Plans: what is counted is exact, what is sampled is near, and what does not fit is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from atlas.artifacts import write_shard
from atlas.errors import ArtifactError, CorpusError
from atlas.graph.memory import available_mib
from atlas.recipe import BuildRecipe, EdgesSection, TokensSection
from atlas.schemas import tables
from ingest.blocks import tokenize
from ingest.cooccurrence.counter import LocalCounter
from ingest.cooccurrence.engine import panels
from ingest.cooccurrence.index import build_index, rank_features
from ingest.cooccurrence.kinds import _RECORD, KINDS
from ingest.cooccurrence.search import find_edges
from ingest.cooccurrence.shards import CodeFiles, ShardFile
from ingest.cooccurrence.sums import FLOAT_SUMS, INTEGER_SUMS, marginals
from ingest.documents import Document
from ingest.inputs import TokenTexts
from ingest.plan import Machine, Plan, check_documents, check_fits, costs, this_machine
from ingest.plan.disk import disk_phases
from ingest.plan.fits import gib
from ingest.plan.graph import graph_size, row_bytes
from ingest.plan.memory import device_phases, memory_phases
from ingest.plan.needs import Need, Phase, code_bytes, making_bytes, peak
from ingest.plan.pairs import edge_ranges, predict_search
from ingest.plan.rates import (
    Rates,
    assumed_rates,
    counted_rates,
    scaled_rates,
    side_by_side,
)
from ingest.plan.rows import expected_rows
from ingest.plan.sample import spread_documents
from ingest.plan.sizes import BuildSize, ModelSize, SaeSize
from ingest.plan.text import TextSize, measure_text
from tests import tiny
from tests.unit.simulate import codes_from_dense, simulate

if TYPE_CHECKING:
    from pathlib import Path

    from atlas.artifacts import CodeShard

GIB = 1 << 30


# Text


def texts_of(tmp_path: Path, texts: list[str]) -> TokenTexts:
    tiny.tokenizer(tmp_path)
    documents = [Document(f"d{number}", text) for number, text in enumerate(texts)]
    return TokenTexts(documents, AutoTokenizer.from_pretrained(tmp_path))


def size_of(lengths: list[int]) -> TextSize:
    return TextSize(np.array(lengths, np.int64), tokenised=len(lengths), memory=0, seconds=0.0)


def test_a_short_text_is_counted_to_the_token(tmp_path):
    texts = texts_of(tmp_path, tiny.texts(40))
    size = measure_text(texts)
    assert size.counted
    assert size.lengths.tolist() == [len(text.split()) for text in tiny.texts(40)]
    options = TokensSection(context_size=8)
    blocks = list(tokenize(tiny.texts(40), texts.tokenizer, context_size=8, bos=0))
    assert size.read(options) == sum(len(block.tokens) for block in blocks)


def test_a_long_text_is_estimated_but_its_longest_documents_are_counted(tmp_path):
    lines = tiny.texts(600)
    lines[7] = " ".join(["heart"] * 400)  # six characters a token, more than elsewhere
    size = measure_text(texts_of(tmp_path, lines), counted=8000)
    assert not size.counted
    assert 20 < size.tokenised < 200
    assert size.lengths[7] == 400
    assert size.tokens == pytest.approx(sum(len(line.split()) for line in lines), rel=0.1)


def test_a_text_without_tokens_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="no token"):
        measure_text(texts_of(tmp_path, [" ", "  "]))


@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=8),
    context=st.integers(2, 20),
    skip=st.integers(0, 25),
)
def test_countable_positions_are_those_of_the_blocks(lengths, context, skip):
    expected = []
    for length in lengths:
        blocks = [1 + min(context - 1, length - start) for start in range(0, length, context - 1)]
        expected.append(sum(max(block - skip, 0) for block in blocks))
    options = TokensSection(context_size=context, skip_positions=skip)
    assert size_of(lengths).countable(options).tolist() == expected


@given(lengths=st.lists(st.integers(0, 50), min_size=1, max_size=200), tokens=st.integers(1, 2000))
def test_a_sample_is_as_long_as_asked_for_and_no_longer_than_needed(lengths, tokens):
    every = np.array(lengths, np.int64)
    chosen = spread_documents(every, tokens)
    if every.sum() <= tokens:
        assert chosen.tolist() == list(range(len(lengths)))
        return
    taken = every[chosen]
    assert (np.diff(chosen) > 0).all()
    assert taken.min() > 0
    assert tokens <= taken.sum() < tokens + every.max()


def test_a_sample_is_spread_over_the_corpus():
    chosen = spread_documents(np.full(1000, 10), 500)
    assert len(chosen) == 50
    assert np.diff(np.concatenate([[-1], chosen, [1000]])).max() < 45


# Firing rates


def code_files(folder: Path, parts: list[CodeShard], d_sae: int, unit: str = "token") -> CodeFiles:
    shards = []
    for number, part in enumerate(parts):
        path = folder / f"shard-{number}.safetensors"
        write_shard(path, part, identity={"made": "here"})
        shards.append((ShardFile(path, {"made": "here"}),))
    return CodeFiles(shards, (d_sae,), unit=unit)


def dense_codes(seed: int, *, features: int = 12, documents: int = 9) -> CodeShard:
    rng = np.random.default_rng(seed)
    document = np.repeat(np.arange(documents), rng.integers(1, 9, documents))
    fires = rng.random((len(document), features)) < rng.random(features) ** 2
    fires[:, 0] = True
    fires[:, 5] = False
    codes = codes_from_dense(fires * rng.random(fires.shape), document)
    return replace(codes, token=rng.integers(0, 4, len(document)).astype(np.int32))


@pytest.mark.parametrize("unit", ["token", "window:3", "document"])
def test_firings_are_counted_as_a_loop_counts_them(tmp_path, unit):
    parts = [dense_codes(1), replace(dense_codes(2), document=dense_codes(2).document + 9)]
    files = code_files(tmp_path, parts, 12, unit)
    found = counted_rates("s", files, replace(files, unit="token"))
    fires: dict[tuple[int, int], set[int]] = {}
    marked, codes = set(), 0
    for part in parts:
        for r in range(part.rows):
            here = part.index[part.indptr[r] : part.indptr[r + 1]].tolist()
            place = {"token": part.position[r], "window:3": part.position[r] // 3, "document": 0}
            fires.setdefault((int(part.document[r]), int(place[unit])), set()).update(here)
            marked |= {(f, int(part.token[r])) for f in here}
            codes += len(here)
    assert found.positions == sum(part.rows for part in parts)
    assert found.codes == codes
    assert found.m.positions == len(fires)
    assert found.joint == sum(len(f) * (len(f) - 1) // 2 for f in fires.values())
    assert found.marked == len(marked)
    assert found.m.n.tolist() == [sum(i in f for f in fires.values()) for i in range(12)]


def rates_of(codes: CodeShard, d_sae: int) -> Rates:
    fire = np.diff(codes.indptr)
    joint = float((fire * (fire - 1) // 2).sum())
    return Rates("s", marginals(codes, d_sae), codes.rows, len(codes.index), joint, 1.0)


def test_a_sample_of_a_twentieth_predicts_the_tested_pairs():
    rng = np.random.default_rng(0)
    documents, length, features = 800, 50, 600
    density = np.minimum(np.exp(rng.normal(0, 1.4, features)) * 0.01, 0.5)
    density[-60:] = 0.0
    bursts = rng.random((documents, features)) < 0.3
    fires = rng.random((documents * length, features)) < np.repeat(
        bursts * density / 0.3, length, axis=0
    )
    codes = codes_from_dense(fires.astype(np.float32), np.repeat(np.arange(documents), length))
    lengths = np.full(documents, length)
    whole = predict_search(
        rates_of(codes, features), groups=(features,), lengths=lengths, options=EdgesSection()
    )
    some = np.repeat(np.arange(documents) % 20 == 0, length)
    sample = codes_from_dense(
        fires[some].astype(np.float32), np.repeat(np.arange(documents // 20), length)
    )
    expected = scaled_rates(
        rates_of(sample, features),
        positions=codes.rows, units=codes.rows, documents=documents,
    )  # fmt: skip
    found = predict_search(expected, groups=(features,), lengths=lengths, options=EdgesSection())
    assert found.tested == pytest.approx(whole.tested, rel=0.1)
    assert found.joint == pytest.approx(whole.joint, rel=0.1)
    assert found.codes == pytest.approx(whole.codes, rel=0.05)
    assert found.live == pytest.approx(540, rel=0.05)
    assert found.folded == pytest.approx(whole.folded, rel=0.2)


@given(seed=st.integers(0, 100), more=st.integers(2, 50))
@settings(max_examples=20, deadline=None)
def test_scaling_keeps_every_rate_possible(seed, more):
    rates = rates_of(dense_codes(seed), 12)
    units = rates.positions * more
    found = scaled_rates(rates, positions=units, units=units, documents=9 * more)
    assert found.codes == rates.codes * more
    assert found.joint == rates.joint * more
    n, d = found.m.n, found.m.d
    assert ((n > 0) >= (rates.m.n > 0)).all()
    assert (n <= units).all()
    assert (d <= np.minimum(n, 9 * more)).all()
    assert (d[n > 0] > 0).all()
    assert n.sum() == pytest.approx(rates.m.n.sum() * more, rel=0.15)


def test_assumed_rates_have_the_mean_that_was_measured():
    found = assumed_rates("s", 4096, l0=40.0, silent=0.25, positions=100_000)
    assert int((found.m.n > 0).sum()) == 3072
    assert found.m.n.sum() == pytest.approx(4_000_000, rel=0.02)
    assert found.codes == 4_000_000
    assert found.m.n.max() <= 100_000


# Searches


def brute_tested(n: np.ndarray, positions: int, groups: tuple[int, ...], least: float) -> int:
    pairs = combinations(range(len(n)), 2)
    if len(groups) == 2:
        pairs = ((i, j) for i, j in pairs if i < groups[0] <= j)
    return sum(n[i] * n[j] >= least * positions and n[i] > 0 < n[j] for i, j in pairs)


@given(seed=st.integers(0, 200), least=st.sampled_from([0.3, 1.0, 2.5]))
@settings(max_examples=30, deadline=None)
def test_tested_pairs_of_the_whole_text_are_exact(seed, least):
    codes = dense_codes(seed)
    rates, options = rates_of(codes, 12), EdgesSection(min_expected=least)
    lengths = np.bincount(codes.document)
    found = predict_search(rates, groups=(12,), lengths=lengths, options=options)
    assert found.tested == brute_tested(rates.m.n, codes.rows, (12,), least)
    assert found.joint == rates.joint
    assert found.codes == len(codes.index)
    joined = side_by_side(rates, rates)
    found = predict_search(joined, groups=(12, 12), lengths=lengths, options=options)
    assert found.tested == brute_tested(joined.m.n, codes.rows, (12, 12), least)
    assert [edge.kind for edge in found.edges] == ["feeds"]


def test_the_index_takes_the_bytes_that_were_planned(tmp_path):
    codes, options = dense_codes(3), EdgesSection(min_expected=1.0)
    rates, m = rates_of(codes, 12), marginals(codes, 12)
    lengths = np.bincount(codes.document)
    found = predict_search(rates, groups=(12,), lengths=lengths, options=options)
    ranking = rank_features(m, groups=(12,), min_expected=1.0)
    build_index([codes], ranking, own=m, scratch=tmp_path)
    assert found.index_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    cells = [(last - first) * width for first, last, width in panels(ranking)]
    assert (found.cells, found.largest_panel) == (sum(cells), max(cells))
    assert found.live == (m.n > 0).sum()


def test_pairs_that_get_sums_are_a_share_of_the_tested_up_to_so_many_a_feature():
    for features, positions in ((500, 100_000), (20_000, 1_000_000_000)):
        rates = assumed_rates("s", features, l0=40.0, silent=0.0, positions=positions)
        found = predict_search(
            rates, groups=(features,), lengths=np.full(100, 1000), options=EdgesSection()
        )
        bound = min(costs.KEPT * found.tested, costs.KEPT_OF_FEATURE * features)
        assert found.kept == round(bound)
        assert found.survivors == pytest.approx(0.92 * found.kept, rel=1e-3)
    assert found.kept < 0.9 * costs.KEPT * found.tested


def test_a_document_of_65_536_positions_makes_counts_wider():
    rates = assumed_rates("s", 100, l0=5.0, silent=0.0, positions=70_000)
    short, long = (
        predict_search(rates, groups=(100,), lengths=np.array(x), options=EdgesSection())
        for x in ([65_535, 4465], [65_536, 4464])
    )
    assert long.index_bytes - short.index_bytes == 2 * 100 * 2


def test_a_search_finds_no_more_edges_than_are_possible(tmp_path):
    truth = simulate(
        5, documents=400, length=64, independent=40, confinement=0.2, token_planted=12,
        topic_planted=12,
    )  # fmt: skip
    options = EdgesSection(top_k=1, min_npmi=0.02, min_topic=0.05, fdr=0.5)
    counter = LocalCounter(lambda: [truth.codes], (truth.d_sae,), scratch=tmp_path)
    found = find_edges(counter, tmp_path, options=options)
    planned = predict_search(
        rates_of(truth.codes, truth.d_sae),
        groups=(truth.d_sae,), lengths=np.full(400, 64), options=options,
    )  # fmt: skip
    assert planned.tested == found.tested
    assert len(found.edges.kind) > 20
    for edge in planned.edges:
        assert (found.edges.kind == KINDS.index(edge.kind)).sum() <= edge.most


@given(st.integers(0, 10**7), st.integers(0, 10**5), st.integers(1, 100), st.booleans())
def test_ranges_of_edges_are_ranges(tested, live, top_k, feeds):
    for edge in edge_ranges(tested, live, top_k=top_k, feeds=feeds):
        assert 0 <= edge.least <= edge.expected <= edge.most <= min(tested, live * top_k)


# Bytes


def test_bytes_of_formats_are_those_of_the_formats(tmp_path):
    codes = dense_codes(4)
    names = ("index", "value", "document", "position", "token")
    arrays = sum(getattr(codes, name).nbytes for name in names) + codes.indptr[1:].nbytes
    assert code_bytes(codes.rows, len(codes.index)) == arrays
    path = tmp_path / "x.safetensors"
    write_shard(path, codes, identity={"model": "m" * 80, "corpus": "c" * 64})
    written = path.stat().st_size + path.with_suffix(".json").stat().st_size
    assert arrays < written <= arrays + costs.SHARD
    assert _RECORD.itemsize == costs.SURVIVOR
    assert 8 * len(INTEGER_SUMS + FLOAT_SUMS) == costs.SUMS


def test_every_table_has_a_size():
    assert set(costs.ROW) == set(tables())
    assert all(row_bytes(table) > 30 for table in tables())


def test_the_graph_has_the_nodes_and_relationships_that_the_loader_writes():
    rows = {"features": 10, "contexts": 7, "documents": 3, "tokens": 5, "edges": 20, "firings": 9}
    size = graph_size(rows)
    assert size.nodes == 25
    # A feature lies in its SAE and comes from its run; a context comes from its document.
    assert size.relationships == 20 + 9 + 2 * 10 + 7
    assert size.store == sum(number * row_bytes(table) for table, number in rows.items())
    # 34 bytes, 12 records of properties, one of the key, and the key's place in an index.
    assert row_bytes("edges") == 34 + 41 * 13 + 128 + 2 * (90 + 24)


def build_size(**changes) -> BuildSize:
    """Return a build of two SAEs on a million positions, on the CPU."""
    recipe = BuildRecipe.model_validate(
        {
            "name": "b",
            "model": {"name": "m"},
            "corpus": [{"source": "x"}],
            "sae": [{"source": "a", "name": "a"}, {"source": "b", "name": "b"}],
        }
    )
    lengths = np.full(4000, 250)
    rates = [assumed_rates(name, 8192, l0=50.0, silent=0.0, positions=1_000_000) for name in "ab"]
    searches = tuple(
        predict_search(one, groups=(8192,), lengths=lengths, options=recipe.edges) for one in rates
    )
    size = BuildSize(
        recipe=recipe,
        documents=4000,
        model=ModelSize(270 << 20, 576, 1536, 49_152, 2, cuda=False),
        saes=tuple(SaeSize(n, 8192, 38 << 20, 50_000_000, 6_250_000, 8_000_000) for n in "ab"),
        searches=searches,
        text=12 << 20,
        positions=1_000_000,
        largest_shard=125_000,
        shards=8,
        threads=2,
        rows=expected_rows(recipe, rates, searches, documents=4000, vocabulary=49_152),
    )
    return replace(size, **changes)


def with_tokens(size: BuildSize, **changes) -> BuildSize:
    tokens = size.recipe.tokens.model_copy(update=changes)
    return replace(size, recipe=size.recipe.model_copy(update={"tokens": tokens}))


def plan_of(size: BuildSize, machine: Machine, *, lengths: list[int] | None = None) -> Plan:
    memory, graph = memory_phases(size), graph_size(size.rows)
    running = {need.what: need.bytes for need in memory[0].needs}
    every = np.array(lengths or [250] * size.documents, np.int64)
    return Plan(
        name="b",
        documents=len(every),
        tokens=int(every.sum()),
        tokenised=len(every),
        positions=size.positions,
        masked=0.0,
        l0={"a": 50.0, "b": 50.0},
        searches=size.searches,
        rows=size.rows,
        memory=memory,
        device=device_phases(size),
        disk=disk_phases(size, graph),
        graph=graph,
        machine=machine,
        measured=None,
        fixed=sum(running.values()) - running["one shard of codes"],
        lengths=every,
        ids=[f"d{number}" for number in range(len(every))],
    )


PLENTY = Machine(memory=64 * GIB, disk=1000 * GIB)


def test_a_build_that_fits_is_not_refused():
    check_fits(plan_of(build_size(), PLENTY))


def test_a_shard_too_large_is_refused_and_the_advice_makes_it_fit():
    size = with_tokens(build_size(), shard_documents=4000)
    size = replace(
        size,
        largest_shard=1_000_000,
        saes=tuple(replace(sae, largest_shard=50_000_000) for sae in size.saes),
    )
    there = Machine(memory=3 * GIB, disk=1000 * GIB)
    with pytest.raises(ArtifactError, match=r"memory while running the model, and 3\.0 GiB") as e:
        check_fits(plan_of(size, there))
    assert "one shard of codes: 4.4 GiB" in str(e.value)
    advised = int(str(e.value.hint).split("about ")[1].split(" ")[0].replace(",", ""))
    assert 500 < advised < 4000
    share = advised / 4000
    smaller = replace(
        with_tokens(size, shard_documents=advised),
        largest_shard=round(1_000_000 * share),
        saes=tuple(replace(s, largest_shard=round(50_000_000 * share)) for s in size.saes),
    )
    check_fits(plan_of(smaller, there))


def test_batches_too_large_are_refused_on_the_cpu_and_on_a_device():
    size = with_tokens(build_size(), batch_tokens=1_000_000)
    with pytest.raises(ArtifactError, match="activations of one batch") as e:
        check_fits(plan_of(size, Machine(memory=8 * GIB, disk=1000 * GIB)))
    assert "Set tokens.batch_tokens to about " in str(e.value)
    on_device = replace(size, model=replace(size.model, cuda=True))
    with pytest.raises(ArtifactError, match=r"CUDA device's memory .* 8\.0 GiB are there"):
        check_fits(plan_of(on_device, replace(PLENTY, device=8 * GIB)))
    check_fits(plan_of(on_device, replace(PLENTY, memory=8 * GIB, device=80 * GIB)))


def test_sums_by_folds_count():
    size = build_size()
    edges = size.recipe.edges.model_copy(update={"folds": 256})
    with_folds = replace(size, recipe=size.recipe.model_copy(update={"edges": edges}))
    expected = max(search.expected_edges for search in size.searches)
    need = {n.what: n.bytes for n in memory_phases(with_folds)[2].needs}
    assert need["sums by folds"] == 80 * 256 * 2 * expected
    with pytest.raises(ArtifactError, match=r"Set edges\.folds to about"):
        check_fits(plan_of(with_folds, replace(PLENTY, memory=need["sums by folds"])))


def test_a_model_too_large_is_refused_although_nothing_in_the_recipe_helps():
    size = build_size()
    size = replace(size, model=replace(size.model, weights=40 * GIB))
    with pytest.raises(ArtifactError, match=r"the model's weights: 40\.0 GiB") as e:
        check_fits(plan_of(size, replace(PLENTY, memory=16 * GIB)))
    assert "smaller model" in str(e.value)


def test_a_full_disk_is_refused():
    plan = plan_of(build_size(), replace(PLENTY, disk=GIB))
    with pytest.raises(ArtifactError, match=r"of disk while .*, and 1\.0 GiB are there") as e:
        check_fits(plan)
    assert "--home" in str(e.value)
    needed = peak(plan.disk).bytes
    check_fits(replace(plan, machine=replace(PLENTY, disk=needed)))
    with pytest.raises(ArtifactError):
        check_fits(replace(plan, machine=replace(PLENTY, disk=needed - 1)))
    assert plan.code_bytes == 2 * (8 * 50_000_000 + 20 * 1_000_000 + 8 * costs.SHARD)


def test_a_document_too_long_for_the_memory_is_named():
    lengths, ids = np.array([10, 5_000_000, 300]), ["short", "a book", "other"]
    need = making_bytes(5_000_000, [5_000_000 * 50.0, 5_000_000 * 30.0])
    fits = {"ids": ids, "fixed": GIB}
    check_documents(lengths, [50.0, 30.0], memory=need + GIB, **fits)
    with pytest.raises(ArtifactError, match=r"Document 'a book' has 5,000,000 tokens") as e:
        check_documents(lengths, [50.0, 30.0], memory=need + GIB - 1, **fits)
    assert gib(need) in str(e.value)
    check_documents(np.zeros(0, np.int64), [50.0], ids=[], memory=0)


def test_a_plan_names_a_document_before_its_shard():
    plan = plan_of(build_size(), replace(PLENTY, memory=4 * GIB), lengths=[250, 2_000_000])
    with pytest.raises(ArtifactError, match=r"Document 'd1' has 2,000,000 tokens"):
        check_fits(plan)


def test_advice_is_given_only_where_it_helps():
    need = Need("x", 1000, lower=("n", 100))
    assert need.advice(500) == "Set n to about 50 (now 100)."
    assert not need.advice(1000)
    assert not need.advice(995)
    assert Need("x", 1000, "Do so.").advice(999) == "Do so."
    assert not Need("x", 1000, "Do so.").advice(1000)
    assert Phase("p", (need, Need("y", 10))).largest is need


def test_this_machine_counts_what_the_build_has_written(tmp_path):
    folder = tmp_path / "builds" / "not-there"
    before = this_machine(folder)
    assert before.memory > 0
    assert before.memory >> 20 >= available_mib() // 2
    assert before.device is None
    folder.mkdir(parents=True)
    (folder / "codes").write_bytes(b"x" * (64 << 20))
    after = this_machine(folder)
    assert after.disk == pytest.approx(before.disk, abs=16 << 20)


@pytest.mark.parametrize(
    ("number", "text"),
    [(12, "12 bytes"), (2048, "2.0 KiB"), (3 << 20, "3.0 MiB"), (1.5 * GIB, "1.5 GiB")],
)
def test_bytes_are_written_in_the_unit_that_suits_them(number, text):
    assert gib(number) == text
