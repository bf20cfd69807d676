"""The queries of the catalogue, a coroutine each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from atlas.api.aio.communities import AsyncCommunitiesPart
from atlas.api.aio.concepts import AsyncConceptsPart
from atlas.api.aio.experiments import AsyncExperimentsPart
from atlas.api.aio.features import AsyncFeaturesPart
from atlas.api.aio.paths import AsyncPathsPart
from atlas.api.aio.relations import AsyncRelationsPart
from atlas.api.aio.runs import AsyncRunsPart
from atlas.api.aio.search import AsyncSearchPart

__all__ = ["AsyncQueries"]


class AsyncQueries(
    AsyncFeaturesPart,
    AsyncRelationsPart,
    AsyncCommunitiesPart,
    AsyncPathsPart,
    AsyncConceptsPart,
    AsyncSearchPart,
    AsyncExperimentsPart,
    AsyncRunsPart,
):
    """What the graph is asked."""
