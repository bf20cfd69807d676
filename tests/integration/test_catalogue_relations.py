"""The queries about edges between features, on a graph with known answers."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from atlas import Atlas
from atlas.errors import NotFoundError, UsageError
from atlas.graph.reader import DriverReader
from atlas.schemas import schema
from queries.catalogue import query, run
from tests.builds import (
    DEAD,
    ISOLATED,
    SAE,
    SIZE,
    THEMES,
    WEAK,
    concept_key,
    key,
    planted,
    planted_edges,
    write_build,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neo4j import Driver

    from atlas.graph.server import ManagedServer

pytestmark = pytest.mark.db

Row = dict[str, Any]

SAMPLES: dict[str, dict[str, Any] | None] = {
    "absorptions": None,
    "bridges": {"min_degree": 1},
    "confounded_edges": {"min_share": 0.01},
    "dense_features": {},
    "edges_among": {"features": [0, 1, 2]},
    "edges_between": {"sources": [7], "targets": [8]},
    "exclusions": None,
    "implications": {"feature": 0},
    "in_common": {"a": 0, "b": 2},
    "joint_contexts": {"a": 0, "b": 2},
    "similar": {"feature": 0},
    "similar_but_apart": {"feature": 2},
    "strongest_edges": {},
    "why_joined": {"a": 0, "b": 1},
}
"""Parameters that find something in the planted build; None where it cannot have any."""

OTHER_RUN = (0, 20)
UNASSIGNED = {(3, ISOLATED): 0.5}
EXCLUSIVE = {(0, 9): -0.2, (2, 9): -0.3, (2, 12): -0.1}
TOPIC = {(1, 10): 0.6}
CONFOUNDED = {(0, 1): 0.9, (8, 9): 1.4}
SIMILAR = {(0, 1): 0.7, (2, 9): 0.7, (1, 10): 0.5, (1, 17): 0.2}
IMPLIES = {(0, 1): 0.8, (9, 8): 0.8, (0, 5): 0.6, (12, 3): 0.02, (13, 3): 0.1}
FEEDS = {(9, 2): 0.25}
ABSORBED = {(12, 3): 0.35, (13, 3): 0.45}
KEPT = ["letters/0/1", "letters/2/0"]
"""Contexts of the edge 0-1; the second is no strong firing of either."""


def token_edges() -> dict[tuple[int, int], float]:
    """Return phi of every token edge of the run."""
    return planted_edges() | {WEAK: 0.02} | UNASSIGNED


def rows_of_build() -> tuple[Row, dict[str, list[Row]]]:
    """Return the planted build with edges of every kind."""
    record, rows = planted()
    first = rows["edges"][0]
    for row in rows["edges"]:
        pair = tuple(int(row[end].rpartition("/")[2]) for end in ("source", "target"))
        row["position_share"] = CONFOUNDED.get(pair, 0.01)
        row["contexts"] = KEPT if pair == (0, 1) else []

    def edge(a: int, b: int, **numbers: Any) -> Row:
        return first | {"source": key(a), "target": key(b), "contexts": []} | numbers

    rows["edges"] += [
        edge(a, b, kind="exclusive", n=1, phi=x / 2, phi_within=x, cosine=0.4)
        for (a, b), x in EXCLUSIVE.items()
    ]
    rows["edges"] += [edge(a, b, kind="topic", r_topic=x, phi=0.01) for (a, b), x in TOPIC.items()]
    implied, similar = rows["implies"][0], rows["similar"][0]
    rows["implies"] = [
        implied
        | {"source": key(a), "target": key(b), "p_target_given_source": share}
        | {"absorption": (a, b) in ABSORBED, "cosine": ABSORBED.get((a, b), 0.1)}
        for (a, b), share in IMPLIES.items()
    ]
    rows["similar"] = [
        similar | {"source": key(a), "target": key(b), "cosine": x, "mutual": (a, b) == (1, 10)}
        for (a, b), x in SIMILAR.items()
    ]
    lacking = {"weight": 0.1, "weight_cosine": 0.2}
    rows["feeds"] = [
        {name: (edge(a, b, phi=x) | lacking)[name] for name in schema("feeds").names}
        for (a, b), x in FEEDS.items()
    ]
    return record, rows


@pytest.fixture(scope="module")
def reader(
    driver: Driver, server: ManagedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DriverReader]:
    """The build, analysed; an edge to a feature without community; and one of another run."""
    driver.execute_query("MATCH (n) DETACH DELETE n")
    record, rows = rows_of_build()
    with Atlas.connect(home=server.home) as atlas:
        atlas.load(write_build(tmp_path_factory.mktemp("build") / "b", record, rows))
        atlas.analyse()
    for (a, b), phi in UNASSIGNED.items():
        _copy_edge(driver, a, b, {"phi": phi, "key": f"synthetic|{SAE}|{a}|{b}|token"})
    driver.execute_query("CREATE (:Run {key: 'other'})")
    _copy_edge(driver, *OTHER_RUN, {"phi": 0.99, "key": "other|token", "run": "other"})
    yield DriverReader(driver)
    driver.execute_query("MATCH (n) DETACH DELETE n")


def _copy_edge(driver: Driver, a: int, b: int, changed: Row) -> None:
    """Copy the numbers of the edge 0-2 to another pair."""
    [found], _, _ = driver.execute_query(
        "MATCH (:Feature {key: $a})-[r:CO_OCCURS {kind: 'token'}]->(:Feature {key: $b}) "
        "RETURN properties(r) AS numbers",
        a=key(0),
        b=key(2),
    )
    driver.execute_query(
        "MATCH (a:Feature {key: $a}), (b:Feature {key: $b}) "
        "CREATE (a)-[e:CO_OCCURS]->(b) SET e = $numbers",
        a=key(a),
        b=key(b),
        numbers=found["numbers"] | changed,
    )


def index(text: str) -> int:
    """Return the index in a feature's key."""
    return int(text.rpartition("/")[2])


