"""Rewrites a projection for a session of Aura Graph Analytics, which projects remotely.

A plugin projects with ``gds.graph.project(name, source, target, data, configuration)`` inside the
query. A session lies on another machine: the query calls
``gds.graph.project.remote(source, target, data)``, and the name and the configuration are
arguments of the client's method.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CALL = "gds.graph.project("
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
# Configuration of a projection by the plugin -> argument of the session's method.
_ARGUMENTS = {
    "undirectedRelationshipTypes": "undirected_relationship_types",
    "inverseIndexedRelationshipTypes": "inverse_indexed_relationship_types",
    "readConcurrency": "concurrency",
}


@dataclass(frozen=True)
class RemoteProjection:
    """A projection as a session takes it.

    Attributes
    ----------
    name
        Name of the graph.
    query
        Cypher that ends with ``gds.graph.project.remote``.
    arguments
        Keyword arguments of the session's method beside ``query_parameters``.
    """

    name: str
    query: str
    arguments: Mapping[str, Any]


def remote_projection(text: str, parameters: Mapping[str, Any]) -> RemoteProjection:
    """Rewrite a projection of the plugin.

    Parameters
    ----------
    text
        Cypher with one call of ``gds.graph.project``. Its name and configuration are literals or
        parameters.
    parameters
        Values of the parameters.

    Raises
    ------
    UsageError
        There is no such call, or its configuration has something that sessions do not know.
    """
    start = text.find(_CALL)
    if start < 0 or text.find(_CALL, start + 1) >= 0:
        raise UsageError("A projection calls gds.graph.project once; this one does not.")
    inside = start + len(_CALL)
    end = _closing(text, inside, ")")
    given = [part.strip() for part in _split(text[inside:end])]
    if not 3 <= len(given) <= 5:
        raise UsageError(f"gds.graph.project is called with {len(given)} arguments, not 3 to 5.")
    settings = _settings(given[4], parameters) if len(given) == 5 else {}
    call = f"gds.graph.project.remote({', '.join(given[1:4])})"
    return RemoteProjection(
        name=str(_value(given[0], parameters)),
        query=text[:start] + call + text[end + 1 :],
        arguments=settings,
    )


def _settings(text: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for part in _split(text.removeprefix("{").removesuffix("}")):
        name, colon, value = part.partition(":")
        if not colon or name.strip() not in _ARGUMENTS:
            raise UsageError(
                f"A session's projection has no {name.strip()!r}.",
                hint=f"It has: {', '.join(_ARGUMENTS)}.",
            )
        setting = _value(value.strip(), parameters)
        if setting not in (None, []):
            found[_ARGUMENTS[name.strip()]] = setting
    return found


def _value(text: str, parameters: Mapping[str, Any]) -> Any:
    """Return what a literal or a parameter stands for."""
    if text.startswith("$"):
        if text[1:] not in parameters:
            raise UsageError(f"The projection has no value for {text}.")
        return parameters[text[1:]]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise UsageError(
            f"The projection's configuration has {text}, which is neither literal nor parameter."
        ) from None


def _split(text: str) -> list[str]:
    """Split at commas that are outside of brackets and texts."""
    parts, start, place = [], 0, 0
    while place < len(text):
        if text[place] in _BRACKETS:
            place = _closing(text, place + 1, _BRACKETS[text[place]])
        elif text[place] in "'\"`":
            place = _quoted(text, place)
        elif text[place] == ",":
            parts.append(text[start:place])
            start = place + 1
        place += 1
    return [*parts, text[start:]]


def _closing(text: str, place: int, bracket: str) -> int:
    """Return where the bracket closes that was opened before `place`."""
    while place < len(text):
        if text[place] == bracket:
            return place
        if text[place] in _BRACKETS:
            place = _closing(text, place + 1, _BRACKETS[text[place]])
        elif text[place] in "'\"`":
            place = _quoted(text, place)
        place += 1
    raise UsageError(f"The projection lacks a closing {bracket}.")


def _quoted(text: str, place: int) -> int:
    """Return where the text that opens at `place` closes."""
    mark = text[place]
    found = re.compile(rf"(?:\\.|[^{mark}\\])*{mark}", re.DOTALL).match(text, place + 1)
    if found is None:
        raise UsageError(f"The projection lacks a closing {mark}.")
    return found.end() - 1
