"""Opens a finished build folder and checks it, so that nothing doubtful reaches the database."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.artifacts import file_sha256
from atlas.errors import ArtifactError
from atlas.schemas import FORMAT, NEEDS, REQUIRED, file_name, schema, tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    import pyarrow.parquet as pq

REBUILD = "Build it again with `atlas build`, or copy it again from where it was made."
_RUN_KEYS = ("run_id", "name", "created", "model", "saes", "corpus", "files")


def files_digest(files: Mapping[str, Any]) -> str:
    """Return the SHA-256 over names and checksums of files, from their records by name."""
    lines = sorted(f"{name} {entry['sha256']}" for name, entry in files.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class BuildFolder:
    """A build on disk.

    Attributes
    ----------
    path
        The folder.
    run
        The contents of ``run.json``.
    """

    path: Path
    run: Mapping[str, Any]

    @property
    def run_id(self) -> str:
        """Name of the run, unique among the runs of a database."""
        return str(self.run["run_id"])

    @property
    def tables(self) -> list[str]:
        """Names of the tables that the build has, in the order of `atlas.schemas.tables`."""
        return [name for name in tables() if file_name(name) in self.run["files"]]

    @property
    def digest(self) -> str:
        """SHA-256 over the names and checksums of the tables: equal builds have equal digests."""
        return files_digest(self.run["files"])

    def rows(self, table: str) -> int:
        """Return the number of rows of a table according to ``run.json``; 0 if it is absent."""
        entry = self.run["files"].get(file_name(table))
        return int(entry["rows"]) if entry else 0

    def column(self, table: str, *columns: str) -> pa.Table:
        """Return some columns of a table, with exactly the types of its schema."""
        import pyarrow.parquet as pq

        wanted = schema(table)
        read = pq.read_table(self.path / file_name(table), columns=list(columns))
        return read.cast(_nullable(wanted, columns))

    def pieces(self, table: str, size: int, *, start: int = 0) -> Iterator[pa.Table]:
        """Yield a table's rows in order, at most `size` at a time, from row `start` on.

        The columns and types are those of the schema; nulls and values that are not finite are
        as in the file.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        wanted = _nullable(schema(table), schema(table).names)
        with pq.ParquetFile(self.path / file_name(table)) as file:
            groups, skipped = _groups_from(file, start)
            left = start - skipped
            if not groups:
                return
            for batch in file.iter_batches(
                batch_size=size, row_groups=groups, columns=wanted.names
            ):
                rows = batch.slice(min(left, batch.num_rows))
                left -= batch.num_rows - rows.num_rows
                if rows.num_rows:
                    yield pa.Table.from_batches([rows]).select(wanted.names).cast(wanted)


def open_build(path: str | Path, *, verify: bool = True) -> BuildFolder:
    """Open the build folder `path` and check all of it.

    Parameters
    ----------
    path
        Folder with ``run.json`` and the tables it names.
    verify
        Also read the tables: checksums, columns, unique keys and references between tables.

    Raises
    ------
    ArtifactError
        A file is missing, truncated, altered, of another format version, or lacks a column; a key
        is doubled; an edge, token or context names something that is not in the build.
    """
    folder = Path(path).expanduser()
    build = BuildFolder(folder, _read_run(folder))
    for table in REQUIRED:
        if table not in build.tables:
            raise ArtifactError(
                f"{folder / 'run.json'} names no {file_name(table)}, which every build has.",
                hint=REBUILD,
            )
    for table in build.tables:
        for needed in NEEDS.get(table, ()):
            if needed not in build.tables:
                raise ArtifactError(
                    f"{folder} has {file_name(table)} but lacks {file_name(needed)}.", hint=REBUILD
                )
    if verify:
        from ingest.build_checks import check_contents

        for table in build.tables:
            _check_file(build, table)
        check_contents(build)
    return build


