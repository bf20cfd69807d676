"""Maps and backbones on a loaded run: what is written, replaced, kept and taken away."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from atlas.analysis.backbones import network_of_build, network_of_run, union_knn
from atlas.analysis.layout import (
    LayoutOptions,
    clear_layouts,
    graph_layout,
    lay_out,
    stored_vectors,
    trustworthiness,
    tsne_layout,
    umap_layout,
    vectors_of_weights,
    write_layout,
)
from atlas.errors import NotFoundError, UsageError
from atlas.graph.reader import DriverReader
from ingest.load import load
from tests.builds import DEAD, ISOLATED, key, write_build
from tests.servers import wipe
from tests.unit.test_layout import GROUPS, MEMBERS, bundles, in_square, purity

if TYPE_CHECKING:
    from pathlib import Path

    from neo4j import Driver

pytestmark = pytest.mark.db

RUN = "synthetic"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_build(tmp_path_factory.mktemp("build") / "b")


@pytest.fixture(scope="module")
def loaded(driver: Driver, build: Path) -> Driver:
    wipe(driver)
    load(driver, build)
    return driver


@pytest.fixture
def bare(loaded: Driver) -> Driver:
    """The loaded run without maps."""
    clear_layouts(loaded, RUN)
    return loaded


@pytest.fixture(scope="module")
def decoder() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(DEAD + 1, 8)).astype(np.float32)


def properties(driver: Driver) -> dict[int, dict[str, Any]]:
    """The map properties of all features, by index."""
    rows = DriverReader(driver).read("MATCH (f:Feature) RETURN properties(f) AS f")
    found = {row["f"]["index"]: row["f"] for row in rows}
    return {
        index: {name: value for name, value in f.items() if name.startswith("map")}
        for index, f in found.items()
    }


def points(driver: Driver, prefix: str = "map") -> dict[int, tuple[float, float]]:
    return {
        index: (f[f"{prefix}_x"], f[f"{prefix}_y"])
        for index, f in properties(driver).items()
        if f"{prefix}_x" in f
    }


def records(driver: Driver) -> dict[str, dict[str, Any]]:
    rows = DriverReader(driver).read(
        "MATCH (a:AlgorithmRun)-[:USED]->(r:Run) RETURN properties(a) AS a, r.key AS run"
    )
    assert all(row["run"] == row["a"]["run"] for row in rows)
    return {row["a"]["key"]: row["a"] for row in rows}


@pytest.mark.parametrize("weight", ["phi", "npmi"])
def test_a_run_and_its_build_are_the_same_network(loaded: Driver, build: Path, weight: str) -> None:
    of_run = network_of_run(DriverReader(loaded), RUN, weight=weight)
    of_build = network_of_build(build, weight=weight)
    assert list(of_run.keys) == list(of_build.keys)
    for name in ("source", "target", "weight"):
        assert (getattr(of_run, name) == getattr(of_build, name)).all()


def test_a_map_of_the_graph_is_written_with_its_record(bare: Driver, build: Path) -> None:
    summary = lay_out(bare, RUN, options=LayoutOptions(seed=5))
    nodes, expected = graph_layout(union_knn(network_of_build(build), k=3), seed=5)
    found = points(bare)
    assert sorted(found) == nodes.tolist() == list(range(ISOLATED))
    assert np.array([found[node] for node in nodes]).tolist() == expected.tolist()
    written = properties(bare)
    assert written[ISOLATED] == written[DEAD] == {}
    assert written[0]["map_run"] == RUN
    record = records(bare)[f"{RUN}/layout/default"]
    assert (record["algorithm"], record["seed"], record["features"]) == ("graph-umap", 5, ISOLATED)
    assert (record["layout"], record["property"]) == ("default", "map")
    assert json.loads(record["parameters"]) == {
        "backbone": "union-knn k=3",
        "min_dist": 0.05,
        "weight": "phi",
    }
    assert json.loads(record["versions"])["igraph"]
    assert record["neighbour_share"] == summary.neighbour_share > 0.8
    assert "trustworthiness" not in record
    assert record["created"]


def test_maps_of_several_names_stand_side_by_side_and_are_replaced_one_by_one(bare: Driver) -> None:
    lay_out(bare, RUN)
    first = points(bare)
    lay_out(bare, RUN, options=LayoutOptions(method="graph-drl", name="drl"))
    assert points(bare) == first
    assert points(bare, "map_drl") != first
    # A backbone that leaves features alone: they lose the places that they had.
    lay_out(bare, RUN, options=LayoutOptions(backbone="threshold", min_weight=0.6))
    assert set(points(bare)) < set(first)
    assert len(points(bare, "map_drl")) == ISOLATED
    again = records(bare)
    assert set(again) == {f"{RUN}/layout/default", f"{RUN}/layout/drl"}
    assert "threshold" in again[f"{RUN}/layout/default"]["parameters"]
    lay_out(bare, RUN)
    assert points(bare) == first
    assert clear_layouts(bare, RUN) == ["default", "drl"]
    assert records(bare) == {}
    assert not any(properties(bare).values())


def test_decoder_vectors_come_from_the_graph_or_from_weights(
    bare: Driver, decoder: np.ndarray, tmp_path: Path
) -> None:
    from safetensors.numpy import save_file

    save_file({"W_dec": decoder}, tmp_path / "sae_weights.safetensors")
    options = LayoutOptions(method="umap", name="words", neighbours=5)
    bare.execute_query("MATCH (f:Feature) REMOVE f.decoder")
    with pytest.raises(UsageError, match="no decoder vectors"):
        lay_out(bare, RUN, options=options)
    summary = lay_out(bare, RUN, options=options, weights=tmp_path)
    of_weights = points(bare, "map_words")
    expected = umap_layout(decoder[:DEAD], neighbours=5)
    assert [of_weights[index] for index in range(DEAD)] == [tuple(row) for row in expected.tolist()]
    assert DEAD not in of_weights
    assert summary.trustworthiness == trustworthiness(decoder[:DEAD], expected)
    assert records(bare)[f"{RUN}/layout/words"]["trustworthiness"] == summary.trustworthiness
    rows = [{"key": key(i), "decoder": decoder[i].tolist()} for i in range(DEAD + 1) if i != 3]
    bare.execute_query(
        "UNWIND $rows AS row MATCH (f:Feature {key: row.key}) SET f.decoder = row.decoder",
        rows=rows,
    )
    keys, vectors = stored_vectors(DriverReader(bare), RUN)
    assert keys == [key(i) for i in range(DEAD) if i != 3]
    assert (vectors == np.delete(decoder[:DEAD], 3, 0)).all()
    lay_out(bare, RUN, options=options)
    assert set(points(bare, "map_words")) == set(range(DEAD)) - {3}


def test_weights_of_another_sae_are_refused(loaded: Driver, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"W_dec": np.ones((4, 8), np.float32)}, tmp_path / "small.safetensors")
    with pytest.raises(UsageError, match="4 latents"):
        vectors_of_weights(DriverReader(loaded), RUN, weights=tmp_path / "small.safetensors")


def test_a_map_that_cannot_be_written_in_full_leaves_the_earlier_one(bare: Driver) -> None:
    lay_out(bare, RUN)
    before, record = properties(bare), records(bare)
    place = np.full((2, 2), 0.5)
    with pytest.raises(NotFoundError, match="1 of the 2 features"):
        write_layout(bare, RUN, keys=[key(0), "nobody/0"], points=place, record={})
    with pytest.raises(UsageError, match="twice"):
        write_layout(bare, RUN, keys=[key(0), key(0)], points=place, record={})
    with pytest.raises(UsageError, match="finite"):
        write_layout(bare, RUN, keys=[key(0), key(1)], points=np.nan * place, record={})
    with pytest.raises(NotFoundError, match="no run 'other'"):
        write_layout(bare, "other", keys=[key(0)], points=place[:1], record={})
    assert (properties(bare), records(bare)) == (before, record)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (LayoutOptions(method="circle"), UsageError, "no layout 'circle'"),
        (LayoutOptions(name="Two words"), UsageError, "no name for a map"),
        (LayoutOptions(backbone="spine"), UsageError, "no backbone 'spine'"),
        (LayoutOptions(backbone="threshold", min_weight=9.0), UsageError, "without edges"),
    ],
)
def test_wrong_options_are_refused(loaded: Driver, options, error, message) -> None:
    with pytest.raises(error, match=message):
        lay_out(loaded, RUN, options=options)


def test_an_unknown_run_is_refused(loaded: Driver) -> None:
    with pytest.raises(NotFoundError, match="run other"):
        lay_out(loaded, "other")


@pytest.mark.parametrize("method", ["umap", "tsne"])
def test_bundles_of_vectors_lie_apart_and_again_in_the_same_places(method: str) -> None:
    """UMAP compiles itself for many seconds, so this stands beside what uses it too."""

    def placed(rows: np.ndarray, seed: int = 3) -> np.ndarray:
        if method == "umap":
            return umap_layout(rows, neighbours=10, seed=seed)
        return tsne_layout(rows, perplexity=10, seed=seed)

    vectors = bundles()
    points = placed(vectors)
    assert points.dtype == np.float64
    assert in_square(points)
    assert purity(points, np.repeat(np.arange(GROUPS), MEMBERS)) == 1.0
    assert (placed(vectors) == points).all()
    # Only directions count: doubling is exact in floating point.
    assert (placed(2.0 * vectors) == points).all()
    if method == "umap":
        assert (placed(vectors, seed=4) != points).any()
