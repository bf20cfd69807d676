"""Reports of studies: one page that needs nothing else, with figures that say what they rest on.

A report is sections of blocks (see `queries.studies.report.blocks`). Figures are made by functions
from arrays and tables; every one has a caption with its n, its test and its correction.
"""

from __future__ import annotations

from queries.studies.report.bar_figures import bars, shap_bars
from queries.studies.report.blocks import (
    Block,
    Bullets,
    Caption,
    Figure,
    Links,
    Method,
    Note,
    Section,
    ShadedText,
    Table,
)
from queries.studies.report.figures import curves, feature_map, histogram, scatter
from queries.studies.report.network_figures import community_graph, heat_map
from queries.studies.report.page import write_report

__all__ = [
    "Block",
    "Bullets",
    "Caption",
    "Figure",
    "Links",
    "Method",
    "Note",
    "Section",
    "ShadedText",
    "Table",
    "bars",
    "community_graph",
    "curves",
    "feature_map",
    "heat_map",
    "histogram",
    "scatter",
    "shap_bars",
    "write_report",
]
