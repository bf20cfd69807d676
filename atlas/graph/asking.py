"""Questions to the graph as generators, so that one text serves sync and async callers.

A function that needs the database yields a `Request` and is sent the rows; what it returns is the
answer. `ask` and `ask_async` run such a generator against a reader. The function itself knows
nothing of drivers and waits.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from atlas.graph.reader import Row

if TYPE_CHECKING:
    from atlas.graph.async_reader import AsyncReader
    from atlas.graph.reader import Reader

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """A statement that a question wants run.

    Attributes
    ----------
    text
        One Cypher statement that only reads.
    parameters
        Values of its parameters.
    what
        Name of the work, for error messages.
    """

    text: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    what: str = "query"


Question: TypeAlias = Generator[Request, list[Row], T]
"""Yields requests, is sent their rows, returns the answer."""


def ask(reader: Reader, question: Question[T]) -> T:
    """Run a question and return its answer.

    Raises
    ------
    AtlasError
        What the question raises, and what `Reader.read` does.
    """
    try:
        request = next(question)
        while True:
            rows = reader.read(request.text, request.parameters, what=request.what)
            request = question.send(rows)
    except StopIteration as end:
        answer: T = end.value
        return answer


async def ask_async(reader: AsyncReader, question: Question[T]) -> T:
    """Run a question over an async reader and return its answer; raises as `ask` does."""
    try:
        request = next(question)
        while True:
            rows = await reader.read(request.text, request.parameters, what=request.what)
            request = question.send(rows)
    except StopIteration as end:
        answer: T = end.value
        return answer
