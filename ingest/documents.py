"""Documents, what was wrong with the others, and the corpus that holds both."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

from atlas.errors import CorpusError


@dataclass(frozen=True)
class Document:
    """One text.

    Attributes
    ----------
    id
        Unique in its corpus and the same whenever the corpus is read again.
    text
        Never empty.
    domain
        Label such as ``cardiology``, where there is one.
    source
        Where the text comes from: the file, unless a column ``source`` says more.
    title
        Heading, where there is one.
    """

    id: str
    text: str
    domain: str | None = None
    source: str | None = None
    title: str | None = None


@dataclass(frozen=True)
class Problem:
    """Something that could not be read.

    Attributes
    ----------
    where
        ``FILE`` or ``FILE:ROW``; rows are lines (text formats) or row numbers (Parquet),
        both from 1.
    what
        The kind of problem, in a few words; problems are counted by it.
    detail
        What exactly, or what to do; may be empty.
    """

    where: str
    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" ({self.detail})" if self.detail else "")


class Corpus(Sequence[Document]):
    """Documents in a fixed order, with what was skipped on the way.

    Parameters
    ----------
    name
        Name of the corpus; the first part of every document key in the graph.
    documents
        The documents, whose ids differ.
    problems
        What could not be read.

    Raises
    ------
    CorpusError
        There is no document at all, or two have one id.
    """

    def __init__(
        self, name: str, documents: Iterable[Document], *, problems: Iterable[Problem] = ()
    ) -> None:
        self.name = name
        self.documents = tuple(documents)
        self.problems = tuple(problems)
        if not self.documents:
            found = f" {self.summary(examples=5)}" if self.problems else ""
            raise CorpusError(
                f"Corpus {name!r} has no document.{found}",
                hint="Give files of type .txt, .jsonl, .parquet or .csv with a text in each row.",
            )
        ids = Counter(document.id for document in self.documents)
        repeated = [identifier for identifier, count in ids.items() if count > 1]
        if repeated:
            raise CorpusError(f"Corpus {name!r} has several documents {repeated[0]!r}.")

    def __len__(self) -> int:
        return len(self.documents)

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Document, ...]: ...
    def __getitem__(self, index: int | slice) -> Document | tuple[Document, ...]:
        return self.documents[index]

    def __repr__(self) -> str:
        return f"Corpus({self.name!r}, {len(self)} documents, {len(self.problems)} problems)"

    @cached_property
    def sha256(self) -> str:
        """Hash over the documents' ids, texts and domains in order, as hex."""
        digest = hashlib.sha256()
        for document in self.documents:
            for part in (document.id, document.text, document.domain):
                # Lengths keep "ab" + "c" and "a" + "bc" apart; -1 stands for no domain.
                data = b"" if part is None else part.encode()
                digest.update(f"{-1 if part is None else len(data)}:".encode())
                digest.update(data)
        return digest.hexdigest()

    @property
    def problem_counts(self) -> dict[str, int]:
        """Number of problems of each kind, the most frequent first."""
        return dict(Counter(problem.what for problem in self.problems).most_common())

    @property
    def domains(self) -> dict[str, int]:
        """Number of documents of each domain, by name; documents without one are left out."""
        counts = Counter(d.domain for d in self.documents if d.domain is not None)
        return dict(sorted(counts.items()))

    def summary(self, examples: int = 2) -> str:
        """One line on what was skipped.

        For example ``12 of 300 rows or files skipped: 7 empty text (a.jsonl:3, a.jsonl:9, ...),
        5 malformed JSON (b.jsonl:2, ...).``

        Parameters
        ----------
        examples
            Places named for each kind of problem.
        """
        skipped, total = len(self.problems), len(self.problems) + len(self.documents)
        if not skipped:
            return f"{total} documents, none skipped."
        kinds = []
        for what, count in self.problem_counts.items():
            hits = [problem for problem in self.problems if problem.what == what]
            places = [_place(problem) for problem in hits[:examples]]
            places += ["..."] if count > examples else []
            kinds.append(f"{count} {what}" + (f" ({', '.join(places)})" if places else ""))
        return f"{skipped} of {total} rows or files skipped: {', '.join(kinds)}."


def _place(problem: Problem) -> str:
    return f"{problem.where}: {problem.detail}" if problem.detail else problem.where
