"""Runs one algorithm on one engine."""

from __future__ import annotations

import time
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

from atlas.analysis import engines
from atlas.analysis.algorithms import algorithm
from atlas.analysis.engines.gds_calls import GROUPS, VECTORS
from atlas.analysis.engines.gds_graph import GdsGraph, construct, project
from atlas.analysis.estimate import estimate_algorithm
from atlas.analysis.given import NOTHING, Given
from atlas.analysis.network import Network
from atlas.analysis.outputs import AlgorithmResult, Call, Computed
from atlas.analysis.projection import SUFFIXES
from atlas.analysis.reading import read_network
from atlas.errors import NotFoundError, UsageError
from atlas.graph.failures import database_errors
from atlas.graph.reader import DriverReader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import neo4j

    from atlas.analysis.projection import Projection
    from atlas.graph.reader import Reader

SEED = 42
"""Default random seed."""


def run_algorithm(
    driver: neo4j.Driver,
    name: str,
    *,
    graph: Projection | Network,
    engine: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    seed: int = SEED,
    given: Given = NOTHING,
    database: str | None = None,
) -> AlgorithmResult:
    """Compute an algorithm of the registry; `atlas.analysis.writing.write_result` writes it.

    Parameters
    ----------
    driver, database
        The database that holds the graph; also needed for a network where the engine is ``gds``.
    name
        Name of the algorithm; see `atlas.analysis.algorithms.ALGORITHMS`.
    graph
        A projection of a run, or a network made elsewhere.
    engine
        ``gds``, ``igraph``, ``networkit``, ``networkx`` or ``scipy``; by default the first that
        has the algorithm.
    parameters
        Parameters that are not to have their defaults.
    seed
        Random seed, where the engine's algorithm takes one.
    given
        What else it works on: a partition to judge, vectors to compare.

    Returns
    -------
    AlgorithmResult
        The values, and all that is needed to get them again.

    Raises
    ------
    NotFoundError
        There is no such algorithm or feature.
    UsageError
        A wrong parameter, an engine that has not got it, a graph that it is not defined on, a
        network with a weight that is not above 0, or iterations that do not converge (networkx).
    DatabaseError
        The database fails, lacks Graph Data Science or the memory, or holds no such graph.
    """
    spec = algorithm(name)
    values = spec.fill(parameters or {})
    chosen = engine or spec.engines[0]
    spec.require(chosen, directed=graph.directed)
    described, suffix = _describe(graph, given)
    if chosen == "gds" and not given.wanted(values) and not isinstance(graph, Network):
        call = Call(values, seed)
        result = _projected(driver, spec.name, graph, call=call, database=database)
    else:
        reader = DriverReader(driver, database)
        network = graph if isinstance(graph, Network) else _read(reader, graph)
        call = given.call(reader, network.keys, parameters=values, seed=seed)
        if chosen == "gds":
            result = _constructed(driver, spec.name, network, call=call, database=database)
        else:
            result = compute_in_process(network, spec.name, engine=chosen, call=call)
    return replace(result, projection=described, suffix=suffix)


def _describe(graph: Projection | Network, given: Given) -> tuple[Mapping[str, Any], str]:
    """Return what is recorded of the graph, and what is appended to names of properties."""
    if not isinstance(graph, Network):
        return graph.describe(), graph.suffix
    if (graph.weight <= 0).any():
        raise UsageError(
            "The network has a weight that is not above 0; algorithms take weights as similarity.",
            hint="Keep the edges above 0: network.take(network.weight > 0).",
        )
    size = {"nodes": graph.nodes, "edges": graph.edges, "directed": graph.directed}
    return {**size, **given.origin}, SUFFIXES["network"]


def _read(reader: Reader, graph: Projection) -> Network:
    network = read_network(reader, graph)
    if not network.edges:
        raise UsageError(graph.empty, hint=graph.looser)
    return network


def _projected(
    driver: neo4j.Driver, name: str, graph: Projection, *, call: Call, database: str | None
) -> AlgorithmResult:
    """Run on a projection that the server makes of its own nodes."""
    estimate_algorithm(
        driver, name, graph=graph, parameters=call.parameters, database=database
    ).require()
    with (
        database_errors(f"Running {name} on {graph.run}"),
        project(driver, graph, database=database) as made,
    ):
        return compute_on(made, name, call=call)


def _constructed(
    driver: neo4j.Driver, name: str, network: Network, *, call: Call, database: str | None
) -> AlgorithmResult:
    """Run on a graph that is handed over to the server."""
    estimate_algorithm(
        driver, name, graph=network, parameters=call.parameters, database=database
    ).require()
    arrays = {GROUPS: call.groups, VECTORS: call.vectors}
    properties = {name: array for name, array in arrays.items() if array is not None}
    with (
        database_errors(f"Running {name}"),
        construct(driver, network, properties=properties, database=database) as made,
    ):
        return compute_on(made, name, call=call)


def compute_on(graph: GdsGraph, name: str, *, call: Call) -> AlgorithmResult:
    """Compute one algorithm on a graph in the server's memory; the estimate is the caller's.

    Parameters
    ----------
    graph
        From `atlas.analysis.engines.gds_graph.project` or `construct`.
    name
        Name of the algorithm.
    call
        Every parameter, and the seed.
    """
    began = time.monotonic()
    _require_sources(graph.keys, call)
    computed: Computed = engines.methods("gds")[name](graph, call)
    made = AlgorithmResult(name, "gds", graph.keys, computed.output)
    versions = gds_versions(graph.gds)
    return _completed(made, computed, call=call, began=began, versions=versions)


def gds_versions(gds: Any) -> dict[str, str]:
    """Return the versions of the server's Graph Data Science and of its client."""
    version = gds.server_version()
    return {
        "gds_version": f"{version.major}.{version.minor}.{version.patch}",
        "client_version": metadata.version("graphdatascience"),
    }


def compute_in_process(network: Network, name: str, *, engine: str, call: Call) -> AlgorithmResult:
    """Compute one algorithm on an engine that works in this process.

    Parameters
    ----------
    network
        The graph.
    name
        Name of the algorithm.
    engine
        One of `atlas.analysis.engines.MODULES` but ``gds``.
    call
        Every parameter, and the seed.

    Raises
    ------
    UsageError
        The engine is not installed.
    """
    _require_sources(network.keys, call)
    began = time.monotonic()
    computed: Computed = engines.methods(engine)[name](network, call)
    made = AlgorithmResult(name, engine, network.keys, computed.output)
    return _completed(made, computed, call=call, began=began, versions=engines.version(engine))


def _require_sources(keys: Sequence[str], call: Call) -> None:
    absent = set(call.parameters.get("sources", ())) - set(keys)
    if absent:
        raise NotFoundError(
            f"The graph has no feature {min(absent)!r}.",
            hint="Features that never fire are not in it; name one by its key.",
        )


def _completed(
    made: AlgorithmResult,
    computed: Computed,
    *,
    call: Call,
    began: float,
    versions: Mapping[str, str],
) -> AlgorithmResult:
    return replace(
        made,
        parameters=engines.used(made.engine, made.algorithm, call.parameters),
        seed=call.seed if made.engine in algorithm(made.algorithm).seeded else None,
        exact=computed.exact,
        seconds=time.monotonic() - began,
        versions=versions,
        details=computed.details,
    )
