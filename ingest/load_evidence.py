"""Loads what a follow-up found beside the builds whose features it is about."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.errors import DatabaseError
from atlas.graph.exclusive import LOAD_LOCK, exclusive
from atlas.graph.failures import database_errors
from atlas.graph.migrate import migrate
from atlas.graph.reader import DriverReader
from atlas.graph.sessions import open_session, write
from atlas.graph.values import as_json
from atlas.progress import Reporter, SilentReporter
from ingest import statements
from ingest.build_folder import files_digest
from ingest.evidence_rows import (
    COUNTS,
    REMOVE,
    RUN,
    STATEMENTS,
    graph_rows,
    named_features,
    prompt_set,
    without_saes,
)
from ingest.graph_checks import check_weights, missing_features, missing_saes, refuse_missing
from ingest.load_attribution import WAITING
from queries.followups.evidence import open_evidence, read_record

if TYPE_CHECKING:
    import neo4j

    from ingest.load import LoadSummary
    from queries.followups.evidence import Evidence

KIND = "intervention"
"""Property `kind` of the Run."""

_BATCH_ROWS = 5000
_STATE = "OPTIONAL MATCH (r:Run {key: $run}) RETURN r.state AS state, r.digest AS digest"


def load_evidence(
    driver: neo4j.Driver,
    path: str | Path,
    *,
    database: str | None = None,
    force: bool = False,
    reporter: Reporter | None = None,
) -> LoadSummary:
    """Load the folder of a follow-up into a graph that has its features.

    Nothing is written unless the files are whole and the graph has every feature that was
    intervened on, of SAEs of the same weights. Of a follow-up on several SAEs, what is of those
    that the graph does not have is left out; so are changes of features that it does not have.
    Notes say what. A follow-up that is loaded already is left alone.

    Parameters
    ----------
    driver
        An open driver with the right to write and to create indexes.
    path
        Folder of the follow-up.
    database
        Name of the database; None is the server's default.
    force
        Load again what is loaded; other contents of the same run are removed first.
    reporter
        Is told of each part, with progress in rows.

    Returns
    -------
    LoadSummary

    Raises
    ------
    ArtifactError
        The folder is not in order.
    DatabaseError
        The database lacks a feature, has other weights, holds the run with other contents, has
        other counts afterwards, or fails.
    """
    from ingest.load import LoadSummary

    began, folder = time.monotonic(), Path(path).expanduser()
    told = reporter or SilentReporter()
    found = open_evidence(folder)
    digest = files_digest(read_record(folder)["files"])
    with database_errors(f"Loading {folder}"):
        migrate(driver, database, reporter=told)
        with exclusive(driver, database, name=LOAD_LOCK, waiting=lambda: told.note(WAITING)):
            reader = DriverReader(driver, database)
            state = reader.read(_STATE, {"run": found.id})[0]
            if state["state"] == "loaded" and state["digest"] == digest and not force:
                told.note(f"{found.id} is loaded already")
                counts = {name: table.num_rows for name, table in found.tables.items()}
                return LoadSummary(found.id, False, counts, time.monotonic() - began)
            check_weights(reader, found.identity["saes"], path=folder, all_here=False)
            here = _of_graph(reader, found, told)
            refuse_missing(reader, named_features(here.tables), path=folder)
            _replace(driver, database, state["digest"], found=found, digest=digest, force=force)
            rows = _known(reader, graph_rows(here), told)
            _write(driver, database, found, rows=rows, digest=digest, reporter=told)
            _verify(reader, found.id, rows)
            write(driver, database, statements.LOADED, run=found.id)
    counts = {name: len(some) for name, some in rows.items()}
    return LoadSummary(found.id, True, counts, time.monotonic() - began)


def _of_graph(reader: DriverReader, found: Evidence, told: Reporter) -> Evidence:
    """Leave out what is of SAEs that the graph does not have, unless it has none of them."""
    saes = found.identity["saes"]
    missing = missing_saes(reader, saes)
    if not missing or len(missing) == len(saes):
        return found
    told.note(
        f"what is of {', '.join(missing)} is left out: the graph does not have it. Load a build "
        "of it, then this again with --force"
    )
    return replace(found, tables=without_saes(found.tables, missing))


def _known(
    reader: DriverReader, rows: dict[str, list[dict[str, Any]]], told: Reporter
) -> dict[str, list[dict[str, Any]]]:
    """Leave out changes of features that the graph does not have."""
    missing = set(missing_features(reader, [row["target"] for row in rows["affects"]]))
    if missing:
        before = len(rows["affects"])
        rows["affects"] = [row for row in rows["affects"] if row["target"] not in missing]
        told.note(
            f"{before - len(rows['affects'])} changes of {len(missing)} features that the graph "
            "does not have are left out; load a build of their SAE, then this again with --force"
        )
    return rows


def _replace(
    driver: neo4j.Driver,
    database: str | None,
    stored: str | None,
    *,
    found: Evidence,
    digest: str,
    force: bool,
) -> None:
    if stored is None or (stored == digest and not force):
        return
    if not force:
        raise DatabaseError(
            f"The database holds {found.id} with other contents.",
            hint="Load with --force to replace it.",
        )
    with open_session(driver, database) as session:
        for text in REMOVE:
            session.run(text, run=found.id).consume()


def _write(
    driver: neo4j.Driver,
    database: str | None,
    found: Evidence,
    *,
    rows: dict[str, list[dict[str, Any]]],
    digest: str,
    reporter: Reporter,
) -> None:
    run = {
        "key": found.id,
        "kind": KIND,
        "name": found.kind,
        "digest": digest,
        "created": found.created,
        "model": found.identity["model"]["key"],
        "saes": [sae["key"] for sae in found.identity["saes"]],
        "notes": list(found.notes),
        "parameters": as_json(
            {"request": found.request, "prompts": list(found.prompts), **found.identity}
        ),
        "versions": as_json(found.versions),
        "counts": as_json({name: len(some) for name, some in rows.items()}),
    }
    write(driver, database, RUN, run=run, prompt_set=prompt_set(found))
    total = sum(map(len, rows.values()))
    with reporter.step(f"loading {found.id} (rows)", total) as advance:
        done = 0
        for name, text in STATEMENTS.items():
            for start in range(0, len(rows[name]), _BATCH_ROWS):
                some = rows[name][start : start + _BATCH_ROWS]
                write(driver, database, text, rows=some, run=found.id)
                done += len(some)
                advance(done)


def _verify(reader: DriverReader, run: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    for name, number in reader.read(COUNTS, {"run": run})[0].items():
        if number != len(rows[name]):
            raise DatabaseError(
                f"After loading {run} the database has {number} of the {len(rows[name])} rows of"
                f" {name}.",
                hint="Load it again with --force.",
            )
