"""What a comparison of two runs found."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FeatureRef:
    """A feature that one of the runs lacks.

    Attributes
    ----------
    key, label
        Its key and label.
    firing_rate
        Share of the positions where it fires; None where the graph no longer tells.
    """

    key: str
    label: str | None
    firing_rate: float | None


@dataclass(frozen=True)
class MatchedFeature:
    """A feature of the first run and the one of the second that it is.

    Attributes
    ----------
    a, b, label_a, label_b
        Their keys and labels.
    score
        How alike they are: 1 for equal keys, else the cosine of decoders or of tokens.
    rate_a, rate_b
        Firing rates; None where the graph no longer tells.
    """

    a: str
    b: str
    score: float
    label_a: str | None
    label_b: str | None
    rate_a: float | None
    rate_b: float | None


@dataclass(frozen=True)
class Matched:
    """How the features of some SAEs were matched.

    Attributes
    ----------
    saes_a, saes_b
        Keys of the SAEs.
    by
        ``key``, ``decoder`` or ``tokens``.
    floor
        Smallest score of a pair; None for keys.
    features_a, features_b
        Features that fire.
    matched
        Pairs found.
    mean_score
        Mean score of the pairs; None without any.
    """

    saes_a: list[str]
    saes_b: list[str]
    by: str
    floor: float | None
    features_a: int
    features_b: int
    matched: int
    mean_score: float | None


@dataclass(frozen=True)
class EdgeChange:
    """An edge whose strength differs, or that one of the runs lacks.

    Attributes
    ----------
    kind
        Kind of edge.
    change
        ``kept``, ``lost`` or ``gained``.
    a, b
        Keys of its two features in the first and in the second run.
    labels
        Their labels in the first run.
    strength_a, strength_b
        What the kind is ranked by (phi for ``token``); None where the edge is not there.
    """

    kind: str
    change: str
    a: tuple[str, str]
    b: tuple[str, str]
    labels: tuple[str | None, str | None]
    strength_a: float | None
    strength_b: float | None


@dataclass(frozen=True)
class KindDiff:
    """The edges of one kind.

    Attributes
    ----------
    kind
        ``token``, ``topic``, ``exclusive``, ``implies``, ``similar_to`` or ``feeds``.
    kept, lost, gained
        Edges between matched features that both runs have, only the first, only the second.
    outside_a, outside_b
        Edges of each run with an end that is not matched.
    phi, npmi, strength
        Pearson's correlation of these over the kept edges; None where it is not defined.
    """

    kind: str
    kept: int
    lost: int
    gained: int
    outside_a: int
    outside_b: int
    phi: float | None
    npmi: float | None
    strength: float | None


@dataclass(frozen=True)
class RateDiff:
    """Firing rates of the matched features.

    Attributes
    ----------
    features
        Matched features whose rate is known in both runs.
    correlation
        Pearson's correlation of the logarithms.
    median_change
        Median of the absolute binary logarithm of second / first: 1 is twice or half.
    largest
        Features with the largest such change.
    """

    features: int
    correlation: float | None
    median_change: float | None
    largest: list[MatchedFeature]


@dataclass(frozen=True)
class CommunityDiff:
    """How far the communities of the two runs agree on matched features.

    Attributes
    ----------
    features
        Matched features that are in a community in both runs.
    communities_a, communities_b
        Communities that these are of.
    ari
        Adjusted Rand index.
    ami
        Adjusted mutual information; None without scikit-learn (extra ``analysis``).
    """

    features: int
    communities_a: int
    communities_b: int
    ari: float | None
    ami: float | None


@dataclass(frozen=True)
class RunDiff:
    """Two runs, compared. Only features that fire take part.

    Attributes
    ----------
    a, b
        Keys of the runs.
    matching
        How the features were matched, for each group of SAEs.
    matched
        The pairs, in the order of the first run.
    lost, gained
        Features of the first and of the second run without a partner, most frequent first.
    edges
        For each kind.
    changes
        Edges with the largest changes of strength, for each kind.
    rates, communities
        Firing rates and communities of matched features; the latter None where a run was not
        analysed.
    notes
        What to bear in mind when reading the numbers.
    """

    a: str
    b: str
    matching: list[Matched]
    matched: list[MatchedFeature]
    lost: list[FeatureRef]
    gained: list[FeatureRef]
    edges: list[KindDiff]
    changes: list[EdgeChange]
    rates: RateDiff
    communities: CommunityDiff | None
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as dicts, lists, texts, numbers and nulls."""
        return dataclasses.asdict(self)
