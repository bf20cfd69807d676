"""Opens the folder of an attribution run and checks it, so that nothing doubtful is loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.artifacts import file_sha256
from atlas.errors import ArtifactError
from atlas.schemas import ATTRIBUTION, file_name, schema
from ingest.attribution.record import FORMAT
from ingest.build_folder import files_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

RECORD = "attribution.json"
AGAIN = "Run `atlas attribute` again, or copy the folder again from where it was made."
_KEYS = ("run_id", "created", "prompt_set", "model", "saes", "parameters", "counts", "files")


@dataclass(frozen=True)
class AttributionFolder:
    """An attribution run on disk.

    Attributes
    ----------
    path
        The folder.
    record
        The contents of ``attribution.json``.
    """

    path: Path
    record: Mapping[str, Any]

    @property
    def run_id(self) -> str:
        """Name of the run."""
        return str(self.record["run_id"])

    @property
    def digest(self) -> str:
        """SHA-256 over the names and checksums of the tables: equal runs have equal digests."""
        return files_digest(self.record["files"])

    def rows(self, table: str) -> int:
        """Return the number of rows of a table according to the record."""
        return int(self.record["files"][file_name(table)]["rows"])

    def table(self, table: str) -> pa.Table:
        """Return a table, with the columns and types of its schema."""
        import pyarrow.parquet as pq

        return pq.read_table(self.path / file_name(table)).cast(schema(table))


def is_attribution(path: str | Path) -> bool:
    """Whether a folder is one of an attribution run."""
    return (Path(path).expanduser() / RECORD).is_file()


def open_attribution(path: str | Path) -> AttributionFolder:
    """Open the folder of an attribution run and check its files.

    Raises
    ------
    ArtifactError
        A file is missing, truncated, altered, of another format version, or lacks a column; a key
        is doubled, or a row names another prompt set than the record.
    """
    folder = Path(path).expanduser()
    file = folder / RECORD
    try:
        record = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ArtifactError(
            f"{folder} is no finished attribution run: it has no {RECORD}.",
            hint="Run `atlas attribute` first.",
        ) from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{file} cannot be read: {error}.", hint=AGAIN) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else None
        raise ArtifactError(
            f"{file} has format {found!r}; this atlas reads format {FORMAT}.",
            hint="Run `atlas attribute` again with this version.",
        )
    missing = [key for key in _KEYS if key not in record]
    missing += [name for name in map(file_name, ATTRIBUTION) if name not in record.get("files", {})]
    if missing:
        raise ArtifactError(f"{file} lacks {', '.join(missing)}.", hint=AGAIN)
    opened = AttributionFolder(folder, record)
    for table in ATTRIBUTION:
        _check_file(opened, table)
    _check_contents(opened)
    return opened


def _check_file(folder: AttributionFolder, table: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder.path / file_name(table)
    if not path.is_file():
        raise ArtifactError(f"{path} is missing.", hint=AGAIN)
    if file_sha256(path) != folder.record["files"][path.name]["sha256"]:
        raise ArtifactError(
            f"{path} is truncated or altered: its SHA-256 is not that of {RECORD}.", hint=AGAIN
        )
    try:
        found = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ArtifactError(f"{path} is no Parquet file: {error}.", hint=AGAIN) from error
    for field in schema(table):
        if field.name not in found.names or found.field(field.name).type != field.type:
            raise ArtifactError(
                f"{path} lacks the column {field.name} of type {field.type}.", hint=AGAIN
            )


def _check_contents(folder: AttributionFolder) -> None:
    import pyarrow.compute as pc

    edges, prompts = folder.table("co_attributed"), folder.table("prompts")
    for table, rows, columns in (
        ("co_attributed", edges, ["source", "target"]),
        ("prompts", prompts, ["key"]),
    ):
        path = folder.path / file_name(table)
        if rows.num_rows != folder.rows(table):
            raise ArtifactError(
                f"{path} has {rows.num_rows} rows, {RECORD} says {folder.rows(table)}.", hint=AGAIN
            )
        if rows.group_by(columns).aggregate([]).num_rows != rows.num_rows:
            raise ArtifactError(f"{path} has a row more than once.", hint=AGAIN)
        name = folder.record["prompt_set"]["name"]
        if not pc.all(pc.equal(rows["prompt_set"], name), min_count=0).as_py():
            raise ArtifactError(f"{path} names another prompt set than {RECORD}.", hint=AGAIN)
