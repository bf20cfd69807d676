"""Relationship types that join features: their weight, their direction, their table."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Relation:
    """A relationship type between features.

    Attributes
    ----------
    weight
        The property that says how strong an edge is; of co-occurrences see `KIND_WEIGHTS`.
    directed
        Whether an edge goes one way.
    table
        The table of a build that it is loaded from, if there is one.
    """

    weight: str
    directed: bool = False
    table: str | None = None


CO_OCCURS = "CO_OCCURS"
KIND = "kind"
"""Property of co-occurrences."""
KIND_WEIGHTS: Mapping[str, str | None] = MappingProxyType(
    {"token": "phi", "topic": "r_topic", "exclusive": None}
)
"""Kind of co-occurrence -> its weight. Exclusive pairs fire together less than by chance: what
takes weights as similarity must not see them."""
RELATIONS: Mapping[str, Relation] = MappingProxyType(
    {
        CO_OCCURS: Relation("phi", table="edges"),
        "IMPLIES": Relation("p_target_given_source", directed=True, table="implies"),
        "SIMILAR_TO": Relation("cosine", table="similar"),
        "FEEDS": Relation("phi", directed=True, table="feeds"),
        "CO_ATTRIBUTED": Relation("r"),
        "ATTRIBUTES": Relation("weight", directed=True),
    }
)
"""All relationship types that are exported, by name."""