def _read_run(folder: Path) -> Mapping[str, Any]:
    path = folder / "run.json"
    try:
        run = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ArtifactError(
            f"{folder} is no finished build: it has no run.json.", hint="Run `atlas build` first."
        ) from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}.", hint=REBUILD) from error
    if not isinstance(run, dict) or run.get("format") != FORMAT:
        found = run.get("format") if isinstance(run, dict) else None
        raise ArtifactError(
            f"{path} has format {found!r}; this atlas reads format {FORMAT}.",
            hint="Build it again with this version, or load it with the one that made it.",
        )
    missing = [key for key in _RUN_KEYS if key not in run]
    if missing:
        raise ArtifactError(f"{path} lacks {', '.join(missing)}.", hint=REBUILD)
    _check_run_shape(path, run)
    return run


def _check_run_shape(path: Path, run: Mapping[str, Any]) -> None:
    parts = (
        (run["files"], dict, "files"),
        (run["saes"], list, "saes"),
        (run["model"], dict, "model"),
        (run["corpus"], dict, "corpus"),
    )
    for value, kind, name in parts:
        if not isinstance(value, kind) or not (value or name == "corpus"):
            raise ArtifactError(f"{path}: {name} is not what it should be.", hint=REBUILD)
    for name, entry in run["files"].items():
        if not isinstance(entry, dict) or not {"rows", "sha256"} <= set(entry):
            raise ArtifactError(f"{path}: the entry of {name} lacks rows or sha256.", hint=REBUILD)
    named = [run["model"], *run["saes"]]
    if not all(isinstance(item, dict) and isinstance(item.get("key"), str) for item in named):
        raise ArtifactError(f"{path}: the model or an SAE has no key.", hint=REBUILD)


def _check_file(build: BuildFolder, table: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = build.path / file_name(table)
    entry = build.run["files"][file_name(table)]
    if not path.is_file():
        raise ArtifactError(f"{path} is missing.", hint=REBUILD)
    found = file_sha256(path)
    if found != entry["sha256"]:
        raise ArtifactError(
            f"{path} is truncated or altered: its SHA-256 is {found[:12]}...,"
            f" run.json says {str(entry['sha256'])[:12]}....",
            hint=REBUILD,
        )
    try:
        file_schema, rows = pq.read_schema(path), pq.read_metadata(path).num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise ArtifactError(f"{path} is no Parquet file: {error}.", hint=REBUILD) from error
    _check_schema(path, table, file_schema)
    if rows != entry["rows"]:
        raise ArtifactError(f"{path} has {rows} rows, run.json says {entry['rows']}.", hint=REBUILD)


def _check_schema(path: Path, table: str, found: pa.Schema) -> None:
    for field in schema(table):
        if field.name not in found.names:
            raise ArtifactError(f"{path} lacks the column {field.name}.", hint=REBUILD)
        kind = found.field(field.name).type
        if not _same_type(kind, field.type):
            raise ArtifactError(
                f"{path}: the column {field.name} is {kind}, expected {field.type}.", hint=REBUILD
            )


def _same_type(found: pa.DataType, wanted: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_list(wanted):
        listed = pa.types.is_list(found) or pa.types.is_large_list(found)
        return listed and _same_type(found.value_type, wanted.value_type)
    if pa.types.is_string(wanted):
        return bool(pa.types.is_string(found) or pa.types.is_large_string(found))
    return bool(found == wanted)


def _nullable(wanted: pa.Schema, columns: Any) -> pa.Schema:
    """Return some fields of a schema, with nulls allowed: those are checked on their own."""
    import pyarrow as pa

    return pa.schema([wanted.field(name).with_nullable(True) for name in columns])


def _groups_from(file: pq.ParquetFile, start: int) -> tuple[list[int], int]:
    """Return the row groups that have rows from `start` on, and the rows before them."""
    skipped = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if skipped + rows > start:
            return list(range(group, file.num_row_groups)), skipped
        skipped += rows
    return [], skipped


def without_nan(rows: pa.Table) -> pa.Table:
    """Return rows whose numbers that are not finite are null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, field in enumerate(rows.schema):
        if pa.types.is_floating(field.type):
            column = rows.column(place)
            usable = pc.if_else(pc.is_finite(column), column, pa.scalar(None, field.type))
            rows = rows.set_column(place, field, usable)
    return rows
