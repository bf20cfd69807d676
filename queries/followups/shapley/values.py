"""Shapley and Owen values of a game, by the explainers of the library shap.

A game maps coalitions of players to what they are worth together. Values add up to what all
players are worth less what none is: this is checked every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from atlas.errors import UsageError
from queries.followups.shapley.games import (
    Remembered,
    Values,
    check_efficiency,
    seeded,
    shap_library,
)
from queries.followups.shapley.owen import (
    Tree,
    coalitions_needed,
    contexts_of,
    evaluations_of_pairs,
    halved,
    is_binary,
    linkage,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from queries.followups.shapley.games import Game

    Floats = NDArray[np.float64]

Explainer = Literal["auto", "exact", "permutation", "partition", "kernel"]
#: From this many players on, ``auto`` samples.
MANY = 12
#: Runs among which the sampling of ``kernel`` is divided.
KERNELS = 4
#: Largest number of hierarchies of pairs that ``partition`` draws.
DRAWS = 16
#: Coalitions that shap's Partition asks for at a time where its masker does not say.
PARTITION_BATCH = 10


def explained(
    game: Game,
    players: int,
    *,
    explainer: Explainer = "auto",
    tree: Tree | None = None,
    max_evals: int = 500,
    seed: int = 0,
) -> Values:
    """Divide what all players are worth, less what none is, among them.

    Parameters
    ----------
    game
        What coalitions are worth; asked once for each.
    players
        Number of players.
    explainer
        ``exact``: Shapley values over all coalitions. ``permutation``, ``kernel``: sampled.
        ``partition``: Owen values over `tree`, exact where the budget allows, else by
        `shap.explainers.Partition`. ``auto``: ``partition`` with a tree, else ``exact`` below
        `MANY` players, else ``permutation``.
    tree
        Hierarchy of the players, for ``partition``.
    max_evals
        Most coalitions to evaluate; exact values of fewer than `MANY` players may take more.
    seed
        Of what is sampled, and of ties.

    Raises
    ------
    UsageError
        The budget is too small, or ``partition`` has no tree, or another explainer has one.
    ModelError
        A coalition's worth is not finite, or the values do not add up.
    """
    if explainer == "auto":
        explainer = "partition" if tree else "exact" if players < MANY else "permutation"
    if (tree is not None) != (explainer == "partition"):
        raise UsageError(
            f"The explainer {explainer!r} {'knows no' if tree is not None else 'needs a'} "
            "hierarchy.",
            hint="Give communities exactly where the explainer is 'partition'.",
        )
    known = Remembered(game)
    ends = known(np.array([[False] * players, [True] * players]))
    base, full = float(ends[0]), float(ends[1])
    if players < 2:
        only = np.full(players, full - base)
        return Values(only, None, base, full, f"shapley-{explainer}", len(known.known))
    with seeded(seed):
        found = _BY_EXPLAINER[explainer](known, players, tree, max_evals, seed)
    values, errors, method, coarse = found
    check_efficiency(values, base, full)
    return Values(values, errors, base, full, method, len(known.known), coarse)


def partitioned(
    game: Game, merges: Floats, *, max_evals: int, needed: int, seed: int = 0
) -> Values:
    """Owen values over a linkage matrix, as `shap.explainers.Partition` alone gives them.

    Parameters
    ----------
    game
        What coalitions are worth.
    merges
        Hierarchy of pairs, ``[players - 1, 4]``.
    max_evals
        Budget, counted as shap does: a coalition counts again where it comes again.
    needed
        What opening every group takes.
    seed
        Of ties between groups.
    """
    if len(merges) == 0:
        return explained(game, 1)
    known = Remembered(game)
    with seeded(seed):
        values, base, full = _partition(known, merges, max_evals, needed)
    check_efficiency(values, base, full)
    coarse = needed > max_evals - 2
    return Values(values, None, base, full, "owen-partition", len(known.known), coarse)


Found: TypeAlias = "tuple[Floats, Floats | None, str, bool]"


def _exact(known: Remembered, players: int, _tree: Any, max_evals: int, _seed: int) -> Found:
    if players >= MANY and 2**players > max_evals:
        raise UsageError(
            f"Exact values of {players} players take {2**players} coalitions; "
            f"max_evals is {max_evals}.",
            hint="Raise max_evals, or choose 'permutation'.",
        )
    explainer = shap_library().explainers.Exact(known, np.zeros((1, players)))
    row = explainer(np.ones((1, players)), max_evals=2**players, silent=True)
    return row.values[0], None, "shapley-exact", False


def _permutation(known: Remembered, players: int, _tree: Any, max_evals: int, seed: int) -> Found:
    """Average runs of one permutation, forward and backward, so that their spread is known."""
    each = 2 * players + 1
    runs = max_evals // each
    if runs == 0:
        raise UsageError(
            f"A permutation of {players} players takes {each} coalitions; max_evals is "
            f"{max_evals}.",
            hint=f"Give at least {2 * each}; two permutations tell the standard error.",
        )
    library, background = shap_library(), np.zeros((1, players))
    rows = []
    for number in np.random.SeedSequence(seed).generate_state(runs):
        explainer = library.explainers.Permutation(known, background, seed=int(number))
        row = explainer(np.ones((1, players)), max_evals=each, silent=True)
        rows.append(row.values[0])
    return *_averaged(rows), "shapley-permutation", False


def _kernel(known: Remembered, players: int, _tree: Any, max_evals: int, seed: int) -> Found:
    each = max_evals // KERNELS
    if each < 2 * players:
        raise UsageError(
            f"Kernel SHAP of {players} players needs {2 * players * KERNELS} coalitions; "
            f"max_evals is {max_evals}.",
            hint="Raise max_evals, or choose 'permutation'.",
        )
    explainer = shap_library().KernelExplainer(known, np.zeros((1, players)))
    rows = []
    for number in np.random.SeedSequence(seed).generate_state(KERNELS):
        np.random.seed(int(number))  # noqa: NPY002 - shap draws from the global state
        rows.append(
            explainer.shap_values(np.ones(players), nsamples=each, l1_reg=False, silent=True)
        )
    return *_averaged(rows), "shapley-kernel", False


def _owen(known: Remembered, _players: int, tree: Any, max_evals: int, seed: int) -> Found:
    if coalitions_needed(tree) <= max_evals:
        return _exact_owen(known, tree), None, "owen-exact", False
    rng = np.random.default_rng(seed)
    needed = evaluations_of_pairs(halved(tree, rng)) + 2
    runs = 1 if is_binary(tree) else min(DRAWS, max(2, max_evals // needed))
    rows = []
    coarse = False
    for _ in range(runs):
        pairs = halved(tree, rng)
        opening = evaluations_of_pairs(pairs)
        rows.append(_partition(known, linkage(pairs), max_evals // runs, opening)[0])
        coarse |= opening > max_evals // runs - 2
    return *_averaged(rows), "owen-partition", coarse


def _exact_owen(known: Remembered, tree: Tree) -> Floats:
    rows = sorted(contexts_of(tree), key=lambda row: row[0])
    present = [before.copy() for _, before, _ in rows]
    for (player, _, _), mask in zip(rows, present, strict=True):
        mask[:, player] = True
    known(np.concatenate([*(before for _, before, _ in rows), *present]))
    return np.array(
        [
            float(weight @ (known(mask) - known(before)))
            for (_, before, weight), mask in zip(rows, present, strict=True)
        ]
    )


def _partition(
    known: Remembered, merges: Floats, max_evals: int, needed: int
) -> tuple[Floats, float, float]:
    """Run shap's Partition; with a budget for every group the size of its batches is free."""
    players = len(merges) + 1
    library = shap_library()
    masker = library.maskers.Partition(np.zeros((1, players)), clustering=merges)
    explainer = library.explainers.Partition(known, masker)
    row = explainer(
        np.ones((1, players)),
        max_evals=max_evals,
        batch_size=max_evals if needed <= max_evals - 2 else PARTITION_BATCH,
        silent=True,
    )
    ends = known(np.array([[False] * players, [True] * players]))
    return row.values[0], float(ends[0]), float(ends[1])


def _averaged(rows: list[Floats]) -> tuple[Floats, Floats | None]:
    """Mean of independent runs, and its standard error where there is more than one."""
    runs = np.array(rows)
    errors = runs.std(axis=0, ddof=1) / np.sqrt(len(runs)) if len(runs) > 1 else None
    return runs.mean(axis=0), errors


_BY_EXPLAINER = {
    "exact": _exact,
    "permutation": _permutation,
    "kernel": _kernel,
    "partition": _owen,
}
