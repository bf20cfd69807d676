"""What a game is worth: a metric of the last token, or how strongly a feature fires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from atlas.errors import UsageError
from ingest.attribution.metrics import Targets
from queries.followups.metrics import MEASURES, WITHOUT_TARGET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from atlas.saes import LoadedSae
    from queries.followups.lab import TaskPrompt

    Floats = NDArray[np.float64]

#: Where a feature's activation is read.
At = Literal["max", "sum", "last"] | int


def log_odds(logits: torch.Tensor, _clean: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Log odds of the target, log p - log(1 - p): what shap explains language models by."""
    answer = targets.answer[:, None]
    others = logits.scatter(1, answer, -torch.inf)
    return logits.gather(1, answer)[:, 0] - others.logsumexp(dim=1)


#: Metrics that can be explained. Perplexity is not among them: it is of all tokens, and those
#: are other ones where players are tokens.
SCORES = {**MEASURES, "log_odds": log_odds}
#: Those whose gradient tells how much a feature matters: `rank` has none, that of `kl` is 0.
WITH_GRADIENT = ("logit", "probability", "logit_diff", "entropy_top10", "log_odds")


class Score:
    """A metric of one prompt.

    Parameters
    ----------
    prompt
        The prompt.
    metric
        Name out of `SCORES`.
    device
        Where logits are.

    Raises
    ------
    UsageError
        There is no such metric, or the prompt lacks its target or foils.
    """

    def __init__(self, prompt: TaskPrompt, metric: str, device: torch.device) -> None:
        if metric not in SCORES:
            raise UsageError(
                f"There is no metric {metric!r} to explain.",
                hint=f"One of {', '.join(SCORES)}, or a feature's key.",
            )
        if metric not in WITHOUT_TARGET and prompt.target is None:
            raise UsageError(f"Prompt {prompt.id} has no target, which {metric} is of.")
        if metric == "logit_diff" and not prompt.foils:
            raise UsageError(f"Prompt {prompt.id} has no foil to compare its target with.")
        self.measure = SCORES[metric]
        self.answer = torch.tensor([prompt.target or 0], device=device)
        self.foils = torch.tensor([prompt.foils or (0,)], device=device)

    def __call__(self, logits: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Return the metric ``[rows]`` of logits ``[rows, vocabulary]``.

        Parameters
        ----------
        logits
            float32.
        clean
            ``[1, vocabulary]``, with all players.
        """
        rows = len(logits)
        foils = self.foils.expand(rows, -1)
        targets = Targets(self.answer.expand(rows), foils, torch.ones_like(foils, dtype=torch.bool))
        return self.measure(logits, clean.expand_as(logits), targets)


@dataclass(frozen=True)
class FeatureScore:
    """How strongly a feature fires in a prompt.

    Attributes
    ----------
    sae
        Its SAE.
    index
        Its latent.
    at
        ``max`` or ``sum`` over the tokens after BOS, at the ``last``, or at the token of a
        number: 0 is the first after BOS, -1 the last.
    """

    sae: LoadedSae
    index: int
    at: At

    def activations(self, stream: torch.Tensor) -> Floats:
        """Activations ``[rows, positions]`` in streams ``[rows, positions, d_model]``."""
        rows, positions, width = stream.shape
        row, index, value = (part.numpy() for part in self.sae.codes(stream.reshape(-1, width)))
        found = np.zeros(rows * positions)
        mine = index == self.index
        found[row[mine]] = value[mine]
        return found.reshape(rows, positions)

    def of(self, activations: Floats, ends: Sequence[int], first: int) -> Floats:
        """Return the score ``[rows]`` of activations ``[rows, positions]``.

        Parameters
        ----------
        activations
            At all positions, BOS included.
        ends
            Number of positions of each row.
        first
            Position of the first token that counts.
        """
        place = np.arange(activations.shape[1])
        last = np.asarray(ends)[:, None] - 1
        counts = (place >= first) & (place <= last)
        if self.at == "last" or isinstance(self.at, int):
            at = -1 if self.at == "last" else self.at
            counts &= place == (last + 1 + at if at < 0 else first + at)
        some = np.where(counts, activations, 0.0)
        found: Floats = some.max(axis=1) if self.at == "max" else some.sum(axis=1)
        return found
