"""A graph as two tables: nodes by key, edges by the keys of their ends.

Column `key` of the nodes is the feature's key. The edges begin with `source`, `target` and
`relation`, the relationship's type. All other columns are properties as the database has them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pandas as pd
    import pyarrow as pa

    from atlas.analysis.network import Network

NODE_KEY = "key"
EDGE_ENDS = ("source", "target")
RELATION = "relation"


@dataclass(frozen=True)
class GraphInfo:
    """What holds for a graph as a whole.

    Attributes
    ----------
    run
        Key of the run that its edges are of.
    directed
        Whether an edge has a direction. A graph of several relations is directed if one of them
        is; edges of the others are then listed once, as the database stores them.
    weights
        Relation -> the property that is its weight. Of co-occurrences of several kinds it is that
        of the first; see `atlas.formats.relations.KIND_WEIGHTS`.
    selection
        What part of the run it is; plain values.
    """

    run: str = ""
    directed: bool = False
    weights: Mapping[str, str] = field(default_factory=dict)
    selection: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class GraphStream:
    """A graph that is read in batches, so that it need not fit into memory.

    Attributes
    ----------
    info
        Run, direction, weights.
    nodes, edges
        Arrow schemas of the batches.
    node_batches, edge_batches
        Called to read the graph; each call reads it anew.
    """

    info: GraphInfo
    nodes: pa.Schema
    edges: pa.Schema
    node_batches: Callable[[], Iterable[pa.RecordBatch]]
    edge_batches: Callable[[], Iterable[pa.RecordBatch]]

    def read(self) -> GraphTables:
        """Read all of it into memory."""
        import pyarrow as pa

        return GraphTables(
            self.info,
            pa.Table.from_batches(list(self.node_batches()), self.nodes),
            pa.Table.from_batches(list(self.edge_batches()), self.edges),
        )


@dataclass(frozen=True)
class GraphTables:
    """A graph in memory.

    Attributes
    ----------
    info
        Run, direction, weights.
    nodes
        Arrow table with the column `key` and a row a node, in order of (SAE, index).
    edges
        Arrow table with the columns `source`, `target`, `relation` and a row an edge.
    """

    info: GraphInfo
    nodes: pa.Table
    edges: pa.Table

    def stream(self) -> GraphStream:
        """Return the same graph in batches."""
        return GraphStream(
            self.info,
            self.nodes.schema,
            self.edges.schema,
            lambda: self.nodes.to_batches(max_chunksize=10_000),
            lambda: self.edges.to_batches(max_chunksize=10_000),
        )

    def keys(self) -> list[str]:
        """Return the keys of the nodes, in their order."""
        return list(self.nodes[NODE_KEY].to_pylist())

    def to_pandas(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return nodes and edges as data frames; lists stay lists and nulls stay missing."""
        import pandas as pd

        return (
            self.nodes.to_pandas(types_mapper=pd.ArrowDtype),
            self.edges.to_pandas(types_mapper=pd.ArrowDtype),
        )

    def to_network(self, weight: str | None = None) -> Network:
        """Return the graph as arrays, without exclusive pairs.

        Parameters
        ----------
        weight
            Edge property that is the weight; may be left out where all relations have the same
            one. Topic pairs then have r_topic.

        Raises
        ------
        UsageError
            Edges have several weights and none is named, a weight is missing or not above 0, or a
            pair of nodes is joined twice.
        """
        from atlas.formats.arrays import network

        return network(self, weight)

    def to_networkx(self, *, multigraph: bool | None = None) -> Any:
        """Return a graph of networkx with all properties.

        Parameters
        ----------
        multigraph
            Whether a pair may be joined more than once; None is yes where some pair is.

        Returns
        -------
        networkx.Graph, DiGraph, MultiGraph or MultiDiGraph
            Nodes are keys. Properties that are null are left out. ``graph.graph`` holds the run
            and, by relation, the name of the weight.

        Raises
        ------
        UsageError
            A pair is joined twice and `multigraph` is False.
        """
        from atlas.formats.objects import networkx_graph

        return networkx_graph(self, multigraph=multigraph)

    def to_igraph(self) -> Any:
        """Return an `igraph.Graph` with all properties; the vertex attribute `name` is the key.

        Raises
        ------
        UsageError
            igraph is not installed.
        """
        from atlas.formats.objects import igraph_graph

        return igraph_graph(self)

    def to_pyg(self, x: str | Sequence[str] | None = None, *, homogeneous: bool = False) -> Any:
        """Return data of PyTorch Geometric; see `atlas.formats.pyg.pyg_data`."""
        from atlas.formats.pyg import pyg_data

        return pyg_data(self, x, homogeneous=homogeneous)


def weight_column(info: GraphInfo, weight: str | None = None) -> str:
    """Return the one property that is the weight of all edges.

    Raises
    ------
    UsageError
        The relations have different ones, or there is none, and `weight` is None.
    """
    if weight is not None:
        return weight
    names = sorted(set(info.weights.values()))
    if len(names) != 1:
        raise UsageError(
            f"The graph's edges have {len(names) or 'no'} weights{': ' if names else ''}"
            f"{', '.join(names)}.",
            hint="Name one property of its edges, or export one relation.",
        )
    return names[0]


def repeated(pairs: Iterable[tuple[Any, Any]], *, directed: bool) -> bool:
    """Return whether some pair of nodes is joined more than once."""
    seen = Counter(pair if directed else tuple(sorted(pair)) for pair in pairs)
    return any(n > 1 for n in seen.values())
