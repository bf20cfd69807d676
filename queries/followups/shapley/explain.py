"""Which tokens, features or communities a model's output is due to: SHAP values.

Of every prompt, what a metric of the last token (or a feature's activation) is with all players,
less what it is with none, is divided among the players by Shapley or Owen values. See
`queries.followups.shapley.tokens` and `queries.followups.shapley.features` for what the absence of
a player means, and `queries.followups.shapley.values` for the explainers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from atlas.progress import SilentReporter
from queries.followups.evidence import Evidence, Request, evidence
from queries.followups.evidence_tables import EXPLANATIONS
from queries.followups.lab import PromptText  # noqa: TC001 - pydantic reads it
from queries.followups.metrics import WITHOUT_TARGET
from queries.followups.shapley.prompts import ByFeatures, ByTokens, check_request
from queries.followups.shapley.scores import At  # noqa: TC001 - pydantic reads it
from queries.followups.shapley.values import Explainer  # noqa: TC001 - pydantic reads it

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.progress import Reporter
    from queries.followups.lab import Lab, TaskPrompt
    from queries.followups.shapley.prompts import Found

PLAYERS = pa.schema(
    [
        pa.field("explanation", pa.int64(), nullable=False),
        pa.field("player", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("error", pa.float64()),
        pa.field("activation", pa.float64()),
        pa.field("positions", pa.list_(pa.int64()), nullable=False),
        pa.field("features", pa.list_(pa.string()), nullable=False),
        pa.field("flag", pa.string()),
    ]
)
"""A row a player of an explanation: `error` is the standard error of a sampled value, `positions`
the tokens where it is (0 is the first after BOS), `features` those that it stands for."""


class ShapRequest(Request):
    """What is explained, by which players.

    Attributes
    ----------
    prompts
        The prompts; each is explained by itself.
    players
        ``tokens``; ``features`` that fire at one hook; or their ``communities``.
    of
        A metric of the last token (`queries.followups.shapley.scores.SCORES`), or the key of a
        feature: how strongly it fires.
    at
        Of a feature: where its activation is read, ``max`` or ``sum`` over the tokens, at the
        ``last``, or at the token of a number: 0 is the first after BOS, -1 the last. Where tokens
        are the players, those after it are none: it does not depend on them.
    sae
        Key of the SAE whose features are players; may be left out where one is loaded.
    features
        Keys of features that are to be players, or whose communities are, whether they fire or
        not. By default those that matter most.
    top
        Largest number of players where none are named.
    order
        What matters: activation times ``gradient`` of the metric, summed over the tokens, or the
        largest ``activation``. By default the gradient, where the metric has one.
    rest
        What happens to features that fire and are no players: they ``keep`` their activations, or
        are one more ``player``.
    baseline
        What the activation of an absent feature is, at every token: ``zero``; ``mean``; or
        ``resample``, that at random tokens of the other prompts.
    means
        Of ``mean``: feature keys to mean activations; those missing are taken over the tokens of
        the prompts.
    draws
        Of ``resample``: how many are averaged.
    communities
        Feature keys to the communities that they are in, from the widest to the narrowest. With
        ``players='features'`` they are the hierarchy of Owen values.
    level
        Of ``players='communities'``: which of the communities of a feature is the player, counted
        from 0, the widest, or back from -1, the narrowest. Wider ones are the hierarchy of
        ``explainer='partition'``.
    explainer
        See `queries.followups.shapley.values.explained`; for tokens ``auto`` is ``partition``,
        over shap's hierarchy of text.
    max_evals
        Most coalitions of a prompt.
    seed
        Of all that is drawn.
    bos
        For tokens: whether BOS is put before every prompt, as everywhere in the atlas. Without,
        values are those of ``shap.Explainer(model, tokenizer)``.
    """

    kind: ClassVar[str] = "shap"

    prompts: tuple[PromptText, ...]
    players: Literal["tokens", "features", "communities"] = "tokens"
    of: str = "logit"
    at: At = "max"
    sae: str | None = None
    features: tuple[str, ...] = ()
    top: int = 10
    order: Literal["gradient", "activation"] | None = None
    rest: Literal["keep", "player"] = "keep"
    baseline: Literal["zero", "mean", "resample"] = "zero"
    means: dict[str, float] = Field(default_factory=dict)
    draws: int = 4
    communities: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    level: int = -1
    explainer: Explainer = "auto"
    max_evals: int = 500
    seed: int = 0
    bos: bool = True

    @property
    def metric(self) -> str | None:
        """The metric that is explained; None where a feature is."""
        return self.of if "/" not in self.of else None


def run(lab: Lab, request: ShapRequest, *, reporter: Reporter | None = None) -> Evidence:
    """Explain prompts.

    Parameters
    ----------
    lab
        The model and its SAEs.
    request
        What to explain, and by whom.
    reporter
        Gets the progress.

    Returns
    -------
    Evidence
        With the table ``explanations`` of the graph, a row a prompt, and ``players``, see
        `PLAYERS`.

    Raises
    ------
    UsageError
        The request does not fit together, or its budget is too small.
    NotFoundError
        An SAE is not loaded.
    CorpusError
        A prompt cannot be used.
    ModelError
        An outcome is not finite, or values do not add up.
    """
    check_request(request)
    prompts, notes = lab.prompts(request.prompts, needs_foils=request.of == "logit_diff")
    explain = ByTokens if request.players == "tokens" else ByFeatures
    work = explain(lab, request, prompts)
    found = []
    with (reporter or SilentReporter()).step("SHAP values", len(prompts)) as advance:
        for number in range(len(prompts)):
            found.append(work(number))
            advance(number + 1)
    tables = {
        "explanations": _explanations(lab, request, prompts, found),
        "players": _players(found, work.sae),
    }
    notes += [*work.notes, *_notes(prompts, found)]
    return evidence(lab, request, prompts=request.prompts, tables=tables, notes=notes)


def _explanations(
    lab: Lab, request: ShapRequest, prompts: Sequence[TaskPrompt], found: Sequence[Found]
) -> pa.Table:
    scored = request.metric is not None and request.metric not in WITHOUT_TARGET
    rows = [
        {
            "number": number,
            "method": one.values.method,
            "players": request.players,
            "metric": request.metric or f"activation_{request.at}",
            "target": lab.text(prompt.target) if scored and prompt.target is not None else None,
            "feature": None if request.metric else request.of,
            "prompt": prompt.id,
            "base": one.values.base,
            "value": one.values.full,
            "names": [player.name for player in one.players],
            "values": one.values.values.tolist(),
        }
        for number, (prompt, one) in enumerate(zip(prompts, found, strict=True), start=1)
    ]
    return pa.Table.from_pylist(rows, schema=EXPLANATIONS)


def _players(found: Sequence[Found], sae: str) -> pa.Table:
    rows = []
    for number, one in enumerate(found, start=1):
        errors = one.values.errors
        for place, player in enumerate(one.players):
            rows.append(
                {
                    "explanation": number,
                    "player": player.name,
                    "value": float(one.values.values[place]),
                    "error": None if errors is None else float(errors[place]),
                    "activation": None if np.isnan(player.activation) else player.activation,
                    "positions": list(player.positions),
                    "features": [f"{sae}/{index}" for index in player.features],
                    "flag": player.flag,
                }
            )
    return pa.Table.from_pylist(rows, schema=PLAYERS)


def _notes(prompts: Sequence[TaskPrompt], found: Sequence[Found]) -> list[str]:
    notes = []
    for prompt, one in zip(prompts, found, strict=True):
        silent = [player.name for player in one.players if player.flag]
        if not one.players:
            notes.append(f"{prompt.id}: no feature is a player, so there is nothing to divide")
        if silent:
            notes.append(f"{prompt.id}: {', '.join(silent[:5])} never fire in the prompt")
        if one.values.coarse:
            notes.append(
                f"{prompt.id}: the budget ended before all groups were opened; players of a "
                "closed group share its value equally"
            )
        elif one.values.errors is None and one.values.method.endswith(("permutation", "kernel")):
            notes.append(f"{prompt.id}: one permutation only, so no standard errors")
    return notes
