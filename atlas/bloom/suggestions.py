"""What Bloom suggests for the parameters of a phrase, and how statements take what is picked.

Bloom sends the suggestion that was picked: there is no label beside a value. So that people can
pick by label, suggestions of features, communities and concepts read ``label|key``, and statements
take what follows the last bar; a bare key works too. Spaces separate words in Bloom's search bar,
so labels have underscores for them.
"""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atlas.bloom.styles import Json
    from queries.header import Parameter, QuerySpec, Value

MOST_SUGGESTIONS = 5000
"""Suggestions of one parameter; what is beyond can be typed."""

DATA_TYPES: Mapping[str, str] = MappingProxyType(
    {"integer": "Integer", "float": "Float", "boolean": "Boolean"}
)
"""Data types of Bloom; all other parameters are a ``String``."""

_PICKED = "last(split($NAME, '|'))"
_SEVERAL = "[picked IN split($NAME, ',') | last(split(trim(picked), '|'))]"
_TAKEN: Mapping[str, str] = MappingProxyType(
    {
        "feature": _PICKED,
        "community": _PICKED,
        "concept": _PICKED,
        "features": _SEVERAL,
        # As `queries.resolve.token_texts`: most tokens that begin a word begin with a space.
        "token": "[$NAME, ' ' + $NAME]",
        # Bloom cannot embed a text: it takes the vector that a feature's label has.
        "meaning": (
            f"head(COLLECT {{ MATCH (meant:Feature {{key: {_PICKED}}})"
            " RETURN meant.label_embedding })"
        ),
    }
)
_LABELLED: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "feature": ("MATCH (x:Feature) WHERE NOT x.dead", "label", "coalesce(x.pagerank, 0)"),
        "meaning": (
            "MATCH (x:Feature) WHERE x.label_embedding IS NOT NULL",
            "label",
            "coalesce(x.pagerank, 0)",
        ),
        "community": ("MATCH (x:Community) WHERE x.size > 0", "label", "x.size"),
        "concept": ("MATCH (x:Concept) WHERE x.documents > 0", "name", "x.documents"),
    }
)
# A parameter that follows one of its type: the statements of Bloom's suggestions may use earlier
# parameters. Features that are joined to the first come first.
_NEAR_FIRST = """\
CALL () {{
  MATCH (:Feature {{key: TAKEN}})-[:CO_OCCURS|IMPLIES|SIMILAR_TO|FEEDS]-(x:Feature)
  RETURN DISTINCT x, 0 AS place
UNION ALL
  {found}
  RETURN x, 1 AS place ORDER BY {order} LIMIT {limit}
}}
WITH x, min(place) AS place WHERE x.key <> TAKEN"""
_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "run": "MATCH (x:Run) WHERE x.kind IS NULL",
        "sae": "MATCH (x:Sae) WHERE x.key IS NOT NULL",
    }
)
_GROUPS = (
    "MATCH (c:Community)\nWITH c ORDER BY c.size DESC, c.key LIMIT 100\n"
    "WITH COLLECT {\n  MATCH (f:Feature)-[:MEMBER_OF]->(c)\n"
    "  RETURN f.key ORDER BY coalesce(f.pagerank, 0) DESC, f.key LIMIT 3\n} AS keys\n"
)
_GROUP_BESIDE = (
    "MATCH (f:Feature)-[r:CO_OCCURS]-(o:Feature)\n"
    "WHERE f.key IN TAKEN AND NOT o.key IN TAKEN\n"
    "WITH o.key AS key, sum(r.phi) AS phi ORDER BY phi DESC, key LIMIT 3\n"
    "WITH collect(key) AS keys\n"
)
_JOINED = (
    "WHERE size(keys) > 0\n"
    "RETURN reduce(all = head(keys), key IN tail(keys) | all + ',' + key) AS suggestion"
)
_TOKENS = (
    "MATCH (t:Token)\nWITH t, COUNT { (t)<-[:TYPES]-() } AS n\n"
    "WHERE n > 0 AND trim(t.text) <> '' AND NOT t.text CONTAINS '\ufffd'\n"
    "WITH trim(t.text) AS suggestion, sum(n) AS n\n"
    f"RETURN suggestion ORDER BY n DESC, suggestion LIMIT {MOST_SUGGESTIONS}"
)
_WORDS = (
    "WITH trim(word) AS suggestion, count(*) AS n\n"
    "WHERE suggestion =~ '[\\\\p{L}\\\\p{N}][\\\\p{L}\\\\p{N}_-]+'\n"
    f"RETURN suggestion ORDER BY n DESC, suggestion LIMIT {MOST_SUGGESTIONS}"
)
_WORDS_OF: Mapping[str, str] = MappingProxyType(
    {
        "explanation_text": "MATCH (e:Explanation)\nUNWIND split(e.text, ' ') AS word\n",
        "concept_text": "MATCH (c:Concept)\nUNWIND split(c.name, ' ') AS word\n",
        "context_text": "MATCH (f:Feature)\nUNWIND f.top_tokens AS word\n",
    }
)
_DOMAINS = (
    "MATCH (c:Concept {kind: 'domain'})\nRETURN DISTINCT c.name AS suggestion ORDER BY suggestion"
)
_NUMBERS = (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 0.9, 1, 2, 3, 5, 10, 20, 50, 100)


