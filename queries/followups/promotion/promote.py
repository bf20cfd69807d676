"""Measured promotion: which tokens a feature's presence makes likelier where it fires most.

The logit weights of a feature, its decoder direction times the unembedding, say what it would do
if nothing lay between. Here the feature is taken out where it fires in its strongest contexts, and
the logits of what comes next are compared: everything that later blocks make of it counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import pyarrow as pa
import torch

from atlas.errors import CorpusError, UsageError
from atlas.progress import Reporter, SilentReporter
from queries.followups.contexts import PeakContext  # noqa: TC001 - read by pydantic
from queries.followups.evidence import Evidence, Request, evidence, intervention_tables
from queries.followups.evidence_tables import EFFECTS
from queries.followups.interventions import FeatureRef, Intervention
from queries.followups.preflight import preflight, preflight_table
from queries.followups.promotion.rows import (
    PROMOTION,
    LogitWeights,
    Promotion,
    effect_rows,
    kept_tokens,
    promotion_rows,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from queries.followups.engine import Engine
    from queries.followups.lab import Lab

#: Logits of contexts that are held at a time: 64 MiB.
_CELLS = 1 << 24


class PromotionRequest(Request):
    """Of which features to measure the promotion, and in which contexts.

    Attributes
    ----------
    features
        The features.
    contexts
        Key of each feature to its contexts.
    top
        Tokens to keep on either side.
    positions
        Take the feature out at the ``peak`` alone, or wherever it is ``firing`` up to it.
    """

    kind: ClassVar[str] = "promotion"

    features: tuple[FeatureRef, ...]
    contexts: dict[str, tuple[PeakContext, ...]]
    top: int = 10
    positions: Literal["peak", "firing"] = "peak"


def run(lab: Lab, request: PromotionRequest, *, reporter: Reporter | None = None) -> Evidence:
    """Measure which tokens features promote and suppress.

    A context in which the feature does not fire (a window is shorter than the text that it was
    cut from) says nothing about its presence, and is left out and counted in ``flag``.

    Parameters
    ----------
    lab
        The model with its SAEs.
    request
        What to do.
    reporter
        Told how far it is.

    Returns
    -------
    Evidence
        With the tables of the graph ``interventions``, ``on`` and ``effects`` (metric
        ``centred_logit``, a logit less the mean over the vocabulary; ``change`` is with the
        intervention less without, so *negative* for a promoted token), and ``promotion`` with
        the columns of `PROMOTION` and ``preflight``. Intervals are over contexts; q is by
        Benjamini and Hochberg over the vocabulary, a feature by itself.

    Raises
    ------
    ModelError
        The preflight failed.
    CorpusError
        A context is empty, longer than the model reads, or has no such token or position.
    UsageError
        There is no feature or context, or a feature is of no loaded SAE.
    """
    places: Literal["last", "firing"] = "last" if request.positions == "peak" else "firing"
    arms = [(Intervention("ablate", (feature,), positions=places),) for feature in request.features]
    _check(lab, request)
    for arm in arms:
        lab.engine.check(arm)
    prompts = [p for feature in request.features[:2] for p in _prompts(lab, request, feature)]
    checks = preflight(lab.engine, prompts, arms)
    weights = LogitWeights(lab)
    effects, rows, silent = [], [], []
    with (reporter or SilentReporter()).step("promotion (features)", len(arms)) as advance:
        for number, found in enumerate(_measured(lab, request, arms), start=1):
            feature = request.features[number - 1]
            if found.contexts:
                kept = kept_tokens(found, request.top)
                effects += effect_rows(lab, number, found, kept)
                rows += promotion_rows(lab, feature, found, kept, weights.of(feature))
            else:
                silent.append(feature.key)
            advance(number)
    tables = {
        **intervention_tables(arms),
        "effects": pa.Table.from_pylist(effects, schema=EFFECTS),
        "promotion": pa.Table.from_pylist(rows, schema=PROMOTION),
        "preflight": preflight_table(checks),
    }
    some = ", ".join(silent[:5]) + (", ..." if len(silent) > 5 else "")
    note = f"{len(silent)} of {len(arms)} features fire in none of their contexts: {some}"
    return evidence(lab, request, prompts=(), tables=tables, notes=[note] if silent else ())


def _check(lab: Lab, request: PromotionRequest) -> None:
    """Raise where contexts cannot be read."""
    if not request.features or request.top < 1:
        raise UsageError("There is no feature, or no token to keep.", hint="Give features, top=10.")
    vocabulary = int(lab.model.hf_model.config.vocab_size)
    longest = lab.context_size
    for feature in request.features:
        contexts = request.contexts.get(feature.key, ())
        if not contexts:
            raise UsageError(f"{feature.key} has no context.", hint="Leave it out, or give some.")
        for number, context in enumerate(contexts):
            inside = 0 <= context.position < len(context.tokens)
            known = all(0 <= token < vocabulary for token in context.tokens)
            if not inside or not known or (longest and context.position + 2 > longest):
                raise CorpusError(
                    f"Context {number} of {feature.key} cannot be read: its peak is at "
                    f"{context.position} of {len(context.tokens)} tokens of a vocabulary of "
                    f"{vocabulary}; the model reads {longest}.",
                    hint="Give tokens of the model without BOS, and the peak's place among them.",
                )


def _prompts(lab: Lab, request: PromotionRequest, feature: FeatureRef) -> list[tuple[int, ...]]:
    """Tokens of a feature's contexts up to the peak: attention sees nothing after it."""
    bos = lab.model.bos_token_id
    return [(bos, *one.tokens[: one.position + 1]) for one in request.contexts[feature.key]]


def _measured(
    lab: Lab, request: PromotionRequest, arms: Sequence[tuple[Intervention, ...]]
) -> Iterator[Promotion]:
    """Yield what taking each feature out did, some features' contexts at a time."""
    room = max(1, _CELLS // int(lab.model.hf_model.config.vocab_size))
    prompts = [_prompts(lab, request, feature) for feature in request.features]
    first = 0
    while first < len(arms):
        last, used = first + 1, len(prompts[first])
        while last < len(arms) and used + len(prompts[last]) <= room:
            used, last = used + len(prompts[last]), last + 1
        yield from _together(lab.engine, prompts[first:last], arms[first:last])
        first = last


def _together(
    engine: Engine,
    prompts: Sequence[Sequence[tuple[int, ...]]],
    arms: Sequence[tuple[Intervention, ...]],
) -> Iterator[Promotion]:
    numbers = {
        prompt: k for k, prompt in enumerate(dict.fromkeys(p for some in prompts for p in some))
    }
    prepared = engine.prepare([*numbers])
    jobs = [(numbers[p], arm) for some, arm in zip(prompts, arms, strict=True) for p in some]
    owner = [number for number, some in enumerate(prompts) for _ in some]
    found: dict[int, torch.Tensor] = {}
    for outcome in engine.run(prepared, jobs):
        if outcome.changed:
            found.update(zip(outcome.jobs, outcome.logits, strict=True))
    for number, some in enumerate(prompts):
        fired = [job for job, of in enumerate(owner) if of == number and job in found]
        clean = prepared.logits[[jobs[job][0] for job in fired]]
        ablated = torch.stack([found[job] for job in fired]) if fired else clean
        yield Promotion.of(clean, ablated, len(some))
