"""Sums of pairs: against brute force, and the same whatever the split, the order or the folds."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.artifacts import CodeShard, concatenate
from atlas.errors import ArtifactError, UsageError
from atlas.recipe import EdgesSection
from ingest.cooccurrence.counter import LocalCounter
from ingest.cooccurrence.engine import candidate_sums, fold_sums, panels
from ingest.cooccurrence.index import build_index, rank_features
from ingest.cooccurrence.kinds import KINDS, NearPairs
from ingest.cooccurrence.parts import LocalParts
from ingest.cooccurrence.screen import MARGIN, make_screen
from ingest.cooccurrence.search import Rules, find_edges, survivors_of
from ingest.cooccurrence.sums import (
    FLOAT_SUMS,
    INTEGER_SUMS,
    Marginals,
    PairSums,
    join,
    marginals,
    merge,
    rarer_first,
)
from ingest.cooccurrence.units import parse_unit, side_by_side, to_units
from ingest.cooccurrence.values import value_sums
from ingest.significance import effects
from tests.unit.simulate import codes_from_dense

EVERYTHING = EdgesSection(min_expected=1e-9, min_npmi=-1.0, min_topic=1e-9)


def random_dense(seed: int, *, documents: int = 9, d_sae: int = 8):
    """Activations with a dead feature, one that always fires, and documents of many lengths."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 12, documents)
    document = np.repeat(np.arange(documents), lengths)
    rates = np.r_[0.0, 1.0, rng.random(d_sae - 2) * 0.7]
    on = rng.random((len(document), d_sae)) < rates
    return (rng.random((len(document), d_sae)) + 0.1) * on, document


def split(codes: CodeShard, cuts: list[int]) -> list[CodeShard]:
    """Cut codes between documents: `cuts` are numbers of documents."""
    bounds = np.searchsorted(codes.document, [0, *sorted(set(cuts)), codes.document.max() + 1])
    return [rows(codes, a, b) for a, b in pairwise(bounds) if b > a]


def rows(codes: CodeShard, a: int, b: int) -> CodeShard:
    p, q = codes.indptr[a], codes.indptr[b]
    return CodeShard(
        codes.indptr[a : b + 1] - p,
        codes.index[p:q],
        codes.value[p:q],
        codes.document[a:b],
        codes.position[a:b],
        codes.token[a:b],
    )


def total(shards: list[CodeShard], d_sae: int) -> Marginals:
    parts = [marginals(shard, d_sae) for shard in shards]
    out = parts[0]
    for part in parts[1:]:
        out += part
    return out


def everything(shards: list[CodeShard], d_sae: int, *, groups=None, indexes: int = 1):
    """All pairs' sums, counted over `indexes` separate indexes."""
    m = total(shards, d_sae)
    ranking = rank_features(m, groups=groups or (d_sae,), min_expected=1e-9)
    made = [
        build_index(shards[k::indexes], ranking, own=total(shards[k::indexes], d_sae))
        for k in range(indexes)
        if shards[k::indexes]
    ]
    parts = LocalParts(made)
    screen = make_screen(m, ranking, options=EVERYTHING)
    found = list(candidate_sums(parts, ranking, screen))
    assert found
    return merge(found), m, parts, ranking


def brute(dense, document, pairs) -> dict[str, np.ndarray]:
    """Sum pairs the slow way."""
    on = dense > 0
    out: dict[str, list[float]] = {name: [] for name in INTEGER_SUMS + FLOAT_SUMS}
    where = [document == d for d in np.unique(document)]
    t = np.array([r.sum() for r in where])
    for i, j in pairs:
        a = np.array([(on[r, i] & on[r, j]).sum() for r in where])
        b = np.array([on[r, i].sum() for r in where])
        c = np.array([on[r, j].sum() for r in where])
        terms = [a, a > 0, a * a, a * b, a * c, a * t, b * c, b * c / t, a * b * c / t]
        for name, term in zip(out, [*terms, (b * c / t) ** 2], strict=True):
            out[name].append(term.sum())
    return {name: np.array(values) for name, values in out.items()}


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_sums_equal_brute_force(seed):
    dense, document = random_dense(seed)
    sums, _, _, _ = everything([codes_from_dense(dense, document)], dense.shape[1])
    live = np.flatnonzero(dense.any(axis=0))
    expected = [(i, j) for i in live for j in live if i < j]
    slow = brute(dense, document, expected)
    place = {pair: k for k, pair in enumerate(expected)}
    at = [place[pair] for pair in zip(sums.i.tolist(), sums.j.tolist(), strict=True)]
    # Without firing together, a pair passes the screen by its topics alone.
    missing = sorted(set(range(len(expected))) - set(at))
    assert (slow["a"][missing] == 0).all()
    for name in INTEGER_SUMS:
        assert getattr(sums, name).tolist() == slow[name][at].tolist()
    for name in FLOAT_SUMS:
        np.testing.assert_allclose(getattr(sums, name), slow[name][at], rtol=1e-12)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    cuts=st.lists(st.integers(1, 8), max_size=5),
    indexes=st.integers(1, 3),
    order=st.randoms(use_true_random=False),
)
def test_any_split_order_and_number_of_parts_gives_the_same_sums(seed, cuts, indexes, order):
    dense, document = random_dense(seed)
    codes, d_sae = codes_from_dense(dense, document), dense.shape[1]
    shards = split(codes, cuts)
    order.shuffle(shards)
    once, m, _, _ = everything([codes], d_sae)
    again, n, _, _ = everything(shards, d_sae, indexes=indexes)
    same(once, again)
    for name in ("n", "d", "bb", "bt", "at", "positions_at", "v_max"):
        assert getattr(m, name).tolist() == getattr(n, name).tolist()
    assert (m.positions, m.documents, m.tt) == (n.positions, n.documents, n.tt)
    for name in ("bb_t", "v", "vv"):
        np.testing.assert_allclose(getattr(m, name), getattr(n, name), rtol=1e-9)


