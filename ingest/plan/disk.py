"""What takes disk while each part of a build runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.schemas import schema
from ingest.plan import costs
from ingest.plan.needs import Need, Phase, code_bytes
from ingest.plan.sizes import documents_setting

if TYPE_CHECKING:
    from ingest.plan.graph import GraphSize
    from ingest.plan.sizes import BuildSize


def disk_phases(size: BuildSize, graph: GraphSize | None) -> tuple[Phase, ...]:
    """Return what takes disk while each part of a build runs.

    Parameters
    ----------
    size
        The build.
    graph
        Size in Neo4j, or None where the graph is not on this disk.
    """
    codes = sum(code_bytes(size.positions, sae.codes) for sae in size.saes)
    codes += costs.SHARD * size.shards * len(size.saes)
    shards = Need("code shards", codes, lower=documents_setting(size))
    index = max(search.index_bytes for search in size.searches)
    survivors = max(search.survivors for search in size.searches) * costs.SURVIVOR
    tables = table_bytes(size)
    phases = [
        Phase("running the model", (shards,)),
        Phase(
            "counting pairs",
            (
                shards,
                Need("the index of pairs", index, lower=documents_setting(size)),
                Need("surviving pairs", survivors, "Raise edges.min_expected or edges.min_npmi."),
                Need("tables of the stages before", tables),
            ),
        ),
        Phase(
            "writing tables",
            (
                shards,
                Need("tables", tables, lower=("edges.top_k", size.recipe.edges.top_k)),
                Need("tables of the stages", tables),
            ),
        ),
    ]
    if graph is not None:
        store = Need("the graph in Neo4j", graph.store, "Lower edges.top_k, or use --no-load.")
        logs = Need("Neo4j's transaction logs", graph.logs)
        phases.append(Phase("loading", (shards, Need("tables", tables), store, logs)))
    return tuple(phases)


def table_bytes(size: BuildSize) -> int:
    """Bytes of the Parquet files of a build."""
    wide = size.recipe.features.context_tokens / 24
    total = 0.0
    for table, rows in size.rows.items():
        scale = wide if table in ("contexts", "firings") else 1.0
        total += rows * costs.ROW[table] * scale
        total += costs.FILE + costs.FILE_COLUMN * len(schema(table))
    edges = size.recipe.edges
    total += size.rows["edges"] * edges.folds * costs.SUMS * 0.5
    return round(total + size.rows["edges"] * edges.bootstrap_folds * costs.JOINT_BY_FOLD)
