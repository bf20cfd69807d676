"""What is said when a server, or a member of a cluster, cannot do what it is asked."""

from __future__ import annotations

import pytest
from neo4j.exceptions import Neo4jError, ServiceUnavailable, SessionExpired

from atlas.errors import DatabaseError, UsageError
from atlas.graph.failures import database_errors, translate


def answer(code: str, message: str = "said the server") -> Neo4jError:
    """Return the driver's exception for an answer of the server."""
    return Neo4jError._hydrate_neo4j(code=code, message=message)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("Neo.ClientError.Cluster.NotALeader", "does not write.*neo4j:// in place of bolt://"),
        ("Neo.ClientError.General.ForbiddenOnReadOnlyDatabase", "only reads.*neo4j://"),
        ("Neo.TransientError.Transaction.BookmarkTimeout", "lags behind.*again in a while"),
        ("Neo.ClientError.Database.DatabaseNotFound", "no database.*NEO4J_DATABASE"),
        ("Neo.TransientError.Database.DatabaseUnavailable", "not started"),
        ("Neo.TransientError.Transaction.DeadlockDetected", "tried several times"),
        ("Neo.ClientError.Security.Unauthorized", "refuses the user"),
        ("Neo.DatabaseError.General.UnknownError", "Neo4j's code: Neo.DatabaseError"),
    ],
)
def test_answers_of_a_server(code: str, message: str) -> None:
    error = translate(answer(code), "Loading x")
    assert isinstance(error, DatabaseError)
    with (
        pytest.raises(DatabaseError, match=rf"^Loading x: .*{message}"),
        database_errors("Loading x"),
    ):
        raise answer(code)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ServiceUnavailable("gone"), r"does not answer \(gone\)"),
        (SessionExpired("no leader"), "cluster has no leader"),
    ],
)
def test_lost_connections(error: Exception, message: str) -> None:
    with pytest.raises(DatabaseError, match=message), database_errors("Loading x"):
        raise error


def test_a_wrong_statement_is_the_callers() -> None:
    error = translate(answer("Neo.ClientError.Statement.SyntaxError", "bad\nmore"), "Cypher")
    assert isinstance(error, UsageError)
    assert str(error) == "Cypher: bad Correct the statement."
    error = translate(answer("Neo.ClientError.Statement.AccessMode"), "Cypher")
    assert isinstance(error, UsageError)


def test_other_exceptions_pass() -> None:
    with pytest.raises(KeyError), database_errors("x"):
        raise KeyError("mine")
