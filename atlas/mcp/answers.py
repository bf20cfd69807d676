"""Cuts rows to what a model can read, and says so."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from atlas.graph.reader import Row

_KIB = 1024
_DIGITS = 6
# What is no longer than this is not shortened.
_SHORTEST: Mapping[type, int] = {list: 1, str: 16}


@dataclass(frozen=True)
class Limits:
    """What one answer may cost.

    Attributes
    ----------
    seconds
        Longest that a statement may run in the database.
    rows
        Most rows of an answer.
    kib
        Most of an answer's rows as JSON, in KiB.

    Raises
    ------
    UsageError
        A limit is not above 0.
    """

    seconds: float = 30.0
    rows: int = 200
    kib: int = 64

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (value > 0 and math.isfinite(value)):
                raise UsageError(f"The limit {name} is {value}.", hint="Give more than 0.")


@dataclass
class Answer:
    """What a tool returns.

    Attributes
    ----------
    note
        What is missing and how to get it; None if nothing is.
    rows
        The rows, floats rounded to six significant digits, those that are not finite None.
    total
        Rows found; None where the rest was not read.
    next_skip
        Where to go on; None if there is nothing more, or the tool cannot.
    shortened
        Columns of which only the beginning is there.
    """

    note: str | None = None
    rows: list[Row] = field(default_factory=list)
    total: int | None = None
    next_skip: int | None = None
    shortened: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the answer as JSON types."""
        return asdict(self)


def page(rows: Sequence[Row], limits: Limits, *, skip: int = 0, limit: int | None = None) -> Answer:
    """Return what fits of a whole result.

    Parameters
    ----------
    rows
        All rows.
    limits
        What fits.
    skip
        Rows to leave out.
    limit
        The limit that the query ran with, if it has one: with as many rows there may be more.
    """
    answer, more = _cut(rows[skip:], limits)
    answer.total = len(rows)
    notes = [_shortened(answer, limits)]
    if more:
        answer.next_skip = skip + len(answer.rows)
        notes.append(
            f"Cut: rows {skip + 1} to {answer.next_skip} of {len(rows)}. Call again with "
            f"skip={answer.next_skip} for the rest, or ask for less."
        )
    elif skip and skip >= len(rows):
        notes.append(f"There are only {len(rows)} rows.")
    if limit is not None and len(rows) >= limit:
        notes.append(f"The limit of {limit} is reached; raise it to see whether there is more.")
    answer.note = " ".join(filter(None, notes)) or None
    return answer


def head(rows: Iterable[Row], limits: Limits) -> Answer:
    """Return the first rows of a result that is read no further than they go."""
    answer, more = _cut(rows, limits)
    notes = [_shortened(answer, limits)]
    if more:
        notes.append(
            f"Cut: these are the first {len(answer.rows)} rows and there are more. Aggregate, or "
            "page with ORDER BY, SKIP and LIMIT in the statement."
        )
    else:
        answer.total = len(answer.rows)
    answer.note = " ".join(filter(None, notes)) or None
    return answer


def encode(value: Any) -> str:
    """Return a plain value as compact JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _cut(rows: Iterable[Row], limits: Limits) -> tuple[Answer, bool]:
    """Return as many rows as fit, and whether there is another."""
    answer, left = Answer(), limits.kib * _KIB
    for row in rows:
        if len(answer.rows) == limits.rows:
            return answer, True
        tidied = _tidy(row)
        size = _size(tidied)
        if size > left and answer.rows:
            return answer, True
        if size > left:
            answer.shortened = _shorten(tidied, left)
            size = left
        answer.rows.append(tidied)
        left -= size
    return answer, False


def _tidy(value: Any) -> Any:
    if isinstance(value, float):
        # JSON has no NaN or infinity, and a model pays for each of seventeen digits.
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _tidy(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    return value


def _size(value: Any) -> int:
    return len(encode(value).encode()) + 1


def _shorten(row: Row, most: int) -> list[str]:
    """Halve the largest list or text of a row until it fits; return the columns concerned.

    Raises
    ------
    UsageError
        The row does not fit even so.
    """
    columns: set[str] = set()
    while _size(row) > most:
        found = max(_parts(row, ()), key=lambda part: part[0], default=None)
        if found is None:
            raise UsageError(
                f"A single row takes more than {most // _KIB} KiB.",
                hint="Return fewer or smaller columns.",
            )
        _, path = found
        container: Any = row
        for step in path[:-1]:
            container = container[step]
        value = container[path[-1]]
        container[path[-1]] = value[: len(value) // 2]
        columns.add(str(path[0]))
    return [name for name in row if name in columns]


def _parts(value: Any, path: tuple[Any, ...]) -> Iterable[tuple[int, tuple[Any, ...]]]:
    """Yield size and place of the lists and texts that can be halved."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _parts(item, (*path, name))
    elif isinstance(value, list) and len(value) == 1:
        yield from _parts(value[0], (*path, 0))
    elif isinstance(value, list | str) and len(value) > _SHORTEST[type(value)]:
        yield _size(value), path


def _shortened(answer: Answer, limits: Limits) -> str | None:
    if not answer.shortened:
        return None
    names = ", ".join(answer.shortened)
    return f"The row takes more than {limits.kib} KiB; shortened: {names}."
