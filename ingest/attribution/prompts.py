"""Prompt sets: files of prompts with a right answer and, where the metric asks, wrong ones."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from atlas.artifacts import file_sha256
from atlas.errors import CorpusError, UsageError
from ingest.documents import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    # Where a row stands, and its columns or what is wrong with it.
    Row = tuple[str, dict[str, Any] | str]

#: Rows that an error names; the rest are counted.
NAMED = 20


class PromptRow(BaseModel):
    """One row of a prompt set's file; other columns are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: str
    answer: str
    foils: tuple[str, ...] = ()
    id: str | None = None
    group: str | None = None

    @field_validator("foils", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        """Take one wrong answer, a list, or none."""
        if isinstance(value, str):
            return (value,) if value else ()
        return () if value is None else value

    @field_validator("id", "group", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> str | None:
        return None if value is None or value == "" else str(value)


@dataclass(frozen=True)
class Prompt:
    """A prompt and the texts that may follow it.

    Attributes
    ----------
    where
        ``FILE:ROW``: the line (JSONL, CSV) or the row number (Parquet), from 1.
    id
        Unique in its set; the row where the file has no column ``id``.
    prompt
        The text before the answer, never blank.
    answer, foils
        The right and the wrong continuations, with the space that they begin with.
    group
        Label of prompts that belong together, such as their template.
    """

    where: str
    id: str
    prompt: str
    answer: str
    foils: tuple[str, ...] = ()
    group: str | None = None


@dataclass(frozen=True)
class PromptSet:
    """Prompts of one task, in the order of their file.

    Attributes
    ----------
    name
        Name of the set in tables.
    prompts
        The prompts; their ids differ.
    sha256
        Hash of the file.
    """

    name: str
    prompts: tuple[Prompt, ...]
    sha256: str


def read_prompts(path: str | Path, *, name: str | None = None) -> PromptSet:
    """Read a prompt set from a .jsonl, .csv or .parquet file.

    Columns are ``prompt`` and ``answer`` and, optionally, ``foils`` (a list or one wrong
    answer), ``id`` and ``group``.

    Parameters
    ----------
    path
        The file.
    name
        Name of the set; by default the file's without its suffix.

    Raises
    ------
    CorpusError
        The file cannot be read or holds no prompt, or rows are bad (each is named).
    UsageError
        The file is of another type.
    """
    file = Path(path)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise UsageError(
            f"{file} is of a type that is not read.", hint=f"Types: {', '.join(_READERS)}."
        )
    try:
        rows = list(reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise CorpusError(f"Prompt set {file} cannot be read: {error}.") from error
    prompts, problems = _parse(rows)
    refuse(problems, total=len(rows), name=file.name)
    if not prompts:
        raise CorpusError(f"Prompt set {file} has no prompt.")
    return PromptSet(name or file.stem, tuple(prompts), file_sha256(file))


def refuse(problems: list[Problem], *, total: int, name: str) -> None:
    """Raise `CorpusError` that names bad rows, if there are any."""
    if not problems:
        return
    more = f"; and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
    shown = "; ".join(str(problem) for problem in problems[:NAMED])
    raise CorpusError(
        f"{len(problems)} of {total} prompts of {name} cannot be used: {shown}{more}.",
        hint="Correct or remove these rows.",
    )


def _parse(rows: Iterable[Row]) -> tuple[list[Prompt], list[Problem]]:
    prompts: list[Prompt] = []
    problems: list[Problem] = []
    for where, values in rows:
        if isinstance(values, str):
            problems.append(Problem(where, values))
            continue
        try:
            row = PromptRow.model_validate(values)
        except ValidationError as error:
            problems.append(Problem(where, _explain(error)))
            continue
        fault = _fault(row)
        problems += [Problem(where, fault)] if fault else []
        identifier = row.id or where.rsplit(":", 1)[1]
        prompts.append(Prompt(where, identifier, row.prompt, row.answer, row.foils, row.group))
    repeated = Counter(prompt.id for prompt in prompts)
    problems += [Problem(p.where, f"id {p.id!r} again") for p in prompts if repeated[p.id] > 1]
    return prompts, problems


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    column = first["loc"][0]
    return f"no {column!r}" if first["type"] == "missing" else f"{column!r}: {first['msg']}"


def _fault(row: PromptRow) -> str | None:
    if not row.prompt.strip():
        return "empty prompt"
    if not row.answer or not all(row.foils):
        return "empty answer or foil"
    return f"the answer {row.answer!r} is a foil too" if row.answer in row.foils else None


def _jsonl(path: Path) -> Iterator[Row]:
    # Not splitlines: it also splits at characters that a JSON string may hold.
    for number, line in enumerate(path.read_text("utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            value = f"malformed JSON ({error})"
        fault = value if isinstance(value, str) else "not a JSON object"
        yield f"{path.name}:{number}", value if isinstance(value, dict) else fault


def _csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        rows = csv.reader(handle, strict=True)
        header = next(rows, [])
        line = rows.line_num
        for fields in rows:
            where, line = f"{path.name}:{line + 1}", rows.line_num
            if fields and len(fields) == len(header):
                yield where, _with_list(dict(zip(header, fields, strict=True)))
            elif fields:  # an unquoted comma would cut the prompt
                yield where, f"{len(fields)} fields, the header has {len(header)}"


def _with_list(row: dict[str, Any]) -> dict[str, Any] | str:
    """Read a cell of several foils, which is a list written as JSON."""
    if not row.get("foils", "").startswith("["):
        return row
    try:
        return {**row, "foils": json.loads(row["foils"])}
    except ValueError as error:
        return f"'foils' is not a JSON list ({error})"


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow.parquet as pq

    for number, row in enumerate(pq.read_table(path).to_pylist(), start=1):
        yield f"{path.name}:{number}", row


_READERS = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
