"""py2neo on the atlas's database: what it reads is what the atlas reads, and what it cannot do."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

import pytest

from atlas.api import Atlas
from atlas.errors import DatabaseError, UsageError
from atlas.graph.connection import connect
from ingest.load import load
from ingest.repair import verify
from tests.builds import key, planted, write_build
from tests.servers import wipe

py2neo = pytest.importorskip("py2neo", reason="the extra py2neo is not installed")

from py2neo.errors import ClientError  # noqa: E402
from py2neo.matching import GE  # noqa: E402
from py2neo.ogm import Repository  # noqa: E402

from atlas.graph.ogm import Community, Feature, Run  # noqa: E402
from atlas.graph.py2neo_client import connect_py2neo  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from neo4j import Driver

    from atlas.graph.server import ManagedServer

pytestmark = pytest.mark.db

RUN = "synthetic"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The planted build, with one pair that is a topic edge as well."""
    run, rows = planted()
    twice = rows["edges"][0] | {"kind": "topic", "phi": 0.125}
    rows["edges"].append(twice)
    return write_build(tmp_path_factory.mktemp("build"), run, rows)


@pytest.fixture(scope="module")
def atlas(server: ManagedServer, driver: Driver, build: Path) -> Iterator[Atlas]:
    wipe(driver)
    load(driver, build)
    driver.execute_query(
        "MATCH (f:Feature) WHERE f.index < 24 WITH f, f.index / 8 AS number"
        " MERGE (c:Community {key: $run + '/leiden/' + number, run: $run, number: number})"
        " SET c.label = 'theme ' + number, c.size = 8 MERGE (f)-[:MEMBER_OF]->(c)",
        run=RUN,
    )
    settings = server.connection()
    with Atlas(connect(settings), settings=settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def graph(server: ManagedServer, atlas: Atlas) -> py2neo.Graph:
    return connect_py2neo(server.connection())


@pytest.fixture(scope="module")
def repository(graph: py2neo.Graph) -> Repository:
    return Repository.wrap(graph)


# --- connecting


def test_the_same_database_by_bolt_4(server: ManagedServer, graph: py2neo.Graph, atlas: Atlas):
    assert graph.name == "neo4j"
    count = "MATCH (n) RETURN count(n) AS n"
    assert graph.run(count).data() == atlas.cypher(count)
    pool = next(iter(graph.service.connector._pools.values()))
    assert [one.protocol_version for one in pool._free_list] == [(4, 3)]
    routed = dataclasses.replace(
        server.connection(), uri=server.connection().uri.replace("bolt", "neo4j")
    )
    assert connect_py2neo(routed).run(count).data() == atlas.cypher(count)


def test_an_atlas_gives_its_graph(atlas: Atlas, driver: Driver):
    assert atlas.py2neo().run("MATCH (f:Feature) RETURN count(f)").evaluate() == 26
    with pytest.raises(UsageError, match="made from a driver"):
        Atlas(driver).py2neo()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"password": "wrong"}, "refuses the password"),
        ({"database": "nodb"}, "has no database 'nodb'"),
        ({"uri": "bolt://127.0.0.1:1"}, "No Neo4j answers"),
        ({"scheme": "bolt+s"}, "does not speak TLS"),
    ],
)
def test_refusals_are_explained(server: ManagedServer, change: dict[str, str], match: str):
    settings = server.connection()
    if scheme := change.pop("scheme", None):
        change = {"uri": settings.uri.replace("bolt", scheme)}
    with pytest.raises(DatabaseError, match=match):
        connect_py2neo(dataclasses.replace(settings, **change))


@pytest.mark.parametrize("tls", ["bolt+s", "bolt+ssc", "neo4j+s", "neo4j+ssc"])
def test_addresses_with_tls_are_understood(tls: str):
    profile = py2neo.ServiceProfile(f"{tls}://example.org:7687", auth=("neo4j", "x"))
    assert profile.secure
    assert profile.verify == tls.endswith("+s")
    assert profile.routing == tls.startswith("neo4j")


# --- what works, compared with the atlas


def test_cypher_gives_what_the_atlas_gives(graph: py2neo.Graph, atlas: Atlas):
    text = (
        "MATCH (f:Feature)-[e:CO_OCCURS]->(o) RETURN f.key AS f, o.key AS o, e.phi AS phi,"
        " e.kind AS kind, f.top_tokens AS tokens, f.decoder AS decoder ORDER BY e.key"
    )
    rows = graph.run(text).data()
    assert len(rows) > 30
    assert rows == atlas.cypher(text)
    search = (
        "CALL db.index.vector.queryNodes('feature_decoder', 3, $vector) YIELD node, score"
        " RETURN node.key AS key, score"
    )
    vector = [1.0] + [0.0] * 7
    assert graph.run(search, vector=vector).data() == atlas.cypher(search, vector=vector)
    newer = "MATCH (f:Feature {index: 3}) CALL (f) { RETURN elementId(f) AS id } RETURN id"
    assert graph.run(newer).data() == atlas.cypher(newer)


