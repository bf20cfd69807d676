"""Communities and their members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from queries.catalogue import run as _run

if TYPE_CHECKING:
    from atlas.graph.reader import Reader, Row


def communities(
    reader: Reader, *, limit: int = 50, min_size: int = 3, run: str | None = None
) -> list[Row]:
    """Return the communities, largest first.

    Parameters
    ----------
    reader
        Where to read.
    limit
        Most rows.
    min_size
        Smallest size.
    run
        Only communities of this run.

    Returns
    -------
    list of dict
        The columns of ``communities.cypher``.
    """
    return _run(reader, "communities", limit=limit, min_size=min_size, run=run)


def community_members(reader: Reader, community: str | int, *, limit: int = 50) -> list[Row]:
    """Return the features of a community, most central first.

    Parameters
    ----------
    reader
        Where to read.
    community
        Its key; its number or label where only one community has it.
    limit
        Most rows.

    Returns
    -------
    list of dict
        The columns of ``community_members.cypher``.

    Raises
    ------
    NotFoundError
        There is no such community.
    UsageError
        Several communities have that number or label.
    """
    return _run(reader, "community_members", community=community, limit=limit)
