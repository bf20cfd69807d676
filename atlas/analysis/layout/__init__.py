"""Maps: two coordinates for each feature, from decoder vectors or from a backbone of the graph."""

from __future__ import annotations

from atlas.analysis.layout.graph import graph_layout
from atlas.analysis.layout.quality import neighbour_share, trustworthiness
from atlas.analysis.layout.read import decoder_of_weights, stored_vectors, vectors_of_weights
from atlas.analysis.layout.run import METHODS, LayoutOptions, LayoutSummary, lay_out
from atlas.analysis.layout.square import unit_square
from atlas.analysis.layout.vectors import tsne_layout, umap_layout
from atlas.analysis.layout.write import clear_layouts, property_names, write_layout

__all__ = [
    "METHODS",
    "LayoutOptions",
    "LayoutSummary",
    "clear_layouts",
    "decoder_of_weights",
    "graph_layout",
    "lay_out",
    "neighbour_share",
    "property_names",
    "stored_vectors",
    "trustworthiness",
    "tsne_layout",
    "umap_layout",
    "unit_square",
    "vectors_of_weights",
    "write_layout",
]
