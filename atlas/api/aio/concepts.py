"""The catalogue's queries about concepts, a coroutine each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atlas.api.asking import AsyncAsking

if TYPE_CHECKING:
    from atlas.api.asking import FeatureName, RunName
    from atlas.api.objects import Features
    from atlas.api.table import Table


class AsyncConceptsPart(AsyncAsking):
    """Queries about concepts."""

    async def concept_features(
        self, concept: str, *, limit: int = 20, run: RunName | None = None
    ) -> Features:
        """Ask for "Features of a concept"; see `atlas.Atlas.concept_features`."""
        found: Features = await self._ask("concept_features", concept=concept, limit=limit, run=run)
        return found

    async def concepts(
        self,
        *,
        kind: Literal["any", "domain", "topic", "term", "hpo", "icd10"] = "any",
        limit: int = 100,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Concepts"; see `atlas.Atlas.concepts`."""
        found: Table = await self._ask("concepts", kind=kind, limit=limit, run=run)
        return found

    async def domain_features(
        self,
        domain: str,
        *,
        by: Literal["auc", "share"] = "auc",
        min_documents: int = 5,
        limit: int = 20,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Features of a domain"; see `atlas.Atlas.domain_features`."""
        found: Features = await self._ask(
            "domain_features",
            domain=domain,
            by=by,
            min_documents=min_documents,
            limit=limit,
            run=run,
        )
        return found

    async def domains_compared(
        self,
        a: str,
        b: str,
        *,
        towards: Literal["either", "a", "b"] = "either",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Two domains compared"; see `atlas.Atlas.domains_compared`."""
        found: Features = await self._ask(
            "domains_compared", a=a, b=b, towards=towards, limit=limit, run=run
        )
        return found

    async def feature_concepts(
        self,
        feature: FeatureName,
        *,
        kind: Literal["any", "domain", "topic", "term", "hpo", "icd10"] = "any",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Concepts of a feature"; see `atlas.Atlas.feature_concepts`."""
        found: Table = await self._ask(
            "feature_concepts", feature=feature, kind=kind, limit=limit, run=run
        )
        return found

    async def feature_tokens(
        self,
        feature: FeatureName,
        *,
        relation: Literal["fires_on", "promotes", "suppresses"] = "fires_on",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Tokens of a feature"; see `atlas.Atlas.feature_tokens`."""
        found: Table = await self._ask(
            "feature_tokens", feature=feature, relation=relation, limit=limit, run=run
        )
        return found

    async def related_concepts(
        self,
        concept: str,
        *,
        kind: Literal["any", "domain", "topic", "term", "hpo", "icd10"] = "any",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Related concepts"; see `atlas.Atlas.related_concepts`."""
        found: Table = await self._ask(
            "related_concepts", concept=concept, kind=kind, limit=limit, run=run
        )
        return found

    async def says_and_reads(
        self, *, min_shared: int = 1, limit: int = 20, run: RunName | None = None
    ) -> Features:
        """Ask for "Features that say what they read"; see `atlas.Atlas.says_and_reads`."""
        found: Features = await self._ask(
            "says_and_reads", min_shared=min_shared, limit=limit, run=run
        )
        return found

    async def token_features(
        self,
        token: str,
        *,
        by: Literal["score", "n"] = "score",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Features of a token"; see `atlas.Atlas.token_features`."""
        found: Features = await self._ask(
            "token_features", token=token, by=by, limit=limit, run=run
        )
        return found

    async def token_promoters(
        self, token: str, *, limit: int = 20, run: RunName | None = None
    ) -> Features:
        """Ask for "Features that promote a token"; see `atlas.Atlas.token_promoters`."""
        found: Features = await self._ask("token_promoters", token=token, limit=limit, run=run)
        return found

    async def token_suppressors(
        self, token: str, *, limit: int = 20, run: RunName | None = None
    ) -> Features:
        """Ask for "Features that suppress a token"; see `atlas.Atlas.token_suppressors`."""
        found: Features = await self._ask("token_suppressors", token=token, limit=limit, run=run)
        return found
