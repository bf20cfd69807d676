"""On which tokens of the prompts features fire most, which names them in tables and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queries.studies.concept.setting import Setting

#: Tokens of a feature that are listed.
TOKENS = 5

FIRES_ON = pa.schema(
    [
        ("feature", pa.string()),
        ("rank", pa.int64()),
        ("token", pa.string()),
        ("prompts", pa.int64()),
        ("activation", pa.float64()),
    ]
)
"""A row a feature and token, from rank 1: prompts in which the feature is strongest at this token,
and its mean activation there."""


def fires_on(
    setting: Setting, activations: pa.Table, features: Mapping[str, Sequence[int]]
) -> pa.Table:
    """Return the tokens at which features are strongest in the prompts; see `FIRES_ON`.

    Tokens are ranked by the activation summed over prompts.
    """
    frame = activations.select(["sae", "prompt", "feature", "max", "peak"]).to_pandas()
    parts = [FIRES_ON.empty_table().to_pandas()]
    for sae, index in features.items():
        some = frame[(frame["sae"] == sae) & frame["feature"].isin(list(index))].copy()
        tokens = [
            setting.prompts[prompt].tokens[1 + place]
            for prompt, place in zip(some["prompt"], some["peak"], strict=True)
        ]
        some["token"] = [setting.lab.text(token) for token in tokens]
        for feature, mine in some.groupby("feature"):
            by = mine.groupby("token")["max"].agg(["sum", "size", "mean"]).reset_index()
            by = by.assign(order=-by["sum"].round(6)).sort_values(["order", "token"]).head(TOKENS)
            parts.append(
                pd.DataFrame(
                    {"feature": f"{sae}/{feature}", "rank": range(1, len(by) + 1),
                     "token": by["token"].to_numpy(), "prompts": by["size"].to_numpy(),
                     "activation": by["mean"].to_numpy(float)}
                )
            )  # fmt: skip
    whole = pd.concat(parts, ignore_index=True)
    return pa.Table.from_pandas(whole, schema=FIRES_ON, preserve_index=False)
