"""How long queries take on an atlas of full size, beside the bare driver.

`python -m benchmarks.queries --json` loads a drawn build of 24,576 features and a million edges
(uneven degrees, tokens, contexts, concepts, vectors) into a managed server of its own, analyses
it, and times

- every query of the catalogue that is about one feature, each on features drawn by degree (hubs
  come often), given by key: median and 95th percentile of the call in Python, from the method to
  the finished result;
- for each of them a bare round trip: the driver's ``execute_query`` of a statement that reads
  nothing and returns as many rows of as many numbers. ``ratio_round_trip`` is the quotient of the
  medians, from calls made in turn;
- eight threads that ask for the tokens and the neighbours of features through one atlas, and
  eight with bare round trips of as many rows and columns, which is what the server can do;
- the export of all edges to a data frame, beside ``Result.to_df`` of the driver;
- the import of the package in a fresh process.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas import Atlas
from atlas.graph.server import ManagedServer
from benchmarks._atlas_build import EDGES, FEATURES, write_atlas_build
from benchmarks._figures import print_figures
from queries.catalogue import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from queries.header import QuerySpec

CLIENTS, SECONDS = 8, 15.0
CALLS, WARM = 60, 10
EXPORT = (
    "MATCH (f:Feature)-[r:CO_OCCURS]->(g:Feature) "
    "RETURN f.key AS source, g.key AS target, r.kind AS kind, r.n AS n, r.phi AS phi, r.q AS q"
)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--edges", type=int, default=EDGES)
    parser.add_argument("--features", type=int, default=FEATURES)
    parser.add_argument("--calls", type=int, default=CALLS, help="of each query")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), options)
    print_figures(figures, as_json=options.json)


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything in `folder`, with a server of its own that is stopped afterwards."""
    build = write_atlas_build(folder / "build", features=options.features, edges=options.edges)
    server = ManagedServer(folder / "home")
    try:
        server.start(memory="3g")
        with Atlas.connect(home=folder / "home") as atlas:
            atlas.load(build)
            atlas.analyse(communities="leiden")
            keys = features_by_degree(atlas, options.calls + WARM)
            figures: dict[str, Any] = {"features": options.features, "edges": options.edges}
            figures["catalogue_size"] = len(catalogue())
            figures |= single_features(atlas, keys)
            figures |= at_once(atlas, keys)
            figures |= export(atlas)
    finally:
        server.stop()
    return figures | {"import_s": import_seconds()}


def features_by_degree(atlas: Atlas, number: int) -> list[str]:
    """Return features, drawn as often as they have edges: what a walk through the graph meets."""
    rows = atlas.cypher("MATCH (f:Feature) RETURN f.key AS key, COUNT { (f)-[:CO_OCCURS]-() } AS n")
    weight = np.array(rows.column("n"), float)
    drawn = np.random.default_rng(1).choice(len(rows), number, p=weight / weight.sum())
    return [rows[int(place)]["key"] for place in drawn]


def about_one_feature() -> list[QuerySpec]:
    """Return the queries that need one feature and nothing else."""
    return [
        spec
        for spec in catalogue().values()
        if [parameter.type for parameter in spec.parameters if parameter.required] == ["feature"]
    ]


def single_features(atlas: Atlas, keys: Sequence[str]) -> dict[str, Any]:
    """Time each query about one feature, beside a bare round trip with as many rows."""
    specs = about_one_feature()
    for spec in specs:  # else the first ones pay for a server that is not warm
        _one_query(atlas, spec, keys[: 2 * WARM])
    found = {spec.name: _one_query(atlas, spec, keys) for spec in specs}
    return {
        "single_feature_queries": len(found),
        "p95_ms_max": max(row["p95_ms"] for row in found.values()),
        "ratio_round_trip_max": max(row["ratio_round_trip"] for row in found.values()),
        "single_feature": found,
    }


def _one_query(atlas: Atlas, spec: QuerySpec, keys: Sequence[str]) -> dict[str, Any]:
    name = next(parameter.name for parameter in spec.parameters if parameter.required)
    times, bare, rows = [], [], []
    for place, key in enumerate(keys):
        seconds, answer = _timed(partial(atlas.query, spec.name, **{name: key}))
        number = 1 if spec.single else len(answer)
        trip, _ = _timed(partial(_round_trip, atlas, number, len(spec.columns)))
        if place >= WARM:
            times.append(seconds)
            bare.append(trip)
            rows.append(number)
    return {
        "p50_ms": round(1000 * median(times), 2),
        "p95_ms": round(1000 * float(np.percentile(times, 95)), 2),
        "rows": median(rows),
        "ratio_round_trip": round(median(times) / median(bare), 2),
    }


def _round_trip(atlas: Atlas, rows: int, columns: int) -> Any:
    values = ", ".join(f"i AS c{place}" for place in range(columns))
    text = f"UNWIND range(1, {rows}) AS i RETURN {values}"
    return atlas.driver.execute_query(text, database_=atlas.database, routing_="r")


def at_once(atlas: Atlas, keys: Sequence[str]) -> dict[str, Any]:
    """Count what eight threads get answered, of the atlas and of the bare driver."""

    def ask(place: int) -> None:
        key = keys[place % len(keys)]
        if place % 2:
            atlas.neighbours(key)
        else:
            atlas.feature_tokens(key)

    def bare(place: int) -> None:
        _round_trip(atlas, *((20, 17) if place % 2 else (6, 6)))

    limit, ours = _clients(bare), _clients(ask)
    return {
        "clients8_qps": round(ours),
        "clients8_bare_qps": round(limit),
        "clients8_ratio": round(ours / limit, 2),
    }


def _clients(work: Callable[[int], None]) -> float:
    counts = [0] * CLIENTS
    until = time.perf_counter() + SECONDS

    def client(number: int) -> None:
        while time.perf_counter() < until:
            work(number + CLIENTS * counts[number])
            counts[number] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def export(atlas: Atlas) -> dict[str, Any]:
    """Time all edges as a data frame, twice each in turn; the faster run counts."""
    import neo4j

    def bare() -> Any:
        return atlas.driver.execute_query(
            EXPORT, database_=atlas.database, result_transformer_=neo4j.Result.to_df, routing_="r"
        )

    ours, theirs = [], []
    for _ in range(2):
        theirs.append(_timed(bare)[0])
        seconds, frame = _timed(lambda: atlas.frame(EXPORT))
        ours.append(seconds)
    return {
        "export_rows": len(frame),
        "export_s": round(min(ours), 2),
        "export_bare_s": round(min(theirs), 2),
        "export_ratio": round(min(ours) / min(theirs), 3),
    }


def import_seconds() -> float:
    """Return the least of five imports of the package, each in a fresh process."""
    timer = "time.perf_counter()"
    code = f"import time; t = {timer}; from atlas import Atlas; print({timer} - t)"
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(5)
    ]
    return round(min(float(run.stdout) for run in runs), 3)


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


if __name__ == "__main__":
    main()
