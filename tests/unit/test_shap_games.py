"""Shapley and Owen values of games whose values are known, or found from all orders."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.errors import ModelError, UsageError
from queries.followups.shapley import owen
from queries.followups.shapley.games import Remembered, check_efficiency
from queries.followups.shapley.values import explained, partitioned

TREES = [
    (0, 1),
    (0, 1, 2),
    ((0, 1), 2),
    ((0, 2), (1, 3)),
    ((0, 1, 2), 3, (4, 5)),
    (((0, 1), 2), (3, 4)),
]


def table_game(players, seed=0):
    """A game with a drawn worth for every coalition."""
    worth = np.random.default_rng(seed).normal(size=2**players)
    return lambda masks: worth[masks @ (1 << np.arange(players))]


def is_run(order, group):
    places = sorted(order.index(player) for player in group)
    return places[-1] - places[0] == len(places) - 1


def groups_of(tree):
    return [] if isinstance(tree, int) else [
        owen.players_of(tree), *(group for part in tree for group in groups_of(part))
    ]  # fmt: skip


def by_orders(game, players, tree=None):
    """Mean of what players add, over all orders in which every group is an unbroken run."""
    groups = groups_of(tree) if tree is not None else []
    masks = np.array(list(product([False, True], repeat=players)))
    worth = dict(zip(map(bytes, masks), game(masks), strict=True))
    total, number = np.zeros(players), 0
    for order in permutations(range(players)):
        if not all(is_run(order, group) for group in groups):
            continue
        mask = np.zeros(players, bool)
        before = worth[bytes(mask)]
        for player in order:
            mask[player] = True
            after = worth[bytes(mask)]
            total[player] += after - before
            before = after
        number += 1
    return total / number


@pytest.mark.parametrize("players", [1, 2, 3, 5])
def test_exact_values_are_the_mean_over_all_orders(players):
    game = table_game(players)
    found = explained(game, players)
    np.testing.assert_allclose(found.values, by_orders(game, players), atol=1e-9)
    assert found.method == "shapley-exact"
    assert found.errors is None
    assert found.evaluations == 2**players


@pytest.mark.parametrize("tree", TREES)
def test_exact_owen_values_are_the_mean_over_the_orders_that_keep_groups_together(tree):
    players = len(owen.players_of(tree))
    game = table_game(players, seed=1)
    found = explained(game, players, tree=tree)
    assert found.method == "owen-exact"
    np.testing.assert_allclose(found.values, by_orders(game, players, tree), atol=1e-9)


@pytest.mark.parametrize("tree", [((0, 1), 2), ((0, 2), (1, 3)), (((0, 1), 2), (3, 4))])
def test_shaps_partition_gives_the_owen_values_of_pairs(tree):
    players = len(owen.players_of(tree))
    game, needed = table_game(players, seed=2), owen.evaluations_of_pairs(tree)
    found = partitioned(game, owen.linkage(tree), max_evals=needed + 2, needed=needed)
    np.testing.assert_allclose(found.values, by_orders(game, players, tree), atol=1e-9)
    assert not found.coarse
    less = partitioned(game, owen.linkage(tree), max_evals=needed // 2, needed=needed)
    assert less.coarse
    assert less.values.sum() == pytest.approx(less.full - less.base)


def test_owen_values_differ_from_shapley_values_where_groups_matter():
    game = table_game(4)
    tree = ((0, 2), (1, 3))
    assert np.abs(explained(game, 4, tree=tree).values - explained(game, 4).values).max() > 0.01


def test_random_pairs_of_larger_groups_average_to_their_owen_values():
    tree = ((0, 1, 2), 3, (4, 5))
    game, rng = table_game(6, seed=3), np.random.default_rng(0)
    rows = []
    for _ in range(400):
        pairs = owen.halved(tree, rng)
        assert owen.is_binary(pairs)
        assert owen.tree_of_linkage(owen.linkage(pairs)) == pairs
        rows.append(explained(game, 6, tree=pairs).values)
    error = np.std(rows, axis=0) / 20
    wanted = by_orders(game, 6, tree)
    assert error.max() > 0, "a drawn tree of pairs alone is not enough"
    assert (np.abs(np.mean(rows, axis=0) - wanted) < 4 * error + 1e-9).all()


def test_partition_reports_the_spread_of_its_draws():
    tree = tuple(range(8))
    game = table_game(8, seed=4)
    found = explained(game, 8, tree=tree, max_evals=250)
    assert found.method == "owen-partition"
    assert found.errors.max() > 0
    wanted = explained(game, 8).values
    assert (np.abs(found.values - wanted) < 5 * found.errors + 0.05).all()


def additive(weights):
    return lambda masks: masks @ weights + 3.0


@pytest.mark.parametrize(
    ("explainer", "tree"),
    [("exact", None), ("permutation", None), ("kernel", None), ("partition", ((0, 1), (2, 3, 4)))],
)
def test_every_explainer_finds_what_players_of_an_additive_game_bring(explainer, tree):
    weights = np.array([1.0, -2.0, 0.5, 0.0, 4.0])
    found = explained(additive(weights), 5, explainer=explainer, tree=tree, max_evals=200)
    np.testing.assert_allclose(found.values, weights, atol=1e-6)
    assert (found.base, found.full) == (3.0, 6.5)
    if found.errors is not None:
        assert found.errors.max() < 1e-6


@pytest.mark.parametrize("explainer", ["permutation", "kernel"])
def test_sampled_values_come_near_the_exact_ones_as_their_errors_say(explainer):
    def game(masks):
        return (masks[:, :4].sum(axis=1) >= 2) + masks[:, 4:].prod(axis=1) * masks[:, 0]

    wanted = explained(game, 9).values
    found = explained(game, 9, explainer=explainer, max_evals=1500, seed=5)
    assert found.errors.max() > 0
    assert (np.abs(found.values - wanted) < 5 * found.errors + 1e-2).all()
    assert np.abs(found.values - wanted).max() < 0.1


@pytest.mark.parametrize("explainer", ["permutation", "kernel"])
def test_sampling_depends_on_its_seed_alone_and_leaves_numpys_as_it_was(explainer):
    game = table_game(7)
    np.random.seed(11)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(11)  # noqa: NPY002
    first = explained(game, 7, explainer=explainer, max_evals=70, seed=1)
    assert np.random.random() == expected  # noqa: NPY002
    again = explained(game, 7, explainer=explainer, max_evals=70, seed=1)
    other = explained(game, 7, explainer=explainer, max_evals=70, seed=2)
    np.testing.assert_array_equal(first.values, again.values)
    assert np.abs(first.values - other.values).max() > 1e-3


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-50, 50), min_size=16, max_size=16),
    st.sampled_from(["exact", "permutation", "kernel", "partition"]),
    st.integers(0, 1000),
)
def test_values_add_up_to_the_whole(worth, explainer, seed):
    table = np.array(worth)
    tree = ((0, 1), (2, 3)) if explainer == "partition" else None
    found = explained(
        lambda masks: table[masks @ (1 << np.arange(4))], 4,
        explainer=explainer, tree=tree, max_evals=64, seed=seed,
    )  # fmt: skip
    assert found.values.sum() == pytest.approx(table[-1] - table[0], abs=1e-6)


def test_values_that_do_not_add_up_are_refused():
    check_efficiency(np.array([1.0, 2.0]), 0.0, 3.0009)
    with pytest.raises(ModelError, match=r"add up to 3, not to 3\.01"):
        check_efficiency(np.array([1.0, 2.0]), 0.0, 3.01)
    with pytest.raises(ModelError):
        check_efficiency(np.array([np.nan]), 0.0, 1.0)


def test_a_coalition_is_evaluated_once():
    asked = []

    def game(masks):
        asked.extend(map(tuple, masks.tolist()))
        return masks.sum(axis=1).astype(float)

    known = Remembered(game)
    masks = np.array([[0, 1], [1, 1], [0, 1]], bool)
    assert known(masks).tolist() == [1, 2, 1]
    assert known(masks[::-1]).tolist() == [1, 2, 1]
    assert len(asked) == len(set(asked)) == 2


def test_an_outcome_that_is_not_finite_is_refused():
    with pytest.raises(ModelError, match="not finite"):
        explained(lambda masks: np.where(masks.all(axis=1), np.inf, 0.0), 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"explainer": "permutation", "max_evals": 8}, "A permutation of 4 players takes 9"),
        ({"explainer": "kernel", "max_evals": 20}, "needs 32 coalitions"),
        ({"explainer": "partition"}, "needs a hierarchy"),
        ({"explainer": "kernel", "tree": (0, 1, 2, 3)}, "knows no hierarchy"),
    ],
)
def test_requests_that_cannot_be_met_say_why(options, message):
    with pytest.raises(UsageError, match=message):
        explained(table_game(4), 4, **options)
    with pytest.raises(UsageError, match="4096 coalitions"):
        explained(table_game(12), 12, explainer="exact")


def test_no_player_is_worth_nothing_and_twelve_are_sampled():
    found = explained(lambda masks: np.full(len(masks), 2.0), 0)
    assert (found.values.size, found.base, found.full) == (0, 2.0, 2.0)
    assert explained(additive(np.arange(12.0)), 12).method == "shapley-permutation"


def test_trees_of_paths_and_nested_names():
    paths = owen.paths_of((("a", "b"), ("c", ("d", "e")), "f"))
    assert paths == {
        "a": ("1",), "b": ("1",), "c": ("2",), "d": ("2", "2.1"), "e": ("2", "2.1"), "f": (),
    }  # fmt: skip
    assert owen.tree_of([paths[name] for name in "abcdef"]) == ((0, 1), (2, (3, 4)), 5)
    assert owen.tree_of([paths[name] for name in "ad"]) == (0, 1)
    assert owen.tree_of([("x",), ("x",), ("x",)]) == (0, 1, 2)
    for wrong in [("a", ("a", "b")), ("a", ())]:
        with pytest.raises(UsageError):
            owen.paths_of(wrong)


@pytest.mark.parametrize("tree", TREES)
def test_contexts_are_probabilities_and_within_the_bound(tree):
    rows = list(owen.contexts_of(tree))
    assert sorted(player for player, _, _ in rows) == owen.players_of(tree) or len(rows) > 1
    masks = set()
    for player, before, weight in rows:
        assert weight.sum() == pytest.approx(1)
        assert not before[:, player].any()
        masks |= {tuple(mask) for mask in before.tolist()}
    assert len(masks) <= owen.coalitions_needed(tree)