def same(one: PairSums, two: PairSums) -> None:
    for name in ("i", "j", *INTEGER_SUMS):
        assert getattr(one, name).tolist() == getattr(two, name).tolist()
    for name in FLOAT_SUMS:
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-9)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), cut=st.integers(1, 8))
def test_sums_of_separate_documents_merge_by_addition(seed, cut):
    dense, document = random_dense(seed)
    codes, d_sae = codes_from_dense(dense, document), dense.shape[1]
    whole, _, _, ranking = everything([codes], d_sae)
    halves = []
    for shard in split(codes, [cut]):
        index = build_index([shard], ranking, own=marginals(shard, d_sae))
        integers, floats = fold_sums(LocalParts([index]), ranking, i=whole.i, j=whole.j)
        halves.append(PairSums(whole.i, whole.j, *integers[:, 0], *floats[:, 0]))
    same(whole, merge(halves))
    same(whole, merge(halves[::-1]))


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), folds=st.integers(1, 5))
def test_folds_add_up_and_are_sums_of_their_own_documents(seed, folds):
    dense, document = random_dense(seed)
    codes = codes_from_dense(dense, document)
    sums, _, parts, ranking = everything([codes], dense.shape[1])
    twice = np.r_[np.arange(len(sums)), 0]  # a pair may be an edge of two kinds
    integers, floats = fold_sums(parts, ranking, i=sums.i[twice], j=sums.j[twice], folds=folds)
    assert integers.shape == (7, folds, len(sums) + 1)
    assert (integers[:, :, 0] == integers[:, :, -1]).all()
    integers, floats = integers[:, :, :-1], floats[:, :, :-1]
    for name, values in zip(INTEGER_SUMS, integers.sum(axis=1), strict=True):
        assert values.tolist() == getattr(sums, name).tolist()
    for f in range(folds):
        mine = document % folds == f
        if mine.any():
            slow = brute(dense[mine], document[mine], zip(sums.i, sums.j, strict=True))
            for name, values in zip(INTEGER_SUMS, integers[:, f], strict=True):
                assert values.tolist() == slow[name].tolist()
            np.testing.assert_allclose(floats[1, f], slow["abc_t"], rtol=1e-9)


@pytest.mark.parametrize("alone", [False, True])
def test_pairs_with_a_feature_that_never_fires_sum_to_zero(alone):
    dense, document = random_dense(4)  # feature 0 is dead, all others are not
    _, _, parts, ranking = everything([codes_from_dense(dense, document)], dense.shape[1])
    i, j = (np.array(x, np.int32) for x in ([0, 1, 0, 2], [7, 3, 1, 5]))
    if alone:
        i, j = i[[0, 2]], j[[0, 2]]
    integers, floats = fold_sums(parts, ranking, i=i, j=j, folds=2)
    assert integers.shape == (7, 2, len(i))
    slow = brute(dense, document, zip(i, j, strict=True))
    for name, values in zip(INTEGER_SUMS, integers.sum(axis=1), strict=True):
        assert values.tolist() == slow[name].tolist()
    for name, values in zip(FLOAT_SUMS, floats.sum(axis=1), strict=True):
        np.testing.assert_allclose(values, slow[name], rtol=1e-12)
    assert (slow["bc"] > 0).tolist() == [k > 0 for k in i]


