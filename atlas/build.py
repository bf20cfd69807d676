"""From a recipe to an analysed graph: the whole way, each stage skipped where it is done."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.api import Atlas
from atlas.errors import RecipeError
from atlas.graph.server import ManagedServer
from atlas.progress import Reporter, SilentReporter
from atlas.recipe import load_build_recipe
from atlas.shipped import shipped_recipes

if TYPE_CHECKING:
    from atlas.recipe import BuildRecipe


def read_recipe(recipe: str | Path) -> BuildRecipe:
    """Read a recipe from a file, or a shipped one by name.

    Raises
    ------
    RecipeError
        There is no such file or shipped recipe, or it is not a recipe.
    """
    path = Path(recipe)
    if not path.is_file():
        shipped = shipped_recipes()
        if str(recipe) not in shipped:
            raise RecipeError(
                f"There is no recipe file {recipe}.",
                hint=f"Give a TOML file, or a shipped recipe: {', '.join(shipped)}.",
            )
        path = shipped[str(recipe)]
    return load_build_recipe(path)


def ensure_database(home: str | Path | None = None, *, reporter: Reporter | None = None) -> None:
    """Start the managed server of `home` unless NEO4J_URI names another, or it runs."""
    if not os.environ.get("NEO4J_URI"):
        ManagedServer(home).ensure_running(reporter=reporter)


def build_atlas(
    recipe: str | Path,
    *,
    home: str | Path | None = None,
    load: bool = True,
    ray: str | None = None,
    check: bool = True,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Build the tables of a recipe, load them into Neo4j and analyse them.

    Parameters
    ----------
    recipe
        A TOML file, or the name of a shipped recipe.
    home
        The atlas's folder; see `atlas.paths.home_dir`.
    load
        False stops after the tables: no database is needed.
    ray
        Address of a Ray cluster that counts pairs, or ``local``; None counts in this process.
    check
        Refuse beforehand what will not fit into memory or onto the disk.
    reporter
        Told of each step.

    Returns
    -------
    dict
        ``run``, ``folder``, the rows of each table, ``communities``, ``modularity``, ``seconds``.

    Raises
    ------
    AtlasError
        What failed, on what, and what to do; what was finished stays, and the same call resumes.
    """
    from ingest.pipeline import build

    started = time.monotonic()
    told = reporter or SilentReporter()
    options = read_recipe(recipe)
    result = build(options, home=home, ray=ray, check=check, reporter=told)
    summary: dict[str, Any] = {
        "run": result.run_id,
        "folder": str(result.folder),
        **result.counts,
        "tables_reused": result.reused,
    }
    if load:
        ensure_database(home, reporter=told)
        with Atlas.connect(home=home) as atlas:
            loaded = atlas.load(result.folder, reporter=told).loaded
            if loaded or not _is_analysed(atlas, result.run_id, options):
                analysis = options.analysis
                atlas.analyse(
                    result.run_id, seed=analysis.seed, top_k=analysis.backbone_k, reporter=told
                )
            summary |= _communities(atlas, result.run_id)
    summary["seconds"] = round(time.monotonic() - started, 1)
    return summary


_LEIDEN = (
    "MATCH (a:AlgorithmRun {run: $run, property: 'community'}) "
    "OPTIONAL MATCH (c:Community)-[:PRODUCED_BY]->(a) "
    "RETURN a.seed AS seed, a.top_k AS top_k, a.modularity AS modularity, "
    "count(c) AS communities"
)


def _is_analysed(atlas: Atlas, run: str, options: BuildRecipe) -> bool:
    """Whether the run has an analysis with the recipe's parameters (written all or nothing)."""
    wanted = (options.analysis.seed, options.analysis.backbone_k)
    rows = atlas.cypher(_LEIDEN, run=run)
    return any((row["seed"], row["top_k"]) == wanted for row in rows)


def _communities(atlas: Atlas, run: str) -> dict[str, Any]:
    row = atlas.cypher(_LEIDEN, run=run)[0]
    return {"communities": row["communities"], "modularity": row["modularity"]}
