"""The backbones by name, with their parameters, as users choose them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atlas.analysis.backbones import methods
from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from atlas.analysis.network import Network

_FUNCTIONS: Mapping[str, Callable[..., Network]] = {
    "all": lambda network: network,
    "threshold": methods.threshold,
    "mutual-knn": methods.mutual_knn,
    "union-knn": methods.union_knn,
    "disparity": methods.disparity,
    "forest": methods.spanning_forest,
}
_TAKES: Mapping[str, tuple[str, ...]] = {
    "all": (),
    "threshold": ("min_weight",),
    "mutual-knn": ("k",),
    "union-knn": ("k",),
    "disparity": ("alpha", "ends", "keep_single"),
    "forest": ("min_weight",),
}
METHODS = tuple(_FUNCTIONS)
"""Names of the methods."""

DEFAULT = "mutual-knn"
"""The method where none is named: what `atlas analyse` finds its communities on."""


@dataclass(frozen=True)
class Options:
    """Parameters of all methods; each takes its own.

    Attributes
    ----------
    k
        Of ``mutual-knn`` and ``union-knn``: strongest neighbours of a feature.
    min_weight
        Of ``threshold`` and ``forest``: least weight of an edge.
    alpha, ends, keep_single
        Of ``disparity``; see `atlas.analysis.backbones.methods.disparity`.
    """

    k: int = 10
    min_weight: float = 0.1
    alpha: float = 0.05
    ends: str = "either"
    keep_single: bool = False


@dataclass(frozen=True)
class Choice:
    """A method and its parameters.

    Attributes
    ----------
    method
        One of `METHODS`.
    parameters
        What the method takes, by name.
    """

    method: str
    parameters: Mapping[str, Any]

    def apply(self, network: Network) -> Network:
        """Return the backbone of a network."""
        return _FUNCTIONS[self.method](network, **self.parameters)

    def __str__(self) -> str:
        """Name the method and its parameters, for example ``mutual-knn k=10``."""
        return " ".join(
            [self.method, *(f"{name}={value}" for name, value in self.parameters.items())]
        )


def choose(method: str, options: Options | None = None) -> Choice:
    """Return a method with those of the options that it takes.

    Raises
    ------
    UsageError
        There is no such method.
    """
    if method not in _FUNCTIONS:
        raise UsageError(f"There is no backbone {method!r}.", hint=f"There are: {_list(METHODS)}.")
    values = vars(options or Options())
    return Choice(method, {name: values[name] for name in _TAKES[method]})


def usual_choices() -> tuple[Choice, ...]:
    """Return the methods that a comparison shows where none are named."""
    return (
        choose("all"),
        *(choose("threshold", Options(min_weight=weight)) for weight in (0.05, 0.1, 0.2)),
        *(choose("mutual-knn", Options(k=k)) for k in (5, 10, 20)),
        *(choose("union-knn", Options(k=k)) for k in (3, 5, 10)),
        *(choose("disparity", Options(alpha=alpha)) for alpha in (0.05, 0.01)),
        choose("disparity", Options(alpha=0.05, ends="both")),
        choose("forest", Options(min_weight=0.2)),
    )


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)
