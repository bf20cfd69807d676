"""Graph Data Science on machines of Neo4j Aura, for graphs that outgrow one server's memory.

A session is a machine of a chosen size that is paid for while it lives. It reads a graph from the
database (remote projection), or is handed one as arrays, runs the algorithms, and is deleted.
The database must have the procedures of remote projection, as AuraDB has and Neo4j Enterprise may
have. Others, the managed server among them, hand the graph over: see `send_network`.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from atlas.analysis.remote import remote_projection
from atlas.errors import DatabaseError, UsageError
from atlas.graph.reader import DriverReader
from atlas.graph.sessions import bookmarks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import neo4j

    from atlas.analysis.network import Network
    from atlas.graph.connection import ConnectionSettings

_AURA_HOST = ".databases.neo4j.io"
_CATEGORIES = ("centrality", "community-detection")
_START_SECONDS = 900
_PROTOCOL = "gds.session.dbms.protocol.version"
_REMOTE = f"SHOW PROCEDURES YIELD name WHERE name = '{_PROTOCOL}' RETURN count(*) AS n"
RELATIONSHIP = "JOINS"
"""Type of the relationships of a graph that is handed over."""


@dataclass(frozen=True)
class AuraCredentials:
    """A client of the Aura API, as its console makes them.

    Attributes
    ----------
    client_id, client_secret
        Name and secret of the client; the secret is never part of the representation.
    project_id
        Project to make sessions in; needed where the client has several.
    """

    client_id: str
    client_secret: str = field(repr=False)
    project_id: str | None = None


def aura_credentials(
    client_id: str | None = None, client_secret: str | None = None, project_id: str | None = None
) -> AuraCredentials:
    """Return the credentials given, else those of the environment.

    The variables are ``AURA_CLIENT_ID``, ``AURA_CLIENT_SECRET`` and ``AURA_PROJECT_ID``.

    Raises
    ------
    UsageError
        The name or the secret is missing.
    """
    name = client_id or os.environ.get("AURA_CLIENT_ID")
    secret = client_secret or os.environ.get("AURA_CLIENT_SECRET")
    if not name or not secret:
        raise UsageError(
            "A session of Aura Graph Analytics needs credentials of the Aura API.",
            hint="Make them in Aura's console; set AURA_CLIENT_ID and AURA_CLIENT_SECRET.",
        )
    return AuraCredentials(name, secret, project_id or os.environ.get("AURA_PROJECT_ID"))


class SessionVersion(NamedTuple):
    """What is recorded as the version: sessions do not tell theirs."""

    major: str
    minor: str
    patch: str


class _Projections:
    """``graph.project`` of a session, with the call of the plugin's client."""

    def __init__(self, catalog: Any) -> None:
        self._catalog = catalog

    def cypher(self, query: str, /, **params: Any) -> Any:
        """Project remotely what `query` would project inside the server.

        Parameters
        ----------
        query
            Cypher that ends with ``RETURN gds.graph.project(...)``.
        **params
            Values of its parameters.

        Returns
        -------
        GraphWithProjectResult
            ``graph``, and ``result`` with ``node_count`` and ``relationship_count``.
        """
        remote = remote_projection(query, params)
        return self._catalog.project.cypher(
            remote.name, remote.query, query_parameters=params, **remote.arguments
        )


class _Catalog:
    """``graph`` of a session; all but `project` is the session's own."""

    def __init__(self, catalog: Any) -> None:
        self._catalog = catalog
        self.project = _Projections(catalog)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)