def test_indexes_of_one_counter_do_not_share_their_files(tmp_path):
    dense, document = random_dense(12)
    codes = codes_from_dense(dense, document)
    counter = LocalCounter(lambda: [codes], (8,), scratch=tmp_path)
    m = counter.marginals()
    every = rank_features(m, groups=(8,), min_expected=1e-9)
    joined = rank_features(m, groups=(3, 5), min_expected=1e-9)  # another order of the features
    ranks = len(every.order)
    first = counter.parts(every)
    before = first.joint(0, ranks, width=ranks)
    second = counter.parts(joined)
    here = LocalCounter(lambda: [codes], (8,)).parts(joined)
    assert before.any()
    assert isinstance(first.indexes[0].partner, np.memmap)
    np.testing.assert_array_equal(first.joint(0, ranks, width=ranks), before)
    np.testing.assert_array_equal(
        second.joint(0, ranks, width=ranks), here.joint(0, ranks, width=ranks)
    )
    assert not np.array_equal(first.indexes[0].partner, second.indexes[0].partner)
    assert not list(tmp_path.iterdir()), "mapped files have no name"


def test_pairs_are_turned_so_that_the_rarer_feature_comes_first():
    n = np.array([5, 2, 5, 9])
    i, j = (np.array(x, np.int32) for x in ([0, 0, 1, 2], [1, 2, 3, 3]))
    rarer, other, turned = rarer_first(n, i, j)
    assert rarer.tolist() == [1, 0, 1, 2]  # i where both fire as often
    assert other.tolist() == [0, 2, 3, 3]
    assert turned.tolist() == [True, False, False, False]
    assert rarer.dtype == other.dtype == np.int32


def of_all_kinds() -> CodeShard:
    """Draw 24 features of four topics: f and f + 12 fire together, apart, or neither, by f."""
    rng = np.random.default_rng(0)
    document = np.repeat(np.arange(150), 40)
    u = rng.random((len(document), 24))
    u[:, 12:16] = np.where(rng.random((len(u), 4)) < 0.7, u[:, :4], u[:, 12:16])
    u[:, 16:20] = 1 - u[:, 4:8]
    of_topic = rng.random((150, 4))[document] < 0.5
    return codes_from_dense((u < 0.25) * of_topic[:, np.arange(24) % 4] * u, document)


@pytest.mark.parametrize("kinds", [("token",), ("topic",), ("token", "exclusive"), ("exclusive",)])
@pytest.mark.parametrize("groups", [(24,), (12, 12)])
def test_a_search_for_some_kinds_finds_what_one_for_all_finds_of_them(tmp_path, kinds, groups):
    codes, options = of_all_kinds(), EdgesSection(min_expected=1.0, top_k=4, folds=2)
    near = NearPairs(np.array([0, 3], np.int32), np.array([20, 13], np.int32))
    counter = LocalCounter(lambda: [codes], groups)
    whole = find_edges(counter, tmp_path, options=options, near=near)
    found = find_edges(counter, tmp_path, options=options, near=near, kinds=kinds)
    mine = np.isin(whole.edges.kind, [KINDS.index(kind) for kind in kinds])
    assert 0 < mine.sum() < len(mine)
    assert found.tested == whole.tested
    assert found.edges.significant == {kind: whole.edges.significant[kind] for kind in kinds}
    for part in ("edges", "values"):
        one, two = getattr(whole, part), getattr(found, part)
        for f in fields(one):
            if f.name not in {"sums", "significant"}:
                np.testing.assert_array_equal(getattr(two, f.name), getattr(one, f.name)[mine])
    same(whole.edges.sums.take(mine), found.edges.sums)
    for one, two in zip(whole.folds, found.folds, strict=True):
        np.testing.assert_array_equal(two, one[:, :, mine])
    both = {"token", "exclusive"} <= set(kinds)
    assert len(found.implications.n) == (len(whole.implications.n) if both else 0)
    assert len(whole.implications.n) > 0


def test_a_search_for_token_edges_sums_no_other_pairs(tmp_path):
    codes, options = of_all_kinds(), EdgesSection()
    m = marginals(codes, 24)
    ranking = rank_features(m, groups=(24,), min_expected=options.min_expected)
    parts = LocalParts([build_index([codes], ranking, own=m)])
    numbers, high = [], []
    for kinds in (KINDS, ("token",)):
        shown: list[PairSums] = []
        survivors_of(
            parts, ranking, m, rules=Rules(options).only(kinds), scratch=tmp_path,
            watch=lambda sums, tested, shown=shown: shown.append(sums),
        )  # fmt: skip
        s = join(shown)
        npmi = effects(s.a, m.n[s.i], m.n[s.j], positions=m.positions).npmi
        numbers.append(len(s))
        high.append(int((npmi >= options.min_npmi).sum()))
    assert numbers[0] > numbers[1] == high[1] == high[0] > 0
    assert not list(tmp_path.iterdir())


