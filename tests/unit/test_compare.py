"""Matching of features and agreement of runs, on planted truth and against brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atlas.errors import UsageError
from queries.compare.agreement import adjusted_mutual_information, adjusted_rand, correlation
from queries.compare.diff import _groups, diff_runs
from queries.compare.edges import compare_edges
from queries.compare.match import Matching, match_decoders, match_keys, match_tokens
from queries.compare.read import Edges, Side

WIDTH = 24


def vectors(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, WIDTH)).astype(np.float32)


def pairs(found: Matching) -> dict[int, int]:
    return dict(zip(found.a.tolist(), found.b.tolist(), strict=True))


def brute_force(a: np.ndarray, b: np.ndarray, floor: float) -> dict[int, int]:
    """Compare all with all in double precision."""
    wide = [
        x.astype(float) / np.linalg.norm(x.astype(float), axis=1, keepdims=True) for x in (a, b)
    ]
    cosines = wide[0] @ wide[1].T
    return {
        i: j
        for i, j in enumerate(cosines.argmax(1).tolist())
        if cosines[:, j].argmax() == i and cosines[i, j] >= floor
    }


def test_planted_permutation_with_noise_and_dropped_features() -> None:
    a = vectors(300)
    order = np.random.default_rng(1).permutation(300)
    kept = order[:250]
    noise = np.random.default_rng(2).normal(scale=0.15, size=(250, WIDTH))
    b = np.concatenate([a[kept] * 3 + noise, vectors(40, seed=9)]).astype(np.float32)
    found = match_decoders(a, b, floor=0.9, block=64)
    assert pairs(found) == {int(i): place for place, i in enumerate(kept)}
    assert found.score.min() > 0.97
    assert list(found.a) == sorted(found.a)


def test_the_floor_parts_noise_from_features() -> None:
    a, b = vectors(50), vectors(50, seed=5)
    assert len(match_decoders(a, b, floor=0.9).a) == 0
    assert len(match_decoders(a, b, floor=-1.0).a) > 0
    assert pairs(match_decoders(a, -a, floor=0.9)) == {}


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_blocks_do_not_matter(block: int) -> None:
    a, b = vectors(90), vectors(110, seed=3)
    found = match_decoders(a, b, floor=0.2, block=block)
    assert pairs(found) == brute_force(a, b, 0.2)


@given(
    arrays(np.float32, st.tuples(st.integers(0, 9), st.just(3)), elements=st.integers(-2, 2)),
    arrays(np.float32, st.tuples(st.integers(0, 9), st.just(3)), elements=st.integers(-2, 2)),
    st.integers(1, 10),
)
@settings(max_examples=60, deadline=None)
def test_a_match_is_one_to_one_and_nothing_is_nearer(
    a: np.ndarray, b: np.ndarray, block: int
) -> None:
    found = match_decoders(a, b, floor=0.1, block=block)
    assert len(set(found.a)) == len(set(found.b)) == len(found.a)
    for i, j, score in zip(found.a, found.b, found.score, strict=True):
        norms = np.linalg.norm(a[i]) * np.linalg.norm(b[j])
        assert norms > 0, "a vector of norm 0 matches nothing"
        assert score == pytest.approx(a[i] @ b[j] / norms, abs=1e-6)
        live = [x for x in b if x.any()]
        nearest = max(float(a[i] @ x / np.linalg.norm(a[i]) / np.linalg.norm(x)) for x in live)
        assert score >= nearest - 1e-6


def test_of_equal_vectors_the_first_counts() -> None:
    a = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    b = np.array([[0, 1], [2, 0], [3, 0]], np.float32)
    for block in (1, 2, 3):
        assert pairs(match_decoders(a, b, floor=0.5, block=block)) == {0: 1, 2: 0}


def test_vectors_of_another_width_or_not_finite_are_refused() -> None:
    with pytest.raises(UsageError, match="cannot be compared"):
        match_decoders(vectors(3), vectors(3)[:, :5], floor=0.5)
    broken = vectors(3)
    broken[1, 1] = np.nan
    with pytest.raises(UsageError, match="not finite"):
        match_decoders(broken, vectors(3), floor=0.5)


def test_keys() -> None:
    found = match_keys(["x/1", "x/2", "x/5"], ["x/2", "x/3", "x/1"])
    assert pairs(found) == {0: 2, 1: 0}
    assert found.score.tolist() == [1.0, 1.0]


def test_tokens_match_across_vocabularies() -> None:
    a = [{"goal": 9.0, "ball": 3.0}, {"heart": 5.0, "valve": 5.0}, {}, {"river": 1.0}]
    b = [{"heart": 2.0, "valve": 2.1}, {"the": 1.0}, {"goal": 3.0, "ball": 1.0}, {}]
    for block in (1, 3, 100):
        found = match_tokens(a, b, floor=0.5, block=block)
        assert pairs(found) == {0: 2, 1: 0}
        assert found.score[0] == pytest.approx(1.0)


def test_a_rare_token_counts_more_than_a_common_one() -> None:
    common = [{"the": 1.0} for _ in range(50)]
    found = match_tokens(
        [{"the": 1.0, "aorta": 1.0}, *common], [{"aorta": 1.0}, {"the": 1.0}], floor=0.1
    )
    assert pairs(found)[0] == 0


def rand_by_pairs(a: list[int], b: list[int]) -> float:
    """Adjust the count of pairs that both partitions put together, pair by pair."""
    items = list(combinations(range(len(a)), 2))
    both = sum(a[i] == a[j] and b[i] == b[j] for i, j in items)
    one, two = (sum(x[i] == x[j] for i, j in items) for x in (a, b))
    expected = one * two / len(items)
    largest = (one + two) / 2
    return 1.0 if largest == expected else (both - expected) / (largest - expected)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=30))
@settings(max_examples=100, deadline=None)
def test_adjusted_rand_counts_pairs(items: list[tuple[int, int]]) -> None:
    a, b = [item[0] for item in items], [item[1] for item in items]
    assert adjusted_rand(a, b) == pytest.approx(rand_by_pairs(a, b))


def test_adjusted_rand_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    draw = np.random.default_rng(4)
    a = draw.integers(0, 9, 500)
    b = np.where(draw.random(500) < 0.3, draw.integers(0, 9, 500), a)
    assert adjusted_rand(a, b) == pytest.approx(metrics.adjusted_rand_score(a, b))
    assert adjusted_mutual_information(a, b) == pytest.approx(
        metrics.adjusted_mutual_info_score(a, b)
    )
    assert adjusted_rand([1], [1]) is None
    assert adjusted_mutual_information([1], [1]) is None


def test_correlation_needs_three_places_that_vary() -> None:
    assert correlation([1, 2, 3, np.nan], [2, 4, 6, 1]) == pytest.approx(1)
    assert correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert correlation([1, 2], [1, 2]) is None
    assert correlation([1, 1, 1], [1, 2, 3]) is None


def side(
    run: str,
    saes: list[str],
    edges: dict[str, list[tuple[int, int, float]]] | None = None,
    hooks: dict[str, str | None] | None = None,
) -> Side:
    """Return a run whose features are numbered within their SAEs."""
    n = len(saes)
    keys = [f"{sae}/{i - saes.index(sae)}" for i, sae in enumerate(saes)]
    return Side(
        run=run,
        model="m",
        corpus="c",
        d_model=4,
        keys=keys,
        saes=saes,
        hooks=[(hooks or {}).get(sae) for sae in saes],
        labels=[None] * n,
        communities=[None] * n,
        rate=np.full(n, 0.1),
        edges={kind: _edges(rows) for kind, rows in (edges or {}).items()},
    )


def _edges(rows: list[tuple[int, int, float]]) -> Edges:
    source, target = (np.array([row[i] for row in rows], np.int32) for i in (0, 1))
    strength = np.array([row[2] for row in rows])
    return Edges(source, target, strength, strength.copy(), strength / 2)


def matching(a: list[int], b: list[int]) -> Matching:
    return Matching(np.array(a, np.int32), np.array(b, np.int32), np.ones(len(a)))


def test_edges_of_a_permuted_run() -> None:
    # 0-1-2-3 in a; b has them as 3, 2, 1, 0, without feature 3 of a, and with another 4.
    a = side("a", ["s"] * 4, {"token": [(0, 1, 0.5), (1, 2, 0.4), (0, 2, 0.3), (2, 3, 0.9)]})
    b = side("b", ["t"] * 4, {"token": [(2, 3, 0.2), (1, 2, 0.4), (0, 3, 0.1)]})
    kinds, changes = compare_edges(a, b, matching([0, 1, 2], [3, 2, 1]), top=5)
    (token,) = kinds
    assert (token.kept, token.lost, token.gained) == (2, 1, 0)
    assert (token.outside_a, token.outside_b) == (1, 1)
    assert token.phi is None, "two edges have no correlation"
    assert [(c.change, c.a, c.b, c.strength_a, c.strength_b) for c in changes] == [
        ("kept", ("s/0", "s/1"), ("t/3", "t/2"), 0.5, 0.2),
        ("kept", ("s/1", "s/2"), ("t/2", "t/1"), 0.4, 0.4),
        ("lost", ("s/0", "s/2"), ("t/3", "t/1"), 0.3, None),
    ]


def test_direction_counts_where_it_means_something() -> None:
    a = side("a", ["s"] * 2, {kind: [(0, 1, 0.5)] for kind in ("implies", "similar_to")})
    b = side("b", ["t"] * 2, {kind: [(0, 1, 0.5)] for kind in ("implies", "similar_to")})
    kinds, _ = compare_edges(a, b, matching([0, 1], [1, 0]), top=5)
    assert {k.kind: (k.kept, k.lost, k.gained) for k in kinds} == {
        "implies": (0, 1, 1),
        "similar_to": (1, 0, 0),
    }


def test_kinds_that_one_run_lacks() -> None:
    a = side("a", ["s"] * 3, {"token": [(0, 1, 0.5)]})
    b = side("b", ["s"] * 3, {"topic": [(0, 2, 0.7)]})
    kinds, changes = compare_edges(a, b, matching([0, 1, 2], [0, 1, 2]), top=5)
    assert {k.kind: (k.kept, k.lost, k.gained) for k in kinds} == {
        "token": (0, 1, 0),
        "topic": (0, 0, 1),
    }
    assert [(c.kind, c.change) for c in changes] == [("token", "lost"), ("topic", "gained")]


@pytest.mark.parametrize("seed", range(5))
def test_edge_counts_against_sets(seed: int) -> None:
    draw = np.random.default_rng(seed)
    everything = list(combinations(range(12), 2))

    def some() -> list[tuple[int, int, float]]:
        chosen = draw.permutation(len(everything))[:30]
        return [(*everything[i], float(draw.random())) for i in sorted(chosen)]

    one, two = some(), some()
    a, b = side("a", ["s"] * 12, {"token": one}), side("b", ["t"] * 12, {"token": two})
    left, right = np.sort(draw.permutation(12)[:9]), draw.permutation(12)[:9]
    to_b = dict(zip(left.tolist(), right.tolist(), strict=True))
    mapped = {frozenset((to_b[s], to_b[t])): w for s, t, w in one if s in to_b and t in to_b}
    inside = {frozenset((s, t)): w for s, t, w in two if {s, t} <= set(right.tolist())}
    ((token,), _) = compare_edges(a, b, matching(left.tolist(), right.tolist()), top=0)
    kept = mapped.keys() & inside.keys()
    assert token.kept == len(kept)
    assert token.lost == len(mapped.keys() - kept)
    assert token.gained == len(inside.keys() - kept)
    assert token.outside_a == len(one) - len(mapped)
    expected = correlation([mapped[k] for k in kept], [inside[k] for k in kept])
    assert token.phi == (None if expected is None else pytest.approx(expected))


def test_groups_of_saes() -> None:
    hooks = {"same": "h1", "old": "h2", "new": "h2", "a3": "h3", "b4": "h4"}
    a = side("a", ["a3", "old", "old", "same"], hooks=hooks)
    b = side("b", ["b4", "new", "same", "same"], hooks=hooks)
    groups = [(g.by, g.a.tolist(), g.b.tolist()) for g in _groups(a, b, "auto")]
    assert groups == [
        ("key", [3], [2, 3]),
        ("decoder", [1, 2], [1]),
        ("decoder", [0], [0]),
    ]
    assert [g.by for g in _groups(a, b, "key")] == ["key"]
    assert {g.by for g in _groups(a, b, "tokens")} == {"tokens"}
    assert sum(len(g.a) for g in _groups(a, b, "tokens")) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"b": "a"}, "compared with itself"),
        ({"by": "name"}, "auto, key, decoder, tokens"),
        ({"floor": 1.5}, "no cosine"),
    ],
)
def test_wrong_use_is_refused_before_reading(options: dict[str, object], message: str) -> None:
    class Unread:
        def read(self, *_: object, **__: object) -> list[dict[str, object]]:
            raise AssertionError("nothing is to be read")

    with pytest.raises(UsageError, match=message):
        diff_runs(Unread(), **{"a": "a", "b": "b", **options})
