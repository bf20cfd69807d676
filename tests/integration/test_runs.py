"""Many runs beside each other: listed, shown, dropped, compared; and a server with routing."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

from atlas import Atlas
from atlas.analysis import analyse
from atlas.analysis.aura import SessionClient, SessionSpec, gds_session, send_network
from atlas.analysis.engines.gds_graph import gds_client, project
from atlas.analysis.layout.read import _features as layout_features
from atlas.analysis.layout.write import clear_layouts, write_layout
from atlas.analysis.network import Network
from atlas.analysis.projection import projection
from atlas.analysis.reading import read_network
from atlas.cli import app
from atlas.errors import DatabaseError, NotFoundError, UsageError
from atlas.graph.connection import connect, user_agent
from atlas.graph.exclusive import LOAD_LOCK, exclusive
from atlas.graph.reader import DriverReader
from atlas.graph.sessions import bookmarks, open_session, write
from atlas.progress import SilentReporter
from ingest import runs as dropping
from ingest.load import load
from ingest.load_attribution import load_attribution
from ingest.repair import verify
from ingest.runs import drop_run
from ingest.verify import graph_checksum
from queries.catalogue import run as run_query
from queries.compare import diff_runs
from tests.builds import (
    DEAD,
    MODEL,
    SAE,
    key,
    planted,
    planted_edges,
    write_attribution,
    write_build,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from neo4j import Driver

    from atlas.graph.server import ManagedServer

pytestmark = pytest.mark.db

OTHER = SAE.replace("planted", "other")
WIDTH = 8
GONE = (3, 12)
"""Features of the first run that the second lacks."""
SHIFT = 5
"""A feature of the first run has this much higher an index in the second, modulo their number."""


class Variant(NamedTuple):
    run: dict[str, Any]
    rows: dict[str, list[dict[str, Any]]]


def moved(index: int) -> int:
    return (index + SHIFT) % DEAD if index < DEAD else index


def other_key(feature: str, sae: str = OTHER) -> str:
    return f"{sae}/{moved(int(feature.rpartition('/')[2]))}"


def renamed(value: Any, sae: str) -> Any:
    """Return a value of a table, the key of a feature as that of the other SAE."""
    feature = isinstance(value, str) and value.startswith(f"{SAE}/")
    return other_key(value, sae) if feature else value


def variant(
    run_id: str, *, sae: str = OTHER, corpus: str = "letters", model: str = MODEL
) -> Variant:
    """Return the planted build with another SAE: indices shifted, and two features left out."""
    about, rows = planted(run_id)
    own = sae.replace(MODEL, model, 1)
    gone = {key(index) for index in GONE}
    tables: dict[str, list[dict[str, Any]]] = {}
    for table, old in rows.items():
        kept = [row for row in old if gone.isdisjoint(str(value) for value in row.values())]
        tables[table] = [{name: renamed(value, own) for name, value in row.items()} for row in kept]
    for row in tables["features"]:
        row |= {"sae": own, "index": int(row["key"].rpartition("/")[2])}
    tables["edges"] = [in_order(row) for row in tables["edges"]]
    if model != MODEL or corpus != "letters":
        tables = rename(tables, corpus, model)
    about = about | {
        "model": about["model"] | {"key": model},
        "saes": [about["saes"][0] | {"key": own, "name": own.rpartition("/")[2]}],
        "corpus": about["corpus"] | {"name": corpus},
        "created": "2025-02-02T00:00:00+00:00",
    }
    return Variant(about, tables)


def in_order(row: dict[str, Any]) -> dict[str, Any]:
    """Put the lower index first, as builds do."""
    low, high = (int(row[end].rpartition("/")[2]) for end in ("source", "target"))
    if low < high:
        return row
    swapped = {"source": row["target"], "target": row["source"]}
    for one, two in (
        ("p_target_given_source", "p_source_given_target"),
        ("rank_source", "rank_target"),
    ):
        swapped |= {one: row[two], two: row[one]}
    return row | swapped


def rename(tables: dict[str, Any], corpus: str, model: str) -> dict[str, Any]:
    """Return tables whose texts and tokens are those of another corpus and model."""
    text = json.dumps(tables)
    text = text.replace('"letters/', f'"{corpus}/').replace(f'"{MODEL}/', f'"{model}/')
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def wipe(driver: Driver) -> None:
    driver.execute_query("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")


def set_decoders(driver: Driver, vectors: dict[str, np.ndarray]) -> None:
    rows = [{"key": name, "decoder": vector.tolist()} for name, vector in vectors.items()]
    write(
        driver,
        None,
        "UNWIND $rows AS row MATCH (f:Feature {key: row.key}) SET f.decoder = row.decoder",
        rows=rows,
    )


def decoders(width: int = WIDTH) -> dict[str, np.ndarray]:
    """Return vectors of the first run's features, and the same with noise for the second's."""
    draw = np.random.default_rng(7)
    made = {}
    for index in range(DEAD + 1):
        vector = draw.normal(size=width)
        made[key(index)] = vector
        made[other_key(key(index))] = 2 * vector + 0.02 * draw.normal(size=width)
    return made


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("builds")
    made = {"first": write_build(root / "first", run_id="first")}
    for name, built in {
        "second": variant("second"),
        "elsewhere": variant("elsewhere", corpus="poems", model="toy2"),
    }.items():
        made[name] = write_build(root / name, built.run, built.rows)
    again = planted("again")
    for row in again[1]["features"]:
        row["firing_rate"] = min(1.0, row["firing_rate"] * 2)
    again[1]["edges"] = [edge | {"phi": edge["phi"] / 2} for edge in again[1]["edges"]]
    del again[1]["edges"][:10]
    made["again"] = write_build(root / "again", *again)
    return made


@pytest.fixture(scope="module")
def alone(driver: Driver, folders: dict[str, Path]) -> str:
    """Return the checksum of a database with the first run alone."""
    wipe(driver)
    load(driver, folders["first"])
    return graph_checksum(driver)


@pytest.fixture
def graph(driver: Driver, folders: dict[str, Path], alone: str) -> Driver:
    """Return a driver of a database with the first run alone; most tests leave it so."""
    if graph_checksum(driver) != alone:
        wipe(driver)
        load(driver, folders["first"])
    return driver


@pytest.fixture(scope="module")
def pair(driver: Driver, folders: dict[str, Path]) -> DriverReader:
    """Return a reader of a database with two analysed runs of two SAEs."""
    wipe(driver)
    for name in ("first", "second"):
        load(driver, folders[name])
        analyse(driver, name)
    set_decoders(driver, decoders())
    return DriverReader(driver)


def test_the_two_runs_are_listed(pair: DriverReader) -> None:
    first, second = run_query(pair, "runs")
    assert (first["key"], first["saes"], first["features"]) == ("first", [SAE], DEAD + 1)
    assert (second["key"], second["saes"], second["features"]) == ("second", [OTHER], DEAD - 1)
    assert first["edges"] == [
        {"kind": "implies", "n": 2},
        {"kind": "similar_to", "n": 2},
        {"kind": "token", "n": len(planted_edges()) + 1},
    ]
    assert (first["state"], first["model"]) == ("loaded", MODEL)
    assert first["communities"] == 3
    assert {row["edges"] for row in run_query(pair, "runs", edges=False)} == {None}


def test_a_run_is_shown_with_its_provenance(pair: DriverReader) -> None:
    row = run_query(pair, "run", run="first")[0]
    assert row["recipe"] == "0" * 64
    assert row["versions"] == {"torch": "none"}
    assert row["parameters"] == {"min_expected": 5.0, "top": 64}
    assert row["corpus"] == {
        "name": "letters",
        "documents": 3,
        "positions": 600,
        "sha256": "2" * 64,
    }
    assert row["model"]["d_model"] == WIDTH
    assert [(sae["key"], sae["features"]) for sae in row["saes"]] == [(SAE, DEAD + 1)]
    assert (row["features"], row["own"], row["numbers"]) == (DEAD + 1,) * 3
    assert row["firings"] == 96
    assert row["algorithms"]
    with pytest.raises(NotFoundError, match="first, second"):
        run_query(pair, "run", run="third")


def test_diff_by_decoder_finds_the_planted_permutation(pair: DriverReader) -> None:
    found = diff_runs(pair, "first", "second", top=3)
    live = [index for index in range(DEAD) if index not in GONE]
    assert {match.a: match.b for match in found.matched} == {
        key(index): other_key(key(index)) for index in live
    }
    assert min(match.score for match in found.matched) > 0.99
    assert {ref.key for ref in found.lost} == {key(index) for index in GONE}
    assert found.gained == []
    assert all(ref.label for ref in found.lost)
    (group,) = found.matching
    assert (group.by, group.floor, group.matched) == ("decoder", 0.7, len(live))
    kinds = {kind.kind: kind for kind in found.edges}
    inside = [ends for ends in [*planted_edges(), (0, 23)] if not set(ends) & set(GONE)]
    token = kinds["token"]
    assert (token.kept, token.lost, token.gained) == (len(inside), 0, 0)
    assert token.outside_a == len(planted_edges()) + 1 - len(inside)
    assert token.outside_b == 0
    assert token.phi == pytest.approx(1)
    assert token.npmi == pytest.approx(1)
    assert (kinds["implies"].kept, kinds["similar_to"].kept) == (2, 2)
    assert found.rates.correlation == pytest.approx(1)
    assert found.rates.median_change == 0
    assert found.communities is not None
    assert found.communities.ari == pytest.approx(1)
    assert found.notes == []
    json.dumps(found.to_json(), allow_nan=False)


def test_diff_by_tokens_needs_no_decoder(pair: DriverReader) -> None:
    found = diff_runs(pair, "first", "second", by="tokens")
    assert {match.a: match.b for match in found.matched} == {
        key(index): other_key(key(index)) for index in range(DEAD) if index not in GONE
    }


def test_diff_refuses_what_has_no_cosine(pair: DriverReader, driver: Driver) -> None:
    write(driver, None, "MATCH (f:Feature {key: $key}) REMOVE f.decoder", key=key(0))
    with pytest.raises(UsageError, match=f"1 of {DEAD} features have no decoder.*{key(0)}"):
        diff_runs(pair, "first", "second")
    set_decoders(driver, {key(0): decoders()[key(0)]})
    change = "MATCH (m:Model {key: 'wide'}) SET m.d_model = 16"
    write(driver, None, "CREATE (:Model {key: 'wide', d_model: 16})")
    write(driver, None, "MATCH (r:Run {key: 'second'}) SET r.model = 'wide'")
    try:
        with pytest.raises(UsageError, match=r"8 numbers.*16.*--by tokens"):
            diff_runs(pair, "first", "second")
        write(driver, None, change.replace("16", "8"))
        assert "models differ" in diff_runs(pair, "first", "second").notes[0]
    finally:
        write(driver, None, "MATCH (r:Run {key: 'second'}) SET r.model = $model", model=MODEL)
        write(driver, None, "MATCH (m:Model {key: 'wide'}) DELETE m")


def test_diff_of_unknown_or_unfinished_runs(pair: DriverReader, driver: Driver) -> None:
    with pytest.raises(NotFoundError, match="third"):
        diff_runs(pair, "first", "third")
    state = "MATCH (r:Run {key: 'second'}) SET r.state = $state"
    write(driver, None, state, state="loading")
    try:
        with pytest.raises(UsageError, match="not loaded in full"):
            diff_runs(pair, "first", "second")
    finally:
        write(driver, None, state, state="loaded")


def test_diff_of_two_runs_of_one_sae(graph: Driver, folders: dict[str, Path]) -> None:
    load(graph, folders["again"])
    found = diff_runs(DriverReader(graph), "first", "again", top=5)
    (group,) = found.matching
    assert (group.by, group.matched, group.mean_score) == ("key", DEAD, 1.0)
    (token,) = [kind for kind in found.edges if kind.kind == "token"]
    assert (token.kept, token.lost, token.gained) == (len(planted_edges()) - 9, 10, 0)
    assert token.phi == pytest.approx(1)
    # The nodes have the second run's rates; the first one's are told by its edges.
    known = {match.a: match for match in found.matched if match.rate_a is not None}
    assert len(known) == len({end for ends in [*planted_edges(), (0, 23)] for end in ends})
    for match in known.values():
        index = int(match.a.rpartition("/")[2])
        assert match.rate_a == pytest.approx((20 + index) / 600)
        assert match.rate_b == pytest.approx((20 + index) / 300)
    assert found.rates.median_change == pytest.approx(1)
    assert any("no longer in the graph" in note for note in found.notes)
    kept = [change for change in found.changes if (change.kind, change.change) == ("token", "kept")]
    assert len(kept) == 5
    assert all(c.strength_b == pytest.approx((c.strength_a or 0) / 2) for c in kept)


def test_a_run_keeps_its_graph_where_another_finds_features_silent(
    graph: Driver, tmp_path: Path
) -> None:
    reader = DriverReader(graph)
    before = read_network(reader, projection("first"))
    about, rows = planted("silent")
    for row in rows["features"]:
        row["dead"] = row["dead"] or row["key"] == key(0)
    touching = ("feature", "source", "target", "key")
    for table in set(rows) - {"features"}:
        rows[table] = [
            row for row in rows[table] if key(0) not in [row.get(name) for name in touching]
        ]
    load(graph, write_build(tmp_path / "b", about, rows))
    after = read_network(reader, projection("first"))
    assert after.keys == before.keys
    assert np.array_equal(after.weight, before.weight)
    assert key(0) not in read_network(reader, projection("silent")).keys
    with project(graph, projection("first")) as made:
        assert (list(made.keys), made.edges) == (sorted(before.keys), before.edges)
    assert stored_keys(reader, "first") == before.keys
    place = np.full((1, 2), 0.5)
    write_layout(graph, "first", keys=[key(1)], points=place, record={})
    write_layout(graph, "silent", keys=[key(1)], points=place / 2, record={})
    assert clear_layouts(graph, "first") == ["default"]
    owners = reader.read("MATCH (f:Feature) WHERE f.map_x = 0.25 RETURN f.map_run AS run")
    assert owners == [{"run": "silent"}], "a map of another run stays"


def stored_keys(reader: DriverReader, of: str) -> list[str]:
    return [row["key"] for row in layout_features(reader, of)]


@pytest.mark.parametrize("name", ["second", "elsewhere"])
def test_a_dropped_run_leaves_the_graph_as_it_was(
    graph: Driver, folders: dict[str, Path], alone: str, name: str
) -> None:
    load(graph, folders[name])
    if name == "second":
        analyse(graph, name)
    assert graph_checksum(graph) != alone
    summary = drop_run(graph, name)
    assert graph_checksum(graph) == alone
    assert (summary.run, summary.stale) == (name, 0)
    assert summary.nodes > DEAD - 2
    assert summary.relationships > 0


def test_the_only_run_leaves_nothing(graph: Driver) -> None:
    analyse(graph, "first")
    drop_run(graph, "first")
    (left,) = DriverReader(graph).read(
        "MATCH (n) WHERE NOT n:Migration RETURN count(n) AS n, collect(labels(n)) AS labels"
    )
    assert left == {"n": 0, "labels": []}


def test_contexts_that_only_edges_of_another_run_name_stay(
    graph: Driver, folders: dict[str, Path]
) -> None:
    load(graph, folders["second"])
    text = """
    MATCH (:Feature)-[r:FIRES_IN]->(c:Context {key: 'letters/0/0'}) WHERE r.run = 'first' DELETE r
    WITH DISTINCT c MATCH ()-[e:CO_OCCURS {run: 'first'}]->() WITH c, e LIMIT 1
    SET e.contexts = [c.key]
    """
    write(graph, None, text)
    drop_run(graph, "second")
    contexts = "MATCH (c:Context) RETURN count(c) AS n"
    assert DriverReader(graph).read(contexts)[0]["n"] == 12


def test_concepts_go_with_the_last_run_of_their_corpus(graph: Driver, tmp_path: Path) -> None:
    about, rows = planted("quiet")
    rows["about"] = []
    rows["concepts"].append(rows["concepts"][0] | {"key": "letters/domain/none", "name": "none"})
    quiet = write_build(tmp_path / "quiet", about, rows)
    load(graph, quiet)
    concepts = "MATCH (c:Concept) RETURN count(c) AS n"
    drop_run(graph, "first")
    assert DriverReader(graph).read(concepts)[0]["n"] == len(rows["concepts"])
    assert verify(graph, "quiet", quiet).good
    drop_run(graph, "quiet")
    assert DriverReader(graph).read("MATCH (n) WHERE NOT n:Migration RETURN n.key") == []


def test_prompts_go_with_the_last_run_that_used_them(
    graph: Driver, alone: str, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        load_attribution(graph, write_attribution(tmp_path / name, run_id=name))
    prompts = "MATCH (p:Prompt)-[:IN]->(:PromptSet) RETURN count(p) AS n"
    drop_run(graph, "one")
    assert DriverReader(graph).read(prompts)[0]["n"] == 3
    drop_run(graph, "two")
    assert graph_checksum(graph) == alone


def test_a_load_after_a_stopped_drop_begins_anew(
    graph: Driver, folders: dict[str, Path], alone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = "MATCH (r:Run) SET r.state = 'loading', r.loading_way = 'create', r.loading_rows = $n"
    write(graph, None, counted, n=10**6)

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(dropping._Drop, "leftovers", stop)
        with pytest.raises(KeyboardInterrupt):
            drop_run(graph, "first")
    load(graph, folders["first"])
    assert graph_checksum(graph) == alone


def lines_of(driver: Driver, run_id: str) -> list[str]:
    """Return the relationships of one run as sorted texts."""
    rows = DriverReader(driver).read(
        "MATCH (a)-[r {run: $run}]->(b) RETURN type(r) AS type, a.key AS a, b.key AS b,"
        " properties(r) AS properties",
        {"run": run_id},
    )
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def test_a_run_with_the_same_features_keeps_all_it_has(
    graph: Driver, folders: dict[str, Path]
) -> None:
    before = lines_of(graph, "first")
    nodes = {row["label"]: row["n"] for row in labels(graph)}
    load(graph, folders["again"])
    summary = drop_run(graph, "again")
    assert lines_of(graph, "first") == before
    assert {row["label"]: row["n"] for row in labels(graph)} == nodes
    assert summary.stale == DEAD + 1, "the features have the rates of the run loaded last"
    load(graph, folders["first"], force=True)
    (row,) = DriverReader(graph).read("MATCH (f:Feature {run: 'first'}) RETURN count(f) AS n")
    assert row["n"] == DEAD + 1


def labels(driver: Driver) -> list[dict[str, Any]]:
    return DriverReader(driver).read("MATCH (n) RETURN labels(n)[0] AS label, count(*) AS n")


def test_a_drop_that_is_stopped_again_and_again_is_finished(
    graph: Driver, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, alone: str
) -> None:
    load(graph, folders["elsewhere"])
    change, left = dropping._Drop.change, 0

    def stopped(self: Any, text: str, **parameters: Any) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return change(self, text, **parameters)

    monkeypatch.setattr(dropping._Drop, "change", stopped)
    for steps in range(100):
        left = steps
        try:
            drop_run(graph, "elsewhere")
            break
        except KeyboardInterrupt:
            states = [row["state"] for row in run_query(DriverReader(graph), "runs", edges=False)]
            assert states == ["loaded", "dropping" if steps else "loaded"]
    assert steps > 10, "the run was in pieces often enough"
    assert graph_checksum(graph) == alone


def test_nothing_is_dropped_while_another_client_loads(
    graph: Driver, server: ManagedServer, alone: str
) -> None:
    with (
        connect(server.connection()) as another,
        exclusive(another, None, name=LOAD_LOCK, waiting=pytest.fail),
        pytest.raises(DatabaseError, match="another client loads a run"),
    ):
        drop_run(graph, "first")
    assert graph_checksum(graph) == alone
    with pytest.raises(NotFoundError, match="no run 'second'"):
        drop_run(graph, "second")


def test_a_load_waits_for_a_drop(
    graph: Driver, folders: dict[str, Path], server: ManagedServer, alone: str
) -> None:
    """The lock of a drop is the one that a load waits for."""
    load(graph, folders["second"])
    change, noted = dropping._Drop.change, threading.Event()

    class Listening(SilentReporter):
        def note(self, line: str) -> None:
            if "waiting" in line:
                noted.set()

    def load_beside() -> None:
        with connect(server.connection()) as another:
            load(another, folders["second"], reporter=Listening())

    thread = threading.Thread(target=load_beside)

    def slowly(self: Any, text: str, **parameters: Any) -> int:
        if not noted.is_set():
            thread.start()
            assert noted.wait(60)
        return change(self, text, **parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dropping._Drop, "change", slowly)
        drop_run(graph, "second")
    thread.join(120)
    assert [row["key"] for row in run_query(DriverReader(graph), "runs", edges=False)] == [
        "first",
        "second",
    ]
    drop_run(graph, "second")
    assert graph_checksum(graph) == alone


@pytest.fixture
def routed(server: ManagedServer) -> str:
    """Return the server's address with routing, as a cluster is reached."""
    return server.connection().uri.replace("bolt://", "neo4j://")