def beside(pairs: dict[tuple[int, int], float], feature: int) -> dict[int, float]:
    """Return the other ends of a feature's pairs, with their values."""
    return {(b if a == feature else a): x for (a, b), x in pairs.items() if feature in (a, b)}


def falling(values: list[float]) -> bool:
    return values == sorted(values, reverse=True)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_samples_and_columns(reader: DriverReader, name: str) -> None:
    rows = run(reader, name, **(SAMPLES[name] or _of_this_graph(name)))
    assert rows
    assert all(list(row) == [column.name for column in query(name).columns] for row in rows)


def _of_this_graph(name: str) -> Row:
    return {"feature": 0} if name == "exclusions" else {}


@pytest.mark.parametrize(
    "name",
    [name for name, given in SAMPLES.items() if {"feature", "a", "features"} & set(given or {})],
)
def test_features_that_are_not_there(reader: DriverReader, name: str) -> None:
    given = dict(SAMPLES[name] or {})
    first = next(iter(given))
    given[first] = [99, 0] if first == "features" else 99
    with pytest.raises(NotFoundError, match="99"):
        run(reader, name, **given)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("neighbours", {"feature": DEAD}),
        ("similar", {"feature": ISOLATED}),
        ("similar_but_apart", {"feature": ISOLATED}),
        ("implications", {"feature": ISOLATED}),
        ("exclusions", {"feature": ISOLATED}),
        ("why_joined", {"a": 0, "b": 16}),
        ("why_joined", {"a": 0, "b": 0}),
        ("in_common", {"a": 0, "b": DEAD}),
        ("joint_contexts", {"a": 0, "b": 9}),
        ("shared_neighbours", {"a": 0, "b": DEAD}),
        ("edges_among", {"features": [0]}),
        ("edges_between", {"sources": [0], "targets": [16, DEAD]}),
    ],
)
def test_nothing_to_find(reader: DriverReader, name: str, given: Row) -> None:
    assert run(reader, name, **given) == []


def test_neighbours_of_a_kind_and_run(reader: DriverReader) -> None:
    tokens = run(reader, "neighbours", feature=0, limit=100)
    assert {index(row["key"]): row["phi"] for row in tokens} == beside(token_edges(), 0)
    exclusive = run(reader, "neighbours", feature=9, kind="exclusive")
    assert [(index(row["key"]), row["strength"]) for row in exclusive] == [(2, 0.3), (0, 0.2)]
    other = run(reader, "neighbours", feature=20, run="other")
    assert [(index(row["key"]), row["phi"]) for row in other] == [(0, 0.99)]


