"""Errors that the atlas raises for conditions a user can act on.

Every message says what failed, on what, and what to do next. The command line turns an
`AtlasError` into one line on stderr and its `exit_code`; it never shows a traceback for one.
"""

from __future__ import annotations


class AtlasError(Exception):
    """Base of all errors that a user can act on.

    Parameters
    ----------
    message
        What failed, and on what.
    hint
        What to do next, one sentence. Appended to the message.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = message
        self.hint = hint
        super().__init__(f"{message} {hint}" if hint else message)


class UsageError(AtlasError):
    """The call itself is wrong: an unknown name, a bad value, a missing argument."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe file has an unknown key, a wrong type or an impossible value."""


class CorpusError(AtlasError):
    """Text that cannot be read, or that holds nothing to read."""


class ModelError(AtlasError):
    """A language model or SAE that cannot be loaded, or that do not belong together."""


class ArtifactError(AtlasError):
    """A file between two stages is missing, truncated, altered, or of another format version."""


class DatabaseError(AtlasError):
    """Neo4j cannot be reached, refuses the credentials, or lacks what the atlas needs."""


class ServerError(AtlasError):
    """The managed Neo4j server cannot be installed, started or stopped."""


class NotFoundError(UsageError):
    """A name (feature, run, query, model) that the atlas does not know."""


class BudgetError(UsageError):
    """A query took more seconds, rows or memory than it was allowed; nothing was changed."""
