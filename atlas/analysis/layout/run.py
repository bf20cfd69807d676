"""Makes the map of a run: reads, computes, judges, writes."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.backbones import Options, choose, network_of_run
from atlas.analysis.layout.graph import ALGORITHMS, graph_layout
from atlas.analysis.layout.quality import neighbour_share, trustworthiness
from atlas.analysis.layout.read import stored_vectors, vectors_of_weights
from atlas.analysis.layout.vectors import (
    MIN_DIST,
    NEIGHBOURS,
    PERPLEXITY,
    SEED,
    tsne_layout,
    umap_layout,
)
from atlas.analysis.layout.write import DEFAULT_NAME, property_names, write_layout
from atlas.errors import UsageError
from atlas.graph.reader import DriverReader
from atlas.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    from pathlib import Path

    import neo4j
    from numpy.typing import NDArray

    from atlas.analysis.backbones import Choice
    from atlas.analysis.network import Network
    from atlas.graph.reader import Reader

VECTOR_METHODS = ("umap", "tsne")
GRAPH_METHODS = tuple(f"graph-{name}" for name in ALGORITHMS)
METHODS = (*GRAPH_METHODS, *VECTOR_METHODS)
"""Layouts: of a backbone of the graph, and of decoder vectors."""

NEAREST = 20
"""Nearest features of the map in which graph neighbours are looked for."""


@dataclass(frozen=True)
class LayoutOptions:
    """How a map is made.

    Attributes
    ----------
    method
        One of `METHODS`.
    name
        Name of the map; see `atlas.analysis.layout.write.property_names`.
    seed
        Random seed.
    neighbours, min_dist, perplexity
        Of ``umap`` (`min_dist` also of ``graph-umap``) and ``tsne``.
    backbone, k, min_weight, alpha
        The backbone, and its parameters: what graph layouts draw, and what the share of graph
        neighbours is measured on.
    weight
        Property of co-occurrence that is an edge's weight.
    """

    method: str = "graph-umap"
    name: str = DEFAULT_NAME
    seed: int = SEED
    neighbours: int = NEIGHBOURS
    min_dist: float = MIN_DIST
    perplexity: float = PERPLEXITY
    backbone: str = "union-knn"
    k: int = 3
    min_weight: float = 0.1
    alpha: float = 0.05
    weight: str = "phi"


@dataclass(frozen=True)
class LayoutSummary:
    """What a layout placed, and how well.

    Attributes
    ----------
    run, name, method
        What was laid out, the map's name, and how.
    features
        Features on the map.
    neighbour_share
        Share of the backbone's neighbours among the 20 nearest of the map; None without edges.
    trustworthiness
        Of layouts of decoder vectors, on a sample; else None.
    seconds
        Wall time.
    """

    run: str
    name: str
    method: str
    features: int
    neighbour_share: float | None
    trustworthiness: float | None
    seconds: float


@dataclass(frozen=True)
class _Map:
    keys: list[str]
    points: NDArray[np.float64]
    seconds: float
    trustworthiness: float | None = None


def lay_out(
    driver: neo4j.Driver,
    run: str,
    *,
    options: LayoutOptions | None = None,
    weights: str | Path | None = None,
    database: str | None = None,
    reporter: Reporter | None = None,
) -> LayoutSummary:
    """Compute the map of a run and write it into the graph.

    Written, in one transaction, in place of the earlier map of that name: the feature properties
    ``map_x``, ``map_y`` (in [0, 1]) and ``map_run``, and a node ``AlgorithmRun`` with method,
    parameters, seed, versions, time and quality. Features that never fire are not on a map,
    features without an edge of the backbone not on maps of the graph, and features without a
    decoder vector not on maps of vectors.

    Parameters
    ----------
    driver
        An open driver with the right to write.
    run
        Key of a loaded run.
    options
        How.
    weights
        Weights of the run's SAE, for layouts of decoder vectors; by default ``Feature.decoder``.
    database
        Name of the database; None is the server's default.
    reporter
        Is told of each step.

    Raises
    ------
    UsageError
        An option has an impossible value, the extra `analysis` is not installed, or there is
        nothing to lay out.
    NotFoundError
        The database has no such run.
    DatabaseError
        The database fails.
    """
    began = time.monotonic()
    options = options or LayoutOptions()
    reporter = reporter or SilentReporter()
    choice = _checked(options)
    reader = DriverReader(driver, database)
    with reporter.step(f"reading {run}"):
        backbone = choice.apply(network_of_run(reader, run, weight=options.weight))
        vectors = None
        if options.method in VECTOR_METHODS:
            vectors = _vectors(reader, run, weights)
    with reporter.step(f"computing the map ({options.method})"):
        placed = _of_graph(backbone, options) if vectors is None else _of_vectors(vectors, options)
        share = _share(backbone, placed)
    write_layout(
        driver,
        run,
        keys=placed.keys,
        points=placed.points,
        record=_record(options, placed, backbone=str(choice), share=share),
        name=options.name,
        database=database,
    )
    return LayoutSummary(
        run=run,
        name=options.name,
        method=options.method,
        features=len(placed.keys),
        neighbour_share=share,
        trustworthiness=placed.trustworthiness,
        seconds=time.monotonic() - began,
    )


def _checked(options: LayoutOptions) -> Choice:
    """Return the backbone of the options; refuse what is known to be wrong before any work."""
    if options.method not in METHODS:
        raise UsageError(
            f"There is no layout {options.method!r}.", hint=f"There are: {', '.join(METHODS)}."
        )
    property_names(options.name)
    return choose(
        options.backbone, Options(k=options.k, min_weight=options.min_weight, alpha=options.alpha)
    )


def _vectors(
    reader: Reader, run: str, weights: str | Path | None
) -> tuple[list[str], NDArray[np.float32]]:
    if weights is None:
        return stored_vectors(reader, run)
    return vectors_of_weights(reader, run, weights=weights)


def _of_graph(backbone: Network, options: LayoutOptions) -> _Map:
    began = time.monotonic()
    nodes, points = graph_layout(
        backbone,
        algorithm=options.method.removeprefix("graph-"),
        min_dist=options.min_dist,
        seed=options.seed,
    )
    return _Map([backbone.keys[node] for node in nodes], points, time.monotonic() - began)


def _of_vectors(read: tuple[list[str], NDArray[np.float32]], options: LayoutOptions) -> _Map:
    keys, vectors = read
    began = time.monotonic()
    if options.method == "umap":
        points = umap_layout(
            vectors,
            neighbours=options.neighbours,
            min_dist=options.min_dist,
            seed=options.seed,
        )
    else:
        points = tsne_layout(vectors, perplexity=options.perplexity, seed=options.seed)
    seconds = time.monotonic() - began
    return _Map(keys, points, seconds, trustworthiness(vectors, points, seed=options.seed))


def _share(backbone: Network, placed: _Map) -> float | None:
    points = np.full((backbone.nodes, 2), np.nan)
    place = {key: number for number, key in enumerate(backbone.keys)}
    points[[place[key] for key in placed.keys]] = placed.points
    share = neighbour_share(backbone, points, k=NEAREST)
    return None if math.isnan(share) else share


def _record(
    options: LayoutOptions, placed: _Map, *, backbone: str, share: float | None
) -> dict[str, Any]:
    """Return the properties of the map's `AlgorithmRun`."""
    return {
        "algorithm": options.method,
        "parameters": _parameters(options, backbone),
        "seed": options.seed,
        "milliseconds": round(1000 * placed.seconds),
        "versions": _versions(),
        "features": len(placed.keys),
        "trustworthiness": placed.trustworthiness,
        "neighbour_share": share,
    }


def _parameters(options: LayoutOptions, backbone: str) -> dict[str, Any]:
    """Return what made the map: the method's own parameters and the backbone's."""
    own = {
        "umap": ("neighbours", "min_dist"),
        "tsne": ("perplexity",),
        "graph-umap": ("min_dist",),
    }
    values = {name: getattr(options, name) for name in own.get(options.method, ())}
    return {**values, "backbone": backbone, "weight": options.weight}


def _versions() -> dict[str, str]:
    """Return the versions that the coordinates depend on, of those that are installed."""
    found = {}
    for package in ("igraph", "numba", "numpy", "scikit-learn", "scipy", "umap-learn"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
