from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.errors import UsageError
from ingest.cooccurrence import torch_parts
from ingest.cooccurrence.device_index import pieces, put_on_device, ragged, row_bounds
from ingest.cooccurrence.engine import panels
from ingest.cooccurrence.parts import LocalParts, Pairs
from ingest.cooccurrence.torch_parts import EXACT, TorchParts, choose, positions_at_once
from ingest.cooccurrence.torch_sums import cut_groups
from ingest.precision import tf32
from tests.unit.index_cases import Case, random_case, some_pairs

#: From one position, firing and document at a time, nothing resident, to all at once.
BUDGETS = (1, 3000, 200_000, None)
GROUPS = (None, (23,), (9, 14), (14, 9))


def both(case: Case, **options) -> tuple[LocalParts, TorchParts]:
    return LocalParts(case.indexes), TorchParts(case.indexes, device="cpu", **options)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    parts=st.integers(1, 3),
    groups=st.sampled_from(GROUPS),
    method=st.sampled_from(["gemm", "scatter", None]),
    budget=st.sampled_from(BUDGETS),
    cut=st.integers(1, 23),
)
def test_joint_firings_are_those_of_the_kernels(seed, parts, groups, method, budget, cut):
    case = random_case(seed, parts=parts, groups=groups)
    local, fast = both(case, method=method, budget=budget)
    ranks = len(case.ranking.order)
    for first in range(0, ranks, cut):
        last = min(first + cut, ranks)
        width = int(case.ranking.limit[first:last].max())
        for wide in {width, ranks}:
            expected = local.joint(first, last, width=wide)
            found = fast.joint(first, last, width=wide)
            assert found.dtype == np.int64
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("method", ["gemm", "scatter"])
@pytest.mark.parametrize("groups", [(23,), (9, 14)])
def test_joint_firings_are_those_of_dense_products(method, groups):
    case = random_case(6, groups=groups)
    fires = case.fires[:, case.ranking.order].astype(np.int64)
    ranks = fires.shape[1]
    below = np.arange(ranks) < case.ranking.limit[:, None]
    assert 0 < below.sum() < ranks * (ranks - 1) // 2
    found = both(case, method=method)[1].joint(0, ranks, width=ranks)
    np.testing.assert_array_equal(found, np.where(below, fires.T @ fires, 0))


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    parts=st.integers(1, 3),
    groups=st.sampled_from(GROUPS),
    folds=st.sampled_from([1, 3]),
    budget=st.sampled_from(BUDGETS),
    share=st.sampled_from([0.0, 0.1, 0.7, 1.0]),
    first=st.integers(0, 12),
)
def test_sums_are_those_of_the_kernels(seed, parts, groups, folds, budget, share, first):
    case = random_case(seed, parts=parts, groups=groups)
    local, fast = both(case, budget=budget)
    pairs = some_pairs(case.ranking, seed, first=first, share=share)
    expected, found = (p.sums(pairs, folds=folds) for p in (local, fast))
    assert (found[0].dtype, found[1].dtype) == (np.int64, np.float64)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-9, atol=0)


@pytest.mark.parametrize("budget", BUDGETS)
def test_sums_are_those_of_the_definition(budget):
    case = random_case(8, documents=14)
    pairs = some_pairs(case.ranking, 8)
    fires = case.fires[:, case.ranking.order].astype(np.int64)
    fold_of = case.document % 3
    integers, floats = both(case, budget=budget)[1].sums(pairs, folds=3)
    assert len(pairs.kept) > 20
    for place, (i, j) in enumerate(zip(pairs.kept, pairs.column, strict=True)):
        for fold in range(3):
            some = np.unique(case.document[fold_of == fold])
            rows = [fires[case.document == d] for d in some]
            a = np.array([(x[:, i] * x[:, j]).sum() for x in rows])
            b, c = (np.array([x[:, k].sum() for x in rows]) for k in (i, j))
            t = np.array([len(x) for x in rows])
            expected = [a, a > 0, a * a, a * b, a * c, a * t, b * c]
            real = [b * c / t, a * b * c / t, (b * c / t) ** 2]
            assert integers[:, fold, place].tolist() == [v.sum() for v in expected]
            np.testing.assert_allclose(floats[:, fold, place], [v.sum() for v in real])


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    groups=st.sampled_from(GROUPS),
    budget=st.sampled_from(BUDGETS),
)
def test_topics_are_those_of_the_kernels(seed, groups, budget):
    case = random_case(seed, groups=groups)
    local, fast = both(case, budget=budget)
    spread = case.m.topic_variance[case.ranking.order]
    scale = np.where(spread > 1e-9, 1 / np.sqrt(np.maximum(spread, 1e-9)), 0.0)
    rate = case.m.n[case.ranking.order] / case.m.positions
    for first, last, width in panels(case.ranking):
        expected = local.topic(first, last, width=width, rate=rate, scale=scale)
        found = fast.topic(first, last, width=width, rate=rate, scale=scale)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("budget", [1, None])
