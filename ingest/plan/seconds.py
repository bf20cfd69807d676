"""Seconds of each part of a build, from measured speeds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ingest.plan import costs
from ingest.plan.memory import PREFLIGHT_BLOCKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingest.plan.sample import Sample
    from ingest.plan.sizes import BuildSize
    from ingest.plan.speeds import Speeds
    from ingest.plan.text import TextSize


def stage_seconds(
    size: BuildSize, text: TextSize, *, sample: Sample, speeds: Speeds
) -> dict[str, float]:
    """Return the seconds of each part, in the order in which they are first run.

    Loading into Neo4j and the analysis there are not among them.
    """
    options = size.recipe.tokens
    sampled = PREFLIGHT_BLOCKS * options.context_size * len(size.saes)
    codes = sum(sae.codes for sae in size.saes)
    found = {
        "tokenising": text.tokens * text.seconds,
        "preflight": min(sampled, text.tokens) * sample.forward,
        "forward pass": text.read(options) * sample.forward,
    }
    for name, seconds in sample.encode.items():
        found[f"encoding {name}"] = size.positions * seconds
    found["writing codes"] = codes * sample.code
    found |= _searching(size, speeds)
    features = sum(sae.features for sae in size.saes)
    rows = size.rows
    described = codes * speeds.scan + features * costs.DESCRIBE
    described += sum(sae.features for sae in size.saes) * size.model.vocabulary * speeds.logit
    found["contexts"] = rows["contexts"] * speeds.context
    found["features"] = described
    found["writing tables"] = 2 * sum(rows.values()) * costs.WRITE_ROW
    return {name: 0.0 if math.isnan(value) else value for name, value in found.items()}


def _searching(size: BuildSize, speeds: Speeds) -> Mapping[str, float]:
    """Seconds of all searches, and of comparing decoder vectors, which is done twice an SAE."""
    every = size.searches
    value = speeds.value if speeds.value > 0 else costs.LOOKUP
    lookups = sum(
        costs.RARER * search.expected_edges * search.codes / max(search.live, 1) for search in every
    )
    return {
        "index": sum(search.codes for search in every) * speeds.index,
        "joint counts": sum(search.joint for search in every) * speeds.joint,
        "topic products": sum(s.cells * s.documents for s in every) * speeds.topic,
        "sums of kept pairs": sum(search.folded for search in every) * speeds.fold,
        "tests": sum(s.kept * costs.TEST + s.survivors * costs.CHOOSE for s in every),
        "activations of edges": lookups * value / min(size.threads, size.shards),
        "decoder vectors": 2 * sum(sae.features**2 for sae in size.saes) * speeds.cosine,
    }
