"""The catalogue of read queries: one ``.cypher`` file, one Python function, one command each."""

from __future__ import annotations

import difflib
import json
import math
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from atlas.errors import NotFoundError, UsageError
from atlas.graph.asking import Request, ask
from queries.header import Parameter, QuerySpec, Value, parse
from queries.lucene import escape
from queries.resolve import (
    community_key,
    concept_key,
    feature_key,
    feature_keys,
    looks_like_key,
    run_key,
    sae_key,
    token_texts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from atlas.graph.asking import Question
    from atlas.graph.reader import Reader, Row

MOST_FEATURES = 10_000
"""Most names in a parameter that takes several features."""


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
    """Run a query of the catalogue as a read transaction; see `question`."""
    return ask(reader, question(name, parameters))


def run_noted(
    reader: Reader, name: str, /, **parameters: Any
) -> tuple[list[Row], dict[str, Value]]:
    """Run a query as `run` does; return also the values that its statement was sent with.

    They are those of a console: names of features, runs and communities have become keys.
    """
    text, sent = query(name).cypher, dict[str, Value]()

    def noting() -> Question[list[Row]]:
        asked = question(name, parameters)
        try:
            request = next(asked)
            while True:
                if request.text == text:
                    sent.update(request.parameters)
                request = asked.send((yield request))
        except StopIteration as end:
            rows: list[Row] = end.value
            return rows

    return ask(reader, noting()), sent


def question(name: str, parameters: Mapping[str, Any]) -> Question[list[Row]]:
    """Ask a query of the catalogue.

    Parameters
    ----------
    name
        Name of the query.
    parameters
        Its parameters; those with a default may be left out.

    Returns
    -------
    list of dict
        One dict a row, with the columns of the header.

    Raises
    ------
    NotFoundError
        No such query, feature, community, run, SAE, concept or token.
    UsageError
        An unknown or missing parameter, a value of the wrong type or out of range, or a name that
        several features or communities have.
    DatabaseError
        The database fails.
    """
    spec = query(name)
    given = bind(spec, parameters)
    values = yield from _resolve(spec, given, trusting=True)
    rows = yield Request(spec.cypher, values, f"query {name}")
    if not rows:
        # Features named by whole keys were taken at their word, which saves a round trip.
        known = yield from _resolve(spec, given, trusting=False)
        if known != values:
            rows = yield Request(spec.cypher, known, f"query {name}")
    return _with_maps(spec, rows)


def _with_maps(spec: QuerySpec, rows: list[Row]) -> list[Row]:
    """Return rows with dicts for maps that the graph keeps as JSON text."""
    names = [column.name for column in spec.columns if column.type == "map"]
    for row in rows:
        for name in names:
            if isinstance(row.get(name), str):
                row[name] = json.loads(row[name])
    return rows


def _resolve(
    spec: QuerySpec, given: Mapping[str, Value], *, trusting: bool
) -> Question[dict[str, Value]]:
    """Ask for what the statement looks for; `trusting`, whole keys are not looked up."""
    values = dict(given)
    for parameter in spec.parameters:
        value = values[parameter.name]
        resolver = _RESOLVERS.get(parameter.type)
        if resolver is None or value is None:
            continue
        # Of a list, one that is missing would go unnoticed beside the others.
        trusted = trusting and parameter.type == "feature" and looks_like_key(str(value))
        if not trusted:
            values[parameter.name] = yield from resolver(value)
    return values


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
    if parameter.type == "features" and isinstance(value, tuple):
        value = list(value)
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
    return list(checked) if isinstance(checked, list) else checked


def _of_type(kind: str, value: Any) -> bool:
    if kind == "features":
        some = isinstance(value, list) and 0 < len(value) <= MOST_FEATURES
        return some and all(_of_type("feature", name) for name in value)
    if kind == "float" and not isinstance(value, bool):
        return isinstance(value, int | float) and math.isfinite(value)
    types = {"boolean": bool, "integer": int, "feature": str | int, "community": str | int}
    return isinstance(value, types.get(kind, str)) and (
        kind == "boolean" or not isinstance(value, bool)
    )


def _kind(parameter: Parameter) -> str:
    if parameter.minimum is not None and parameter.maximum is not None:
        name = "a whole number" if parameter.type == "integer" else "a number"
        return f"{name} from {parameter.minimum:g} to {parameter.maximum:g}"
    return {
        "boolean": "true or false",
        "integer": "a whole number",
        "float": "a number",
        "feature": "a feature's key, index or label",
        "features": f"a list of 1 to {MOST_FEATURES:,} features",
        "community": "a community's key, number or label",
    }.get(parameter.type, "text")


def _nearest(name: str, names: Iterable[str]) -> str:
    known = list(names)
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(known)}."


def _escaped(text: str) -> Question[str]:
    yield from ()
    return escape(text)


def _embedded(text: str) -> Question[list[float]]:
    from queries.embedding import embed_label

    yield from ()
    vector: list[float] = embed_label(text)
    return vector


_RESOLVERS: Mapping[str, Callable[[Any], Question[Any]]] = {
    "feature": feature_key,
    "features": feature_keys,
    "community": community_key,
    "run": run_key,
    "sae": sae_key,
    "concept": concept_key,
    "token": token_texts,
    "meaning": _embedded,
    "fulltext": _escaped,
}
