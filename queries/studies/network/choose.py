"""Which features and sets are steered, and what they are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Members = tuple[int, ...]

KINDS = ("single", "control", "within", "between", "control_set")
"""Kinds of what is steered. A control is of other features, matched one by one."""

#: A control is drawn among so many of the features that are most like its own.
NEAREST = 10

UNITS = pa.schema(
    [
        ("name", pa.string()),
        ("kind", pa.string()),
        ("size", pa.int64()),
        ("features", pa.list_(pa.int64())),
        ("communities", pa.list_(pa.int64())),
        ("matched", pa.string()),
    ]
)
"""A row a feature or set that is steered: latent indices (from 0), their communities (-1 for
none), and, of a control, the name of what it is matched to."""


@dataclass(frozen=True)
class Steered:
    """A feature or set that is steered; the attributes are the columns of `UNITS`."""

    name: str
    kind: str
    features: Members
    communities: Members
    matched: str | None = None

    @property
    def size(self) -> int:
        """Number of features."""
        return len(self.features)


def unit_table(steered: Sequence[Steered]) -> pa.Table:
    """List what is steered; columns of `UNITS`."""
    names = ("name", "kind", "size", "features", "communities", "matched")
    rows = [{name: getattr(one, name) for name in names} for one in steered]
    return pa.Table.from_pylist(rows, schema=UNITS)


def read_units(table: pa.Table) -> list[Steered]:
    """Read what `unit_table` made."""
    return [
        Steered(row["name"], row["kind"], tuple(row["features"]), tuple(row["communities"]),
                row["matched"])
        for row in table.to_pylist()
    ]  # fmt: skip


def spread_evenly(labels: NDArray[np.integer], number: int, *, seed: int) -> Integers:
    """Draw places of features, one of each community in turn; those without one are a community.

    Returns
    -------
    int64, ascending; all places where there are no more than `number`.
    """
    rng = np.random.default_rng([seed, 4])
    turns = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        # Features without a community come last of each turn.
        turns += [(turn, label < 0, label, place) for turn, place in enumerate(members.tolist())]
    drawn = [place for *_, place in sorted(turns)[:number]]
    return np.sort(np.array(drawn, np.int64))


def matched_controls(
    features: Integers, pool: Integers, *, activity: pa.Table, seed: int
) -> dict[int, int]:
    """Give features others that fire in as many prompts, with as large a maximum.

    Parameters
    ----------
    features
        Latent indices, each to be given one control.
    pool
        Latent indices that controls are drawn from.
    activity
        Of `queries.studies.network.attributions.activity_table`, with a row for each of both.
    seed
        Of the draws.

    Returns
    -------
    dict
        Feature to control: one of the `NEAREST` that are left, by the number of prompts and the
        logarithm of the maximum, each over its spread. Features are missing once the pool is
        empty.
    """
    rng = np.random.default_rng([seed, 5])
    like = _likeness(activity)
    index = activity["feature"].to_numpy()
    left = [int(one) for one in pool if one not in set(features.tolist())]
    found: dict[int, int] = {}
    for feature in rng.permutation(features).tolist():
        if not left:
            break
        rows = np.searchsorted(index, left)
        far = ((like[rows] - like[np.searchsorted(index, feature)]) ** 2).sum(axis=1)
        near = np.argsort(far, kind="stable")[:NEAREST]
        found[feature] = left.pop(int(rng.choice(near)))
    return dict(sorted(found.items()))


def _likeness(activity: pa.Table) -> Floats:
    columns = np.column_stack(
        [activity["prompts"].to_numpy(), np.log(activity["maximum"].to_numpy())]
    ).astype(float)
    spread = columns.std(axis=0)
    return np.asarray(columns / np.where(spread > 0, spread, 1.0))


def make_sets(
    features: Integers,
    labels: NDArray[np.integer],
    *,
    sizes: Sequence[int],
    number: int,
    seed: int,
) -> tuple[list[Steered], list[str]]:
    """Draw sets from within communities, and deal the same features out between communities.

    That both kinds have the same features, as often, leaves their grouping as the difference.

    Parameters
    ----------
    features
        Latent indices to draw from.
    labels
        Their communities; negative for none, which are in no set.
    sizes
        Of the sets.
    number
        Sets of each kind and size.
    seed
        Of the draws.

    Returns
    -------
    list of Steered
        Of the kinds ``within`` and ``between``.
    list of str
        What could not be had.
    """
    community = dict(zip(features.tolist(), labels.tolist(), strict=True))
    found, notes = [], []
    for size in sizes:
        rng = np.random.default_rng([seed, 6, size])
        within = list(_within(features, labels, size, number, rng))
        between = _dealt(within, community, rng)
        for kind, some in (("within", within), ("between", between)):
            if len(some) < number:
                notes.append(f"{len(some)} of {number} sets of {size} features {kind} communities")
            found += [
                Steered(f"{kind}-{size}-{k}", kind, one, tuple(community[f] for f in one))
                for k, one in enumerate(some)
            ]
    return found, notes


def _within(
    features: Integers,
    labels: NDArray[np.integer],
    size: int,
    number: int,
    rng: np.random.Generator,
) -> Iterator[Members]:
    """Draw different sets from the communities in turn, until there are no more or enough."""
    members = [features[labels == label] for label in np.unique(labels[labels >= 0])]
    large = [some for some in members if len(some) >= size]
    seen: set[Members] = set()
    for turn in range(20 * number):
        if len(seen) == number or not large:
            return
        some = large[turn % len(large)]
        drawn = tuple(sorted(rng.choice(some, size, replace=False).tolist()))
        if drawn not in seen:
            seen.add(drawn)
            yield drawn


def _dealt(
    within: Sequence[Members], community: dict[int, int], rng: np.random.Generator
) -> list[Members]:
    """Deal the sets' features out again so that a set's are of as many communities as can be.

    Sorted by community, one feature goes to each set in turn, as cards do. Sets that hold a feature
    twice all the same, or are of one community, are left out.
    """
    if not within:
        return []
    labels = rng.permutation(sorted(set(community.values()))).tolist()
    features = rng.permutation(sorted(community)).tolist()
    order = {feature: (labels.index(community[feature]), features.index(feature))
             for feature in community}  # fmt: skip
    cards = sorted((feature for one in within for feature in one), key=order.__getitem__)
    dealt = [tuple(sorted(cards[place :: len(within)])) for place in range(len(within))]
    return [
        one for one in dealt
        if len(set(one)) == len(one) and len({community[f] for f in one}) > 1
    ]  # fmt: skip


def with_controls(
    steered: Sequence[Steered], controls: dict[int, int]
) -> tuple[list[Steered], list[str]]:
    """Add a control to each single feature and each set within a community, where there is one."""
    kinds, found = {"single": "control", "within": "control_set"}, list(steered)
    lacking = 0
    for one in steered:
        if one.kind not in kinds:
            continue
        if any(feature not in controls for feature in one.features):
            lacking += 1
            continue
        others = tuple(controls[feature] for feature in one.features)
        name = f"control-of-{one.name}"
        found.append(Steered(name, kinds[one.kind], others, (-1,) * one.size, one.name))
    return found, [f"{lacking} features or sets have no control: too few others fire"] * (
        lacking > 0
    )


def singles(features: Integers, labels: NDArray[np.integer]) -> list[Steered]:
    """Return features to be steered one by one, named by their latent index."""
    return [
        Steered(str(feature), "single", (feature,), (label,))
        for feature, label in zip(features.tolist(), labels.tolist(), strict=True)
    ]
