"""The queries about concepts and tokens, against answers computed from the rows of two builds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from atlas import Atlas
from atlas.errors import NotFoundError
from atlas.graph.reader import DriverReader
from queries.catalogue import query, run
from tests.builds import (
    CORPUS,
    DEAD,
    ISOLATED,
    MODEL,
    SAE,
    SIZE,
    Tables,
    concept_key,
    key,
    planted,
    write_build,
)

if TYPE_CHECKING:
    from neo4j import Driver

    from atlas.graph.reader import Row
    from atlas.graph.server import ManagedServer

pytestmark = pytest.mark.db

SAMPLES: dict[str, dict[str, Any] | None] = {
    "concept_features": {"concept": "domain-heart"},
    "concepts": {},
    "domain_features": {"domain": "domain-heart", "min_documents": 3},
    "domains_compared": {"a": "domain-heart", "b": "domain-goal"},
    "feature_concepts": {"feature": 3},
    "feature_tokens": {"feature": 3},
    # Each feature of the planted build is about one concept, and so are its neighbours.
    "related_concepts": None,
    "says_and_reads": {},
    "token_features": {"token": "heart"},
    "token_promoters": {"token": "heart"},
    "token_suppressors": {"token": "("},
}
FIRST, SECOND = "synthetic", "second"
HEART, GOAL = concept_key("heart"), concept_key("goal")
NOTHING = f"{CORPUS}/topic/nothing"
TERMS = [f"{CORPUS}/term/T:{n}" for n in range(5)]


def widened(run_id: str, seed: int) -> tuple[dict[str, Any], Tables]:
    """Return a build of the planted SAE with more concepts and tokens, drawn at random."""
    made, rows = planted(run_id)
    rng = np.random.default_rng(seed)
    rows["concepts"] += [
        {"key": term, "name": f"term {term[-1]}", "kind": "term", "source": "o", "documents": 60}
        for term in TERMS
    ]
    rows["concepts"].append(
        {"key": NOTHING, "name": "nothing", "kind": "topic", "source": "o", "documents": 11}
    )
    pairs = [(f, c) for f in range(DEAD) for c in [*TERMS, HEART, GOAL] if rng.random() < 0.4]
    have = {(row["feature"], row["concept"]) for row in rows["about"]}
    # Steps of 1/128 make ties, and are exact.
    rows["about"] += [
        about(f, c, 0.6 + float(rng.integers(1, 40)) / 128)
        for f, c in pairs
        if (key(f), c) not in have
    ]
    if run_id == SECOND:
        rows["about"] = [row for row in rows["about"] if rng.random() < 0.7]
        for row in rows["features"]:
            row["top_domain_share"] = row["top_domain_share"] and row["index"] / 32
    rows["feature_tokens"] += more_tokens(rows, rng)
    return made, rows


def about(feature: int, concept: str, auc: float) -> dict[str, Any]:
    return {
        "feature": key(feature),
        "concept": concept,
        "auc": auc,
        "effect": 2 * auc - 1,
        "p": 1e-6,
        "q": 1e-4,
        "documents": 12,
        "share": 0.2,
    }


def more_tokens(rows: Tables, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Give tokens ``heart`` and ``Heart`` beside `` heart`` to features; add the two."""
    added = []
    for token_id, text in ((900, "heart"), (901, "Heart")):
        rows["tokens"].append({"key": f"{MODEL}/{token_id}", "token_id": token_id, "text": text})
        for relation, sign in (("FIRES_ON", 1), ("PROMOTES", 1), ("SUPPRESSES", -1)):
            fires = relation == "FIRES_ON"
            added += [
                {
                    "feature": key(int(feature)),
                    "token": f"{MODEL}/{token_id}",
                    "relation": relation,
                    # After those of the planted build: two that it fires on, and one each.
                    "rank": token_id - (897 if fires else 898),
                    "score": sign * float(rng.integers(1, 40)) / 4,
                    "n": int(rng.integers(1, 9)) if fires else None,
                }
                for feature in rng.choice(DEAD, 9, replace=False)
            ]
    return added


