"""Engines that compute the algorithms of `atlas.analysis.algorithms` on a graph in memory.

All of them give the same quantity on the same scale, that of Graph Data Science.
"""

from __future__ import annotations

from importlib import import_module, metadata
from types import MappingProxyType
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


_POWER = ("max_iterations", "tolerance")
IGNORED: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "igraph": {
            "pagerank": _POWER,
            "personalised_pagerank": _POWER,
            "eigenvector": _POWER,
            "hits": ("iterations",),
            "leiden": ("tolerance", "max_levels"),
            "louvain": ("tolerance", "max_levels"),
            "label_propagation": ("max_iterations",),
        },
        "networkit": {
            "pagerank": ("max_iterations",),
            "eigenvector": ("max_iterations",),
            "leiden": ("theta", "tolerance"),
            "louvain": ("tolerance", "max_levels"),
        },
        "networkx": {"hits": ("iterations",), "label_propagation": ("max_iterations",)},
    }
)
"""Engine -> algorithm -> parameters that it has no use for; they are not recorded."""


def used(engine: str, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return those parameters of an algorithm that an engine uses."""
    without = IGNORED.get(engine, {}).get(name, ())
    return {key: value for key, value in parameters.items() if key not in without}


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
    of = call["of"]
    if of not in available:
        raise UsageError(
            f"This engine has no {of}.",
            hint=f"Take one of {', '.join(n for n in available if n in _JUDGED)} as `of`.",
        )
    output = available[of](network, judged_call(call)).output
    if not isinstance(output, Partition):
        raise UsageError(f"{of} makes no partition.", hint="Name an algorithm that makes one.")
    return output.groups


def judged_call(call: Call) -> Call:
    """Return the call of the partition that a measure is to judge, with the registry's defaults.

    Parameters
    ----------
    call
        The measure's; its parameter `of` names the partition.
    """
    from atlas.analysis.algorithms import algorithm

    parameters = algorithm(call["of"]).fill({})
    if "weighted" in parameters:
        parameters["weighted"] = call.weighted
    return Call(parameters, call.seed)


_JUDGED = ("leiden", "louvain", "label_propagation", "wcc")