def test_indexes_in_files_and_read_only_ones(tmp_path, budget):
    case = random_case(4, scratch=tmp_path)
    assert isinstance(case.indexes[0].partner, np.memmap)
    indexes = []
    for index in case.indexes:
        partner = index.partner.copy()
        partner.flags.writeable = False
        indexes.append(replace(index, partner=partner))
    pairs = some_pairs(case.ranking, 4)
    for given_ in (case.indexes, indexes):
        fast = TorchParts(given_, device="cpu", budget=budget)
        ranks = len(case.ranking.order)
        np.testing.assert_array_equal(
            fast.joint(0, ranks, width=ranks), LocalParts(given_).joint(0, ranks, width=ranks)
        )
        np.testing.assert_array_equal(fast.sums(pairs)[0], LocalParts(given_).sums(pairs)[0])


def test_stored_integers_beyond_those_of_int16():
    """Ranks and counts of 32,768 and more, stored as uint16, are not taken for negative ones."""
    case = random_case(2, features=70_000, documents=4, longest=7, parts=1, min_expected=1e-9)
    ranks, index = len(case.ranking.order), case.indexes[0]
    assert index.partner.dtype == index.count.dtype == np.uint16
    assert 1 << 15 < ranks < 1 << 16
    last = ranks - 20
    expected = LocalParts([index]).joint(last, ranks, width=ranks)
    for method in ("gemm", "scatter"):
        fast = TorchParts([index], device="cpu", method=method)
        np.testing.assert_array_equal(fast.joint(last, ranks, width=ranks), expected)
    pairs = some_pairs(case.ranking, 1, first=last, share=0.05)
    large = replace(index, count=index.count * np.uint16(9_000), length=index.length * 9_000)
    assert large.count.max() >= 1 << 15
    found, wanted = (
        x.sums(pairs) for x in (TorchParts([index], device="cpu"), LocalParts([index]))
    )
    np.testing.assert_array_equal(found[0], wanted[0])
    options = {"width": 99, "rate": np.full(ranks, 0.5), "scale": np.full(ranks, 0.5)}
    found, wanted = (
        x.topic(0, 2, **options) for x in (TorchParts([large], device="cpu"), LocalParts([large]))
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.mark.parametrize("method", ["gemm", "scatter"])
def test_counts_beyond_what_float32_holds(method):
    """2^24 + 1 joint firings: 257 parts of 65,281 positions at which both features fire."""
    positions, parts = 65_281, 257
    assert positions * parts == EXACT + 1
    assert int(np.float32(EXACT + 1)) == EXACT
    case = random_case(2, features=6, documents=1, longest=1, parts=1)
    rows = np.arange(positions)
    ranking = replace(
        case.ranking,
        order=np.arange(2, dtype=np.int32),
        rank=np.arange(2, dtype=np.int32),
        limit=np.array([0, 1]),
    )
    index = replace(
        case.indexes[0],
        ranking=ranking,
        partner=np.tile(np.array([0, 1], np.uint16), positions),
        column=np.array([0, positions, 2 * positions]),
        start=np.tile(2 * rows, 2).astype(np.int32),
        doc_end=np.array([2 * positions]),
        length=np.array([positions]),
        count=np.full((1, 2), positions, np.int32),
        number=np.zeros(1, np.int64),
    )
    many = TorchParts([index] * parts, device="cpu", method=method, budget=1 << 40)
    assert many.joint(0, 2, width=1).tolist() == [[0], [EXACT + 1]]
    integers, floats = TorchParts([index] * 3, device="cpu").sums(
        Pairs(0, np.array([0, 0, 1]), np.zeros(1, np.int32))
    )
    assert integers[:, 0, 0].tolist() == [3 * positions, 3] + [3 * positions**2] * 5
    assert floats[:, 0, 0].tolist() == [3 * positions, 3 * positions**2, 3 * positions**2]


def test_a_product_has_fewer_positions_than_float32_counts():
    assert positions_at_once(1 << 50, columns=1, width=1, firings=1.0) == EXACT - 1
    assert positions_at_once(1, columns=512, width=8192, firings=32.0) == 1
    step = positions_at_once(1 << 30, columns=512, width=8192, firings=32.0)
    assert (1 << 28) < 4 * (512 + 8192) * step < (1 << 30)


def test_products_are_cut_into_chunks(monkeypatch):
    """With chunks of five positions the blocks are small and the counts the same."""
    case = random_case(10, documents=12)
    monkeypatch.setattr(torch_parts, "EXACT", 6)
    seen = []
    blocks = torch_parts._blocks

    def spy(x, low, high, shape):
        seen.append(high - low)
        return blocks(x, low, high, shape)

    monkeypatch.setattr(torch_parts, "_blocks", spy)
    local, fast = both(case, method="gemm")
    ranks = len(case.ranking.order)
    np.testing.assert_array_equal(
        fast.joint(0, ranks, width=ranks), local.joint(0, ranks, width=ranks)
    )
    assert len(seen) > 5
    assert max(seen) == 5


def test_the_choice_goes_by_density():
    panel = {"positions": 1_000_000, "columns": 512, "width": 8192}
    for device in ("cpu", "cuda", "another"):
        rare = choose(**panel, firings=512 * 100, increments=512 * 1600.0, device=device)
        assert rare == "scatter"
    dense = {"firings": 512 * 200_000, "increments": 512 * 200_000 * 30.0}
    assert choose(**panel, **dense, device="cuda") == "gemm"
    assert choose(**panel, **dense, device="cpu") == "scatter"
    head = {"positions": 1_000_000, "columns": 64, "width": 64}
    assert choose(**head, firings=64 * 300_000, increments=64 * 3e6, device="cpu") == "gemm"


def test_the_choice_is_made_for_each_panel(monkeypatch):
    case = random_case(12, features=40, documents=30)
    seen = []
    monkeypatch.setattr(torch_parts, "choose", lambda **given_: seen.append(given_) or "scatter")
    both(case)[1].joint(10, 14, width=9)
    fires = case.fires[:, case.ranking.order]
    assert len(seen) == len(case.indexes)
    assert sum(given_["firings"] for given_ in seen) == fires[:, 10:14].sum()
    assert sum(given_["positions"] for given_ in seen) == fires.any(axis=1).sum()
    assert {given_["device"] for given_ in seen} == {"cpu"}
    parts = [np.isin(case.document, range(15)), np.isin(case.document, range(15, 30))]
    limit = np.minimum(case.ranking.limit[10:14], 9)
    for given_, rows in zip(seen, parts, strict=True):
        n = fires[rows].sum(axis=0)
        expected = sum(n[10 + k] * n[:most].sum() for k, most in enumerate(limit)) / rows.sum()
        assert given_["increments"] == pytest.approx(expected)


def test_what_fits_half_the_budget_is_resident():
    case = random_case(14)
    index = case.indexes[0]
    names = ("rows", "partner", "start", "count")
    size = [a.nbytes for a in (row_bounds(index), index.partner, index.start, index.count)]
    for fit in range(5):
        budget = 2 * sum(size[:fit])
        (placed,), work = put_on_device([index], device=torch.device("cpu"), budget=budget)
        held = [getattr(placed, name)._tensor is not None for name in names]
        assert held == [place < fit for place in range(4)]
        assert work == max(budget // 2, 1)


@given(size=st.lists(st.integers(0, 9), max_size=30), most=st.integers(1, 25))
def test_pieces_cover_everything_within_bounds(size, most):
    found = list(pieces(torch.tensor(size, dtype=torch.int64), most))
    covered = [k for first, last, _ in found for k in range(first, last)]
    assert covered == list(range(len(covered)))
    assert sum(size[len(covered) :]) == 0
    for first, last, total in found:
        assert total == sum(size[first:last]) > 0
        assert total < most + max(size[first:last])


@given(
    st.lists(st.tuples(st.integers(-5, 50), st.integers(0, 4)), max_size=12),
)
def test_ragged_lists_ranges(ranges):
    begin, size = (torch.tensor([r[k] for r in ranges], dtype=torch.int64) for k in (0, 1))
    owner, value = ragged(begin, size)
    expected = [(k, b + n) for k, (b, s) in enumerate(ranges) for n in range(s)]
    assert list(zip(owner.tolist(), value.tolist(), strict=True)) == expected


@given(
    size=st.lists(st.integers(0, 6), min_size=1, max_size=20),
    most_pairs=st.integers(1, 12),
    most_cells=st.integers(1, 60),
)
def test_groups_cover_all_pairs_within_bounds(size, most_pairs, most_cells):
    kept = np.concatenate([np.arange(s, dtype=np.int32) for s in size])
    pairs = Pairs(7, np.cumsum([0, *size]), kept)
    found = list(cut_groups(pairs, most_pairs=most_pairs, most_cells=most_cells))
    assert sum(sum(size[first:last]) for first, last in found) == sum(size)
    assert all(one[1] == two[0] for one, two in pairwise(found))
    for first, last in found:
        live = [s for s in size[first:last] if s]
        assert len(live) == 1 or sum(live) <= most_pairs
        assert len(live) == 1 or len(live) * max(size) <= most_cells


def test_devices_without_float64_are_refused():
    case = random_case(0)
    with pytest.raises(UsageError, match="float64"):
        TorchParts(case.indexes, device="mps")


def test_the_precision_of_products_is_restored():
    matmul = torch.backends.cuda.matmul
    name = "fp32_precision" if hasattr(matmul, "fp32_precision") else "allow_tf32"
    before = getattr(matmul, name)
    with tf32(allowed=True):
        inside = getattr(matmul, name)
        with pytest.raises(ZeroDivisionError), tf32(allowed=False):
            assert 1 / (getattr(matmul, name) not in ("ieee", False))
        assert getattr(matmul, name) == inside in ("tf32", True)
    assert getattr(matmul, name) == before
