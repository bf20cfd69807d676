"""Which Neo4j the atlas talks to, and the driver for it."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any, TypeVar

from atlas.errors import DatabaseError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neo4j import AsyncDriver, Driver

T = TypeVar("T")

_SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
_CONNECT_SECONDS = 15.0
# A connection that was idle for longer is asked for a sign of life: load balancers in front of a
# cluster drop idle ones without a word.
_IDLE_SECONDS = 30.0
_SILENCE = logging.NullHandler()

RETRY_SECONDS = 30.0
"""How long a transaction is repeated after transient errors."""


@dataclass(frozen=True)
class ConnectionSettings:
    """How to reach a Neo4j database.

    Attributes
    ----------
    uri
        Address, such as ``bolt://127.0.0.1:7687`` or ``neo4j+s://<id>.databases.neo4j.io``.
        ``bolt`` speaks with that one server; ``neo4j`` asks it for the members of its cluster,
        writes to the leader and reads from the others. ``+s`` is TLS with a certificate that
        the machine trusts, ``+ssc`` TLS with any certificate.
    username, password
        Credentials; the password is never part of the representation.
    database
        Name of the database.
    source
        Where the settings came from: ``arguments``, ``environment`` or ``managed server``.
    """

    uri: str
    username: str
    password: str = field(repr=False)
    database: str = "neo4j"
    source: str = "arguments"


def resolve_connection(
    *,
    uri: str | None = None,
    username: str | None = None,
    password: str | None = None,
    database: str | None = None,
    home: str | Path | None = None,
) -> ConnectionSettings:
    """Return the settings of the database to use.

    Arguments win over the environment (``NEO4J_URI``, ``NEO4J_USERNAME``, ``NEO4J_PASSWORD``,
    ``NEO4J_DATABASE``). Where neither names an address, it is the managed server of `home`; its
    user and password are then its own.

    Raises
    ------
    DatabaseError
        No address is given and the managed server is not running, or no password is given.
    UsageError
        The address has no scheme that Neo4j's driver knows.
    """
    address = uri or os.environ.get("NEO4J_URI")
    database = database or os.environ.get("NEO4J_DATABASE")
    if not address:
        from atlas.graph.server import ManagedServer

        return ManagedServer(home).connection(database=database)
    scheme, separator, _ = address.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise UsageError(
            f"{address!r} is not the address of a Neo4j database.",
            hint="Write one such as neo4j://host:7687, or neo4j+s://host for TLS.",
        )
    rest = separator and address.partition("://")[2]
    if "@" in rest.partition("/")[0] or (rest.count("?") and scheme.startswith("bolt")):
        raise UsageError(
            "The address of Neo4j has a user, a password or parameters in it.",
            hint="Give the user and password by NEO4J_USERNAME and NEO4J_PASSWORD.",
        )
    password = password or os.environ.get("NEO4J_PASSWORD")
    if not password:
        raise DatabaseError(
            f"No password is given for {address}.", hint="Set NEO4J_PASSWORD (and NEO4J_USERNAME)."
        )
    return ConnectionSettings(
        uri=address,
        username=username or os.environ.get("NEO4J_USERNAME") or "neo4j",
        password=password,
        database=database or "neo4j",
        source="arguments" if uri else "environment",
    )


def connect(settings: ConnectionSettings) -> Driver:
    """Return a driver for `settings` that has answered a query. The caller closes it.

    Raises
    ------
    DatabaseError
        The server cannot be reached, refuses the credentials, speaks TLS where the address does
        not (or the reverse), or has no such database.
    """
    from neo4j import GraphDatabase
    from neo4j.exceptions import DriverError, Neo4jError

    from atlas.graph.sessions import open_session

    driver = _made(GraphDatabase.driver, settings)
    try:
        # A single attempt: where nobody answers, that is to be said at once.
        with open_session(driver, settings.database, read_only=True) as session:
            session.run("RETURN 1").consume()
    except (DriverError, Neo4jError, OSError, ValueError) as error:
        driver.close()
        raise _explain(error, settings) from error
    except BaseException:
        driver.close()
        raise
    return driver


async def connect_async(settings: ConnectionSettings) -> AsyncDriver:
    """Return an async driver for `settings` that has answered a query; see `connect`."""
    from neo4j import READ_ACCESS, AsyncGraphDatabase
    from neo4j.exceptions import DriverError, Neo4jError

    driver = _made(AsyncGraphDatabase.driver, settings)
    try:
        async with driver.session(
            database=settings.database, default_access_mode=READ_ACCESS
        ) as session:
            await (await session.run("RETURN 1")).consume()
    except (DriverError, Neo4jError, OSError, ValueError) as error:
        await driver.close()
        raise _explain(error, settings) from error
    except BaseException:
        await driver.close()
        raise
    return driver


def _made(make: Callable[..., T], settings: ConnectionSettings) -> T:
    """Return a driver; what its package refuses about the settings is an error of ours."""
    from neo4j.exceptions import DriverError

    try:
        return make(settings.uri, **_options(settings))
    except (DriverError, ValueError, TypeError) as error:
        raise _explain(error, settings) from error


def _options(settings: ConnectionSettings) -> dict[str, Any]:
    from neo4j import NotificationMinimumSeverity

    # Else the driver's warnings reach stderr wherever an application has no logging of its own.
    logging.getLogger("neo4j").addHandler(_SILENCE)
    return {
        "auth": (settings.username, settings.password),
        "connection_timeout": _CONNECT_SECONDS,
        "connection_acquisition_timeout": 4 * _CONNECT_SECONDS,
        "max_transaction_retry_time": RETRY_SECONDS,
        "liveness_check_timeout": _IDLE_SECONDS,
        "user_agent": user_agent(),
        # Notes such as "label does not exist" on an empty database; the driver would print them.
        "notifications_min_severity": NotificationMinimumSeverity.OFF,
    }


def user_agent() -> str:
    """Return the name and version that the server's log shows for connections of the atlas."""
    try:
        return f"sae-feature-atlas/{metadata.version('sae-feature-atlas')}"
    except metadata.PackageNotFoundError:
        return "sae-feature-atlas/unknown"


