"""How fast a build is loaded, against loading it as one would by hand.

`python -m benchmarks.load --json` makes a build of 24,576 features and a million edges with all
properties of the table, starts a managed server of its own in a temporary folder, and times

- the bulk load from Parquet to a verified graph, by its parts: ``check`` (checksums, keys and
  references of the files), ``csv`` (writing what is imported), ``import`` (stopping the server, the
  import and the start again), ``schema`` (constraints and indexes), ``complete`` and ``verify``;
- the incremental load of the same build into another database without a restart, again verified;
- on a slice of the edges: MERGE of one row a query, one transaction each, and plain UNWIND of
  rows with CREATE in batches of several sizes, each into a database with the same constraints.

``bulk_edges_per_s`` is all of a bulk load, from the call to the verified graph.
``incremental_edges_per_s`` is the writing of the table of edges over Bolt, acknowledged; what it
takes with checking, the other tables and verification is ``incremental_total_s``.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from atlas.artifacts import write_json, write_table
from atlas.graph.connection import connect
from atlas.graph.migrate import migrate
from atlas.graph.server import ManagedServer
from atlas.schemas import FORMAT, schema
from benchmarks._figures import print_figures
from ingest.build_folder import open_build
from ingest.graph_map import EdgeTable, elements_of
from ingest.graph_rows import graph_rows
from ingest.load import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neo4j import Driver

    from atlas.progress import Advance
    from ingest.build_folder import BuildFolder

FEATURES = 24_576
EDGES = 1_000_000
SAE = "synthetic/blocks.6.hook_resid_pre/topk"
MERGED = 2_000
UNWOUND = 40_000
UNWIND_BATCHES = (1_000, 5_000, 20_000)
_PIECE = 250_000
_NULLABLE_SHARE = 0.02

# What one writes who loads rows of a table by hand; $rows are dicts of properties.
MERGE = """
MATCH (s:Feature {key: $source}) MATCH (t:Feature {key: $target})
MERGE (s)-[r:CO_OCCURS {key: $key}]->(t) SET r += $properties
"""
UNWIND = """
UNWIND $rows AS row
MATCH (s:Feature {key: row.source}) MATCH (t:Feature {key: row.target})
CREATE (s)-[r:CO_OCCURS]->(t) SET r = row.properties
"""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--edges", type=int, default=EDGES)
    parser.add_argument("--bulk-only", action="store_true", help="leave the rest out")
    parser.add_argument("--memory", default="2g", help="memory of the server")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(
            Path(folder),
            edges=options.edges,
            bulk_only=options.bulk_only,
            memory=options.memory,
        )
    print_figures(figures, as_json=options.json)


def measure(folder: Path, *, edges: int, bulk_only: bool, memory: str) -> dict[str, Any]:
    """Measure everything in `folder`, with a server of its own that is stopped afterwards."""
    path = write_build(folder / "build", edges=edges)
    server = ManagedServer(folder / "home")
    try:
        server.start(memory=memory)
        with connect(server.connection()) as driver:
            figures: dict[str, Any] = {"features": FEATURES, "edges": edges}
            figures |= bulk(driver, server, path, edges)
            figures["client_peak_mib"] = peak_mib()
            if not bulk_only:
                server.reset()
                figures |= incremental(driver, path, edges)
                figures["client_peak_mib"] = peak_mib()
                figures |= by_hand(driver, open_build(path, verify=False), figures)
    finally:
        server.stop()
    return figures


def bulk(driver: Driver, server: ManagedServer, path: Path, edges: int) -> dict[str, Any]:
    """Time a bulk load, whole and by its parts."""
    clock = Clock()
    began = time.perf_counter()
    load(driver, path, how="bulk", server=server, reporter=clock)
    seconds = time.perf_counter() - began
    parts = {"check": clock.seconds.get("before", 0.0), **clock.steps()}
    return {
        "bulk_edges_per_s": round(edges / seconds),
        "bulk_s": round(seconds, 1),
        "bulk_parts_s": {name: round(value, 1) for name, value in parts.items()},
    }


def incremental(driver: Driver, path: Path, edges: int) -> dict[str, Any]:
    """Time a load over Bolt into an empty database."""
    migrate(driver)
    clock = Clock()
    began = time.perf_counter()
    load(driver, path, how="bolt", reporter=clock)
    total = time.perf_counter() - began
    return {
        "incremental_edges_per_s": round(edges / clock.steps()["loading edges"]),
        "incremental_total_s": round(total, 1),
        "incremental_verify_s": round(clock.steps()["verifying"], 1),
    }


def by_hand(driver: Driver, build: BuildFolder, figures: dict[str, Any]) -> dict[str, Any]:
    """Time MERGE of one row a query, and UNWIND of rows, on a slice of the edges."""
    element = elements_of("edges")[0]
    if not isinstance(element, EdgeTable):
        raise TypeError(element)
    piece = next(build.pieces("edges", max(MERGED, UNWOUND)))
    rows = [
        {
            "source": row.pop("source"),
            "target": row.pop("target"),
            "key": row["key"],
            "properties": {**row, "run": "by hand"},
        }
        for row in graph_rows(element, piece, run="by hand").to_pylist()
    ]
    merge = _merge(driver, rows[:MERGED])
    unwind = {}
    for size in UNWIND_BATCHES:
        _remove(driver)
        unwind[size] = _unwind(driver, rows, size)
    _remove(driver)
    ours = figures["incremental_edges_per_s"]
    return {
        "merge_edges_per_s": round(merge),
        "unwind_edges_per_s": {str(size): round(speed) for size, speed in unwind.items()},
        "ratio_merge": round(ours / merge, 1),
        "ratio_best_unwind": round(ours / max(unwind.values()), 2),
    }


def _merge(driver: Driver, rows: list[dict[str, Any]]) -> float:
    with driver.session() as session:
        session.run(MERGE, rows[0]).consume()
        began = time.perf_counter()
        for row in rows:
            session.run(MERGE, row).consume()
        return len(rows) / (time.perf_counter() - began)


def _unwind(driver: Driver, rows: list[dict[str, Any]], size: int) -> float:
    with driver.session() as session:
        began = time.perf_counter()
        for start in range(0, len(rows), size):
            session.run(UNWIND, rows=rows[start : start + size]).consume()
        return len(rows) / (time.perf_counter() - began)


def _remove(driver: Driver) -> None:
    with driver.session() as session:
        session.run(
            "MATCH ()-[r:CO_OCCURS {run: 'by hand'}]->() CALL (r) { DELETE r }"
            " IN TRANSACTIONS OF 20000 ROWS"
        ).consume()


class Clock:
    """A reporter that times steps, and what is before the first."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def note(self, line: str) -> None:
        """Time the schema from its first migration on."""
        if line.startswith("schema:"):
            self.seconds.setdefault("schema begins", time.perf_counter())

    @contextmanager
    def step(self, title: str, total: float | None = None) -> Iterator[Advance]:  # noqa: ARG002
        """Add the seconds of a step to those of its title."""
        now = time.perf_counter()
        self.seconds.setdefault("before", now - self.began)
        if (schema_began := self.seconds.pop("schema begins", None)) is not None:
            self.seconds["schema"] = self.seconds.get("schema", 0.0) + now - schema_began
        yield lambda done, total=None: None
        self.seconds[title] = self.seconds.get(title, 0.0) + time.perf_counter() - now

    def steps(self) -> dict[str, float]:
        """Return seconds by title, without what was before the first."""
        return {name: value for name, value in self.seconds.items() if name != "before"}


