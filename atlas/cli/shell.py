"""The Cypher prompts: of ``atlas db shell``, and what it shares with ``atlas shell``."""

from __future__ import annotations

import re
import sys
import time
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from atlas.cli.output import print_json, print_table
from atlas.errors import AtlasError
from atlas.graph.failures import database_errors
from atlas.graph.reader import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neo4j import Driver

_TABLE_ROWS = 1000
_COMMENTS = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_HELP = """\
Write Cypher and end it with a semicolon; it may take several lines.
  :help    this text
  :clear   forget the lines typed since the last semicolon
  :exit    leave (so does Ctrl-D)
"""


class StatementReader:
    """Collects lines into statements.

    A statement ends at a semicolon outside of quoted text, quoted names and comments.
    """

    def __init__(self) -> None:
        self._text = ""
        self._within = ""

    @property
    def pending(self) -> str:
        """What has been read since the last statement's end, stripped."""
        return self._text.strip()

    @property
    def blank(self) -> bool:
        """Whether nothing is pending but comments."""
        return not self._within and not _COMMENTS.sub("", self._text).strip()

    def clear(self) -> None:
        """Forget what is pending."""
        self._text = self._within = ""

    def feed(self, line: str) -> Iterator[str]:
        """Take one line, with its line end, and yield the statements that end in it."""
        position = 0
        while position < len(line):
            step = self._step(line, position)
            piece = line[position : position + step]
            position += step
            if piece == ";" and not self._within:
                statement = self.pending
                self.clear()
                if statement:
                    yield statement
            else:
                self._text += piece

    def _step(self, line: str, position: int) -> int:
        """Return how many characters belong together at `position`; note what they open or end."""
        one, two = line[position], line[position : position + 2]
        if not self._within:
            if two in ("//", "/*"):
                self._within = two
                return 2
            if one in "'\"`":
                self._within = one
            return 1
        if self._within == "/*":
            if two == "*/":
                self._within = ""
                return 2
        elif self._within == "//":
            if one == "\n":
                self._within = ""
        elif one == "\\" and self._within != "`":
            return 2
        elif one == self._within:
            self._within = ""
        return 1


class PromptShell:
    """Reads statements and commands from text or a terminal; subclasses run them."""

    help_text = _HELP
    _left = False

    def run(self, statement: str) -> None:
        """Run one statement and print what it returns."""
        raise NotImplementedError

    def command(self, line: str) -> bool:  # noqa: ARG002
        """Obey a line that is no Cypher; False if it is Cypher."""
        return False

    def run_text(self, text: str) -> None:
        """Run all statements of `text`; the last needs no semicolon.

        Raises
        ------
        AtlasError
            A statement failed; those after it are not run.
        """
        reader = StatementReader()
        for line in (text + "\n;").splitlines(keepends=True):
            if reader.blank and self._own(line, reader):
                if self._left:
                    return
            else:
                for statement in reader.feed(line):
                    self.run(statement)
        if reader.pending:
            # A quote or comment that nothing ends: the server says it best.
            self.run(reader.pending)

    def interact(self) -> None:
        """Read statements from the terminal until its user leaves; errors do not end it."""
        _enable_line_editing()
        reader = StatementReader()
        while not self._left:
            try:
                line = input("  ... " if reader.pending else "atlas> ")
            except EOFError:
                sys.stdout.write("\n")
                return
            except KeyboardInterrupt:
                reader.clear()
                sys.stdout.write("\n")
                continue
            self._try(line + "\n", reader)

    def _own(self, line: str, reader: StatementReader) -> bool:
        """Obey a line that is a command of the prompt itself, or of a subclass."""
        word = line.strip().rstrip(";").lower()
        if word in (":exit", ":quit", "exit", "quit"):
            self._left = True
        elif word == ":help":
            sys.stdout.write(self.help_text)
        elif word == ":clear":
            reader.clear()
        else:
            return self.command(line.strip())
        return True

    def _try(self, line: str, reader: StatementReader) -> None:
        try:
            if (reader.blank or line.strip() == ":clear") and self._own(line, reader):
                return
            for statement in reader.feed(line):
                self.run(statement)
        except AtlasError as error:
            sys.stdout.write(f"{error}\n")
        except KeyboardInterrupt:
            sys.stdout.write("interrupted\n")


class Shell(PromptShell):
    """Runs any statements and prints their rows to stdout.

    Parameters
    ----------
    driver
        An open driver.
    database
        The database to run in.
    as_json
        Print one JSON array of rows for each statement instead of tables.
    """

    def __init__(self, driver: Driver, database: str, *, as_json: bool = False) -> None:
        self.driver = driver
        self.database = database
        self.as_json = as_json

    def run(self, statement: str) -> None:
        """Run one statement in a transaction of its own and print what it returns."""
        begun = time.monotonic()
        # An implicit transaction, because CALL { ... } IN TRANSACTIONS needs one.
        with (
            database_errors("Cypher"),
            self.driver.session(database=self.database) as session,
        ):
            result = session.run(statement)
            columns = result.keys()
            limit = None if self.as_json else _TABLE_ROWS
            rows = [_row(columns, record.values()) for record in islice(result, limit)]
            more = result.peek() is not None
            summary = result.consume()
        if self.as_json:
            print_json(rows)
            return
        if columns:
            print_table(rows)
        changes = _changes(summary.counters)
        count = f"{len(rows)} row" if len(rows) == 1 else f"{len(rows)} rows"
        shown = f"first {count}, there are more" if more else count
        parts = [shown if columns else "", *changes, f"{time.monotonic() - begun:.2f} s"]
        sys.stdout.write(", ".join(part for part in parts if part) + "\n")


def _row(columns: tuple[str, ...] | list[str], values: list[Any]) -> dict[str, Any]:
    return {key: plain(value) for key, value in zip(columns, values, strict=True)}


def _changes(counters: Any) -> list[str]:
    """Return what a statement changed, such as ``2 nodes created``."""
    return [
        f"{count} {name.replace('_', ' ')}"
        for name, count in vars(counters).items()
        if isinstance(count, int) and not isinstance(count, bool) and count
    ]


def _enable_line_editing() -> None:
    with suppress(ImportError):
        import readline  # noqa: F401  (importing it gives `input` a history)
