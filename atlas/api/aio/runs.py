"""The catalogue's queries about runs, a coroutine each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atlas.api.asking import AsyncAsking

if TYPE_CHECKING:
    from atlas.api.asking import FeatureName, RunName
    from atlas.api.objects import Features, Run, Runs
    from atlas.api.table import Table


class AsyncRunsPart(AsyncAsking):
    """Queries about runs."""

    async def algorithm_runs(self, *, run: RunName | None = None, limit: int = 100) -> Table:
        """Ask for "Algorithm runs"; see `atlas.Atlas.algorithm_runs`."""
        found: Table = await self._ask("algorithm_runs", run=run, limit=limit)
        return found

    async def corpus_domains(self, run: RunName, *, limit: int = 100) -> Table:
        """Ask for "Domains of a corpus"; see `atlas.Atlas.corpus_domains`."""
        found: Table = await self._ask("corpus_domains", run=run, limit=limit)
        return found

    async def coverage(self, run: RunName) -> Table:
        """Ask for "Coverage"; see `atlas.Atlas.coverage`."""
        found: Table = await self._ask("coverage", run=run)
        return found

    async def edge_provenance(self, a: FeatureName, b: FeatureName) -> Table:
        """Ask for "Provenance of edges"; see `atlas.Atlas.edge_provenance`."""
        found: Table = await self._ask("edge_provenance", a=a, b=b)
        return found

    async def edges_changed(
        self,
        a: RunName,
        b: RunName,
        *,
        change: Literal["any", "lost", "gained", "kept"] = "any",
        kind: Literal["token", "topic", "exclusive"] = "token",
        limit: int = 20,
    ) -> Table:
        """Ask for "Edges that changed"; see `atlas.Atlas.edges_changed`."""
        found: Table = await self._ask(
            "edges_changed", a=a, b=b, change=change, kind=kind, limit=limit
        )
        return found

    async def features_changed(
        self,
        a: RunName,
        b: RunName,
        *,
        by: Literal["edges", "firing_rate"] = "edges",
        kind: Literal["token", "topic", "exclusive"] = "token",
        limit: int = 20,
    ) -> Features:
        """Ask for "Features that changed"; see `atlas.Atlas.features_changed`."""
        found: Features = await self._ask(
            "features_changed", a=a, b=b, by=by, kind=kind, limit=limit
        )
        return found

    async def health(self, *, max_dead: float = 0.5, max_dense: float = 0.1) -> Table:
        """Ask for "Health"; see `atlas.Atlas.health`."""
        found: Table = await self._ask("health", max_dead=max_dead, max_dense=max_dense)
        return found

    async def indexes(self, *, broken: bool = False) -> Table:
        """Ask for "Indexes"; see `atlas.Atlas.indexes`."""
        found: Table = await self._ask("indexes", broken=broken)
        return found

    async def layers_compared(
        self,
        a: str,
        b: str,
        *,
        show: Literal["joined", "vanishes", "appears"] = "joined",
        run: RunName | None = None,
        limit: int = 20,
    ) -> Features:
        """Ask for "Layers compared"; see `atlas.Atlas.layers_compared`."""
        found: Features = await self._ask(
            "layers_compared", a=a, b=b, show=show, run=run, limit=limit
        )
        return found

    async def models(self) -> Table:
        """Ask for "Models"; see `atlas.Atlas.models`."""
        found: Table = await self._ask("models")
        return found

    async def provenance(self, feature: FeatureName, *, property: str | None = None) -> Table:
        """Ask for "Provenance of a feature"; see `atlas.Atlas.provenance`."""
        found: Table = await self._ask("provenance", feature=feature, property=property)
        return found

    async def run(self, run: RunName) -> Run:
        """Ask for "Run"; see `atlas.Atlas.run`."""
        found: Run = await self._ask("run", run=run)
        return found

    async def runs(self, *, edges: bool = True) -> Runs:
        """Ask for "Runs"; see `atlas.Atlas.runs`."""
        found: Runs = await self._ask("runs", edges=edges)
        return found

    async def saes(self, *, run: RunName | None = None) -> Table:
        """Ask for "SAEs"; see `atlas.Atlas.saes`."""
        found: Table = await self._ask("saes", run=run)
        return found
