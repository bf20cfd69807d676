"""Features by words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from queries.catalogue import run as _run

if TYPE_CHECKING:
    from atlas.graph.reader import Reader, Row


def search(
    reader: Reader, text: str, *, where: str = "any", limit: int = 20, run: str | None = None
) -> list[Row]:
    """Return the features whose label, tokens or contexts have the words of a text.

    Parameters
    ----------
    reader
        Where to read.
    text
        Any text; special characters have no meaning.
    where
        ``label`` (label, top tokens and context words), ``token`` (tokens it fires on),
        ``context`` (texts where it fires most) or ``any``.
    limit
        Most rows.
    run
        Only features that this run has.

    Returns
    -------
    list of dict
        The columns of ``search.cypher``, most relevant first.

    Raises
    ------
    UsageError
        The text has no words.
    """
    return _run(reader, "search", text=text, where=where, limit=limit, run=run)
