"""Writes the files for Bloom and Browser into a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from atlas.bloom.browser import cypher_file, grass, saved_cypher
from atlas.bloom.perspective import NAME, compose
from atlas.bloom.schema import milliseconds, read_scales, read_schema
from atlas.formats.files import check_free, replacing
from queries.catalogue import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from atlas.graph.reader import Reader

FILES: Mapping[str, str] = MappingProxyType(
    {
        "perspective.json": "Bloom or Explore: Import in the gallery of perspectives",
        "style.grass": "Neo4j Browser 5: drop the file on the page",
        "saved-cypher.csv": "Query and Browser: Import in the drawer Saved Cypher",
        "queries.cypher": "any client, such as cypher-shell: all queries as text",
    }
)
"""Files of an export, and where each goes."""


@dataclass(frozen=True)
class BloomExport:
    """What `export_bloom` wrote.

    Attributes
    ----------
    folder
        Where.
    files
        Name of each file -> where it goes.
    categories, relationship_types, phrases, actions
        How many the perspective has.
    queries
        Queries in the other files.
    """

    folder: str
    files: Mapping[str, str]
    categories: int
    relationship_types: int
    phrases: int
    actions: int
    queries: int


def export_bloom(
    reader: Reader,
    folder: str | Path,
    *,
    name: str = NAME,
    created: str | datetime | None = None,
    force: bool = False,
) -> BloomExport:
    """Write a perspective, a style sheet, saved queries and a Cypher file into a folder.

    The same database and catalogue give the same files.

    Parameters
    ----------
    reader
        The database. Every node and relationship is read once.
    folder
        Where to write `FILES`; made if need be.
    name
        Name of the perspective.
    created
        When it was made (ISO 8601); by default when the newest run was.
    force
        Replace files of these names.

    Raises
    ------
    NotFoundError
        The database has no run.
    UsageError
        A file is there and `force` is not given.
    ArtifactError
        A file cannot be written.
    DatabaseError
        The database fails.
    """
    folder = Path(folder)
    for file_name in FILES:
        check_free(folder / file_name, force=force)
    scales, schema, queries = read_scales(reader), read_schema(reader), catalogue()
    if created is not None:
        scales = replace(scales, created=milliseconds(created))
    made = compose(schema, scales, queries=queries, name=name)
    texts = (
        json.dumps(made, indent=1, ensure_ascii=False) + "\n",
        grass(schema),
        saved_cypher(queries.values()),
        cypher_file(queries.values()),
    )
    for file_name, text in zip(FILES, texts, strict=True):
        with replacing(folder / file_name) as handle:
            handle.write(text.encode())
    return BloomExport(
        folder=str(folder),
        files=dict(FILES),
        categories=len(made["categories"]),
        relationship_types=len(made["relationshipTypes"]),
        phrases=len(made["templates"]),
        actions=len(made["sceneActions"]),
        queries=len(queries),
    )
