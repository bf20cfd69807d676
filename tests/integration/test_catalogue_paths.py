"""Queries about chains of features, against networkx on the same small graphs."""

from __future__ import annotations

import itertools
import math
import random
from typing import TYPE_CHECKING, Any

import networkx as nx
import pytest

from atlas import Atlas
from atlas.graph.reader import DriverReader, Reader, Row
from queries.catalogue import query, run
from tests.builds import (
    DEAD,
    ISOLATED,
    SIZE,
    concept_key,
    key,
    planted,
    planted_edges,
    write_build,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from neo4j import Driver

    from atlas.graph.server import ManagedServer

pytestmark = pytest.mark.db

SAMPLES: dict[str, dict[str, Any] | None] = {
    # The planted build has one SAE, and so nothing that feeds anything.
    "ancestors": None,
    "concept_to_token": {"concept": "domain-heart", "token": "goal"},
    "descendants": None,
    "k_shortest_paths": {"a": 0, "b": 23},
    "meeting_points": {"features": [0, 1, 2]},
    "path_across_layers": None,
    "reach": {"feature": 0},
    "shortest_path": {"a": 0, "b": 23},
    "strongest_path": {"a": 0, "b": 4},
}

WILD = "toy/blocks.1.hook_resid_pre/wild"
MID = "toy/blocks.2.hook_resid_pre/mid"
LATE = "toy/blocks.3.hook_resid_pre/late"
SIZES = {WILD: 14, MID: 5, LATE: 4}
Link = tuple[str, str, float, bool]
"""Source, target, phi, mutual."""


def wild_edges() -> list[dict[str, Any]]:
    """Return random edges between the features of an SAE, with ties, ranks and negative phi."""
    rng = random.Random(7)
    template = planted()[1]["edges"][0]
    edges = []
    for a, b in itertools.combinations(range(SIZES[WILD]), 2):
        if rng.random() < 0.3:
            rank = rng.randint(1, 20)
            edges.append(
                template
                | {
                    "source": f"{WILD}/{a}",
                    "target": f"{WILD}/{b}",
                    "phi": rng.choice([-0.1, 0.1, 0.2, 0.3, 0.45, 0.6, 0.7]),
                    "rank_source": rank,
                    "rank_target": rng.randint(1, 20),
                    "mutual": rng.random() < 0.7,
                }
            )
    return edges


def feeds() -> list[dict[str, Any]]:
    """Return random rows of FEEDS between three layers; some skip the one between."""
    rng = random.Random(11)
    layers = [[key(i) for i in range(6)], keys_of(MID), keys_of(LATE)]
    pairs = [p for x, y in itertools.combinations(layers, 2) for p in itertools.product(x, y)]
    chosen = [pair for pair in pairs if rng.random() < 0.4]
    return [
        {
            "source": a,
            "target": b,
            "n": 5 + number,
            "d": 3,
            "expected": 1.0,
            "lift": 2.0,
            "npmi": 0.2,
            "phi": round(rng.uniform(0.05, 0.95), 2),
            "p_target_given_source": 0.5,
            "p_source_given_target": 0.4,
            "r": 0.1,
            "r_joint": 0.1,
            "weight": number / 10,
            "weight_cosine": number / 100,
            "z": 4.0,
            "z_within": 4.0,
            "p": 1e-4,
            "q": 1e-3,
            "rank_source": 1,
            "rank_target": 1,
            "mutual": rng.random() < 0.8,
        }
        for number, (a, b) in enumerate(chosen)
    ]


def keys_of(sae: str) -> list[str]:
    return [f"{sae}/{index}" for index in range(SIZES[sae])]


def layered_build() -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Return the planted build with three more SAEs: one of random edges, two of later hooks."""
    record, rows = planted()
    for sae, size in SIZES.items():
        hook, name = sae.split("/")[1:]
        record["saes"].append(
            record["saes"][0] | {"key": sae, "name": name, "hook": hook, "d_sae": size}
        )
        rows["features"] += [
            rows["features"][0]
            | {"key": f"{sae}/{index}", "sae": sae, "index": index, "label": f"{name} {index}"}
            for index in range(size)
        ]
    rows["edges"] += wild_edges()
    rows["feeds"] = feeds()
    return record, rows


@pytest.fixture(scope="module")
def reader(
    driver: Driver, server: ManagedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reader]:
    driver.execute_query("MATCH (n) DETACH DELETE n")
    with Atlas.connect(home=server.home) as atlas:
        atlas.load(write_build(tmp_path_factory.mktemp("build") / "b", *layered_build()))
    yield DriverReader(driver)
    driver.execute_query("MATCH (n) DETACH DELETE n")


def phi_graph(links: Iterable[dict[str, Any]], *, directed: bool = False) -> Any:
    graph = nx.DiGraph() if directed else nx.Graph()
    for row in links:
        graph.add_edge(row["source"], row["target"], **row)
    return graph


def wild_graph(**limits: Any) -> Any:
    """Return the random edges that `mutual`, `min_phi`, `above` and `top_k` leave."""
    return phi_graph(
        e
        for e in wild_edges()
        if (e["mutual"] or not limits.get("mutual", False))
        and e["phi"] >= limits.get("min_phi", -1)
        and e["phi"] > limits.get("above", -1)
        and max(e["rank_source"], e["rank_target"]) <= limits.get("top_k", 99)
    )


def phis(graph: Any, path: Sequence[str]) -> list[float]:
    return [graph.edges[pair]["phi"] for pair in itertools.pairwise(path)]


def simple_paths(graph: Any, a: str, b: str, *, most: int) -> list[list[str]]:
    if a not in graph or b not in graph:
        return []
    return list(nx.all_simple_paths(graph, a, b, cutoff=most))


def pairs() -> list[tuple[str, str]]:
    every = list(itertools.permutations(keys_of(WILD), 2))
    return random.Random(1).sample(every, 18)


def chains(rows: list[Row]) -> list[list[str]]:
    """Return the keys of each numbered path."""
    found: dict[int, list[str]] = {}
    for row in rows:
        assert row["step"] == len(found.setdefault(row["path"], []))
        found[row["path"]].append(row["key"])
    assert list(found) == list(range(1, len(found) + 1))
    return list(found.values())


@pytest.mark.parametrize(("mutual", "min_phi"), [(True, None), (False, -1.0), (False, 0.25)])
def test_shortest_paths_are_those_of_networkx(
    reader: Reader, mutual: bool, min_phi: float | None
) -> None:
    graph = wild_graph(mutual=mutual, min_phi=min_phi or 0)
    for a, b in pairs():
        paths = simple_paths(graph, a, b, most=6)
        best = sorted(paths, key=lambda p: (len(p), -min(phis(graph, p)), p))
        options = {"a": a, "b": b, "mutual": mutual, "min_phi": min_phi}
        rows = run(reader, "shortest_path", **options)
        assert [row["key"] for row in rows] == (best[0] if best else [])
        # Looked at are 100: of those of a length that does not fit whole, any may be among them.
        sure = [p for p in best if sum(len(q) <= len(p) for q in best) <= 60][:4]
        several = run(reader, "k_shortest_paths", k=4, **options)
        assert chains(several)[: len(sure)] == sure
        for path, found in zip(sure, itertools.groupby(several, lambda r: r["path"]), strict=False):
            steps = list(found[1])
            assert [row["phi"] for row in steps[1:]] == phis(graph, path)
            assert {row["hops"] for row in steps} == {len(path) - 1}
            assert {row["weakest"] for row in steps} == {min(phis(graph, path))}
            assert steps[0]["phi"] is None


def test_limits_of_several_short_paths(reader: Reader) -> None:
    assert chains(run(reader, "k_shortest_paths", a=key(0), b=key(23), k=1)) == [
        [row["key"] for row in run(reader, "shortest_path", a=key(0), b=key(23))]
    ]
    direct = run(reader, "k_shortest_paths", a=key(0), b=key(23), mutual=False, max_hops=1)
    assert chains(direct) == [[key(0), key(23)]]
    assert run(reader, "k_shortest_paths", a=key(0), b=key(23), max_hops=4) == []
    assert run(reader, "k_shortest_paths", a=key(0), b=key(ISOLATED)) == []
    assert run(reader, "k_shortest_paths", a=key(0), b=key(0)) == []
    assert run(reader, "k_shortest_paths", a=key(0), b=key(1), kind="topic") == []


def test_exclusive_edges_have_negative_phi(reader: Reader, driver: Driver) -> None:
    """By default all of them are used; a limit is kept."""
    driver.execute_query(
        "UNWIND [[0, 3, -0.3], [3, $isolated, -0.2]] AS row "
        "MATCH (a:Feature {key: $stem + row[0]}), (b:Feature {key: $stem + row[1]}) "
        "CREATE (a)-[:CO_OCCURS {kind: 'exclusive', run: 'synthetic', mutual: true, "
        "phi: row[2], n: 1, key: 'made ' + row[1]}]->(b)",
        stem=key(0).removesuffix("0"),
        isolated=ISOLATED,
    )
    try:
        ends = {"a": key(0), "b": key(ISOLATED)}
        for name in ("shortest_path", "k_shortest_paths"):
            rows = run(reader, name, **ends, kind="exclusive")
            assert [row["key"] for row in rows] == [key(0), key(3), key(ISOLATED)]
            assert [row["phi"] for row in rows] == [None, -0.3, -0.2]
            assert len(run(reader, name, **ends, kind="exclusive", min_phi=-0.3)) == 3
            assert run(reader, name, **ends, kind="exclusive", min_phi=-0.25) == []
            assert run(reader, name, **ends) == []
    finally:
        driver.execute_query("MATCH ()-[r:CO_OCCURS {kind: 'exclusive'}]->() DELETE r")


@pytest.mark.parametrize(("by", "top_k", "max_hops"), [("product", 16, 6), ("weakest", 16, 6)])
def test_strongest_paths_are_those_of_all_paths(
    reader: Reader, by: str, top_k: int, max_hops: int
) -> None:
    measure = math.prod if by == "product" else min
    graph = wild_graph(above=0, top_k=top_k)
    found_some = 0
    for hops, (a, b) in zip(itertools.cycle(range(1, max_hops + 1)), pairs(), strict=False):
        paths = simple_paths(graph, a, b, most=hops)
        rows = run(reader, "strongest_path", a=a, b=b, by=by, top_k=top_k, max_hops=hops)
        if not paths:
            assert rows == []
            continue
        found_some += 1
        best = max(measure(phis(graph, path)) for path in paths)
        keys = [row["key"] for row in rows]
        assert (keys[0], keys[-1]) == (a, b)
        assert len(set(keys)) == len(keys) <= hops + 1
        assert rows[-1]["strength"] == pytest.approx(best)
        assert [row["phi"] for row in rows[1:]] == phis(graph, keys)
        shortest = min(
            len(p) for p in paths if measure(phis(graph, p)) == pytest.approx(best, abs=1e-12)
        )
        assert len(keys) == shortest
        for end in range(1, len(keys)):
            assert rows[end]["strength"] == pytest.approx(measure(phis(graph, keys[: end + 1])))
    assert found_some > 10


def test_the_strongest_path_uses_only_the_backbone(reader: Reader) -> None:
    across = run(reader, "strongest_path", a=key(0), b=key(23))
    graph = nx.Graph()
    graph.add_weighted_edges_from((key(a), key(b), phi) for (a, b), phi in planted_edges().items())
    paths = nx.all_simple_paths(graph, key(0), key(23), cutoff=6)
    best = max(
        math.prod(graph.edges[pair]["weight"] for pair in itertools.pairwise(path))
        for path in paths
    )
    assert across[-1]["strength"] == pytest.approx(best)
    # The direct edge, of phi 0.02 and rank 40, is stronger than any way around, and not searched.
    assert best < 0.02
    assert (across[0]["phi"], across[0]["n"], across[0]["strength"]) == (None, None, 1.0)
    assert run(reader, "strongest_path", a=key(0), b=key(23), top_k=1) == []
    assert run(reader, "strongest_path", a=key(0), b=key(ISOLATED)) == []
    assert run(reader, "strongest_path", a=key(0), b=key(0)) == []


@pytest.mark.parametrize("hops", [1, 2, 3, 4])
def test_reach(reader: Reader, hops: int) -> None:
    for start in (f"{WILD}/0", f"{WILD}/7", key(0)):
        graph = wild_graph(above=0, top_k=10)
        graph.add_edges_from((key(a), key(b)) for a, b in planted_edges())
        lengths = nx.single_source_shortest_path_length(graph, start, cutoff=hops)
        rows = run(reader, "reach", feature=start, hops=hops)
        expected = [list(lengths.values()).count(step) for step in range(hops + 1)]
        while expected[-1] == 0:
            expected.pop()
        assert [(row["step"], row["features"]) for row in rows] == list(enumerate(expected))
        assert [row["within"] for row in rows] == list(itertools.accumulate(expected))
        everyone = DEAD + 1 + sum(SIZES.values())
        assert rows[-1]["share"] == pytest.approx(sum(expected) / everyone)
        assert all(len(row["examples"]) == min(5, row["features"]) for row in rows)


def test_reach_of_a_feature_alone(reader: Reader) -> None:
    rows = run(reader, "reach", feature=key(ISOLATED))
    assert [(row["step"], row["features"], row["within"]) for row in rows] == [(0, 1, 1)]


def test_reach_counts_communities_and_orders_examples_by_the_run(
    reader: Reader, driver: Driver
) -> None:
    """What another run made of the features is no concern of this one."""
    driver.execute_query(
        "MATCH (f:Feature) WHERE f.key STARTS WITH $stem AND f.index < $size "
        "SET f.community = 'other/' + f.index, f.scored_run = CASE f.index WHEN 1 THEN 'other' "
        "  WHEN 2 THEN null ELSE 'synthetic' END, f.pagerank = f.index + 1.0 "
        "MERGE (c:Community {key: 'made/' + f.index % 2, run: 'synthetic'}) "
        "MERGE (d:Community {key: 'other/' + f.index, run: 'other'}) "
        "CREATE (f)-[:MEMBER_OF]->(c), (f)-[:MEMBER_OF]->(d)",
        stem=key(0).removesuffix("0"),
        size=SIZE,
    )
    try:
        near = sorted(b for a, b in planted_edges() if a == 0)
        assert len(set(near) - {1, 2}) > 1
        rows = run(reader, "reach", feature=key(0), hops=1)
        assert [(row["features"], row["communities"]) for row in rows] == [
            (1, 1),
            (len(near), len({b % 2 for b in near})),
        ]
        ranked = sorted((b for b in near if b > 2), reverse=True)
        ranked += [b for b in near if b <= 2]
        assert rows[1]["examples"] == [f"heart {b}" for b in ranked][:5]
    finally:
        driver.execute_query("MATCH (c:Community) DETACH DELETE c")
        driver.execute_query(
            "MATCH (f:Feature) SET f.community = null, f.scored_run = null, f.pagerank = null"
        )


@pytest.mark.parametrize("mutual", [True, False])
@pytest.mark.parametrize("by", ["product", "weakest"])
def test_paths_across_layers(reader: Reader, by: str, mutual: bool) -> None:
    measure = math.prod if by == "product" else min
    graph = phi_graph((e for e in feeds() if e["mutual"] or not mutual), directed=True)
    seen = set()
    for a, b in itertools.product([key(i) for i in range(6)] + keys_of(MID), keys_of(LATE)):
        for hops in (1, 4):
            paths = simple_paths(graph, a, b, most=hops)
            options = {"by": by, "mutual": mutual, "max_hops": hops}
            rows = run(reader, "path_across_layers", a=a, b=b, **options)
            if not paths:
                assert rows == []
                continue
            best = min(paths, key=lambda p: (-measure(phis(graph, p)), len(p), p))
            assert [row["key"] for row in rows] == best
            assert [row["phi"] for row in rows[1:]] == phis(graph, best)
            last = graph.edges[best[-2], best[-1]]
            assert (rows[-1]["n"], rows[-1]["weight"]) == (last["n"], last["weight"])
            assert rows[-1]["strength"] == pytest.approx(measure(phis(graph, best)))
            assert rows[-1]["hook"] == "blocks.3.hook_resid_pre"
            seen.add(len(best))
    assert seen == {2, 3}
    assert run(reader, "path_across_layers", a=f"{LATE}/0", b=key(0), mutual=False) == []


@pytest.mark.parametrize(("name", "towards"), [("ancestors", "next"), ("descendants", "before")])
def test_ancestors_and_descendants(reader: Reader, name: str, towards: str) -> None:
    graph = phi_graph(feeds(), directed=True)
    for start, depth in itertools.product([key(1), f"{MID}/2", f"{LATE}/1"], (1, 2, 3)):
        expected: dict[str, list[list[str]]] = {}
        for other in graph:
            ends = (other, start) if name == "ancestors" else (start, other)
            paths = [] if other == start else simple_paths(graph, *ends, most=depth)
            if paths:
                expected[other] = paths
        rows = run(reader, name, feature=start, depth=depth, mutual=False, limit=100)
        assert {row["key"] for row in rows} == set(expected)
        assert rows == sorted(rows, key=lambda r: (-r["strength"], r["key"]))
        for row in rows:
            paths = expected[row["key"]]
            best = max(paths, key=lambda p: math.prod(phis(graph, p)))
            assert row["strength"] == pytest.approx(math.prod(phis(graph, best)))
            assert (row["depth"], row["hops"]) == (min(map(len, paths)) - 1, len(best) - 1)
            assert row[towards] == (best[1] if name == "ancestors" else best[-2])
            link = (best[0], best[1]) if name == "ancestors" else (best[-2], best[-1])
            assert (row["phi"], row["n"]) == (graph.edges[link]["phi"], graph.edges[link]["n"])
            assert row["weight_cosine"] == graph.edges[link]["weight_cosine"]
            assert row["sae"] == row["key"].rpartition("/")[0]
        assert run(reader, name, feature=start, depth=depth, mutual=False, limit=2) == rows[:2]


def test_limits_of_ancestors(reader: Reader) -> None:
    direct = {e["source"]: e for e in feeds() if e["target"] == f"{MID}/1"}
    mutual = {s for s, e in direct.items() if e["mutual"]}
    strong = {s for s, e in direct.items() if e["phi"] > 0.5}
    assert mutual
    assert strong
    assert {r["key"] for r in run(reader, "ancestors", feature=f"{MID}/1")} == mutual
    found = run(reader, "ancestors", feature=f"{MID}/1", mutual=False, min_phi=0.5)
    assert {row["key"] for row in found} == strong
    assert run(reader, "ancestors", feature=key(0)) == []
    assert run(reader, "descendants", feature=f"{LATE}/0") == []


def test_from_a_concept_to_a_token(reader: Reader) -> None:
    rows = run(reader, "concept_to_token", concept="domain-heart", token="goal")
    assert chains(rows) == [[key(7), key(8)]], "the one bridge from heart to goal"
    assert (rows[0]["auc"], rows[0]["phi"], rows[0]["score"]) == (0.95 - 7 / 32, None, None)
    assert (rows[1]["auc"], rows[1]["phi"], rows[1]["score"]) == (None, 0.11, 1.5)
    assert (rows[0]["token"], rows[1]["token"]) == (None, " goal")
    assert rows[1]["run"] == "synthetic"
    options = {"concept": "domain-heart", "token": "goal"}
    assert run(reader, "concept_to_token", min_phi=0.2, **options) == []
    assert run(reader, "concept_to_token", max_hops=0, **options) == []
    assert run(reader, "concept_to_token", run="synthetic", **options) == rows


def test_a_feature_that_is_about_the_concept_and_promotes_the_token(reader: Reader) -> None:
    rows = run(reader, "concept_to_token", concept="domain-heart", token="heart", limit=100)
    # AUC falls with the index.
    assert chains(rows) == [[key(index)] for index in range(SIZE)]
    assert all((row["score"], row["token"]) == (1.5, " heart") for row in rows)
    limited = run(reader, "concept_to_token", concept="domain-heart", token="heart", limit=2)
    assert limited == rows[:2]


def test_a_longer_way_to_a_token(reader: Reader) -> None:
    graph = nx.Graph()
    graph.add_weighted_edges_from((key(a), key(b), phi) for (a, b), phi in planted_edges().items())
    best = min(
        nx.all_shortest_paths(graph, key(7), key(16)),
        key=lambda p: (-min(graph.edges[pair]["weight"] for pair in itertools.pairwise(p)), p),
    )
    options = {"concept": concept_key("heart"), "token": "river", "limit": 1}
    assert chains(run(reader, "concept_to_token", max_hops=4, **options)) == [best]
    assert run(reader, "concept_to_token", max_hops=len(best) - 2, **options) == []
    options["token"] = "own3"  # Features fire on it; none promotes it.
    assert run(reader, "concept_to_token", **options) == []


@pytest.mark.parametrize("mutual", [True, False])
def test_meeting_points(reader: Reader, mutual: bool) -> None:
    graph = wild_graph(mutual=mutual)
    chosen = [f"{WILD}/{index}" for index in (0, 3, 5, 8)]
    expected = {}
    for node in set(graph) - set(chosen):
        joined = [f for f in chosen if graph.has_edge(node, f)]
        if len(joined) >= 2:
            expected[node] = [(graph.edges[node, f]["phi"], f) for f in joined]
    rows = run(reader, "meeting_points", features=[*chosen, chosen[0]], mutual=mutual)
    assert expected
    assert {row["key"] for row in rows} == set(expected)
    for row in rows:
        found = expected[row["key"]]
        values = [phi for phi, _ in found]
        assert (row["joined"], row["share"]) == (len(found), len(found) / len(chosen))
        assert row["mean"] == pytest.approx(sum(values) / len(values))
        assert row["weakest"] == min(values)
        assert row["joined_to"] == [f for _, f in sorted(found, key=lambda x: (-x[0], x[1]))]
    assert rows == sorted(rows, key=lambda r: (-r["joined"], -r["mean"], r["key"]))


def test_limits_of_meeting_points(reader: Reader) -> None:
    of_one = run(reader, "meeting_points", features=[key(8)], min_joined=1)
    joined = {key(b if a == 8 else a) for a, b in planted_edges() if 8 in (a, b)}
    assert {row["key"] for row in of_one} == joined
    assert run(reader, "meeting_points", features=[key(8)], min_joined=1, limit=2) == of_one[:2]
    assert run(reader, "meeting_points", features=[key(8)]) == []
    assert run(reader, "meeting_points", features=[key(0), key(1)], kind="topic") == []


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_nothing_is_found_of_what_does_not_exist(reader: Reader, name: str) -> None:
    """The statement itself returns no rows, so that the caller can tell."""
    spec = query(name)
    missing = {"feature": "no/1", "features": ["no/1"], "concept": "no", "token": ["no"]}
    values = {p.name: missing.get(p.type, p.default) for p in spec.parameters}
    assert reader.read(spec.cypher, values) == []


PICTURES: dict[str, dict[str, Any]] = {
    "ancestors": {"feature": f"{LATE}/1"},
    "concept_to_token": {"concept": concept_key("heart"), "token": [" goal"]},
    "descendants": {"feature": key(1)},
    "k_shortest_paths": {"a": key(0), "b": key(4)},
    "meeting_points": {"features": [key(0), key(1), key(2)]},
    "path_across_layers": {"a": key(1), "b": f"{LATE}/1"},
    "reach": {"feature": key(0)},
    "shortest_path": {"a": key(0), "b": key(4)},
    "strongest_path": {"a": key(0), "b": key(4)},
}


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_pictures_show_something(reader: Reader, name: str) -> None:
    """The statement behind the phrase runs with the parameters that the phrase names."""
    spec = query(name)
    assert set(PICTURES[name]) == {p.name for p in spec.phrase_parameters}
    assert reader.read(spec.graph, PICTURES[name])
