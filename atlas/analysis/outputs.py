"""What algorithms return: arrays by node or by pair, the same from every engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class NodeScores:
    """Numbers of each node.

    Attributes
    ----------
    columns
        Name -> float64 or int64 ``[nodes]``. The names are those of the properties written.
    """

    columns: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class NodeVectors:
    """A vector of each node.

    Attributes
    ----------
    name
        Name of the property written.
    values
        float32 ``[nodes, dimension]``.
    """

    name: str
    values: NDArray[np.float32]


@dataclass(frozen=True)
class Pairs:
    """Numbers of some pairs of nodes.

    Attributes
    ----------
    source, target
        int32 ``[pairs]``: places of nodes, in ascending order of (source, falling score).
    columns
        Name -> float64 ``[pairs]``; the first is what the pairs were chosen by.
    """

    source: NDArray[np.int32]
    target: NDArray[np.int32]
    columns: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Partition:
    """A group of each node.

    Attributes
    ----------
    name
        Name of the property written.
    groups
        int32 ``[nodes]``: 0 is the largest group; equal sizes in the order of their first node.
    levels
        int32 ``[nodes, levels]``: the hierarchy, finest first, each numbered as `groups`, which
        is the last level. Algorithms without a hierarchy have the one level.
    """

    name: str
    groups: NDArray[np.int32]
    levels: NDArray[np.int32]


@dataclass(frozen=True)
class Scalars:
    """Numbers of the whole graph.

    Attributes
    ----------
    values
        Name -> number, or float64 ``[groups]`` where there is one of each group.
    """

    values: Mapping[str, float | NDArray[np.float64]]


Output = NodeScores | NodeVectors | Pairs | Partition | Scalars


@dataclass(frozen=True)
class Computed:
    """What an engine hands back.

    Attributes
    ----------
    output
        The values.
    exact
        False where they are estimated, sampled, or the best that a heuristic found.
    details
        How it went: iterations, convergence, modularity. Plain values.
    """

    output: Output
    exact: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AlgorithmResult:
    """An algorithm's values with all that is needed to get them again.

    Attributes
    ----------
    algorithm
        Name in the registry (`atlas.analysis.algorithms`), or of what else made a partition.
    engine
        What computed it.
    keys
        Key of each node; the arrays of `output` are in this order.
    output
        The values.
    parameters
        Every parameter that the engine uses, defaults included.
    projection
        What graph it was computed on, in plain values.
    suffix
        What is appended to the names of properties that are written: which graph it was.
    seed
        Random seed, where one is used.
    exact
        As in `Computed`.
    seconds
        Time of the computation itself.
    versions
        Of the engine.
    details
        As in `Computed`.
    """

    algorithm: str
    engine: str
    keys: Sequence[str]
    output: Output
    parameters: Mapping[str, Any] = field(default_factory=dict)
    projection: Mapping[str, Any] = field(default_factory=dict)
    suffix: str = ""
    seed: int | None = None
    exact: bool = True
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def by_key(self) -> dict[str, Any]:
        """Return the values by feature key.

        Returns
        -------
        dict
            Key -> number, group or array of the vector; of several columns, a dict of them.

        Raises
        ------
        UsageError
            The output is not one of nodes.
        """
        output = self.output
        if isinstance(output, NodeVectors):
            return dict(zip(self.keys, output.values, strict=True))
        if isinstance(output, Partition):
            return dict(zip(self.keys, output.groups.tolist(), strict=True))
        if not isinstance(output, NodeScores):
            raise UsageError(
                f"{self.algorithm} has no value of each feature.", hint="Read its `output`."
            )
        lists = {name: values.tolist() for name, values in output.columns.items()}
        if len(lists) == 1:
            return dict(zip(self.keys, *lists.values(), strict=True))
        rows = zip(*lists.values(), strict=True)
        return {
            k: dict(zip(lists, row, strict=True)) for k, row in zip(self.keys, rows, strict=True)
        }


def partition(name: str, groups: ArrayLike, levels: Sequence[ArrayLike] = ()) -> Partition:
    """Return a partition with its groups numbered by falling size.

    Parameters
    ----------
    name
        Name of the property written.
    groups
        ``[nodes]``: any labels.
    levels
        Finer levels, finest first, without the last one, which is `groups`.
    """
    last = numbered(groups)
    columns = [*(numbered(level) for level in levels), last]
    return Partition(name, last, np.stack(columns, axis=1))


def numbered(groups: ArrayLike) -> NDArray[np.int32]:
    """Return groups numbered from 0 by falling size, equal sizes by their first node."""
    _, first, inverse, size = np.unique(
        np.asarray(groups), return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((first, -size))
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    return number[inverse]


def pairs(source: NDArray[Any], target: NDArray[Any], columns: Mapping[str, NDArray[Any]]) -> Pairs:
    """Return pairs in order: by source, then falling first column, then target."""
    score = next(iter(columns.values()))
    order = np.lexsort((target, -score, source))
    return Pairs(
        source[order].astype(np.int32),
        target[order].astype(np.int32),
        {name: values[order].astype(np.float64) for name, values in columns.items()},
    )


@dataclass(frozen=True)
class Call:
    """What an engine's method is called with, beside the graph.

    Attributes
    ----------
    parameters
        Every parameter of the algorithm; also read as ``call["name"]``.
    seed
        Random seed.
    groups
        int32 ``[nodes]``: a partition to judge, if one was handed over.
    vectors
        float ``[nodes, dimension]``: vectors to compare, if some were handed over.
    """

    parameters: Mapping[str, Any]
    seed: int = 0
    groups: NDArray[np.int32] | None = None
    vectors: NDArray[np.float64] | None = None

    def __getitem__(self, name: str) -> Any:
        return self.parameters[name]

    @property
    def weighted(self) -> bool:
        """Whether weights count."""
        return bool(self.parameters.get("weighted", True))
