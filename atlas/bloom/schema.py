"""What a perspective is made from: the schema of the live graph and the range of its scores."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from atlas.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from atlas.graph.reader import Reader, Row

COMMUNITY_COLOURS = 24
"""Communities with a colour of their own: the largest ones."""

_LABELS = "CALL db.labels() YIELD label RETURN label ORDER BY label"
_TYPES = "CALL db.relationshipTypes() YIELD relationshipType AS type RETURN type ORDER BY type"
_NODE_PROPERTIES = """
CALL db.schema.nodeTypeProperties() YIELD nodeLabels, propertyName, propertyTypes
UNWIND nodeLabels AS owner
RETURN owner, propertyName AS property, propertyTypes AS types
"""
_RELATIONSHIP_PROPERTIES = """
CALL db.schema.relTypeProperties() YIELD relType, propertyName, propertyTypes
RETURN substring(relType, 2, size(relType) - 3) AS owner, propertyName AS property,
       propertyTypes AS types
"""
_SEGMENTS = """
MATCH (a)-[r]->(b)
WITH type(r) AS type, labels(a) AS sources, labels(b) AS targets, count(*) AS n
UNWIND sources AS source UNWIND targets AS target
RETURN source, type, target, sum(n) AS n ORDER BY source, type, target
"""
_INDEXES = """
SHOW INDEXES YIELD name, type, entityType, labelsOrTypes, properties, indexProvider, state
WHERE entityType = 'NODE' AND type IN ['RANGE', 'FULLTEXT']
RETURN name, type, labelsOrTypes AS labels, properties, indexProvider AS provider, state
ORDER BY type, labels, name
"""
_CREATED = "MATCH (r:Run) RETURN max(r.created) AS created"
# The highest percentile, not the maximum: a single hub would leave all others equally small.
_PAGERANK = """
MATCH (f:Feature) WHERE f.pagerank IS NOT NULL
RETURN min(f.pagerank) AS low, percentileCont(f.pagerank, 0.99) AS high
"""
_SIZES = "MATCH (c:Community) RETURN min(c.size) AS low, max(c.size) AS high"
_COMMUNITIES = """
MATCH (f:Feature) WHERE f.community IS NOT NULL
RETURN f.community AS key, count(*) AS n ORDER BY n DESC, key LIMIT $limit
"""
# Bloom keeps its own nodes in the graph where its server plugin is installed.
_OF_BLOOM = "_Bloom_"
_DATA_TYPES = {
    "String": "string",
    "Long": "bigint",
    "Integer": "bigint",
    "Double": "number",
    "Float": "number",
    "Boolean": "boolean",
}


@dataclass(frozen=True)
class GraphSchema:
    """Labels, relationship types, properties and indexes of a database.

    Attributes
    ----------
    labels, types
        Label or relationship type -> property -> data type as Bloom names it: string, bigint,
        number, boolean, array, or a temporal type.
    segments
        Which label leads by which type to which label: source, type, target.
    counts
        Relationships of each type.
    indexes
        Range and full-text indexes on nodes: name, type, labels, properties, provider, state.
    """

    labels: Mapping[str, Mapping[str, str]]
    types: Mapping[str, Mapping[str, str]]
    segments: tuple[tuple[str, str, str], ...]
    counts: Mapping[str, int]
    indexes: tuple[Row, ...]


@dataclass(frozen=True)
class Scales:
    """Ranges that styles are scaled to.

    Attributes
    ----------
    created
        When the newest run was made, in milliseconds since 1970.
    pagerank
        Lowest score and 99th percentile; None before an analysis.
    sizes
        Members of the smallest and the largest community; None without communities.
    communities
        Keys of the communities with most features, largest first.
    """

    created: int
    pagerank: tuple[float, float] | None = None
    sizes: tuple[float, float] | None = None
    communities: tuple[str, ...] = ()


def read_schema(reader: Reader) -> GraphSchema:
    """Read the schema; this looks at every node and relationship once.

    Raises
    ------
    DatabaseError
        The database fails.
    """
    labels = [row["label"] for row in reader.read(_LABELS, what="labels")]
    types = [row["type"] for row in reader.read(_TYPES, what="relationship types")]
    segments = reader.read(_SEGMENTS, what="paths of the schema")
    counts = dict.fromkeys(types, 0)
    # A node of several labels is in several segments; there is none in an atlas.
    for row in segments:
        counts[row["type"]] = counts.get(row["type"], 0) + row["n"]
    return GraphSchema(
        labels=_properties(labels, reader.read(_NODE_PROPERTIES, what="properties of nodes")),
        types=_properties(
            types, reader.read(_RELATIONSHIP_PROPERTIES, what="properties of relationships")
        ),
        segments=tuple(
            (row["source"], row["type"], row["target"])
            for row in segments
            if not row["source"].startswith(_OF_BLOOM) and not row["target"].startswith(_OF_BLOOM)
        ),
        counts=counts,
        indexes=tuple(reader.read(_INDEXES, what="indexes")),
    )


def read_scales(reader: Reader) -> Scales:
    """Read the ranges of the scores.

    Raises
    ------
    NotFoundError
        The database has no run.
    DatabaseError
        The database fails.
    """
    created = reader.read(_CREATED, what="newest run")[0]["created"]
    if created is None:
        raise NotFoundError("The database has no run.", hint="Load a build with `atlas load`.")
    communities = reader.read(_COMMUNITIES, {"limit": COMMUNITY_COLOURS}, what="communities")
    return Scales(
        created=milliseconds(created),
        pagerank=_range(reader.read(_PAGERANK, what="range of PageRank")),
        sizes=_range(reader.read(_SIZES, what="sizes of communities")),
        communities=tuple(row["key"] for row in communities),
    )


def milliseconds(moment: str | datetime) -> int:
    """Return a time (ISO 8601; UTC where it names no zone) as milliseconds since 1970."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def data_type(types: Iterable[str]) -> str:
    """Return the data type that Bloom has for a property of these types of Neo4j.

    A property with integers and floats is a ``number``; any other mixture is a ``string``.
    """
    names = {
        "array" if name.endswith("Array") else _DATA_TYPES.get(name, name) for name in types
    } or {"string"}
    if names == {"bigint", "number"}:
        return "number"
    return names.pop() if len(names) == 1 else "string"


def _properties(owners: Iterable[str], rows: Iterable[Row]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, set[str]]] = {
        owner: defaultdict(set) for owner in owners if not owner.startswith(_OF_BLOOM)
    }
    for row in rows:
        if row["owner"] in found and row["property"] is not None:
            found[row["owner"]][row["property"]].update(row["types"] or ())
    return {
        owner: {name: data_type(types) for name, types in sorted(properties.items())}
        for owner, properties in sorted(found.items())
    }


def _range(rows: list[Row]) -> tuple[float, float] | None:
    low, high = (_rounded(rows[0][name]) for name in ("low", "high"))
    return None if low is None or high is None else (low, high)


def _rounded(value: Any) -> float | None:
    return None if value is None else float(f"{value:.4g}")
