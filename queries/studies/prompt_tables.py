"""Tables of facts, prompts and documents, as the prompts of a study."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from atlas.errors import CorpusError, UsageError
from queries.followups.lab import PromptText

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    Row = dict[str, str]

CONCEPT, CONTROL = "concept", "control"
"""Groups of a concept study's prompts."""

#: Rows that an error names.
_NAMED = 5


def task_prompts(
    table: Path,
    *,
    templates: Sequence[str],
    answer: str,
    name: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Make a prompt of each row and template; wrong answers are the other rows' answers.

    Parameters
    ----------
    table
        A .csv, .jsonl or .parquet file.
    templates, answer, name
        Texts with ``{column}`` in braces. The answer begins with its space. Without a name a
        prompt is called by its row, from 0.
    limit
        Rows that are read.

    Returns
    -------
    dict
        `prompts`: tuple of `PromptText`, group = the answer.

    Raises
    ------
    CorpusError
        The file cannot be read, lacks a column, has an empty cell, two rows have one name, or all
        have one answer.
    """
    rows = read_rows(table, limit=limit)
    needed = {field for text in (*templates, answer, name or "") for field in _fields(text)}
    _check(rows, needed, table)
    answers = list(dict.fromkeys(answer.format(**row) for row in rows))
    if len(answers) < 2:
        raise CorpusError(f"All rows of {table} have the answer {answers[0]!r}.")
    prompts = []
    for number, row in enumerate(rows):
        right = answer.format(**row)
        foils = tuple(other for other in answers if other != right)
        called = name.format(**row) if name else str(number)
        for k, template in enumerate(templates):
            prompts.append(
                PromptText(
                    id=f"{called} ({k})" if len(templates) > 1 else called,
                    prompt=template.format(**row),
                    answer=right,
                    foils=foils,
                    group=right.strip(),
                )
            )
    return {"prompts": _unique(prompts, table)}


def concept_prompts(table: Path, *, limit: int | None = None) -> dict[str, Any]:
    """Read prompts that have a concept, and others that do not.

    Parameters
    ----------
    table
        A .csv, .jsonl or .parquet file with the columns `id`, `set` (``concept`` or ``control``)
        and `prompt`, and perhaps `term` (a text in the prompt), `answer`, and `match` (id of the
        prompt of the other set that it goes with).
    limit
        Rows that are read.

    Returns
    -------
    dict
        `prompts` (group = set), `terms` (id to term), `matches` (concept's id to control's).

    Raises
    ------
    CorpusError
        The file cannot be read or lacks a column, a set is empty or unknown, two prompts have one
        id, a term is not in its prompt, or a match is not of the other set.
    """
    rows = read_rows(table, limit=limit)
    _check(rows, {"id", "set", "prompt"}, table)
    sets = {row["id"]: row["set"] for row in rows}
    wrong = sorted({*sets.values()} ^ {CONCEPT, CONTROL})
    if wrong:
        raise CorpusError(f"{table}: the column set must hold {CONCEPT} and {CONTROL} ({wrong}).")
    terms = {row["id"]: row["term"] for row in rows if row.get("term")}
    lost = [row["id"] for row in rows if terms.get(row["id"], "") not in row["prompt"]]
    if lost:
        raise CorpusError(f"{table}: the term is not in the prompt of {_some(lost)}.")
    matches = {row["id"]: row["match"] for row in rows if row.get("match")}
    astray = [one for one, other in matches.items() if sets.get(other, sets[one]) == sets[one]]
    if astray and limit is None:
        raise CorpusError(f"{table}: the match of {_some(astray)} is no prompt of the other set.")
    prompts = [
        PromptText(
            id=row["id"], prompt=row["prompt"], answer=row.get("answer") or None, group=row["set"]
        )
        for row in rows
    ]
    pairs = {a: b for a, b in matches.items() if sets[a] == CONCEPT and b in sets}
    return {"prompts": _unique(prompts, table), "terms": terms, "matches": pairs}


def document_prompts(
    concept: Path, control: Path, *, column: str = "text", limit: int | None = None
) -> dict[str, Any]:
    """Read documents about a concept, and others, as prompts; see `concept_prompts`."""
    prompts = []
    for group, table in ((CONCEPT, concept), (CONTROL, control)):
        rows = read_rows(table, limit=limit)
        _check(rows, {column}, table)
        prompts += [
            PromptText(id=f"{group}-{number}", prompt=row[column], group=group)
            for number, row in enumerate(rows)
        ]
    return {"prompts": tuple(prompts), "terms": {}, "matches": {}}


def read_rows(table: Path, *, limit: int | None = None) -> list[Row]:
    """Read a table as texts; raises `CorpusError` or `UsageError` where it cannot be read."""
    import pandas as pd

    readers = {
        ".csv": lambda: pd.read_csv(table, dtype=str, keep_default_na=False),
        ".jsonl": lambda: pd.read_json(table, lines=True, dtype=False),
        ".parquet": lambda: pd.read_parquet(table),
    }
    reader = readers.get(table.suffix.lower())
    if reader is None:
        raise UsageError(
            f"{table} is of a type that is not read.", hint=f"Types: {', '.join(readers)}."
        )
    try:
        frame = reader()
    except (OSError, ValueError) as error:
        raise CorpusError(f"{table} cannot be read: {error}.") from error
    if frame.empty:
        raise CorpusError(f"{table} has no row.")
    rows = frame.head(limit).to_dict("records") if limit else frame.to_dict("records")
    return [{str(key): _text(value) for key, value in row.items()} for row in rows]


def _text(value: Any) -> str:
    import pandas as pd

    return "" if value is None or value is pd.NA or value != value else str(value)  # noqa: PLR0124


def _fields(text: str) -> list[str]:
    return [field for _, field, _, _ in string.Formatter().parse(text) if field]


def _check(rows: Sequence[Row], needed: set[str], table: Path) -> None:
    missing = sorted(needed - rows[0].keys())
    if missing:
        raise CorpusError(
            f"{table} has no column {missing[0]!r}.", hint=f"It has {', '.join(rows[0])}."
        )
    empty = [number for number, row in enumerate(rows) if not all(row[name] for name in needed)]
    if empty:
        raise CorpusError(f"{table}: a cell is empty in row {_some(empty)} (the first is 0).")


def _unique(prompts: Sequence[PromptText], table: Path) -> tuple[PromptText, ...]:
    seen, twice = set(), []
    for prompt in prompts:
        twice += [prompt.id] if prompt.id in seen else []
        seen.add(prompt.id)
    if twice:
        raise CorpusError(f"{table}: two prompts are called {_some(twice)}.")
    return tuple(prompts)


def _some(names: Sequence[Any]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(str, names[:_NAMED])) + more
