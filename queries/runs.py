"""The runs of a database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from queries.catalogue import run as _run

if TYPE_CHECKING:
    from atlas.graph.reader import Reader, Row

# The loader stores these as JSON text, since a property of a node holds no map.
_AS_JSON = ("versions", "parameters", "counts")


def runs(reader: Reader, *, edges: bool = True) -> list[Row]:
    """Return the runs, oldest first.

    Parameters
    ----------
    reader
        Where to read.
    edges
        Count the edges by kind, which reads all of them.

    Returns
    -------
    list of dict
        The columns of ``runs.cypher``.
    """
    return _run(reader, "runs", edges=edges)


def run(reader: Reader, run: str) -> Row:
    """Return everything about one run.

    Parameters
    ----------
    reader
        Where to read.
    run
        Its key.

    Returns
    -------
    dict
        The columns of ``run.cypher``: provenance, counts and the algorithms that ran on it.

    Raises
    ------
    NotFoundError
        There is no such run.
    """
    row = _run(reader, "run", run=run)[0]
    return {
        name: json.loads(value) if name in _AS_JSON and value is not None else value
        for name, value in row.items()
    }
