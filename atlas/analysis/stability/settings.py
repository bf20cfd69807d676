"""Parameters of the search for communities."""

from __future__ import annotations

from dataclasses import dataclass

from atlas.errors import UsageError

MIN_SIZE = 3
"""Smallest group of features that is called a community."""

STABLE = 0.75
"""Mean Jaccard from which a community counts as stable (Hennig 2007)."""

TARGET = 0.8
"""Adjusted Rand between halves of the documents that published communities should reach."""


@dataclass(frozen=True)
class Settings:
    """What `find_communities` does, and how much of it.

    Attributes
    ----------
    top_k
        The backbone keeps edges among the strongest `top_k` of both ends.
    resolutions
        Resolutions of modularity that are tried. One value is taken as it is.
    thresholds
        Shares of runs in which two features must be together, tried. One value is taken as it is.
    seeds, bootstraps
        Leiden runs with every seed on every bootstrap of the documents.
    trial_splits, trial_bootstraps
        Halvings of the documents for each resolution tried, and bootstraps within each half.
    splits, split_bootstraps
        Other halvings, which judge what was chosen, and bootstraps within each half.
    seed
        Of the draws of folds; Leiden's seeds are ``seed, seed + 1, ...``.
    """

    top_k: int = 32
    resolutions: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    thresholds: tuple[float, ...] = (0.6, 0.7, 0.8, 0.9)
    seeds: int = 20
    bootstraps: int = 20
    trial_splits: int = 2
    trial_bootstraps: int = 10
    splits: int = 5
    split_bootstraps: int = 20
    seed: int = 42

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        counts = {
            name: getattr(self, name)
            for name in ("top_k", "seeds", "bootstraps", "trial_splits", "trial_bootstraps")
        } | {"splits": self.splits, "split_bootstraps": self.split_bootstraps}
        for name, value in counts.items():
            if value < 1:
                raise UsageError(f"{name} is {value}.", hint="Give 1 or more.")
        if not self.resolutions or min(self.resolutions) <= 0:
            raise UsageError("Resolutions must be above 0, and there must be one at least.")
        if not self.thresholds or min(self.thresholds) <= 0 or max(self.thresholds) > 1:
            raise UsageError("Thresholds are shares of runs, above 0 and at most 1.")
