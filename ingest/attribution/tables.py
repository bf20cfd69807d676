"""Tables of an attribution run: edges, attributions and prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ingest.attribution.aggregate import PromptAttributions
    from ingest.attribution.batches import SetAttributions
    from ingest.attribution.edges import CoAttribution
    from ingest.attribution.prompts import PromptSet
    from ingest.attribution.tokens import TokenisedPrompts


def _schema(columns: str) -> pa.Schema:
    """Make the schema of ``name type; ...``; a type that ends in ? allows nulls."""
    types = {
        "str": pa.string(),
        "strs": pa.list_(pa.string()),
        "f64": pa.float64(),
        "int32": pa.int32(),
    }
    fields = [part.split() for part in columns.split(";")]
    return pa.schema(
        [pa.field(name, types[kind.rstrip("?")], nullable="?" in kind) for name, kind in fields]
    )


CO_ATTRIBUTED = _schema(
    "source str; target str; prompt_set str; metric str; aggregation str;"
    "r f64; r_spearman f64; p f64; q f64; sign int32; prompts int32; n_both int32;"
    "stability f64; r_low f64; r_high f64"
)
"""An edge: features ordered by SAE key, then index. Undirected and signed."""

ATTRIBUTIONS = _schema("feature str; prompt str; value f64")
"""A kept feature's aggregated attribution in a prompt (its key); where it is not 0."""

PROMPTS = _schema(
    "key str; prompt_set str; id str; group str?; prompt str; answer str; foils strs;"
    "answer_token int32; n_tokens int32; score f64"
)
"""A prompt and the metric's value for it; ``n_tokens`` is without BOS."""

SPLITS = _schema("sae str; prompt str; features f64; bias f64; error f64; total f64")
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


def _table(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)
