"""Stages that find what joins features: within one SAE, and from an earlier SAE to a later one."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from atlas.artifacts import write_table
from ingest.contexts import join_contexts
from ingest.cooccurrence.counter import LocalCounter
from ingest.cooccurrence.kinds import KINDS, NO_NEAR, NearPairs
from ingest.cooccurrence.search import find_edges
from ingest.cooccurrence.shards import CodeFiles, ShardFile
from ingest.edge_tables import (
    edge_tables,
    feature_keys,
    feeds_tables,
    fold_tables,
    implies_table,
)
from ingest.firing import PairScanner
from ingest.folds import count_folds, fold_table, with_positions
from ingest.geometry import (
    feeds_weights,
    near_among,
    pair_cosines,
    similar_features,
    table_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from atlas.progress import Reporter
    from atlas.recipe import EdgesSection
    from ingest.contexts import ContextWindows
    from ingest.cooccurrence.counter import Counter
    from ingest.cooccurrence.search import Found
    from ingest.geometry import Similar
    from ingest.mapped import MappedSae

#: Near features of each one in whose pairs exclusion is looked for.
NEAR_CAP = 64


def make_edges(
    folder: Path,
    sae: MappedSae,
    *,
    options: EdgesSection,
    windows: ContextWindows,
    reporter: Reporter,
    ray: str | None = None,
) -> dict[str, Any]:
    """Write ``edges``, ``implies``, ``similar``, ``edge_contexts`` and counts by folds of one SAE.

    Parameters
    ----------
    folder
        Folder of the stage.
    sae
        The SAE.
    options
        What becomes an edge.
    windows
        Cuts the contexts.
    reporter
        Told of the progress.
    ray
        Address of a Ray cluster, or ``local``; None counts in this process.

    Returns
    -------
    dict
        ``tested`` and ``significant`` pairs.
    """
    around, near = _neighbours(sae, options, reporter)
    with (
        scratch_folder(folder) as scratch,
        counter_of((sae,), options=options, scratch=scratch, ray=ray) as counter,
    ):
        found = find_edges(counter, scratch, options=options, near=near, reporter=reporter)
    lists, contexts = _contexts(sae, found, options, windows)
    _write_folds(folder, sae, found, options)
    i, j = found.edges.sums.i, found.edges.sums.j
    directed = found.implications
    cosine = implied = None
    if sae.w_dec is not None and around is not None:
        cosine = pair_cosines(sae.w_dec, i, j)
        implied = pair_cosines(sae.w_dec, directed.source, directed.target)
        similar = table_of(around, sae.key, k=options.similar_k)
        write_table(folder / "similar.parquet", similar)
    k = options.top_k
    edges = edge_tables(found, sae.key, top_k=k, cosine=cosine, contexts=lists)
    write_table(folder / "edges.parquet", edges)
    write_table(folder / "implies.parquet", implies_table(found, sae.key, cosine=implied))
    write_table(folder / "edge_contexts.parquet", contexts)
    if found.folds is not None:
        write_table(folder / "fold_sums.parquet", fold_tables(found, sae.key))
    return {"tested": found.tested, "significant": found.edges.significant}


def make_feeds(
    folder: Path,
    pair: tuple[MappedSae, MappedSae],
    *,
    options: EdgesSection,
    reporter: Reporter,
    ray: str | None = None,
) -> dict[str, Any]:
    """Write ``feeds``: token edges from an earlier SAE to a later one, on the same positions."""
    early, late = pair
    with (
        scratch_folder(folder) as scratch,
        counter_of(pair, options=options, scratch=scratch, ray=ray) as made,
    ):
        found = find_edges(made, scratch, options=options, kinds=("token",), reporter=reporter)
    weight = weight_cosine = None
    if early.w_dec is not None and late.w_enc is not None:
        i, j = found.edges.sums.i, found.edges.sums.j - early.d_sae
        weight, weight_cosine = feeds_weights(early.w_dec, late.w_enc, i, j)
    tables = feeds_tables(
        found,
        (early.key, late.key),
        top_k=options.top_k,
        weight=weight,
        weight_cosine=weight_cosine,
    )
    write_table(folder / "feeds.parquet", tables)
    return {"tested": found.tested, "significant": found.edges.significant}


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Make a folder beside a stage's own for files that are needed only while it runs."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="scratch-") as name:
        yield Path(name)


def code_files(saes: tuple[MappedSae, ...], *, unit: str) -> CodeFiles:
    """Return the shards of one SAE, or of two side by side, in the unit of observation."""
    return CodeFiles(
        [
            tuple(ShardFile(path, sae.identity) for path, sae in zip(paths, saes, strict=True))
            for paths in zip(*(sae.paths for sae in saes), strict=True)
        ],
        tuple(sae.d_sae for sae in saes),
        unit=unit,
        block=saes[0].block,
    )


@contextmanager
def counter_of(
    saes: tuple[MappedSae, ...], *, options: EdgesSection, scratch: Path, ray: str | None
) -> Iterator[Counter]:
    """Yield what counts one SAE's codes, or those of an earlier and a later one."""
    files = code_files(saes, unit=options.unit)
    if ray is None:
        yield LocalCounter(
            files.read, files.groups, block=files.block, scratch=scratch, device=pair_device()
        )
        return
    from ingest.cooccurrence.ray_counter import RayCounter

    # Other machines have no place at this path; there the indexes lie in temporary folders.
    with RayCounter(files, ray, scratch=scratch if ray == "local" else None) as counter:
        yield counter


