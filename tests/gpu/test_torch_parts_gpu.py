"""Counting pairs on a CUDA device against the kernels on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from ingest.cooccurrence.engine import panels  # noqa: E402
from ingest.cooccurrence.parts import LocalParts  # noqa: E402
from ingest.cooccurrence.torch_parts import TorchParts  # noqa: E402
from tests.unit.index_cases import Case, random_case, some_pairs  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

#: Nothing resident and many chunks; some of it; everything.
BUDGETS = (1 << 20, 16 << 20, None)


@pytest.fixture(scope="module", params=[(500,), (200, 300)], ids=["one SAE", "two SAEs"])
def case(request) -> Case:
    return random_case(
        2, features=500, documents=80, longest=100, parts=2, groups=request.param, min_expected=1.0
    )


@pytest.fixture
def tf32_everywhere():
    """A process that trades precision for speed elsewhere changes nothing here."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("method", ["gemm", "scatter", None])
def test_joint_firings(case, method, budget):
    fast = TorchParts(case.indexes, device="cuda", method=method, budget=budget)
    ranks = len(case.ranking.order)
    for first in range(0, ranks, 256):
        last = min(first + 256, ranks)
        expected = LocalParts(case.indexes).joint(first, last, width=ranks)
        np.testing.assert_array_equal(fast.joint(first, last, width=ranks), expected)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("folds", [1, 3])
def test_sums(case, folds, budget):
    pairs = some_pairs(case.ranking, 5, share=0.3 if budget is None else 0.01)
    expected = LocalParts(case.indexes).sums(pairs, folds=folds)
    fast = TorchParts(case.indexes, device="cuda", budget=budget)
    found, again = fast.sums(pairs, folds=folds), fast.sums(pairs, folds=folds)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-9, atol=0)
    np.testing.assert_array_equal(found[1], again[1])  # the order of summation is fixed


@pytest.mark.parametrize("budget", BUDGETS)
def test_topics(case, budget, tf32_everywhere):
    spread = case.m.topic_variance[case.ranking.order]
    scale = np.where(spread > 1e-9, 1 / np.sqrt(np.maximum(spread, 1e-9)), 0.0)
    rate = case.m.n[case.ranking.order] / case.m.positions
    fast = TorchParts(case.indexes, device="cuda", budget=budget)
    for first, last, width in panels(case.ranking):
        options = {"width": width, "rate": rate, "scale": scale}
        expected = LocalParts(case.indexes).topic(first, last, **options)
        np.testing.assert_allclose(fast.topic(first, last, **options), expected, atol=2e-5)


@pytest.mark.parametrize("method", ["gemm", "scatter"])
def test_counts_beyond_what_float32_holds(method):
    """An always-on pair in many parts: their joint firings pass 2^24."""
    case = random_case(2, features=8, documents=100, longest=2_000, parts=1)
    parts = (1 << 24) // int(case.m.n.max()) + 1
    ranks = len(case.ranking.order)
    once = LocalParts(case.indexes).joint(0, ranks, width=ranks)
    found = TorchParts(case.indexes * parts, device="cuda", method=method).joint(
        0, ranks, width=ranks
    )
    np.testing.assert_array_equal(found, once * parts)
