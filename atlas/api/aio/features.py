"""The catalogue's queries about features, a coroutine each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atlas.api.asking import AsyncAsking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.api.asking import FeatureName, RunName
    from atlas.api.objects import Feature, Features


class AsyncFeaturesPart(AsyncAsking):
    """Queries about features."""

    async def dense_features(
        self, *, limit: int = 20, min_rate: float = 0.0, run: RunName | None = None
    ) -> Features:
        """Ask for "Dense features"; see `atlas.Atlas.dense_features`."""
        found: Features = await self._ask("dense_features", limit=limit, min_rate=min_rate, run=run)
        return found

    async def feature(
        self, feature: FeatureName, *, contexts: int = 5, tokens: int = 10
    ) -> Feature:
        """Ask for "Feature card"; see `atlas.Atlas.feature`."""
        found: Feature = await self._ask(
            "feature", feature=feature, contexts=contexts, tokens=tokens
        )
        return found

    async def features(self, features: Sequence[FeatureName]) -> Features:
        """Ask for "Features"; see `atlas.Atlas.features`."""
        found: Features = await self._ask("features", features=features)
        return found

    async def hubs(
        self,
        *,
        by: Literal[
            "pagerank", "degree", "strength", "betweenness", "closeness", "eigenvector"
        ] = "pagerank",
        limit: int = 20,
        dense: bool = True,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Hubs"; see `atlas.Atlas.hubs`."""
        found: Features = await self._ask("hubs", by=by, limit=limit, dense=dense, run=run)
        return found
