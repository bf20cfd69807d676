"""Columns of the tables of an attribution's evidence."""

from __future__ import annotations

import pyarrow as pa

ATTRIBUTIONS = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("sae", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("feature", pa.string()),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("token", pa.string(), nullable=False),
        pa.field("activation", pa.float64()),
        pa.field("attribution", pa.float64(), nullable=False),
    ]
)
"""A row a feature and position (`kind` ``feature``, largest first), and for each position one of
the kind ``error`` and one of the kind ``bias``. Position 0 is the first token after BOS."""

COMPLETENESS = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("sae", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("base", pa.float64(), nullable=False),
        pa.field("features", pa.float64(), nullable=False),
        pa.field("error", pa.float64(), nullable=False),
        pa.field("bias", pa.float64(), nullable=False),
        pa.field("residual", pa.float64(), nullable=False),
        pa.field("listed", pa.float64(), nullable=False),
    ]
)
"""A row a prompt and SAE: the metric, the metric where the path begins, the sums of attributions,
what they miss of ``value - base``, and the share of all absolute attribution of features that the
rows of `ATTRIBUTIONS` hold."""
