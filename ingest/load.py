"""Loads a build folder into Neo4j, in batches, so that it can be stopped and run again.

Every node and relationship has a key made from the build alone and is merged on it. Loading a
build twice, or again after a crash, gives the same graph as loading it once.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atlas.errors import DatabaseError
from atlas.graph.failures import database_errors
from atlas.graph.migrate import migrate
from atlas.graph.sessions import open_session, write
from atlas.progress import Reporter, SilentReporter
from ingest import statements
from ingest.build_folder import BuildFolder, open_build
from ingest.clear import clear_run
from ingest.verify import verify_counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import neo4j

BATCH_ROWS = 5000
"""Rows a transaction; 5 to 20 thousand load equally fast and smaller ones need less heap."""

Row = dict[str, Any]


@dataclass(frozen=True)
class LoadSummary:
    """What a load did.

    Attributes
    ----------
    run
        Key of the run.
    loaded
        False if the run was there already with the same checksums and nothing was written.
    rows
        Rows of each table.
    seconds
        Wall time.
    """

    run: str
    loaded: bool
    rows: Mapping[str, int]
    seconds: float


def load(
    driver: neo4j.Driver,
    path: str | Path,
    *,
    database: str | None = None,
    force: bool = False,
    batch_rows: int = BATCH_ROWS,
    reporter: Reporter | None = None,
) -> LoadSummary:
    """Load the build folder `path` into the graph.

    The files are checked in full before anything is written, and rows are counted in the
    database at the end. A run that is loaded already with the same checksums is left alone. A
    load that was stopped at any moment is finished by calling this again. Other runs stay.

    Parameters
    ----------
    driver
        An open driver with the right to write and to create indexes.
    path
        Folder made by `atlas build`.
    database
        Name of the database; None is the server's default.
    force
        Load again what is loaded; if the run is there with other contents, remove those first.
    batch_rows
        Rows a transaction.
    reporter
        Is told of each table, with progress in rows.

    Returns
    -------
    LoadSummary
        What was done.

    Raises
    ------
    ArtifactError
        The folder or one of its files is not in order; nothing was written.
    DatabaseError
        The database fails, holds the run with other contents, or has other counts afterwards.
    """
    began = time.monotonic()
    reporter = reporter or SilentReporter()
    build = open_build(path, verify=False)
    rows = {table: build.rows(table) for table in build.tables}
    with database_errors(f"Loading {build.path}"):
        migrate(driver, database, reporter=reporter)
        state, digest = _state(driver, database, build.run_id)
        if state == "loaded" and digest == build.digest and not force:
            reporter.note(f"{build.run_id} is loaded already")
            return LoadSummary(build.run_id, False, rows, time.monotonic() - began)
        build = open_build(path)
        if digest not in (None, build.digest):
            _replace(driver, database, build, force=force)
        writer = _Writer(driver, database, build, batch_rows, reporter)
        writer.write_all()
        verify_counts(driver, database, build)
        writer.run(statements.LOADED, run=build.run_id)
    return LoadSummary(build.run_id, True, rows, time.monotonic() - began)


def _state(driver: neo4j.Driver, database: str | None, run: str) -> tuple[str | None, str | None]:
    def work(tx: neo4j.ManagedTransaction) -> tuple[str | None, str | None]:
        row = tx.run(
            "OPTIONAL MATCH (r:Run {key: $run}) RETURN r.state AS state, r.digest AS digest",
            run=run,
        ).single(strict=True)
        return row["state"], row["digest"]

    with open_session(driver, database) as session:
        return session.execute_read(work)


def _replace(
    driver: neo4j.Driver, database: str | None, build: BuildFolder, *, force: bool
) -> None:
    if not force:
        raise DatabaseError(
            f"The database holds a run {build.run_id} with other contents than {build.path}.",
            hint="Load with --force to replace it, or give the build another name.",
        )
    clear_run(driver, build.run_id, database=database)


@dataclass(frozen=True)
class _Writer:
    """Writes the tables of one build, one after the other."""

    driver: neo4j.Driver
    database: str | None
    build: BuildFolder
    batch_rows: int
    reporter: Reporter

    def run(self, statement: str, **parameters: Any) -> None:
        """Run one statement in a transaction of its own, retried on transient errors."""
        write(self.driver, self.database, statement, **parameters)

    def write_all(self) -> None:
        """Write the run's own nodes, then every table after those that it refers to."""
        self.run(statements.RUN, **_run_parameters(self.build))
        self.table("documents", statements.DOCUMENTS)
        self.table("tokens", statements.TOKENS)
        self.table("features", statements.FEATURES, self.feature)
        self.table("contexts", statements.CONTEXTS, _context)
        for table, statement in statements.FEATURE_PAIRS.items():
            self.table(table, statement, self.pair)
        self.table("firings", statements.FIRINGS, _firing)
        self.feature_tokens()

    def table(self, table: str, statement: str, shape: Callable[[Row], Row] | None = None) -> None:
        """Write one table, a batch a transaction, and report progress in rows."""
        for batch in self.batches(table):
            rows = [shape(row) for row in batch] if shape else batch
            self.run(statement, rows=rows, run=self.build.run_id)

    def feature_tokens(self) -> None:
        """Write the table `feature_tokens`, whose rows are of three relationship types."""
        for batch in self.batches("feature_tokens"):
            for relation, statement in statements.FEATURE_TOKENS.items():
                rows = [_feature_token(row) for row in batch if row["relation"] == relation]
                if rows:
                    self.run(statement, rows=rows, run=self.build.run_id)

    def batches(self, table: str) -> Iterator[Sequence[Row]]:
        """Yield the batches of a table, advancing its progress after each."""
        total = self.build.rows(table)
        if not total:
            return
        done = 0
        with self.reporter.step(f"loading {table}", total) as advance:
            for batch in self.build.batches(table, self.batch_rows):
                yield batch
                done += len(batch)
                advance(done)

    def feature(self, row: Row) -> Row:
        """Split a row of `features`; the node remembers the run that its numbers are of."""
        sae = row.pop("sae")
        return {"sae": sae, "properties": {**row, "run": self.build.run_id}}

    def pair(self, row: Row) -> Row:
        """Split a row that joins two features and add its run and key."""
        source, target = row.pop("source"), row.pop("target")
        run = self.build.run_id
        sae, low = source.rsplit("/", 1)
        other, high = target.rsplit("/", 1)
        end = high if other == sae else target
        kind = row.get("kind", "absorption" if row.get("absorption") else "")
        key = f"{run}|{sae}|{low}|{end}|{kind}"
        return {"source": source, "target": target, "properties": {**row, "key": key, "run": run}}


