"""Sessions of Aura Graph Analytics, against a stand-in with the client's own signatures.

A session costs money and needs credentials, so these tests hold the calls that the atlas makes
against the signatures of the installed package: what the package renames, they find.
"""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from graphdatascience import GraphDataScience
from graphdatascience.procedure_surface.arrow.catalog.catalog_arrow_endpoints import (
    CatalogArrowEndpoints,
)
from graphdatascience.procedure_surface.arrow.catalog.projection_arrow_endpoints import (
    ProjectArrowEndpoints,
)
from graphdatascience.session import (
    AuraAPICredentials,
    AuraGraphDataScience,
    CloudLocation,
    DbmsConnectionInfo,
    GdsSessions,
    SessionMemory,
)
from graphdatascience.session.aura_api import AuraApiError

from atlas.analysis.aura import (
    AuraCredentials,
    SessionClient,
    SessionSpec,
    aura_credentials,
    gds_session,
    send_network,
)
from atlas.analysis.engines import gds, gds_graph
from atlas.analysis.network import Network
from atlas.analysis.remote import remote_projection
from atlas.errors import DatabaseError, UsageError
from atlas.graph.connection import ConnectionSettings

SELF_MANAGED = ConnectionSettings("neo4j://graph.example:7687", "me", "secret", "mine")
AURA = ConnectionSettings("neo4j+s://abcd1234.databases.neo4j.io", "neo4j", "secret")


class Recorded:
    """Takes the calls that a class of the package takes, and refuses others as it would."""

    def __init__(self, kind: type, results: dict[str, Any], calls: list[Any]) -> None:
        self._kind, self._results, self._calls = kind, results, calls

    def __getattr__(self, name: str) -> Any:
        member = inspect.getattr_static(self._kind, name)  # AttributeError where it has none
        if isinstance(member, property):
            return self._results[name]

        def method(*args: Any, **kwargs: Any) -> Any:
            bound = inspect.signature(member).bind(self, *args, **kwargs)
            given = {key: value for key, value in bound.arguments.items() if key != "self"}
            self._calls.append((f"{self._kind.__name__}.{name}", given))
            result = self._results.get(name)
            if isinstance(result, Exception):
                raise result
            return result

        return method


class Stand:
    """The four classes of the package that a session is reached through."""

    def __init__(self, **results: Any) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        project = Recorded(ProjectArrowEndpoints, {"cypher": "projected"}, self.calls)
        catalog = Recorded(
            CatalogArrowEndpoints, {"project": project, "construct": "constructed"}, self.calls
        )
        session = Recorded(
            AuraGraphDataScience, {"graph": catalog, "leiden": "leiden", **results}, self.calls
        )
        self.sessions = Recorded(
            GdsSessions,
            {"get_or_create": session, "estimate": SessionMemory.m_16GB, **results},
            self.calls,
        )

    def of(self, name: str) -> dict[str, Any]:
        (found,) = [given for called, given in self.calls if called == name]
        return found

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLIENT_ID", "CLIENT_SECRET", "PROJECT_ID", "LOCATION", "INSTANCEID"):
        monkeypatch.delenv(f"AURA_{name}", raising=False)


def test_session_of_a_self_managed_database() -> None:
    stand = Stand()
    spec = SessionSpec("mine", memory="8GB", location="gcp/europe-west1", idle=timedelta(hours=2))
    with gds_session(SELF_MANAGED, spec, sessions=stand.sessions) as client:
        assert client.leiden == "leiden"
    given = stand.of("GdsSessions.get_or_create")
    assert given["db_connection"] == DbmsConnectionInfo(
        uri="neo4j://graph.example:7687", username="me", password="secret", database="mine"
    )
    assert given["cloud_location"] == CloudLocation("gcp", "europe-west1")
    assert (given["session_name"], given["memory"]) == ("mine", "8GB")
    assert given["ttl"] == timedelta(hours=2)
    assert SessionMemory.of(given["memory"]) is SessionMemory.m_8GB
    assert stand.names[-1] == "AuraGraphDataScience.delete"


def test_session_beside_an_auradb() -> None:
    stand = Stand()
    with gds_session(AURA, SessionSpec("mine", memory="8GB"), sessions=stand.sessions):
        pass
    given = stand.of("GdsSessions.get_or_create")
    assert given["cloud_location"] is None
    assert given["db_connection"].aura_instance_id == "abcd1234"
    assert given["db_connection"].uri is None, "Aura tells the address of its instance"
    with (
        pytest.raises(UsageError, match="leave location out"),
        gds_session(
            AURA, SessionSpec("m", memory="8GB", location="gcp/x"), sessions=stand.sessions
        ),
    ):
        pass


def test_size_is_estimated_where_no_memory_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_LOCATION", "aws/eu-west-1")
    stand = Stand()
    with gds_session(None, SessionSpec("m", size=(10, 90)), sessions=stand.sessions):
        pass
    asked = stand.of("GdsSessions.estimate")
    assert (asked["node_count"], asked["relationship_count"]) == (10, 90)
    given = stand.of("GdsSessions.get_or_create")
    assert given["memory"] is SessionMemory.m_16GB
    assert given["db_connection"] is None
    with (
        pytest.raises(UsageError, match="size of the session is missing"),
        gds_session(None, SessionSpec("m"), sessions=stand.sessions),
    ):
        pass


def test_the_session_is_deleted_when_the_work_fails_and_kept_when_asked() -> None:
    stand = Stand()
    spec = SessionSpec("m", memory="2GB", location="gcp/x")
    with pytest.raises(KeyError), gds_session(None, spec, sessions=stand.sessions):
        raise KeyError("work")
    assert stand.names[-1] == "AuraGraphDataScience.delete"
    kept = SessionSpec("m", memory="2GB", location="gcp/x", keep=True)
    with gds_session(None, kept, sessions=stand.sessions):
        pass
    assert stand.names[-1] == "AuraGraphDataScience.close"


