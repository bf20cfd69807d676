"""Runs an analysis: projects, computes, labels, writes back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from atlas.analysis.centrality import CENTRALITIES, AlgorithmResult, compute
from atlas.analysis.communities import ALGORITHM, Community, leiden, name_communities
from atlas.analysis.projection import TOP_K, Backbone, backbone, gds_client
from atlas.analysis.results import read_values, write_analysis
from atlas.errors import DatabaseError, NotFoundError, UsageError
from atlas.graph.failures import database_errors
from atlas.graph.reader import DriverReader, Reader
from atlas.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    import neo4j

SEED = 42
"""Default seed of Leiden."""


@dataclass(frozen=True)
class AnalysisSummary:
    """What an analysis found.

    Attributes
    ----------
    run
        Key of the run.
    features
        Features of the backbone.
    edges
        Its undirected edges.
    communities
        Communities of at least three features.
    members
        Features in them.
    modularity
        Of the whole Leiden partition, weighted by phi.
    algorithms
        Properties computed, one `AlgorithmRun` each.
    seconds
        Wall time.
    """

    run: str
    features: int
    edges: int
    communities: int
    members: int
    modularity: float
    algorithms: tuple[str, ...]
    seconds: float


def analyse(
    driver: neo4j.Driver,
    run_id: str,
    *,
    database: str | None = None,
    seed: int = SEED,
    top_k: int = TOP_K,
    reporter: Reporter | None = None,
) -> AnalysisSummary:
    """Compute centrality and communities of a run and write them into the graph.

    Written: the feature properties `pagerank`, `degree`, `strength`, `betweenness`, `closeness`,
    `eigenvector`, `community` and `scored_run`; nodes `Community` with `MEMBER_OF`; one node
    `AlgorithmRun` for each algorithm with its parameters, seed, versions and time. All of it
    replaces, in one transaction, what an earlier analysis of the same run wrote. The same run,
    seed and versions give the same graph.

    Parameters
    ----------
    driver
        An open driver with the right to write.
    run_id
        Key of a loaded run.
    database
        Name of the database; None is the server's default.
    seed
        Random seed of Leiden.
    top_k
        The backbone keeps edges among the strongest `top_k` of both ends.
    reporter
        Is told of each algorithm.

    Returns
    -------
    AnalysisSummary
        Sizes, modularity and time.

    Raises
    ------
    NotFoundError
        No such run.
    DatabaseError
        The run is not loaded in full, or the server fails or lacks Graph Data Science.
    UsageError
        `top_k` is below 1, or leaves no edge.
    """
    began = time.monotonic()
    if top_k < 1:
        raise UsageError(f"top_k is {top_k}.", hint="Give 1 or more.")
    reader = DriverReader(driver, database)
    _require_loaded(reader, run_id)
    gds = gds_client(driver, database)
    reporter = reporter or SilentReporter()
    with (
        database_errors(f"Analysing {run_id}"),
        backbone(gds, run_id, top_k=top_k) as graph,
    ):
        algorithms = _compute(graph, seed=seed, reporter=reporter)
        names = tuple(algorithm.property for algorithm in algorithms)
        values = read_values(driver, run_id, graph, properties=names, database=database)
        assignment = {key: int(scores.pop(ALGORITHM)) for key, scores in values.items()}
        communities = name_communities(reader, run_id, assignment)
        write_analysis(
            driver,
            run_id,
            scores=values,
            algorithms=algorithms,
            communities=communities,
            shared={"top_k": top_k, **_versions(gds)},
            database=database,
        )
    modularity = float(algorithms[-1].details["modularity"])
    return _summary(run_id, graph, communities, modularity, names, time.monotonic() - began)


def _compute(graph: Backbone, *, seed: int, reporter: Reporter) -> list[AlgorithmResult]:
    """Run every algorithm; Leiden is the last of the list."""
    results = []
    total = len(CENTRALITIES) + 1
    with reporter.step(f"analysing {graph.nodes} features, {graph.edges} edges", total) as advance:
        for done, measure in enumerate(CENTRALITIES, start=1):
            results.append(compute(graph, measure))
            advance(done)
        results.append(leiden(graph, seed=seed))
        advance(total)
    return results


def _summary(
    run: str,
    graph: Backbone,
    communities: list[Community],
    modularity: float,
    names: tuple[str, ...],
    seconds: float,
) -> AnalysisSummary:
    members = sum(len(community.members) for community in communities)
    return AnalysisSummary(
        run=run,
        features=graph.nodes,
        edges=graph.edges,
        communities=len(communities),
        members=members,
        modularity=modularity,
        algorithms=names,
        seconds=seconds,
    )


def _require_loaded(reader: Reader, run: str) -> None:
    rows = reader.read("MATCH (r:Run) RETURN r.key AS key, r.state AS state ORDER BY key")
    states = {row["key"]: row["state"] for row in rows}
    if run not in states:
        raise NotFoundError(
            f"The database has no run {run!r}.",
            hint=f"It has: {', '.join(states)}." if states else "Load a build with `atlas load`.",
        )
    if states[run] != "loaded":
        raise DatabaseError(
            f"The run {run} was not loaded to its end.", hint="Run the same `atlas load` again."
        )


def _versions(gds: Any) -> dict[str, str]:
    version = gds.server_version()
    return {
        "gds_version": f"{version.major}.{version.minor}.{version.patch}",
        "client_version": metadata.version("graphdatascience"),
    }
