"""The Python function of each query of the catalogue."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from queries.communities import communities, community_members
from queries.features import feature, hubs
from queries.neighbours import neighbours, shared_neighbours
from queries.paths import shortest_path
from queries.runs import run, runs
from queries.search import search

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            communities,
            community_members,
            feature,
            hubs,
            neighbours,
            run,
            runs,
            search,
            shared_neighbours,
            shortest_path,
        )
    }
)
"""Name of each query of the catalogue -> its function."""
