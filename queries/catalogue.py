"""The catalogue of read queries: one ``.cypher`` file, one Python function, one command each."""

from __future__ import annotations

import difflib
import math
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from atlas.errors import NotFoundError, UsageError
from queries.header import Parameter, QuerySpec, Value, parse
from queries.lucene import escape
from queries.resolve import resolve_community, resolve_feature, resolve_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from atlas.graph.reader import Reader, Row


@cache
def catalogue() -> Mapping[str, QuerySpec]:
    """Return every query, by name, in alphabetical order."""
    folder = resources.files("queries") / "cypher"
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".cypher"))
    return MappingProxyType(
        {
            name.removesuffix(".cypher"): parse(
                name.removesuffix(".cypher"), (folder / name).read_text("utf-8")
            )
            for name in names
        }
    )


def query(name: str) -> QuerySpec:
    """Return one query.

    Raises
    ------
    NotFoundError
        There is none of that name; the message names the nearest.
    """
    found = catalogue().get(name)
    if found is None:
        raise NotFoundError(f"There is no query {name!r}.", hint=_nearest(name, catalogue()))
    return found


def run(reader: Reader, name: str, /, **parameters: Any) -> list[Row]:
    """Run a query of the catalogue as a read transaction.

    Parameters
    ----------
    reader
        Where to run it.
    name
        Name of the query.
    **parameters
        Its parameters; those with a default may be left out.

    Returns
    -------
    list of dict
        One dict a row, with the columns of the header.

    Raises
    ------
    NotFoundError
        No such query, feature, community or run.
    UsageError
        An unknown or missing parameter, a value of the wrong type or out of range, or a name that
        several features or communities have.
    DatabaseError
        The database fails.
    """
    spec = query(name)
    values = bind(spec, parameters)
    for parameter in spec.parameters:
        resolver = _RESOLVERS.get(parameter.type)
        if resolver is not None and values[parameter.name] is not None:
            values[parameter.name] = resolver(reader, values[parameter.name])
    return reader.read(spec.cypher, values, what=f"query {name}")


def bind(spec: QuerySpec, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for each parameter of a query, checked, with defaults filled in.

    Raises
    ------
    UsageError
        As for `run`.
    """
    for name in parameters:
        if name not in spec.parameter_names:
            raise UsageError(
                f"The query {spec.name} has no parameter {name!r}.",
                hint=_nearest(name, spec.parameter_names),
            )
    missing = [p.name for p in spec.parameters if p.required and parameters.get(p.name) is None]
    if missing:
        raise UsageError(
            f"The query {spec.name} needs {' and '.join(missing)}.",
            hint="; ".join(f"{p.name}: {p.meaning}" for p in spec.parameters if p.name in missing),
        )
    return {p.name: _checked(spec, p, parameters.get(p.name, p.default)) for p in spec.parameters}


def _checked(spec: QuerySpec, parameter: Parameter, value: Any) -> Value:
    if value is None and parameter.nullable:
        return None
    if not _of_type(parameter.type, value):
        raise UsageError(
            f"The parameter {parameter.name} of {spec.name} is {value!r}, not {_kind(parameter)}."
        )
    if parameter.choices and value not in parameter.choices:
        raise UsageError(
            f"The parameter {parameter.name} of {spec.name} is {value!r}.",
            hint=f"Use one of {', '.join(parameter.choices)}.",
        )
    low, high = parameter.minimum, parameter.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        raise UsageError(
            f"The parameter {parameter.name} of {spec.name} is {value}.",
            hint=f"Use {_kind(parameter)}.",
        )
    checked: Value = float(value) if parameter.type == "float" else value
    return checked


def _of_type(kind: str, value: Any) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind == "integer":
        return isinstance(value, int)
    if kind == "float":
        return isinstance(value, int | float) and math.isfinite(value)
    if kind in ("feature", "community"):
        return isinstance(value, str | int)
    return isinstance(value, str)


def _kind(parameter: Parameter) -> str:
    if parameter.minimum is not None and parameter.maximum is not None:
        name = "a whole number" if parameter.type == "integer" else "a number"
        return f"{name} from {parameter.minimum:g} to {parameter.maximum:g}"
    return {
        "boolean": "true or false",
        "integer": "a whole number",
        "float": "a number",
        "feature": "a feature's key, index or label",
        "community": "a community's key, number or label",
    }.get(parameter.type, "text")


def _nearest(name: str, names: Iterable[str]) -> str:
    known = list(names)
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(known)}."


_RESOLVERS: Mapping[str, Callable[[Reader, Any], str]] = {
    "feature": resolve_feature,
    "community": resolve_community,
    "run": resolve_run,
    "fulltext": lambda _, text: escape(text),
}
