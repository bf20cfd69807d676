"""Draw the communities of the demo atlas: `python docs/make_picture.py FILE.png`.

Needs matplotlib and a loaded demo atlas. Features of the twelve largest communities with the
edges between them, each community laid out by force, labelled by what its members fire on.
"""

from __future__ import annotations

import sys

import matplotlib as mpl
import networkx as nx
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.patheffects import withStroke

from atlas import Atlas

COMMUNITIES = 12
COLUMNS = 4
PALETTE = plt.get_cmap("tab20").colors


def fetch() -> tuple[nx.Graph, list[dict[str, object]]]:
    """Read features and mutual edges of the largest communities."""
    with Atlas.connect() as atlas:
        communities = atlas.communities(limit=COMMUNITIES)
        keys = [row["key"] for row in communities]
        edges = atlas.cypher(
            "MATCH (a:Feature)-[r:CO_OCCURS]->(b:Feature) "
            "WHERE a.community IN $keys AND b.community IN $keys "
            "AND r.rank_source <= 10 AND r.rank_target <= 10 "
            "RETURN a.key AS a, b.key AS b, r.phi AS phi, a.community AS ca, b.community AS cb",
            keys=keys,
        )
    graph = nx.Graph()
    for row in edges:
        graph.add_node(row["a"], community=row["ca"])
        graph.add_node(row["b"], community=row["cb"])
        graph.add_edge(row["a"], row["b"], weight=row["phi"])
    return graph, communities


def positions(graph: nx.Graph, communities: list[dict[str, object]]) -> dict[str, np.ndarray]:
    """Lay each community out in a cell of a grid, by force."""
    place: dict[str, np.ndarray] = {}
    for number, row in enumerate(communities):
        members = [n for n in graph if graph.nodes[n]["community"] == row["key"]]
        local = nx.kamada_kawai_layout(graph.subgraph(members))
        points = np.array([local[n] for n in members])
        points = points / np.maximum(np.abs(points).max(), 1e-9)
        centre = np.array([number % COLUMNS * 2.35, -(number // COLUMNS) * 2.5])
        place |= dict(zip(members, centre + points, strict=True))
    return place


def draw(path: str) -> None:
    """Draw the graph into `path`."""
    graph, communities = fetch()
    place = positions(graph, communities)
    colour = {row["key"]: PALETTE[i % len(PALETTE)] for i, row in enumerate(communities)}
    kind = nx.get_node_attributes(graph, "community")
    inner = [(a, b) for a, b in graph.edges if kind[a] == kind[b]]
    outer = [(a, b) for a, b in graph.edges if kind[a] != kind[b]]
    figure, axes = plt.subplots(figsize=(11, 7.6), dpi=95)
    nx.draw_networkx_edges(graph, place, edgelist=outer, ax=axes, alpha=0.05, width=0.4)
    nx.draw_networkx_edges(graph, place, edgelist=inner, ax=axes, alpha=0.45, width=0.5)
    nx.draw_networkx_nodes(
        graph,
        place,
        ax=axes,
        node_size=[5 + 3 * graph.degree(n) for n in graph],
        node_color=[colour[kind[n]] for n in graph],
        linewidths=0,
    )
    for number, row in enumerate(communities):
        x, y = number % COLUMNS * 2.35, -(number // COLUMNS) * 2.5 + 1.1
        text = axes.text(x, y, f"{row['label']}  ({row['size']})", ha="center", fontsize=8)
        text.set_path_effects([withStroke(linewidth=3, foreground="white")])
    axes.set_axis_off()
    figure.tight_layout(pad=0.2)
    figure.savefig(path)


if __name__ == "__main__":
    draw(sys.argv[1])
