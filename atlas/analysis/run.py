"""Runs an analysis: projects, computes, labels, writes back."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from atlas.analysis.algorithms import algorithm
from atlas.analysis.communities import Community, name_communities, with_stability
from atlas.analysis.compute import SEED, compute_on
from atlas.analysis.engines.gds_graph import project
from atlas.analysis.outputs import AlgorithmResult, Call, Partition
from atlas.analysis.projection import TOP_K, projection
from atlas.analysis.properties import MEASURES
from atlas.analysis.results import write_analysis
from atlas.analysis.stability.partition import as_result
from atlas.analysis.stability.result import Consensus
from atlas.errors import DatabaseError, NotFoundError, UsageError
from atlas.graph.failures import database_errors
from atlas.graph.reader import DriverReader, Reader
from atlas.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    import neo4j

    from atlas.analysis.engines.gds_graph import GdsGraph

COMMUNITIES = "leiden"
"""Algorithm whose groups are the communities, where none are handed over."""


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
        Of the whole partition, weighted by phi.
    algorithms
        What was computed, one `AlgorithmRun` each; the last made the communities.
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
    partition: AlgorithmResult | Consensus | None = None,
    mark: str | None = None,
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
    partition
        A partition of the run's features made elsewhere, with its `modularity` among the details;
        its groups become the communities ``{run}/{algorithm}/{number}``, in place of Leiden's.
        A consensus brings `stability` and `stable` to Community and `stay` to MEMBER_OF.
    mark
        Kept as the property `analysis` of the Run, to know an analysis by what was asked for.
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
        `top_k` is below 1, or leaves no edge, or `partition` is none of these features.
    """
    began = time.monotonic()
    if top_k < 1:
        raise UsageError(f"top_k is {top_k}.", hint="Give 1 or more.")
    given = as_result(partition) if isinstance(partition, Consensus) else partition
    reader = DriverReader(driver, database)
    _require_loaded(reader, run_id)
    backbone = projection(run_id, top_k=top_k)
    with database_errors(f"Analysing {run_id}"):
        with project(driver, backbone, database=database) as graph:
            measures, found = _compute(
                graph, seed=seed, partition=given, reporter=reporter or SilentReporter()
            )
            sizes = (graph.nodes, graph.edges)
        described = backbone.describe()
        measures = [replace(measure, projection=described) for measure in measures]
        found = replace(found, projection=found.projection or described)
        communities = name_communities(reader, run_id, found.by_key(), algorithm=found.algorithm)
        if isinstance(partition, Consensus):
            communities = with_stability(communities, partition)
        write_analysis(
            driver,
            run_id,
            measures=measures,
            partition=found,
            communities=communities,
            mark=mark,
            database=database,
        )
    return AnalysisSummary(
        run=run_id,
        features=sizes[0],
        edges=sizes[1],
        communities=len(communities),
        members=_members(communities),
        modularity=float(found.details["modularity"]),
        algorithms=(*MEASURES, found.algorithm),
        seconds=time.monotonic() - began,
    )


def _compute(
    graph: GdsGraph, *, seed: int, partition: AlgorithmResult | None, reporter: Reporter
) -> tuple[list[AlgorithmResult], AlgorithmResult]:
    """Return the measures, and what makes the communities."""
    if partition is not None:
        _require_partition(partition, graph)
    measures = []
    total = len(MEASURES) + 1
    with reporter.step(f"analysing {graph.nodes} features, {graph.edges} edges", total) as advance:
        for done, name in enumerate(MEASURES, start=1):
            measures.append(_one(graph, name, seed=seed))
            advance(done)
        found = partition or _one(graph, COMMUNITIES, seed=seed)
        advance(total)
    return measures, found


def _one(graph: GdsGraph, name: str, *, seed: int) -> AlgorithmResult:
    return compute_on(graph, name, call=Call(algorithm(name).fill({}), seed))


def _require_partition(partition: AlgorithmResult, graph: GdsGraph) -> None:
    if not isinstance(partition.output, Partition) or "modularity" not in partition.details:
        raise UsageError(
            "What was handed over is no partition with its modularity.",
            hint="Give the result of a partition, as of the algorithm leiden.",
        )
    strange = set(partition.keys) - set(graph.keys)
    if strange:
        raise UsageError(
            f"The partition names {min(strange)}, which is no feature of this run that fires.",
            hint="Make it from the same run.",
        )


def _members(communities: list[Community]) -> int:
    return sum(len(community.members) for community in communities)


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
