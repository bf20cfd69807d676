"""Columns of the tables of a circuit's evidence."""

from __future__ import annotations

import pyarrow as pa

CIRCUITS = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("nodes", pa.int64(), nullable=False),
        pa.field("features", pa.int64(), nullable=False),
        pa.field("edges", pa.int64(), nullable=False),
        pa.field("json", pa.string(), nullable=False),
    ]
)
"""A row a prompt: the metric, the answer and its probability, what the kept circuit has, and the
circuit as circuit-tracer's JSON."""

CIRCUIT_NODES = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("sae", pa.string()),
        pa.field("feature", pa.string()),
        pa.field("level", pa.int64(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("token", pa.string(), nullable=False),
        pa.field("activation", pa.float64()),
        pa.field("attribution", pa.float64()),
        pa.field("plain", pa.float64()),
        pa.field("captured", pa.float64()),
        pa.field("share", pa.float64(), nullable=False),
        pa.field("influence", pa.float64(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
    ]
)
"""A row a node, also of those that were pruned. `level` is the hook's number from the shallowest,
-1 of tokens, one more than the last of the output; `share` is the node's part of all influence, and
`influence`, as circuit-tracer writes it, the part that it and all above it hold together. See
`queries.followups.circuits.graph.Node` for the rest."""

CIRCUIT_EDGES = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("share", pa.float64(), nullable=False),
    ]
)
"""A row a kept edge, by ids of nodes: what the source gives to the target's activation (or to the
metric), and its part of the influence that all edges bring."""

CIRCUIT_HOOKS = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("sae", pa.string(), nullable=False),
        pa.field("firing", pa.int64(), nullable=False),
        pa.field("candidates", pa.int64(), nullable=False),
        pa.field("features", pa.float64(), nullable=False),
        pa.field("error", pa.float64(), nullable=False),
        pa.field("plain_features", pa.float64(), nullable=False),
        pa.field("plain_error", pa.float64(), nullable=False),
        pa.field("agreement", pa.float64(), nullable=False),
    ]
)
"""A row a prompt and hook: how many features fire (one a position) and were opened, and the sums of
`queries.followups.circuits.graph.HookSums`."""

FAITHFULNESS = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("set", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("draw", pa.int64()),
        pa.field("only", pa.float64(), nullable=False),
        pa.field("without", pa.float64(), nullable=False),
        pa.field("faithfulness", pa.float64()),
        pa.field("completeness", pa.float64()),
        pa.field("full", pa.float64(), nullable=False),
        pa.field("empty", pa.float64(), nullable=False),
    ]
)
"""A row a set of nodes; see `queries.followups.circuits.check.curve`."""
