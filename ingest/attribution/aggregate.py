"""From attributions at positions to one number a prompt and feature, and which features count."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ingest.attribution.options import Aggregation

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PromptAttributions:
    """Attributions a prompt and feature: a sparse matrix, ordered by prompt, then feature.

    Attributes
    ----------
    prompt
        int64 ``[nnz]``, number of the prompt in its set.
    feature
        int64 ``[nnz]``, number of the feature among all SAEs' features.
    value
        float64 ``[nnz]``, none 0.
    """

    prompt: Integers
    feature: Integers
    value: Floats

    def take(self, features: Integers) -> PromptAttributions:
        """Return the entries of some features (ascending)."""
        here = np.isin(self.feature, features)
        return PromptAttributions(self.prompt[here], self.feature[here], self.value[here])

    def dense(self, prompts: int, features: Integers) -> Floats:
        """Return float64 ``[prompts, len(features)]``; `features` ascend and hold every entry."""
        matrix = np.zeros((prompts, len(features)))
        matrix[self.prompt, np.searchsorted(features, self.feature)] = self.value
        return matrix


def aggregate(
    prompt: Integers,
    position: Integers,
    feature: Integers,
    value: NDArray[np.floating],
    *,
    how: Aggregation,
) -> PromptAttributions:
    """Make one number of a feature's attributions at a prompt's positions.

    Parameters
    ----------
    prompt, position, feature
        int64 ``[nnz]``, any order.
    value
        ``[nnz]``, attributions other than 0.
    how
        ``first`` or ``last``: at the first or last position where the feature has any; ``max``:
        the largest in absolute value, with its sign (the first of equals); ``sum``.
    """
    # max takes the first of each group when the largest come first.
    strength = -np.abs(value) if how == "max" else np.zeros_like(value)
    order = np.lexsort((position, strength, feature, prompt))
    prompt, feature, ordered = prompt[order], feature[order], value[order].astype(np.float64)
    new = np.ones(len(order), bool)
    new[1:] = (prompt[1:] != prompt[:-1]) | (feature[1:] != feature[:-1])
    starts = np.flatnonzero(new)
    if how == "sum":
        found = np.add.reduceat(ordered, starts) if len(starts) else ordered
    elif how == "last":
        found = ordered[np.append(starts[1:], len(ordered)) - 1] if len(starts) else ordered
    else:
        found = ordered[starts]
    there = found != 0
    return PromptAttributions(prompt[starts][there], feature[starts][there], found[there])


def join(parts: Sequence[PromptAttributions]) -> PromptAttributions:
    """Join the attributions of different prompts, or of one prompt's different features."""
    prompt, feature, value = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("prompt", "feature", "value")
    )
    order = np.lexsort((feature, prompt))
    return PromptAttributions(prompt[order], feature[order], value[order])


def prompts_needed(keep: Literal["intersection", "union"] | float, prompts: int) -> int:
    """Return the number of prompts that a feature must have an attribution in."""
    if keep == "intersection":
        return prompts
    return 1 if keep == "union" else max(1, ceil(float(keep) * prompts))


def kept_features(attributions: PromptAttributions, needed: int) -> Integers:
    """Return, ascending, the features with an attribution in at least `needed` prompts."""
    features, count = np.unique(attributions.feature, return_counts=True)
    return features[count >= needed]
