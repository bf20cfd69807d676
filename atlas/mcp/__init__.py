"""The atlas as a server of the Model Context Protocol (MCP), for agents.

Each query of the catalogue is a tool, made from the header of its file: a new query needs nothing
here. Beside them stand `cypher`, which only reads, and `graph_schema`; resources that explain the
graph and its figures; and prompts. Only `atlas.mcp.server` imports the package `mcp`, which the
extra of that name brings.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from atlas.errors import UsageError
from atlas.mcp.answers import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from atlas.api import Atlas

__all__ = ["Limits", "serve"]


def serve(connect: Callable[[], Atlas], limits: Limits, *, groups: Collection[str] = ()) -> None:
    """Serve the protocol over stdin and stdout until stdin ends.

    Nothing else may write to stdout meanwhile.

    Parameters
    ----------
    connect
        Opens the atlas. Called at once, and where the database is not there yet, again at the
        next call of a tool: a client often starts its servers before the database.
    limits
        What one answer may cost.
    groups
        Offer only the queries of these groups (see `queries.header.GROUPS`); all if empty. Models
        choose better among few tools, and each takes room of their context.

    Raises
    ------
    UsageError
        The extra `mcp` is not installed, there is no such group, or the connection is named
        wrongly.
    """
    if find_spec("mcp") is None:
        raise UsageError(
            "The package mcp is not installed.",
            hint="Install it with `pip install 'sae-feature-atlas[mcp]'`.",
        )
    from atlas.mcp.server import run

    run(connect, limits, groups=groups)