def test_shared_neighbours_of_a_kind(reader: DriverReader) -> None:
    a, b = beside(token_edges(), 0), beside(token_edges(), 2)
    rows = run(reader, "shared_neighbours", a=0, b=2)
    expected = {x: min(a[x], b[x]) for x in set(a) & set(b)}
    assert {index(row["key"]): row["weaker"] for row in rows} == expected
    assert falling([row["weaker"] for row in rows])
    assert run(reader, "shared_neighbours", a=0, b=2, limit=1) == rows[:1]
    [row] = run(reader, "shared_neighbours", a=0, b=2, kind="exclusive")
    assert (index(row["key"]), row["weaker"]) == (9, 0.2)
    assert (row["phi_a"], row["phi_b"]) == (-0.1, -0.15)
    with pytest.raises(UsageError, match="token, topic, exclusive"):
        run(reader, "shared_neighbours", a=0, b=2, kind="other")


def test_in_common(reader: DriverReader) -> None:
    rows = run(reader, "in_common", a=0, b=2)
    by_kind = defaultdict(list)
    for row in rows:
        by_kind[row["kind"]].append(row)
    assert list(by_kind) == ["community", "concept", "fires_on", "promotes", "neighbour"]
    [community] = by_kind["community"]
    assert community["key"].startswith("synthetic/leiden/")
    [concept] = by_kind["concept"]
    assert (concept["key"], concept["name"]) == (concept_key("heart"), "domain-heart")
    assert concept["score_a"] == pytest.approx(0.9)
    assert concept["weaker"] == concept["score_b"] == pytest.approx(0.9 - 2 / 16)
    assert [(row["name"], row["score_a"]) for row in by_kind["fires_on"]] == [(" heart", 8.0)]
    assert [(row["name"], row["score_b"]) for row in by_kind["promotes"]] == [(" heart", 1.5)]
    shared = run(reader, "shared_neighbours", a=0, b=2)
    assert [(row["key"], row["score_a"], row["score_b"]) for row in by_kind["neighbour"]] == [
        (row["key"], row["phi_a"], row["phi_b"]) for row in shared
    ]
    assert run(reader, "in_common", a=0, b=2, limit=3) == rows[:3]
    assert {row["kind"] for row in run(reader, "in_common", a=5, b=8)} == {"neighbour"}, "only 7"


def test_why_joined(reader: DriverReader) -> None:
    rows = run(reader, "why_joined", a=1, b=0)
    assert [(row["type"], row["kind"], row["direction"]) for row in rows] == [
        ("CO_OCCURS", "token", "both"),
        ("IMPLIES", None, "b to a"),
        ("SIMILAR_TO", None, "both"),
    ]
    token, implies, similar = rows
    assert (token["n"], token["expected"], token["lift"], token["jaccard"]) == (10, 5.0, 2.0, 0.25)
    assert token["phi"] == token_edges()[0, 1]
    assert (token["position_share"], token["rank_a"], token["rank_b"]) == (0.9, 2, 1)
    # n is 10 on every edge; feature 0 fires 20 times and feature 1 fires 21 times.
    assert token["p_b_given_a"] == pytest.approx(10 / 21)
    assert token["p_a_given_b"] == pytest.approx(10 / 20)
    assert token["evidence"]["phi_max"] == 0.9
    assert (implies["p_a_given_b"], implies["p_b_given_a"]) == (0.8, 0.3)
    assert implies["absorption"] is False
    assert (similar["cosine"], similar["rank_a"], similar["rank_b"]) == (0.7, None, 1)
    forward = run(reader, "why_joined", a=0, b=1)
    assert [row["direction"] for row in forward] == ["both", "a to b", "both"]
    assert (forward[0]["rank_a"], forward[0]["rank_b"]) == (1, 2)
    assert [row["run"] for row in run(reader, "why_joined", a=0, b=20)] == ["other"]
    assert run(reader, "why_joined", a=0, b=1, run="other") == []


def test_joint_contexts(reader: DriverReader) -> None:
    rows = run(reader, "joint_contexts", a=1, b=0)
    assert [row["key"] for row in rows] == [
        *(f"letters/0/{place}" for place in range(4)),
        "letters/2/0",
    ]
    for place, row in enumerate(rows[:4]):
        assert row["activation_a"] == pytest.approx(3.0 - place / 4 - 0.01)
        assert row["activation_b"] == pytest.approx(3.0 - place / 4)
        assert row["weaker"] == pytest.approx(row["activation_a"] / 3)
        assert row["activations_a"] == [0.0, 3.0 - place / 4, 0.0, 0.5, 0.0]
        assert len(row["tokens"]) == len(row["activations_b"])
        assert (row["text"], row["domain"]) == (f"The heart is own{place}.", "domain-heart")
    assert [row["on_edge"] for row in rows] == [row["key"] in KEPT for row in rows]
    last = rows[-1]
    assert (last["activations_a"], last["activation_b"], last["weaker"]) == (None, None, None)
    assert (last["document"], last["position"]) == ("letters/2", 0)
    assert len(run(reader, "joint_contexts", a=0, b=2)) == 4
    assert run(reader, "joint_contexts", a=0, b=1, run="other") == []


