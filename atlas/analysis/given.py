"""What an algorithm works on beside a graph: a partition to judge, vectors to compare."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.outputs import AlgorithmResult, Call, Partition
from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from atlas.graph.reader import Reader

_VECTORS = """
UNWIND $keys AS key MATCH (f:Feature {key: key}) RETURN key, f[$property] AS vector
"""


@dataclass(frozen=True)
class Given:
    """What is handed over with a graph.

    Attributes
    ----------
    groups
        For conductance and modularity: a partition to judge, of the same features.
    vectors
        For kNN and k-means: key -> vector, of every feature of the graph.
    origin
        Where a network came from, in plain values; recorded with the result.
    """

    groups: AlgorithmResult | None = None
    vectors: Mapping[str, Sequence[float]] | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)

    def wanted(self, parameters: Mapping[str, Any]) -> bool:
        """Whether arrays have to be handed over to the engine."""
        stored = parameters.get("vectors", "fastrp") != "fastrp"
        return stored or self.groups is not None or self.vectors is not None

    def call(
        self, reader: Reader, keys: Sequence[str], *, parameters: Mapping[str, Any], seed: int
    ) -> Call:
        """Return the call of an engine's method, arrays in the order of `keys`.

        Raises
        ------
        UsageError
            The partition or the vectors are not of these features.
        """
        vectors, name = self.vectors, parameters.get("vectors", "fastrp")
        if vectors is None and name != "fastrp":
            rows = reader.read(_VECTORS, {"keys": list(keys), "property": name})
            vectors = {row["key"]: row["vector"] for row in rows if row["vector"]}
        return Call(
            parameters,
            seed,
            None if self.groups is None else _groups(self.groups, keys),
            None if vectors is None else _vectors(vectors, keys, name),
        )


NOTHING = Given()
"""Nothing is handed over."""


def _groups(result: AlgorithmResult, keys: Sequence[str]) -> NDArray[np.int32]:
    if not isinstance(result.output, Partition):
        raise UsageError(
            f"{result.algorithm} makes no partition.", hint="Hand over the result of leiden."
        )
    by_key = result.by_key()
    if set(by_key) != set(keys):
        raise UsageError(
            "The partition is of other features than the graph.", hint="Make it on the same run."
        )
    return np.array([by_key[key] for key in keys], np.int32)


def _vectors(
    vectors: Mapping[str, Sequence[float]], keys: Sequence[str], name: str
) -> NDArray[np.float64]:
    lacking = [key for key in keys if key not in vectors]
    if lacking:
        raise UsageError(
            f"{len(lacking)} of {len(keys)} features have no vector {name!r}, as {lacking[0]}.",
            hint="Write one with `atlas algorithm fastrp --write`, or take vectors=fastrp.",
        )
    if len({len(vectors[key]) for key in keys}) != 1:
        raise UsageError(f"The vectors {name!r} differ in length.", hint="Name another property.")
    return np.array([vectors[key] for key in keys], np.float64)