def test_a_single_server_is_reached_with_routing(
    graph: Driver, server: ManagedServer, routed: str
) -> None:
    with connect(replace(server.connection(), uri=routed)) as opened:
        assert graph_checksum(opened) == graph_checksum(graph)
        connections, _, _ = opened.execute_query("CALL dbms.listConnections() YIELD userAgent")
        assert user_agent() in {row["userAgent"] for row in connections}
    with pytest.raises(DatabaseError, match="no database 'nowhere'"):
        connect(replace(server.connection(), uri=routed, database="nowhere"))


def test_reads_wait_for_the_writes_of_the_same_atlas(
    graph: Driver, server: ManagedServer, routed: str
) -> None:
    settings = replace(server.connection(), uri=routed)
    with connect(settings) as opened, connect(settings) as stranger:
        reader = DriverReader(opened, settings.database)
        for number in range(5):
            write(opened, settings.database, "MERGE (r:Run {key: 'first'}) SET r.x = $x", x=number)
            known = bookmarks(opened).raw_values
            assert known
            assert reader.read("MATCH (r:Run {key: 'first'}) RETURN r.x AS x") == [{"x": number}]
        with open_session(opened, settings.database, read_only=True) as session:
            session.run("RETURN 1").consume()
            assert set(session.last_bookmarks().raw_values) >= known
        assert not bookmarks(stranger).raw_values & known
    write(graph, None, "MATCH (r:Run) REMOVE r.x")


