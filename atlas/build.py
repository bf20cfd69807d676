"""From a recipe to an analysed graph: the whole way, each stage skipped where it is done."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.api import Atlas
from atlas.api.analysis import FALLBACK
from atlas.errors import RecipeError
from atlas.graph.server import ManagedServer
from atlas.progress import Reporter, SilentReporter
from atlas.recipe import digest, load_build_recipe
from atlas.shipped import shipped_recipes

if TYPE_CHECKING:
    from atlas.recipe import AnalysisSection, BuildRecipe
    from ingest.pipeline import BuildResult


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
        ``run``, ``folder``, the rows of each table, ``communities`` (how many, what found them,
        how many are stable, adjusted Rand between document halves), ``modularity``, ``seconds``.

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
            if loaded or not _is_analysed(atlas, result, options.analysis):
                _analyse(atlas, result, options, told)
            summary |= _communities(atlas, result.run_id)
    summary["seconds"] = round(time.monotonic() - started, 1)
    return summary


_COMMUNITIES = (
    "MATCH (a:AlgorithmRun {run: $run, property: 'community'}) "
    "OPTIONAL MATCH (c:Community)-[:PRODUCED_BY]->(a) "
    "RETURN a.algorithm AS algorithm, a.modularity AS modularity, count(c) AS communities, "
    "a.stable_communities AS stable, a.between_halves_ari AS between_halves"
)


def _analyse(atlas: Atlas, result: BuildResult, options: BuildRecipe, told: Reporter) -> None:
    from atlas.analysis.stability import Settings

    wanted = options.analysis
    settings = Settings(
        top_k=wanted.community_k,
        resolutions=tuple(wanted.resolutions),
        thresholds=tuple(wanted.thresholds),
        seeds=wanted.seeds,
        bootstraps=wanted.bootstraps,
        seed=wanted.seed,
    )
    atlas.analyse(
        result.run_id,
        seed=wanted.seed,
        top_k=wanted.backbone_k,
        communities=wanted.communities,
        settings=settings,
        build=result.folder,
        mark=digest(wanted),
        reporter=told,
    )


def _is_analysed(atlas: Atlas, result: BuildResult, wanted: AnalysisSection) -> bool:
    """Whether the run has an analysis with these parameters (written all or nothing)."""
    run, mark = result.run_id, digest(wanted)
    rows = atlas.cypher("MATCH (r:Run {key: $run}) RETURN r.analysis AS mark", run=run)
    if rows and rows[0]["mark"] == mark + FALLBACK:
        return atlas.why_no_consensus(run, build=result.folder) is not None
    return bool(rows) and rows[0]["mark"] == mark


def _communities(atlas: Atlas, run: str) -> dict[str, Any]:
    row = atlas.cypher(_COMMUNITIES, run=run)[0]
    return {
        "communities": row["communities"],
        "modularity": row["modularity"],
        "communities_by": row["algorithm"],
        "stable_communities": row["stable"],
        "communities_between_halves": row["between_halves"],
    }