def peak_mib() -> int:
    """Return the largest memory that this process has had, making the build included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak // 1024 if sys.platform == "linux" else peak // 1024**2)


def write_build(folder: Path, *, edges: int) -> Path:
    """Write a build of `FEATURES` features and `edges` distinct edges with all properties."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    keys = [f"{SAE}/{index}" for index in range(FEATURES)]
    files = {
        "features.parquet": write_table(folder / "features.parquet", _features(keys, rng)),
        "edges.parquet": write_table(folder / "edges.parquet", _edges(pa.array(keys), edges, rng)),
    }
    run = {
        "format": FORMAT,
        "run_id": "benchmark",
        "name": "benchmark",
        "created": "2025-01-01T00:00:00+00:00",
        "model": {"key": "synthetic"},
        "saes": [{"key": SAE, "name": "topk", "d_sae": FEATURES}],
        "corpus": {},
        "files": files,
    }
    write_json(folder / "run.json", run)
    return folder


def _features(keys: list[str], rng: np.random.Generator) -> pa.Table:
    made = {name: column(field, len(keys), rng) for name, field in fields("features")}
    made |= {
        "key": pa.array(keys),
        "sae": pa.array([SAE] * len(keys)),
        "index": pa.array(np.arange(len(keys), dtype=np.int32)),
    }
    return pa.table(made, schema=schema("features"))


def _edges(keys: pa.Array, edges: int, rng: np.random.Generator) -> Iterator[pa.Table]:
    """Yield distinct pairs in order, each feature with about as many neighbours."""
    # A little more than the mean, since the last features have few after them.
    per = int(1.03 * edges / FEATURES) + 2
    left, step = edges, max(1, _PIECE // per)
    for first in range(0, FEATURES - 1, step):
        sources, targets = [], []
        for place in range(first, min(first + step, FEATURES - 1)):
            room = FEATURES - 1 - place
            steps = rng.choice(room, size=min(per, room), replace=False)
            sources.append(np.full(len(steps), place))
            targets.append(np.sort(place + 1 + steps))
        source, target = np.concatenate(sources)[:left], np.concatenate(targets)[:left]
        left -= len(source)
        if len(source):
            made = {name: column(field, len(source), rng) for name, field in fields("edges")}
            made |= {"source": keys.take(pa.array(source)), "target": keys.take(pa.array(target))}
            yield pa.table(made, schema=schema("edges"))


def fields(table: str) -> list[tuple[str, pa.Field]]:
    """Return the names and fields of a table of builds."""
    return [(field.name, field) for field in schema(table)]


def column(field: pa.Field, rows: int, rng: np.random.Generator) -> pa.Array:
    """Return values of a field's type, as long in decimal as real ones."""
    if pa.types.is_floating(field.type):
        values, nulls = rng.standard_normal(rows), None
        if field.nullable:
            nulls = rng.random(rows) < _NULLABLE_SHARE
        return pa.array(values, mask=nulls)
    if pa.types.is_integer(field.type):
        return pa.array(rng.integers(1, 1000, rows)).cast(field.type)
    if pa.types.is_boolean(field.type):
        return pa.array(rng.random(rows) < 0.5)
    if pa.types.is_list(field.type):
        # Few edges have contexts; nearly all features have tokens and words.
        there = rng.random(rows) < (0.05 if field.name == "contexts" else 0.95)
        return pa.array([["corpus/12/3", "corpus/7/40"] if some else [] for some in there])
    return pa.array(["token"] * rows)


if __name__ == "__main__":
    main()
