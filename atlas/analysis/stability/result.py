"""What a search for communities found, with the figures that say how far to trust it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.stability.settings import MIN_SIZE, STABLE, TARGET, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Spread:
    """Mean and range of a figure over repetitions.

    Attributes
    ----------
    mean, low, high
        Mean, smallest and largest.
    number
        How many there are.
    """

    mean: float
    low: float
    high: float
    number: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of some values; of none, zeros."""
        if not len(values):
            return cls(0.0, 0.0, 0.0, 0)
        return cls(
            math.fsum(values) / len(values), float(min(values)), float(max(values)), len(values)
        )


@dataclass(frozen=True)
class Trial:
    """One resolution and threshold, tried on halves of the documents.

    Attributes
    ----------
    resolution, threshold
        What was tried.
    ari, ami, information
        Means over the halvings of the figures of `Agreement`.
    assigned
        Mean number of features in a community, in a half.
    communities
        Mean number of communities in a half.
    largest
        Features of the largest community of any half.
    """

    resolution: float
    threshold: float
    ari: float
    ami: float
    information: float
    assigned: float
    communities: float
    largest: int


@dataclass(frozen=True)
class Consensus:
    """Communities that runs agree on.

    Attributes
    ----------
    keys
        Key of each node.
    community
        int32 ``[nodes]``: 0 for the largest; -1 for features that belong nowhere stably.
    stay
        float64 ``[nodes]``: share of runs in which a feature is in the core of its community;
        NaN without one.
    size
        int64 ``[communities]``: features.
    stability
        float64 ``[communities]``: mean Jaccard of the community with its best match among the
        communities found in a half of the documents (Hennig 2007).
    stable
        bool ``[communities]``: `stability` of 0.75 or more.
    resolution, threshold
        Chosen.
    trials
        What was tried, in the order of resolution and threshold; empty where nothing was to choose.
    modularity
        Over all runs.
    between_seeds, between_bootstraps
        Adjusted Rand and AMI of pairs of single runs, under ``ari`` and ``ami``: on one bootstrap
        with different seeds, and with one seed on different bootstraps.
    between_halves
        The same figures of communities found in two halves of the documents, each by all that is
        done here, and ``information``, ``both``, ``assigned`` (see `Agreement` and `Trial`). The
        halvings are not those of `trials`.
    settings
        Parameters and seeds.
    versions
        Of the packages that count.
    seconds
        Wall time.
    """

    keys: Sequence[str]
    community: NDArray[np.int32]
    stay: NDArray[np.float64]
    size: NDArray[np.int64]
    stability: NDArray[np.float64]
    stable: NDArray[np.bool_]
    resolution: float
    threshold: float
    trials: tuple[Trial, ...]
    modularity: Spread
    between_seeds: Mapping[str, Spread]
    between_bootstraps: Mapping[str, Spread]
    between_halves: Mapping[str, Spread]
    settings: Settings
    versions: Mapping[str, str]
    seconds: float

    @property
    def assigned(self) -> int:
        """Features in a community."""
        return int((self.community >= 0).sum())

    @property
    def reached(self) -> bool:
        """Whether the halves' mean adjusted Rand reaches `TARGET`; if not, look at `stable`."""
        return self.between_halves["ari"].mean >= TARGET

    def members(self, number: int) -> list[str]:
        """Return the keys of one community, in the order of `keys`."""
        return [self.keys[i] for i in np.flatnonzero(self.community == number).tolist()]

    def assignment(self) -> dict[str, int | None]:
        """Return each feature's community, None where it has none."""
        return {
            key: int(number) if number >= 0 else None
            for key, number in zip(self.keys, self.community, strict=True)
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain values: figures, communities with their members, features by key."""
        parts = ("between_seeds", "between_bootstraps", "between_halves")
        return {
            "communities": [self._community(number) for number in range(len(self.size))],
            "features": len(self.keys),
            "assigned": self.assigned,
            "resolution": self.resolution,
            "threshold": self.threshold,
            "target": TARGET,
            "reached": self.reached,
            "stable_from": STABLE,
            "smallest": MIN_SIZE,
            "modularity": asdict(self.modularity),
            **{p: {k: asdict(v) for k, v in getattr(self, p).items()} for p in parts},
            "trials": [asdict(trial) for trial in self.trials],
            "settings": json.loads(json.dumps(asdict(self.settings))),
            "versions": dict(self.versions),
            "seconds": self.seconds,
        }

    def _community(self, number: int) -> dict[str, Any]:
        places = np.flatnonzero(self.community == number).tolist()
        return {
            "number": number,
            "size": int(self.size[number]),
            "stability": float(self.stability[number]),
            "stable": bool(self.stable[number]),
            "members": {self.keys[i]: float(self.stay[i]) for i in places},
        }
