"""Analysis of a loaded run by Graph Data Science: centrality and communities, written back."""

from __future__ import annotations

from atlas.analysis.run import AnalysisSummary, analyse

__all__ = ["AnalysisSummary", "analyse"]
