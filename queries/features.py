"""Single features and the most central ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from queries.catalogue import run as _run

if TYPE_CHECKING:
    from atlas.graph.reader import Reader, Row


def feature(reader: Reader, feature: str | int, *, contexts: int = 5, tokens: int = 10) -> Row:
    """Return the card of a feature.

    Parameters
    ----------
    reader
        Where to read.
    feature
        Its key, ``sae/index``, index, label or top token (see `queries.resolve`).
    contexts
        Strongest contexts to show, 0 to 100.
    tokens
        Tokens of each sort to show, 0 to 100.

    Returns
    -------
    dict
        The columns of ``feature.cypher``: counts, activation moments, logit-weight moments,
        tokens, contexts, community, scores and provenance.

    Raises
    ------
    NotFoundError
        There is no such feature.
    UsageError
        The name is ambiguous.
    """
    return _run(reader, "feature", feature=feature, contexts=contexts, tokens=tokens)[0]


def hubs(
    reader: Reader,
    *,
    by: str = "pagerank",
    limit: int = 20,
    dense: bool = True,
    run: str | None = None,
) -> list[Row]:
    """Return the features with the highest centrality.

    Parameters
    ----------
    reader
        Where to read.
    by
        ``pagerank``, ``degree``, ``strength``, ``betweenness``, ``closeness`` or ``eigenvector``.
    limit
        Most rows.
    dense
        Also features that fire on more than a tenth of the positions.
    run
        Only features scored by this run's analysis.

    Returns
    -------
    list of dict
        The columns of ``hubs.cypher``, highest score first.
    """
    return _run(reader, "hubs", by=by, limit=limit, dense=dense, run=run)
