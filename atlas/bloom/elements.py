"""Categories and relationship types of a perspective, and what it says of the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.bloom.looks import HIDDEN, line_of, look_of, shown
from atlas.bloom.styles import Json, Rules, label_rules, line_rules

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from atlas.bloom.schema import GraphSchema, Scales


def categories(schema: GraphSchema, scales: Scales, *, rules: Rules) -> list[Json]:
    """Return a category for each label, in alphabetical order; ids count from one."""
    return [
        _category(number, label, properties=properties, rules=rules, scales=scales)
        for number, (label, properties) in enumerate(schema.labels.items(), start=1)
    ]


def relationship_types(schema: GraphSchema, *, rules: Rules) -> list[Json]:
    """Return every relationship type, in alphabetical order."""
    made = []
    for kind, properties in schema.types.items():
        line = line_of(kind)
        made.append(
            {
                "id": kind,
                "name": kind,
                "properties": _typed(kind, properties),
                "color": line.colour,
                "size": line.width,
                "textSize": 1,
                "textAlign": "top",
                "captions": [
                    _caption(kind, "relationship", visible=True),
                    *_property_captions(properties, (), tooltip=line.tooltip),
                ],
                "captionKeys": [],
                "styleRules": line_rules(line, properties, rules=rules),
            }
        )
    return made


def labels(schema: GraphSchema) -> dict[str, list[Json]]:
    """Return the properties of each label."""
    return {label: _typed(label, properties) for label, properties in schema.labels.items()}


def metadata(schema: GraphSchema) -> Json:
    """Return the paths, indexes and counts of the database."""
    return {
        "pathSegments": [
            {"source": source, "relationshipType": kind, "target": target}
            for source, kind, target in schema.segments
        ],
        "indexes": [*_range_indexes(schema), *_fulltext_indexes(schema)],
        "stats": {"labels": {}, "relationshipTypes": dict(schema.counts)},
    }


def _category(
    number: int, label: str, *, properties: Mapping[str, str], rules: Rules, scales: Scales
) -> Json:
    look = look_of(label, number)
    captions = shown(look, properties)
    return {
        "id": number,
        "name": label,
        "labels": [label],
        "properties": [
            {"name": name, "exclude": name in HIDDEN, "dataType": kind}
            for name, kind in properties.items()
        ],
        "createdAt": scales.created,
        "lastEditedAt": scales.created,
        "color": look.colour,
        "size": look.size,
        # Icons have ids that no document lists.
        "icon": "no-icon",
        "textSize": 1,
        "textAlign": "top",
        "captions": [
            _caption(label, "label", visible=not captions),
            *_property_captions(properties, captions, tooltip=look.tooltip),
        ],
        "captionKeys": [],
        "styleRules": label_rules(label, properties, rules=rules, scales=scales),
    }


def _caption(key: str, kind: str, *, visible: bool, tooltip: bool = True) -> Json:
    return {
        "key": key,
        "type": kind,
        "isCaption": visible,
        "inTooltip": tooltip,
        "styles": [],
    }


def _property_captions(
    properties: Mapping[str, str], captions: Collection[str], *, tooltip: Collection[str]
) -> list[Json]:
    return [
        {
            **_caption(
                name,
                "property",
                visible=name in captions,
                tooltip=name in captions or name in tooltip,
            ),
            "isGdsData": False,
        }
        for name in properties
        if name not in HIDDEN
    ]


def _typed(owner: str, properties: Mapping[str, str]) -> list[Json]:
    return [
        {"propertyKey": name, "type": owner, "dataType": kind} for name, kind in properties.items()
    ]


def _range_indexes(schema: GraphSchema) -> list[Json]:
    keys: dict[str, list[Any]] = {}
    for index in schema.indexes:
        if index["type"] == "RANGE" and index["labels"][0] in schema.labels:
            found = keys.setdefault(index["labels"][0], [])
            found += [name for name in index["properties"] if name not in found]
    return [
        {
            "label": label,
            "type": "native",
            "propertyKeys": [{"key": name, "metadataProp": False} for name in names],
        }
        for label, names in sorted(keys.items())
    ]


def _fulltext_indexes(schema: GraphSchema) -> list[Json]:
    made = []
    for index in schema.indexes:
        if index["type"] == "FULLTEXT":
            provider, _, version = index["provider"].rpartition("-")
            made.append(
                {
                    "type": "full-text",
                    "state": index["state"],
                    "tokenNames": index["labels"],
                    "name": index["name"],
                    "propertyNames": index["properties"],
                    "provider": {"key": provider, "version": version},
                }
            )
    return made
