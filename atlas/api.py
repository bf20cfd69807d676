"""The Python interface of the atlas: one object, a method for each query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from atlas.graph.reader import DriverReader

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    import neo4j

    from atlas.analysis import AnalysisSummary
    from atlas.graph.reader import Row
    from atlas.progress import Reporter
    from ingest.load import LoadSummary


class Atlas:
    """An open atlas. Use it in a ``with`` block, or call `close`.

    >>> with Atlas.connect() as atlas:  # doctest: +SKIP
    ...     atlas.neighbours("heart", limit=5)

    Features are named by key, by ``sae/index``, by index where there is one SAE, or by a label or
    top token that only one feature has.

    Parameters
    ----------
    driver
        An open driver of the package `neo4j`; closed with the atlas.
    database
        Name of the database; None is the server's default.
    """

    def __init__(self, driver: neo4j.Driver, database: str | None = None) -> None:
        self.driver = driver
        self.database = database
        self.reader = DriverReader(driver, database)

    @classmethod
    def connect(
        cls,
        uri: str | None = None,
        *,
        user: str | None = None,
        password: str | None = None,
        database: str | None = None,
        home: str | Path | None = None,
    ) -> Self:
        """Open an atlas.

        Parameters
        ----------
        uri, user, password, database
            The Neo4j server; by default those of the environment (``NEO4J_URI`` and so on), else
            the managed server of `home`.
        home
            Folder of the managed server; by default ``ATLAS_HOME``, else the user's data folder.

        Raises
        ------
        DatabaseError
            There is no server there, or it refuses the credentials.
        UsageError
            The address is none of a Neo4j server.
        """
        from atlas.graph.connection import connect, resolve_connection

        settings = resolve_connection(
            uri=uri, username=user, password=password, database=database, home=home
        )
        return cls(connect(settings), settings.database)

    def close(self) -> None:
        """Close the connection."""
        self.driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def cypher(self, text: str, /, **parameters: Any) -> list[Row]:
        """Run a Cypher statement that only reads.

        Parameters
        ----------
        text
            The statement.
        **parameters
            Values of its parameters.

        Returns
        -------
        list of dict
            One dict a row, with plain Python values.

        Raises
        ------
        UsageError
            The statement is wrong, or it writes.
        DatabaseError
            The database fails.
        """
        return self.reader.read(text, parameters, what="Cypher statement")

    def load(
        self, build: str | Path, *, force: bool = False, reporter: Reporter | None = None
    ) -> LoadSummary:
        """Load a build folder; see `ingest.load.load`.

        Parameters
        ----------
        build
            Folder made by `atlas build`.
        force
            Load again what is loaded; replace a run of the same name with other contents.
        reporter
            Is told of the progress.

        Raises
        ------
        ArtifactError
            The folder is not in order; nothing was written.
        DatabaseError
            The database fails or holds the run with other contents.
        """
        from ingest.load import load

        return load(self.driver, build, database=self.database, force=force, reporter=reporter)

    def analyse(
        self,
        run: str | None = None,
        *,
        seed: int = 42,
        top_k: int = 10,
        reporter: Reporter | None = None,
    ) -> AnalysisSummary:
        """Compute centrality and communities of a run; see `atlas.analysis.analyse`.

        Parameters
        ----------
        run
            Key of the run; may be left out if the database has one.
        seed
            Random seed of Leiden.
        top_k
            The backbone keeps edges among the strongest `top_k` of both ends.
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
        from queries.resolve import only_run

        return analyse(
            self.driver,
            run if run is not None else only_run(self.reader),
            database=self.database,
            seed=seed,
            top_k=top_k,
            reporter=reporter,
        )

    def feature(self, feature: str | int, *, contexts: int = 5, tokens: int = 10) -> Row:
        """Return the card of a feature; see `queries.features.feature`."""
        from queries.features import feature as function

        return function(self.reader, feature, contexts=contexts, tokens=tokens)

    def hubs(
        self, *, by: str = "pagerank", limit: int = 20, dense: bool = True, run: str | None = None
    ) -> list[Row]:
        """Return the most central features; see `queries.features.hubs`."""
        from queries.features import hubs

        return hubs(self.reader, by=by, limit=limit, dense=dense, run=run)

    def neighbours(
        self,
        feature: str | int,
        *,
        limit: int = 20,
        mutual: bool = False,
        kind: str = "token",
        run: str | None = None,
    ) -> list[Row]:
        """Return what fires together with a feature; see `queries.neighbours.neighbours`."""
        from queries.neighbours import neighbours

        return neighbours(self.reader, feature, limit=limit, mutual=mutual, kind=kind, run=run)

    def shared_neighbours(
        self,
        a: str | int,
        b: str | int,
        *,
        limit: int = 20,
        kind: str = "token",
        run: str | None = None,
    ) -> list[Row]:
        """Return what fires with both features; see `queries.neighbours.shared_neighbours`."""
        from queries.neighbours import shared_neighbours

        return shared_neighbours(self.reader, a, b, limit=limit, kind=kind, run=run)

    def communities(
        self, *, limit: int = 50, min_size: int = 3, run: str | None = None
    ) -> list[Row]:
        """Return the communities; see `queries.communities.communities`."""
        from queries.communities import communities

        return communities(self.reader, limit=limit, min_size=min_size, run=run)

    def community_members(self, community: str | int, *, limit: int = 50) -> list[Row]:
        """Return a community's features; see `queries.communities.community_members`."""
        from queries.communities import community_members

        return community_members(self.reader, community, limit=limit)

    def shortest_path(
        self,
        a: str | int,
        b: str | int,
        *,
        max_hops: int = 6,
        min_phi: float = 0.0,
        mutual: bool = True,
        kind: str = "token",
        run: str | None = None,
    ) -> list[Row]:
        """Return a chain from one feature to another; see `queries.paths.shortest_path`."""
        from queries.paths import shortest_path

        return shortest_path(
            self.reader,
            a,
            b,
            max_hops=max_hops,
            min_phi=min_phi,
            mutual=mutual,
            kind=kind,
            run=run,
        )

    def search(
        self, text: str, *, where: str = "any", limit: int = 20, run: str | None = None
    ) -> list[Row]:
        """Return features by words; see `queries.search.search`."""
        from queries.search import search

        return search(self.reader, text, where=where, limit=limit, run=run)
