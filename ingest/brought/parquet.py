"""Codes in Parquet: one file or a folder of them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from atlas.errors import ArtifactError
from ingest.brought.batches import REQUIRED, RawBatch, is_number, is_text
from ingest.brought.source import PARQUET_SUFFIXES, FiringSource, list_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa


class ParquetSource(FiringSource):
    """Parquet files with columns document, position, feature, value and perhaps token.

    Rows may stand in any order and be spread over files and row groups in any way. Documents
    are integers or texts; the other columns any integer or float type (whole numbers, but for
    the value); tokens are ids or texts.

    Parameters
    ----------
    path
        A file or a folder.

    Raises
    ------
    ArtifactError
        There is no file or no row, one cannot be read, a column is missing, or a column's type
        differs between files.
    """

    kind = "parquet"

    def __init__(self, path: Path) -> None:
        super().__init__(path, list_files(path, PARQUET_SUFFIXES))
        if not self.files:
            raise ArtifactError(f"{path} holds no Parquet file.")
        rows, schemas = 0, []
        for file in self.files:
            with parquet_file(file) as opened:
                rows += opened.metadata.num_rows
                schemas.append(opened.schema_arrow)
        if not rows:
            raise ArtifactError(f"{path} holds no row.", hint="A table of codes needs firings.")
        self._document, self._token = self._types(schemas)

    def _types(self, schemas: Sequence[pa.Schema]) -> tuple[pa.DataType, pa.DataType | None]:
        found = []
        for file, schema in zip(self.files, schemas, strict=True):
            missing = [name for name in REQUIRED if name not in schema.names]
            if missing:
                raise ArtifactError(
                    f"{file} has no column {missing[0]}.",
                    hint=f"Needed are {', '.join(REQUIRED)}; found: {', '.join(schema.names)}.",
                )
            document = kind_of(schema, "document", file)
            token = kind_of(schema, "token", file) if "token" in schema.names else None
            found.append((document, token))
            if found[-1] != found[0]:
                raise ArtifactError(
                    f"{file} and {self.files[0]} differ in the type of document or token.",
                    hint="Give all files the same columns and types.",
                )
        return found[0]

    @property
    def document_type(self) -> pa.DataType:
        """Arrow int64 or string."""
        return self._document

    @property
    def token_type(self) -> pa.DataType | None:
        """Arrow int64 or string; None without a column ``token``."""
        return self._token

    def batches(self, columns: Sequence[str], *, rows: int) -> Iterator[RawBatch]:
        """Yield rows in the order of the files; one row group is read at a time."""
        wanted = [name for name in columns if name != "token" or self._token is not None]
        for file in self.files:
            row = 1
            with parquet_file(file) as opened:
                for batch in opened.iter_batches(batch_size=rows, columns=wanted):
                    arrays = {name: batch.column(name) for name in batch.schema.names}
                    yield RawBatch(str(file), row, arrays)
                    row += batch.num_rows


def kind_of(schema: pa.Schema, name: str, file: Path) -> pa.DataType:
    """Return int64 or string for a column of ids; raises `ArtifactError` for other types."""
    import pyarrow as pa

    kind = schema.field(name).type
    if is_text(kind):
        return pa.string()
    if is_number(kind) or pa.types.is_null(kind):
        return pa.int64()
    raise ArtifactError(f"{file}: column {name} is {kind}.", hint="Integers or texts are needed.")


@contextmanager
def parquet_file(path: Path) -> Iterator[pa.parquet.ParquetFile]:
    """Open a Parquet file; what cannot be read is an `ArtifactError` that names it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Without buffering ahead, at most one row group's pages are held.
        with pq.ParquetFile(path, pre_buffer=False) as opened:
            yield opened
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(
            f"{path} cannot be read as Parquet: {error}.", hint="It may be truncated: copy it anew."
        ) from error
