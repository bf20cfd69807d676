"""What hypotheses are tested on: what was steered, how, and what it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from queries.studies.network.steer import ABLATION, Setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from queries.studies.network.choose import Steered
    from queries.studies.network.outcomes import Outcomes
    from queries.studies.network.request import NetworkRequest

    Floats = NDArray[np.float64]

OUTCOME = "logit_diff"
"""The metric that verdicts are of, where there are foils; else the logit."""


class Draws(TypedDict):
    """Keywords that every test takes."""

    permutations: int
    resamples: int
    seed: int


@dataclass(frozen=True)
class Trials:
    """All that hypotheses are tested on.

    Attributes
    ----------
    request
        Factors, permutations, resamples, seed and false-discovery rate.
    units
        What was steered.
    outcomes
        What it did.
    """

    request: NetworkRequest
    units: Sequence[Steered]
    outcomes: Outcomes

    @property
    def outcome(self) -> str:
        """The metric that verdicts are of."""
        return OUTCOME if OUTCOME in self.outcomes.metrics else "logit"

    @property
    def draws(self) -> Draws:
        """Keywords of every test."""
        request = self.request
        return {"permutations": request.permutations, "resamples": request.resamples,
                "seed": request.seed}  # fmt: skip

    def settings(self, *, sets: bool) -> list[Setting]:
        """Return the ways that single features or sets are tested in, the verdict's first."""
        request, (unit, *others) = self.request, self.request.units
        hows = request.normalise if sets else ("none",)
        rest = [factor for factor in request.tested_factors if factor != request.factor]
        found = [Setting(unit, how, factor) for how in hows for factor in (request.factor, *rest)]
        shared = [f for f in request.tested_factors if f in request.other_factors]
        found += [Setting(other, how, f) for other in others for how in hows for f in shared]
        return found + [Setting(ABLATION, "none", 1.0)] * (request.ablate and not sets)

    def changes(self, names: Sequence[str], setting: Setting, metric: str) -> Floats:
        """Return changes float64 ``[names, prompts]``; NaN where logits were not finite."""
        return self.outcomes.change(names, setting, metric=metric)

    def pairs(self, kind: str) -> list[tuple[Steered, Steered]]:
        """Return units of a kind with the control of each that has one."""
        control = {one.matched: one for one in self.units if one.matched is not None}
        return [(one, control[one.name]) for one in self.units
                if one.kind == kind and one.name in control]  # fmt: skip
