"""Measures outcomes of the engine on prompts with their targets and foils."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ingest.attribution.metrics import Targets
from queries.followups.metrics import MEASURES, check_metrics, check_prompts, perplexity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from queries.followups.engine import Outcome, Prepared
    from queries.followups.lab import TaskPrompt

    Floats = NDArray[np.float64]


class Measures:
    """Metrics of outcomes, and what of the logits they read.

    Parameters
    ----------
    prompts
        The prompts.
    metrics
        Names out of `queries.followups.metrics.METRICS`.
    device
        The model's.

    Attributes
    ----------
    reads
        Positions of each prompt whose logits are wanted, the last one last.

    Raises
    ------
    UsageError
        A metric does not exist, or a prompt lacks the target or foils that one is of.
    """

    def __init__(
        self, prompts: Sequence[TaskPrompt], metrics: Sequence[str], *, device: torch.device
    ) -> None:
        check_metrics(metrics)
        check_prompts(metrics, prompts)
        self.prompts, self.metrics, self.device = prompts, metrics, device
        whole = "perplexity" in metrics
        self.reads = [range(0 if whole else len(p.tokens) - 1, len(p.tokens)) for p in prompts]

    def __call__(
        self, prepared: Prepared, outcome: Outcome, numbers: Sequence[int]
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Metrics ``[jobs, metrics]``, NaN where logits are not finite, and whether they are.

        Parameters
        ----------
        prepared
            The prompts after their clean pass, with `reads`.
        outcome
            Logits of some jobs.
        numbers
            The prompt of each of its jobs.
        """
        clean = prepared.logits[outcome.clean.to(self.device)]
        return self._of(outcome.logits, clean, numbers)

    def baseline(self, prepared: Prepared) -> Floats:
        """Metrics ``[prompts, metrics]`` without an intervention."""
        return self._of(prepared.logits, prepared.logits, range(len(self.prompts)))[0]

    def _of(
        self, logits: torch.Tensor, clean: torch.Tensor, numbers: Sequence[int]
    ) -> tuple[Floats, NDArray[np.bool_]]:
        sizes = [len(self.reads[number]) for number in numbers]
        last = torch.tensor(sizes, device=self.device).cumsum(0) - 1
        targets = self._targets(numbers)
        whole = len(last) == len(logits)  # each index copies as much as a metric reads
        end, clean_end = (logits, clean) if whole else (logits[last], clean[last])
        columns = [
            MEASURES[name](end, clean_end, targets)
            if name in MEASURES
            else self._perplexity(logits, numbers, sizes)
            for name in self.metrics
        ]
        # What is not finite is the least or the greatest, or makes both NaN.
        ends = torch.stack(torch.aminmax(logits, dim=1))
        rows = torch.split(torch.isfinite(ends).all(dim=0), sizes)
        finite = np.array([bool(row.all()) for row in rows])
        found = torch.stack(columns, dim=1).double().cpu().numpy()
        found[~finite] = np.nan
        return found, finite

    def _perplexity(
        self, logits: torch.Tensor, numbers: Sequence[int], sizes: list[int]
    ) -> torch.Tensor:
        following = [torch.tensor(self.prompts[n].tokens[1:], device=self.device) for n in numbers]
        parts = zip(torch.split(logits, sizes), following, strict=True)
        return torch.stack([perplexity(part[:-1], tokens) for part, tokens in parts])

    def _targets(self, numbers: Sequence[int]) -> Targets:
        some = [self.prompts[number] for number in numbers]
        most = max(1, *(len(prompt.foils) for prompt in some))
        foils = [[*prompt.foils, *[0] * (most - len(prompt.foils))] for prompt in some]
        known = [[k < len(prompt.foils) for k in range(most)] for prompt in some]
        answer = [0 if prompt.target is None else prompt.target for prompt in some]
        return Targets(*(torch.tensor(x, device=self.device) for x in (answer, foils, known)))
