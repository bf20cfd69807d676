"""Graph algorithms, communities, backbones and maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from atlas.api.communities import Communities
from atlas.progress import SilentReporter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from atlas.analysis import AnalysisSummary
    from atlas.analysis.network import Network
    from atlas.analysis.outputs import AlgorithmResult
    from atlas.analysis.stability import Settings
    from atlas.progress import Reporter

FALLBACK = " (one run of Leiden)"
"""Behind the mark of an analysis that lacked something for consensus communities."""


class Analysis(Communities):
    """What is computed on the graph."""

    def analyse(
        self,
        run: str | None = None,
        *,
        seed: int = 42,
        top_k: int = 10,
        communities: Literal["consensus", "leiden"] = "consensus",
        settings: Settings | None = None,
        build: str | Path | None = None,
        mark: str | None = None,
        reporter: Reporter | None = None,
    ) -> AnalysisSummary:
        """Compute centrality and communities of a run; see `atlas.analysis.analyse`.

        Parameters
        ----------
        run
            Key of the run; may be left out if the database has one.
        seed
            Random seed of a single run of Leiden, and of the consensus without `settings`.
        top_k
            The backbone of centrality keeps edges among the strongest `top_k` of both ends.
        communities
            ``consensus``: what runs over seeds and document bootstraps agree on (see
            `stable_communities`); where something for that is missing, one run of ``leiden``,
            and the reporter is told why.
        settings
            Of the consensus.
        build
            The run's build folder, for the consensus; by default ``HOME/builds/RUN``.
        mark
            See `atlas.analysis.analyse`; with `FALLBACK` behind it where something is missing.
        reporter
            Is told of the progress.

        Raises
        ------
        NotFoundError
            There is no such run.
        UsageError
            No run is named and there are several, or `top_k` leaves no edge.
        DatabaseError
            The database fails or has no Graph Data Science.
        """
        from atlas.analysis import analyse
        from atlas.analysis.stability import Settings
        from queries.resolve import only_run

        key = run if run is not None else only_run(self.reader)
        found = lacks = None
        if communities == "consensus":
            lacks = self.why_no_consensus(key, build=build)
        if lacks is not None:
            told = reporter or SilentReporter()
            told.note(f"communities are those of one run of Leiden: {lacks}")
        elif communities == "consensus":
            chosen = settings or Settings(seed=seed)
            found = self.stable_communities(key, build=build, settings=chosen, reporter=reporter)
        return analyse(
            self.driver,
            key,
            database=self.database,
            seed=seed,
            top_k=top_k,
            partition=found,
            mark=mark + FALLBACK if mark and lacks else mark,
            reporter=reporter,
        )

    def algorithm(
        self,
        name: str,
        *,
        run: str | None = None,
        relationship: str = "co_occurs",
        kinds: Sequence[str] = (),
        top_k: int | None = None,
        min_weight: float = 0.0,
        weight: str | None = None,
        directed: bool | None = None,
        engine: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        seed: int = 42,
        write: bool = False,
        reporter: Reporter | None = None,
    ) -> AlgorithmResult:
        """Run one graph algorithm; see `atlas.analysis.run_algorithm`.

        Parameters
        ----------
        name
            Name of the algorithm; `atlas.analysis.algorithms.ALGORITHMS` has them.
        run
            Key of the run; may be left out if the database has one.
        relationship, kinds, top_k, min_weight, weight, directed
            Which graph; see `atlas.analysis.projection.projection`.
        engine
            ``gds``, ``igraph``, ``networkit``, ``networkx`` or ``scipy``; by default the first
            that has the algorithm.
        parameters
            Parameters that are not to have their defaults; texts are turned into values. Features
            in ``sources`` may be named as in queries.
        seed
            Random seed, where one is used.
        write
            Replace what the algorithm wrote for the run before by this, in one transaction.
        reporter
            Is told what is done.

        Raises
        ------
        NotFoundError
            There is no such run, algorithm or feature.
        UsageError
            A wrong parameter or projection, or an engine that has not got the algorithm.
        DatabaseError
            The database fails, or lacks Graph Data Science or the memory.
        """
        from atlas.analysis import run_algorithm
        from atlas.analysis.projection import projection
        from atlas.analysis.writing import write_result
        from atlas.progress import SilentReporter
        from queries.resolve import only_run, resolve_feature, resolve_run

        key = resolve_run(self.reader, run) if run is not None else only_run(self.reader)
        graph = projection(
            key,
            relationship,
            kinds=kinds,
            top_k=top_k,
            min_weight=min_weight,
            weight=weight,
            directed=directed,
        )
        values = dict(parameters or {})
        if "sources" in values:
            named = values["sources"]
            names = named.split(",") if isinstance(named, str) else named
            values["sources"] = [resolve_feature(self.reader, name) for name in names]
        with (reporter or SilentReporter()).step(name):
            result = run_algorithm(
                self.driver,
                name,
                graph=graph,
                engine=engine,
                parameters=values,
                seed=seed,
                database=self.database,
            )
            if write:
                write_result(self.driver, key, result, database=self.database)
        return result

    def network(
        self,
        run: str | None = None,
        *,
        relationship: str = "co_occurs",
        kinds: Sequence[str] = (),
        top_k: int | None = None,
        min_weight: float = 0.0,
        weight: str | None = None,
        directed: bool | None = None,
    ) -> Network:
        """Return a graph of features as arrays; see `atlas.analysis.reading.read_network`.

        Parameters
        ----------
        run
            Key of the run; may be left out if the database has one.
        relationship, kinds, top_k, min_weight, weight, directed
            Which graph; see `atlas.analysis.projection.projection`.
        """
        from atlas.analysis.projection import projection
        from atlas.analysis.reading import read_network
        from queries.resolve import only_run, resolve_run

        key = resolve_run(self.reader, run) if run is not None else only_run(self.reader)
        graph = projection(
            key,
            relationship,
            kinds=kinds,
            top_k=top_k,
            min_weight=min_weight,
            weight=weight,
            directed=directed,
        )
        return read_network(self.reader, graph)