def parameter_of_phrase(parameter: Parameter, spec: QuerySpec) -> Json:
    """Return a phrase's parameter with what Bloom suggests for it."""
    label, name = _property_of(parameter, spec)
    return {
        "name": f"${parameter.name}",
        "dataType": DATA_TYPES.get(parameter.type, "String"),
        "collapsed": False,
        "suggestionLabel": label,
        "suggestionProp": name,
        "suggestionBoolean": False,
        "cypher": None if label else suggestion(parameter, spec),
    }


def suggestion(parameter: Parameter, spec: QuerySpec) -> str:
    """Return a statement whose rows are values for a parameter, likely ones first.

    Its column is ``suggestion``; it may use parameters that come earlier in the phrase.
    """
    kind, before = parameter.type, _before(parameter, spec)
    if kind in _LABELLED:
        return _labelled(kind, before)
    if kind in _KEYS:
        other = f" AND x.key <> ${before.name}" if before else ""
        return f"{_KEYS[kind]}{other}\nRETURN x.key AS suggestion ORDER BY suggestion"
    if kind == "features":
        return (_taken(_GROUP_BESIDE, before) if before else _GROUPS) + _JOINED
    if kind == "token":
        types = re.findall(r"FIRES_ON|PROMOTES|SUPPRESSES", spec.graph) or ["FIRES_ON"]
        return _TOKENS.replace("TYPES", "|".join(sorted(set(types))))
    return _free(parameter, spec)


def picked(statement: str, parameters: list[Parameter]) -> str:
    """Return a statement that takes what Bloom sends instead of keys and lists."""
    for parameter in parameters:
        if parameter.type in _TAKEN:
            taken = _taken("TAKEN", parameter)
            statement = replace_parameter(statement, parameter.name, expression=taken)
    return statement


def replace_parameter(statement: str, name: str, *, expression: str) -> str:
    """Return a statement with an expression in place of a parameter."""
    return re.sub(rf"\${name}\b", lambda _: expression, statement)


def literal(value: Value) -> str:
    """Return a value as a Cypher literal."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    if isinstance(value, list):
        return f"[{', '.join(literal(item) for item in value)}]"
    return repr(value)


def _property_of(parameter: Parameter, spec: QuerySpec) -> tuple[str | None, str | None]:
    """Return label and property that a text is looked up by, such as ``(:Prompt {key: $prompt})``.

    Bloom completes these from the index.
    """
    found = re.search(rf"\(\w*:(\w+) {{(\w+): \${parameter.name}\b", spec.graph)
    return (found[1], found[2]) if found and parameter.type == "string" else (None, None)


def _before(parameter: Parameter, spec: QuerySpec) -> Parameter | None:
    """Return the parameter of the same type that is next before this one in the phrase."""
    earlier = spec.phrase_parameters[: spec.phrase_parameters.index(parameter)]
    return next((p for p in reversed(earlier) if p.type == parameter.type), None)


def _taken(statement: str, parameter: Parameter) -> str:
    taken = _TAKEN[parameter.type].replace("$NAME", f"${parameter.name}")
    return statement.replace("TAKEN", taken)


def _labelled(kind: str, before: Parameter | None) -> str:
    """Return a statement that suggests ``label|key``, largest first, joined ones before others."""
    found, name, score = _LABELLED[kind]
    order = f"{score} DESC, x.key"
    if before and kind == "feature":
        near = _NEAR_FIRST.format(found=found, order=order, limit=MOST_SUGGESTIONS)
        found, order = _taken(near, before), f"place, {order}"
    elif before:
        found += _taken(" AND x.key <> TAKEN", before)
    return (
        f"{found}\nWITH x ORDER BY {order} LIMIT {MOST_SUGGESTIONS}\n"
        f"RETURN reduce(shown = coalesce(x.{name}, ''), sign IN "
        "[' ', '|', ',', '\"', '\\'', '$', '(', ')', '\\n', '\\t'] | replace(shown, sign, '_'))"
        " + '|' + x.key AS suggestion"
    )


def _free(parameter: Parameter, spec: QuerySpec) -> str:
    """Return a statement that suggests plain values and words."""
    if parameter.type == "fulltext":
        index = next((name for name in _WORDS_OF if f"'{name}'" in spec.graph), "context_text")
        return _WORDS_OF[index] + _WORDS
    if parameter.name == "domain" and not parameter.choices:
        return _DOMAINS
    values = _values(parameter)
    if values:
        listed = ", ".join(literal(value) for value in values)
        return f"UNWIND [{listed}] AS suggestion\nRETURN suggestion"
    # A text of the query's own: what its example has.
    example = spec.example.splitlines()[0].removeprefix(":param").strip()
    return f"WITH {example} AS example\nRETURN example.{parameter.name} AS suggestion"


def _values(parameter: Parameter) -> list[Value]:
    """Return values that a parameter may have, its default first; none for free text."""
    usual: list[Value] = list(parameter.choices)
    if parameter.type == "boolean":
        usual = [True, False]
    elif parameter.type in ("integer", "float"):
        whole = parameter.type == "integer"
        low = parameter.minimum if parameter.minimum is not None else -math.inf
        high = parameter.maximum if parameter.maximum is not None else math.inf
        fitting = [x for x in _NUMBERS if low <= x <= high and (not whole or x == int(x))]
        usual = [int(x) if whole else float(x) for x in fitting or [low]]
    first = [] if parameter.default is None else [parameter.default]
    return [*first, *(value for value in usual if value not in first)]
