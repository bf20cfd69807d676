"""The catalogue's queries about communities, a coroutine each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atlas.api.asking import AsyncAsking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.api.asking import CommunityName, FeatureName, RunName
    from atlas.api.objects import Communities, Community, Features
    from atlas.api.table import Table


class AsyncCommunitiesPart(AsyncAsking):
    """Queries about communities."""

    async def between_communities(
        self, a: CommunityName, b: CommunityName, *, limit: int = 20, top_k: int | None = None
    ) -> Table:
        """Ask for "Where two communities meet"; see `atlas.Atlas.between_communities`."""
        found: Table = await self._ask("between_communities", a=a, b=b, limit=limit, top_k=top_k)
        return found

    async def bridges(
        self,
        *,
        community: CommunityName | None = None,
        limit: int = 20,
        min_degree: int = 5,
        dense: bool = True,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Bridges"; see `atlas.Atlas.bridges`."""
        found: Features = await self._ask(
            "bridges", community=community, limit=limit, min_degree=min_degree, dense=dense, run=run
        )
        return found

    async def communities(
        self, *, limit: int = 50, min_size: int = 3, run: RunName | None = None
    ) -> Communities:
        """Ask for "Communities"; see `atlas.Atlas.communities`."""
        found: Communities = await self._ask("communities", limit=limit, min_size=min_size, run=run)
        return found

    async def communities_of(
        self, features: Sequence[FeatureName], *, limit: int = 20, run: RunName | None = None
    ) -> Communities:
        """Ask for "Communities of features"; see `atlas.Atlas.communities_of`."""
        found: Communities = await self._ask(
            "communities_of", features=features, limit=limit, run=run
        )
        return found

    async def community(
        self, community: CommunityName, *, items: int = 10, top_k: int | None = None
    ) -> Community:
        """Ask for "Community card"; see `atlas.Atlas.community`."""
        found: Community = await self._ask(
            "community", community=community, items=items, top_k=top_k
        )
        return found

    async def community_borders(
        self, community: CommunityName, *, limit: int = 20, top_k: int | None = None
    ) -> Features:
        """Ask for "Borders of a community"; see `atlas.Atlas.community_borders`."""
        found: Features = await self._ask(
            "community_borders", community=community, limit=limit, top_k=top_k
        )
        return found

    async def community_concepts(
        self,
        community: CommunityName,
        *,
        limit: int = 20,
        kind: Literal["any", "domain", "topic", "term", "hpo", "icd10"] = "any",
    ) -> Table:
        """Ask for "Concepts of a community"; see `atlas.Atlas.community_concepts`."""
        found: Table = await self._ask(
            "community_concepts", community=community, limit=limit, kind=kind
        )
        return found

    async def community_links(
        self, community: CommunityName, *, limit: int = 20, top_k: int | None = None
    ) -> Communities:
        """Ask for "Communities joined to a community"; see `atlas.Atlas.community_links`."""
        found: Communities = await self._ask(
            "community_links", community=community, limit=limit, top_k=top_k
        )
        return found

    async def community_members(self, community: CommunityName, *, limit: int = 50) -> Features:
        """Ask for "Members of a community"; see `atlas.Atlas.community_members`."""
        found: Features = await self._ask("community_members", community=community, limit=limit)
        return found

    async def community_overlap(
        self, run: RunName, other: RunName, *, limit: int = 50, min_jaccard: float = 0.1
    ) -> Communities:
        """Ask for "Overlap of communities"; see `atlas.Atlas.community_overlap`."""
        found: Communities = await self._ask(
            "community_overlap", run=run, other=other, limit=limit, min_jaccard=min_jaccard
        )
        return found

    async def community_tokens(
        self,
        community: CommunityName,
        *,
        limit: int = 20,
        relation: Literal["fires_on", "promotes", "suppresses"] = "fires_on",
    ) -> Table:
        """Ask for "Tokens of a community"; see `atlas.Atlas.community_tokens`."""
        found: Table = await self._ask(
            "community_tokens", community=community, limit=limit, relation=relation
        )
        return found

    async def unstable_members(
        self,
        *,
        community: CommunityName | None = None,
        limit: int = 20,
        below: float = 1.0,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Unstable members"; see `atlas.Atlas.unstable_members`."""
        found: Features = await self._ask(
            "unstable_members", community=community, limit=limit, below=below, run=run
        )
        return found