def test_marginals_equal_brute_force():
    dense, document = random_dense(3)
    m = marginals(codes_from_dense(dense, document), dense.shape[1])
    on = dense > 0
    counts = np.array([on[document == d].sum(axis=0) for d in np.unique(document)])
    t = np.bincount(document)
    v = dense.astype(np.float32).astype(float)
    assert m.n.tolist() == counts.sum(axis=0).tolist()
    assert m.d.tolist() == (counts > 0).sum(axis=0).tolist()
    assert m.bb.tolist() == (counts**2).sum(axis=0).tolist()
    assert m.bt.tolist() == (counts * t[:, None]).sum(axis=0).tolist()
    np.testing.assert_allclose(m.bb_t, (counts**2 / t[:, None]).sum(axis=0))
    np.testing.assert_allclose(m.v, v.sum(axis=0))
    np.testing.assert_allclose(m.vv, (v**2).sum(axis=0))
    assert m.v_max.tolist() == v.max(axis=0).tolist()
    assert m.at.sum(axis=0).tolist() == m.n.tolist()
    assert m.at[0].tolist() == on[np.r_[0, np.cumsum(t)[:-1]]].sum(axis=0).tolist()
    assert (m.positions, m.documents, m.tt) == (len(document), len(t), (t**2).sum())


def test_positions_are_counted_by_their_place_in_a_block():
    dense, document = np.ones((10, 1)), np.zeros(10, int)
    m = marginals(codes_from_dense(dense, document), 1, block=5)
    assert m.positions_at.tolist() == [2, 2, 4, 2, 0, 0, 0, 0, 0]  # places 0; 1; 2-3; 4


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_topic_correlations_of_the_screen_are_within_their_margin(seed):
    dense, document = random_dense(seed, documents=30)
    m = marginals(codes_from_dense(dense, document), dense.shape[1])
    ranking = rank_features(m, groups=(dense.shape[1],), min_expected=1e-9)
    index = build_index([codes_from_dense(dense, document)], ranking, own=m)
    screen = make_screen(m, ranking, options=EVERYTHING)
    ranks = len(ranking.order)
    got = LocalParts([index]).topic(0, ranks, width=ranks, rate=screen.rate, scale=screen.scale)
    t = np.bincount(document)
    b = np.array([(dense[document == d] > 0).sum(axis=0) for d in np.unique(document)])
    e = ((b - (dense > 0).mean(axis=0) * t[:, None]) / np.sqrt(t)[:, None])[:, ranking.order]
    norm = np.sqrt((e**2).sum(axis=0))
    varies = norm > 1e-9
    slow = (e.T @ e)[np.ix_(varies, varies)] / np.outer(norm[varies], norm[varies])
    np.testing.assert_allclose(got[np.ix_(varies, varies)], slow, atol=MARGIN)


def test_candidates_are_exactly_the_pairs_expected_often_enough():
    rng = np.random.default_rng(0)
    dense = rng.random((400, 30)) < np.linspace(0.0, 0.6, 30)
    document = np.repeat(np.arange(40), 10)
    m = marginals(codes_from_dense(dense.astype(float), document), 30)
    ranking = rank_features(m, groups=(30,), min_expected=5.0)
    mine = {
        tuple(sorted((int(ranking.order[j]), int(ranking.order[i]))))
        for j in range(len(ranking.order))
        for i in range(ranking.limit[j])
    }
    n = m.n
    assert mine == {(i, j) for i in range(30) for j in range(i + 1, 30) if n[i] * n[j] >= 5 * 400}
    assert ranking.tested == len(mine)


def test_pairs_between_two_saes_are_counted_and_no_others():
    early, document = random_dense(5, d_sae=5)
    late, _ = random_dense(6, d_sae=7)
    late = late[np.arange(len(document)) % len(late)]
    both = np.concatenate([early, late], axis=1)
    joined = side_by_side(
        codes_from_dense(early, document), codes_from_dense(late, document), d_sae=5
    )
    expected = codes_from_dense(both, document)
    for name in ("indptr", "index", "value"):
        assert getattr(joined, name).tolist() == getattr(expected, name).tolist()
    sums, _, _, _ = everything([joined], 12, groups=(5, 7))
    assert (sums.i < 5).all()
    assert (sums.j >= 5).all()
    slow = brute(both, document, zip(sums.i, sums.j, strict=True))
    for name in INTEGER_SUMS:
        assert getattr(sums, name).tolist() == slow[name].tolist()
    fire = [
        ((early[:, i] > 0) & (late[:, j - 5] > 0)).any() for i in range(5) for j in range(5, 12)
    ]
    assert (sums.a > 0).sum() == sum(fire)