class Translated:
    """The part of a session that projects: takes what a session takes, and uses the plugin."""

    def __init__(self, plugin: Any) -> None:
        self.plugin, self.graph = plugin, self
        self.project, self.deleted = self, False

    def cypher(
        self, graph_name: str, query: str, *, query_parameters: dict[str, Any], **options: Any
    ) -> Any:
        undirected = options.get("undirected_relationship_types") or []
        call = "gds.graph.project.remote("
        assert query.rstrip().endswith(")")
        text = query.replace(call, "gds.graph.project($graph_name, ").rstrip().removesuffix(")")
        return self.plugin.graph.project.cypher(
            text + ", {undirectedRelationshipTypes: $types})",
            **query_parameters | {"graph_name": graph_name, "types": undirected},
        )

    def drop(self, *names: Any, fail_if_missing: bool = True) -> Any:
        return self.plugin.graph.drop(*names, fail_if_missing=fail_if_missing)

    def get_or_create(self, *_: Any, **__: Any) -> Translated:
        return self

    def delete(self) -> None:
        self.deleted = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plugin, name)


PROJECT = """
MATCH (f:Feature)-[:FROM_RUN]->(:Run {key: $run}) WHERE NOT f.dead
OPTIONAL MATCH (f)-[r:CO_OCCURS {run: $run}]->(t:Feature)
WITH f, t, r ORDER BY f.key, t.key
RETURN gds.graph.project($name, f, t, {relationshipProperties: r {.phi}},
  {undirectedRelationshipTypes: ['*'], readConcurrency: 1})
"""