def test_implications(reader: DriverReader) -> None:
    both = run(reader, "implications", feature=0)
    assert [(index(row["key"]), row["direction"]) for row in both] == [
        (1, "general"),
        (5, "general"),
    ]
    assert [row["p_general_given_specific"] for row in both] == [0.8, 0.6]
    assert run(reader, "implications", feature=0, direction="general") == both
    assert run(reader, "implications", feature=0, direction="specific") == []
    [specific] = run(reader, "implications", feature=8)
    assert (index(specific["key"]), specific["direction"]) == (9, "specific")
    absorbed = run(reader, "implications", feature=3, direction="specific")
    assert [(index(row["key"]), row["absorption"]) for row in absorbed] == [(13, True), (12, True)]


def test_absorptions(reader: DriverReader) -> None:
    rows = run(reader, "absorptions")
    assert [(index(row["specific"]), index(row["general"]), row["cosine"]) for row in rows] == [
        (13, 3, 0.45),
        (12, 3, 0.35),
    ]
    assert rows[0]["general_label"] == "heart 3"
    assert run(reader, "absorptions", limit=1) == rows[:1]
    assert run(reader, "absorptions", run="other") == []


def test_exclusions(reader: DriverReader) -> None:
    rows = run(reader, "exclusions", feature=2)
    assert [(index(row["key"]), row["phi_within"]) for row in rows] == [(9, -0.3), (12, -0.1)]
    back = run(reader, "exclusions", feature=9)
    assert [(index(row["key"]), row["phi_within"]) for row in back] == [(2, -0.3), (0, -0.2)]
    assert (rows[0]["n"], rows[0]["expected"], rows[0]["cosine"]) == (1, 5.0, 0.4)


def test_strongest_edges(reader: DriverReader) -> None:
    rows = run(reader, "strongest_edges", run="synthetic", limit=1000)
    found = {(index(row["source"]), index(row["target"])): row["value"] for row in rows}
    assert found == token_edges()
    assert falling([row["value"] for row in rows])
    assert run(reader, "strongest_edges", run="synthetic", limit=3) == rows[:3]
    assert run(reader, "strongest_edges", limit=1)[0]["run"] == "other"
    by_rank = {
        kind: [(index(r["source"]), index(r["target"]), r["value"]) for r in found]
        for kind in ("topic", "exclusive")
        if (found := run(reader, "strongest_edges", kind=kind))
    }
    assert by_rank["topic"] == [(1, 10, 0.6)]
    assert by_rank["exclusive"] == [(2, 9, 0.3), (0, 9, 0.2), (2, 12, 0.1)]
    npmi = run(reader, "strongest_edges", measure="npmi", run="synthetic")
    assert [row["value"] for row in npmi] == [row["npmi"] for row in npmi]
    assert falling([row["value"] for row in npmi])
    assert run(reader, "strongest_edges", min_n=11) == []


def test_ties_are_broken_the_same_way(reader: DriverReader) -> None:
    whole = run(reader, "strongest_edges", measure="n", limit=1000)
    assert len({row["value"] for row in whole}) == 1, "n is 10 on every edge"
    for limit in (1, 5, 20):
        assert run(reader, "strongest_edges", measure="n", limit=limit) == whole[:limit]


def test_confounded_edges(reader: DriverReader) -> None:
    rows = run(reader, "confounded_edges")
    assert [(index(row["source"]), row["position_share"]) for row in rows] == [(8, 1.4), (0, 0.9)]
    assert len(run(reader, "confounded_edges", min_share=0.95)) == 1
    assert run(reader, "confounded_edges", kind="topic", min_share=0.95) == []
    assert run(reader, "confounded_edges", run="other") == []


