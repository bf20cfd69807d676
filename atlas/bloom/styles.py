"""Style rules of a perspective.

There is no published schema of perspectives. Rules use what exported ones are known to have: a
text that ``equals`` a value, a number ``between`` two, and sizes over a range of numbers.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from atlas.bloom.looks import DEAD, DENSE, NEGATIVE, STABLE, UNSTABLE, Line, colours

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atlas.bloom.schema import Scales

Json = dict[str, Any]

_WIDTHS = (0.5, 4.0)
_SIZES = (0.5, 3.0)
# Shares as `Feature.dense` and `Community.stable` have them; Bloom has no rule for a boolean that
# is known from an export.
_DENSE_FROM = 0.1
_STABLE_FROM = 0.75


class Rules:
    """Makes the style rules of a perspective, each with an id of its own.

    Parameters
    ----------
    created
        Milliseconds since 1970; ids count up from there.
    """

    def __init__(self, created: int) -> None:
        self._ids = count(created)

    def equals(self, field: str, value: str, *, colour: str) -> Json:
        """Return a rule that colours what has this text in a field (``property_type``)."""
        return self._rule(
            "single",
            field,
            applyColor=True,
            color=colour,
            condition="equals",
            conditionValue=value,
        )

    def between(self, field: str, limits: tuple[float, float], *, colour: str) -> Json:
        """Return a rule that colours what has a number within limits, ends included, in a field."""
        return self._rule(
            "single",
            field,
            applyColor=True,
            color=colour,
            condition="between",
            conditionValue=limits[0],
            rangeValue=limits[1],
        )

    def sized(self, field: str, limits: tuple[float, float], *, sizes: tuple[float, float]) -> Json:
        """Return a rule that sizes by a number: the first size at the first limit, and so on."""
        return self._rule(
            "range",
            field,
            applySize=True,
            size=sizes[1],
            minSize=sizes[0],
            maxSize=sizes[1],
            minSizeValue=f"{limits[0]:g}",
            maxSizeValue=f"{limits[1]:g}",
        )

    def _rule(self, kind: str, field: str, **changes: Any) -> Json:
        return {
            "id": f"rule:{next(self._ids)}",
            "type": kind,
            "size": 1,
            "minSize": 1,
            "maxSize": 2,
            "minColor": "#D9E8F2",
            "midColor": "#88B8DC",
            "maxColor": "#0072B2",
            "minPoint": "unprocessed",
            "maxPoint": "unprocessed",
            "applyColor": False,
            "applySize": False,
            "applyCaption": False,
            "textAlign": "center",
            "textSize": 1,
            "captions": [],
            "captionKeys": [],
            "color": "#56B4E9",
            "isTimeZoneConvertEnabled": False,
            "selectedTimeZone": "Z",
            "basedOn": field,
            "valuesMapper": [],
            "existingValues": [],
            "minSizeValue": "",
            "maxSizeValue": "",
            "minColorValue": "",
            "midColorValue": "",
            "maxColorValue": "",
            "condition": None,
            "conditionValue": None,
            "rangeValue": None,
            **changes,
        }


def label_rules(
    label: str, properties: Mapping[str, str], *, rules: Rules, scales: Scales
) -> list[Json]:
    """Return the rules of a label. Where two give a colour, the first that fits counts."""
    if label == "Feature":
        return _feature_rules(properties, rules=rules, scales=scales)
    if label == "Community":
        return _community_rules(properties, rules=rules, scales=scales)
    return []


def line_rules(line: Line, properties: Mapping[str, str], *, rules: Rules) -> list[Json]:
    """Return the rules of a relationship type: colours by kind, width by weight."""
    made = []
    if "kind" in properties:
        kind = _field("kind", properties)
        made += [rules.equals(kind, name, colour=colour) for name, colour in line.kinds.items()]
    if "sign" in properties:
        made.append(rules.between(_field("sign", properties), (-1, -1), colour=NEGATIVE))
    if line.weight in properties:
        weight = _field(str(line.weight), properties)
        made.append(rules.sized(weight, (line.low, line.high), sizes=_WIDTHS))
    return made


def _feature_rules(properties: Mapping[str, str], *, rules: Rules, scales: Scales) -> list[Json]:
    made = []
    if "n" in properties:
        made.append(rules.between(_field("n", properties), (0, 0), colour=DEAD))
    if "firing_rate" in properties:
        made.append(
            rules.between(_field("firing_rate", properties), (_DENSE_FROM, 1), colour=DENSE)
        )
    if "community" in properties:
        field = _field("community", properties)
        hues = colours(len(scales.communities))
        made += [
            rules.equals(field, key, colour=hue)
            for key, hue in zip(scales.communities, hues, strict=True)
        ]
    if "pagerank" in properties and scales.pagerank:
        made.append(rules.sized(_field("pagerank", properties), scales.pagerank, sizes=_SIZES))
    return made


def _community_rules(properties: Mapping[str, str], *, rules: Rules, scales: Scales) -> list[Json]:
    made = []
    if "stability" in properties:
        field = _field("stability", properties)
        made.append(rules.between(field, (_STABLE_FROM, 1), colour=STABLE))
        made.append(rules.between(field, (0, _STABLE_FROM), colour=UNSTABLE))
    if "size" in properties and scales.sizes:
        made.append(rules.sized(_field("size", properties), scales.sizes, sizes=(1.0, 4.0)))
    return made


def _field(name: str, properties: Mapping[str, str]) -> str:
    return f"{name}_{properties[name]}"
