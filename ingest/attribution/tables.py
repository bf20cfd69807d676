"""Tables of an attribution run: edges, attributions and prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from atlas.schemas import schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ingest.attribution.aggregate import PromptAttributions
    from ingest.attribution.batches import SetAttributions
    from ingest.attribution.edges import CoAttribution
    from ingest.attribution.prompts import PromptSet
    from ingest.attribution.tokens import TokenisedPrompts


CO_ATTRIBUTED = schema("co_attributed")
"""An edge: features ordered by SAE key, then index. Undirected and signed."""

ATTRIBUTIONS = schema("attributions")
"""A kept feature's aggregated attribution in a prompt (its key); where it is not 0."""

PROMPTS = schema("prompts")
"""A prompt and the metric's value for it; ``n_tokens`` is without BOS."""

SPLITS = schema("splits")
"""How stream times gradient splits at an SAE's hook, summed over a prompt's positions."""


@dataclass(frozen=True)
class Attributed:
    """A finished run, before it is written.

    Attributes
    ----------
    prompts, tokens
        The prompt set, as text and as tokens.
    saes
        Keys of the SAEs, in the order of the features' numbers.
    found
        Attributions of all features.
    features
        int64, numbers of the kept features, ascending: the columns of `edges`.
    kept
        Their attributions.
    edges
        Their edges.
    """

    prompts: PromptSet
    tokens: TokenisedPrompts
    saes: tuple[str, ...]
    found: SetAttributions
    features: NDArray[np.int64]
    kept: PromptAttributions
    edges: CoAttribution

    @property
    def prompt_keys(self) -> list[str]:
        """``{set}/{id}`` of each prompt."""
        return [f"{self.prompts.name}/{prompt.id}" for prompt in self.prompts.prompts]

    def keys(self, features: NDArray[np.int64]) -> list[str]:
        """``{sae}/{index}`` of features given by number."""
        owner = np.searchsorted(self.found.offsets, features, side="right") - 1
        index = features - self.found.offsets[owner]
        return [f"{self.saes[s]}/{i}" for s, i in zip(owner, index, strict=True)]


def tables(run: Attributed, *, metric: str, aggregation: str) -> dict[str, pa.Table]:
    """Return every table of a run, by the name of its file without ``.parquet``."""
    return {
        "co_attributed": _edges(run, metric, aggregation),
        "attributions": _attributions(run),
        "prompts": _prompts(run),
        "splits": _splits(run),
    }


def _edges(run: Attributed, metric: str, aggregation: str) -> pa.Table:
    edges, n = run.edges, len(run.edges.i)
    columns: dict[str, Any] = {
        "source": run.keys(run.features[edges.i]),
        "target": run.keys(run.features[edges.j]),
        "prompt_set": [run.prompts.name] * n,
        "metric": [metric] * n,
        "aggregation": [aggregation] * n,
        "prompts": np.full(n, edges.prompts, np.int32),
    }
    columns |= {name: getattr(edges, name) for name in CO_ATTRIBUTED.names if name not in columns}
    return _table(columns, CO_ATTRIBUTED)


def _attributions(run: Attributed) -> pa.Table:
    """Rows by prompt, then feature."""
    keys = run.prompt_keys
    columns = {
        "feature": run.keys(run.kept.feature),
        "prompt": [keys[n] for n in run.kept.prompt],
        "value": run.kept.value,
    }
    return _table(columns, ATTRIBUTIONS)


def _prompts(run: Attributed) -> pa.Table:
    listed = run.prompts.prompts
    columns: dict[str, Any] = {
        "key": run.prompt_keys,
        "prompt_set": [run.prompts.name] * len(listed),
        "foils": [list(prompt.foils) for prompt in listed],
        "answer_token": run.tokens.answers,
        "n_tokens": [len(block.tokens) - 1 for block in run.tokens.blocks],
        "score": run.found.score,
    }
    for name in ("id", "group", "prompt", "answer"):
        columns[name] = [getattr(prompt, name) for prompt in listed]
    return _table(columns, PROMPTS)


def _splits(run: Attributed) -> pa.Table:
    """Rows by SAE, then prompt."""
    keys = run.prompt_keys
    columns: dict[str, Any] = {
        "sae": [sae for sae in run.saes for _ in keys],
        "prompt": keys * len(run.saes),
    }
    columns |= {name: getattr(run.found, name).ravel() for name in SPLITS.names[2:]}
    return _table(columns, SPLITS)


def _table(columns: Mapping[str, Any], wanted: pa.Schema) -> pa.Table:
    return pa.table({name: columns[name] for name in wanted.names}, schema=wanted)
