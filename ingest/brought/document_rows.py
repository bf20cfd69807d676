"""Rows of a documents table, from Parquet, JSON lines or CSV, with one schema."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from atlas.errors import ArtifactError
from ingest.brought.batches import RawBatch, is_text
from ingest.brought.parquet import parquet_file
from ingest.brought.source import PARQUET_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

JSON_SUFFIXES = (".jsonl", ".ndjson")
TEXTS = ("text", "domain", "title", "source")
LISTS = ("tokens", "token_texts", "positions")
COLUMNS = ("document", "n_positions", *TEXTS, *LISTS)
_BOM = "\ufeff"


def read_rows(path: Path, *, rows: int) -> Iterator[RawBatch]:
    """Yield a documents table, at most `rows` rows at a time, in the order of the file.

    Every batch has all of `COLUMNS`, null where the file has none; other columns are left out.
    Rows are numbered from 1: lines of JSON, records of CSV and Parquet.

    Parameters
    ----------
    path
        ``.parquet``, ``.pq``, ``.jsonl``, ``.ndjson`` or ``.csv``.
    rows
        Most rows of a batch.

    Raises
    ------
    ArtifactError
        The file is missing or broken, or a value has the wrong type.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise ArtifactError(f"There is no documents table at {path}.")
    if suffix in PARQUET_SUFFIXES:
        yield from _parquet(path, rows)
    elif suffix in JSON_SUFFIXES:
        yield from _batched(path, _json_lines(path), rows)
    elif suffix == ".csv":
        yield from _batched(path, _csv_records(path), rows)
    else:
        raise ArtifactError(
            f"Documents table {path} has the unknown suffix {suffix!r}.",
            hint="Give .parquet, .jsonl or .csv.",
        )


def column_type(name: str) -> pa.DataType:
    """Arrow type of a column of a documents table; ``document`` has its own."""
    import pyarrow as pa

    if name in LISTS:
        return pa.list_(pa.string() if name == "token_texts" else pa.int64())
    return pa.int64() if name == "n_positions" else pa.string()


def _parquet(path: Path, rows: int) -> Iterator[RawBatch]:
    import pyarrow as pa

    row = 1
    with parquet_file(path) as opened:
        there = [name for name in COLUMNS if name in opened.schema_arrow.names]
        _need_document(path, there)
        for batch in opened.iter_batches(batch_size=rows, columns=there):
            columns = {}
            for name in COLUMNS:
                if name not in there:
                    columns[name] = pa.nulls(batch.num_rows, column_type(name))
                elif name == "document":
                    columns[name] = batch.column(name)
                else:
                    columns[name] = _cast(path, batch.column(name), name)
            yield RawBatch(str(path), row, columns)
            row += batch.num_rows


def _cast(path: Path, array: pa.Array, name: str) -> pa.Array:
    import pyarrow as pa

    wanted = column_type(name)
    if pa.types.is_string(wanted) and not (is_text(array.type) or pa.types.is_null(array.type)):
        raise ArtifactError(f"{path}: column {name} is {array.type}; {wanted} is needed.")
    try:
        return array.cast(wanted)
    except pa.ArrowException as error:
        raise ArtifactError(
            f"{path}: column {name} is {array.type}; {wanted} is needed: {error}."
        ) from error


def _need_document(path: Path, names: Iterable[str]) -> None:
    if "document" not in names:
        raise ArtifactError(
            f"Documents table {path} has no column document.",
            hint="Needed are document and n_positions (or tokens).",
        )


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8") as handle:
            for number, line in enumerate(handle, 1):
                text = line.removeprefix(_BOM) if number == 1 else line
                if not text.strip():
                    continue
                row = json.loads(text)
                if not isinstance(row, dict):
                    raise ArtifactError(f"{path}, row {number}: a JSON object is needed.")
                _need_document(path, row)
                yield number, row
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path} is not UTF-8: {error}.") from error
    except json.JSONDecodeError as error:
        raise ArtifactError(f"{path}, row {number}: not JSON: {error}.") from error


def _csv_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle, strict=True)
            names = reader.fieldnames or ()
            _need_document(path, names)
            lists = [name for name in LISTS if name in names]
            if lists:
                raise ArtifactError(
                    f"{path}: column {lists[0]} holds lists, which CSV cannot.",
                    hint="Give the documents table as Parquet or JSON lines.",
                )
            for number, record in enumerate(reader, 1):
                row = {name: record[name] or None for name in names if name in COLUMNS}
                if row.get("n_positions") is not None:
                    row["n_positions"] = _whole(path, number, str(row["n_positions"]))
                yield number, row
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path} is not UTF-8: {error}.") from error
    except csv.Error as error:
        raise ArtifactError(f"{path} is not CSV: {error}.") from error


def _whole(path: Path, number: int, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ArtifactError(
            f"{path}, row {number}: n_positions is {text!r}, not a whole number."
        ) from None


def _batched(
    path: Path, records: Iterable[tuple[int, dict[str, Any]]], rows: int
) -> Iterator[RawBatch]:
    first, waiting = 1, list[dict[str, Any]]()
    for number, record in records:
        # A batch ends at an empty line too: its rows then have consecutive numbers.
        if waiting and (len(waiting) == rows or number != first + len(waiting)):
            yield _to_batch(path, first, waiting)
            waiting = []
        if not waiting:
            first = number
        waiting.append(record)
    if waiting:
        yield _to_batch(path, first, waiting)


def _to_batch(path: Path, first: int, records: list[dict[str, Any]]) -> RawBatch:
    columns = {}
    for name in COLUMNS:
        values = [record.get(name) for record in records]
        columns[name] = _array(path, first, values, name)
    return RawBatch(str(path), first, columns)


def _array(path: Path, first: int, values: list[Any], name: str) -> pa.Array:
    import pyarrow as pa

    kind = column_type(name)
    if name == "document":
        kind = pa.string() if isinstance(values[0], str) else pa.int64()
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, OverflowError):
        for number, value in enumerate(values, first):
            try:
                pa.array([value], kind)
            except (pa.ArrowException, OverflowError) as error:
                raise ArtifactError(
                    f"{path}, row {number}: {name} is {value!r}; {kind} is needed."
                ) from error
        raise
