"""How long a study of a concept will take, from a few timed passes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from atlas.progress import SilentReporter
from queries.studies.concept.filtering import asked, next_tokens, token_shap
from queries.studies.concept.setting import Setting
from queries.studies.inference import contrast

if TYPE_CHECKING:
    from queries.followups.lab import Lab
    from queries.studies.concept.request import ConceptRequest

#: Prompts, permutations and features that are tried.
PROMPTS, PERMUTATIONS, FEATURES = 8, 99, 200
#: Share of an SAE's latents that fire in enough short prompts to be tested.
TESTED = 0.1
#: Seconds of maps and small things, an SAE.
MAPS = 15.0


def estimate(lab: Lab, request: ConceptRequest) -> list[dict[str, Any]]:
    """Time some passes and say how long each step will take on this machine.

    How many features will be confirmed is not known, so that it is reckoned with as many as the
    request would intervene on.

    Returns
    -------
    list of dict
        `step`, `passes` through the model (or a part of it) and `seconds`.
    """
    return _Reckoning(Setting.of(lab, request)).rows()


@dataclass(frozen=True)
class _Reckoning:
    setting: Setting

    def rows(self) -> list[dict[str, Any]]:
        setting = self.setting
        request, saes = setting.request, len(setting.request.saes)
        prompts, causes = len(setting.prompts), setting.request.causes
        held = [len(setting.held_out(concept=one, most=causes.prompts)) for one in (True, False)]
        sets = saes * (1 + causes.alone) + (saes > 1)
        arms = sets * (1 + causes.controls)
        steered = arms * (held[0] + held[1] * len(causes.strengths))
        pairs = int((~setting.train[setting.pairs[:, 0]]).sum()) if len(setting.pairs) else 0
        patched = min(pairs, causes.pairs) * (saes * (3 + causes.features) + sets)
        coalitions = saes * min(causes.shap, held[0]) * max(causes.max_evals, 4 * causes.features)
        watched = 2 * min(causes.attention, held[0])
        explained = asked(setting)
        rest = self.rest * self.seconds
        return [
            _row("next tokens and activations", 2 * prompts, 2 * prompts * self.seconds),
            _row("SHAP values of tokens", len(explained) * request.shap.max_evals,
                 len(explained) * self.explaining),
            _row("contrast of features", 0, self.contrasting),
            _row("logit weights", 0, self.weights),
            _row("groups and maps", 0, MAPS * saes),
            _row("patching", patched, patched * rest),
            _row("attention", watched, 3 * watched * self.seconds),
            _row("SHAP values of features", coalitions, coalitions * rest),
            _row("steering", steered, steered * rest),
        ]  # fmt: skip

    @cached_property
    def seconds(self) -> float:
        """Seconds of a whole pass of a prompt among others."""
        setting = self.setting
        some = setting.prompts[:: max(1, len(setting.prompts) // PROMPTS)][:PROMPTS]
        tokens = [list(prompt.tokens) for prompt in some]
        engine = setting.lab.engine
        engine.prepare(tokens)  # the first pass is slower than all others
        begun = perf_counter()
        engine.prepare(tokens)
        return (perf_counter() - begun) / len(tokens)

    @cached_property
    def rest(self) -> float:
        """Share of a pass that lies behind an SAE's hook, mean over the SAEs."""
        layers = self.setting.lab.model.n_layers
        depths = [self.setting.lab.sae(key).hook.depth for key in self.setting.request.saes]
        return 1 - float(np.mean(depths)) / layers

    @cached_property
    def explaining(self) -> float:
        """Seconds of one prompt's SHAP values, from a prompt of the middle length."""
        numbers = sorted(asked(self.setting), key=lambda k: len(self.setting.prompts[k].tokens))
        if not numbers:
            return 0.0
        table = next_tokens(self.setting)["next"]
        some = numbers[len(numbers) // 2 :][:1]
        begun = perf_counter()
        token_shap(self.setting, some, table, reporter=SilentReporter())
        return perf_counter() - begun

    @cached_property
    def contrasting(self) -> float:
        """Seconds of the contrasts, in proportion to a small one of numbers drawn at random."""
        setting, rng = self.setting, np.random.default_rng(0)
        n = int((setting.train & setting.concept).sum())
        request = setting.request
        begun = perf_counter()
        contrast(
            rng.normal(size=(n, FEATURES)), rng.normal(size=(n, FEATURES)), pairs=True,
            permutations=PERMUTATIONS, limit=PERMUTATIONS, resamples=PERMUTATIONS, seed=0,
        )  # fmt: skip
        spent = perf_counter() - begun
        features = TESTED * sum(setting.lab.sae(key).d_sae for key in request.saes)
        draws = (request.permutations + request.resamples) / (2 * PERMUTATIONS)
        # Both halves, with and without the filter.
        return 4 * spent * draws * features / FEATURES

    @cached_property
    def weights(self) -> float:
        """Seconds of the products of all decoder directions with the unembedding, twice."""
        lab = self.setting.lab
        rows = torch.zeros(256, lab.model.d_model)
        unembedding = lab.model.unembedding()
        begun = perf_counter()
        rows @ unembedding
        spent = perf_counter() - begun
        # Moments take as long again as the product.
        return sum(4 * spent * lab.sae(key).d_sae / 256 for key in self.setting.request.saes)


def _row(step: str, passes: int, seconds: float) -> dict[str, Any]:
    return {"step": step, "passes": passes, "seconds": seconds}
