"""Turns the Neo4j driver's exceptions into errors of the atlas."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from atlas.errors import AtlasError, DatabaseError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Codes of statements that the caller wrote wrongly, as opposed to a database in trouble.
_CALLERS_FAULT = (
    "Neo.ClientError.Statement.SyntaxError",
    "Neo.ClientError.Statement.ParameterMissing",
    "Neo.ClientError.Statement.TypeError",
    "Neo.ClientError.Statement.ArgumentError",
    "Neo.ClientError.Statement.EntityNotFound",
    "Neo.ClientError.Statement.ArithmeticError",
    "Neo.ClientError.Procedure.ProcedureNotFound",
)
_READ_ONLY = "Neo.ClientError.Statement.AccessMode"


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, without the rest of a server's dump."""
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    return str(text).strip().splitlines()[0]


def translate(error: Exception, what: str) -> AtlasError:
    """Return the atlas error for an exception of the driver raised while doing `what`."""
    from neo4j.exceptions import AuthError, DriverError, Neo4jError, ServiceUnavailable

    code = getattr(error, "code", None) or ""
    if code == _READ_ONLY:
        return UsageError(
            f"{what}: this connection only reads, and the statement writes.",
            hint="Write to the graph with `atlas load` and `atlas analyse`.",
        )
    if code in _CALLERS_FAULT:
        return UsageError(f"{what}: {first_line(error)}", hint="Correct the statement.")
    if isinstance(error, AuthError):
        return DatabaseError(
            f"{what}: Neo4j refuses the user or the password.",
            hint="Check the credentials given to the atlas.",
        )
    if isinstance(error, ServiceUnavailable):
        return DatabaseError(
            f"{what}: Neo4j does not answer ({first_line(error)}).",
            hint="Start it with `atlas db start` or check the address.",
        )
    if isinstance(error, Neo4jError | DriverError):
        return DatabaseError(f"{what}: {first_line(error)}", hint=f"Neo4j's code: {code or 'none'}")
    raise error


@contextmanager
def database_errors(what: str) -> Iterator[None]:
    """Raise the driver's exceptions within the block as errors of the atlas.

    Parameters
    ----------
    what
        What is being done, and on what; the error's message begins with it.

    Raises
    ------
    UsageError
        The statement is wrong, or writes on a connection that reads.
    DatabaseError
        Everything else that the driver or the server reports.
    """
    from neo4j.exceptions import DriverError, Neo4jError

    try:
        yield
    except (Neo4jError, DriverError) as error:
        raise translate(error, what) from error
