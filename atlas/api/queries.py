"""The queries of the catalogue, a method each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.api.connection import Connection

if TYPE_CHECKING:
    from atlas.graph.reader import Row


class Queries(Connection):
    """What the graph is asked."""

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

    def runs(self, *, edges: bool = True) -> list[Row]:
        """Return the runs, oldest first; see `queries.runs.runs`."""
        from queries.runs import runs

        return runs(self.reader, edges=edges)

    def run(self, run: str) -> Row:
        """Return everything about one run; see `queries.runs.run`."""
        from queries.runs import run as function

        return function(self.reader, run)