def ranks(gds: Any) -> list[float]:
    gds.graph.drop("ranked", fail_if_missing=False)
    made = gds.graph.project.cypher(PROJECT, run="first", name="ranked")
    frame = gds.page_rank.stream(made.graph, relationship_weight_property="phi", concurrency=1)
    gds.graph.drop("ranked")
    assert made.result.relationship_count == 2 * (len(planted_edges()) + 1)
    return frame.sort_values("nodeId")["score"].tolist()


def test_the_rewritten_projection_is_the_same_graph(graph: Driver) -> None:
    plugin = gds_client(graph)
    session = Translated(plugin)
    spec = SessionSpec("m", memory="2GB", location="gcp/x")
    with gds_session(None, spec, sessions=session) as client:
        assert isinstance(client, SessionClient)
        assert ranks(client) == ranks(plugin)
    assert session.deleted


def test_a_server_that_cannot_project_remotely_is_told_before_a_session_is_paid_for(
    graph: Driver, server: ManagedServer
) -> None:
    spec = SessionSpec("m", memory="2GB", location="gcp/x")
    with (
        pytest.raises(DatabaseError, match="send_network"),
        gds_session(server.connection(), spec, driver=graph, sessions=object()),
    ):
        pass


def test_a_network_is_handed_over(graph: Driver) -> None:
    edges = np.array(sorted(planted_edges()), np.int32)
    weight = np.array([planted_edges()[tuple(edge)] for edge in edges.tolist()])
    keys: Sequence[str] = [key(index) for index in range(DEAD)]
    gds = gds_client(graph)
    made = send_network(gds, Network(keys, edges[:, 0], edges[:, 1], weight), name="sent")
    try:
        assert (made.node_count(), made.relationship_count()) == (DEAD, 2 * len(edges))
        frame = gds.degree.stream(made, relationship_weight_property="weight")
        strength = np.zeros(DEAD)
        np.add.at(strength, edges, weight[:, None])
        assert frame.sort_values("nodeId")["score"].to_numpy() == pytest.approx(strength)
    finally:
        gds.graph.drop("sent")


@pytest.fixture
def command(server: ManagedServer, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    for name in ("NEO4J_URI", "NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ATLAS_HOME", str(server.home))
    monkeypatch.setenv("COLUMNS", "200")
    return CliRunner()


def test_commands(graph: Driver, folders: dict[str, Path], command: CliRunner) -> None:
    load(graph, folders["second"])
    set_decoders(graph, decoders())

    def said(*words: str) -> str:
        done = command.invoke(app, ["runs", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    with Atlas.connect() as atlas:
        assert json.loads(said("list", "--json")) == atlas.runs()
        assert json.loads(said("show", "first", "--json")) == atlas.run("first")
        expected = atlas.diff_runs("first", "second", top=2).to_json()
        found = said("diff", "first", "second", "--top", "2", "--json")
        assert json.loads(found) == json.loads(json.dumps(expected))
    assert "second" in said("list")
    assert "letters" in said("show", "first")
    assert "Lost features" in said("diff", "first", "second")
    with pytest.raises(UsageError, match="--yes"):
        command.invoke(app, ["runs", "drop", "second"], catch_exceptions=False)
    assert json.loads(said("drop", "second", "--yes", "--json"))["run"] == "second"
    assert "second" not in said("list")
