"""Migrations on a real database: recorded, repeatable, safe for several at once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from atlas.errors import DatabaseError
from atlas.graph.migrate import Migration, migrate, migrations, pending
from atlas.graph.reader import DriverReader
from ingest.build_folder import open_build
from ingest.load import load
from ingest.vectors import LABEL_DIMENSIONS
from ingest.verify import verify_load
from tests.builds import write_build
from tests.dumps import read_dump, restore, take_dump
from tests.servers import empty

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neo4j import Driver

pytestmark = pytest.mark.db

DATA = Path(__file__).parents[1] / "data"
RECORDED = "MATCH (m:Migration) RETURN m.name AS name, m.sha256 AS sha256 ORDER BY name"
COUNT = "MATCH (n:Counter) RETURN sum(n.value) AS n"


@pytest.fixture(scope="module", autouse=True)
def _no_schema_is_left(driver: Driver) -> Iterator[None]:
    """Other files delete nodes alone and take the schema for that of this version."""
    yield
    empty(driver)


def test_schema_is_made_once_and_recorded(clean_driver: Driver) -> None:
    names = [migration.name for migration in migrations()]
    assert migrate(clean_driver) == names
    reader = DriverReader(clean_driver)
    assert [row["name"] for row in reader.read(RECORDED)] == names
    indexes = reader.read("SHOW INDEXES YIELD name, state, type, options RETURN *")
    assert {row["state"] for row in indexes} == {"ONLINE"}
    fulltext = {row["name"] for row in indexes if row["type"] == "FULLTEXT"}
    assert fulltext == {
        "feature_text",
        "token_text",
        "context_text",
        "concept_text",
        "explanation_text",
    }
    vectors = {
        row["name"]: row["options"]["indexConfig"] for row in indexes if row["type"] == "VECTOR"
    }
    assert vectors["feature_label_embedding"]["vector.dimensions"] == LABEL_DIMENSIONS
    assert "vector.dimensions" not in vectors["feature_decoder"]
    constraints = {row["name"] for row in reader.read("SHOW CONSTRAINTS YIELD name")}
    labels = "model sae feature token document context concept community run algorithm_run"
    labels += " intervention effect explanation prompt_set prompt attribution_graph"
    relations = "co_occurs implies similar_to feeds co_attributed affects"
    assert {f"{name}_key" for name in f"{labels} {relations}".split()} <= constraints
    assert "migration_name" in constraints
    assert migrate(clean_driver) == []


def test_a_second_feature_of_a_key_is_refused(clean_driver: Driver) -> None:
    from neo4j.exceptions import ConstraintError

    migrate(clean_driver)
    clean_driver.execute_query("CREATE (:Feature {key: 'a'})")
    with pytest.raises(ConstraintError):
        clean_driver.execute_query("CREATE (:Feature {key: 'a'})")


def test_only_new_ones_are_applied_in_order(clean_driver: Driver) -> None:
    first = Migration("0001_a", "CREATE (:Counter {value: 1})")
    second = Migration("0002_b", "MATCH (n:Counter) SET n.value = n.value * 10; RETURN 1")
    assert migrate(clean_driver, known=[first]) == ["0001_a"]
    assert [m.name for m in pending(clean_driver, known=[first, second])] == ["0002_b"]
    assert migrate(clean_driver, known=[first, second]) == ["0002_b"]
    assert DriverReader(clean_driver).read(COUNT)[0]["n"] == 10


def test_a_failing_one_is_not_recorded_and_can_be_repaired(clean_driver: Driver) -> None:
    broken = Migration("0001_a", "MERGE (:Counter {value: 1}); RETURN nonsense")
    with pytest.raises(Exception, match="nonsense"):
        migrate(clean_driver, known=[broken])
    assert DriverReader(clean_driver).read(RECORDED) == []
    assert migrate(clean_driver, known=[Migration("0001_a", "MERGE (:Counter {value: 1})")])
    assert DriverReader(clean_driver).read(COUNT)[0]["n"] == 1


def test_an_index_that_cannot_be_built_is_named_and_its_migration_not_recorded(
    clean_driver: Driver,
) -> None:
    plan = [Migration("0001_a", "CREATE INDEX counters IF NOT EXISTS FOR (n:Counter) ON (n.text)")]
    clean_driver.execute_query("CREATE (:Counter {text: $text})", text="x" * 100_000)  # too long
    with pytest.raises(DatabaseError, match=r"counters \(FAILED\).*DROP INDEX"):
        migrate(clean_driver, known=plan)
    assert DriverReader(clean_driver).read(RECORDED) == []
    clean_driver.execute_query("DROP INDEX counters")
    clean_driver.execute_query("MATCH (n:Counter) SET n.text = 'x'")
    assert migrate(clean_driver, known=plan) == ["0001_a"]


def test_changed_and_unknown_ones_are_errors(clean_driver: Driver) -> None:
    migrate(clean_driver, known=[Migration("0001_a", "RETURN 1")])
    with pytest.raises(DatabaseError, match="another text"):
        migrate(clean_driver, known=[Migration("0001_a", "RETURN 2")])
    with pytest.raises(DatabaseError, match="newer atlas"):
        migrate(clean_driver, known=[])


def test_several_at_once_apply_it_once(clean_driver: Driver) -> None:
    # This migration is not repeatable: applied twice, the sum would be two.
    plan = [Migration("0001_a", "CREATE (:Counter {value: 1})")]
    applied: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: applied.append(migrate(clean_driver, known=plan)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert sorted(applied) == [[], [], [], ["0001_a"]]
    assert DriverReader(clean_driver).read(COUNT)[0]["n"] == 1
    assert DriverReader(clean_driver).read("MATCH (n:MigrationLock) RETURN n") == []


VERSIONS = ["graph-0001", "graph-0002", "graph-0003"]
SCHEMA = (
    "SHOW INDEXES YIELD name, type, entityType, labelsOrTypes, properties, options "
    "WHERE type <> 'LOOKUP' RETURN *"
)
OLD_DATA = """
MATCH (a)-[e {run: 'older'}]->(b)
RETURN properties(e) AS r ORDER BY type(e), e.key, a.key, b.key
"""


def shape(driver: Driver) -> set[str]:
    return {str(sorted(row.items())) for row in DriverReader(driver).read(SCHEMA)}


def without_migrations(driver: Driver) -> list[object]:
    dump = take_dump(driver)
    kept = [row for row in dump["nodes"] if row[0] != ["Migration"]]
    ends = {number: row[1].get("key") for number, row in enumerate(dump["nodes"])}
    joins = [[ends[a], kind, ends[b], values] for a, kind, b, values in dump["relationships"]]
    return [kept, joins]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_database_of_an_earlier_version_is_upgraded_in_place(
    clean_driver: Driver, version: str, tmp_path: Path
) -> None:
    restore(clean_driver, read_dump(DATA / f"{version}.json"))
    before = without_migrations(clean_driver)
    number = int(version[-1])
    applied = [migration.name for migration in migrations()[number:]]
    assert applied, "a version that is not older proves nothing"
    assert migrate(clean_driver) == applied
    assert without_migrations(clean_driver) == before
    assert "feature_decoder" in str(shape(clean_driver))

    # A new run of the same SAE beside the old one.
    old = DriverReader(clean_driver).read(OLD_DATA)
    assert len(old) > 15
    assert load(clean_driver, write_build(tmp_path / "b")).loaded
    assert DriverReader(clean_driver).read(OLD_DATA) == old
    verify_load(clean_driver, None, open_build(tmp_path / "b"))
    upgraded = shape(clean_driver)
    empty(clean_driver)
    migrate(clean_driver)
    assert shape(clean_driver) == upgraded


def test_one_vector_index_serves_vectors_of_several_widths(clean_driver: Driver) -> None:
    migrate(clean_driver)
    make = (
        "UNWIND $rows AS row CREATE (f:Feature {key: row.key}) WITH f, row "
        "CALL db.create.setNodeVectorProperty(f, 'decoder', row.vector)"
    )
    rng = np.random.default_rng(0)
    rows = [
        {"key": f"{width}/{n}", "vector": rng.normal(size=width).tolist()}
        for width in (5, 8)
        for n in range(20)
    ]
    clean_driver.execute_query(make, rows=rows)
    ask = (
        "CALL db.index.vector.queryNodes('feature_decoder', 40, $vector) "
        "YIELD node, score RETURN node.key AS key, score"
    )
    for row in rows[::7]:
        width = len(row["vector"])
        found = DriverReader(clean_driver).read(ask, {"vector": row["vector"]})
        assert len(found) == 20
        assert all(hit["key"].startswith(f"{width}/") for hit in found)
        assert found[0]["key"] == row["key"]
        assert found[0]["score"] == pytest.approx(1.0, abs=1e-6)
