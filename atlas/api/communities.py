"""Communities with stability, found from a build's counts by folds of documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.api.connection import Connection
from atlas.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from atlas.analysis.stability import Consensus, RankInterval, Settings
    from atlas.progress import Reporter


class Communities(Connection):
    """What documents drawn anew say of communities and centralities."""

    def stable_communities(
        self,
        run: str | None = None,
        *,
        build: str | Path | None = None,
        settings: Settings | None = None,
        processes: int | None = None,
        reporter: Reporter | None = None,
    ) -> Consensus:
        """Return the communities that runs over seeds and document bootstraps agree on.

        Nothing is written; `analyse` writes them. Neither the database nor the model computes.

        Parameters
        ----------
        run
            Key of the run; may be left out if the database has one.
        build
            Its build folder; by default ``HOME/builds/RUN``.
        settings
            `atlas.analysis.stability.Settings`: top_k, resolutions, thresholds, seeds, bootstraps.
        processes
            Processes; None takes one a core. The result is the same.
        reporter
            Is told how far it is.

        Returns
        -------
        Consensus
            Community (or None) and `stay` of each feature; size, stability and `stable` of each
            community; agreement between seeds, bootstraps and halves; `to_json`.

        Raises
        ------
        NotFoundError
            There is no such run, or no build folder of it.
        ArtifactError
            The build keeps no counts by folds.
        UsageError
            The extra `analysis` is not installed.
        """
        from atlas.analysis.stability import find_communities, read_folds

        counts = read_folds(self._build_of(run, build))
        return find_communities(counts, settings=settings, processes=processes, reporter=reporter)

    def rank_intervals(
        self,
        run: str | None = None,
        *,
        build: str | Path | None = None,
        top_k: int = 32,
        measures: Sequence[str] | None = None,
        number: int = 100,
        seed: int = 42,
        processes: int | None = None,
        reporter: Reporter | None = None,
    ) -> dict[str, RankInterval]:
        """Return 2.5, 50 and 97.5 % of each feature's centrality rank over document bootstraps.

        Parameters
        ----------
        run, build, processes, reporter
            As for `stable_communities`.
        top_k
            The backbone of a bootstrap keeps pairs among the strongest `top_k` of both ends.
        measures
            Names of centralities; by default all of `atlas.analysis.stability.MEASURES`.
        number
            Bootstraps.
        seed
            Seed of the draws.

        Returns
        -------
        dict
            Measure -> `RankInterval` (float64 ``[features]`` low, median, high), in the order of
            the build's features.
        """
        from atlas.analysis.stability import MEASURES, rank_intervals, read_folds

        return rank_intervals(
            read_folds(self._build_of(run, build)),
            top_k=top_k,
            measures=measures or MEASURES,
            number=number,
            seed=seed,
            processes=processes,
            reporter=reporter,
        )

    def _build_of(self, run: str | None, build: str | Path | None) -> Path:
        from pathlib import Path

        from ingest.repair import find_build
        from queries.resolve import only_run

        if build is not None:
            return Path(build)
        return find_build(run if run is not None else only_run(self.reader), home=self.home)

    def why_no_consensus(self, run: str, *, build: str | Path | None = None) -> str | None:
        """Return what `stable_communities` lacks for a run, None where it lacks nothing.

        Parameters
        ----------
        run, build
            As for `stable_communities`.
        """
        from importlib.util import find_spec

        from atlas.analysis.stability.folds import EDGE_FILE

        if find_spec("igraph") is None:
            return "the extra `analysis` is not installed"
        try:
            folder = self._build_of(run, build)
        except NotFoundError as error:
            return str(error)
        if not (folder / EDGE_FILE).is_file():
            return f"{folder} keeps no counts by folds (edges.bootstrap_folds)"
        return None
