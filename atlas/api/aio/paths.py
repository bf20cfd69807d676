"""The catalogue's queries about paths, a coroutine each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atlas.api.asking import AsyncAsking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.api.asking import FeatureName, RunName
    from atlas.api.objects import Features
    from atlas.api.table import Table


class AsyncPathsPart(AsyncAsking):
    """Queries about paths."""

    async def ancestors(
        self,
        feature: FeatureName,
        *,
        depth: int = 2,
        limit: int = 20,
        min_phi: float = 0.0,
        mutual: bool = True,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Ancestors"; see `atlas.Atlas.ancestors`."""
        found: Features = await self._ask(
            "ancestors",
            feature=feature,
            depth=depth,
            limit=limit,
            min_phi=min_phi,
            mutual=mutual,
            run=run,
        )
        return found

    async def concept_to_token(
        self,
        concept: str,
        token: str,
        *,
        limit: int = 5,
        max_hops: int = 3,
        min_phi: float = 0.0,
        mutual: bool = True,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "From a concept to a token"; see `atlas.Atlas.concept_to_token`."""
        found: Features = await self._ask(
            "concept_to_token",
            concept=concept,
            token=token,
            limit=limit,
            max_hops=max_hops,
            min_phi=min_phi,
            mutual=mutual,
            run=run,
        )
        return found

    async def descendants(
        self,
        feature: FeatureName,
        *,
        depth: int = 2,
        limit: int = 20,
        min_phi: float = 0.0,
        mutual: bool = True,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Descendants"; see `atlas.Atlas.descendants`."""
        found: Features = await self._ask(
            "descendants",
            feature=feature,
            depth=depth,
            limit=limit,
            min_phi=min_phi,
            mutual=mutual,
            run=run,
        )
        return found

    async def k_shortest_paths(
        self,
        a: FeatureName,
        b: FeatureName,
        *,
        k: int = 3,
        max_hops: int = 6,
        min_phi: float | None = None,
        mutual: bool = True,
        kind: Literal["token", "topic", "exclusive"] = "token",
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Several short paths"; see `atlas.Atlas.k_shortest_paths`."""
        found: Features = await self._ask(
            "k_shortest_paths",
            a=a,
            b=b,
            k=k,
            max_hops=max_hops,
            min_phi=min_phi,
            mutual=mutual,
            kind=kind,
            run=run,
        )
        return found

    async def meeting_points(
        self,
        features: Sequence[FeatureName],
        *,
        limit: int = 20,
        min_joined: int = 2,
        mutual: bool = False,
        kind: Literal["token", "topic", "exclusive"] = "token",
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Meeting points"; see `atlas.Atlas.meeting_points`."""
        found: Features = await self._ask(
            "meeting_points",
            features=features,
            limit=limit,
            min_joined=min_joined,
            mutual=mutual,
            kind=kind,
            run=run,
        )
        return found

    async def path_across_layers(
        self,
        a: FeatureName,
        b: FeatureName,
        *,
        by: Literal["product", "weakest"] = "product",
        max_hops: int = 4,
        mutual: bool = True,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Path across layers"; see `atlas.Atlas.path_across_layers`."""
        found: Features = await self._ask(
            "path_across_layers", a=a, b=b, by=by, max_hops=max_hops, mutual=mutual, run=run
        )
        return found

    async def reach(
        self, feature: FeatureName, *, hops: int = 2, top_k: int = 10, run: RunName | None = None
    ) -> Table:
        """Ask for "Reach of a feature"; see `atlas.Atlas.reach`."""
        found: Table = await self._ask("reach", feature=feature, hops=hops, top_k=top_k, run=run)
        return found

    async def shortest_path(
        self,
        a: FeatureName,
        b: FeatureName,
        *,
        max_hops: int = 6,
        min_phi: float | None = None,
        mutual: bool = True,
        kind: Literal["token", "topic", "exclusive"] = "token",
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Shortest path"; see `atlas.Atlas.shortest_path`."""
        found: Features = await self._ask(
            "shortest_path",
            a=a,
            b=b,
            max_hops=max_hops,
            min_phi=min_phi,
            mutual=mutual,
            kind=kind,
            run=run,
        )
        return found

    async def strongest_path(
        self,
        a: FeatureName,
        b: FeatureName,
        *,
        by: Literal["product", "weakest"] = "product",
        max_hops: int = 6,
        top_k: int = 16,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Strongest path"; see `atlas.Atlas.strongest_path`."""
        found: Features = await self._ask(
            "strongest_path", a=a, b=b, by=by, max_hops=max_hops, top_k=top_k, run=run
        )
        return found