def test_similar_in_both_directions(reader: DriverReader) -> None:
    rows = run(reader, "similar", feature=1)
    assert {index(row["key"]): row["cosine"] for row in rows} == beside(SIMILAR, 1)
    assert falling([row["cosine"] for row in rows])
    assert [(row["rank"], row["rank_of_feature"]) for row in rows] == [
        (None, 1),
        (1, None),
        (1, None),
    ]
    assert [index(row["key"]) for row in run(reader, "similar", feature=1, mutual=True)] == [10]
    near = run(reader, "similar", feature=1, min_cosine=0.5)
    assert [index(row["key"]) for row in near] == [0, 10]


def test_similar_but_apart(reader: DriverReader) -> None:
    rows = run(reader, "similar_but_apart", feature=1)
    # 0 has a token edge with 1; 10 a topic edge; 17 none.
    assert [(index(row["key"]), row["edge"]) for row in rows] == [(10, "topic"), (17, None)]
    [apart] = run(reader, "similar_but_apart", feature=9)
    assert (index(apart["key"]), apart["edge"], apart["phi_within"]) == (2, "exclusive", -0.3)
    assert run(reader, "similar_but_apart", feature=9, min_cosine=0.71) == []
    assert run(reader, "similar_but_apart", feature=0) == []


def all_edges() -> set[tuple[int, int, str, float]]:
    """Return source, target, kind and strength of every edge of the run."""
    found = {(a, b, "token", x) for (a, b), x in token_edges().items()}
    found |= {(a, b, "exclusive", -x) for (a, b), x in EXCLUSIVE.items()}
    found |= {(a, b, "topic", x) for (a, b), x in TOPIC.items()}
    found |= {(a, b, "implies", x) for (a, b), x in IMPLIES.items()}
    found |= {(a, b, "feeds", x) for (a, b), x in FEEDS.items()}
    return found | {(a, b, "similar", x) for (a, b), x in SIMILAR.items()}


def edges_in(rows: list[Row]) -> list[tuple[int, int, str, float]]:
    return [
        (index(row["source"]), index(row["target"]), row["kind"], row["strength"]) for row in rows
    ]


def test_edges_among(reader: DriverReader) -> None:
    chosen = [9, 0, 1, 2, 10, 8]
    rows = run(reader, "edges_among", features=chosen)
    inside = {edge for edge in all_edges() if edge[0] in chosen and edge[1] in chosen}
    assert len(rows) == len(inside)
    assert set(edges_in(rows)) == inside
    assert {row["kind"] for row in rows} == {edge[2] for edge in all_edges()}
    assert all(row["directed"] == (row["kind"] in ("implies", "feeds")) for row in rows)
    assert [row["kind"] for row in rows] == sorted(row["kind"] for row in rows)
    for kind in ("token", "implies", "similar", "exclusive", "feeds"):
        some = run(reader, "edges_among", features=chosen, kind=kind)
        assert some == [row for row in rows if row["kind"] == kind]
        assert falling([row["strength"] for row in some])
    assert run(reader, "edges_among", features=chosen, limit=2) == rows[:2]
    assert run(reader, "edges_among", features=[0, 1], kind="feeds") == []
    [other] = run(reader, "edges_among", features=[0, 20], run="other")
    assert other["strength"] == 0.99


def test_edges_between(reader: DriverReader) -> None:
    sources, targets = [9, 1, 12], [0, 2, 3, 8]
    rows = run(reader, "edges_between", sources=sources, targets=targets)
    expected = set()
    for a, b, kind, strength in all_edges():
        if (a in sources and b in targets) or (b in sources and a in targets):
            turned = kind not in ("implies", "feeds") and a not in sources
            expected.add((b, a, kind, strength) if turned else (a, b, kind, strength))
    assert len(rows) == len(expected)
    assert set(edges_in(rows)) == expected
    assert (0, 1, "implies", 0.8) in expected, "an edge that leads the other way"
    some = run(reader, "edges_between", sources=sources, targets=targets, kind="exclusive")
    assert edges_in(some) == [
        (9, 2, "exclusive", 0.3),
        (9, 0, "exclusive", 0.2),
        (12, 2, "exclusive", 0.1),
    ]


def test_edges_between_sets_that_overlap(reader: DriverReader) -> None:
    """An edge inside both sets is there once."""
    rows = run(reader, "edges_between", sources=[0, 1, 2], targets=[0, 1, 2])
    assert rows == run(reader, "edges_among", features=[0, 1, 2])