@dataclass(frozen=True)
class Loaded:
    """Two runs of one SAE, the second loaded last; and what was so with the first alone."""

    reader: DriverReader
    rows: dict[str, Tables]
    alone: dict[str, list[Row]]

    def ask(self, name: str, **parameters: Any) -> list[Row]:
        spec = query(name)
        found = run(self.reader, name, **parameters)
        assert all(list(row) == [column.name for column in spec.columns] for row in found)
        return found

    def about(self, run_id: str = SECOND) -> dict[str, dict[str, float]]:
        """Return concept -> feature -> AUC."""
        found: dict[str, dict[str, float]] = defaultdict(dict)
        for row in self.rows[run_id]["about"]:
            found[row["concept"]][row["feature"]] = row["auc"]
        return found

    def tokens(self, relation: str, run_id: str = SECOND) -> list[tuple[str, str, dict[str, Any]]]:
        """Return feature, text and row of each token of a relation."""
        text = {row["key"]: row["text"] for row in self.rows[run_id]["tokens"]}
        return [
            (row["feature"], text[row["token"]], row)
            for row in self.rows[run_id]["feature_tokens"]
            if row["relation"] == relation
        ]


@pytest.fixture(scope="module")
def loaded(
    driver: Driver, server: ManagedServer, tmp_path_factory: pytest.TempPathFactory
) -> Loaded:
    driver.execute_query("MATCH (n) DETACH DELETE n")
    folder = tmp_path_factory.mktemp("builds")
    builds = {FIRST: widened(FIRST, 1), SECOND: widened(SECOND, 2)}
    reader = DriverReader(driver)
    alone = {}
    with Atlas.connect(home=server.home) as atlas:
        for run_id, (made, rows) in builds.items():
            atlas.load(write_build(folder / run_id, made, rows))
            if run_id == FIRST:
                for concept in (HEART, TERMS[0]):
                    alone[concept] = run(reader, "related_concepts", concept=concept)
    return Loaded(reader, {run_id: rows for run_id, (_, rows) in builds.items()}, alone)


