"""Which features of an SAE are worth patching, each by itself.

Patching feature i of a base prompt to its activation in the source changes a metric, to first
order, by ``sum_t (a_source - a_base) * g``, with ``g`` the derivative of the metric by the
activation at position t of the base prompt: attribution patching.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from atlas.errors import UsageError
from atlas.gradients import metric_gradients
from queries.followups.codes import directions, unit_scale
from queries.followups.metrics import logit, logit_difference
from queries.followups.patching.pairs import targets
from queries.followups.patching.patches import Patch, PatchJob

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from ingest.attribution.metrics import Targets
    from queries.followups.metrics import Measure
    from queries.followups.patching.pairs import Pairs
    from queries.followups.patching.patcher import Patcher

    Floats = NDArray[np.float64]

Select = Literal["gradient", "difference"]


def candidates(
    patcher: Patcher, pairs: Pairs, sae: str, *, patch: Patch, select: Select, most: int | None
) -> list[tuple[int, float]]:
    """Return features whose activations differ within pairs, with what ranks them.

    Parameters
    ----------
    patcher
        The pairs after their clean pass.
    pairs
        The pairs.
    sae
        Key of the SAE.
    patch
        Gives the positions that count.
    select
        ``gradient`` ranks by the size of the first-order effect, mean over pairs, on `logit_diff`
        where every prompt has a foil, else on the target's `logit`; ``difference`` by the summed
        absolute difference of activations, mean over pairs.
    most
        How many to return at most; None is all that differ.

    Returns
    -------
    list of (int, float)
        Latent index and the estimate, or difference, that it is ranked by; largest size first.

    Raises
    ------
    UsageError
        A gradient is asked for and a prompt has no target.
    """
    found = _differences(patcher, pairs, sae, patch)
    union = np.unique(np.concatenate([index for index, _ in found]))
    scores = np.zeros(len(union))
    if select == "difference":
        for index, moved in found:
            scores[np.searchsorted(union, index)] += np.abs(moved).sum(axis=0)
    elif len(union):
        way = directions(patcher.engine.saes[sae], union.tolist()).float()
        for (index, moved), slope in zip(found, _slopes(patcher, pairs, sae), strict=True):
            columns = np.searchsorted(union, index)
            each = (slope.to(way.device) @ way[columns].T).cpu().numpy()
            scores[columns] += (moved * each).sum(axis=0, dtype=np.float64)
    scores /= max(1, len(pairs))
    # The order must not depend on the last digit: ties and near ties go by index.
    order = np.lexsort((union, -np.abs(scores).round(7)))[:most]
    return [(int(union[k]), float(scores[k])) for k in order]


def _differences(
    patcher: Patcher, pairs: Pairs, sae: str, patch: Patch
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Features that differ in each pair, and by how much, ``[positions, features]``."""
    codes = patcher.prepared.codes[sae]
    rows, width, found = codes.values.tocsr(), codes.positions, []
    for pair in range(len(pairs)):
        base, source = pairs.base(pair), pairs.source(pair)
        where = patcher.differing(PatchJob(base, source, patch))
        here, there = (rows[number * width :][:width] for number in (base, source))
        moved = (there - here).multiply(where[:, None]).tocsc()
        moved.eliminate_zeros()
        index = np.flatnonzero(np.diff(moved.indptr))
        found.append((index, moved[:, index].toarray()))
    return found


def _slopes(patcher: Patcher, pairs: Pairs, sae: str) -> list[torch.Tensor]:
    """Differentiate the metric by each base stream, in the SAE's unit, ``[positions, d_model]``."""
    if any(prompt.target is None for prompt in pairs.clean):
        raise UsageError(
            "Features cannot be ranked by a gradient: a prompt has no answer.",
            hint="Give every prompt an answer, or choose select='difference'.",
        )
    model, loaded = patcher.engine.model, patcher.engine.saes[sae]
    tokens, lengths = patcher.prepared.clean.tokens, patcher.prepared.clean.lengths
    score = logit_difference if all(prompt.foils for prompt in pairs.clean) else logit
    step = max(1, patcher.engine.batch_tokens // tokens.shape[1])
    found: list[torch.Tensor] = []
    for first in range(0, len(pairs), step):
        some = range(first, min(first + step, len(pairs)))
        base = [pairs.base(pair) for pair in some]
        of = targets([pairs.clean[pair] for pair in some], model.device)
        slopes = metric_gradients(
            model,
            tokens[base],
            lengths=lengths[base],
            hooks=[loaded.hook.name],
            metric=partial(_scored, score, of),
        )
        gradient = slopes.gradients[loaded.hook.name].float()
        scale = unit_scale(loaded, slopes.streams[loaded.hook.name])
        found += list(gradient if scale is None else gradient * scale)
    return found


def _scored(score: Measure, of: Targets, logits: torch.Tensor) -> torch.Tensor:
    return score(logits, logits, of)
