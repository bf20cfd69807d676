"""Draw the communities of the demo atlas: `python docs/make_picture.py FILE.png`.

Needs matplotlib and a loaded demo atlas. Features of the twelve largest communities with the
edges between them, laid out by force, labelled by what their members fire on.
"""

from __future__ import annotations

import sys

import matplotlib as mpl
import networkx as nx

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.patheffects import withStroke

from atlas import Atlas

COMMUNITIES = 12
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


def draw(path: str) -> None:
    """Draw the graph into `path`."""
    graph, communities = fetch()
    colour = {row["key"]: PALETTE[i % len(PALETTE)] for i, row in enumerate(communities)}
    place = nx.spring_layout(graph, weight="weight", seed=3, iterations=150, k=0.06)
    figure, axes = plt.subplots(figsize=(11, 6.2), dpi=130)
    nx.draw_networkx_edges(graph, place, ax=axes, alpha=0.12, width=0.5)
    nx.draw_networkx_nodes(
        graph,
        place,
        ax=axes,
        node_size=[6 + 3 * graph.degree(n) for n in graph],
        node_color=[colour[graph.nodes[n]["community"]] for n in graph],
        linewidths=0,
    )
    for row in communities:
        members = [place[n] for n in graph if graph.nodes[n]["community"] == row["key"]]
        if not members:
            continue
        x = sorted(p[0] for p in members)[len(members) // 2]
        y = sorted(p[1] for p in members)[len(members) // 2]
        text = axes.text(x, y, str(row["label"]), ha="center", fontsize=8.5, weight="bold")
        text.set_path_effects([withStroke(linewidth=3, foreground="white")])
    axes.set_axis_off()
    figure.tight_layout(pad=0.2)
    figure.savefig(path)


if __name__ == "__main__":
    draw(sys.argv[1])
