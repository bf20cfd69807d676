"""Communities and central features that are more than one run's accident.

Everything starts from `FoldCounts`, joint firings by fold of documents, from which a bootstrap of
the documents costs one weighted sum. `find_communities` clusters many of them and keeps what they
agree on; `rank_intervals` says how far down or up a feature's centrality could be.
"""

from __future__ import annotations

from atlas.analysis.stability.agreement import Agreement, compare
from atlas.analysis.stability.consensus import consensus, recovery
from atlas.analysis.stability.folds import (
    CANDIDATE_RANK,
    FOLDS,
    FoldCounts,
    backbone,
    read_folds,
)
from atlas.analysis.stability.intervals import MEASURES, RankInterval, rank_intervals
from atlas.analysis.stability.leiden import leiden
from atlas.analysis.stability.resample import Runs, resample
from atlas.analysis.stability.result import Consensus, Spread, Trial
from atlas.analysis.stability.search import find_communities
from atlas.analysis.stability.settings import Settings

__all__ = [
    "CANDIDATE_RANK",
    "FOLDS",
    "MEASURES",
    "Agreement",
    "Consensus",
    "FoldCounts",
    "RankInterval",
    "Runs",
    "Settings",
    "Spread",
    "Trial",
    "backbone",
    "compare",
    "consensus",
    "find_communities",
    "leiden",
    "rank_intervals",
    "read_folds",
    "recovery",
    "resample",
]
