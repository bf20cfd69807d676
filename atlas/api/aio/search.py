"""The catalogue's queries about search, a coroutine each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atlas.api.asking import AsyncAsking

if TYPE_CHECKING:
    from atlas.api.asking import FeatureName, RunName
    from atlas.api.objects import Features
    from atlas.api.table import Table


class AsyncSearchPart(AsyncAsking):
    """Queries about search."""

    async def features_like_label(
        self, feature: FeatureName, *, limit: int = 20, other_saes: bool = False
    ) -> Features:
        """Ask for "Features with a like label"; see `atlas.Atlas.features_like_label`."""
        found: Features = await self._ask(
            "features_like_label", feature=feature, limit=limit, other_saes=other_saes
        )
        return found

    async def nearest_by_decoder(
        self, feature: FeatureName, *, limit: int = 20, other_saes: bool = False
    ) -> Features:
        """Ask for "Nearest by decoder"; see `atlas.Atlas.nearest_by_decoder`."""
        found: Features = await self._ask(
            "nearest_by_decoder", feature=feature, limit=limit, other_saes=other_saes
        )
        return found

    async def nearest_by_meaning(
        self, text: str, *, limit: int = 20, run: RunName | None = None
    ) -> Features:
        """Ask for "Nearest by meaning"; see `atlas.Atlas.nearest_by_meaning`."""
        found: Features = await self._ask("nearest_by_meaning", text=text, limit=limit, run=run)
        return found

    async def search(
        self,
        text: str,
        *,
        where: Literal["any", "label", "token", "context"] = "any",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Search"; see `atlas.Atlas.search`."""
        found: Features = await self._ask("search", text=text, where=where, limit=limit, run=run)
        return found

    async def search_concepts(
        self,
        text: str,
        *,
        kind: Literal["any", "domain", "topic", "term", "hpo", "icd10"] = "any",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Search in concepts"; see `atlas.Atlas.search_concepts`."""
        found: Table = await self._ask(
            "search_concepts", text=text, kind=kind, limit=limit, run=run
        )
        return found

    async def search_contexts(
        self, text: str, *, per_context: int = 5, limit: int = 20, run: RunName | None = None
    ) -> Table:
        """Ask for "Search in contexts"; see `atlas.Atlas.search_contexts`."""
        found: Table = await self._ask(
            "search_contexts", text=text, per_context=per_context, limit=limit, run=run
        )
        return found

    async def search_explanations(
        self, text: str, *, limit: int = 20, run: RunName | None = None
    ) -> Features:
        """Ask for "Search in explanations"; see `atlas.Atlas.search_explanations`."""
        found: Features = await self._ask("search_explanations", text=text, limit=limit, run=run)
        return found

    async def search_tokens(
        self, text: str, *, limit: int = 20, run: RunName | None = None
    ) -> Table:
        """Ask for "Search in tokens"; see `atlas.Atlas.search_tokens`."""
        found: Table = await self._ask("search_tokens", text=text, limit=limit, run=run)
        return found
