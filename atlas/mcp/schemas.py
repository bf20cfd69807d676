"""JSON Schemas of the tools, made from the headers of the query files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queries.header import Parameter, QuerySpec

Schema = dict[str, Any]

SKIP = "skip"
"""Name of the parameter with which the rest of a long answer is fetched."""

_PLAIN: Mapping[str, str] = {"integer": "integer", "float": "number", "boolean": "boolean"}
_NAMED: Mapping[str, str] = {
    "feature": "Its key, SAE/index, index, label or top token.",
    "features": "Each by key, SAE/index, index, label or top token.",
    "community": "Its key, number or label.",
    "run": "Its key; `runs` lists them.",
    "sae": "Its key, or the end of it.",
    "concept": "Its key, name or ontology id.",
    "meaning": "Any text.",
}
_COLUMNS: Mapping[str, str] = {
    "string": "string",
    "integer": "integer",
    "float": "number",
    "boolean": "boolean",
    "list": "array",
    "map": "object",
}


def input_schema(spec: QuerySpec) -> Schema:
    """Return the JSON Schema of a query's arguments."""
    properties = {parameter.name: parameter_schema(parameter) for parameter in spec.parameters}
    if not spec.single:
        properties[SKIP] = {
            "type": "integer",
            "minimum": 0,
            "default": 0,
            "description": "Rows to leave out: `next_skip` of an answer that was cut.",
        }
    return {
        "type": "object",
        "properties": properties,
        "required": [parameter.name for parameter in spec.parameters if parameter.required],
        "additionalProperties": False,
    }


def parameter_schema(parameter: Parameter) -> Schema:
    """Return the JSON Schema of one parameter."""
    schema = _value(parameter)
    if parameter.nullable:
        schema = {"anyOf": [schema, {"type": "null"}]}
    if not parameter.required:
        schema["default"] = parameter.default
    # The statement takes a key, and the header says so; a tool takes other names as well.
    meaning = parameter.meaning.removeprefix("Key of ")
    meaning = meaning[0].upper() + meaning[1:]
    schema["description"] = f"{meaning} {_NAMED.get(parameter.type, '')}".strip()
    return schema


def _value(parameter: Parameter) -> Schema:
    """Return the JSON Schema of a parameter's value, null aside."""
    named: Schema = {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0}]}
    if parameter.type in ("feature", "community"):
        return named
    if parameter.type == "features":
        return {"type": "array", "items": named, "minItems": 1}
    if parameter.choices:
        return {"type": "string", "enum": list(parameter.choices)}
    schema: Schema = {"type": _PLAIN.get(parameter.type, "string")}
    number: type[int] | type[float] = int if parameter.type == "integer" else float
    for keyword in ("minimum", "maximum"):
        limit = getattr(parameter, keyword)
        if limit is not None:
            schema[keyword] = number(limit)
    return schema


def output_schema(spec: QuerySpec) -> Schema:
    """Return the JSON Schema of a query's answer; see `atlas.mcp.answers.Answer`."""
    columns = {column.name: _column(column.type, column.meaning) for column in spec.columns}
    row = {"type": "object", "properties": columns, "required": list(columns)}
    return answer_schema(row, single=spec.single)


def _column(kind: str, meaning: str) -> Schema:
    if kind not in _COLUMNS:
        return {"description": meaning}
    return {"type": [_COLUMNS[kind], "null"], "description": meaning}


def answer_schema(row: Schema, *, single: bool = False) -> Schema:
    """Return the JSON Schema of an answer whose rows are as `row` says."""
    rows: Schema = {"type": "array", "items": row}
    if single:
        rows |= {"minItems": 1, "maxItems": 1}
    nullable_count = {"type": ["integer", "null"], "minimum": 0}
    return {
        "type": "object",
        "properties": {
            "note": {
                "type": ["string", "null"],
                "description": "What is missing here and how to get it; null if nothing is.",
            },
            "rows": rows,
            "total": {
                **nullable_count,
                "description": "Rows found; null where the rest was not read.",
            },
            "next_skip": {
                **nullable_count,
                "description": "`skip` of the call that returns the rest; null if there is none.",
            },
            "shortened": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Columns of which only the beginning is here.",
            },
        },
        "required": ["note", "rows", "total", "next_skip", "shortened"],
    }


def description(spec: QuerySpec) -> str:
    """Return what a tool is for and what its rows are, as a model reads it."""
    what = "One row" if spec.single else "Rows"
    return f"{spec.purpose}\n{what}: {', '.join(column.name for column in spec.columns)}."
