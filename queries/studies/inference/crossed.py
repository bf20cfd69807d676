"""Whether a property of units, such as a feature's centrality, predicts what they do to prompts.

Values are of units x prompts. Pooling all of them as independent would count each unit as often
as there are prompts; here units are what is permuted, and units and prompts both are resampled.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.special import stdtr
from scipy.stats import rankdata

from atlas.errors import UsageError
from queries.studies.inference.checks import finite, resampling, same_length
from queries.studies.inference.correction import bonferroni, false_discovery
from queries.studies.inference.draws import in_blocks, orders, permutation_p, weights
from queries.studies.inference.intervals import correlation_interval, percentile
from queries.studies.inference.power import detectable_correlation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CrossedTest:
    """How far a property of units predicts their values.

    Attributes
    ----------
    units, prompts
        How many.
    slope, low, high
        Change of a unit's mean over prompts for one standard deviation of the predictor, and its
        interval from resampling units and prompts (the pigeonhole bootstrap, Owen 2007, which is
        rather too wide than too narrow).
    r, r2, r2_low, r2_high
        Correlation of the predictor with the means, given the covariates; its square, and that
        one's interval by Fisher's z.
    spearman
        The same correlation of ranks.
    p_permutation, p_spearman, permutations
        By permuting units (residuals, where there are covariates).
    p_ols
        Of the slope in ordinary least squares over units.
    prompt_slopes
        float64 ``[prompts]``: slope of each prompt by itself.
    share_same_sign
        Share of the prompts whose slope has the sign of `slope`.
    detectable_r
        Smallest absolute correlation found with 80 % power.
    """

    units: int
    prompts: int
    slope: float
    low: float
    high: float
    r: float
    r2: float
    r2_low: float
    r2_high: float
    spearman: float
    p_permutation: float
    p_spearman: float
    permutations: int
    p_ols: float
    prompt_slopes: Floats
    share_same_sign: float
    detectable_r: float


def crossed(
    values: ArrayLike,
    predictor: ArrayLike,
    *,
    covariates: ArrayLike | None = None,
    ranks: bool = False,
    permutations: int = 9999,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> CrossedTest:
    """Test whether a property of units predicts their values over prompts.

    Parameters
    ----------
    values
        float64 ``[units, prompts]``, such as the change of a logit difference by steering.
    predictor
        float64 ``[units]``.
    covariates
        float64 ``[units, covariates]`` that the predictor is judged beyond, such as the strength
        of the steering. The residuals of the values on them are permuted (Freedman and Lane 1983),
        which is exact without covariates and nearly so with them.
    ranks
        Whether to take the predictor's ranks in its place: centralities are skewed.
    permutations, resamples, seed, level
        Of the test, the bootstrap and the intervals.

    Raises
    ------
    UsageError
        Numbers are not finite, lengths differ, there are too few units, or the predictor is
        constant or wholly given by the covariates.
    """
    resampling(permutations=permutations, resamples=resamples, level=level)
    table = finite(values, "The units' values", ndim=2, least=4)
    x = finite(predictor, "The predictor", ndim=1)
    same_length(table, x, names="Values and predictor")
    x = rankdata(x) if ranks else x
    others = _others(covariates, len(x))
    x = _scaled(x)
    basis = np.linalg.qr(others)[0]
    own, means = _beyond(x, basis), table.mean(axis=1)
    if float(own @ own) < 1e-10 * len(x):
        raise UsageError("The predictor is a combination of the covariates.")
    left = _beyond(means, basis)
    # What the covariates explain wholly leaves rounding, which must not be correlated with.
    left = left if float(left @ left) > 1e-20 * float(means @ means) else np.zeros_like(left)
    slopes = own @ table / float(own @ own)
    r, rank_r = _correlation(own, left), _correlation(_centred(own), _centred(left))
    freedom = len(x) - 1 - others.shape[1]
    r_low, r_high = correlation_interval(r, len(x) - others.shape[1] + 1, level=level)
    drawn = _resample(table, np.column_stack([others, x]), resamples, seed + 1)
    low, high = percentile(drawn, level)
    return CrossedTest(
        units=table.shape[0],
        prompts=table.shape[1],
        slope=float(slopes.mean()),
        low=float(low),
        high=float(high),
        r=r,
        r2=r**2,
        r2_low=0.0 if r_low <= 0 <= r_high else min(r_low**2, r_high**2),
        r2_high=max(r_low**2, r_high**2),
        spearman=rank_r,
        p_permutation=_permuted(own, left, basis, permutations, seed),
        p_spearman=_permuted(_centred(own), _centred(left), basis[:, :1], permutations, seed),
        permutations=permutations,
        p_ols=_ols(r, freedom),
        prompt_slopes=slopes,
        share_same_sign=float((np.sign(slopes) == np.sign(slopes.mean())).mean()),
        detectable_r=detectable_correlation(len(x) - others.shape[1] + 1),
    )


def crossed_table(
    values: ArrayLike,
    predictors: Mapping[str, ArrayLike],
    *,
    covariates: ArrayLike | None = None,
    ranks: bool = False,
    permutations: int = 9999,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> pa.Table:
    """Test several predictors of the same values, corrected for their number.

    Parameters
    ----------
    values, covariates, ranks, permutations, resamples, seed, level
        As in `crossed`.
    predictors
        Name to float64 ``[units]``.

    Returns
    -------
    pyarrow.Table
        A row a predictor: ``predictor``, the numbers of `CrossedTest`, and ``p_bonferroni`` and
        ``q`` (Benjamini and Hochberg) of p_permutation over the predictors.
    """
    if not predictors:
        raise UsageError("There is no predictor to test.")
    rows = []
    for name, predictor in predictors.items():
        found = crossed(
            values,
            predictor,
            covariates=covariates,
            ranks=ranks,
            permutations=permutations,
            resamples=resamples,
            seed=seed,
            level=level,
        )
        numbers = {field.name: getattr(found, field.name) for field in fields(found)}
        del numbers["prompt_slopes"]
        rows.append({"predictor": name, **numbers})
    table = pa.Table.from_pylist(rows)
    p = table["p_permutation"].to_numpy()
    table = table.append_column("p_bonferroni", pa.array(bonferroni(p)))
    return table.append_column("q", pa.array(false_discovery(p)))


def _others(covariates: ArrayLike | None, units: int) -> Floats:
    """Return float64 ``[units, 1 + covariates]``: a constant, and the standardised covariates."""
    ones = np.ones((units, 1))
    if covariates is None:
        return ones
    table = finite(covariates, "The covariates", ndim=2)
    same_length(table, ones, names="Covariates and units")
    found = np.column_stack([ones, *(_scaled(column) for column in table.T)])
    if np.linalg.matrix_rank(found) < found.shape[1]:
        raise UsageError("A covariate is a combination of the others.", hint="Leave it out.")
    if units < found.shape[1] + 3:
        raise UsageError(f"{units} units are too few for {table.shape[1]} covariates.")
    return found


def _scaled(x: Floats) -> Floats:
    spread = float(x.std(ddof=1))
    if spread <= 1e-12 * float(np.abs(x).max()):
        raise UsageError("A predictor or covariate is the same for all units.")
    found: Floats = (x - x.mean()) / spread
    return found


def _beyond(values: Floats, basis: Floats) -> Floats:
    """Residuals of values ``[..., units]`` on a basis ``[units, columns]`` of length 1."""
    found: Floats = values - (values @ basis) @ basis.T
    return found


def _centred(values: Floats) -> Floats:
    ranks = rankdata(np.round(values, 12))  # residuals of equal numbers differ in the last bits
    found: Floats = ranks - ranks.mean()
    return found


def _correlation(x: Floats, y: Floats) -> float:
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size > 0 else 0.0


def _ols(r: float, freedom: int) -> float:
    if freedom < 1 or abs(r) >= 1:
        return 0.0 if abs(r) >= 1 else np.nan
    return float(2 * stdtr(freedom, -abs(r) * np.sqrt(freedom / (1 - r**2))))


def _permuted(x: Floats, left: Floats, basis: Floats, permutations: int, seed: int) -> float:
    """Permutation p of the partial correlation of `x` with the residuals."""
    if not left.any():
        return 1.0
    draw, parts = orders(np.random.default_rng(seed), len(x)), []
    for count in in_blocks(permutations, 3 * len(x)):
        shuffled = _beyond(left[draw(count)], basis)
        sizes = np.sqrt((shuffled**2).sum(axis=1) * float(x @ x))
        parts.append(np.abs(shuffled @ x) / np.where(sizes > 0, sizes, 1.0))
    return permutation_p(np.concatenate(parts), abs(_correlation(x, left)))


def _resample(table: Floats, design: Floats, resamples: int, seed: int) -> Floats:
    """Slopes ``[resamples]`` of the design's last column, units and prompts drawn anew."""
    rng, (units, prompts) = np.random.default_rng(seed), table.shape
    means = weights(rng, prompts, resamples=resamples) @ table.T / prompts
    often = weights(rng, units, resamples=resamples)
    columns = design.shape[1]
    products = (design[:, :, np.newaxis] * design[:, np.newaxis]).reshape(units, -1)
    gram = (often @ products).reshape(resamples, columns, columns)
    right = (often * means) @ design
    # A resample may hold too few different units for all columns.
    inverse = np.linalg.pinv(gram, hermitian=True)
    found: Floats = (inverse[:, -1] * right).sum(axis=1)
    return found
