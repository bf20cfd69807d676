"""Communities of both graphs, and how much of them comes again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from atlas.analysis.engines import methods
from atlas.analysis.outputs import Call, Partition
from atlas.analysis.stability import Spread, compare, leiden, recovery
from atlas.analysis.stability.consensus import KEEP, number_groups, staying
from queries.studies.network.graphs import names_of, network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from atlas.analysis.network import Network
    from queries.studies.network.graphs import Graphs
    from queries.studies.network.request import NetworkRequest

    Floats = NDArray[np.float64]
    Labels = NDArray[np.int32]

#: Pairs of runs that are compared.
PAIRS = 40
WAYS = ("published", "leiden", "signed")
"""``published``: greedy modularity on the published graph. ``leiden``: one run on the positive
edges of the signed graph. ``signed``: what runs over bootstraps and seeds agree on."""


@dataclass(frozen=True)
class Found:
    """Communities in every way.

    Attributes
    ----------
    labels
        By the names of `WAYS`, int32 ``[features]``: 0 for the largest, -1 for none. Communities
        have 3 features or more.
    modularity
        By way, on the graph that it is of; of ``signed`` the mean over the runs.
    stay
        float64 ``[features]``: share of runs in which a feature is with the core of its community
        by ``signed``; NaN without one.
    recovery
        By way, float64 ``[communities]``: mean over bootstraps of the best Jaccard of a community
        with one that was found there (Hennig 2007); 0.75 and more counts as stable.
    agreement
        By way and what differs, adjusted Rand and mutual information of pairs of runs.
    """

    labels: dict[str, Labels]
    modularity: dict[str, float]
    stay: Floats
    recovery: dict[str, Floats]
    agreement: dict[tuple[str, str], dict[str, Spread]]


def greedy(published: Network) -> tuple[Labels, float]:
    """Group by greedy modularity (Clauset, Newman and Moore 2004) with networkx, as published.

    Returns
    -------
    labels
        As in `Found`; features without an edge, and groups of fewer than 3, have none.
    modularity
        Of all groups.
    """
    if not published.edges:
        return np.full(published.nodes, -1, np.int32), 0.0
    found = methods("networkx")["greedy_modularity"](published, Call({"weighted": False}))
    groups: Partition = found.output
    return number_groups(groups.groups.astype(np.int32)), float(found.details["modularity"])


def find(
    graphs: Graphs, resampled: Sequence[tuple[Network, Network]], *, request: NetworkRequest
) -> Found:
    """Find communities in every way.

    Parameters
    ----------
    graphs
        Of all prompts.
    resampled
        Of bootstraps of the prompts; see `queries.studies.network.graphs.resampled_graphs`.
    request
        Resolution, seeds, agreement and numbers.
    """
    seeds = range(request.seed, request.seed + request.seeds)
    once, modularity = leiden(graphs.positive, resolution=request.resolution, seed=request.seed)
    published, greedy_modularity = greedy(graphs.published)
    runs = [
        [leiden(positive, resolution=request.resolution, seed=seed) for seed in seeds]
        for positive, _ in resampled[: request.bootstraps]
    ]
    labels = np.stack([np.stack([run[0] for run in part]) for part in runs])
    again = np.stack([greedy(other)[0] for _, other in resampled[: request.greedy_bootstraps]])
    every = labels.reshape(-1, labels.shape[-1])
    signed, stay = agreed(every, threshold=request.agreement, seed=request.seed)
    ways = {"published": published, "leiden": number_groups(once), "signed": signed}
    mean = float(np.mean([run[1] for part in runs for run in part]))
    return Found(
        labels=ways,
        modularity={"published": greedy_modularity, "leiden": modularity, "signed": mean},
        stay=stay,
        recovery={
            "published": _recovery(published, again),
            "leiden": _recovery(ways["leiden"], labels[:, 0]),
            "signed": _recovery(signed, every),
        },
        agreement=_agreement(labels, again, graphs, seed=request.seed),
    )


def agreed(runs: NDArray[np.int32], *, threshold: float, seed: int) -> tuple[Labels, Floats]:
    """Group features by how often runs put them together (Lancichinetti and Fortunato 2012).

    Leiden groups the graph whose weights are the shares of runs in which two features are in one
    group, shares below `threshold` left out. Then features go that are with the core of their
    group in less than half of the runs.

    Parameters
    ----------
    runs
        int32 ``[runs, features]``, -1 for none.
    threshold
        Least share that counts.
    seed
        Of Leiden.

    Returns
    -------
    labels, stay
        As in `Found`.
    """
    size = runs.shape[1]
    share = np.zeros((size, size))
    for run in runs:
        share += (run[:, None] == run) & (run[:, None] >= 0)
    share /= len(runs)
    i, j = np.nonzero(np.triu(share >= threshold, 1))
    together = network(names_of(size), i, j, share[i, j])
    labels = number_groups(leiden(together, resolution=1.0, seed=seed, iterations=-1)[0])
    stay = staying(labels, runs)
    # Without the ones that go, a group's core may be another: until none goes.
    while (stay < KEEP).any():
        labels = number_groups(np.where(stay < KEEP, -1, labels).astype(np.int32))
        stay = staying(labels, runs)
    return labels, stay


def _recovery(labels: Labels, runs: NDArray[np.int32]) -> Floats:
    found: Floats = np.mean([recovery(labels, run) for run in runs], axis=0)
    return found


def _agreement(
    labels: NDArray[np.int32], again: NDArray[np.int32], graphs: Graphs, *, seed: int
) -> dict[tuple[str, str], dict[str, Spread]]:
    """Compare runs that differ by their seed, and by their bootstrap."""
    rng = np.random.default_rng([seed, 3])
    boots, seeds = labels.shape[:2]
    linked = len(np.union1d(graphs.positive.source, graphs.positive.target))
    pairs = {
        ("leiden", "seeds"): [(labels[b, s], labels[b, (s + 1) % seeds])
                              for b, s in rng.integers([boots, seeds], size=(PAIRS, 2))],
        ("leiden", "bootstraps"): [(labels[b, s], labels[(b + 1) % boots, s])
                                   for b, s in rng.integers([boots, seeds], size=(PAIRS, 2))],
        ("published", "bootstraps"): [(again[b], again[(b + 1) % len(again)])
                                      for b in range(len(again))],
    }  # fmt: skip
    found = {}
    for name, some in pairs.items():
        every = [compare(a, b, features=linked) for a, b in some]
        found[name] = {
            "ari": Spread.of([one.ari for one in every]),
            "ami": Spread.of([one.ami for one in every]),
        }
    return found


def negative_inside(labels: Labels, graphs: Graphs) -> tuple[int, int]:
    """Count the negative edges of the signed graph with both ends in one community, and all."""
    down = graphs.signed.sign < 0
    i, j = labels[graphs.signed.i[down]], labels[graphs.signed.j[down]]
    return int(((i == j) & (i >= 0)).sum()), int(down.sum())


def community_table(found: Found, graphs: Graphs) -> pa.Table:
    """List the communities of every way: their size, stability and edges by sign.

    Columns: way, community, features, recovery, stable, positive_inside, negative_inside (edges
    of the signed graph) and published_negative_inside (edges of the published graph whose r is
    negative: what merging without signs joins).
    """
    rows: list[dict[str, Any]] = []
    for way in WAYS:
        labels = found.labels[way]
        inside = _inside(labels, graphs)
        for number in range(int(labels.max(initial=-1)) + 1):
            back = float(found.recovery[way][number])
            rows.append(
                {
                    "way": way, "community": number, "features": int((labels == number).sum()),
                    "recovery": back, "stable": back >= 0.75,
                    **{name: int((at == number).sum()) for name, at in inside.items()},
                }
            )  # fmt: skip
    schema = pa.schema(
        [("way", pa.string()), ("community", pa.int64()), ("features", pa.int64()),
         ("recovery", pa.float64()), ("stable", pa.bool_()), ("positive_inside", pa.int64()),
         ("negative_inside", pa.int64()), ("published_negative_inside", pa.int64())]
    )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=schema)


def _inside(labels: Labels, graphs: Graphs) -> dict[str, Labels]:
    """Community of each edge that lies inside one, by kind of edge."""
    signed, published = graphs.signed, graphs.published
    i, j = published.source, published.target
    below = graphs.r[i, j] < 0
    kinds: dict[str, tuple[NDArray[np.integer], NDArray[np.integer]]] = {
        "positive_inside": (signed.i[signed.sign > 0], signed.j[signed.sign > 0]),
        "negative_inside": (signed.i[signed.sign < 0], signed.j[signed.sign < 0]),
        "published_negative_inside": (i[below], j[below]),
    }
    found = {}
    for name, (a, b) in kinds.items():
        same = labels[a] == labels[b]
        found[name] = labels[a][same & (labels[a] >= 0)]
    return found


def stability_table(found: Found, graphs: Graphs) -> pa.Table:
    """Say how the ways agree with themselves and with each other: way, between, measure, spread."""
    rows = [
        {"way": way, "between": between, "measure": measure, "mean": one.mean, "low": one.low,
         "high": one.high, "pairs": one.number}
        for (way, between), some in found.agreement.items() for measure, one in some.items()
    ]  # fmt: skip
    linked = len(np.union1d(graphs.positive.source, graphs.positive.target))
    for way in ("published", "leiden"):
        same = compare(found.labels[way], found.labels["signed"], features=linked)
        rows += [
            {"way": way, "between": "the agreed communities", "measure": name, "mean": value,
             "low": value, "high": value, "pairs": 1}
            for name, value in (("ari", same.ari), ("ami", same.ami))
        ]  # fmt: skip
    return pa.Table.from_pylist(rows)
