"""Counting pairs and testing them, against what people use, in one run on one machine.

`python -m benchmarks.cooccurrence --json` draws synthetic codes of a full-size SAE (24,576
features, about 60 firing a token, log-normal densities, documents of 256 tokens), writes them as
code shards, and times on 200 thousand tokens

- ours: from the shards to the exact counts of all pairs, transposition included, and again with
  all sums of the tests and the topic correlations, for the pairs that are tested;
- scipy: the sparse product X.T @ X of the same codes, from a matrix that is in memory already;
- dense: the float32 product of dense activations, on a slice of the tokens, scaled up.

Peak anonymous memory is that of the whole search for edges in a process of its own. False and
found edges are counted on simulated truth.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.artifacts import concatenate, read_shard
from atlas.recipe import EdgesSection
from benchmarks._figures import print_figures
from benchmarks._simulated import truth_figures
from benchmarks._synthetic import IDENTITY, Synthetic
from ingest.cooccurrence.counter import LocalCounter
from ingest.cooccurrence.engine import candidate_sums, panels
from ingest.cooccurrence.index import rank_features
from ingest.cooccurrence.screen import make_screen
from ingest.cooccurrence.search import find_edges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from atlas.artifacts import CodeShard

TOKENS, SMALL, LARGE = 200_000, 500_000, 2_000_000
DENSE_ROWS = 256
MADE = Synthetic()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--memory", nargs=2, metavar=("FOLDER", "TOKENS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        figures = memory(Path(options.memory[0]), int(options.memory[1]))
    else:
        figures = measure()
    print_figures(figures, as_json=options.json)


def measure() -> dict[str, Any]:
    """Measure everything; under five minutes on two cores."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write(folder, LARGE)
        figures = counting(paths[: shards_of(TOKENS)], folder)
        small, large = (in_own_process(folder, tokens) for tokens in (SMALL, LARGE))
    return {
        **figures,
        "peak_anon_mib": large["peak_anon_mib"],
        "peak_anon_mib_500k": small["peak_anon_mib"],
        "peak_ratio": round(large["peak_anon_mib"] / small["peak_anon_mib"], 2),
        "search_2m_seconds": large["seconds"],
        "search_2m_edges": large["edges"],
        **truth_figures(),
    }


def shards_of(tokens: int) -> int:
    """Return the number of shards that hold about so many tokens."""
    return max(1, round(tokens / (MADE.documents * MADE.length)))


def write(folder: Path, tokens: int) -> list[Path]:
    """Write the shards of about `tokens` tokens with two processes."""
    numbers = range(shards_of(tokens))
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(MADE.write, [folder] * len(numbers), numbers))


def read(paths: list[Path]) -> Iterator[CodeShard]:
    """Read shards, checksums and all."""
    return (read_shard(path, identity=IDENTITY) for path in paths)


def counting(paths: list[Path], folder: Path) -> dict[str, Any]:
    """Time counting, all sums, scipy's product and the dense product."""
    every = median(lambda: count(paths, folder, min_expected=1e-9))
    tested = median(lambda: count(paths, folder, min_expected=5.0))
    robust = median(lambda: all_sums(paths, folder))
    codes = concatenate(list(read(paths)))
    began = time.perf_counter()
    pairs = scipy_product(codes)
    scipy = time.perf_counter() - began
    if pairs != every[1]:
        raise SystemExit(f"scipy counts {pairs} joint firings, we count {every[1]}")
    dense = dense_product(codes)
    return {
        "features": MADE.d_sae,
        "tokens": codes.rows,
        "l0": round(len(codes.index) / codes.rows, 1),
        "joint_firings": pairs,
        "ours_seconds": round(every[0], 3),
        "scipy_seconds": round(scipy, 2),
        "ratio_scipy": round(scipy / every[0], 1),
        "dense_seconds": round(dense),
        "dense_tokens_timed": DENSE_ROWS,
        "ratio_dense": round(dense / every[0]),
        "tested_pairs": robust[1][0],
        "pairs_with_sums": robust[1][1],
        "counting_tested_seconds": round(tested[0], 3),
        "all_sums_seconds": round(robust[0], 3),
        "robust_cost_ratio": round(robust[0] / tested[0], 2),
    }


