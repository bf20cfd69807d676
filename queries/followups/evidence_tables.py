"""Tables of what a follow-up found that become part of the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERVENTIONS = pa.schema(
    [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("mode", pa.string()),
        pa.field("strength", pa.float64()),
        pa.field("unit", pa.string()),
        pa.field("positions", pa.string()),
        pa.field("features", pa.int64(), nullable=False),
        pa.field("seed", pa.int64()),
        pa.field("parameters", pa.string(), nullable=False),
    ]
)
"""A row an intervention, numbered from 1; `parameters` is its arm as JSON."""

ON = pa.schema(
    [
        pa.field("intervention", pa.int64(), nullable=False),
        pa.field("feature", pa.string(), nullable=False),
        pa.field("strength", pa.float64()),
    ]
)
"""A row a feature that an intervention is on, with its strength in the intervention's unit."""

EFFECTS = pa.schema(
    [
        pa.field("intervention", pa.int64(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("target", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("baseline", pa.float64()),
        pa.field("change", pa.float64()),
        pa.field("prompts", pa.int64(), nullable=False),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("p", pa.float64()),
        pa.field("q", pa.float64()),
        pa.field("prompt", pa.string()),
        pa.field("flag", pa.string()),
    ]
)
"""A row an effect: over all prompts, or of the one whose id is `prompt`."""

AFFECTS = pa.schema(
    [
        pa.field("intervention", pa.int64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("change", pa.float64(), nullable=False),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("p", pa.float64()),
        pa.field("q", pa.float64()),
        pa.field("prompts", pa.int64(), nullable=False),
    ]
)
"""A row a feature whose activation changed, from each feature that was intervened on."""

EXPLANATIONS = pa.schema(
    [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("players", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("target", pa.string()),
        pa.field("feature", pa.string()),
        pa.field("prompt", pa.string()),
        pa.field("base", pa.float64(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("names", pa.list_(pa.string()), nullable=False),
        pa.field("values", pa.list_(pa.float64()), nullable=False),
    ]
)
"""A row a decomposition of `value` less `base` among players: ``tokens``, ``features`` or
``communities``, by `names` (texts of tokens, or keys). `feature` is the one whose activation is
explained, where one is."""

FINDINGS = pa.schema(
    [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("question", pa.string()),
        pa.field("test", pa.string()),
        pa.field("unit", pa.string()),
        pa.field("statistic", pa.float64()),
        pa.field("estimate", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("p", pa.float64()),
        pa.field("q", pa.float64()),
        pa.field("n", pa.int64()),
        pa.field("verdict", pa.string(), nullable=False),
    ]
)
"""A row a result of a study, numbered from 1: the question, the `test` with its `statistic`, the
`estimate` with its 95 % interval, p and q, the number `n` of what `unit` says is the unit of
inference, and the `verdict` in words."""

CONCERNS = pa.schema(
    [
        pa.field("finding", pa.int64(), nullable=False),
        pa.field("feature", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("rank", pa.int64()),
    ]
)
"""A row a feature that a finding is about, with what it has there and its place, from 1."""

GRAPH_TABLES: Mapping[str, pa.Schema] = {
    "interventions": INTERVENTIONS,
    "on": ON,
    "effects": EFFECTS,
    "affects": AFFECTS,
    "explanations": EXPLANATIONS,
    "findings": FINDINGS,
    "concerns": CONCERNS,
}
"""Tables that become part of the graph; a follow-up may have others of its own."""