def test_matchers_and_frames(graph: py2neo.Graph, atlas: Atlas):
    assert graph.nodes.match("Feature", index=GE(23)).count() == 3
    found = graph.nodes.match("Feature").where("_.index < 3").order_by("_.index").all()
    assert [node["key"] for node in found] == [key(0), key(1), key(2)]
    # `IN` and `OF` are words of Cypher; py2neo quotes them.
    assert len(graph.match(r_type="IN").all()) == 26
    frame = graph.run("MATCH (f:Feature) RETURN f.index AS i ORDER BY i").to_data_frame()
    assert frame["i"].tolist() == list(range(26))
    labels = {row["label"] for row in atlas.cypher("CALL db.labels() YIELD label RETURN label")}
    assert graph.schema.node_labels == labels


def test_objects_have_what_the_atlas_has(repository: Repository, atlas: Atlas):
    feature = repository.get(Feature, key(9))
    names = ("index", "run", "label", "label_source", "n", "firing_rate", "mean", "max", "dead")
    names += ("dense", "top_tokens", "top_words", "promoted")
    shown = ", ".join(f".{name}" for name in names)
    [row] = atlas.cypher(f"MATCH (f:Feature {{key: $key}}) RETURN f {{{shown}}} AS f", key=key(9))
    assert {name: getattr(feature, name) for name in names} == row["f"]
    assert [community.label for community in feature.communities] == ["theme 1"]
    [run] = feature.runs
    assert run == repository.get(Run, RUN)
    assert (run.state, run.model, run.positions) == ("loaded", "toy", 600)
    assert len(run.features) == 26
    assert {one.key for one in feature.implies} == {key(8)}
    assert [one.key for one in repository.get(Feature, key(8)).implied_by] == [key(9)]
    neighbours = atlas.cypher(
        "MATCH (:Feature {key: $key})-[e:CO_OCCURS]-(o) RETURN o.key AS key, e.phi AS phi",
        key=key(9),
    )
    found = {other.key: values["phi"] for _, (_, values), other in feature.co_occurs.triples()}
    assert found == {row["key"]: row["phi"] for row in neighbours}
    community = repository.match(Community).where(number=2).first()
    assert sorted(member.index for member in community.members) == list(range(16, 24))


def test_of_a_pair_with_two_edges_one_is_seen(repository: Repository, atlas: Atlas):
    source = planted()[1]["edges"][0]["source"]
    seen = len(repository.get(Feature, source).co_occurs)
    count = "MATCH (:Feature {key: $key})-[:CO_OCCURS]-(o) RETURN count(*) AS n, count(DISTINCT o)"
    [row] = atlas.cypher(f"{count} AS nodes", key=source)
    assert (row["n"], row["nodes"]) == (seen + 1, seen)


# --- what does not


def test_a_push_damages_such_edges_or_is_refused(
    repository: Repository, driver: Driver, build: Path
):
    assert verify(driver, RUN, build).good
    feature = repository.get(Feature, planted()[1]["edges"][0]["source"])
    assert len(feature.co_occurs) > 0  # what was read is what a push writes back
    with pytest.raises(ClientError, match="ConstraintValidationFailed"):
        repository.save(feature)
    assert verify(driver, RUN, build).good, "the server rolled it back"
    lone = repository.get(Feature, key(9))
    for other in list(lone.implies):
        lone.implies.remove(other)
    repository.save(lone)
    assert not verify(driver, RUN, build).good
    assert verify(driver, RUN, build, repair=True).repaired


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda schema: schema.get_indexes("Feature"), "ProcedureNotFound"),
        (lambda schema: schema.get_uniqueness_constraints("Feature"), "ProcedureNotFound"),
        (lambda schema: schema.create_index("Other", "name"), "Invalid create index syntax"),
        (lambda schema: schema.drop_index("Other", "name"), "SyntaxError"),
        (
            lambda schema: schema.create_uniqueness_constraint("Other", "name"),
            "Invalid constraint syntax",
        ),
    ],
)
def test_its_commands_for_the_schema_are_of_neo4j_3(graph: py2neo.Graph, call, match: str):
    with pytest.raises(ClientError, match=match):
        call(graph.schema)


def test_times_cannot_be_sent(graph: py2neo.Graph):
    text = "MATCH (r:Run {key: $run}) RETURN r.loaded"
    assert graph.run(text, run=RUN).evaluate().year >= 2025, "they can be read"
    with pytest.raises(TypeError, match="utcoffset"):
        graph.run("RETURN $at", at=dt.datetime(2025, 1, 1, tzinfo=dt.UTC))
    assert graph.run("RETURN datetime($at).year", at="2025-01-01T00:00Z").evaluate() == 2025


def test_other_databases_are_named_by_the_graph(graph: py2neo.Graph):
    assert set(graph.service) == {"neo4j", "system"}
    names = graph.service.system_graph.run("SHOW DATABASES YIELD name RETURN name").data()
    assert {row["name"] for row in names} == {"neo4j", "system"}
    missing = py2neo.Graph(graph.service.profile, name="nodb")
    with pytest.raises(ClientError, match="DatabaseNotFound"):
        missing.run("RETURN 1")


def test_reading_transactions_are_kept_from_writing(graph: py2neo.Graph):
    with pytest.raises(ClientError, match="AccessMode"):
        graph.query("CREATE (:Other)")
