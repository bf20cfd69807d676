"""Finds every difference between a build and its run in the database, and mends them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from atlas.errors import ArtifactError, DatabaseError, NotFoundError
from atlas.graph.exclusive import LOAD_LOCK, exclusive
from atlas.graph.failures import database_errors
from atlas.graph.migrate import migrate, pending
from atlas.graph.reader import DriverReader
from atlas.graph.sessions import write
from atlas.paths import home_dir
from atlas.progress import Reporter, SilentReporter
from ingest import row_queries, statements
from ingest.build_folder import open_build, without_nan
from ingest.bulk.mend import write_rows
from ingest.compare import changed_rows
from ingest.graph_map import EdgeTable, elements_of, load_order
from ingest.graph_rows import graph_rows
from ingest.incremental import run_state
from ingest.load import load, run_parameters
from ingest.schema_checks import mend_schema, schema_problems
from ingest.verify import MismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import neo4j
    import pyarrow as pa

    from atlas.graph.server import ManagedServer
    from ingest.build_folder import BuildFolder
    from ingest.graph_map import Element

_PIECE = 5_000
_DELETED = 10_000


@dataclass
class Verification:
    """What was found, and whether it was mended.

    Attributes
    ----------
    run
        Key of the run.
    problems
        What differed between the database and the build, a line each; empty if all was well.
    repaired
        Whether all of that was put right and a second look found nothing.
    rows
        Rows compared, by table.
    """

    run: str
    problems: list[str] = field(default_factory=list)
    repaired: bool = False
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether the database now holds what the build does."""
        return self.repaired or not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, and ``good``."""
        return {**asdict(self), "good": self.good}


def verify(
    driver: neo4j.Driver,
    run: str,
    folder: str | Path,
    *,
    database: str | None = None,
    repair: bool = False,
    server: ManagedServer | None = None,
    reporter: Reporter | None = None,
) -> Verification:
    """Compare every row of a build with what the database has of its run.

    Found are missing constraints and indexes, a load that was not finished, and rows that are
    missing, there too often, there though no file has them, or that have another value in any
    property. What an analysis wrote is left alone.

    Parameters
    ----------
    driver
        An open driver; with `repair`, of a user who may write and create indexes.
    run
        Key of the run.
    folder
        The build folder of the run.
    database
        Name of the database; None is the server's default.
    repair
        Put right what is found: make constraints and indexes, finish a load, write rows that are
        missing or changed, and delete relationships that no file has.
    server
        The managed server that `driver` is of, as for `ingest.load.load`.
    reporter
        Is told of the progress in rows.

    Returns
    -------
    Verification
        What was found.

    Raises
    ------
    NotFoundError
        The database has no such run, and nothing is to be repaired.
    ArtifactError
        The folder is not in order or of another run: there is nothing to hold the database
        against.
    DatabaseError
        The database fails, is of a newer atlas, or holds the run with other contents than the
        folder.
    """
    told = reporter or SilentReporter()
    build = open_build(folder)
    if build.run_id != run:
        raise ArtifactError(
            f"{build.path} is the build of {build.run_id}, not of {run}.",
            hint="Give the folder that the run was loaded from.",
        )
    with database_errors(f"Verifying {run}"):
        pending(driver, database)  # refuses what a newer atlas made
        found = Verification(run)
        found.problems += schema_problems(driver, database)
        complete = _check_state(driver, database, build, found, repair=repair)
        if not repair:
            if not found.problems:
                _Comparison(driver, database, build, told).find(found)
            return found
        mend_schema(driver, database)
        migrate(driver, database, reporter=told)
        if not complete:
            _finish_load(driver, database, build, server, told)
        with exclusive(driver, database, name=LOAD_LOCK, waiting=lambda: None):
            _Comparison(driver, database, build, told).mend(found)
            if not complete:
                write(driver, database, statements.LOADED, run=run)
            if found.problems:
                again = Verification(run, schema_problems(driver, database))
                _Comparison(driver, database, build, told).find(again)
                found.repaired = not again.problems
    return found


def _finish_load(
    driver: neo4j.Driver,
    database: str | None,
    build: BuildFolder,
    server: ManagedServer | None,
    reporter: Reporter,
) -> None:
    def go_on() -> None:
        load(driver, build.path, database=database, server=server, reporter=reporter)

    try:
        go_on()
    except MismatchError:
        # Not while another process loads it; loading itself takes the lock again.
        with exclusive(driver, database, name=LOAD_LOCK, waiting=lambda: None):
            write(driver, database, statements.UNLOADED, run=build.run_id)
        # What is still wrong then is mended like any other difference.
        with suppress(MismatchError):
            go_on()


def _check_state(
    driver: neo4j.Driver,
    database: str | None,
    build: BuildFolder,
    found: Verification,
    *,
    repair: bool,
) -> bool:
    """Note whether the run is there and loaded to its end; return that."""
    state = run_state(driver, database, build.run_id)
    if not state["known"]:
        if not repair:
            raise NotFoundError(
                f"The database has no run {build.run_id}.",
                hint=f"Load it with `atlas load {build.path}`.",
            )
        found.problems.append("the run is not there")
    elif state["digest"] not in (None, build.digest):
        raise DatabaseError(
            f"The database holds {build.run_id} with other contents than {build.path}.",
            hint="Give the folder that it was loaded from, or load this one with --force.",
        )
    elif state["state"] != "loaded":
        rows = f" ({state['rows']} rows)" if state["rows"] is not None else ""
        found.problems.append(f"the run is not loaded to its end{rows}")
    else:
        heads = DriverReader(driver, database).read(
            statements.HEADS_FOUND, {"saes": [sae["key"] for sae in build.run["saes"]]}
        )
        if heads[0]["n"] != len(build.run["saes"]):
            found.problems.append("an SAE or the model is not there")
        return True
    return False


@dataclass(frozen=True)
class _Comparison:
    """Walks over all rows of a build."""

    driver: neo4j.Driver
    database: str | None
    build: BuildFolder
    reporter: Reporter

    def find(self, found: Verification) -> None:
        """Note all differences."""
        self._walk(found, repair=False)

    def mend(self, found: Verification) -> None:
        """Note all differences and put them right."""
        parameters = run_parameters(self.build)
        write(self.driver, self.database, statements.HEADS, **parameters)
        self._walk(found, repair=True)

    def _walk(self, found: Verification, *, repair: bool) -> None:
        for table in load_order(self.build.tables):
            wrong = surplus = 0
            for element in elements_of(table):
                more = self._surplus_rows(element)
                places = self._wrong(element)
                if repair and (more or places):
                    # A relationship between wrong ends has the key of the right one.
                    more = self._remove_surplus(element)
                    self._write(element, places)
                wrong += sum(len(some) for some in places.values())
                surplus += more
            found.rows[table] = self.build.rows(table)
            if wrong:
                found.problems.append(f"{wrong} rows of {table} are missing or changed")
            if surplus:
                found.problems.append(f"{surplus} more of {table} are there than the build has")

    def _pieces(self, element: Element) -> Iterator[pa.Table]:
        for piece in self.build.pieces(element.table, _PIECE):
            yield graph_rows(element, without_nan(piece), run=self.build.run_id)

    def _wrong(self, element: Element) -> dict[int, list[int]]:
        """Return the rows that are not stored as they should be: piece to places in it."""
        reader = DriverReader(self.driver, self.database)
        places: dict[int, list[int]] = {}
        title = f"comparing {element.table}"
        with self.reporter.step(title, self.build.rows(element.table)) as advance:
            for number, rows in enumerate(self._pieces(element)):
                if found := changed_rows(reader, element, rows, run=self.build.run_id):
                    places[number] = found
                advance(min((number + 1) * _PIECE, self.build.rows(element.table)))
        return places

    def _write(self, element: Element, places: dict[int, list[int]]) -> None:
        for number, rows in enumerate(self._pieces(element) if places else ()):
            if some := places.get(number):
                wanted = rows.take(some)
                write_rows(self.driver, self.database, element, wanted, run=self.build.run_id)

    def _surplus_rows(self, element: Element) -> int:
        """Return by how much the database has more of an element than the build."""
        text = row_queries.count(element)
        if text is None:
            return 0
        reader = DriverReader(self.driver, self.database)
        stored = int(reader.read(text, {"run": self.build.run_id})[0]["n"])
        wanted: int = self.build.rows(element.table)
        if isinstance(element, EdgeTable) and element.only is not None:
            wanted = sum(rows.num_rows for rows in self._pieces(element))
        return max(0, stored - wanted)

    def _remove_surplus(self, element: Element) -> int:
        """Delete what the run has and no row, or twice; return how many."""
        text = row_queries.identities(element)
        if text is None:
            return 0
        wanted: set[tuple[str, ...]] = set()
        names = row_queries.identity_columns(element)
        for rows in self._pieces(element):
            wanted.update(zip(*(rows[name].to_pylist() for name in names), strict=True))
        reader = DriverReader(self.driver, self.database)
        surplus: list[str] = []
        for row in reader.read(text, {"run": self.build.run_id}):
            identity = tuple(row["identity"])
            if identity not in wanted:
                surplus.append(row["id"])
            wanted.discard(identity)
        for start in range(0, len(surplus), _DELETED):
            ids = surplus[start : start + _DELETED]
            write(self.driver, self.database, row_queries.DELETE, ids=ids)
        return len(surplus)


def find_build(run: str, *, home: str | Path | None = None) -> Path:
    """Return the folder of a run's build below the atlas's folder.

    Raises
    ------
    NotFoundError
        It is not there.
    """
    folder = home_dir(home) / "builds" / run
    if not (folder / "run.json").is_file():
        raise NotFoundError(
            f"There is no build of {run} in {folder.parent}.",
            hint="Give the build folder that the run was loaded from.",
        )
    return folder
