"""Effect sizes and document-robust tests for pairs of features.

Tokens of one document are not independent, so chi-square, G and Fisher tests over tokens call
almost anything significant. Here the document is the unit: u_d is a document's excess of joint
firings, and z = sum u_d / sqrt(sum u_d^2), a cluster-robust (sandwich) statistic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.cooccurrence.sums import Marginals, PairSums, ValueSums

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Effects:
    """Effect sizes of pairs, float64 each, one entry a pair; NaN where undefined.

    Attributes
    ----------
    expected
        E = n_i n_j / N.
    lift, pmi, npmi
        n_ij / E, its log2, and that over -log2(n_ij / N).
    phi, phi_max
        Correlation of the two indicators, and its maximum given the two firing rates.
    jaccard
        n_ij / (n_i + n_j - n_ij).
    j_given_i, i_given_j
        P(j fires | i fires), P(i fires | j fires).
    """

    expected: Floats
    lift: Floats
    pmi: Floats
    npmi: Floats
    phi: Floats
    phi_max: Floats
    jaccard: Floats
    j_given_i: Floats
    i_given_j: Floats


def effects(
    n_ij: NDArray[np.int64], n_i: NDArray[np.int64], n_j: NDArray[np.int64], *, positions: int
) -> Effects:
    """Compute effect sizes from exact counts.

    Parameters
    ----------
    n_ij, n_i, n_j
        int64, broadcastable to one shape: joint firings and firings.
    positions
        N.
    """
    both, i, j = (np.asarray(x, np.float64) for x in (n_ij, n_i, n_j))
    n = float(positions)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = i * j / n
        lift = both / expected
        pmi = np.log2(lift)
        rarity = -np.log2(both / n)
        low, high = np.minimum(i, j) / n, np.maximum(i, j) / n
        return Effects(
            expected=expected,
            lift=lift,
            pmi=pmi,
            npmi=np.where(rarity > 0, pmi / rarity, np.where(both > 0, 1.0, np.nan)),
            phi=(n * both - i * j) / np.sqrt(i * j * (n - i) * (n - j)),
            phi_max=np.sqrt(low * (1 - high) / (high * (1 - low))),
            jaccard=both / (i + j - both),
            j_given_i=both / i,
            i_given_j=both / j,
        )


def document_z(sums: PairSums, m: Marginals) -> Floats:
    """Z of joint firing beyond chance, documents as the unit.

    u_d = a - p_i c - p_j b + p_i p_j T; the squares are expanded, so that only sums over
    documents are needed. Documents in which neither feature fires contribute p_i p_j T.

    Returns
    -------
    float64, one a pair; NaN where the variance is zero.
    """
    n = float(m.positions)
    p, q = m.n[sums.i] / n, m.n[sums.j] / n
    s = {name: getattr(sums, name).astype(np.float64) for name in ("aa", "ab", "ac", "at", "bc")}
    bb, cc = m.bb[sums.i].astype(np.float64), m.bb[sums.j].astype(np.float64)
    bt, ct = m.bt[sums.i].astype(np.float64), m.bt[sums.j].astype(np.float64)
    square = (
        s["aa"] + p**2 * cc + q**2 * bb + p**2 * q**2 * m.tt
        - 2 * p * s["ac"] - 2 * q * s["ab"] + 2 * p * q * s["at"] + 2 * p * q * s["bc"]
        - 2 * p * q**2 * bt - 2 * p**2 * q * ct
    )  # fmt: skip
    return _ratio(sums.a - n * p * q, square)


def within_document_z(sums: PairSums) -> Floats:
    """Z of joint firing beyond what sharing documents explains: u_d = a - b c / T.

    Returns
    -------
    float64, one a pair; NaN where the variance is zero.
    """
    square = sums.aa - 2 * sums.abc_t + sums.bbcc_tt
    return _ratio(sums.a - sums.bc_t, square)


def exclusion_z(sums: PairSums) -> Floats:
    """Z of *fewer* joint firings within documents than independence there gives; positive if so.

    The statistic of `within_document_z` with its sign turned and its variance bounded from below
    by sum b c / T, the variance of the count under independence. Where a pair is expected a
    little in each of many documents and never fires together, sum u_d^2 is far smaller than
    that, and the robust z alone calls an empty cell certain.

    Returns
    -------
    float64, one a pair; NaN where nothing is expected.
    """
    square = np.maximum(sums.aa - 2 * sums.abc_t + sums.bbcc_tt, sums.bc_t)
    return _ratio(sums.bc_t - sums.a, square)


def within_phi(sums: PairSums, m: Marginals) -> Floats:
    """Correlation of two features' firings within documents.

    The within-document part of the covariance, sum a - sum bc/T, over the geometric mean of the
    features' own within-document sums of squares, n - sum b^2/T.

    Returns
    -------
    float64, one a pair; NaN where a feature does not vary within documents.
    """
    own = np.maximum(m.n - m.bb_t, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.sqrt(own[sums.i] * own[sums.j])
        return np.where(scale > 0, (sums.a - sums.bc_t) / scale, np.nan)


def topic_correlation(sums: PairSums, m: Marginals) -> Floats:
    """Correlation of two features' firing from document to document.

    With e_id = (b_d - p_i T_d) / sqrt(T_d): sum e_i e_j over the geometric mean of the sums of
    squares, from the sum of b c / T.

    Returns
    -------
    float64, one a pair; NaN where a feature does not vary between documents.
    """
    variance = m.topic_variance
    expected = m.n[sums.i] * (m.n[sums.j] / max(m.positions, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.sqrt(variance[sums.i] * variance[sums.j])
        return np.where(scale > 0, (sums.bc_t - expected) / scale, np.nan)


def correlation_p(r: Floats, samples: int) -> Floats:
    """One-sided p of a positive correlation by Fisher's z; 1 where r is NaN or samples are few.

    Parameters
    ----------
    r
        Correlations.
    samples
        Number of independent samples (documents).
    """
    if samples <= 3:
        return np.ones_like(r)
    with np.errstate(divide="ignore"):
        z = np.arctanh(np.clip(r, -1.0, 1.0)) * np.sqrt(samples - 3)
    return upper_tail(z)


def activation_correlation(
    sums: PairSums, values: ValueSums, m: Marginals
) -> tuple[Floats, Floats]:
    """Pearson r of two features' activations.

    Returns
    -------
    over_all
        float64: over all positions, 0 where a feature does not fire.
    given_both
        float64: over the positions where both fire; NaN for fewer than three.
    """
    n = float(max(m.positions, 1))
    i, j = sums.i, sums.j
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt((m.vv[i] - m.v[i] ** 2 / n) * (m.vv[j] - m.v[j] ** 2 / n))
        over_all = (values.ij - m.v[i] * m.v[j] / n) / spread
        a = sums.a.astype(np.float64)
        own_i = np.maximum(values.ii - values.i**2 / a, 0.0)
        own_j = np.maximum(values.jj - values.j**2 / a, 0.0)
        given_both = (values.ij - values.i * values.j / a) / np.sqrt(own_i * own_j)
    usable = (a >= 3) & (own_i > 1e-12 * values.ii) & (own_j > 1e-12 * values.jj)
    return over_all, np.where(usable, given_both, np.nan)


def position_share(sums: PairSums, m: Marginals) -> Floats:
    """Share of the excess of joint firings that positions alone explain.

    Features that both prefer the first tokens after BOS co-occur more than chance without any
    relation. Positions of a block are put into strata s; independent within strata, a pair would
    fire together sum n_i^s n_j^s / N^s times. The share is that sum's excess over E_ij, divided
    by the observed excess.

    Returns
    -------
    float64, one a pair; near 0 where positions play no part, NaN without an excess.
    """
    here = np.maximum(m.positions_at, 1).astype(np.float64)
    stratified = np.zeros(len(sums))
    for firings, total in zip(m.at, here, strict=True):
        stratified += firings[sums.i] * (firings[sums.j] / total)
    expected = m.n[sums.i] * (m.n[sums.j] / max(m.positions, 1))
    excess = sums.a - expected
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(excess > 0, (stratified - expected) / excess, np.nan)


def _ratio(total: Floats, square: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(square > 0, total / np.sqrt(square), np.nan)


def upper_tail(z: Floats) -> Floats:
    """One-sided normal p of z; 1 where z is NaN."""
    from scipy.special import ndtr

    return np.where(np.isnan(z), 1.0, ndtr(-np.nan_to_num(z)))


def benjamini_hochberg(p: Floats, tests: int) -> Floats:
    """Adjust p by Benjamini and Hochberg (1995): q for `p` among `tests` tests.

    The tests that `p` does not list count with p = 1, which keeps the procedure valid.

    Parameters
    ----------
    p
        float64, any order.
    tests
        Number of tests made in all, at least ``len(p)``.
    """
    if tests < len(p):
        raise ValueError(f"{len(p)} p-values cannot come from {tests} tests")
    order = np.argsort(p)
    scaled = p[order] * tests / np.arange(1, len(p) + 1)
    q = np.empty(len(p))
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q
