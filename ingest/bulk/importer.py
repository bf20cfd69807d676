"""Imports a build into a new store and puts that in the place of an empty one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.errors import DatabaseError
from atlas.graph.admin_tool import import_csv
from atlas.graph.configure import read_settings
from atlas.graph.memory import DEFAULT_MEMORY, plan_memory
from atlas.graph.staging import put_in_place, staging
from ingest.bulk.choice import is_empty
from ingest.bulk.csv_files import write_csv, written_tables

if TYPE_CHECKING:
    import neo4j

    from atlas.graph.server import ManagedServer
    from atlas.progress import Reporter
    from ingest.build_folder import BuildFolder


def import_build(
    driver: neo4j.Driver, server: ManagedServer, build: BuildFolder, *, reporter: Reporter
) -> None:
    """Replace the empty store of a managed server by one with the nodes and edges of a build.

    The server is stopped for the import and started again, also if it fails. The store is made
    beside the empty one and moved when it is whole; an interruption at any moment leaves one or
    the other. In the new store the run's state is ``loading``: it has no constraints yet, and
    what files of the import cannot say is to be mended (`ingest.bulk.mend.mend_import`).

    Raises
    ------
    ArtifactError
        The files to import cannot be written.
    ServerError
        The import fails, or the server does not start.
    DatabaseError
        Somebody wrote to the database meanwhile.
    """
    settings = read_settings(server.folder)
    memory = plan_memory(settings.memory if settings else DEFAULT_MEMORY)
    with staging(server.folder) as staged:
        files = write_csv(build, staged.csv, run=_run_node(build), reporter=reporter)
        if not is_empty(driver, None):
            raise DatabaseError(
                "The database was written to while a bulk load was prepared.",
                hint="Load again; it is then loaded over Bolt.",
            )
        with server.stopped(reporter=reporter):
            with reporter.step("importing"):
                import_csv(
                    staged,
                    nodes=files.nodes,
                    relationships=files.relationships,
                    array_delimiter=files.array_delimiter,
                    multiline=files.multiline,
                    memory=memory,
                    reporter=reporter,
                )
            put_in_place(server.folder)
    forget_bookmarks(driver)


def forget_bookmarks(driver: neo4j.Driver) -> None:
    """Let a driver's sessions no longer wait for what was written to a store that is gone.

    Sessions wait until the server has the transactions that the driver has seen. The new store
    counts its transactions anew, and would not have them for a long time.
    """
    with driver.session() as session:  # one that waits for nothing
        session.execute_read(lambda tx: tx.run("RETURN 1").consume())
        seen = session.last_bookmarks().raw_values
    manager = driver.execute_query_bookmark_manager
    manager.update_bookmarks(set(manager.get_bookmarks()), seen)


def imported_rows(build: BuildFolder) -> int:
    """Return the rows of a build that are imported; they come first in the order of loading."""
    return sum(build.rows(table) for table in written_tables(build))


def _run_node(build: BuildFolder) -> dict[str, str | int]:
    return {
        "key": build.run_id,
        "digest": build.digest,
        "state": "loading",
        "loading_way": "bulk",
        "loading_rows": imported_rows(build),
    }
