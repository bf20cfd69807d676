"""Groups of prompts, such as the prompts of one template.

Two templates shift every feature's attribution, so that over their union features correlate
that do not within either. Removing the groups' means leaves the correlation within groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ingest.attribution.sums import NEGLIGIBLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]


def group_numbers(groups: Sequence[str | None]) -> Integers:
    """Give each prompt its group's number, int64 ``[prompts]``; those without one make a group."""
    names = np.array(["" if group is None else f"group {group}" for group in groups])
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def without_group_means(values: Floats, groups: Sequence[str | None]) -> Floats:
    """Subtract from ``[prompts, features]`` each feature's mean over a prompt's group.

    What is left of a feature that groups alone explain is rounding, and is made 0.
    """
    member = group_numbers(groups)
    sums = np.zeros((int(member.max()) + 1, values.shape[1]))
    np.add.at(sums, member, values)
    means: Floats = sums / np.bincount(member)[:, None]
    left = values - means[member]
    left[:, (left**2).sum(axis=0) <= NEGLIGIBLE * (values**2).sum(axis=0)] = 0.0
    return left
