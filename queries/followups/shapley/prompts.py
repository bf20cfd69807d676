"""Explains prompts one by one, by their tokens or by the features that fire in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from atlas.errors import UsageError
from atlas.gradients import metric_gradients
from ingest.attribution.features import feature_attributions
from queries.followups.interventions import FeatureRef
from queries.followups.shapley.features import FeatureGame
from queries.followups.shapley.owen import evaluations_of_pairs, tree_of
from queries.followups.shapley.players import (
    Firing,
    Player,
    absences,
    chosen_players,
    drawn_activations,
    mean_activations,
)
from queries.followups.shapley.scores import SCORES, WITH_GRADIENT, FeatureScore, Score
from queries.followups.shapley.tokens import (
    ActivationOfPrompts,
    MetricOfPrompts,
    TokenGame,
    TokenMasker,
)
from queries.followups.shapley.values import explained, partitioned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from queries.followups.engine import Prepared
    from queries.followups.lab import Lab, TaskPrompt
    from queries.followups.shapley.explain import ShapRequest
    from queries.followups.shapley.games import Values
    from queries.followups.shapley.owen import Tree


@dataclass(frozen=True)
class Found:
    """Values of one prompt, and its players."""

    values: Values
    players: Sequence[Player]


class ByTokens:
    """Explains prompts by their tokens."""

    sae = ""

    def __init__(self, lab: Lab, request: ShapRequest, prompts: Sequence[TaskPrompt]) -> None:
        self.lab, self.request, self.prompts = lab, request, prompts
        self.notes: list[str] = []

    def __call__(self, number: int) -> Found:
        """Explain the prompt of a number."""
        prompt, model = self.prompts[number], self.lab.model
        score = _score(self.lab, self.request, prompt)
        masker, tokens = self._masker(number), prompt.tokens
        if isinstance(score, FeatureScore) and isinstance(score.at, int):
            kept = _token(score.at, prompt) + 1
            masker = self._masker(number, kept + masker.prefix)
            tokens, score = tokens[: kept + 1], replace(score, at="last")
        if self.request.bos and masker.whole != tokens:
            self.notes.append(
                f"{prompt.id}: masking writes white space as single spaces and cuts text before it "
                "is tokenised, so the prompt with all its tokens is not quite as written"
            )
        limit = self.lab.engine.batch_tokens
        worth = (
            ActivationOfPrompts(model, score, batch_tokens=limit)
            if isinstance(score, FeatureScore)
            else MetricOfPrompts(model, masker.whole, score, batch_tokens=limit)
        )
        values = self._values(TokenGame(masker, worth), masker)
        places = [tuple(range(max(k, 0), k + 1)) for k in range(-masker.prefix, len(masker.names))]
        names = zip(masker.names, places, strict=False)
        return Found(values, [Player(name, (), place, np.nan) for name, place in names])

    def _masker(self, number: int, kept: int | None = None) -> TokenMasker:
        """Mask a prompt, or the first tokens of it."""
        text, bos = self.request.prompts[number].prompt, self.request.bos
        masker = TokenMasker(self.lab.model, text, bos=bos)
        if kept is None:
            return masker
        return TokenMasker(self.lab.model, "".join(masker.names[:kept]), bos=bos)

    def _values(self, game: TokenGame, masker: TokenMasker) -> Values:
        request = self.request
        if request.explainer in {"auto", "partition"}:
            needed = evaluations_of_pairs(masker.tree)
            return partitioned(
                game, masker.merges, max_evals=request.max_evals, needed=needed, seed=request.seed
            )
        return explained(
            game,
            len(masker.names),
            explainer=request.explainer,
            max_evals=request.max_evals,
            seed=request.seed,
        )


class ByFeatures:
    """Explains prompts by the features that fire at a hook, alone or by community."""

    def __init__(self, lab: Lab, request: ShapRequest, prompts: Sequence[TaskPrompt]) -> None:
        self.lab, self.request, self.prompts = lab, request, prompts
        self.sae = _player_sae(lab, request)
        self.features = [_index_of(key, self.sae) for key in request.features]
        self.groups = _groups(request, self.sae)
        self.prepared: Prepared = lab.engine.prepare([prompt.tokens for prompt in prompts])
        self.notes: list[str] = []
        self.order = request.order or (
            "gradient" if request.metric in WITH_GRADIENT else "activation"
        )

    def __call__(self, number: int) -> Found:
        """Explain the prompt of a number."""
        request, prompt, prepared = self.request, self.prompts[number], self.prepared
        score = _score(self.lab, request, prompt)
        if isinstance(score, FeatureScore) and isinstance(score.at, int):
            score = replace(score, at=_token(score.at, prompt))
        firing = Firing.of(prepared, number, self.sae)
        players = chosen_players(
            firing,
            weight=self._weight(firing, prompt, score),
            groups=self.groups,
            features=self.features,
            top=request.top,
            rest=request.rest == "player",
        )
        sae, index = self.lab.sae(self.sae), [one for player in players for one in player.features]
        become = self._become(number, index)
        game = FeatureGame(
            self.lab.model,
            prepared,
            number,
            depth=sae.hook.depth,
            absences=absences(sae, prepared, number, key=self.sae, players=players, become=become),
            score=score,
            batch_tokens=self.lab.engine.batch_tokens,
        )
        values = explained(
            game,
            len(players),
            explainer=request.explainer,
            tree=self._tree(players),
            max_evals=request.max_evals,
            seed=request.seed,
        )
        return Found(values, players)

    def _weight(
        self, firing: Firing, prompt: TaskPrompt, score: Score | FeatureScore
    ) -> NDArray[np.float64]:
        """How much each feature that fires matters."""
        if self.order == "activation" or isinstance(score, FeatureScore):
            strongest: NDArray[np.float64] = firing.acts.max(axis=0, initial=0).astype(float)
            return strongest
        sae = self.lab.sae(self.sae)
        found = metric_gradients(
            self.lab.model,
            torch.tensor([prompt.tokens]),
            lengths=torch.tensor([len(prompt.tokens)]),
            hooks=[sae.hook.name],
            metric=lambda logits: score(logits, logits.detach()),
        )
        name = sae.hook.name
        parts = feature_attributions(
            sae, found.streams[name][0, 1:].float(), found.gradients[name][0, 1:].float()
        )
        total = np.zeros(sae.d_sae)
        np.add.at(total, parts.index, parts.value)
        weight: NDArray[np.float64] = total[firing.index]
        return weight

    def _become(self, number: int, index: Sequence[int]) -> NDArray[np.float32]:
        """Activations of the players' features where absent, ``[draws, tokens, features]``."""
        request, tokens = self.request, len(self.prompts[number].tokens) - 1
        if request.baseline == "resample":
            return drawn_activations(
                self.prepared,
                number,
                sae=self.sae,
                index=index,
                draws=request.draws,
                seed=request.seed,
            )
        become = np.zeros((1, tokens, len(index)), np.float32)
        if request.baseline == "mean":
            become += mean_activations(self.prepared, self.sae, index, request.means)
        return become

    def _tree(self, players: Sequence[Player]) -> Tree | None:
        """Hierarchy of the players, where Owen values are wanted."""
        request = self.request
        features = request.players == "features"
        wanted = ("auto", "partition") if features else ("partition",)
        if not request.communities or request.explainer not in wanted or not players:
            return None
        if features:
            return tree_of([request.communities.get(player.name, ()) for player in players])
        above = {_place(path, request.level): path[: _number(path, request.level)]
                 for path in request.communities.values() if path}  # fmt: skip
        return tree_of([above.get(player.name, ()) for player in players])


