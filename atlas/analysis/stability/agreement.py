"""How far two groupings agree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Agreement:
    """Agreement of two groupings of the same features.

    Attributes
    ----------
    ari
        Adjusted Rand index over the features that both assign (Hubert and Arabie 1985): 1 for the
        same groups, 0 for what chance gives. 0 where it is not defined.
    ami
        Adjusted mutual information over them (Vinh, Epps and Bailey 2010), likewise.
    information
        Bits that a feature's group in one says of its group in the other, beyond chance, times
        the share of `features` that both assign: mean over all features.
    both
        Features that both assign.
    either
        Features that one of them assigns, or both.
    """

    ari: float
    ami: float
    information: float
    both: int
    either: int


def compare(a: NDArray[np.integer], b: NDArray[np.integer], *, features: int) -> Agreement:
    """Compare two groupings.

    Adjusted Rand and AMI look at the features that both assign only, and reach 1 where a handful
    is grouped alike. `information` does not: one group of everything says nothing, groups that do
    not come again say nothing beyond chance, and a feature left out adds nothing. So it is what
    resolutions and thresholds are chosen by.

    Parameters
    ----------
    a, b
        Integer ``[nodes]``: number of each node's group; negative for none.
    features
        Nodes that could be in a group: the share's denominator.
    """
    metrics = _metrics()
    shared = (a >= 0) & (b >= 0)
    both, either = int(shared.sum()), int(((a >= 0) | (b >= 0)).sum())
    x, y = a[shared], b[shared]
    if both < 2 or (len(np.unique(x)) == 1 and len(np.unique(y)) == 1):
        return Agreement(0.0, 0.0, 0.0, both, either)
    table = metrics.cluster.contingency_matrix(x, y, sparse=True)
    found = metrics.mutual_info_score(None, None, contingency=table)
    chance = metrics.cluster.expected_mutual_information(table, both)
    # What a grouping says of itself is its entropy.
    mean = (metrics.mutual_info_score(x, x) + metrics.mutual_info_score(y, y)) / 2
    beyond = found - chance
    return Agreement(
        ari=float(metrics.adjusted_rand_score(x, y)),
        ami=float(beyond / (mean - chance)) if mean - chance > 1e-12 else 0.0,
        information=float(max(beyond, 0.0) / math.log(2) * both / max(features, 1)),
        both=both,
        either=either,
    )


def _metrics() -> ModuleType:
    try:
        import sklearn.metrics
    except ImportError as error:
        raise UsageError(
            "Comparing communities needs scikit-learn.",
            hint="Install it: pip install 'sae-feature-atlas[analysis]'.",
        ) from error
    return sklearn.metrics  # type: ignore[no-any-return]
