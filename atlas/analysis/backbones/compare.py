"""What a backbone keeps of its network, side by side for several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.backbones.choice import usual_choices
from atlas.analysis.igraphs import require_similarity, seeded_igraph, to_igraph
from atlas.analysis.stability.settings import MIN_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.analysis.backbones.choice import Choice
    from atlas.analysis.network import Network
    from atlas.progress import Reporter

SEED = 42
"""Default seed of Leiden."""

ITERATIONS = 10
"""Rounds of Leiden; more hardly raise the modularity."""


@dataclass(frozen=True)
class BackboneSummary:
    """What a backbone keeps.

    Attributes
    ----------
    backbone
        Method and parameters, for example ``mutual-knn k=10``.
    edges
        Edges kept.
    edge_share, weight_share
        Share of the network's edges, and of their total weight.
    nodes
        Nodes with an edge. What follows is of these.
    components, largest
        Connected components, and nodes of the largest.
    mean_degree
        Edges of a node.
    clustering
        Mean local clustering coefficient, 0 at nodes of degree 1.
    communities
        Groups of at least 3 nodes that Leiden finds.
    modularity
        Of its whole partition, weighted.
    """

    backbone: str
    edges: int
    edge_share: float
    weight_share: float
    nodes: int
    components: int
    largest: int
    mean_degree: float
    clustering: float
    communities: int
    modularity: float


def compare_backbones(
    network: Network,
    choices: Sequence[Choice] | None = None,
    *,
    seed: int = SEED,
    reporter: Reporter | None = None,
) -> list[BackboneSummary]:
    """Return what each of several backbones keeps of a network.

    Parameters
    ----------
    network
        Undirected, of weights above 0.
    choices
        The backbones; by default `usual_choices`, the whole network first.
    seed
        Random seed of Leiden.
    reporter
        Is told of each backbone.

    Returns
    -------
    list of BackboneSummary
        In the order of `choices`.

    Raises
    ------
    UsageError
        igraph is not installed, or the network is directed or has a weight that is not above 0.
    """
    from atlas.progress import SilentReporter

    choices = usual_choices() if choices is None else choices
    rows = []
    title = f"comparing backbones of {network.edges} edges"
    with (reporter or SilentReporter()).step(title, len(choices)) as advance:
        for done, choice in enumerate(choices, start=1):
            kept = choice.apply(network)
            rows.append(summarise(kept, network, name=str(choice), seed=seed))
            advance(done)
    return rows


def summarise(kept: Network, whole: Network, *, name: str, seed: int = SEED) -> BackboneSummary:
    """Return what a backbone keeps.

    Parameters
    ----------
    kept
        The backbone.
    whole
        The network that it is of.
    name
        How the backbone is called.
    seed
        Random seed of Leiden.

    Raises
    ------
    UsageError
        igraph is not installed, or the backbone is directed or has a weight that is not above 0.
    """
    require_similarity(kept)
    graph = to_igraph(kept, linked=True)
    sizes = graph.connected_components().sizes()
    groups = seeded_leiden(graph, seed=seed)
    local = graph.transitivity_local_undirected(mode="zero")
    nodes = graph.vcount()
    return BackboneSummary(
        backbone=name,
        edges=kept.edges,
        edge_share=kept.edges / max(whole.edges, 1),
        weight_share=float(kept.weight.sum() / whole.weight.sum()) if whole.edges else 0.0,
        nodes=nodes,
        components=len(sizes),
        largest=max(sizes, default=0),
        mean_degree=2 * kept.edges / max(nodes, 1),
        clustering=float(np.mean(local)) if nodes else 0.0,
        communities=sum(size >= MIN_SIZE for size in groups.sizes()),
        modularity=float(graph.modularity(groups, weights="weight")) if kept.edges else 0.0,
    )


def seeded_leiden(graph: Any, *, seed: int) -> Any:
    """Return the partition that Leiden finds by weighted modularity.

    Parameters
    ----------
    graph
        From `to_igraph`.
    seed
        Random seed.

    Returns
    -------
    igraph.VertexClustering
        The partition.
    """
    with seeded_igraph(seed):
        return graph.community_leiden(
            objective_function="modularity", weights="weight", n_iterations=ITERATIONS
        )
