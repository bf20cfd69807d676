"""What an algorithm is to the registry: its question, its parameters, and where it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Parameter:
    """One parameter of an algorithm.

    Attributes
    ----------
    name
        Its name.
    default
        Its default, whose type is the parameter's.
    meaning
        One line.
    minimum, maximum
        Limits of a number, both allowed.
    choices
        Values that a text may have; empty for any.
    required
        Whether it has no default.
    """

    name: str
    default: Any
    meaning: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    required: bool = False

    def convert(self, value: Any) -> Any:
        """Return `value` as this parameter's type.

        Parameters
        ----------
        value
            A value of the type, or a text for it; lists are separated by commas.

        Raises
        ------
        ValueError
            It is none; the message says what is wanted.
        """
        converted = _as_type(value, self.default)
        if self.choices and converted not in self.choices:
            raise ValueError(f"one of {', '.join(self.choices)}")
        if isinstance(converted, int | float) and not isinstance(converted, bool):
            self._check_limits(converted)
        return converted

    def _check_limits(self, number: float) -> None:
        if not isfinite(number):
            raise ValueError("a finite number")
        if self.minimum is not None and number < self.minimum:
            raise ValueError(f"{self.minimum:g} or more")
        if self.maximum is not None and number > self.maximum:
            raise ValueError(f"{self.maximum:g} or less")


ENGINES = ("gds", "igraph", "networkit", "networkx", "scipy")
"""Engines; the first one of an algorithm is its default. `scipy` is the atlas's own code."""

Direction = Literal["undirected", "directed", "either"]
Kind = Literal["scores", "vectors", "pairs", "partition", "scalars"]


@dataclass(frozen=True)
class Algorithm:
    """One algorithm.

    Attributes
    ----------
    name
        Its name, and that of its `AlgorithmRun`.
    answers
        The question it answers, one line.
    output
        Kind of its output; see `atlas.analysis.outputs`.
    columns
        Properties that it writes, without the projection's suffix.
    engines
        Engines that have it, the default first.
    parameters
        What it takes.
    direction
        Which graphs it is defined on.
    seeded
        Engines where a random seed matters.
    relationship
        Type of the relationships that it writes, if its output is pairs.
    """

    name: str
    answers: str
    output: Kind
    columns: tuple[str, ...]
    engines: tuple[str, ...]
    parameters: tuple[Parameter, ...] = ()
    direction: Direction = "undirected"
    seeded: tuple[str, ...] = ()
    relationship: str | None = None

    def fill(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters, checked, texts turned into what they stand for.

        Raises
        ------
        UsageError
            An unknown name, a wrong type, a value out of range, or a required one is missing.
        """
        return fill(self.name, self.parameters, given)

    def require(self, engine: str, *, directed: bool) -> None:
        """Raise unless `engine` has the algorithm, and it is defined on such a graph.

        Raises
        ------
        UsageError
            It is not; the message says what is.
        """
        if engine not in self.engines:
            raise UsageError(
                f"The engine {engine!r} has no {self.name}.",
                hint=f"These have: {', '.join(self.engines)}.",
            )
        if directed and self.direction == "undirected":
            raise UsageError(
                f"{self.name} is for graphs without direction.",
                hint="Project the relationships without direction (directed=False).",
            )
        if not directed and self.direction == "directed":
            raise UsageError(
                f"{self.name} needs a graph with direction.",
                hint="Take the relationship IMPLIES or FEEDS.",
            )


def fill(name: str, parameters: Sequence[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every parameter of the algorithm `name`.

    Raises
    ------
    UsageError
        An unknown name, a wrong type, a value out of range, or a required one is missing.
    """
    known = {parameter.name: parameter for parameter in parameters}
    for asked in given:
        if asked not in known:
            listed = ", ".join(known) or "none"
            raise UsageError(f"{name} has no parameter {asked!r}.", hint=f"It has: {listed}.")
    values = {}
    for parameter in parameters:
        if parameter.name not in given:
            if parameter.required:
                raise UsageError(
                    f"{name} needs the parameter {parameter.name!r}.", hint=parameter.meaning
                )
            values[parameter.name] = parameter.default
            continue
        value = given[parameter.name]
        try:
            values[parameter.name] = parameter.convert(value)
        except ValueError as error:
            raise UsageError(
                f"{name}: {parameter.name} is {value!r}.", hint=f"It must be {error}."
            ) from None
    return values


def _as_type(value: Any, default: Any) -> Any:
    """Return `value` as the type of `default`."""
    if isinstance(default, bool):
        return _as_truth(value)
    if isinstance(default, int):
        return _as_whole(value)
    if isinstance(default, float):
        return _as_number(value)
    if isinstance(default, tuple):
        items = [item.strip() for item in value.split(",")] if isinstance(value, str) else value
        if not isinstance(items, Sequence) or not items or "" in items:
            raise ValueError("a list of at least one value")
        return tuple(_as_number(item) for item in items) if default else tuple(map(str, items))
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


def _as_truth(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in _TRUTH:
        return _TRUTH[value.lower()]
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _as_whole(value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise ValueError("a whole number") from None
    if isinstance(value, bool) or (isinstance(value, float) and value != number):
        raise ValueError("a whole number")
    return number


def _as_number(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError("a number")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError("a number") from None
