"""Which features tell a concept's prompts from control prompts: every feature is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import UsageError
from queries.studies.inference.checks import finite, resampling
from queries.studies.inference.contrast_result import Contrast
from queries.studies.inference.correction import false_discovery
from queries.studies.inference.draws import in_blocks, memberships, signs, staged
from queries.studies.inference.effect_size import hedges_g
from queries.studies.inference.outliers import find_outliers
from queries.studies.inference.power import detectable_mean, detectable_two
from queries.studies.inference.separation import separation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

LEVEL = 0.05
"""Of the tests that the default limit and the power are reckoned for."""
MOST = 200_000
"""Permutations of a feature, unless more are asked for."""


def contrast(
    concept: ArrayLike,
    control: ArrayLike,
    *,
    pairs: bool = False,
    permutations: int = 2000,
    limit: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Contrast:
    """Compare every feature between two sets of prompts.

    A prompt is one observation: aggregate over its positions first. Unpaired, the labels of
    prompts are shuffled and the statistic is Welch's t, so a feature that merely varies more in
    one set is not found as often as with the plain difference (Janssen 1997). Paired, the signs
    of the pairs' differences are flipped at random.

    With 2,000 permutations p is at least 1 / 2,001, which among 8,192 features Benjamini and
    Hochberg pass only for 5 features or more at once. Features near that floor therefore get
    more permutations, in stages, up to `limit`; see `queries.studies.inference.draws.staged` for
    the rule and why p stays valid.

    Parameters
    ----------
    concept, control
        float64 ``[n1, features]`` and ``[n2, features]``: each prompt's value of each feature,
        such as its mean or largest activation. Two prompts of each at least; three pairs.
    pairs
        Whether row i of both is one pair: a prompt and its minimally changed control.
    permutations
        Of every feature.
    limit
        Most permutations of a feature. None: as many as a lone feature needs to pass Benjamini
        and Hochberg at 5 %, at most `MOST`. Equal to `permutations`: no more stages.
    resamples
        Of the bootstrap of g.
    seed
        Of permutations and resamples, which all features share.
    level
        Of the intervals.

    Raises
    ------
    UsageError
        Numbers are not finite, features differ, or pairs do not match.
    """
    resampling(permutations=permutations, resamples=resamples, level=level)
    first = finite(concept, "The concept's activations", ndim=2)
    second = finite(control, "The controls' activations", ndim=2)
    _check(first, second, pairs=pairs)
    features = first.shape[1]
    most = _limit(features, permutations) if limit is None else limit
    p, made, family = (_paired_p if pairs else _unpaired_p)(first, second, permutations, most, seed)
    g = hedges_g(first, second, pairs=pairs, resamples=resamples, seed=seed + 1, level=level)
    auc = separation(first, second, level=level)
    columns: dict[str, Any] = {
        "mean_concept": first.mean(axis=0),
        "mean_control": second.mean(axis=0),
        "difference": first.mean(axis=0) - second.mean(axis=0),
        "fires_concept": (first > 0).mean(axis=0),
        "fires_control": (second > 0).mean(axis=0),
        **dict(zip(("g", "g_low", "g_high"), g, strict=True)),
        **dict(zip(("auc", "auc_low", "auc_high"), auc, strict=True)),
        **vars(find_outliers(first, second)),
    }
    return Contrast(
        n_concept=len(first),
        n_control=len(second),
        pairs=pairs,
        features=features,
        p=p,
        permutations=made,
        q=false_discovery(p),
        p_family=family,
        detectable_g=_detectable(len(first), len(second), LEVEL, pairs=pairs),
        detectable_g_corrected=_detectable(
            len(first), len(second), LEVEL / max(features, 1), pairs=pairs
        ),
        **columns,
    )


def _check(first: Floats, second: Floats, *, pairs: bool) -> None:
    if first.shape[1] != second.shape[1] or not first.shape[1]:
        raise UsageError(
            f"The sets have {first.shape[1]} and {second.shape[1]} features.",
            hint="Take both from the same SAE.",
        )
    if pairs and len(first) != len(second):
        raise UsageError(
            f"{len(first)} prompts and {len(second)} controls are no pairs.",
            hint="Give as many controls, in the same order, or leave out pairs.",
        )
    if pairs and len(first) < 3:
        raise UsageError("Three pairs are the fewest that can be compared.")


def _limit(features: int, permutations: int) -> int:
    return max(permutations, min(int(np.ceil(features / LEVEL)), MOST))


def _detectable(n1: int, n2: int, level: float, *, pairs: bool) -> float:
    """Smallest effect that is found; of pairs, in standard deviations of their differences."""
    return detectable_mean(n1, level=level) if pairs else detectable_two(n1, n2, level=level)


def _unpaired_p(
    first: Floats, second: Floats, permutations: int, limit: int, seed: int
) -> tuple[Floats, Ints, Floats]:
    both = _standardise(np.concatenate([first, second]), centre=True)
    observed = _welch(np.repeat([1.0, 0.0], [len(first), len(second)])[np.newaxis], both)[0]
    draw = memberships(np.random.default_rng(seed), first=len(first), second=len(second))
    return _test(_welch, draw, both, observed, permutations, limit)


def _paired_p(
    first: Floats, second: Floats, permutations: int, limit: int, seed: int
) -> tuple[Floats, Ints, Floats]:
    # Flipping signs leaves the sum of squares as it is, so t rises with the absolute sum.
    changes = _standardise(first - second, centre=False)
    observed = np.abs(changes.sum(axis=0))
    draw = signs(np.random.default_rng(seed), len(first))
    return _test(_sums, draw, changes, observed, permutations, limit)


def _test(
    statistic: Callable[[Floats, Floats], Floats],
    draw: Callable[[int], Floats],
    values: Floats,
    observed: Floats,
    permutations: int,
    limit: int,
) -> tuple[Floats, Ints, Floats]:
    def statistics(columns: Ints, count: int) -> Iterator[Floats]:
        # Of all columns a view: a copy is as large as the data.
        some = values if len(columns) == values.shape[1] else values[:, columns]
        for size in in_blocks(count, max(len(columns), len(values))):
            yield statistic(draw(size), some)

    return staged(statistics, observed, permutations=permutations, limit=limit)


def _standardise(values: Floats, *, centre: bool) -> Floats:
    """Columns of mean 0 (where centred) and mean square 1; constant ones are 0."""
    centred = values - values.mean(axis=0) if centre else values
    scale = np.sqrt((centred**2).mean(axis=0))
    varies = scale > 1e-12 * np.abs(values).max(axis=0)
    return np.where(varies, centred, 0.0) / np.where(varies, scale, 1.0)


def _sums(chosen: Floats, changes: Floats) -> Floats:
    return np.abs(chosen @ changes)


def _welch(chosen: Floats, values: Floats) -> Floats:
    """Absolute Welch t of standardised columns, for rows of labels ``[draws, n]``.

    Where both sets are of one size the variance of the difference does not depend on which sum
    of squares is whose, t rises with the absolute sum, and half of the work is saved.
    """
    n = len(values)
    n1 = int(chosen[0].sum())
    n2 = n - n1
    sums = chosen @ values
    if n1 == n2:
        difference = np.abs(sums) * (2 / n1)
        within = (values**2).sum(axis=0) - sums**2 * (2 / n1)
        return np.asarray(difference / np.sqrt(np.maximum(within / (n1 * (n1 - 1)), 1e-12)))
    squares = chosen @ values**2
    error = (squares - sums**2 / n1) / (n1 * (n1 - 1))
    error += ((values**2).sum(axis=0) - squares - sums**2 / n2) / (n2 * (n2 - 1))
    # Two sets that do not vary at all: large, not infinite.
    found: Floats = np.abs(sums) * (1 / n1 + 1 / n2) / np.sqrt(np.maximum(error, 1e-12))
    return found
