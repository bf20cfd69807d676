"""Draws tokens, with the same luck for every arm.

A token is drawn as the largest of logit / temperature + Gumbel noise, which is a draw from the
softmax. A prompt's sample has the same noise in every arm, so texts part only where the
intervention makes them, and at strength 0 they do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Sequence

    #: Seeds a sample's noise.
    Luck = tuple[int, int, int]


class GenerationSettings(BaseModel):
    """How the model writes on.

    Attributes
    ----------
    max_new_tokens
        Tokens to write; fewer where the model ends the text.
    temperature
        Divides the logits; 0 takes the likeliest token each time.
    top_p
        Tokens are drawn from the fewest likeliest whose probability is at least this.
    n
        Texts of each prompt.
    seed
        Of the noise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_new_tokens: Annotated[int, Field(ge=1)] = 24
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.8
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    n: Annotated[int, Field(ge=1)] = 1
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _differ(self) -> GenerationSettings:
        if self.n > 1 and self.temperature == 0:
            raise ValueError("texts at temperature 0 are all the same: give n=1")
        return self


class Draw:
    """Draws a token for each row; rows with the same luck have the same noise.

    Parameters
    ----------
    settings
        How.
    lucks
        Luck of each row.

    Attributes
    ----------
    last
        What was drawn last.
    """

    def __init__(self, settings: GenerationSettings, lucks: Sequence[Luck]) -> None:
        self.settings = settings
        self.sources = {luck: np.random.default_rng(luck) for luck in lucks}
        self.source = [list(self.sources).index(luck) for luck in lucks]
        self.last: list[int] = []

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Tokens int64 ``[rows]`` for logits ``[rows, vocabulary]``."""
        scores = torch.nan_to_num(logits)
        if self.settings.temperature > 0:
            scores = _nucleus(scores / self.settings.temperature, self.settings.top_p)
            scores = scores + self._noise(logits.shape[1]).to(scores.device)
        chosen = scores.argmax(dim=1)
        self.last = chosen.tolist()
        return chosen

    def _noise(self, vocabulary: int) -> torch.Tensor:
        draws = [one.standard_exponential(vocabulary) for one in self.sources.values()]
        noise = -np.log(np.stack(draws))
        return torch.from_numpy(noise).float()[self.source]


def _nucleus(scores: torch.Tensor, share: float) -> torch.Tensor:
    """Put minus infinity where a token is not among the fewest that make up `share`."""
    if share == 1:
        return scores
    ordered, index = scores.softmax(dim=1).sort(dim=1, descending=True)
    before = ordered.cumsum(dim=1) - ordered
    outside = torch.zeros_like(before, dtype=torch.bool).scatter(1, index, before >= share)
    return scores.masked_fill(outside, -torch.inf)
