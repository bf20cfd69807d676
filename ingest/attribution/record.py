"""The record of an attribution run: what it was made from, and what it holds."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.lm import LanguageModel
    from atlas.saes import LoadedSae
    from ingest.attribution.edges import CoAttribution
    from ingest.attribution.options import AttributionOptions
    from ingest.attribution.prompts import PromptSet
    from ingest.attribution.tables import Attributed

FORMAT = 1
"""Version of the folder: ``format`` in the record."""


def run_record(
    run: Attributed,
    model: LanguageModel,
    *,
    saes: Sequence[LoadedSae],
    options: AttributionOptions,
) -> dict[str, Any]:
    """Return the record of a run, without its files.

    ``run_id`` is made of the prompt set's name and a hash of everything that the result depends
    on: the prompts, the weights of the model and the SAEs, and the options.
    """
    notes = [*run.tokens.notes, *_notes(run.edges)]
    return {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "counts": _counts(run),
        "few_prompts": run.edges.few_prompts,
        "detectable_r": run.edges.detectable_r,
        "notes": notes,
        "mean_absolute": _mean_splits(run),
        **_identity(run.prompts, model, saes, options),
    }


def _counts(run: Attributed) -> dict[str, int]:
    edges = run.edges
    return {
        "prompts": edges.prompts,
        "features_attributed": len(np.unique(run.found.entries.feature)),
        "features_kept": edges.features,
        "features_constant": edges.constant,
        "tested_pairs": edges.tested,
        "edges": len(edges.i),
        "edges_positive": int((edges.sign > 0).sum()),
        "edges_negative": int((edges.sign < 0).sum()),
        "sink_positions_masked": run.found.masked,
    }


def _notes(edges: CoAttribution) -> list[str]:
    notes = []
    if edges.few_prompts:
        notes.append(
            f"{edges.prompts} prompts are few for {edges.tested:,} pairs: a pair alone would need "
            f"a correlation of {edges.detectable_r:.2f}; strong edges may be missing"
        )
    if edges.lost_within:
        notes.append(
            f"{edges.lost_within} of {len(edges.i)} edges are between groups of prompts and not "
            "within them; --within-groups tests what is left without the groups' means"
        )
    return notes


def _mean_splits(run: Attributed) -> dict[str, dict[str, float]]:
    """Mean absolute part of each SAE's features, bias and error in stream times gradient."""
    return {
        key: {
            name: float(np.abs(getattr(run.found, name)[s]).mean())
            for name in ("features", "bias", "error", "total")
        }
        for s, key in enumerate(run.saes)
    }


def _identity(
    prompts: PromptSet,
    model: LanguageModel,
    saes: Sequence[LoadedSae],
    options: AttributionOptions,
) -> dict[str, Any]:
    """Everything that the result depends on, and an id made of it."""
    depends = {
        "prompt_set": {"name": prompts.name, "sha256": prompts.sha256},
        "model": {
            "key": model.name,
            "weights_sha256": model.weights_sha256,
            "dtype": str(model.dtype).removeprefix("torch."),
        },
        "saes": [
            {"key": sae.key(model.name), "source": sae.source, "weights_sha256": sae.weights_sha256}
            for sae in saes
        ],
        "parameters": options.model_dump(mode="json"),
    }
    digest = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
    names = ("sae-feature-atlas", "torch", "transformers", "sae-lens", "numpy", "scipy")
    return {
        "run_id": f"{prompts.name}-attribution-{digest[:12]}",
        **depends,
        "device": str(model.device),
        "versions": {name: version(name) for name in names},
    }
