"""The catalogue's queries about experiments, a coroutine each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atlas.api.asking import AsyncAsking

if TYPE_CHECKING:
    from atlas.api.asking import FeatureName, RunName
    from atlas.api.objects import Features
    from atlas.api.table import Table
    from atlas.graph.reader import Row


class AsyncExperimentsPart(AsyncAsking):
    """Queries about experiments."""

    async def affects(
        self,
        feature: FeatureName,
        *,
        metric: str | None = None,
        max_q: float = 1.0,
        limit: int = 20,
    ) -> Features:
        """Ask for "Affected features"; see `atlas.Atlas.affects`."""
        found: Features = await self._ask(
            "affects", feature=feature, metric=metric, max_q=max_q, limit=limit
        )
        return found

    async def causes(
        self,
        feature: FeatureName,
        *,
        metric: str | None = None,
        max_q: float = 1.0,
        limit: int = 20,
    ) -> Features:
        """Ask for "Causes"; see `atlas.Atlas.causes`."""
        found: Features = await self._ask(
            "causes", feature=feature, metric=metric, max_q=max_q, limit=limit
        )
        return found

    async def circuit(self, circuit: str, *, limit: int = 100) -> Row:
        """Ask for "Circuit"; see `atlas.Atlas.circuit`."""
        found: Row = await self._ask("circuit", circuit=circuit, limit=limit)
        return found

    async def circuits(self, *, run: RunName | None = None, limit: int = 50) -> Table:
        """Ask for "Circuits"; see `atlas.Atlas.circuits`."""
        found: Table = await self._ask("circuits", run=run, limit=limit)
        return found

    async def co_attributed(
        self,
        feature: FeatureName,
        *,
        prompt_set: str | None = None,
        metric: str | None = None,
        limit: int = 20,
    ) -> Features:
        """Ask for "Co-attributed features"; see `atlas.Atlas.co_attributed`."""
        found: Features = await self._ask(
            "co_attributed", feature=feature, prompt_set=prompt_set, metric=metric, limit=limit
        )
        return found

    async def effects(
        self,
        feature: FeatureName,
        *,
        metric: str | None = None,
        prompts: bool = False,
        limit: int = 50,
    ) -> Table:
        """Ask for "Effects"; see `atlas.Atlas.effects`."""
        found: Table = await self._ask(
            "effects", feature=feature, metric=metric, prompts=prompts, limit=limit
        )
        return found

    async def evidence(self, a: FeatureName, b: FeatureName, *, max_q: float = 0.05) -> Row:
        """Ask for "Evidence"; see `atlas.Atlas.evidence`."""
        found: Row = await self._ask("evidence", a=a, b=b, max_q=max_q)
        return found

    async def explanations(self, *, feature: FeatureName | None = None, limit: int = 20) -> Table:
        """Ask for "Explanations of predictions"; see `atlas.Atlas.explanations`."""
        found: Table = await self._ask("explanations", feature=feature, limit=limit)
        return found

    async def findings(
        self, *, feature: FeatureName | None = None, run: str | None = None, limit: int = 50
    ) -> Table:
        """Ask for "Findings of studies"; see `atlas.Atlas.findings`."""
        found: Table = await self._ask("findings", feature=feature, run=run, limit=limit)
        return found

    async def intervention(self, intervention: str, *, limit: int = 50) -> Row:
        """Ask for "Intervention"; see `atlas.Atlas.intervention`."""
        found: Row = await self._ask("intervention", intervention=intervention, limit=limit)
        return found

    async def interventions(
        self,
        *,
        feature: FeatureName | None = None,
        kind: Literal["add", "clamp", "scale", "ablate", "project", "patch", "several"]
        | None = None,
        limit: int = 20,
    ) -> Table:
        """Ask for "Interventions"; see `atlas.Atlas.interventions`."""
        found: Table = await self._ask("interventions", feature=feature, kind=kind, limit=limit)
        return found

    async def prompt_sets(self, *, limit: int = 100) -> Table:
        """Ask for "Prompt sets"; see `atlas.Atlas.prompt_sets`."""
        found: Table = await self._ask("prompt_sets", limit=limit)
        return found

    async def prompts(self, prompt_set: str, *, limit: int = 50) -> Table:
        """Ask for "Prompts"; see `atlas.Atlas.prompts`."""
        found: Table = await self._ask("prompts", prompt_set=prompt_set, limit=limit)
        return found

    async def tested_edges(
        self,
        *,
        feature: FeatureName | None = None,
        relation: Literal["CO_OCCURS", "FEEDS", "IMPLIES", "CO_ATTRIBUTED", "SIMILAR_TO"]
        | None = None,
        max_q: float = 0.05,
        passed: bool = False,
        limit: int = 50,
    ) -> Table:
        """Ask for "Tested edges"; see `atlas.Atlas.tested_edges`."""
        found: Table = await self._ask(
            "tested_edges",
            feature=feature,
            relation=relation,
            max_q=max_q,
            passed=passed,
            limit=limit,
        )
        return found
