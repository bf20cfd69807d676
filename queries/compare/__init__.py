"""Comparison of two runs of a database."""

from __future__ import annotations

from queries.compare.diff import BY, FLOORS, diff_runs
from queries.compare.result import (
    CommunityDiff,
    EdgeChange,
    FeatureRef,
    KindDiff,
    Matched,
    MatchedFeature,
    RateDiff,
    RunDiff,
)

__all__ = [
    "BY",
    "FLOORS",
    "CommunityDiff",
    "EdgeChange",
    "FeatureRef",
    "KindDiff",
    "Matched",
    "MatchedFeature",
    "RateDiff",
    "RunDiff",
    "diff_runs",
]