def test_codes_of_other_positions_are_not_put_side_by_side():
    dense, document = random_dense(1)
    codes = codes_from_dense(dense, document)
    with pytest.raises(ArtifactError, match="different positions"):
        side_by_side(codes, rows(codes, 0, codes.rows - 1), d_sae=8)


def test_sums_of_activations_equal_brute_force():
    dense, document = random_dense(7)
    v = dense.astype(np.float32).astype(float)
    i, j = np.triu_indices(8, 1)
    codes = split(codes_from_dense(dense, document), [3])
    got = value_sums(codes, i=i.astype(np.int32), j=j.astype(np.int32), d_sae=8)
    both = (v[:, i] > 0) & (v[:, j] > 0)
    np.testing.assert_allclose(got.ij, (v[:, i] * v[:, j]).sum(axis=0))
    np.testing.assert_allclose(got.i, (v[:, i] * both).sum(axis=0))
    np.testing.assert_allclose(got.j, (v[:, j] * both).sum(axis=0))
    np.testing.assert_allclose(got.ii, (v[:, i] ** 2 * both).sum(axis=0))
    np.testing.assert_allclose(got.jj, (v[:, j] ** 2 * both).sum(axis=0))


@pytest.mark.parametrize(("unit", "width"), [("window:3", 3), ("document", 10**6), ("token", 1)])
def test_a_unit_is_on_where_a_feature_fires_anywhere_in_it(unit, width):
    dense, document = random_dense(8)
    codes = codes_from_dense(dense, document)
    got = to_units(codes, unit)
    key = document.astype(np.int64) * 10**7 + codes.position // width
    v = dense.astype(np.float32)
    expected = np.array([v[key == k].max(axis=0) for k in np.unique(key)])
    table = np.zeros_like(expected)
    table[np.repeat(np.arange(got.rows), np.diff(got.indptr)), got.index] = got.value
    np.testing.assert_array_equal(table, expected)
    assert got.document.tolist() == (np.unique(key) // 10**7).tolist()


@pytest.mark.parametrize("unit", ["sentence", "window:0", "window", "token:2"])
def test_an_unknown_unit_is_refused(unit):
    with pytest.raises(UsageError, match="unit"):
        parse_unit(unit)


def test_codes_that_change_under_the_count_are_noticed():
    dense, document = random_dense(9)
    codes = codes_from_dense(dense, document)
    m = marginals(codes, 8)
    ranking = rank_features(m, groups=(8,), min_expected=1e-9)
    with pytest.raises(ArtifactError, match="changed"):
        build_index([rows(codes, 0, 5)], ranking, own=m)
    with pytest.raises(ArtifactError, match="changed"):
        build_index([codes, codes], ranking, own=m)


def test_files_behind_the_index_hold_the_same(tmp_path):
    dense, document = random_dense(10)
    shards = split(codes_from_dense(dense, document), [2, 6])
    m = total(shards, 8)
    ranking = rank_features(m, groups=(8,), min_expected=1e-9)
    here = build_index(shards, ranking, own=m)
    there = build_index(shards, ranking, own=m, scratch=tmp_path)
    for name in ("partner", "start", "count", "doc_end"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))
    assert (tmp_path / "partner.npy").is_file()
    whole = build_index([concatenate(shards)], ranking, own=m)
    np.testing.assert_array_equal(here.partner, whole.partner)


def test_panels_cover_every_candidate_once():
    rng = np.random.default_rng(1)
    dense = rng.random((3000, 700)) < 0.05
    m = marginals(codes_from_dense(dense.astype(float), np.arange(3000) // 100), 700)
    ranking = rank_features(m, groups=(700,), min_expected=5.0)
    found = list(panels(ranking))
    assert sum(int(ranking.limit[a:b].sum()) for a, b, _ in found) == ranking.tested
    assert all(ranking.limit[a:b].max() == width for a, b, width in found)
    assert all(x[1] <= y[0] for x, y in pairwise(found))


def test_joining_parts_of_different_pairs_keeps_all():
    dense, document = random_dense(11)
    sums, _, _, _ = everything([codes_from_dense(dense, document)], 8)
    half = np.arange(len(sums)) % 2 == 0
    same(sums, merge([join([sums.take(half), sums.take(~half)])]))
