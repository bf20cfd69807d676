"""Search phrases and scene actions: the queries of the catalogue, as Bloom runs them."""

from __future__ import annotations

import uuid
from types import MappingProxyType
from typing import TYPE_CHECKING

from atlas.bloom.suggestions import (
    literal,
    parameter_of_phrase,
    picked,
    replace_parameter,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from atlas.bloom.styles import Json
    from queries.header import Parameter, QuerySpec

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "sae-feature-atlas")
"""Of the ids that are made from names."""

# A name that no statement of the catalogue has.
_SELECTED = "bloom_selection"
_CHOSEN: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "feature": ("Feature", "key"),
        "features": ("Feature", "key"),
        "community": ("Community", "key"),
        "concept": ("Concept", "key"),
        "token": ("Token", "text"),
        "run": ("Run", "key"),
        "sae": ("Sae", "key"),
    }
)


def phrases(specs: Iterable[QuerySpec], *, created: int) -> list[Json]:
    """Return a search phrase for each query.

    Parameters
    ----------
    specs
        Queries of the catalogue.
    created
        Milliseconds since 1970; ids count up from there.
    """
    made = []
    for number, spec in enumerate(specs):
        moment = created + number
        made.append(
            {
                "name": spec.purpose,
                "id": f"tmpl:{moment}",
                "createdAt": moment,
                "text": spec.phrase,
                "cypher": picked(spec.graph, spec.phrase_parameters),
                "isUpdateQuery": None,
                "isWriteTransactionChecked": None,
                "params": [parameter_of_phrase(p, spec) for p in spec.phrase_parameters],
                "hasCypherErrors": False,
            }
        )
    return made


def actions(
    specs: Iterable[QuerySpec], categories: Mapping[str, int], *, created: int
) -> list[Json]:
    """Return a scene action for each query about one or two nodes, with defaults for the rest.

    It is in the menu of the nodes that are selected, so that nothing has to be typed.

    Parameters
    ----------
    specs
        Queries of the catalogue.
    categories
        Label -> id of its category; actions are offered on these nodes only.
    created
        Milliseconds since 1970; times count up from there.
    """
    made = []
    for number, spec in enumerate(specs):
        about = _about(spec)
        label = _CHOSEN[about[0].type][0] if about else None
        if label is None or label not in categories:
            continue
        made.append(
            {
                "name": spec.title,
                "id": str(uuid.uuid5(NAMESPACE, f"action/{spec.name}")),
                "createdAt": created + number,
                "cypher": _of_selection(spec, about),
                "isUpdateQuery": None,
                "isWriteTransactionChecked": None,
                "categories": [categories[label]],
                "relationshipTypes": None,
                "hasCypherErrors": False,
            }
        )
    return made


def _about(spec: QuerySpec) -> list[Parameter]:
    """Return the parameters that selected nodes stand for; none if some cannot be filled in."""
    about = [p for p in spec.phrase_parameters if p.type in _CHOSEN and p.required]
    rest = [p for p in spec.phrase_parameters if p not in about]
    kinds = [p.type for p in about]
    fits = len(kinds) == 1 or kinds == ["feature", "feature"]
    return about if fits and not any(p.required for p in rest) else []


def _of_selection(spec: QuerySpec, about: list[Parameter]) -> str:
    """Return the statement of a phrase about the selected nodes, `$nodes` of Bloom."""
    label, key = _CHOSEN[about[0].type]
    lines = [f"MATCH ({_SELECTED}:{label}) WHERE elementId({_SELECTED}) IN $nodes"]
    values = [f"{_SELECTED}.{key}"]
    if about[0].type == "token":
        values = [f"[{_SELECTED}.{key}]"]
    elif about[0].type == "features":
        lines.append(f"WITH collect({_SELECTED}) AS {_SELECTED} WHERE size({_SELECTED}) > 0")
        values = [f"[one IN {_SELECTED} | one.{key}]"]
    elif len(about) > 1:
        lines.append(f"WITH collect({_SELECTED}) AS {_SELECTED} WHERE size({_SELECTED}) = 2")
        values = [f"{_SELECTED}[{place}].{key}" for place in range(len(about))]
    statement = spec.graph
    for parameter, value in zip(about, values, strict=True):
        statement = replace_parameter(statement, parameter.name, expression=value)
    for parameter in spec.phrase_parameters:
        statement = replace_parameter(
            statement, parameter.name, expression=literal(parameter.default)
        )
    inner = "\n".join(f"  {line}" for line in statement.splitlines())
    return "\n".join([*lines, f"CALL ({_SELECTED}) {{", inner, "}", "RETURN *"])
