"""The Python interface of the atlas: one object, a method for each query and each command."""

from __future__ import annotations

from atlas.api.analysis import Analysis
from atlas.api.exchange import Exchange
from atlas.api.maps import Maps
from atlas.api.queries import Queries
from atlas.api.runs import Runs

__all__ = ["Atlas"]


class Atlas(Queries, Runs, Analysis, Maps, Exchange):
    """An open atlas. Use it in a ``with`` block, or call `close`.

    >>> with Atlas.connect() as atlas:  # doctest: +SKIP
    ...     atlas.neighbours("heart", limit=5)

    Features are named by key, by ``sae/index``, by index where there is one SAE, or by a label or
    top token that only one feature has.

    Parameters
    ----------
    driver
        An open driver of the package `neo4j`; closed with the atlas.
    database
        Name of the database; None is the server's default.
    server
        The managed server that the driver is of, if it is one; only then may a large build be
        loaded in bulk.
    """
