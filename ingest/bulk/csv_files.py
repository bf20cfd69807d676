"""Writes a build as CSV files for Neo4j's import tool.

Texts are in quotes and nulls are empty, so that an empty text is not a null. The values of a list
are joined by a control character that none of them has. Nodes are named by their places, which is
shorter than their keys. What such files cannot say is mended afterwards (`ingest.bulk.mend`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import ArtifactError
from ingest.build_folder import without_nan
from ingest.columns import join_lists
from ingest.graph_map import EDGES, NODES, EdgeTable, Link, NodeTable, table_of
from ingest.graph_rows import graph_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa

    from atlas.progress import Reporter
    from ingest.build_folder import BuildFolder

_PIECE = 50_000
# The unit, record, group and file separators, which texts hardly ever have.
_DELIMITERS = "\x1f\x1e\x1d\x1c"
_TYPES = {"double": "double", "float": "double", "bool": "boolean", "string": "string"}


@dataclass
class CsvFiles:
    """The files of one build.

    Attributes
    ----------
    nodes, relationships
        Label, or type, to its files: header, then rows.
    array_delimiter
        Character between the values of a list.
    multiline
        Whether a text holds a line end.
    """

    array_delimiter: str
    nodes: dict[str, list[Path]] = field(default_factory=dict)
    relationships: dict[str, list[Path]] = field(default_factory=dict)
    multiline: bool = False


class _DelimiterTakenError(Exception):
    """A value has the character that is to stand between values."""


def write_csv(
    build: BuildFolder,
    folder: Path,
    *,
    run: Mapping[str, str | int],
    reporter: Reporter,
) -> CsvFiles:
    """Write the nodes and relationships of a build.

    Parameters
    ----------
    build
        A build that was checked.
    folder
        Where to; must exist.
    run
        Properties of the node of the run that it has before anything else is known of it.
    reporter
        Is told of the progress in rows.

    Returns
    -------
    CsvFiles
        What was written.

    Raises
    ------
    ArtifactError
        A file cannot be written, or a text has all of the characters that could part lists.
    """
    for delimiter in _DELIMITERS:
        writer = _Writer(build, folder, delimiter)
        try:
            writer.write(run, reporter)
        except _DelimiterTakenError:
            continue
        except OSError as error:
            raise ArtifactError(
                f"The files to import cannot be written to {folder}: {error.strerror or error}.",
                hint="Free some space and run the same command again; the database was not "
                "changed.",
            ) from error
        return writer.files
    raise ArtifactError(
        f"{build.path}: a list has a text with control characters that no import can part.",
        hint="Load it over Bolt.",
    )


class _Writer:
    def __init__(self, build: BuildFolder, folder: Path, delimiter: str) -> None:
        self.build, self.folder = build, folder
        self.files = CsvFiles(delimiter)
        self.keys: dict[str, pa.Array] = {}

    def write(self, run: Mapping[str, str | int], reporter: Reporter) -> None:
        self._write_heads(run)
        nodes = [node for node in NODES if node.table in self.build.tables]
        edges = [edge for edge in EDGES if edge.table in self.build.tables]
        elements: list[NodeTable | EdgeTable] = [*nodes, *edges]
        total = sum(self.build.rows(table) for table in {one.table for one in elements})
        done, seen = 0, set[str]()
        with reporter.step("writing files to import (rows)", total) as advance:
            for element in elements:
                for rows in self.build.pieces(element.table, _PIECE):
                    self._write_rows(element, rows)
                    done += rows.num_rows if element.table not in seen else 0
                    advance(done)
                seen.add(element.table)

    def _write_heads(self, run: Mapping[str, str | int]) -> None:
        """Write the nodes that ``run.json`` has and rows refer to: the SAEs and the run."""
        import pyarrow as pa

        saes = pa.array([sae["key"] for sae in self.build.run["saes"]], pa.string())
        self.keys["Sae"] = saes
        self._append("nodes", "Sae", pa.table({":ID(Sae)": _places(0, len(saes)), "key": saes}))
        values = {":ID(Run)": _places(0, 1)} | {k: pa.array([v]) for k, v in run.items()}
        self._append("nodes", "Run", pa.table(values))

    def _write_rows(self, element: NodeTable | EdgeTable, rows: pa.Table) -> None:
        shaped = graph_rows(element, without_nan(rows), run=self.build.run_id)
        if not shaped.num_rows:
            return
        if isinstance(element, NodeTable):
            self._write_nodes(element, shaped)
        else:
            self._write_edges(element, shaped)

    def _write_nodes(self, element: NodeTable, rows: pa.Table) -> None:
        import pyarrow as pa

        label, known = element.label, self.keys.get(element.label)
        keys = rows["key"].combine_chunks()
        first = 0 if known is None else len(known)
        self.keys[label] = keys if known is None else pa.concat_arrays([known, keys])
        places = _places(first, rows.num_rows)
        columns = {f":ID({label})": places} | {n: rows[n] for n in element.properties}
        if element.run:
            columns["run"] = _repeated(self.build.run_id, rows.num_rows)
        self._append("nodes", label, pa.table(columns))
        for link in element.links:
            self._append("relationships", link.type, self._link(link, label, places, rows))

    def _link(self, link: Link, label: str, places: pa.Array, rows: pa.Table) -> pa.Table:
        import pyarrow as pa

        if link.end is None:
            other, ends = "Run", pa.array(np.zeros(len(places), np.int64))
        else:
            other, ends = link.end.label, self._place(link.end.label, rows[link.end.column])
        return pa.table({f":START_ID({label})": places, f":END_ID({other})": ends})

    def _write_edges(self, element: EdgeTable, rows: pa.Table) -> None:
        import pyarrow as pa

        columns = {
            f":{side}_ID({end.label})": self._place(end.label, rows[end.column])
            for side, end in zip(("START", "END"), element.ends, strict=True)
        }
        names = (*element.properties, *(("key",) if element.keyed else ()))
        columns |= {name: rows[name] for name in names}
        columns["run"] = _repeated(self.build.run_id, rows.num_rows)
        self._append("relationships", element.type, pa.table(columns))

    def _place(self, label: str, keys: pa.ChunkedArray) -> pa.ChunkedArray:
        import pyarrow.compute as pc

        found = pc.index_in(keys, value_set=self.keys[label])
        if found.null_count:
            raise ArtifactError(
                f"{self.build.path}: {found.null_count} rows name nodes of {table_of(label)} "
                "that are not there."
            )
        return found

    def _append(self, kind: str, name: str, rows: pa.Table) -> None:
        """Append rows to the file of a label or type; the first are preceded by a header."""
        import pyarrow.csv as pc

        files = getattr(self.files, kind).setdefault(name, [])
        if not files:
            files += [self.folder / f"{kind}-{name}{end}.csv" for end in ("-header", "")]
            files[0].write_text(",".join(_head(field) for field in rows.schema) + "\n", "utf-8")
            files[1].unlink(missing_ok=True)
        plain = self._plain(rows)
        with files[1].open("ab") as sink:
            pc.write_csv(plain, sink, pc.WriteOptions(include_header=False, quoting_style="needed"))

    def _plain(self, rows: pa.Table) -> pa.Table:
        """Return rows whose lists are texts, after noting which texts hold line ends."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for place, column in enumerate(rows.schema):
            values = rows.column(place)
            if pa.types.is_list(column.type):
                joined = self._join(values.combine_chunks())
                rows = rows.set_column(place, column.name, joined)
                values = rows.column(place)
            if pa.types.is_string(values.type) and not self.files.multiline:
                lines = pc.match_substring_regex(values, "[\r\n]")
                self.files.multiline = bool(pc.any(lines).as_py())
        return rows

    def _join(self, lists: pa.Array) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        delimiter = self.files.array_delimiter
        if pa.types.is_string(lists.type.value_type):
            taken = pc.any(pc.match_substring(lists.flatten(), delimiter)).as_py()
            if taken:
                raise _DelimiterTakenError
        return join_lists(lists, delimiter)


def _places(first: int, number: int) -> pa.Array:
    import pyarrow as pa

    return pa.array(np.arange(first, first + number))


def _repeated(text: str, number: int) -> pa.Array:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(number, np.int32)), pa.array([text])
    ).cast(pa.string())


def _head(column: pa.Field) -> str:
    """Return a column's name and type as the import tool wants them."""
    import pyarrow as pa

    if column.name.startswith(":"):
        return str(column.name)
    kind, many = column.type, ""
    if pa.types.is_list(kind):
        kind, many = kind.value_type, "[]"
    return f"{column.name}:{_TYPES.get(str(kind), 'long')}{many}"


def written_tables(build: BuildFolder) -> list[str]:
    """Return the tables of a build that are imported; the others are written over Bolt."""
    known = {element.table for element in NODES} | {element.table for element in EDGES}
    return [table for table in build.tables if table in known]
