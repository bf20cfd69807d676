"""Rows that the tables of a build are expected to have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ingest.plan import costs
from ingest.plan.pairs import FEEDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.recipe import BuildRecipe
    from ingest.plan.pairs import Search
    from ingest.plan.rates import Rates


def expected_rows(
    recipe: BuildRecipe,
    rates: Sequence[Rates],
    searches: Sequence[Search],
    *,
    documents: int,
    vocabulary: int,
) -> dict[str, int]:
    """Expect the rows of each table: documents and features exactly, the others about.

    Parameters
    ----------
    recipe
        How much is kept of a feature and of an edge.
    rates
        Firings of each SAE.
    searches
        Searches for edges.
    documents
        Of the text.
    vocabulary
        Number of tokens that the model knows.
    """
    options, edges = recipe.features, recipe.edges
    features = sum(one.d_sae for one in rates)
    firings = sum(_firings(recipe, one) for one in rates)
    tokens = 3 * options.tokens * features
    pairs = sum(one.d_sae * (one.d_sae - 1) // 2 for one in rates)
    positions = rates[0].positions
    live = sum(int((one.m.n > 0).sum()) for one in rates)
    counts = dict.fromkeys(("token", "topic", "exclusive", FEEDS), 0)
    for search in searches:
        for kind in search.edges:
            counts[kind.kind] += kind.expected
    strong = min(round(costs.STRONG * live), counts["token"])
    places = firings + strong * edges.contexts
    rows = {
        "features": features,
        "edges": counts["token"] + counts["topic"] + counts["exclusive"],
        "implies": min(round(costs.IMPLIES * live), counts["token"]),
        "similar": min(round(costs.SIMILAR * edges.similar_k * features), pairs),
        "feature_tokens": tokens,
        "firings": firings,
        "contexts": _different(positions, costs.PLACING_NEW * places),
        "documents": documents,
        "tokens": _different(vocabulary, costs.NAMING * tokens),
        "vectors": features,
    }
    return rows | ({FEEDS: counts[FEEDS]} if counts[FEEDS] else {})


def _different(possible: int, draws: float) -> int:
    """Expect how many different ones are drawn of so many, all of them alike."""
    return round(possible * -math.expm1(-draws / max(possible, 1)))


def _firings(recipe: BuildRecipe, rates: Rates) -> int:
    """Places kept: one a document for the strongest, any for those of bins."""
    options, m = recipe.features, rates.m
    strongest = np.minimum(m.d, options.contexts)
    others = np.clip(m.n - strongest, 0, options.bins * options.per_bin)
    return int((strongest + others).sum())