def median(work: Callable[[], Any], *, runs: int = 3) -> tuple[float, Any]:
    """Time `work` after one run that compiles; return the median of the times and the result."""
    result = work()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return float(np.median(times)), result


def count(paths: list[Path], folder: Path, *, min_expected: float) -> int:
    """Count the joint firings of all candidate pairs, from shards to counts; return their sum."""
    counter = LocalCounter(lambda: read(paths), (MADE.d_sae,), scratch=folder)
    m = counter.marginals()
    ranking = rank_features(m, groups=counter.groups, min_expected=min_expected)
    parts = counter.parts(ranking)
    total = 0
    for first, last, width in panels(ranking):
        total += int(parts.joint(first, last, width=width).sum())
    return total


def all_sums(paths: list[Path], folder: Path) -> tuple[int, int]:
    """Make every sum of the tests; return the numbers of tested pairs and of pairs with sums."""
    counter = LocalCounter(lambda: read(paths), (MADE.d_sae,), scratch=folder)
    m = counter.marginals()
    options = EdgesSection()
    ranking = rank_features(m, groups=counter.groups, min_expected=options.min_expected)
    screen = make_screen(m, ranking, options=options)
    pairs = sum(len(s) for s in candidate_sums(counter.parts(ranking), ranking, screen))
    return ranking.tested, pairs


def scipy_product(codes: CodeShard) -> int:
    """Count all pairs with scipy; return the joint firings of different features."""
    from scipy import sparse

    ones = np.ones(len(codes.index), np.int32)
    x = sparse.csr_matrix((ones, codes.index, codes.indptr), shape=(codes.rows, MADE.d_sae))
    product = x.T @ x
    return int((product.sum() - product.diagonal().sum()) // 2)


def dense_product(codes: CodeShard) -> float:
    """Time a dense float32 product on a slice of the tokens; return seconds for all of them."""
    import torch

    here = slice(0, codes.indptr[DENSE_ROWS])
    row = np.repeat(np.arange(DENSE_ROWS), np.diff(codes.indptr[: DENSE_ROWS + 1]))
    on = torch.zeros(DENSE_ROWS, MADE.d_sae)
    on[torch.from_numpy(row), torch.from_numpy(codes.index[here].astype(np.int64))] = 1.0
    total = torch.zeros(MADE.d_sae, MADE.d_sae)
    began = time.perf_counter()
    total += on.T @ on
    return (time.perf_counter() - began) * codes.rows / DENSE_ROWS


def in_own_process(folder: Path, tokens: int) -> dict[str, Any]:
    """Run `memory` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.cooccurrence", "--json", "--memory"]
    done = subprocess.run(
        [*command, str(folder), str(tokens)], check=True, capture_output=True, text=True
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def memory(folder: Path, tokens: int) -> dict[str, Any]:
    """Search the edges of the first `tokens` tokens, watching the anonymous memory."""
    paths = sorted(folder.glob("*.safetensors"))[: shards_of(tokens)]
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            lines = Path("/proc/self/status").read_text().splitlines()
            now = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
            peak[0] = max(peak[0], now)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        counter = LocalCounter(lambda: read(paths), (MADE.d_sae,), scratch=Path(scratch))
        found = find_edges(counter, Path(scratch), options=EdgesSection())
    seconds = time.perf_counter() - began
    done.set()
    watcher.join()
    return {
        "peak_anon_mib": round(peak[0] / 1024),
        "seconds": round(seconds, 1),
        "tokens": found.marginals.positions,
        "tested": found.tested,
        "edges": len(found.edges.kind),
        **found.edges.significant,
    }


if __name__ == "__main__":
    main()
