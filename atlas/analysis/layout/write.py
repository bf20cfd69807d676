"""Writes a map into the graph, and takes maps away."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import NotFoundError, UsageError
from atlas.graph.failures import database_errors
from atlas.graph.sessions import open_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import neo4j
    from numpy.typing import NDArray

DEFAULT_NAME = "default"
"""The map whose properties have no name: ``map_x`` and ``map_y``."""

_BATCH = 5000
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")

_RUN = "MATCH (r:Run {key: $run}) RETURN count(r) AS n"
# A map that is written also takes the place of what another run put on features that the two share.
_CLEAR = """
MATCH (f:Feature)-[:FROM_RUN]->(:Run {key: $run})
WHERE f[$x] IS NOT NULL AND ($others OR f[$owner] = $run)
SET f += $nothing
"""
_CLEAR_RECORD = "MATCH (a:AlgorithmRun {key: $key}) DETACH DELETE a"
_POINTS = """
UNWIND $rows AS row
MATCH (f:Feature {key: row.key})-[:FROM_RUN]->(:Run {key: $run})
SET f += row.properties
RETURN count(f) AS n
"""
_RECORD = """
MATCH (r:Run {key: $run})
CREATE (a:AlgorithmRun {key: $key}) SET a += $record, a.run = $run, a.created = datetime()
CREATE (a)-[:USED]->(r)
"""
_LAYOUTS = """
MATCH (a:AlgorithmRun {run: $run}) WHERE a.layout IS NOT NULL
RETURN a.layout AS name ORDER BY name
"""


def property_names(name: str = DEFAULT_NAME) -> tuple[str, str, str]:
    """Return the feature properties of a map: x, y and the key of the run that placed it.

    ``map_x``, ``map_y`` and ``map_run`` of the default map, ``map_NAME_x`` and so on of others.

    Raises
    ------
    UsageError
        The name is not of small letters, digits and underscores, beginning with a letter.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a map.",
            hint="Use small letters, digits and underscores, a letter first.",
        )
    prefix = "map" if name == DEFAULT_NAME else f"map_{name}"
    return f"{prefix}_x", f"{prefix}_y", f"{prefix}_run"


def algorithm_key(run: str, name: str = DEFAULT_NAME) -> str:
    """Return the key of the `AlgorithmRun` of a map: ``{run}/layout/{name}``."""
    return f"{run}/layout/{name}"


def write_layout(
    driver: neo4j.Driver,
    run: str,
    *,
    keys: Sequence[str],
    points: NDArray[np.floating],
    record: Mapping[str, Any],
    name: str = DEFAULT_NAME,
    database: str | None = None,
) -> None:
    """Write a map in one transaction, in place of the run's earlier map of that name.

    Written are the properties of `property_names` on the features, and a node ``AlgorithmRun``
    of `algorithm_key` with ``USED`` to the run. Features that are not in `keys` lose theirs.

    Parameters
    ----------
    driver, database
        Where to.
    run
        Key of a loaded run.
    keys
        Features of the run.
    points
        ``[features, 2]``, finite.
    record
        Properties of the ``AlgorithmRun``: algorithm, parameters, seed and so on; a mapping
        becomes JSON text.
    name
        Name of the map.

    Raises
    ------
    UsageError
        The name is unfit, a key is twice, or points and keys do not match or are not finite.
    NotFoundError
        There is no such run, or a key is none of its features; nothing was written.
    DatabaseError
        The database fails; nothing was written.
    """
    rows = _rows(run, keys, points, name=name)
    given = {key: _plain(value) for key, value in record.items()}
    given |= {"layout": name, "property": property_names(name)[0].removesuffix("_x")}

    def work(tx: neo4j.ManagedTransaction) -> None:
        if not tx.run(_RUN, run=run).single(strict=True)["n"]:
            raise NotFoundError(
                f"The database has no run {run!r}.", hint="Load its build with `atlas load`."
            )
        _clear(tx, run, name, others=True)
        found = 0
        for batch in _batches(rows):
            found += tx.run(_POINTS, rows=batch, run=run).single(strict=True)["n"]
        if found < len(rows):
            raise NotFoundError(
                f"{len(rows) - found} of the {len(rows)} features to place are not of {run}.",
                hint="Nothing was written; take the features of the run.",
            )
        tx.run(_RECORD, run=run, key=algorithm_key(run, name), record=given).consume()

    what = f"Writing the map {name} of {run}"
    with database_errors(what), open_session(driver, database) as session:
        session.execute_write(work)


def clear_layouts(driver: neo4j.Driver, run: str, *, database: str | None = None) -> list[str]:
    """Take away all maps of a run, each in one transaction; return their names.

    What another run put on features that the two share stays.

    Raises
    ------
    DatabaseError
        The database fails.
    """
    with database_errors(f"Removing the maps of {run}"), open_session(driver, database) as session:
        names = session.execute_read(
            lambda tx: [str(row["name"]) for row in tx.run(_LAYOUTS, run=run)]
        )
        for name in names:
            session.execute_write(_clear, run, name, others=False)
    return names


def _clear(tx: neo4j.ManagedTransaction, run: str, name: str, *, others: bool) -> None:
    """Take a map away, and with `others` what other runs put in its place."""
    x, y, owner = property_names(name)
    nothing = dict.fromkeys((x, y, owner))
    tx.run(_CLEAR, run=run, x=x, owner=owner, others=others, nothing=nothing).consume()
    tx.run(_CLEAR_RECORD, key=algorithm_key(run, name)).consume()


def _rows(
    run: str, keys: Sequence[str], points: NDArray[np.floating], *, name: str
) -> list[dict[str, Any]]:
    x, y, owner = property_names(name)
    if points.shape != (len(keys), 2) or not np.isfinite(points).all():
        raise UsageError(
            f"{len(keys)} features need as many finite points, not an array {points.shape}."
        )
    if len(set(keys)) < len(keys):
        raise UsageError("A feature is twice on the map.")
    return [
        {"key": key, "properties": {x: across, y: up, owner: run}}
        for key, (across, up) in zip(keys, points.tolist(), strict=True)
    ]


def _plain(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else value


def _batches(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]