class SessionClient:
    """A session with the interface of the plugin's client, as far as the atlas uses it.

    Two things differ from the client of a session: ``graph.project.cypher`` takes a statement
    for the plugin and rewrites it, and there is a `server_version`. The rest, such as
    ``page_rank.mutate`` and ``graph.node_properties.stream``, is the session's own; node ids are
    those of the database. Concurrency is not limited to four threads.

    Parameters
    ----------
    session
        From ``GdsSessions.get_or_create``.
    name
        Name of the session.
    """

    def __init__(self, session: Any, name: str) -> None:
        self._session = session
        self._name = name

    @property
    def graph(self) -> Any:
        """The catalogue of graphs."""
        return _Catalog(self._session.graph)

    def server_version(self) -> SessionVersion:
        """Return ``aura.session.NAME`` in three parts; the software's version is not told."""
        return SessionVersion("aura", "session", self._name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


@dataclass(frozen=True)
class SessionSpec:
    """The session to open.

    Attributes
    ----------
    name
        Its name. One of that name that lives is used again.
    memory
        Its size, such as ``8GB``; None is what Aura estimates for `size`.
    size
        Nodes and relationships of the largest graph; one without direction counts twice.
    location
        Cloud and region of a session that is not beside an AuraDB, such as
        ``gcp/europe-west1``; None is ``AURA_LOCATION``.
    instance_id
        The AuraDB's; None is ``AURA_INSTANCEID``, else it is read off the address.
    idle
        How long a session lives that is not used, should its owner not live to delete it.
    keep
        Leave the session running at the end, for the next one who asks for its name.
    """

    name: str
    memory: str | None = None
    size: tuple[int, int] | None = None
    location: str | None = None
    instance_id: str | None = None
    idle: timedelta = timedelta(hours=1)
    keep: bool = False


@contextmanager
def gds_session(
    settings: ConnectionSettings | None,
    spec: SessionSpec,
    *,
    driver: neo4j.Driver | None = None,
    credentials: AuraCredentials | None = None,
    sessions: Any = None,
) -> Iterator[SessionClient]:
    """Open a session of Aura Graph Analytics, and delete it at the end, also on failure.

    Parameters
    ----------
    settings
        The database that it reads; None is a session that is handed its graphs.
    spec
        The session.
    driver
        A driver of that database. Whether it can project remotely is asked before a session is
        paid for, and the session waits for what this driver wrote.
    credentials
        By default those of `aura_credentials`.
    sessions
        A ``GdsSessions`` of the package graphdatascience; by default one with `credentials`.

    Yields
    ------
    SessionClient
        A client with the interface of the plugin's.

    Raises
    ------
    UsageError
        Credentials, size or location are missing or wrong.
    DatabaseError
        Aura refuses, the session does not start, or the database cannot project remotely.
    """
    if spec.memory is None and spec.size is None:
        raise UsageError(
            "The size of the session is missing.",
            hint="Give its memory, such as 8GB, or the nodes and relationships of the graph.",
        )
    if settings is not None and driver is not None:
        _require_remote(driver, settings)
    if sessions is None:
        sessions = _sessions(credentials or aura_credentials())
    session = _open(sessions, settings, spec)
    try:
        if settings is not None and driver is not None:
            session.set_bookmarks(bookmarks(driver))
        yield SessionClient(session, spec.name)
    finally:
        with _aura_errors(f"Closing the Aura session {spec.name}"):
            session.close() if spec.keep else session.delete()


def _open(sessions: Any, settings: ConnectionSettings | None, spec: SessionSpec) -> Any:
    attached = _connection(settings, spec.instance_id)
    location = _location(attached, spec.location)
    with _aura_errors(f"Opening the Aura session {spec.name}"):
        return sessions.get_or_create(
            spec.name,
            spec.memory or _estimate(sessions, spec.size or (0, 0)),
            db_connection=attached,
            ttl=spec.idle,
            cloud_location=location,
            timeout=_START_SECONDS,
            show_progress=False,
        )


def _require_remote(driver: neo4j.Driver, settings: ConnectionSettings) -> None:
    found = DriverReader(driver, settings.database).read(_REMOTE, what="Looking for procedures")
    if not found[0]["n"]:
        raise DatabaseError(
            f"{settings.uri} cannot project into a session: it lacks {_PROTOCOL}.",
            hint="Open the session without a database and hand it the graph (send_network).",
        )


def send_network(gds: Any, network: Network, *, name: str) -> Any:
    """Hand a network over to a session or a server, without a database.

    Parameters
    ----------
    gds
        A client: `SessionClient`, or one of a server with the plugin.
    network
        The graph. Its nodes get their places in `Network.keys` as ids.
    name
        Name of the graph; one that is there is replaced.

    Returns
    -------
    Graph
        The client's handle. Relationships are of type `RELATIONSHIP` with the property ``weight``.
    """
    import pandas as pd

    nodes = pd.DataFrame({"nodeId": np.arange(network.nodes, dtype=np.int64)})
    relationships = pd.DataFrame(
        {
            "sourceNodeId": network.source.astype(np.int64),
            "targetNodeId": network.target.astype(np.int64),
            "relationshipType": RELATIONSHIP,
            "weight": network.weight.astype(np.float64),
        }
    )
    undirected = None if network.directed else [RELATIONSHIP]
    gds.graph.drop(name, fail_if_missing=False)
    return gds.graph.construct(name, nodes, relationships, undirected_relationship_types=undirected)


def _sessions(credentials: AuraCredentials) -> Any:
    from graphdatascience.session import AuraAPICredentials, GdsSessions

    with _aura_errors("Logging in to Aura"):
        return GdsSessions(
            AuraAPICredentials(
                credentials.client_id, credentials.client_secret, credentials.project_id
            )
        )


def _estimate(sessions: Any, size: Sequence[int]) -> Any:
    return sessions.estimate(
        node_count=size[0],
        relationship_count=size[1],
        algorithm_categories=list(_CATEGORIES),
        relationship_property_count=1,
    )


def _connection(settings: ConnectionSettings | None, instance_id: str | None) -> Any:
    """Return the database as the package graphdatascience describes it."""
    from graphdatascience.session import DbmsConnectionInfo

    if settings is None:
        return None
    host = urlsplit(settings.uri).hostname or ""
    instance = instance_id
    if instance is None and host.endswith(_AURA_HOST):
        own = host.removesuffix(_AURA_HOST).split("-")[0]
        instance = os.environ.get("AURA_INSTANCEID") or own
    return DbmsConnectionInfo(
        uri=None if instance else settings.uri,
        username=settings.username,
        password=settings.password,
        database=settings.database,
        aura_instance_id=instance,
    )


def _location(attached: Any, location: str | None) -> Any:
    from graphdatascience.session import CloudLocation

    if attached is not None and attached.aura_instance_id:
        if location is not None:
            raise UsageError("A session beside an AuraDB is where that is: leave location out.")
        return None
    provider, slash, region = (location or os.environ.get("AURA_LOCATION") or "").partition("/")
    if not (provider and slash and region):
        raise UsageError(
            "The session's location is missing or wrong.",
            hint="Write cloud/region, such as gcp/europe-west1, or set AURA_LOCATION.",
        )
    return CloudLocation(provider, region)


@contextmanager
def _aura_errors(what: str) -> Iterator[None]:
    """Raise what the package graphdatascience and its requests raise as errors of the atlas."""
    from graphdatascience.session.aura_api import AuraApiError, SessionStatusError

    try:
        yield
    except (AuraApiError, SessionStatusError, RuntimeError, ValueError, OSError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DatabaseError(
            f"{what}: {said}",
            hint="Check AURA_CLIENT_ID, AURA_CLIENT_SECRET, the project and Aura's console.",
        ) from error