def is_final(error: DatabaseError) -> bool:
    """Return whether waiting does not help: the server answered, and refused."""
    from neo4j.exceptions import Neo4jError

    cause = error.__cause__
    if not isinstance(cause, Neo4jError) or "Unavailable" in (cause.code or ""):
        return False
    return not cause.is_retryable()


def _explain(error: Exception, settings: ConnectionSettings) -> DatabaseError:
    """Turn what the driver raised for the first query into one message."""
    from neo4j.exceptions import AuthError, Neo4jError

    where = f"{settings.uri} ({settings.source})"
    code = (error.code if isinstance(error, Neo4jError) else None) or ""
    if "CredentialsExpired" in code:
        return DatabaseError(
            f"The password of {settings.username} at {where} has expired.",
            hint="Change it in Neo4j Browser, then set NEO4J_PASSWORD to the new one.",
        )
    if "AuthenticationRateLimit" in code:
        return DatabaseError(
            f"{where} refuses logins for a while after too many wrong passwords.",
            hint="Wait a few seconds, then use the right NEO4J_PASSWORD.",
        )
    if isinstance(error, AuthError):
        return DatabaseError(
            f"{where} refuses the password of the user {settings.username!r}.",
            hint=(
                "Write the password it has into its password file, which `atlas db status` names."
                if settings.source == "managed server"
                else "Set NEO4J_USERNAME and NEO4J_PASSWORD to those of that server."
            ),
        )
    if "DatabaseNotFound" in code:
        return DatabaseError(
            f"{where} has no database {settings.database!r}.",
            hint="Set NEO4J_DATABASE to one of those that SHOW DATABASES lists.",
        )
    if isinstance(error, Neo4jError):
        return DatabaseError(f"{where} answers with an error: {error.message}.")
    return _explain_transport(error, where)


def _explain_transport(error: Exception, where: str) -> DatabaseError:
    """Say why no conversation in Bolt came about."""
    chain = _causes(error)
    text = " ".join(str(part) for part in chain)
    encrypted = "+s" in where.partition("://")[0]
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return DatabaseError(
            f"The TLS certificate of {where} is not trusted.",
            hint="For a self-signed certificate write bolt+ssc:// or neo4j+ssc://.",
        )
    if "looks like HTTP" in text:
        return DatabaseError(
            f"The port of {where} is one for web browsers.",
            hint="Use the port of Bolt, 7687 at most servers.",
        )
    # The async driver is told of a reset connection only, and calls it a security error.
    if encrypted and ("SSL" in text or "establish encrypted connection" in text):
        return DatabaseError(
            f"{where} does not speak TLS, which its address asks for.",
            hint="Write bolt:// or neo4j:// without +s, or turn TLS on at the server.",
        )
    if "handshake" in text:
        return DatabaseError(
            f"{where} closes the connection before it says anything.",
            hint=(
                "Check that the address and port are those of a Neo4j."
                if encrypted
                else "It may want TLS (write bolt+s:// or neo4j+s://), or not be a Neo4j."
            ),
        )
    reason = getattr(chain[-1], "strerror", None) or str(chain[-1]) or type(error).__name__
    return DatabaseError(
        f"No Neo4j answers at {where}: {reason.splitlines()[0].rstrip(':')}.",
        hint="Check that it runs, and that the address and port are right.",
    )


def _causes(error: BaseException) -> list[BaseException]:
    """Return `error` and what caused it, the deepest last; of a group its first member counts."""
    chain = [error]
    while True:
        inner = error.__cause__ or error.__context__
        if isinstance(error, BaseExceptionGroup):
            inner = error.exceptions[0]
        if inner is None or inner in chain:
            return chain
        chain.append(inner)
        error = inner
