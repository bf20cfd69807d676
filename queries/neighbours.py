"""What fires together with a feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from queries.catalogue import run as _run

if TYPE_CHECKING:
    from atlas.graph.reader import Reader, Row


def neighbours(
    reader: Reader,
    feature: str | int,
    *,
    limit: int = 20,
    mutual: bool = False,
    kind: str = "token",
    run: str | None = None,
) -> list[Row]:
    """Return the features that fire with a feature, or instead of it, strongest first.

    Parameters
    ----------
    reader
        Where to read.
    feature
        Its key, ``sae/index``, index, label or top token.
    limit
        Most rows.
    mutual
        Only edges among the strongest of both features.
    kind
        ``token``, ``topic`` or ``exclusive``.
    run
        Run that the edges are of; by default the run of the feature's numbers.

    Returns
    -------
    list of dict
        The columns of ``neighbours.cypher``; edges of both directions.

    Raises
    ------
    NotFoundError
        There is no such feature or run.
    UsageError
        The name is ambiguous.
    """
    return _run(
        reader, "neighbours", feature=feature, limit=limit, mutual=mutual, kind=kind, run=run
    )


def shared_neighbours(
    reader: Reader,
    a: str | int,
    b: str | int,
    *,
    limit: int = 20,
    kind: str = "token",
    run: str | None = None,
) -> list[Row]:
    """Return the features that fire together with both of two features.

    Parameters
    ----------
    reader
        Where to read.
    a, b
        The two features, named as in `neighbours`.
    limit
        Most rows.
    kind
        Kind of co-occurrence.
    run
        Run that the edges are of; by default the run of the first feature's numbers.

    Returns
    -------
    list of dict
        The columns of ``shared_neighbours.cypher``, by the weaker of the two edges' phi.

    Raises
    ------
    NotFoundError
        There is no such feature or run.
    UsageError
        A name is ambiguous.
    """
    return _run(reader, "shared_neighbours", a=a, b=b, limit=limit, kind=kind, run=run)
