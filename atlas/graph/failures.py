"""Turns the Neo4j driver's exceptions into errors of the atlas."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from atlas.errors import AtlasError, BudgetError, DatabaseError, UsageError

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
_NO_INDEX = re.compile(r"no such (?:fulltext|vector) schema index: (\w+)")
# What the server says of a transaction that it ended because of a limit, by part of the code.
_BUDGET = {
    "TransactionTimedOut": ("it took longer than it may", "raise the time-out"),
    "MemoryPoolOutOfMemory": (
        "the server has no memory left for it",
        "raise its db.memory.transaction.max",
    ),
    "TransactionOutOfMemory": (
        "it took more of the server's memory than it may",
        "raise its db.memory.transaction.max",
    ),
}
# What a member of a cluster answers that cannot do what it is asked, by part of the code.
_CLUSTER = {
    "Cluster.NotALeader": (
        "this member of the cluster does not write",
        "Write the address with neo4j:// in place of bolt://, so that writes find the leader.",
    ),
    "ForbiddenOnReadOnlyDatabase": (
        "this member of the cluster, or the database, only reads",
        "Write the address with neo4j:// in place of bolt://, so that writes find the leader.",
    ),
    "BookmarkTimeout": (
        "a member of the cluster lags behind what was written before",
        "Run the same command again in a while; `SHOW DATABASES` tells which member lags.",
    ),
    "Database.DatabaseNotFound": (
        "there is no database of that name",
        "Set NEO4J_DATABASE to one of those that SHOW DATABASES lists.",
    ),
    "Database.DatabaseUnavailable": (
        "the database is not started",
        "Start it with START DATABASE, or wait until its server has recovered.",
    ),
}


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, without the rest of a server's dump."""
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    return str(text).strip().splitlines()[0]


def translate(error: Exception, what: str) -> AtlasError:
    """Return the atlas error for an exception of the driver raised while doing `what`."""
    from neo4j.exceptions import DriverError, Neo4jError

    code = getattr(error, "code", None) or ""
    if code == _READ_ONLY:
        return UsageError(
            f"{what}: this connection only reads, and the statement writes.",
            hint="Write to the graph with `atlas load` and `atlas analyse`.",
        )
    if code in _CALLERS_FAULT:
        return UsageError(f"{what}: {first_line(error)}", hint="Correct the statement.")
    lacks = _NO_INDEX.search(first_line(error))
    if lacks:
        return DatabaseError(
            f"{what}: the database has no index {lacks[1]}; its schema is older than this atlas.",
            hint="`atlas verify --repair` brings it up to date.",
        )
    over = next((found for part, found in _BUDGET.items() if part in code), None)
    if over:
        return BudgetError(
            f"{what}: {over[0]} ({first_line(error)}).",
            hint=f"Ask for less (a limit, fewer hops), or {over[1]}.",
        )
    if isinstance(error, Neo4jError | DriverError):
        return _database_error(error, code, what)
    raise error


def _database_error(error: Exception, code: str, what: str) -> DatabaseError:
    """Return the error for a server that cannot do what it was asked, or cannot be reached."""
    from neo4j.exceptions import AuthError, Neo4jError, ServiceUnavailable, SessionExpired

    said = first_line(error)
    problem, hint = said, f"Neo4j's code: {code or 'none'}"
    known = next((found for part, found in _CLUSTER.items() if part in code), None)
    if known:
        problem, hint = f"{known[0]} ({said}).", known[1]
    elif isinstance(error, AuthError):
        problem = "Neo4j refuses the user or the password."
        hint = "Check the credentials given to the atlas."
    elif isinstance(error, ServiceUnavailable):
        problem = f"Neo4j does not answer ({said})."
        hint = "Start it with `atlas db start` or check the address."
    elif isinstance(error, SessionExpired):
        problem = f"the connection was lost, or the cluster has no leader ({said})."
        hint = "Run the same command again in a while."
    elif isinstance(error, Neo4jError) and error.is_retryable():
        problem = f"{said} ({code})"
        hint = "It was tried several times; run the same command again."
    return DatabaseError(f"{what}: {problem}", hint=hint)


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
    BudgetError
        The server ended the transaction for its time or memory.
    DatabaseError
        Everything else that the driver or the server reports.
    """
    from neo4j.exceptions import DriverError, Neo4jError

    try:
        yield
    except (Neo4jError, DriverError) as error:
        raise translate(error, what) from error
