"""Chains of features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from queries.catalogue import run as _run

if TYPE_CHECKING:
    from atlas.graph.reader import Reader, Row


def shortest_path(
    reader: Reader,
    a: str | int,
    b: str | int,
    *,
    max_hops: int = 6,
    min_phi: float = 0.0,
    mutual: bool = True,
    kind: str = "token",
    run: str | None = None,
) -> list[Row]:
    """Return a shortest chain from one feature to another, each firing together with the next.

    Of several shortest chains it is the one whose weakest edge has the largest phi.

    Parameters
    ----------
    reader
        Where to read.
    a, b
        The two features: key, ``sae/index``, index, label or top token.
    max_hops
        Longest chain, in edges, 1 to 8.
    min_phi
        Weakest edge to use.
    mutual
        Only edges among the strongest of both features.
    kind
        Kind of co-occurrence.
    run
        Run that the edges are of; by default the run of the first feature's numbers.

    Returns
    -------
    list of dict
        The columns of ``shortest_path.cypher``, one row a feature; empty if there is no chain, or
        if both names are the same feature.

    Raises
    ------
    NotFoundError
        There is no such feature or run.
    UsageError
        A name is ambiguous.
    """
    return _run(
        reader,
        "shortest_path",
        a=a,
        b=b,
        max_hops=max_hops,
        min_phi=min_phi,
        mutual=mutual,
        kind=kind,
        run=run,
    )