def _context(row: Row) -> Row:
    return {"document": row.pop("document"), "properties": row}


def _feature_token(row: Row) -> Row:
    properties = {name: row[name] for name in ("rank", "score", "n")}
    return {"feature": row["feature"], "token": row["token"], "properties": properties}


def _firing(row: Row) -> Row:
    return {"feature": row.pop("feature"), "context": row.pop("context"), "properties": row}


def _run_parameters(build: BuildFolder) -> Row:
    """Return the properties of the nodes Model, Sae and Run; nested values become JSON text."""
    run, corpus = build.run, build.run["corpus"]
    node = {
        "key": build.run_id,
        "digest": build.digest,
        "model": run["model"]["key"],
        "corpus": corpus.get("name"),
        "documents": corpus.get("documents"),
        "positions": corpus.get("positions"),
        "corpus_sha256": corpus.get("sha256"),
        **{name: run.get(name) for name in ("name", "created", "recipe_sha256", "atlas_version")},
        **{name: _json(run.get(name) or {}) for name in ("parameters", "versions", "counts")},
    }
    return {
        "run": node,
        "model": _scalars(run["model"]),
        "saes": [_scalars(sae) for sae in run["saes"]],
    }


def _scalars(values: Mapping[str, Any]) -> Row:
    return {
        name: _json(value) if isinstance(value, dict | list) else value
        for name, value in values.items()
    }


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
