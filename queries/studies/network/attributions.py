"""Attributions of the kept prompts by every aggregation, and where the SAE's features fire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from atlas.errors import CorpusError
from ingest.attribution.aggregate import kept_features, prompts_needed
from ingest.attribution.batches import attribute_prompts
from ingest.attribution.options import AttributionOptions
from ingest.attribution.tokens import TokenisedPrompts
from ingest.blocks import TokenBlock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from atlas.progress import Reporter
    from ingest.attribution.batches import SetAttributions
    from queries.followups.lab import Lab, PromptText, TaskPrompt
    from queries.studies.builds import CorpusFigures
    from queries.studies.network.request import NetworkRequest

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

#: Prompts of one clean pass.
CHUNK = 256
#: Share of prompts that features are counted at beside the request's rule.
HALF = 0.5


def attribution_tables(
    lab: Lab, request: NetworkRequest, texts: Sequence[PromptText], *, reporter: Reporter
) -> dict[str, pa.Table]:
    """Attribute the metric of each prompt to the SAE's features.

    Features are kept by the rule of the request under its primary aggregation; their numbers
    under the others are of the same features.

    Returns
    -------
    dict
        `attributions`: aggregation, prompt, feature (latent index, from 0), value, without zeros,
        by prompt, then feature. `counts`: a row an aggregation with the number of features by
        each rule. `splits`: a row a prompt with the metric's score and how stream times gradient
        splits into features, the decoder's bias and what the SAE does not reconstruct.

    Raises
    ------
    CorpusError
        No feature has an attribution in enough prompts.
    """
    tasks = lab.prompts(texts)[0]
    tokens = tokenised(tasks)
    found: dict[str, SetAttributions] = {}
    for how in request.aggregations:
        options = AttributionOptions(metric=request.metric.replace("_", "-"), aggregation=how)
        found[how] = attribute_prompts(
            lab.model, [lab.sae(request.sae)], tokens, options=options, reporter=reporter
        )
    primary = found[request.aggregation]
    needed = prompts_needed(request.features, len(texts))
    features = kept_features(primary.entries, needed)
    if len(features) < 2:
        raise CorpusError(
            f"{len(features)} features have an attribution in {needed} of {len(texts)} prompts.",
            hint="Keep features of fewer prompts (features = 0.2, or 'union').",
        )
    ids = [text.id for text in texts]
    return {
        "attributions": _attributions(found, ids, features),
        "counts": _counts(found, request, prompts=len(texts)),
        "splits": _splits(primary, ids),
    }


def tokenised(tasks: Sequence[TaskPrompt]) -> TokenisedPrompts:
    """Return prompts as the attribution stage takes them."""
    blocks = tuple(
        TokenBlock(number, 0, np.array(task.tokens, np.int32)) for number, task in enumerate(tasks)
    )
    answers = tuple(task.target or 0 for task in tasks)
    return TokenisedPrompts(blocks, answers, tuple(task.foils for task in tasks), ())


def _attributions(
    found: dict[str, SetAttributions], ids: Sequence[str], features: Integers
) -> pa.Table:
    parts = []
    for how, one in found.items():
        kept = one.entries.take(features)
        number = pa.array(kept.prompt, pa.int32())
        parts.append(
            pa.table(
                {
                    "aggregation": pa.array([how] * len(kept.value)).dictionary_encode(),
                    "prompt": pa.DictionaryArray.from_arrays(number, pa.array(ids)),
                    "feature": kept.feature,
                    "value": kept.value,
                }
            )
        )
    return pa.concat_tables(parts).unify_dictionaries()


def _counts(
    found: dict[str, SetAttributions], request: NetworkRequest, *, prompts: int
) -> pa.Table:
    rules = {"union": "union", "half": HALF, "intersection": "intersection"}
    rules["kept"] = request.features
    rows = []
    for how, one in found.items():
        sizes = {
            name: len(kept_features(one.entries, prompts_needed(rule, prompts)))  # type: ignore[arg-type]
            for name, rule in rules.items()
        }
        rows.append({"aggregation": how, **sizes, "masked_positions": one.masked})
    return pa.Table.from_pylist(rows)


def _splits(found: SetAttributions, ids: Sequence[str]) -> pa.Table:
    sums = {name: getattr(found, name)[0] for name in ("features", "bias", "error", "total")}
    return pa.table({"prompt": list(ids), "score": found.score, **sums})


def matrix(
    attributions: pa.Table, aggregation: str, *, prompts: Sequence[str], features: Integers
) -> Floats:
    """Return one aggregation's attributions, float64 ``[prompts, features]``, 0 where none.

    Parameters
    ----------
    attributions
        Of `attribution_tables`.
    aggregation
        Its name.
    prompts
        Their ids, in the order of the rows.
    features
        Latent indices, ascending.
    """
    import pyarrow.compute as pc

    part = attributions.filter(pc.equal(attributions["aggregation"], aggregation))
    row = pc.index_in(pc.cast(part["prompt"], pa.string()), pa.array(prompts)).to_numpy()
    found = np.zeros((len(prompts), len(features)))
    found[row, np.searchsorted(features, part["feature"].to_numpy())] = part["value"].to_numpy()
    return found


def features_of(attributions: pa.Table) -> Integers:
    """Return the features that have attributions, ascending."""
    return np.unique(attributions["feature"].to_numpy()).astype(np.int64)


def activity_table(
    lab: Lab, sae: str, texts: Sequence[PromptText], *, corpus: CorpusFigures | None
) -> pa.Table:
    """Say where every feature fires that does so in the prompts.

    Returns
    -------
    pyarrow.Table
        feature (latent index, from 0); `prompts`, how many it fires in; `maximum`, its largest
        activation there, and `token`, the text of the token where that is; `corpus_rate`,
        `corpus_maximum`, `corpus_mean` over the generic corpus, null without one. BOS is left out.
    """
    tasks, size = lab.prompts(texts)[0], lab.sae(sae).d_sae
    fires, largest = np.zeros(size, np.int64), np.zeros(size)
    at = np.zeros(size, np.int64)
    for first in range(0, len(tasks), CHUNK):
        some = [task.tokens for task in tasks[first : first + CHUNK]]
        row, place, feature, value = _firings(lab, sae, some)
        fires += np.bincount(np.unique(feature * len(some) + row) // len(some), minlength=size)
        # The largest of each feature comes last; of equals the first prompt's.
        order = np.lexsort((-place, -row, value, feature))
        ends = order[np.append(np.flatnonzero(np.diff(feature[order])), len(order) - 1)]
        larger = ends[value[ends] > largest[feature[ends]]]
        largest[feature[larger]] = value[larger]
        at[feature[larger]] = [some[r][p] for r, p in zip(row[larger], place[larger], strict=True)]
    seen = np.flatnonzero(fires)
    columns: dict[str, Any] = {"feature": seen, "prompts": fires[seen], "maximum": largest[seen]}
    columns["token"] = [lab.text(token) for token in at[seen].tolist()]
    for name in ("rate", "maximum", "mean"):
        known = None if corpus is None else getattr(corpus, name)[seen]
        columns[f"corpus_{name}"] = pa.array(
            [None] * len(seen) if known is None else known, pa.float64()
        )
    return pa.table(columns)


def _firings(
    lab: Lab, sae: str, prompts: Sequence[Sequence[int]]
) -> tuple[Integers, Integers, Integers, Floats]:
    """Prompt, position, feature and activation of every firing after BOS."""
    codes = lab.engine.prepare(prompts).codes[sae]
    values = codes.values.tocoo()
    row, place = np.divmod(values.coords[0].astype(np.int64), codes.positions)
    real = (place > 0) & (place < np.array([len(tokens) for tokens in prompts])[row])
    feature = values.coords[1].astype(np.int64)
    return row[real], place[real], feature[real], values.data[real].astype(np.float64)
