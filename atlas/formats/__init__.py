"""Graphs in files: GraphML, GEXF, Parquet, CSV and PyTorch Geometric, and objects of libraries.

Nothing here knows the database: `GraphStream` is what is written, `GraphTables` what is read.
"""

from atlas.formats.files import FORMATS, read_graph, write_graph
from atlas.formats.tables import GraphInfo, GraphStream, GraphTables

__all__ = ["FORMATS", "GraphInfo", "GraphStream", "GraphTables", "read_graph", "write_graph"]
