"""Backbones of networks: the edges that are kept for communities, maps and pictures."""

from __future__ import annotations

from atlas.analysis.backbones.choice import DEFAULT, METHODS, Choice, Options, choose
from atlas.analysis.backbones.compare import BackboneSummary, compare_backbones, summarise
from atlas.analysis.backbones.methods import (
    disparity,
    disparity_levels,
    mutual_knn,
    spanning_forest,
    threshold,
    union_knn,
)
from atlas.analysis.backbones.source import WEIGHTS, network_of_build, network_of_run

__all__ = [
    "DEFAULT",
    "METHODS",
    "WEIGHTS",
    "BackboneSummary",
    "Choice",
    "Options",
    "choose",
    "compare_backbones",
    "disparity",
    "disparity_levels",
    "mutual_knn",
    "network_of_build",
    "network_of_run",
    "spanning_forest",
    "summarise",
    "threshold",
    "union_knn",
]