def ranked(scores: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def jaccard(about: dict[str, dict[str, float]], concept: str) -> dict[str, float]:
    mine = set(about[concept])
    found = {
        other: len(mine & set(features)) / len(mine | set(features))
        for other, features in about.items()
        if other != concept
    }
    return {other: share for other, share in found.items() if share}


@pytest.mark.parametrize("run_id", [None, FIRST, SECOND])
def test_concepts(loaded: Loaded, run_id: str | None) -> None:
    about = loaded.about(run_id or SECOND)
    rows = loaded.ask("concepts", run=run_id)
    counts = {concept: len(features) for concept, features in about.items()}
    if run_id is None:
        counts[NOTHING] = 0
    assert [(row["concept"], row["features"]) for row in rows] == ranked(counts)
    for row in rows:
        if row["concept"] != NOTHING:
            best = ranked(about[row["concept"]])[0]
            assert (row["best_feature"], row["best_auc"]) == best
            assert row["best_label"] == label(best[0])
    assert {row["kind"] for row in loaded.ask("concepts", kind="term", run=run_id)} == {"term"}
    assert loaded.ask("concepts", limit=2, run=run_id) == rows[:2]


def test_a_concept_without_features_is_listed(loaded: Loaded) -> None:
    row = loaded.ask("concepts", kind="topic")[0]
    assert (row["name"], row["documents"], row["features"]) == ("nothing", 11, 0)
    assert row["best_auc"] is None
    assert row["best_feature"] is None


@pytest.mark.parametrize("kind", ["hpo", "icd10"])
def test_terms_of_an_ontology_are_of_its_kind(loaded: Loaded, driver: Driver, kind: str) -> None:
    term = TERMS[0]
    feature = ranked(loaded.about()[term])[0][0]
    driver.execute_query("MATCH (c:Concept {key: $key}) SET c.kind = $kind", key=term, kind=kind)
    try:
        for name, given in (
            ("concepts", {}),
            ("feature_concepts", {"feature": feature}),
            ("related_concepts", {"concept": HEART}),
            ("search_concepts", {"text": "term"}),
        ):
            (row,) = loaded.ask(name, **given, kind=kind)
            assert (row["concept"], row["kind"]) == (term, kind)
        kinds = {p.name: p.choices for p in query("community_concepts").parameters}["kind"]
        assert kind in kinds
    finally:
        driver.execute_query("MATCH (c:Concept {key: $key}) SET c.kind = 'term'", key=term)


def label(feature: str) -> str:
    index = int(feature.rpartition("/")[2])
    themes = ("heart", "goal", "river", "alone")
    return f"{themes[index // SIZE]} {index}"


@pytest.mark.parametrize("run_id", [None, FIRST])
@pytest.mark.parametrize("concept", [HEART, TERMS[2]])
def test_concept_features(loaded: Loaded, concept: str, run_id: str | None) -> None:
    expected = ranked(loaded.about(run_id or SECOND)[concept])
    rows = loaded.ask("concept_features", concept=concept, run=run_id, limit=100)
    assert [(row["key"], row["auc"]) for row in rows] == expected
    assert all(row["effect"] == pytest.approx(2 * row["auc"] - 1) for row in rows)
    assert {row["run"] for row in rows} == {run_id or SECOND}
    assert [row["label"] for row in rows] == [label(row["key"]) for row in rows]
    assert loaded.ask("concept_features", concept=concept, run=run_id, limit=3) == rows[:3]


def test_concepts_have_names_and_identifiers(loaded: Loaded) -> None:
    by_key = loaded.ask("concept_features", concept=TERMS[1])
    assert by_key
    assert loaded.ask("concept_features", concept="term 1") == by_key
    assert loaded.ask("concept_features", concept="T:1") == by_key
    assert loaded.ask("concept_features", concept=NOTHING) == []
    with pytest.raises(NotFoundError):
        loaded.ask("concept_features", concept="no such concept")


@pytest.mark.parametrize("run_id", [None, FIRST])
def test_feature_concepts(loaded: Loaded, run_id: str | None) -> None:
    about = loaded.about(run_id or SECOND)
    for index in (0, 9, ISOLATED, DEAD):
        mine = {concept: of[key(index)] for concept, of in about.items() if key(index) in of}
        rows = loaded.ask("feature_concepts", feature=index, run=run_id)
        assert [(row["concept"], row["auc"]) for row in rows] == ranked(mine)
        terms = loaded.ask("feature_concepts", feature=index, kind="term", run=run_id)
        assert terms == [row for row in rows if row["kind"] == "term"]
    (first,) = loaded.ask("feature_concepts", feature=0, kind="domain", run=FIRST, limit=1)
    assert (first["concept"], first["documents"], first["of"]) == (HEART, 30, 40)
    assert first["share"] == pytest.approx(0.75)


@pytest.mark.parametrize("run_id", [None, FIRST])
@pytest.mark.parametrize("concept", [HEART, TERMS[0]])
def test_related_concepts(loaded: Loaded, concept: str, run_id: str | None) -> None:
    about = loaded.about(run_id or SECOND)
    expected = ranked(jaccard(about, concept))
    rows = loaded.ask("related_concepts", concept=concept, run=run_id)
    assert [(row["concept"], row["jaccard"]) for row in rows] == expected
    assert len(rows) > 3
    for row in rows:
        assert row["shared"] == len(set(about[concept]) & set(about[row["concept"]]))
        assert (row["features"], row["of"]) == (len(about[row["concept"]]), len(about[concept]))
    kinds = loaded.ask("related_concepts", concept=concept, kind="term", run=run_id)
    assert kinds == [row for row in rows if row["kind"] == "term"]
    if run_id == FIRST:
        assert rows == loaded.alone[concept], "counted by degree, with one run"


def test_nothing_is_related_to_a_concept_without_features(loaded: Loaded) -> None:
    assert loaded.ask("related_concepts", concept=NOTHING) == []


def test_domain_features(loaded: Loaded) -> None:
    about = loaded.about()[HEART]
    rows = loaded.ask("domain_features", domain="domain-heart", min_documents=3, limit=100)
    assert [(row["key"], row["auc"]) for row in rows] == ranked(about)
    # Every feature fires in three documents.
    assert loaded.ask("domain_features", domain="domain-heart", min_documents=4) == []
    first = loaded.ask(
        "domain_features", domain="domain-heart", min_documents=3, limit=100, run=FIRST
    )
    assert [(row["key"], row["auc"]) for row in first] == ranked(loaded.about(FIRST)[HEART])
    for name in ("term 1", "no such domain", "domain-"):
        assert loaded.ask("domain_features", domain=name, min_documents=3) == []


def test_domain_features_by_their_share(loaded: Loaded) -> None:
    shares = {key(index): index / 32 for index in range(SIZE)}
    how = {"domain": "domain-heart", "by": "share", "min_documents": 3}
    rows = loaded.ask("domain_features", **how)
    assert [(row["key"], row["top_domain_share"]) for row in rows] == ranked(shares)
    about = loaded.about()[HEART]
    assert [row["auc"] for row in rows] == [about.get(row["key"]) for row in rows]
    assert any(row["auc"] is None for row in rows)
    assert loaded.ask("domain_features", **how, run=FIRST) == [], "the shares are of the second"
    assert loaded.ask("domain_features", **how, run=SECOND) == rows


@pytest.mark.parametrize("run_id", [None, FIRST])
def test_domains_compared(loaded: Loaded, run_id: str | None) -> None:
    about = loaded.about(run_id or SECOND)
    effects = {c: {f: 2 * auc - 1 for f, auc in about[c].items()} for c in (HEART, GOAL)}
    both = set(effects[HEART]) | set(effects[GOAL])
    differ = {f: effects[HEART].get(f, 0.0) - effects[GOAL].get(f, 0.0) for f in both}
    how: dict[str, Any] = {"a": "domain-heart", "b": GOAL, "run": run_id, "limit": 100}
    rows = loaded.ask("domains_compared", **how)
    assert {row["key"]: row["difference"] for row in rows} == pytest.approx(differ)
    sizes = [abs(row["difference"]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    for row in rows:
        assert row["effect_a"] == effects[HEART].get(row["key"])
        assert row["effect_b"] == effects[GOAL].get(row["key"])
        assert (row["share_a"] is None) == (row["effect_a"] is None)
    for side, sign in (("a", 1), ("b", -1)):
        some = loaded.ask("domains_compared", **how, towards=side)
        assert some == [row for row in rows if sign * row["difference"] > 0]
        assert some
    turned = loaded.ask("domains_compared", **(how | {"a": GOAL, "b": HEART}))
    assert {r["key"]: -r["difference"] for r in turned} == pytest.approx(differ)


def test_a_concept_does_not_differ_from_itself(loaded: Loaded) -> None:
    assert loaded.ask("domains_compared", a=HEART, b=HEART) == []


@pytest.mark.parametrize("run_id", [None, FIRST])
@pytest.mark.parametrize(
    ("name", "relation", "sign"),
    [("token_promoters", "PROMOTES", 1), ("token_suppressors", "SUPPRESSES", -1)],
)
def test_features_that_promote_or_suppress_a_token(
    loaded: Loaded, name: str, relation: str, sign: int, run_id: str | None
) -> None:
    texts = [" heart", "heart"]
    scores: dict[str, float] = {}
    places: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for feature, text, row in loaded.tokens(relation, run_id or SECOND):
        if text in texts:
            score = sign * row["score"]
            scores[feature] = max(score, scores.get(feature, score))
            places[feature].append((row["rank"], text))
    rows = ask_for(loaded, name, texts, run=run_id, limit=100)
    assert [(row["key"], sign * row["score"]) for row in rows] == ranked(scores)
    for row in rows:
        assert (row["rank"], row["tokens"][0]) == min(places[row["key"]])
        assert row["tokens"] == [text for _, text in sorted(places[row["key"]])]
    assert ask_for(loaded, name, texts, run=run_id, limit=2) == rows[:2]
    assert ask_for(loaded, name, ["no such token"]) == []
    assert ask_for(loaded, name, []) == []


def ask_for(loaded: Loaded, name: str, texts: list[str], **parameters: Any) -> list[Row]:
    """Run a query with the texts that a token was found to have."""
    spec = query(name)
    values = {p.name: p.default for p in spec.parameters} | {"token": texts} | parameters
    return loaded.reader.read(spec.cypher, values)


def test_a_token_has_spellings(loaded: Loaded) -> None:
    both = loaded.ask("token_promoters", token="heart", limit=100)
    assert both == ask_for(loaded, "token_promoters", [" heart", "heart"], limit=100)
    assert loaded.ask("token_suppressors", token="(", limit=100)[0]["tokens"] == [" ("]
    with pytest.raises(NotFoundError):
        loaded.ask("token_features", token="no such token")


@pytest.mark.parametrize("run_id", [None, FIRST])
@pytest.mark.parametrize("by", ["score", "n"])
def test_token_features(loaded: Loaded, by: str, run_id: str | None) -> None:
    texts = [" heart", "heart", "Heart"]
    score: dict[str, float] = {}
    n: dict[str, float] = defaultdict(int)
    for feature, text, row in loaded.tokens("FIRES_ON", run_id or SECOND):
        if text in texts:
            score[feature] = max(row["score"], score.get(feature, 0.0))
            n[feature] += row["n"]
    rows = ask_for(loaded, "token_features", texts, by=by, run=run_id, limit=100)
    assert [(row["key"], row[by]) for row in rows] == ranked({"score": score, "n": n}[by])
    fires = {key(index): 20 + index for index in range(DEAD)}
    for row in rows:
        assert row["n"] == n[row["key"]]
        share = None if run_id == FIRST else pytest.approx(n[row["key"]] / fires[row["key"]])
        assert row["share"] == share
    assert loaded.ask("token_features", token="own5")[0]["key"] == key(5)


@pytest.mark.parametrize("relation", ["fires_on", "promotes", "suppresses"])
def test_feature_tokens(loaded: Loaded, relation: str) -> None:
    for index in (3, 12):
        for run_id in (None, FIRST):
            expected = sorted(
                (row["rank"], int(row["token"].rpartition("/")[2]), text, row["score"], row["n"])
                for feature, text, row in loaded.tokens(relation.upper(), run_id or SECOND)
                if feature == key(index)
            )
            rows = loaded.ask("feature_tokens", feature=index, relation=relation, run=run_id)
            names = ("rank", "token_id", "token", "score", "n")
            assert [tuple(row[name] for name in names) for row in rows] == expected
            assert expected
    assert loaded.ask("feature_tokens", feature=DEAD, relation=relation) == []
    assert len(loaded.ask("feature_tokens", feature=3, relation=relation, limit=1)) == 1


@pytest.mark.parametrize("run_id", [None, FIRST])
def test_says_and_reads(loaded: Loaded, run_id: str | None) -> None:
    read = {(f, text): row for f, text, row in loaded.tokens("FIRES_ON", run_id or SECOND)}
    shared: dict[str, list[tuple[float, str, int]]] = defaultdict(list)
    for feature, text, row in loaded.tokens("PROMOTES", run_id or SECOND):
        if (feature, text) in read:
            shared[feature].append((-row["score"], text, read[feature, text]["n"]))
    expected = sorted(
        (-len(found), min(found)[0], feature, tuple(t for _, t, _ in sorted(found)),
         sum(n for _, _, n in found))
        for feature, found in shared.items()
    )  # fmt: skip
    rows = loaded.ask("says_and_reads", run=run_id, limit=100)
    assert [
        (-row["shared"], -row["score"], row["key"], tuple(row["tokens"]), row["n"]) for row in rows
    ] == expected
    several = loaded.ask("says_and_reads", run=run_id, min_shared=2, limit=100)
    assert several == [row for row in rows if row["shared"] > 1]
    assert several


def test_features_that_are_not_there(loaded: Loaded) -> None:
    """The statements find nothing for a key that no feature has; the caller makes it an error."""
    for name in ("feature_concepts", "feature_tokens"):
        spec = query(name)
        values = {p.name: p.default for p in spec.parameters} | {"feature": f"{SAE}/999"}
        assert loaded.reader.read(spec.cypher, values) == []
        with pytest.raises(NotFoundError):
            loaded.ask(name, feature=999)
