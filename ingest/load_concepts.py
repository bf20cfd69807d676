"""Puts the concepts that were added to a build into the graph, where its run is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.errors import DatabaseError
from atlas.graph.exclusive import LOAD_LOCK, exclusive
from atlas.graph.failures import database_errors
from atlas.graph.sessions import open_session, write
from atlas.progress import Reporter, SilentReporter
from ingest.add_concepts import REPLACED
from ingest.build_folder import open_build, without_nan
from ingest.bulk.mend import write_rows
from ingest.graph_map import elements_of
from ingest.graph_rows import graph_rows
from ingest.incremental import run_state
from ingest.load import run_parameters

if TYPE_CHECKING:
    from pathlib import Path

    import neo4j

    from ingest.build_folder import BuildFolder

_PIECE = 5_000
_DELETED = 10_000
_CLEAR = """
MATCH ()-[r:ABOUT {run: $run}]->() WITH r LIMIT $batch DELETE r
"""
_RECORD = "MATCH (r:Run {key: $run.key}) SET r += $run"


def load_concepts(
    driver: neo4j.Driver,
    folder: str | Path,
    *,
    database: str | None = None,
    reporter: Reporter | None = None,
) -> bool:
    """Replace a run's `ABOUT`, and merge its concepts, by those of its build.

    What the run says of itself (its digest among it) is written last: after a kill the run is not
    that of the build, and the next call does it all again. Nothing else of the graph changes.

    Parameters
    ----------
    driver
        An open driver with the right to write.
    folder
        A build, after `ingest.add_concepts.add_concepts`.
    database
        Name of the database; None is the server's default.
    reporter
        Told of the progress.

    Returns
    -------
    bool
        Whether the graph was changed: False where the run is not loaded, or has these concepts.

    Raises
    ------
    DatabaseError
        The run is loaded from another build or not to its end, another client loads a run, or the
        database fails.
    ArtifactError
        The build is not in order.
    """
    build, told = open_build(folder, verify=False), reporter or SilentReporter()
    with (
        database_errors(f"Adding concepts to {build.run_id}"),
        exclusive(driver, database, name=LOAD_LOCK, waiting=lambda: _refuse(build.run_id)),
    ):
        if not _is_due(driver, database, build):
            return False
        open_build(folder)
        _clear(driver, database, build.run_id)
        for table in ("concepts", "about"):
            _write_table(driver, database, build, table, reporter=told)
        write(driver, database, _RECORD, run=run_parameters(build)["run"])
    return True


def _is_due(driver: neo4j.Driver, database: str | None, build: BuildFolder) -> bool:
    """Return whether the database has the run, and not these concepts."""
    state = run_state(driver, database, build.run_id)
    if not state["known"] or state["digest"] == build.digest:
        return False
    if state["state"] != "loaded" or state["digest"] not in build.run.get(REPLACED, ()):
        raise DatabaseError(
            f"The database holds {build.run_id} with other contents than {build.path}, or in part.",
            hint=f"Load it again with `atlas load {build.path} --force`.",
        )
    return True


def _refuse(run: str) -> None:
    raise DatabaseError(
        f"Concepts cannot be added to {run}: another client loads a run into this database.",
        hint="Wait until that has ended, and try again.",
    )


def _clear(driver: neo4j.Driver, database: str | None, run: str) -> None:
    def work(tx: neo4j.ManagedTransaction) -> int:
        return tx.run(_CLEAR, run=run, batch=_DELETED).consume().counters.relationships_deleted

    with open_session(driver, database) as session:
        while session.execute_write(work):
            pass


def _write_table(
    driver: neo4j.Driver,
    database: str | None,
    build: BuildFolder,
    table: str,
    *,
    reporter: Reporter,
) -> None:
    [element] = elements_of(table)
    done = 0
    with reporter.step(f"loading {table}", build.rows(table)) as advance:
        for piece in build.pieces(table, _PIECE):
            rows = graph_rows(element, without_nan(piece), run=build.run_id)
            write_rows(driver, database, element, rows, run=build.run_id)
            done += piece.num_rows
            advance(done)
