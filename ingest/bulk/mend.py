"""Puts right what the files of a bulk import cannot say.

A list without values, and one of a single empty text, both leave the import as an absent
property. Relationships have no property for an empty list in any case; nodes do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atlas.graph.sessions import open_session
from ingest import statements
from ingest.build_folder import without_nan
from ingest.columns import encode, join_lists
from ingest.graph_map import EDGES, NODES, EdgeTable, NodeTable
from ingest.graph_rows import graph_rows

if TYPE_CHECKING:
    import neo4j
    import pyarrow as pa

    from atlas.progress import Reporter
    from ingest.build_folder import BuildFolder
    from ingest.graph_map import Element

_PIECE = 20_000


def mend_import(
    driver: neo4j.Driver, database: str | None, build: BuildFolder, *, reporter: Reporter
) -> int:
    """Write the rows of a build that an import got wrong; return how many. It can be repeated."""
    mended = 0
    with reporter.step("completing lists"):
        elements: tuple[NodeTable | EdgeTable, ...] = (*NODES, *EDGES)
        for element in elements:
            if element.table not in build.tables:
                continue
            nodes = isinstance(element, NodeTable)
            if not any(_is_list(field) for field in statements.written_fields(element)):
                continue
            for piece in build.pieces(element.table, _PIECE):
                wrong = piece.filter(_unsayable(piece, empty=nodes))
                rows = graph_rows(element, without_nan(wrong), run=build.run_id)
                if rows.num_rows:
                    write_rows(driver, database, element, rows, run=build.run_id)
                    mended += rows.num_rows
    return mended


def write_rows(
    driver: neo4j.Driver,
    database: str | None,
    element: Element,
    rows: pa.Table,
    *,
    run: str,
) -> int:
    """Put rows of one element right in a transaction; return how many were written."""
    text = statements.repair(element)
    parameters = {"run": run, "parts": [encode(rows)]}

    def work(tx: neo4j.ManagedTransaction) -> int:
        return int(tx.run(text, parameters).single(strict=True)["written"])

    with open_session(driver, database) as session:
        return session.execute_write(work)


def _is_list(field: pa.Field) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(field.type))


def _unsayable(rows: pa.Table, *, empty: bool) -> pa.Array:
    """Return which rows have a list of one empty text, or, if `empty`, of no value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = np.zeros(rows.num_rows, bool)
    for field in rows.schema:
        if _is_list(field):
            lists = rows[field.name].combine_chunks()
            wrong = pc.equal(join_lists(lists, ","), "")
            if not empty:
                wrong = pc.and_(wrong, pc.equal(pc.list_value_length(lists), 1))
            found |= pc.fill_null(wrong, False).to_numpy(zero_copy_only=False)
    return pa.array(found)
