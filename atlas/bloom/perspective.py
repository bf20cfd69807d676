"""A perspective of Neo4j Bloom from the live schema and the catalogue of queries."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from atlas.bloom.elements import categories, labels, metadata, relationship_types
from atlas.bloom.looks import PALETTE
from atlas.bloom.phrases import NAMESPACE, actions, phrases
from atlas.bloom.schema import milliseconds, read_scales, read_schema
from atlas.bloom.styles import Json, Rules
from queries.catalogue import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from atlas.bloom.schema import GraphSchema, Scales
    from atlas.graph.reader import Reader
    from queries.header import QuerySpec

NAME = "Feature atlas"
VERSION = "2.21.0"
"""Version of Bloom whose exports this follows; newer ones convert a perspective on import."""


def perspective(reader: Reader, *, name: str = NAME, created: str | datetime | None = None) -> Json:
    """Return a perspective: every label and relationship type, and a phrase for every query.

    The same database and catalogue give the same perspective.

    Parameters
    ----------
    reader
        The database. Every node and relationship is read once.
    name
        Name of the perspective.
    created
        When it was made (ISO 8601); by default when the newest run was.

    Returns
    -------
    dict
        What Bloom imports as JSON.

    Raises
    ------
    NotFoundError
        The database has no run.
    DatabaseError
        The database fails.
    """
    scales = read_scales(reader)
    if created is not None:
        scales = replace(scales, created=milliseconds(created))
    return compose(read_schema(reader), scales, queries=catalogue(), name=name)


def compose(
    schema: GraphSchema, scales: Scales, *, queries: Mapping[str, QuerySpec], name: str = NAME
) -> Json:
    """Return the perspective of a schema, ranges and queries; see `perspective`.

    Parameters
    ----------
    schema, scales
        What `atlas.bloom.schema` reads.
    queries
        Name -> query, in the order of the phrases.
    name
        Name of the perspective.
    """
    rules, created = Rules(scales.created), scales.created
    found = categories(schema, scales, rules=rules)
    whole = {
        "name": name,
        "version": VERSION,
        "createdAt": created,
        "lastEditedAt": created,
        "categories": found,
        "labels": labels(schema),
        "relationshipTypes": relationship_types(schema, rules=rules),
        "palette": {"colors": list(PALETTE), "currentIndex": len(found) % len(PALETTE)},
        "templates": phrases(queries.values(), created=created),
        "sceneActions": actions(
            queries.values(), {c["name"]: c["id"] for c in found}, created=created
        ),
        "hiddenRelationshipTypes": [],
        "hiddenCategories": [],
        "hideUncategorisedData": False,
        "isAuto": False,
        "type": "STANDARD_PERSPECTIVE",
        "maxLimitToastMsgEnabled": False,
        "parentPerspectiveId": None,
        "metadata": metadata(schema),
    }
    identity = uuid.uuid5(NAMESPACE, json.dumps(whole, sort_keys=True))
    return {"name": name, "id": str(identity), **whole}
