"""The catalogue's queries about relations, a coroutine each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atlas.api.asking import AsyncAsking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.api.asking import FeatureName, RunName
    from atlas.api.objects import Features
    from atlas.api.table import Table


class AsyncRelationsPart(AsyncAsking):
    """Queries about relations."""

    async def absorptions(self, *, limit: int = 20, run: RunName | None = None) -> Table:
        """Ask for "Absorptions"; see `atlas.Atlas.absorptions`."""
        found: Table = await self._ask("absorptions", limit=limit, run=run)
        return found

    async def confounded_edges(
        self,
        *,
        kind: Literal["token", "topic", "exclusive"] = "token",
        limit: int = 20,
        min_share: float = 0.5,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Confounded edges"; see `atlas.Atlas.confounded_edges`."""
        found: Table = await self._ask(
            "confounded_edges", kind=kind, limit=limit, min_share=min_share, run=run
        )
        return found

    async def edges_among(
        self,
        features: Sequence[FeatureName],
        *,
        kind: Literal["token", "topic", "exclusive", "implies", "similar", "feeds"] | None = None,
        limit: int = 1000,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Edges among features"; see `atlas.Atlas.edges_among`."""
        found: Table = await self._ask(
            "edges_among", features=features, kind=kind, limit=limit, run=run
        )
        return found

    async def edges_between(
        self,
        sources: Sequence[FeatureName],
        targets: Sequence[FeatureName],
        *,
        kind: Literal["token", "topic", "exclusive", "implies", "similar", "feeds"] | None = None,
        limit: int = 1000,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Edges between two sets"; see `atlas.Atlas.edges_between`."""
        found: Table = await self._ask(
            "edges_between", sources=sources, targets=targets, kind=kind, limit=limit, run=run
        )
        return found

    async def exclusions(
        self, feature: FeatureName, *, limit: int = 20, run: RunName | None = None
    ) -> Features:
        """Ask for "Exclusions"; see `atlas.Atlas.exclusions`."""
        found: Features = await self._ask("exclusions", feature=feature, limit=limit, run=run)
        return found

    async def implications(
        self,
        feature: FeatureName,
        *,
        direction: Literal["general", "specific", "both"] = "both",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Implications"; see `atlas.Atlas.implications`."""
        found: Features = await self._ask(
            "implications", feature=feature, direction=direction, limit=limit, run=run
        )
        return found

    async def in_common(
        self, a: FeatureName, b: FeatureName, *, limit: int = 50, run: RunName | None = None
    ) -> Table:
        """Ask for "In common"; see `atlas.Atlas.in_common`."""
        found: Table = await self._ask("in_common", a=a, b=b, limit=limit, run=run)
        return found

    async def joint_contexts(
        self, a: FeatureName, b: FeatureName, *, limit: int = 20, run: RunName | None = None
    ) -> Table:
        """Ask for "Contexts of two features"; see `atlas.Atlas.joint_contexts`."""
        found: Table = await self._ask("joint_contexts", a=a, b=b, limit=limit, run=run)
        return found

    async def neighbours(
        self,
        feature: FeatureName,
        *,
        limit: int = 20,
        mutual: bool = False,
        kind: Literal["token", "topic", "exclusive"] = "token",
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Neighbours"; see `atlas.Atlas.neighbours`."""
        found: Features = await self._ask(
            "neighbours", feature=feature, limit=limit, mutual=mutual, kind=kind, run=run
        )
        return found

    async def shared_neighbours(
        self,
        a: FeatureName,
        b: FeatureName,
        *,
        limit: int = 20,
        kind: Literal["token", "topic", "exclusive"] = "token",
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Shared neighbours"; see `atlas.Atlas.shared_neighbours`."""
        found: Features = await self._ask(
            "shared_neighbours", a=a, b=b, limit=limit, kind=kind, run=run
        )
        return found

    async def similar(
        self,
        feature: FeatureName,
        *,
        limit: int = 20,
        min_cosine: float = -1.0,
        mutual: bool = False,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Similar features"; see `atlas.Atlas.similar`."""
        found: Features = await self._ask(
            "similar", feature=feature, limit=limit, min_cosine=min_cosine, mutual=mutual, run=run
        )
        return found

    async def similar_but_apart(
        self,
        feature: FeatureName,
        *,
        limit: int = 20,
        min_cosine: float = 0.2,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Similar but apart"; see `atlas.Atlas.similar_but_apart`."""
        found: Features = await self._ask(
            "similar_but_apart", feature=feature, limit=limit, min_cosine=min_cosine, run=run
        )
        return found

    async def strongest_edges(
        self,
        *,
        kind: Literal["token", "topic", "exclusive"] = "token",
        measure: Literal[
            "strength", "npmi", "phi", "phi_within", "lift", "jaccard", "r_topic", "r", "n", "z"
        ] = "strength",
        limit: int = 20,
        min_n: int = 0,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Strongest edges"; see `atlas.Atlas.strongest_edges`."""
        found: Table = await self._ask(
            "strongest_edges", kind=kind, measure=measure, limit=limit, min_n=min_n, run=run
        )
        return found

    async def why_joined(
        self, a: FeatureName, b: FeatureName, *, limit: int = 20, run: RunName | None = None
    ) -> Table:
        """Ask for "Why two features are joined"; see `atlas.Atlas.why_joined`."""
        found: Table = await self._ask("why_joined", a=a, b=b, limit=limit, run=run)
        return found
