"""Calibration: what the shuffles keep, what they destroy, and figures against brute force."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

from atlas.artifacts import CodeShard, concatenate, write_shard
from atlas.cli.calibrate import register
from atlas.errors import ArtifactError, CorpusError, NotFoundError, UsageError
from atlas.recipe import EdgesSection
from ingest.build_folder import open_build
from ingest.calibrate.folder import calibrate_build, edge_options
from ingest.calibrate.kept import NPMI_FLOORS, TOPIC_FLOORS, FloorCounter, what_is_kept, wider
from ingest.calibrate.near import near_of
from ingest.calibrate.nulls import TRADES, mixing, shift_features, shifted, trade_rows, traded
from ingest.calibrate.result import Plan
from ingest.calibrate.run import calibrate
from ingest.calibrate.search import Searched, search
from ingest.calibrate.split import half_of, split_half
from ingest.calibrate.tails import LEVELS, Tails, cuts_of
from ingest.calibrate.topics import STRATA, permuted_topics, strata_of
from ingest.cooccurrence.counter import LocalCounter
from ingest.cooccurrence.engine import candidate_sums
from ingest.cooccurrence.index import build_index, rank_features
from ingest.cooccurrence.kinds import KINDS, NO_NEAR, NearPairs
from ingest.cooccurrence.parts import LocalParts
from ingest.cooccurrence.screen import make_screen
from ingest.cooccurrence.search import Rules, find_edges
from ingest.cooccurrence.sums import join, marginals
from ingest.significance import (
    benjamini_hochberg,
    correlation_p,
    document_z,
    effects,
    topic_correlation,
    upper_tail,
    within_document_z,
)
from tests import builds
from tests.unit.simulate import Truth, codes_from_dense, simulate

OPTIONS = EdgesSection()
SMALL = {"documents": 400, "length": 64, "independent": 60, "confinement": 0.2}


def random_codes(seed: int, *, documents: int = 7, d_sae: int = 9) -> CodeShard:
    """Codes with a dead feature, one that always fires, short documents and empty positions."""
    rng = np.random.default_rng(seed)
    document = np.repeat(np.arange(documents), rng.integers(1, 14, documents))
    rates = np.r_[0.0, 1.0, rng.random(d_sae - 2) * 0.6]
    on = rng.random((len(document), d_sae)) < rates
    on[rng.random(len(document)) < 0.1] = False
    return codes_from_dense((rng.random(on.shape) + 0.1) * on, document)


def cut(codes: CodeShard, bounds: list[int]) -> list[CodeShard]:
    """Cut codes into shards before the documents of these numbers."""
    numbers = [0, *sorted(set(bounds)), int(codes.document.max()) + 1]
    rows = np.searchsorted(codes.document, numbers)
    out = []
    for a, b in pairwise(rows):
        p, q = codes.indptr[a], codes.indptr[b]
        some = {n: getattr(codes, n)[a:b] for n in ("document", "position", "token")}
        pointer = codes.indptr[a : b + 1] - p
        out.append(CodeShard(pointer, codes.index[p:q], codes.value[p:q], **some))
    return out


def firings(codes: CodeShard) -> dict[tuple[int, int], dict[int, float]]:
    """Activation by row within the document, for each document and feature."""
    out: dict[tuple[int, int], dict[int, float]] = {}
    first = np.searchsorted(codes.document, codes.document)
    for r in range(codes.rows):
        for p in range(codes.indptr[r], codes.indptr[r + 1]):
            mine = out.setdefault((int(codes.document[r]), int(codes.index[p])), {})
            assert r - first[r] not in mine
            mine[int(r - first[r])] = float(codes.value[p])
    return out


def dense(codes: CodeShard, d_sae: int) -> np.ndarray:
    out = np.zeros((codes.rows, d_sae))
    out[np.repeat(np.arange(codes.rows), np.diff(codes.indptr)), codes.index] = codes.value
    return out


def well_formed(codes: CodeShard) -> bool:
    """Whether features ascend within each row, none twice."""
    row = np.repeat(np.arange(codes.rows), np.diff(codes.indptr))
    step = np.diff(row.astype(np.int64) * (1 << 20) + codes.index)
    return bool((step > 0).all())


def equal(one: CodeShard, two: CodeShard) -> bool:
    return all(np.array_equal(getattr(one, n), getattr(two, n)) for n in vars(one))


# The shuffles keep exactly what they promise.


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), trades=st.integers(1, 20), draw=st.integers(0, 5))
def test_trades_keep_counts_by_document_and_the_l0_of_each_position(seed, trades, draw):
    codes = random_codes(seed)
    before = replace(codes, index=codes.index.copy(), value=codes.value.copy())
    moved = trade_rows(codes, seed=draw, trades=trades)
    assert equal(codes, before)
    assert moved.indptr.tolist() == codes.indptr.tolist()
    assert well_formed(moved)
    old, new = firings(codes), firings(moved)
    assert old.keys() == new.keys()
    for key, values in old.items():
        assert sorted(values.values()) == sorted(new[key].values())


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), draw=st.integers(0, 5))
def test_shifts_rotate_each_feature_within_its_document(seed, draw):
    codes = random_codes(seed)
    moved = shift_features(codes, seed=draw, d_sae=9)
    assert well_formed(moved)
    assert moved.indptr[-1] == len(moved.index) == len(codes.index)
    length = np.bincount(codes.document)
    old, new = firings(codes), firings(moved)
    assert old.keys() == new.keys()
    for key, values in old.items():
        t = length[key[0]]
        turns = [{(r + k) % t: v for r, v in values.items()} for k in range(t)]
        assert new[key] in turns


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), bounds=st.lists(st.integers(1, 6), max_size=4))
def test_shuffles_do_not_depend_on_the_shards(seed, bounds):
    codes = random_codes(seed)
    shards = cut(codes, bounds)
    for of in (lambda read: traded(read, seed=3), lambda read: shifted(read, seed=3, d_sae=9)):
        whole = next(iter(of(lambda: [codes])()))
        read = of(lambda: shards)
        parts = concatenate(list(read()))
        assert equal(whole, parts)
        assert equal(parts, concatenate(list(read())))


def test_another_seed_is_another_shuffle():
    codes = random_codes(0)
    assert not equal(trade_rows(codes, seed=0), trade_rows(codes, seed=1))
    one, two = (shift_features(codes, seed=seed, d_sae=9) for seed in (0, 1))
    assert not equal(one, two)


@pytest.mark.parametrize("pattern", [np.eye(3), [[1, 1, 0], [1, 0, 0], [0, 0, 1]]])
def test_trades_draw_every_matrix_of_the_same_sums_equally_often(pattern):
    pattern = np.array(pattern)
    rows, columns = pattern.sum(axis=1), pattern.sum(axis=0)
    every = [
        m
        for m in (np.reshape(bits, (3, 3)) for bits in product((0, 1), repeat=9))
        if (m.sum(axis=1) == rows).all() and (m.sum(axis=0) == columns).all()
    ]
    draws = 4000
    codes = codes_from_dense(np.tile(pattern, (draws, 1)), np.repeat(np.arange(draws), 3))
    moved = dense(trade_rows(codes, seed=0), 3).reshape(draws, 9) > 0
    found = {m.astype(bool).tobytes(): 0 for m in every}
    for m in moved:
        found[m.tobytes()] += 1
    assert len(every) > 4
    assert stats.chisquare(list(found.values())).pvalue > 1e-4


def test_shifts_are_uniform_and_independent_between_features():
    draws, t = 5000, 5
    pattern = np.zeros((t, 2))
    pattern[0] = 1
    codes = codes_from_dense(np.tile(pattern, (draws, 1)), np.repeat(np.arange(draws), t))
    moved = dense(shift_features(codes, seed=0, d_sae=2), 2).reshape(draws, t, 2)
    where = moved.argmax(axis=1)
    cells = np.bincount(where[:, 0] * t + where[:, 1], minlength=t * t)
    assert stats.chisquare(cells).pvalue > 1e-4


def test_mixing_is_seen_and_the_lack_of_it_too():
    codes = simulate(0, **SMALL, always_on=4).codes
    enough = mixing(codes, seed=0)
    assert enough.trades == (1, 2, 4, 8, TRADES, 2 * TRADES)
    assert enough.documents == 64
    assert enough.mixed
    assert enough.stayed[0] > enough.stayed[1] > enough.stayed[2] > 1.05 * enough.stayed[-1]
    assert not mixing(codes, seed=0, trades=1).mixed


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), draw=st.integers(0, 50))
def test_halves_are_whole_documents_and_together_everything(seed, draw):
    codes = random_codes(seed)
    halves = [half_of(codes, seed=draw, half=half) for half in (0, 1)]
    numbers = [set(half.document.tolist()) for half in halves]
    assert not numbers[0] & numbers[1]
    assert numbers[0] | numbers[1] == set(codes.document.tolist())
    everything = dense(codes, 9)
    for half, mine in zip(halves, numbers, strict=True):
        rows = np.isin(codes.document, list(mine))
        np.testing.assert_array_equal(dense(half, 9), everything[rows])
        np.testing.assert_array_equal(half.position, codes.position[rows])


def test_halves_are_near_halves_and_differ_by_seed():
    codes = codes_from_dense(np.ones((2000, 1)), np.arange(2000))
    one, two = (half_of(codes, seed=seed, half=1).document for seed in (0, 1))
    assert 900 < len(one) < 1100
    assert 400 < len(np.intersect1d(one, two)) < 600


# Figures against brute force.


def own(codes: CodeShard, d_sae: int, tmp_path, *, options=OPTIONS, near=NO_NEAR, **more):
    m = marginals(codes, d_sae)
    rules = Rules(options, near)
    return search(lambda: [codes], m, rules=rules, scratch=tmp_path / "search", **more)


def cliques(*, documents: int = 200, length: int = 60) -> CodeShard:
    """Four cliques of six features, each in two fifths of the documents, and 20 other features."""
    rng = np.random.default_rng(0)
    rows = documents * length
    on = rng.random((rows, 44)) < 0.05
    for clique in range(4):
        where = np.repeat(rng.random(documents) < 0.4, length)
        base = (rng.random(rows) < 0.2) & where
        on[:, 6 * clique : 6 * clique + 6] = base[:, None] & (rng.random((rows, 6)) < 0.7)
    return codes_from_dense(on * 1.0, np.repeat(np.arange(documents), length))


def planted(seed: int = 0) -> Truth:
    return simulate(seed, **SMALL, token_planted=8, topic_planted=8, always_on=3)


def test_the_search_finds_what_a_build_finds(tmp_path):
    codes = cliques()
    near = NearPairs(np.array([0, 1], np.int32), np.array([9, 5], np.int32))
    options = OPTIONS.model_copy(update={"top_k": 2})
    counter = LocalCounter(lambda: [codes], (44,))
    found = find_edges(counter, tmp_path, options=options, near=near)
    searched = own(codes, 44, tmp_path, options=options, near=near)
    kept = searched.kept(2)
    assert 0 < kept.sum() < len(kept)
    for name in ("kind", "q", "rank_i", "rank_j", "z_within"):
        np.testing.assert_array_equal(
            getattr(searched.edges, name)[kept], getattr(found.edges, name)
        )
    np.testing.assert_array_equal(searched.edges.sums.i[kept], found.edges.sums.i)
    assert searched.ranking.tested == found.tested
    sums = searched.sums(found.edges.sums.i, found.edges.sums.j)
    np.testing.assert_array_equal(sums.ab, found.edges.sums.ab)


def all_tested(codes: CodeShard, d_sae: int):
    """Sums of all tested pairs that fire together or whose topics do, and their number."""
    counter = LocalCounter(lambda: [codes], (d_sae,))
    m = counter.marginals()
    ranking = rank_features(m, groups=(d_sae,), min_expected=OPTIONS.min_expected)
    everything = OPTIONS.model_copy(update={"min_npmi": -1.0, "min_topic": 1e-9})
    screen = make_screen(m, ranking, options=everything)
    return join(list(candidate_sums(counter.parts(ranking), ranking, screen))), m, ranking.tested


def test_floors_equal_brute_force(tmp_path):
    truth = planted()
    m = marginals(truth.codes, truth.d_sae)
    counter = FloorCounter(tmp_path / "floors", m, fdr=OPTIONS.fdr)
    searched = own(truth.codes, truth.d_sae, tmp_path, wide=wider(OPTIONS), watch=counter)
    kept = what_is_kept(searched, counter, rules=Rules(OPTIONS))
    sums, _, tests = all_tested(truth.codes, truth.d_sae)
    npmi = effects(sums.a, m.n[sums.i], m.n[sums.j], positions=m.positions).npmi
    r = topic_correlation(sums, m)
    p = [upper_tail(document_z(sums, m)), upper_tail(within_document_z(sums))]

    def passing(p, chosen):
        q = np.ones(len(p))
        q[chosen] = benjamini_hochberg(p[chosen], tests)
        return q <= OPTIONS.fdr

    assert kept.tested == tests
    for row, floor in zip(kept.token, NPMI_FLOORS, strict=True):
        at = npmi >= floor
        counts = [int(passing(x, at).sum()) for x in (*p, np.maximum(*p))]
        assert [row.beyond_chance, row.same_tokens, row.both] == counts
        assert (row.floor, row.pairs) == (floor, at.sum())
    token = passing(np.maximum(*p), npmi >= OPTIONS.min_npmi)
    p_topic = correlation_p(r, m.documents)
    for row, floor in zip(kept.topic, TOPIC_FLOORS, strict=True):
        found = passing(p_topic, r >= floor)
        assert (row.pairs, row.significant) == ((r >= floor).sum(), found.sum())
        assert row.no_token_edge == (found & ~token).sum()
    own_token, own_topic = kept.token[2], kept.topic[2]
    assert (own_token.floor, own_topic.floor) == (OPTIONS.min_npmi, OPTIONS.min_topic)
    assert own_token.both == kept.kinds[0].significant > 0
    assert own_topic.no_token_edge == kept.kinds[1].significant > 0


def test_what_caps_keep_is_counted_by_hand(tmp_path):
    truth = planted()
    options = OPTIONS.model_copy(update={"top_k": 1})
    near = NearPairs(*(np.array(x, np.int32) for x in zip(*sorted(truth.topic_pairs), strict=True)))
    m = marginals(truth.codes, truth.d_sae)
    counter = FloorCounter(tmp_path / "floors", m, fdr=options.fdr)
    searched = own(truth.codes, truth.d_sae, tmp_path, options=options, near=near, watch=counter)
    kept = what_is_kept(searched, counter, rules=Rules(options, near))
    e = searched.edges
    pairs = list(zip(e.sums.i.tolist(), e.sums.j.tolist(), strict=True))
    for number, row in enumerate(kept.kinds):
        mine = [k for k in range(len(pairs)) if e.kind[k] == number]
        chosen = [k for k in mine if e.rank_i[k] == 1 or e.rank_j[k] == 1]
        both = [k for k in mine if e.rank_i[k] == 1 and e.rank_j[k] == 1]
        degree = np.zeros(truth.d_sae)
        for k in chosen:
            degree[list(pairs[k])] += 1
        assert (row.kind, row.significant, row.kept) == (KINDS[number], len(mine), len(chosen))
        assert row.mutual == (len(both) / len(chosen) if chosen else None)
        assert row.features == (degree > 0).mean()
        assert row.per_feature[-1] == degree.max()
        assert row.per_feature[3] == np.median(degree)
    assert sum(row.significant for row in kept.exclusive) == kept.kinds[2].significant
    assert sum(row.kept for row in kept.exclusive) == kept.kinds[2].kept


def test_reasons_of_exclusion_are_told_apart(tmp_path):
    rng = np.random.default_rng(0)
    documents, length = 200, 60
    where = rng.random((documents, 1, 2)) < 0.5
    u = rng.random((documents, length, 1))
    shared = np.concatenate([u < 0.3, u > 0.7], axis=2) & where[:, :, :1]  # one topic, apart
    apart = np.concatenate([u < 0.15, u > 0.85], axis=2)  # everywhere, apart
    on = np.concatenate([shared, apart], axis=2).reshape(-1, 4)
    codes = codes_from_dense(on * 1.0, np.repeat(np.arange(documents), length))
    m = marginals(codes, 4)
    for near, reasons in (
        ([(2, 3)], {"topic": 1, "cosine": 1, "both": 0}),
        ([(0, 1)], {"topic": 0, "cosine": 0, "both": 1}),
    ):
        rules = Rules(OPTIONS, NearPairs(*(np.array(x, np.int32) for x in zip(*near, strict=True))))
        counter = FloorCounter(tmp_path / "floors", m, fdr=0.05)
        folder = tmp_path / str(near)
        searched = search(lambda: [codes], m, rules=rules, scratch=folder, watch=counter)
        kept = what_is_kept(searched, counter, rules=rules)
        assert {row.reason: row.significant for row in kept.exclusive} == reasons


def test_tails_equal_brute_force(tmp_path):
    truth = planted()
    m = marginals(truth.codes, truth.d_sae)
    searched = own(truth.codes, truth.d_sae, tmp_path)
    cuts = cuts_of(searched.edges)
    for number, name in enumerate(KINDS):
        assert cuts[name] == max(searched.edges.p[searched.edges.kind == number], default=-1.0)
    tails = Tails(m, options=OPTIONS, cuts=cuts)
    again = search(
        lambda: [truth.codes], m, rules=Rules(OPTIONS), scratch=tmp_path / "again", watch=tails
    )
    assert tails.past["token"] == (again.edges.kind == 0).sum() > 0
    sums, _, _ = all_tested(truth.codes, truth.d_sae)
    npmi = effects(sums.a, m.n[sums.i], m.n[sums.j], positions=m.positions).npmi
    r, z = topic_correlation(sums, m), within_document_z(sums)
    high, same = (npmi >= 0.1) | (r >= 0.3), r >= 0.3
    found = tails.extremes()
    assert found.pairs == high.sum()
    assert found.npmi == npmi[high].max()
    assert found.z_within == np.nanmax(z[high])
    assert found.r_topic == r.max()
    assert tails.of_one_topic == same.sum()
    for row, level in zip(tails.levels(), LEVELS, strict=True):
        assert row.more == pytest.approx((z[same] >= stats.norm.isf(level)).mean())
        assert row.fewer is not None


def permute(truth: Truth, tmp_path, *, cut=1.0, null="documents"):
    m = marginals(truth.codes, truth.d_sae)
    ranking = rank_features(m, groups=(truth.d_sae,), min_expected=OPTIONS.min_expected)
    index = build_index([truth.codes], ranking, own=m)
    rules = Rules(OPTIONS)
    return permuted_topics(index, m, rules=rules, cut=cut, seed=0, scratch=tmp_path, null=null)


def test_a_permutation_that_moves_nothing_gives_the_topic_correlations(tmp_path, monkeypatch):
    monkeypatch.setitem(STRATA, "nowhere", 1)
    truth = planted()
    found = permute(truth, tmp_path, null="nowhere")
    sums, m, tests = all_tested(truth.codes, truth.d_sae)
    r = topic_correlation(sums, m)
    assert found.strata == m.documents
    assert found.most == pytest.approx(r.max(), abs=1e-5)
    assert found.floors == tuple((r >= floor).sum() for floor in TOPIC_FLOORS)
    p = correlation_p(r[r >= 0.3], m.documents)
    assert found.found == (benjamini_hochberg(p, tests) <= 0.05).sum() > 0
    assert found.past == len(p)
    assert not list(tmp_path.iterdir())


def test_strata_hold_documents_of_like_length():
    length = np.random.default_rng(0).integers(1, 500, 230)
    order, cuts = strata_of(length, 50)
    assert sorted(order.tolist()) == list(range(230))
    assert len(cuts) == 5
    assert np.diff(cuts).min() >= 50
    assert (np.diff(length[order]) >= 0).all()
    assert strata_of(length[:20], 50)[1].tolist() == [0, 20]


def test_what_lengths_explain_stays_among_documents_of_like_length(tmp_path):
    """Two kinds of text, short and long, each with its own features, and no topics beside."""
    rng = np.random.default_rng(0)
    length = np.r_[np.full(150, 10), np.full(150, 100)]
    document = np.repeat(np.arange(300), length)
    long = (document >= 150)[:, None]
    on = rng.random((len(document), 10)) < np.where(long, 0.02, 0.4)
    truth = Truth(codes_from_dense(on * 1.0, document), 10, set(), set())
    assert permute(truth, tmp_path, null="like-length").floors[2] == 45
    assert permute(truth, tmp_path).floors[2] == 0


def test_halves_equal_two_searches(tmp_path):
    codes = cliques()
    options = OPTIONS.model_copy(update={"top_k": 1, "min_npmi": 0.78, "min_expected": 15.0})
    split = split_half(
        lambda: cut(codes, [40, 80]),
        d_sae=44,
        rules=Rules(options),
        seed=2,
        scratch=tmp_path,
    )
    found, numbers, n = [], [], []
    for half in (0, 1):
        mine = half_of(codes, seed=2, half=half)
        counter = LocalCounter(lambda mine=mine: [mine], (44,))
        found.append(find_edges(counter, tmp_path, options=options))
        m = counter.marginals()
        numbers.append(m.positions)
        n.append(m.n)
    tested = [np.outer(n[h], n[h]) >= 15 * numbers[h] for h in (0, 1)]
    both = np.triu(tested[0] & tested[1], 1)
    assert split.positions == tuple(numbers)
    assert split.tested == tuple(f.tested for f in found)
    assert 0 < split.tested_both == both.sum() < min(split.tested)
    for number, kind in enumerate(split.kinds[:2]):
        sets, significant = [], []
        for f in found:
            mine = f.edges.kind == number
            pairs = zip(f.edges.sums.i[mine].tolist(), f.edges.sums.j[mine].tolist(), strict=True)
            sets.append(set(pairs))
            significant.append(f.edges.significant[KINDS[number]])
        assert (kind.significant.one, kind.significant.two) == tuple(significant)
        assert (kind.kept.one, kind.kept.two) == tuple(len(s) for s in sets)
        assert kind.kept.both == len(sets[0] & sets[1]) > 0
        assert kind.kept.jaccard == len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        assert kind.kept.overlap == len(sets[0] & sets[1]) / min(map(len, sets))
        usable = [{pair for pair in s if both[pair]} for s in sets]
        assert kind.kept_tested.one == len(usable[0])
        assert kind.pairs == len(usable[0] | usable[1])


def test_strength_in_halves_equals_brute_force(tmp_path, monkeypatch):
    monkeypatch.setattr("ingest.calibrate.split.TOP", 20)
    codes, rules = cliques(), Rules(OPTIONS.model_copy(update={"min_npmi": 0.75}))
    split = split_half(lambda: [codes], d_sae=44, rules=rules, seed=2, scratch=tmp_path)
    columns, passing = [], []
    edges: list[set[tuple[int, int]]] = []
    halves: list[Searched] = []
    for half in (0, 1):
        mine = half_of(codes, seed=2, half=half)
        halves.append(own(mine, 44, tmp_path / f"{half}", options=rules.options))
        e = halves[-1].edges
        token = e.kind == 0
        pairs = zip(e.sums.i[token].tolist(), e.sums.j[token].tolist(), strict=True)
        edges.append(set(pairs))
    i, j = (np.array(x, np.int32) for x in zip(*sorted(edges[0] | edges[1]), strict=True))
    tested = halves[0].tests(i, j) & halves[1].tests(i, j)
    for half in halves:
        m, sums = half.marginals, half.sums(i[tested], j[tested])
        size = effects(sums.a, m.n[sums.i], m.n[sums.j], positions=m.positions)
        columns.append((size.npmi, size.phi))
        z = np.minimum(document_z(sums, m), within_document_z(sums))
        passing.append((size.npmi >= 0.75) & (z >= stats.norm.isf(0.05)))
    token = split.kinds[0]
    pairs = list(zip(i[tested].tolist(), j[tested].tolist(), strict=True))
    assert token.pairs == len(pairs) > 3
    hits = [passing[1][k] for k, pair in enumerate(pairs) if pair in edges[0]]
    hits += [passing[0][k] for k, pair in enumerate(pairs) if pair in edges[1]]
    assert token.replicated == np.mean(hits) < 1
    phi = [dict(zip(pairs, column[1], strict=True)) for column in columns]
    best = [
        set(sorted(edges[h] & set(pairs), key=lambda pair, h=h: -phi[h][pair])[:20]) for h in (0, 1)
    ]
    assert (token.top.one, token.top.two) == (20, 20)
    assert 0 < token.top.both == len(best[0] & best[1]) < 20
    for x, y, got in zip(*columns, (token.npmi, token.phi), strict=True):
        assert got == pytest.approx(stats.spearmanr(x, y).statistic)
    assert token.strength == token.phi


# Simulated truth.


@pytest.fixture(scope="module")
def truth() -> Truth:
    return planted()


@pytest.fixture(scope="module")
def result(truth, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("calibrate")
    shards = cut(truth.codes, [50, 51, 200])
    plan = Plan(seed=1, repeats=2)
    made = calibrate(lambda: shards, d_sae=truth.d_sae, options=OPTIONS, plan=plan, scratch=scratch)
    assert not list(scratch.iterdir())
    return made


def edges_of(codes: CodeShard, d_sae: int, tmp_path, kind: str) -> set[tuple[int, int]]:
    edges = own(codes, d_sae, tmp_path).edges
    mine = edges.kind == KINDS.index(kind)
    return set(zip(edges.sums.i[mine].tolist(), edges.sums.j[mine].tolist(), strict=True))


@pytest.mark.parametrize("null", ["trade", "shift"])
def test_planted_token_pairs_vanish_in_a_shuffle_and_topics_stay(truth, tmp_path, null):
    d_sae = truth.d_sae
    assert edges_of(truth.codes, d_sae, tmp_path / "data", "token") >= truth.token_pairs
    shuffle = {
        "trade": lambda: trade_rows(truth.codes, seed=0),
        "shift": lambda: shift_features(truth.codes, seed=0, d_sae=d_sae),
    }
    codes = shuffle[null]()
    assert not edges_of(codes, d_sae, tmp_path / "null", "token")
    topics = edges_of(codes, d_sae, tmp_path / "again", "topic")
    assert topics >= truth.topic_pairs | truth.token_pairs


@pytest.mark.parametrize("null", STRATA)
def test_topic_pairs_vanish_where_documents_are_permuted(truth, tmp_path, null):
    assert edges_of(truth.codes, truth.d_sae, tmp_path, "topic") >= truth.topic_pairs
    found = permute(truth, tmp_path, null=null)
    assert (found.found, found.past) == (0, 0)
    assert found.strata == (1 if null == "documents" else 8)


def test_false_discoveries_of_planted_pairs(result):
    rows = {(row.null, row.kind): row for row in result.false}
    assert set(rows) == {
        *((null, kind) for null in ("trade", "shift") for kind in ("token", "exclusive")),
        *((null, "topic") for null in STRATA),
    }
    for key in (("trade", "token"), ("shift", "token"), *((null, "topic") for null in STRATA)):
        row = rows[key]
        assert row.found >= 8
        assert row.null_found == (0, 0)
        assert row.fdp < 0.2
        assert row.fdp == pytest.approx(np.mean(row.null_past) / row.found)
    assert [run.seed for run in result.shuffled] == [1, 2, 1, 2]
    for run in result.shuffled:
        assert run.found["topic"] >= 16
        assert abs(run.excess_left) < 0.05
        assert run.extremes.z_within < 5 < result.extremes.z_within
    assert all(run.most < 0.3 < result.extremes.r_topic for run in result.permuted)
    assert result.mixing.mixed
    assert not result.notes


def test_p_within_documents_is_no_smaller_than_it_should_be(result):
    for run in result.shuffled:
        assert run.pairs_of_one_topic == result.shuffled[0].pairs_of_one_topic >= 16
        assert run.levels[0].more <= 0.3  # of some 20 pairs
    assert result.levels[0].more > 0.3


def test_planted_pairs_are_found_in_both_halves(result):
    token, topic, _ = result.split.kinds
    for kind in (token, topic):
        assert kind.kept.both >= 7
        assert kind.kept.overlap > 0.8
        assert kind.replicated > 0.8
    assert sum(result.split.documents) == result.documents == 400
    assert sum(result.split.positions) == result.positions


def test_independent_features_give_about_no_edges(tmp_path):
    truth = simulate(5, **SMALL)
    found = calibrate(lambda: [truth.codes], d_sae=60, options=OPTIONS, scratch=tmp_path)
    token, topic, _ = found.kept.kinds
    assert token.significant <= 1
    assert topic.significant <= 1
    assert found.kept.token[0].pairs > 100
    nothing = [row for row in found.false if row.found == 0]
    assert nothing
    assert all(row.fdp is None for row in nothing)


def test_results_are_plain_json_and_the_same_again(truth, result):
    plan, shards = Plan(seed=1, repeats=2), cut(truth.codes, [50, 51, 200])
    again = calibrate(lambda: [truth.codes], d_sae=truth.d_sae, options=OPTIONS, plan=plan)
    once_more = calibrate(lambda: shards, d_sae=truth.d_sae, options=OPTIONS, plan=plan)
    made = json.loads(json.dumps(result.to_json(), allow_nan=False))
    other = json.loads(json.dumps(again.to_json(), allow_nan=False))
    mixed = made.pop("mixing"), other.pop("mixing")  # of the first shard alone
    assert mixed[0]["documents"] < mixed[1]["documents"]
    assert made["false"] == other["false"]
    assert made["kept"] == other["kept"]
    assert json.loads(json.dumps(once_more.to_json())) == json.loads(json.dumps(result.to_json()))
    assert made["format"] == 1
    assert made["options"]["min_npmi"] == 0.1


def test_one_document_cannot_be_split(tmp_path):
    codes = codes_from_dense(np.ones((20, 3)), np.zeros(20, np.int64))
    found = calibrate(lambda: [codes], d_sae=3, options=OPTIONS, scratch=tmp_path)
    assert found.split is None
    assert any("halves" in note for note in found.notes)


def test_units_that_are_documents_are_noted(tmp_path):
    codes = codes_from_dense(np.ones((20, 3)), np.arange(20))
    options = EdgesSection(unit="document")
    found = calibrate(lambda: [codes], d_sae=3, options=options, scratch=tmp_path)
    assert any("documents as the unit" in note for note in found.notes)


def test_what_cannot_be_calibrated(tmp_path):
    nothing = codes_from_dense(np.zeros((20, 3)), np.arange(20))
    for shards in ([], [nothing]):
        with pytest.raises(CorpusError, match="no codes"):
            calibrate(lambda shards=shards: shards, d_sae=3, options=OPTIONS, scratch=tmp_path)
    with pytest.raises(ArtifactError, match="No folder can be made"):
        calibrate(lambda: [nothing], d_sae=3, options=OPTIONS, scratch=tmp_path / "missing")


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"repeats": 0}, {"trades": 0}])
def test_impossible_plans_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Plan(**wrong)


# Build folders.


def write_codes(folder, truth: Truth, *, sae="planted", identity=None):
    for number, codes in enumerate(cut(truth.codes, [50])):
        path = folder / "codes" / sae / f"shard-{number:05d}.safetensors"
        write_shard(path, codes, identity=identity or {"sae": "1"})


@pytest.fixture
def build(tmp_path):
    """A build folder with codes of 26 features, as many as the planted tables have."""
    folder = tmp_path / "builds" / "synthetic"
    truth = simulate(0, documents=100, length=64, independent=20, confinement=0.3, token_planted=3)
    run, rows = builds.planted()
    run["corpus"] |= {"documents": 100, "positions": truth.codes.rows}
    run["parameters"] = {"edges.top_k": 3, "edges.fdr": 0.01, "edges.unit": "token", "other": 1}
    builds.write_build(folder, run, rows)
    write_codes(folder, truth)
    return folder


def test_a_build_is_calibrated_with_its_own_options(build, tmp_path):
    found = calibrate_build("synthetic", home=tmp_path, plan=Plan(seed=2))
    assert list(found) == ["planted"]
    result = found["planted"]
    assert (result.sae, result.seed) == (builds.SAE, 2)
    assert (result.options["top_k"], result.options["fdr"]) == (3, 0.01)
    assert result.options["min_npmi"] == OPTIONS.min_npmi
    assert result.documents == 100
    assert any("token edges, this search found" in note for note in result.notes)
    written = json.loads((build / "calibration-planted.json").read_text())
    assert written == json.loads(json.dumps(result.to_json()))
    left = {path.name for path in build.iterdir() if not path.suffix}
    assert left == {"codes"}


def test_windows_are_counted_as_the_build_counts_them(build):
    run = json.loads((build / "run.json").read_text())
    run["parameters"]["edges.unit"] = "window:4"
    (build / "run.json").write_text(json.dumps(run))
    assert calibrate_build(build)["planted"].positions == 100 * 16


def test_near_pairs_come_from_the_table_or_the_caller(build):
    folder = open_build(build, verify=False)
    near, notes = near_of(folder, builds.SAE, options=edge_options(folder))
    table = folder.column("similar", "source", "target", "cosine").to_pylist()
    wanted = {
        tuple(sorted(int(row[end].rsplit("/", 1)[1]) for end in ("source", "target")))
        for row in table
        if row["cosine"] >= 0.3
    }
    assert wanted
    assert set(zip(near.i.tolist(), near.j.tolist(), strict=True)) == wanted
    assert not notes
    assert near_of(folder, "another", options=edge_options(folder))[0].i.tolist() == []
    _, notes = near_of(folder, builds.SAE, options=EdgesSection(similar_k=1))
    assert "may not hold all" in notes[0]
    given = NearPairs(np.array([0], np.int32), np.array([1], np.int32))
    assert calibrate_build(build, near={"planted": given})["planted"].near_pairs == 1


def test_builds_and_saes_that_are_not_there(build, tmp_path):
    with pytest.raises(NotFoundError, match="synthetic"):
        calibrate_build("another", home=tmp_path)
    with pytest.raises(NotFoundError, match="planted"):
        calibrate_build(build, sae="another")
    assert set(calibrate_build(build, sae=builds.SAE)) == {"planted"}


def test_codes_that_are_missing_short_or_of_something_else(build):
    second = build / "codes" / "planted" / "shard-00001.safetensors"
    whole = second.read_bytes()
    record = json.loads(second.with_suffix(".json").read_text())
    second.with_suffix(".json").write_text(json.dumps(record | {"identity": {"sae": "2"}}))
    with pytest.raises(ArtifactError, match="sae = '2'"):
        calibrate_build(build)
    second.with_suffix(".json").write_text(json.dumps(record))
    second.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ArtifactError, match="damaged"):
        calibrate_build(build)
    second.unlink()
    with pytest.raises(ArtifactError, match="positions"):
        calibrate_build(build)
    second.with_suffix(".json").unlink()
    (build / "codes" / "planted" / "shard-00000.json").unlink()
    with pytest.raises(ArtifactError, match="no complete codes"):
        calibrate_build(build)


def test_the_command_prints_tables_or_json(build, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    app = typer.Typer()
    register(app)
    shown = CliRunner().invoke(app, [str(build), "--seed", "3"])
    assert shown.exit_code == 0, shown.output
    for title in ("Token pairs by floor", "False discoveries", "halves of the documents"):
        assert title in shown.stdout
    made = CliRunner().invoke(app, [str(build), "--seed", "3", "--json", "--sae", "planted"])
    assert json.loads(made.stdout)["planted"]["seed"] == 3
    default = inspect.signature(app.registered_commands[0].callback).parameters["trades"].default
    assert default == TRADES


def test_scratch_of_a_search_is_small_and_local(truth, tmp_path):
    """What counts pairs after the search is what counted them in it."""
    searched = own(truth.codes, truth.d_sae, tmp_path)
    names = {path.name for path in (tmp_path / "search").iterdir()}
    assert "survivors.bin" not in names
    parts = LocalParts([searched.index])
    assert parts.indexes[0].column[-1] == len(truth.codes.index)
