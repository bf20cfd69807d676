"""Reading documents from files: .txt, .jsonl, .csv and .parquet.

Every reader yields documents and problems in the order of the file. Nothing is dropped without
a problem, except lines of white space between the rows of a text format.
"""

from __future__ import annotations

import csv
import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ingest.documents import Document, Problem
from ingest.rows import Columns, Found, Item, text_fault, to_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOT_UTF8 = "not UTF-8"
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_text_file(path: Path, name: str, *, domain: str | None) -> Iterator[Item]:
    """Yield the one document that is a .txt file, or its problem."""
    raw = path.read_bytes()
    try:
        text = raw.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        start = error.start + (len(_BOM) if raw.startswith(_BOM) else 0)
        yield Problem(name, NOT_UTF8, _encoding_hint(raw, start))
        return
    fault = text_fault(text, blank=not text.strip())
    yield Problem(name, *fault) if fault else Found(name, Document(name, text, domain, name))


def _encoding_hint(raw: bytes, start: int) -> str:
    guess = "UTF-16" if raw.startswith(_UTF16) else "another encoding, such as Latin-1"
    return f"byte 0x{raw[start]:02x} at offset {start}; save the file as UTF-8 (this is {guess})"


class _Lines:
    """Decoded lines of a file, remembering the bytes that are not UTF-8.

    Attributes
    ----------
    number
        Number of lines read.
    bad
        Details of the undecodable lines since `take_bad`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.number = 0
        self.bad: list[str] = []

    def __iter__(self) -> Iterator[str]:
        offset = 0
        with self._path.open("rb") as handle:
            for raw in handle:
                self.number += 1
                line = raw.removeprefix(_BOM) if offset == 0 else raw
                try:
                    text = line.decode()
                except UnicodeDecodeError as error:
                    start = error.start + len(raw) - len(line)
                    at = f"byte 0x{raw[start]:02x} at offset {offset + start}"
                    self.bad.append(f"{at}; save the file as UTF-8")
                    text = line.decode(errors="replace")
                offset += len(raw)
                yield text

    def take_bad(self) -> str | None:
        """Return and forget the first undecodable place since the last call."""
        first = self.bad[0] if self.bad else None
        self.bad.clear()
        return first


def read_jsonl(path: Path, name: str, columns: Columns) -> Iterator[Item]:
    """Yield one document or problem for each line that is not blank."""
    lines = _Lines(path)
    for line in lines:
        where = f"{name}:{lines.number}"
        bad = lines.take_bad()
        if bad is not None:
            yield Problem(where, NOT_UTF8, bad)
        elif line.strip():
            yield _json_item(line, where, columns)


def _json_item(line: str, where: str, columns: Columns) -> Item:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        return Problem(where, "malformed JSON", f"{error.msg} at column {error.colno}")
    except (ValueError, RecursionError) as error:
        return Problem(where, "malformed JSON", str(error))
    if not isinstance(row, dict):
        return Problem(where, "not a JSON object", type(row).__name__)
    return to_document(row, where, columns)


@contextmanager
def _long_csv_fields() -> Iterator[None]:
    """Lift the csv module's limit of 131,072 characters a field; documents may be longer."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def read_csv(path: Path, name: str, columns: Columns) -> Iterator[Item]:
    """Yield one document or problem for each row after the header.

    A row is named by the line that it begins on. A row with more or fewer fields than the
    header is a problem: an unquoted comma would otherwise cut its text.
    """
    lines = _Lines(path)
    rows = csv.reader(iter(lines), strict=True)
    header: list[str] | None = None
    while True:
        where = f"{name}:{lines.number + 1}"
        try:
            with _long_csv_fields():
                fields = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            lines.take_bad()
            yield Problem(where, "malformed CSV", str(error))
            continue
        bad = lines.take_bad()
        if header is None:
            header = fields
            fault = Problem(where, NOT_UTF8, bad) if bad else _lacks(header, name, columns)
            if fault:
                yield fault
                return
        elif bad is not None:
            yield Problem(where, NOT_UTF8, bad)
        elif fields:
            yield _csv_item(fields, header, where, columns)
    if header is None:
        yield Problem(name, "empty file")


def _csv_item(fields: list[str], header: list[str], where: str, columns: Columns) -> Item:
    if len(fields) != len(header):
        return Problem(where, "wrong number of fields", f"{len(fields)}, not {len(header)}")
    return to_document(dict(zip(header, fields, strict=True)), where, columns)


def _lacks(present: list[str], name: str, columns: Columns) -> Problem | None:
    for column in columns.required:
        if column not in present:
            return Problem(name, f"no column {column!r}", f"it has: {', '.join(present)}")
    return None


def read_parquet(path: Path, name: str, columns: Columns) -> Iterator[Item]:
    """Yield one document or problem for each row; rows count from 1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = 0
    try:
        with pq.ParquetFile(path) as file:
            present = list(file.schema_arrow.names)
            lacking = _lacks(present, name, columns)
            if lacking:
                yield lacking
                return
            if file.metadata.num_rows == 0:
                yield Problem(name, "no rows")
            wanted = [column for column in columns.wanted if column in present]
            for batch in file.iter_batches(batch_size=1024, columns=wanted):
                for index in range(batch.num_rows):
                    row += 1
                    yield _parquet_item(batch, index, f"{name}:{row}", columns)
    except (pa.ArrowException, OSError) as error:
        what = "cannot be read" if row == 0 else f"cannot be read after row {row}"
        yield Problem(name, what, str(error).splitlines()[0])


def _parquet_item(batch: Any, index: int, where: str, columns: Columns) -> Item:
    values = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            values[name] = column[index].as_py()
        except UnicodeDecodeError as error:  # Parquet does not check its strings
            return Problem(where, NOT_UTF8, f"byte offset {error.start} of column {name!r}")
    return to_document(values, where, columns)


TABLES: dict[str, Callable[[Path, str, Columns], Iterator[Item]]] = {
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".parquet": read_parquet,
}
SUFFIXES = (".txt", *TABLES)


def read_file(path: Path, name: str, *, columns: Columns, domain: str | None) -> Iterator[Item]:
    """Yield the documents and problems of one file.

    Parameters
    ----------
    path
        The file; its type is told by the suffix.
    name
        What ids and problems call it.
    columns
        What to read from tables.
    domain
        Domain of a .txt file.
    """
    suffix = path.suffix.lower()
    if not name.isascii() and text_fault(name, blank=False):
        shown = name.encode(errors="backslashreplace").decode()
        yield Problem(shown, "file name is not UTF-8", "rename the file")
        return
    try:
        if suffix == ".txt":
            yield from read_text_file(path, name, domain=domain)
        elif suffix in TABLES:
            yield from TABLES[suffix](path, name, columns)
        else:
            yield Problem(name, "file type not read")
    except OSError as error:
        yield Problem(name, "cannot be read", error.strerror or str(error))
