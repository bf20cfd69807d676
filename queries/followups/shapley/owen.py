"""Players in a hierarchy, and their Owen values.

A hierarchy says that the players of a group come and go next to each other: of all orders in
which the players may join, only those count in which every group is an unbroken run. A player's
Owen value is what it adds to those before it, over these orders (Owen, Values of games with a
priori unions, 1977; for several levels Winter, A value for cooperative games with levels
structure of cooperation, 1989). With one level, or groups of one, it is the Shapley value.

A tree is a player's number, or a tuple of trees.
"""

from __future__ import annotations

from itertools import combinations
from math import factorial
from typing import TYPE_CHECKING, TypeAlias, Union

import numpy as np

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

Tree: TypeAlias = Union[int, "tuple[Tree, ...]"]
Nested: TypeAlias = Union[str, "tuple[Nested, ...]"]


def paths_of(nested: Nested) -> dict[str, tuple[str, ...]]:
    """Return the groups that each name of a nested tuple is in, from the widest to the narrowest.

    Groups are numbered from 1, and within a group ``1.1``, ``1.2``, ...

    Raises
    ------
    UsageError
        A name is there twice, or a tuple is empty.
    """
    found: dict[str, tuple[str, ...]] = {}

    def walk(part: Nested, path: tuple[str, ...]) -> None:
        if isinstance(part, str):
            if part in found:
                raise UsageError(f"{part} is in the hierarchy twice.")
            found[part] = path
            return
        if not part:
            raise UsageError("A group of the hierarchy is empty.")
        groups = 0
        for child in part:
            if isinstance(child, str):
                walk(child, path)
            else:
                groups += 1
                walk(child, (*path, f"{path[-1]}.{groups}" if path else str(groups)))

    walk(nested, ())
    return found


def tree_of(paths: Sequence[tuple[str, ...]]) -> Tree:
    """Return the tree of players ``0, 1, ...`` whose groups are given from the widest on.

    A player whose path ends is by itself there; a group of one is left out.
    """

    def build(members: list[int], depth: int) -> Tree:
        if len(members) == 1:
            return members[0]
        groups: dict[str | int, list[int]] = {}
        for member in members:
            path = paths[member]
            groups.setdefault(path[depth] if depth < len(path) else member, []).append(member)
        parts = tuple(build(group, depth + 1) for group in groups.values())
        return parts[0] if len(parts) == 1 else parts

    if not paths:
        raise UsageError("A hierarchy needs a player.")
    return build(list(range(len(paths))), 0)


def players_of(tree: Tree) -> list[int]:
    """Players of a tree, from left to right."""
    return [tree] if isinstance(tree, int) else [one for part in tree for one in players_of(part)]


def coalitions_needed(tree: Tree) -> int:
    """Return an upper bound of the coalitions that exact Owen values need."""

    def count(part: Tree, contexts: int) -> int:
        if isinstance(part, int):
            return 0
        inner = contexts << (len(part) - 1)
        return (contexts << len(part)) + sum(count(child, inner) for child in part)

    return max(2, count(tree, 1))


def contexts_of(tree: Tree) -> Iterator[tuple[int, NDArray[np.bool_], NDArray[np.float64]]]:
    """Yield every player with the coalitions that may be before it, and their probabilities.

    Yields
    ------
    int
        The player.
    ndarray
        bool ``[coalitions, players]``, each without the player.
    ndarray
        float64 ``[coalitions]``, adding up to 1.
    """
    number = len(players_of(tree))

    def walk(
        part: Tree, before: NDArray[np.bool_], weight: NDArray[np.float64]
    ) -> Iterator[tuple[int, NDArray[np.bool_], NDArray[np.float64]]]:
        if isinstance(part, int):
            yield part, before, weight
            return
        masks = [_members(child, number) for child in part]
        for place, child in enumerate(part):
            others, share = _subsets([mask for k, mask in enumerate(masks) if k != place], number)
            joint = (before[:, None] | others[None]).reshape(-1, number)
            yield from walk(child, joint, np.outer(weight, share).ravel())

    yield from walk(tree, np.zeros((1, number), bool), np.ones(1))


def _members(tree: Tree, number: int) -> NDArray[np.bool_]:
    mask = np.zeros(number, bool)
    mask[players_of(tree)] = True
    return mask


def _subsets(
    masks: Sequence[NDArray[np.bool_]], number: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Unions of the subsets of some groups, and how often each comes before one more group."""
    found, weight = [], []
    whole = factorial(len(masks) + 1)
    for size in range(len(masks) + 1):
        share = factorial(size) * factorial(len(masks) - size) / whole
        for some in combinations(masks, size):
            found.append(np.logical_or.reduce([np.zeros(number, bool), *some]))
            weight.append(share)
    return np.array(found), np.array(weight)


def halved(tree: Tree, rng: np.random.Generator) -> Tree:
    """Return a tree in which every group has two parts, the parts of larger ones drawn at random.

    With the parts in random order, a group is halved again and again. The orders that a tree of
    pairs allows are then, over the draws, those of the tree given: each group's parts in any
    order, all equally often.
    """
    if isinstance(tree, int):
        return tree
    parts = [halved(part, rng) for part in tree]
    if len(parts) > 2:
        parts = [parts[place] for place in rng.permutation(len(parts))]

    def halve(some: list[Tree]) -> Tree:
        if len(some) == 1:
            return some[0]
        middle = len(some) // 2
        return (halve(some[:middle]), halve(some[middle:]))

    return halve(parts)


def is_binary(tree: Tree) -> bool:
    """Whether every group has two parts."""
    return isinstance(tree, int) or (len(tree) == 2 and all(map(is_binary, tree)))


def linkage(tree: Tree) -> NDArray[np.float64]:
    """Return a tree of pairs in the form of `scipy.cluster.hierarchy`, ``[players - 1, 4]``.

    The height of a group is the share of all players that it has.
    """
    number = len(players_of(tree))
    rows: list[tuple[float, float, float, float]] = []

    def add(part: Tree) -> tuple[int, int]:
        if isinstance(part, int):
            return part, 1
        (left, few), (right, more) = (add(child) for child in part)
        rows.append((left, right, (few + more) / number, few + more))
        return number + len(rows) - 1, few + more

    add(tree)
    return np.array(rows).reshape(-1, 4)


def tree_of_linkage(merges: NDArray[np.float64]) -> Tree:
    """Return the tree of a linkage matrix."""
    parts: list[Tree] = list(range(len(merges) + 1))
    for left, right in merges[:, :2].astype(int):
        parts.append((parts[left], parts[right]))
    return parts[-1]


def evaluations_of_pairs(tree: Tree) -> int:
    """Return what `shap.explainers.Partition` evaluates to open every group of a tree of pairs."""
    if isinstance(tree, int):
        return 0
    return 2 + 2 * sum(evaluations_of_pairs(part) for part in tree)