@pytest.mark.parametrize(
    "error", [AuraApiError("no such client", 401), RuntimeError("no"), ConnectionError("no")]
)
def test_refusals_of_aura_are_told(error: Exception) -> None:
    stand = Stand(get_or_create=error)
    spec = SessionSpec("m", memory="2GB", location="gcp/x")
    with (
        pytest.raises(DatabaseError, match=r"Opening the Aura session m: .*no"),
        gds_session(None, spec, sessions=stand.sessions),
    ):
        pass


def test_location_is_needed_away_from_aura() -> None:
    with (
        pytest.raises(UsageError, match="gcp/europe-west1"),
        gds_session(SELF_MANAGED, SessionSpec("m", memory="2GB"), sessions=Stand().sessions),
    ):
        pass


def test_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="AURA_CLIENT_ID and AURA_CLIENT_SECRET"):
        aura_credentials()
    monkeypatch.setenv("AURA_CLIENT_ID", "id")
    monkeypatch.setenv("AURA_CLIENT_SECRET", "hidden")
    monkeypatch.setenv("AURA_PROJECT_ID", "project")
    found = aura_credentials()
    assert found == AuraCredentials("id", "hidden", "project")
    assert "hidden" not in repr(found)
    assert aura_credentials("other").client_id == "other"
    assert list(inspect.signature(AuraAPICredentials).parameters) == [
        "client_id",
        "client_secret",
        "project_id",
    ]


def test_the_projection_of_the_atlas_becomes_a_remote_one() -> None:
    stand = Stand()
    with gds_session(
        None, SessionSpec("m", memory="2GB", location="gcp/x"), sessions=stand.sessions
    ) as client:
        made = client.graph.project.cypher(
            "MATCH (f) " + gds_graph._PROJECT, name="atlas/run", undirected=["*"], inverse=[]
        )
    assert made == "projected"
    given = stand.of("ProjectArrowEndpoints.cypher")
    assert given["graph_name"] == "atlas/run"
    assert "gds.graph.project.remote(f, t, {relationshipProperties: CASE" in given["query"]
    # The package refuses queries that name these.
    assert "undirectedRelationshipTypes" not in given["query"]
    assert given["undirected_relationship_types"] == ["*"]
    assert "inverse_indexed_relationship_types" not in given
    assert given["concurrency"] == 1
    assert given["query_parameters"]["name"] == "atlas/run"


def test_literals_texts_and_nested_calls_are_split_rightly() -> None:
    found = remote_projection(
        "MATCH (a)-[r]->(b) RETURN gds.graph.project('it\\'s, (x', a, coalesce(b, a),"
        " {p: {x: [1, 2]}, q: ')'}, {undirectedRelationshipTypes: ['*', 'A,B']}) AS g",
        {},
    )
    assert found.name == "it's, (x"
    assert found.query == (
        "MATCH (a)-[r]->(b) RETURN gds.graph.project.remote(a, coalesce(b, a),"
        " {p: {x: [1, 2]}, q: ')'}) AS g"
    )
    assert found.arguments == {"undirected_relationship_types": ["*", "A,B"]}
    assert remote_projection("RETURN gds.graph.project('g', a, b)", {}).arguments == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RETURN 1", "calls gds.graph.project once"),
        ("RETURN gds.graph.project('a', b)", "2 arguments"),
        ("RETURN gds.graph.project('a', b, c, {}, {sudo: true})", "no 'sudo'"),
        ("RETURN gds.graph.project('a', b, c, {}, {readConcurrency: x})", "neither literal"),
        ("RETURN gds.graph.project($name, b, c)", r"no value for \$name"),
        ("RETURN gds.graph.project('a', b, c", "closing"),
        ("RETURN gds.graph.project('a, b, c)", "closing '"),
    ],
)
def test_what_cannot_be_rewritten_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        remote_projection(text, {})


def test_network_is_handed_over_as_frames() -> None:
    stand = Stand()
    network = Network(
        ["a", "b", "c"],
        np.array([0, 1], np.int32),
        np.array([1, 2], np.int32),
        np.array([0.5, 0.25]),
    )
    session = SessionClient(stand.sessions.get_or_create("m", "2GB"), "m")
    assert send_network(session, network, name="g") == "constructed"
    given = stand.of("CatalogArrowEndpoints.construct")
    assert given["nodes"].to_dict("list") == {"nodeId": [0, 1, 2]}
    assert given["relationships"].to_dict("list") == {
        "sourceNodeId": [0, 1],
        "targetNodeId": [1, 2],
        "relationshipType": ["JOINS", "JOINS"],
        "weight": [0.5, 0.25],
    }
    assert given["undirected_relationship_types"] == ["JOINS"]


@pytest.mark.parametrize(
    "name", ["graph", "leiden", "page_rank", "set_bookmarks", "run_cypher", "close"]
)
def test_session_and_plugin_have_what_the_atlas_calls(name: str) -> None:
    for kind in (AuraGraphDataScience, GraphDataScience):
        assert inspect.getattr_static(kind, name)


def test_session_has_every_algorithm_that_is_called_by_name() -> None:
    assert not hasattr(AuraGraphDataScience, "server_version"), "else take the session's own"
    assert gds.METHODS
    for endpoint in ("betweenness", "closeness", "degree", "eigenvector", "harmonic", "hits"):
        own = getattr(AuraGraphDataScience, endpoint).fget
        plugin = getattr(GraphDataScience, endpoint).fget
        # Both promise the same abstract class, so `mutate` takes the same arguments.
        assert own.__annotations__["return"] == plugin.__annotations__["return"]
