"""What a search shows of the distribution of its statistics: extremes, and how honest p is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ingest.cooccurrence.kinds import KINDS
from ingest.significance import effects

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from atlas.recipe import EdgesSection
    from ingest.cooccurrence.edges import Edges
    from ingest.cooccurrence.kinds import Tested
    from ingest.cooccurrence.sums import Marginals, PairSums

#: Levels at which one-sided p-values are compared with their nominal rate.
LEVELS = (0.05, 0.01, 1e-3, 1e-4, 1e-5, 1e-6)

_MOST = ("npmi", "z", "z_within", "r_topic", "phi_within")
_LEAST = ("z_within", "phi_within")


@dataclass(frozen=True)
class Extremes:
    """Largest and smallest statistics of the pairs that may be edges.

    Attributes
    ----------
    pairs
        Tested pairs past the floor of token edges or that of topic edges.
    npmi, z, z_within, r_topic, phi_within
        The largest of these; None without pairs.
    least_z_within, least_phi_within
        The smallest of the pairs for which exclusion is looked for by their topics.
    """

    pairs: int
    npmi: float | None
    z: float | None
    z_within: float | None
    r_topic: float | None
    phi_within: float | None
    least_z_within: float | None
    least_phi_within: float | None


@dataclass(frozen=True)
class Level:
    """Share of pairs whose p within documents is at most `level`.

    Attributes
    ----------
    level
        One-sided p.
    more, fewer
        Share for p of more joint firings than expected (`z_within`), and for p of fewer (that of
        exclusive edges); None without pairs.
    """

    level: float
    more: float | None
    fewer: float | None


def cuts_of(edges: Edges) -> dict[str, float]:
    """Return for each kind the largest p of a significant edge; -1 where there is none."""
    return {
        name: float(edges.p[edges.kind == number].max(initial=-1.0))
        for number, name in enumerate(KINDS)
    }


class Tails:
    """Collects, panel by panel, extremes, p-values at their levels, and pairs past given cuts.

    Parameters
    ----------
    m
        Marginals.
    options
        Floors. The levels are those of the pairs with r_topic from the topic floor on: a shuffle
        within documents does not change which pairs these are, so that they are no selection.
    cuts
        For each kind a p; counted are pairs past the kind's floor whose p is at most that.
    """

    def __init__(
        self, m: Marginals, *, options: EdgesSection, cuts: dict[str, float] | None = None
    ) -> None:
        self.m, self.options, self.cuts = m, options, cuts or {}
        self.past = dict.fromkeys(self.cuts, 0)
        self.pairs = self.of_one_topic = 0
        self.most = dict.fromkeys(_MOST, -np.inf)
        self.least = dict.fromkeys(_LEAST, np.inf)
        self._z = _normal_quantiles()
        self._beyond = np.zeros((2, len(LEVELS)), np.int64)

    def __call__(self, sums: PairSums, tested: Tested) -> None:
        """Take a panel's pairs."""
        m, options = self.m, self.options
        values = {name: getattr(tested, name) for name in _MOST[1:]}
        values["npmi"] = effects(sums.a, m.n[sums.i], m.n[sums.j], positions=m.positions).npmi
        high = (values["npmi"] >= options.min_npmi) | (tested.r_topic >= options.min_topic)
        low = tested.r_topic >= options.min_exclusive_topic
        self.pairs += int(np.count_nonzero(high))
        for name in _MOST:
            most = float(np.nanmax(values[name][high], initial=-np.inf))
            self.most[name] = max(self.most[name], most)
        for name in _LEAST:
            least = float(np.nanmin(values[name][low], initial=np.inf))
            self.least[name] = min(self.least[name], least)
        self._count_levels(tested, tested.r_topic >= options.min_topic)
        for number, (name, cut) in enumerate(self.cuts.items()):
            p = getattr(tested, f"p_{name}")
            passing = (tested.kinds & (1 << number) > 0) & (p <= cut)
            self.past[name] += int(np.count_nonzero(passing))

    def _count_levels(self, tested: Tested, chosen: NDArray[np.bool_]) -> None:
        z, p_fewer = tested.z_within[chosen], tested.p_exclusive[chosen]
        self.of_one_topic += len(z)
        self._beyond[0] += [np.count_nonzero(z >= cut) for cut in self._z]
        self._beyond[1] += [np.count_nonzero(p_fewer <= level) for level in LEVELS]

    def extremes(self) -> Extremes:
        """Return the largest and smallest statistics."""
        most = {name: finite(x) for name, x in self.most.items()}
        return Extremes(
            pairs=self.pairs,
            **most,
            least_z_within=finite(self.least["z_within"]),
            least_phi_within=finite(self.least["phi_within"]),
        )

    def levels(self) -> tuple[Level, ...]:
        """Return how often p is at most each level, among pairs of one topic."""
        share = self._beyond / self.of_one_topic if self.of_one_topic else self._beyond * np.nan
        return tuple(
            Level(level, finite(more), finite(fewer))
            for level, more, fewer in zip(LEVELS, *share.tolist(), strict=True)
        )


def _normal_quantiles() -> NDArray[np.float64]:
    from scipy.stats import norm

    quantiles: NDArray[np.float64] = norm.isf(np.array(LEVELS))
    return quantiles


def finite(x: float) -> float | None:
    """Return x, or None where it is not finite."""
    return float(x) if np.isfinite(x) else None
