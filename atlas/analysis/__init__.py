"""Analysis of a loaded run: graph algorithms on several engines, written back."""

from __future__ import annotations

from atlas.analysis.compute import run_algorithm
from atlas.analysis.run import AnalysisSummary, analyse

__all__ = ["AnalysisSummary", "analyse", "run_algorithm"]
