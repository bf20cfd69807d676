"""Writes the rows of a build over Bolt, in batches that are each written exactly once.

Two batches are under way at a time: while the server writes one, the client packs and sends the
next, which then waits at the server for the lock that the first holds (see `ingest.statements`).
More would not help: batches of one run are written one after the other.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any

from atlas.errors import DatabaseError
from atlas.graph.sessions import open_session
from atlas.schemas import file_name
from ingest import statements
from ingest.build_folder import without_nan
from ingest.columns import encode
from ingest.graph_map import elements_of, load_order
from ingest.graph_rows import graph_rows
from ingest.verify import MismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import neo4j
    import pyarrow as pa

    from atlas.progress import Reporter
    from ingest.build_folder import BuildFolder

_UNDER_WAY = 2
_BATCH_BYTES = 8 * 1024**2
_TURN_SECONDS = 0.05


@dataclass(frozen=True)
class Batch:
    """Some rows of one table, ready to be sent.

    Attributes
    ----------
    table
        Name of the table.
    start, end
        Rows of the build before and after the batch, counted over all tables in the order of
        `ingest.graph_map.load_order`.
    parts
        Columns for each element of the table, as `ingest.columns.encode` makes them.
    counts
        Rows for each element.
    """

    table: str
    start: int
    end: int
    parts: list[dict[str, Any]] = field(repr=False)
    counts: list[int]


def total_rows(build: BuildFolder) -> int:
    """Return the rows of all tables of a build."""
    return sum(build.rows(table) for table in build.tables)


def batches(
    build: BuildFolder, table: str, *, first: int, start: int, size: int
) -> Iterator[Batch]:
    """Yield the batches of a table.

    Parameters
    ----------
    build
        The build.
    table
        Name of the table.
    first
        Rows of the build before the table.
    start
        Rows of the table to leave out.
    size
        Most rows of a batch; it is less where rows are large.
    """
    begin = first + start
    for piece in build.pieces(table, size, start=start):
        for rows in _portions(piece):
            yield _batch(build, table, rows, begin)
            begin += rows.num_rows


def _portions(rows: pa.Table) -> Iterator[pa.Table]:
    """Cut rows so that none of the parts is too large for the server's memory."""
    number = max(1, -(-rows.nbytes // _BATCH_BYTES))
    size = -(-rows.num_rows // number)
    for start in range(0, rows.num_rows, size):
        yield rows.slice(start, size)


def _batch(build: BuildFolder, table: str, rows: pa.Table, start: int) -> Batch:
    finite = without_nan(rows)
    shaped = [graph_rows(element, finite, run=build.run_id) for element in elements_of(table)]
    return Batch(
        table,
        start,
        start + rows.num_rows,
        [encode(part) for part in shaped],
        [part.num_rows for part in shaped],
    )


@dataclass(frozen=True)
class Writer:
    """Writes what is left of a build whose run is being loaded.

    Attributes
    ----------
    driver, database
        Where to.
    build
        The build.
    way
        How relationships are written.
    batch_rows
        Rows of a transaction.
    reporter
        Is told of each table, with progress in rows.
    """

    driver: neo4j.Driver
    database: str | None
    build: BuildFolder
    way: statements.Way
    batch_rows: int
    reporter: Reporter
    stopped: Event = field(default_factory=Event)

    def write(self, done: int) -> None:
        """Write all rows after the first `done`.

        Raises
        ------
        DatabaseError
            The database fails, lacks a node that a row names, or does not hold the run as this
            load left it. What was acknowledged stays; the next load goes on from there.
        """
        first = 0
        for table in load_order(self.build.tables):
            rows = self.build.rows(table)
            if done < first + rows:
                self._write_table(table, first, max(0, done - first))
            first += rows

    def _write_table(self, table: str, first: int, start: int) -> None:
        made = batches(self.build, table, first=first, start=start, size=self.batch_rows)
        waiting: set[Future[None]] = set()
        with (
            self.reporter.step(f"loading {table}", self.build.rows(table)) as advance,
            ThreadPoolExecutor(_UNDER_WAY, thread_name_prefix="load") as pool,
        ):
            try:
                for number, batch in enumerate(made):
                    future = pool.submit(self._send, batch)
                    waiting.add(future)
                    # The first goes alone: it brings its statement into the server's cache.
                    room = 0 if number == 0 else _UNDER_WAY - 1
                    while len(waiting) > room:
                        finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                        for one in finished:
                            one.result()
                        advance(batch.end - first)
                for one in waiting:
                    one.result()
                advance(self.build.rows(table))
            except BaseException:
                self.stopped.set()
                raise

    def _send(self, batch: Batch) -> None:
        """Send one batch, when its turn has come, and see that it is written."""
        while not self._written(batch):
            state = self._state()
            if state["digest"] != self.build.digest or state["state"] != "loading":
                raise DatabaseError(
                    f"The run {self.build.run_id} was changed in the database while it was loaded.",
                    hint="Let one process load it at a time, then load it again.",
                )
            if state["rows"] >= batch.end:
                return  # it was written, and the acknowledgement was lost
            if self.stopped.wait(_TURN_SECONDS):
                return

    def _written(self, batch: Batch) -> bool:
        text = statements.batch(batch.table, self.way)
        parameters = {
            "run": self.build.run_id,
            "digest": self.build.digest,
            "start": batch.start,
            "end": batch.end,
            "parts": batch.parts,
        }

        def work(tx: neo4j.ManagedTransaction) -> bool:
            row = tx.run(text, parameters).single()
            if row is None:
                return False
            # Raised within the transaction, so that nothing of the batch is stored.
            self._check_counts(batch, row["written"])
            return True

        with open_session(self.driver, self.database) as session:
            return session.execute_write(work)

    def _check_counts(self, batch: Batch, written: list[int]) -> None:
        lost = sum(batch.counts) - sum(written)
        if lost:
            raise MismatchError(
                f"{lost} of the rows {batch.start} to {batch.end} of the build, in "
                f"{self.build.path / file_name(batch.table)}, name nodes that are not in the "
                "database (or that are there more than once).",
                hint=f"Run `atlas verify {self.build.run_id} --repair`.",
            )

    def _state(self) -> dict[str, Any]:
        return run_state(self.driver, self.database, self.build.run_id)


def run_state(driver: neo4j.Driver, database: str | None, run: str) -> dict[str, Any]:
    """Return how far a run is loaded: ``state``, ``digest``, ``way`` and ``rows``, or all None."""

    def work(tx: neo4j.ManagedTransaction) -> dict[str, Any]:
        return tx.run(statements.STATE, run=run).single(strict=True).data()

    with open_session(driver, database) as session:
        return session.execute_read(work)