def participation() -> dict[int, tuple[float, int, float]]:
    """Return participation, neighbours in communities, and share of strength of each feature."""
    backbone = planted_edges() | UNASSIGNED
    found = {}
    for feature in range(DEAD):
        parts: dict[int, float] = defaultdict(float)
        near = beside(backbone, feature)
        for other, phi in near.items():
            parts[other // SIZE] += phi
        lost = parts.pop(len(THEMES), 0.0)
        strength = sum(parts.values())
        if strength:
            degree = sum(other != ISOLATED for other in near)
            score = 1 - sum(x * x for x in parts.values()) / strength**2
            found[feature] = (score, degree, strength / (strength + lost))
    return found


def test_bridges(reader: DriverReader) -> None:
    expected = participation()
    assert sum(score > 1e-9 for score, *_ in expected.values()) == 4, "the ends of two bridges"
    rows = run(reader, "bridges", min_degree=1, limit=100)
    assert {index(row["key"]) for row in rows} == set(expected)
    for row in rows:
        score, degree, assigned = expected[index(row["key"])]
        assert row["participation"] == pytest.approx(score, abs=1e-12)
        assert (row["degree"], row["assigned"]) == (degree, pytest.approx(assigned))
        assert sum(part["share"] for part in row["shares"]) == pytest.approx(1.0)
        assert falling([part["share"] for part in row["shares"]])
        assert row["communities"] == len(row["shares"])
    assert falling([row["participation"] for row in rows])
    by_index = {index(row["key"]): row for row in rows}
    assert by_index[ISOLATED]["community"] is None
    assert by_index[8]["community"] == by_index[9]["community"]
    assert by_index[8]["shares"][0]["community"] == by_index[8]["community"]
    assert by_index[8]["shares"][1]["community"] == by_index[7]["community"]
    least = run(reader, "bridges", min_degree=5, limit=100)
    assert {index(row["key"]) for row in least} == {i for i, x in expected.items() if x[1] >= 5}


def test_bridges_of_a_community(reader: DriverReader) -> None:
    rows = run(reader, "bridges", min_degree=1, limit=100)
    middle = next(row["community"] for row in rows if index(row["key"]) == 8)
    found = run(reader, "bridges", community=middle, min_degree=1, limit=100)
    expected = {row["key"]: row for row in rows if row["community"] == middle}
    assert {row["key"] for row in found} == set(expected)
    for row in found:
        whole = expected[row["key"]]
        assert row["participation"] == pytest.approx(whole["participation"], abs=1e-12)
        assert (row["communities"], row["degree"]) == (whole["communities"], whole["degree"])
    assert {index(row["key"]) for row in found[:2]} == {8, 15}
    assert run(reader, "bridges", run="other", min_degree=1) == []


def test_dense_features(reader: DriverReader) -> None:
    rows = run(reader, "dense_features", limit=100)
    assert [index(row["key"]) for row in rows] == list(reversed(range(DEAD)))
    assert rows[0]["firing_rate"] == pytest.approx(44 / 600)
    least = run(reader, "dense_features", min_rate=40 / 600)
    assert [index(row["key"]) for row in least] == [24, 23, 22, 21, 20]
    assert run(reader, "dense_features", run="other") == []


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_phrases_show_a_picture(reader: DriverReader, name: str) -> None:
    """A phrase's statement returns nodes or paths; it takes keys as text, as Bloom gives them."""
    spec = query(name)
    values: dict[str, Any] = {"feature": 9, "a": 0, "b": 1, "kind": "token", "community": 1}
    values |= {"features": (0, 1), "sources": (0, 1), "targets": (2, 8)}
    given = {}
    for parameter in spec.phrase_parameters:
        value = values[parameter.name]
        if parameter.type == "features":
            value = " ".join(key(number) for number in value)
        elif parameter.type == "feature":
            value = key(value)
        elif parameter.type == "community":
            value = run(reader, "communities")[0]["key"]
        given[parameter.name] = value
    rows = reader.read(spec.graph, given)
    shown = [cell for row in rows for cell in row.values() if cell is not None]
    assert shown
    assert all(isinstance(cell, dict) for cell in shown)
    for parameter in spec.phrase_parameters:
        if parameter.type == "features":
            as_list = given | {parameter.name: given[parameter.name].split(" ")}
            assert reader.read(spec.graph, as_list) == rows
