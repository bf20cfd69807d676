"""The record of a finished build: ``run.json``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from atlas.artifacts import write_json
from atlas.recipe import digest
from atlas.schemas import FORMAT

if TYPE_CHECKING:
    from pathlib import Path

    from atlas.recipe import BuildRecipe
    from ingest.inputs import BuildInputs


def write_run(
    inputs: BuildInputs,
    folder: Path,
    *,
    records: dict[str, dict[str, Any]],
    counts: dict[str, int],
    figures: dict[str, Any],
) -> None:
    """Write ``run.json``, last: its presence says that the build is finished."""
    model, recipe = inputs.model, inputs.recipe
    positions = sum(
        json.loads(path.read_text())["rows"]
        for path in sorted((folder / "codes" / inputs.saes[0].name).glob("*.json"))
    )
    counts["positions"] = positions
    run = {
        "format": FORMAT,
        "run_id": inputs.run_id,
        "name": recipe.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe_sha256": digest(recipe),
        "atlas_version": version("sae-feature-atlas"),
        "model": {
            "key": model.name,
            "d_model": model.d_model,
            "n_layers": model.n_layers,
            "weights_sha256": model.weights_sha256,
            "source": recipe.model.name,
        },
        "saes": [
            {
                "key": sae.key(model.name),
                "name": sae.name,
                "hook": sae.hook.name,
                "architecture": sae.sae.cfg.architecture(),
                "d_sae": sae.d_sae,
                "weights_sha256": sae.weights_sha256,
                "neuronpedia_id": sae.sae.cfg.metadata.neuronpedia_id,
            }
            for sae in inputs.saes
        ],
        "corpus": {
            "name": recipe.name,
            "documents": len(inputs.documents),
            "positions": positions,
            "sha256": inputs.corpus_sha256,
        },
        "parameters": _flat(recipe) | _flat_figures(figures),
        "versions": {
            name: version(name) for name in ("torch", "transformers", "sae-lens", "numpy", "numba")
        },
        "counts": counts,
        "files": records,
    }
    write_json(folder / "run.json", run)


def _flat(recipe: BuildRecipe) -> dict[str, Any]:
    values: dict[str, Any] = {"dtype": "preferred of the device"}
    for section in ("tokens", "edges", "features"):
        for key, value in getattr(recipe, section).model_dump().items():
            values[f"{section}.{key}"] = value
    return values


def _flat_figures(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        f"preflight.{sae}.{key}": value
        for sae, values in figures.items()
        for key, value in values.items()
        if not isinstance(value, list | tuple)
    }
