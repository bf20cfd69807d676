"""Migrations on a real database: recorded, repeatable, safe for several at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from atlas.errors import DatabaseError
from atlas.graph.migrate import Migration, migrate, migrations, pending
from atlas.graph.reader import DriverReader

if TYPE_CHECKING:
    from neo4j import Driver

pytestmark = pytest.mark.db

RECORDED = "MATCH (m:Migration) RETURN m.name AS name, m.sha256 AS sha256 ORDER BY name"
COUNT = "MATCH (n:Counter) RETURN sum(n.value) AS n"


def test_schema_is_made_once_and_recorded(clean_driver: Driver) -> None:
    names = [migration.name for migration in migrations()]
    assert migrate(clean_driver) == names
    reader = DriverReader(clean_driver)
    assert [row["name"] for row in reader.read(RECORDED)] == names
    indexes = reader.read("SHOW INDEXES YIELD name, state, type RETURN *")
    assert {row["state"] for row in indexes} == {"ONLINE"}
    fulltext = {row["name"] for row in indexes if row["type"] == "FULLTEXT"}
    assert fulltext == {"feature_text", "token_text", "context_text"}
    constraints = {row["name"] for row in reader.read("SHOW CONSTRAINTS YIELD name")}
    assert {"feature_key", "co_occurs_key", "run_key", "migration_name"} <= constraints
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