def pair_device() -> str | None:
    """Return the device whose kernels count pairs: CUDA where there is one, else numba's here."""
    import torch

    return "cuda" if torch.cuda.is_available() else None


def _neighbours(
    sae: MappedSae, options: EdgesSection, reporter: Reporter
) -> tuple[Similar | None, NearPairs]:
    """Find the nearest decoder vectors of each feature, and the pairs that are near."""
    if sae.w_dec is None:
        return None, NO_NEAR
    k = max(NEAR_CAP + 1, options.similar_k)
    found = similar_features(sae.w_dec, k=k, reporter=reporter)
    near = near_among(found, min_cosine=options.min_cosine, cap=NEAR_CAP)
    if near.capped:
        reporter.note(
            f"{near.capped} features of {sae.name} have more than {NEAR_CAP} others at a decoder "
            f"cosine of {options.min_cosine} or more; the nearest {NEAR_CAP} of each are looked at"
        )
    return found, NearPairs(near.i, near.j)


def _contexts(
    sae: MappedSae, found: Found, options: EdgesSection, windows: ContextWindows
) -> tuple[pa.ListArray | None, pa.Table]:
    """Find a few contexts of each strong token edge: their keys an edge, and their rows.

    Strong are those among the ``options.context_rank`` strongest of both their features.
    """
    e, chosen = found.edges, _strong(found, options.context_rank)
    if not options.contexts or len(chosen) == 0:
        return None, join_contexts([])
    m = found.marginals
    scanner = PairScanner(
        e.sums.i[chosen],
        e.sums.j[chosen],
        n=m.n,
        largest=m.v_max.astype(np.float64),
        kept=options.contexts,
    )
    for shard in sae.read():
        scanner.add(shard)
    joint = scanner.result()
    contexts = windows.around(joint.document, joint.position)
    each = np.zeros(len(e.kind) + 1, np.int32)
    each[chosen + 1] = np.bincount(joint.pair, minlength=len(chosen))
    keys = contexts.keys.combine_chunks()  # in the order of the pairs, best first
    return pa.ListArray.from_arrays(pa.array(np.cumsum(each, dtype=np.int32)), keys), contexts.table


def _strong(found: Found, rank: int) -> NDArray[np.int64]:
    """Return the token edges that are among the `rank` strongest of both their features."""
    e = found.edges
    both = np.maximum(e.rank_i, e.rank_j)
    return np.flatnonzero((e.kind == KINDS.index("token")) & (both <= rank))


def _write_folds(folder: Path, sae: MappedSae, found: Found, options: EdgesSection) -> None:
    """Write ``edge_folds`` and ``feature_folds``: what bootstraps of communities add up."""
    if not options.bootstrap_folds:
        return
    chosen = _strong(found, options.bootstrap_rank)
    i, j = found.edges.sums.i[chosen], found.edges.sums.j[chosen]
    shards = code_files((sae,), unit=options.unit).read()
    counted = count_folds(shards, i, j, n=found.marginals.n, folds=options.bootstrap_folds)
    keys = feature_keys(sae.key, sae.d_sae)
    ends = {"source": keys.take(pa.array(i)), "target": keys.take(pa.array(j))}
    write_table(folder / "edge_folds.parquet", fold_table(ends, counted.joint))
    features = fold_table({"key": keys}, counted.n)
    write_table(folder / "feature_folds.parquet", with_positions(features, counted.positions))