def check_request(request: ShapRequest) -> None:
    """Raise `UsageError` where a request does not fit together."""
    if request.metric is not None and request.metric not in SCORES:
        raise UsageError(
            f"There is no metric {request.metric!r} to explain.",
            hint=f"One of {', '.join(SCORES)}, or a feature's key.",
        )
    if request.players == "communities" and not request.communities:
        raise UsageError("There are no communities.", hint="Give features and their communities.")
    if request.explainer == "partition" and request.players != "tokens" and not request.communities:
        raise UsageError("'partition' needs communities.", hint="Give them, or another explainer.")
    if request.order == "gradient" and request.metric not in WITH_GRADIENT:
        raise UsageError(
            f"{request.of} has no gradient to order features by.", hint="Use order='activation'."
        )
    for name in ("top", "draws", "max_evals"):
        if getattr(request, name) < 1:
            raise UsageError(f"{name} is {getattr(request, name)}; give at least 1.")


def _score(lab: Lab, request: ShapRequest, prompt: TaskPrompt) -> Score | FeatureScore:
    if request.metric is not None:
        return Score(prompt, request.metric, lab.model.device)
    feature = FeatureRef.parse(request.of)
    sae = lab.sae(feature.sae)
    _index_of(request.of, feature.sae, sae.d_sae)
    return FeatureScore(sae, feature.index, request.at)


def _token(at: int, prompt: TaskPrompt) -> int:
    """Return a token's number, counted from the first after BOS."""
    number = len(prompt.tokens) - 1
    if not -number <= at < number:
        raise UsageError(f"Prompt {prompt.id} has {number} tokens; it has no token {at}.")
    return at % number


def _player_sae(lab: Lab, request: ShapRequest) -> str:
    keys = {FeatureRef.parse(key).sae for key in request.features} or set(lab.saes)
    if request.sae is None and len(keys) != 1:
        raise UsageError(
            "It is not clear whose features the players are.",
            hint=f"Give sae, one of {', '.join(lab.saes) or 'none'}.",
        )
    key = request.sae or keys.pop()
    sae = lab.sae(key)
    for feature in request.features:
        _index_of(feature, key, sae.d_sae)
    return key


def _index_of(key: str, sae: str, width: int | None = None) -> int:
    """Latent of a feature; raises `UsageError` where it is of another SAE, or not in it."""
    feature = FeatureRef.parse(key)
    if feature.sae != sae or (width is not None and feature.index >= width):
        raise UsageError(f"{key} is no feature of {sae}.")
    return feature.index


def _groups(request: ShapRequest, sae: str) -> dict[str, list[int]] | None:
    """Communities that are players, with their features."""
    if request.players == "features":
        return None
    groups: dict[str, list[int]] = {}
    for key, path in request.communities.items():
        feature = FeatureRef.parse(key)
        if feature.sae == sae and path:
            groups.setdefault(_place(path, request.level), []).append(feature.index)
    return groups


def _number(path: tuple[str, ...], level: int) -> int:
    """Place of a level in a path; the nearest where the path has no such."""
    return min(max(level if level >= 0 else len(path) + level, 0), len(path) - 1)


def _place(path: tuple[str, ...], level: int) -> str:
    return path[_number(path, level)]
