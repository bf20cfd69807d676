"""Engines that compute the algorithms of `atlas.analysis.algorithms` on a graph in memory.

All of them give the same quantity on the same scale, that of Graph Data Science.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from atlas.analysis.outputs import Call, Partition
from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from atlas.analysis.network import Network

MODULES = {
    "gds": "atlas.analysis.engines.gds",
    "igraph": "atlas.analysis.engines.igraph_engine",
    "networkit": "atlas.analysis.engines.networkit_engine",
    "networkx": "atlas.analysis.engines.networkx_engine",
    "scipy": "atlas.analysis.links",
}
"""Engine -> module whose `METHODS` are the algorithms that it has."""


def methods(engine: str) -> Mapping[str, Any]:
    """Return the methods of an engine: algorithm -> function of a graph and a `Call`.

    The graph is a `GdsGraph` for ``gds``, and a `Network` for the others.
    """
    found: Mapping[str, Any] = import_module(MODULES[engine]).METHODS
    return found


def version(engine: str) -> dict[str, str]:
    """Return the version of an engine that works in this process, by its package."""
    return {f"{engine}_version": metadata.version(engine)}


def judged(available: Mapping[str, Any], network: Network, call: Call) -> NDArray[np.int32]:
    """Make the partition that a measure is to judge, with the same engine.

    Parameters
    ----------
    available
        Methods of the engine.
    network
        The graph.
    call
        The measure's; its parameter `of` names the partition.

    Raises
    ------
    UsageError
        The engine has no such partition.
    """
    from atlas.analysis.algorithms import algorithm

    of = call["of"]
    if of not in available:
        raise UsageError(
            f"This engine has no {of}.",
            hint=f"Take one of {', '.join(n for n in available if n in _JUDGED)} as `of`.",
        )
    parameters = algorithm(of).fill({})
    if "weighted" in parameters:
        parameters["weighted"] = call.weighted
    output = available[of](network, Call(parameters, call.seed)).output
    if not isinstance(output, Partition):
        raise UsageError(f"{of} makes no partition.", hint="Name an algorithm that makes one.")
    return output.groups


_JUDGED = ("leiden", "louvain", "label_propagation", "wcc")
