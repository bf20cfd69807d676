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

    from ingest.cooccurrence.pairs import Marginals, PairSums

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


def _ratio(total: Floats, square: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(square > 0, total / np.sqrt(square), np.nan)


def upper_tail(z: Floats) -> Floats:
    """One-sided normal p of z; 1 where z is NaN."""
    from scipy.stats import norm

    return np.where(np.isnan(z), 1.0, norm.sf(np.nan_to_num(z)))


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
