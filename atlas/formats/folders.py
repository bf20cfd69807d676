"""Folders with two tables and a description: Parquet and CSV.

``nodes.parquet`` (or ``.csv``), ``edges.parquet`` and ``graph.json``: run, weights, selection and,
for CSV, the types of the columns.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, Protocol

from atlas.artifacts import write_json, write_table, writing
from atlas.errors import ArtifactError
from atlas.formats.tables import GraphInfo, GraphTables
from atlas.formats.text import arrow_type, as_text, from_text, type_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from atlas.formats.tables import GraphStream

DESCRIPTION = "graph.json"
TABLES = ("nodes", "edges")


class _Counted:
    """Passes batches on and counts their rows."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self.batches = batches
        self.rows = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self.batches:
            self.rows += batch.num_rows
            yield batch


class _WriteTable(Protocol):
    def __call__(self, path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        """Write one table."""


def write_parquet(folder: Path, graph: GraphStream) -> tuple[int, int]:
    """Write a graph as Parquet files; return the numbers of nodes and edges."""
    return _write(folder, graph, ".parquet", _parquet)


def write_csv(folder: Path, graph: GraphStream) -> tuple[int, int]:
    """Write a graph as CSV files; return the numbers of nodes and edges.

    Strings are quoted, so that an empty one differs from a null; lists are JSON text.
    """
    return _write(folder, graph, ".csv", _csv)


def _write(
    folder: Path, graph: GraphStream, suffix: str, write_one: _WriteTable
) -> tuple[int, int]:
    """Write tables and description into a folder within `folder`, then move them, that one last."""
    staging = folder / ".partial"
    counts, types = {}, {}
    try:
        with writing(folder, staging / DESCRIPTION):
            staging.mkdir(parents=True, exist_ok=True)
        for name, schema, batches in (
            ("nodes", graph.nodes, graph.node_batches),
            ("edges", graph.edges, graph.edge_batches),
        ):
            counted = _Counted(batches())
            write_one(staging / f"{name}{suffix}", schema, counted)
            counts[name] = counted.rows
            # Pairs and not a mapping: JSON objects of the atlas have their names in order.
            types[name] = [(field.name, type_name(field.type)) for field in schema]
        described = {"suffix": suffix, "types": types, "counts": counts}
        write_json(staging / DESCRIPTION, {**described, **graph.info.as_dict()})
        for name in (*(f"{table}{suffix}" for table in TABLES), DESCRIPTION):
            (staging / name).replace(folder / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return counts["nodes"], counts["edges"]


def _parquet(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    import pyarrow as pa

    def tables() -> Iterator[pa.Table]:
        yield schema.empty_table()
        held: list[pa.RecordBatch] = []
        rows = 0
        # Row groups of a page of features would be too small to compress well.
        for batch in batches:
            held.append(batch)
            rows += batch.num_rows
            if rows >= _GROUP:
                yield pa.Table.from_batches(held, schema)
                held, rows = [], 0
        yield pa.Table.from_batches(held, schema)

    write_table(path, tables())


_GROUP = 100_000
"""Rows of a row group."""


def _csv(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    import pyarrow as pa
    import pyarrow.csv

    flat = pa.schema(
        [(f.name, pa.string() if pa.types.is_list(f.type) else f.type) for f in schema]
    )
    partial = path.with_name(path.name + ".partial")
    with writing(path, partial):
        with pyarrow.csv.CSVWriter(partial, flat) as writer:
            for batch in batches:
                columns = [
                    as_text(column) if pa.types.is_list(column.type) else column
                    for column in batch.columns
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=flat))
        partial.replace(path)


def read_folder(folder: Path) -> GraphTables:
    """Read a folder of Parquet or CSV files into memory.

    Raises
    ------
    ArtifactError
        The folder holds no finished export, or a file of it is damaged.
    """
    try:
        described: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text("utf-8"))
        types, counts = described.pop("types"), described.pop("counts")
        suffix = described.pop("suffix")
        read_one = _read_parquet if suffix == ".parquet" else _read_csv
        nodes, edges = (read_one(folder / f"{name}{suffix}", dict(types[name])) for name in TABLES)
        info = GraphInfo(**described)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{folder} holds no finished export: {error}.",
            hint="Write it again with `atlas export`.",
        ) from error
    for name, table in zip(TABLES, (nodes, edges), strict=True):
        if table.num_rows != counts[name]:
            raise ArtifactError(
                f"{folder} has {table.num_rows} {name}, its {DESCRIPTION} says {counts[name]}.",
                hint="Write it again with `atlas export --force`.",
            )
    return GraphTables(info, nodes, edges)


def _read_parquet(path: Path, types: dict[str, str]) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(path).select(list(types))


def _read_csv(path: Path, types: dict[str, str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv

    plain = {
        name: pa.string() if pa.types.is_list(arrow_type(kind)) else arrow_type(kind)
        for name, kind in types.items()
    }
    table = pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=plain,
            include_columns=list(types),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )
    return pa.table(
        {
            name: from_text(table[name].to_pylist(), kind)
            if plain[name] != arrow_type(kind)
            else table[name]
            for name, kind in types.items()
        }
    )
