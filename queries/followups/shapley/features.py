"""The game in which features at one hook are the players.

The stream at the hook is that of the whole prompt, plus what the absence of each absent player
changes. Coalitions run from the hook on, in batches, from the first position that any of a batch
changes, and see the last block's MLP and the unembedding at the last token alone.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING

import numpy as np
import torch

from atlas.errors import UsageError
from atlas.hooks import StopForwardError
from atlas.resume import resumed_pass
from atlas.shortcuts import only_at
from queries.followups.packing import Row, packed
from queries.followups.shapley.scores import FeatureScore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from atlas.lm import LanguageModel
    from atlas.resume import Edit
    from queries.followups.engine import Prepared
    from queries.followups.shapley.scores import Score

    Floats = NDArray[np.float64]

#: Largest number of logits of a pass: 64 MiB of float32.
LOGITS = 1 << 24


class FeatureGame:
    """What a prompt is worth where some features are absent.

    Parameters
    ----------
    model
        The language model.
    prepared
        Prompts after their clean pass, whose last token is read.
    prompt
        Number of the prompt.
    depth
        Depth of the hook.
    absences
        float32 ``[draws, players, positions, d_model]``, see `absences` of `players`.
    score
        A metric of the last token, or a feature at a deeper hook.
    batch_tokens
        Most padded tokens of a pass.
    """

    def __init__(
        self,
        model: LanguageModel,
        prepared: Prepared,
        prompt: int,
        *,
        depth: int,
        absences: torch.Tensor,
        score: Score | FeatureScore,
        batch_tokens: int = 4096,
    ) -> None:
        if isinstance(score, FeatureScore) and score.sae.hook.depth <= depth:
            raise UsageError(
                f"A feature at {score.sae.hook.name} does not depend on features at depth {depth}.",
                hint="Explain a feature at a deeper hook.",
            )
        self.model, self.prepared, self.prompt, self.depth = model, prepared, prompt, depth
        self.absences, self.score, self.batch_tokens = absences, score, batch_tokens
        self.length = int(prepared.lengths[prompt])
        self.stream = prepared.clean.streams[depth][prompt, : self.length].float()
        self.clean = prepared.logits[prepared.rows_read(prompt)][-1:]
        changes = (absences != 0).any(dim=3).cpu().numpy()
        none = np.full(changes.shape[:2], self.length)
        self.starts = np.where(changes.any(axis=2), changes.argmax(axis=2), none)

    def __call__(self, masks: NDArray[np.bool_]) -> Floats:
        """Return what coalitions ``[coalitions, players]`` are worth, over draws on average."""
        draws = len(self.absences)
        jobs = [(draw, mask) for mask in ~masks for draw in range(draws)]
        rows = [self._row(number, *job) for number, job in enumerate(jobs)]
        found = np.empty(len(jobs))
        found[[row.job for row in rows if row.start is None]] = self._whole()
        for batch in packed([row for row in rows if row.start is not None], self.batch_tokens):
            for some in self._few(batch):
                numbers = [row.job for row in some]
                found[numbers] = self._run([jobs[k] for k in numbers], self._first(some))
        means: Floats = found.reshape(-1, draws).mean(axis=1)
        return means

    def _row(self, number: int, draw: int, absent: NDArray[np.bool_]) -> Row:
        first = int(self.starts[draw][absent].min(initial=self.length))
        start = None if first == self.length else first
        return Row(number, self.prompt, self.length, self.depth, start, {})

    def _few(self, batch: list[Row]) -> list[list[Row]]:
        """Divide a batch so that its logits stay in bounds."""
        size = max(1, LOGITS // self.clean.shape[1])
        return [batch[first : first + size] for first in range(0, len(batch), size)]

    @staticmethod
    def _first(rows: Sequence[Row]) -> int:
        return min(row.start or 0 for row in rows)

    def _whole(self) -> float:
        """Worth of all players."""
        if isinstance(self.score, FeatureScore):
            acts = self._clean_activations(self.score)
            return float(self.score.of(acts, [self.length], 1)[0])
        return float(self.score(self.clean, self.clean)[0])

    def _clean_activations(self, score: FeatureScore) -> Floats:
        stream = self.prepared.clean.streams[score.sae.hook.depth]
        return score.activations(stream[self.prompt : self.prompt + 1, : self.length])

    @torch.inference_mode()
    def _run(self, jobs: Sequence[tuple[int, NDArray[np.bool_]]], start: int) -> Floats:
        stream = self.stream[start:].expand(len(jobs), -1, -1).clone()
        for draw in range(len(self.absences)):
            mine = [k for k, job in enumerate(jobs) if job[0] == draw]
            if mine:
                absent = torch.from_numpy(np.array([jobs[k][1] for k in mine])).to(stream)
                change = self.absences[draw][:, start:].flatten(1)
                stream[mine] += (absent @ change).view(len(mine), *stream.shape[1:])
        if isinstance(self.score, FeatureScore):
            return self._activations(stream, start, self.score)
        at = [(row, self.length - 1) for row in range(len(jobs))]
        with self._last_block(len(jobs), start):
            logits = self._pass(stream, start, at)
        return self.score(logits, self.clean).double().cpu().numpy()

    def _last_block(self, rows: int, start: int) -> AbstractContextManager[None]:
        """Spare the last block what the last token's logits do not need."""
        blocks = self.model.blocks
        if self.depth == len(blocks):
            return nullcontext()
        row = torch.arange(rows, device=self.model.device)
        return only_at(blocks[-1], row, torch.full_like(row, self.length - 1 - start))

    def _activations(self, stream: torch.Tensor, start: int, score: FeatureScore) -> Floats:
        """Score a feature deeper down; what comes before `start` is the whole prompt's."""
        kept: list[torch.Tensor] = []

        def keep(arriving: torch.Tensor) -> torch.Tensor:
            kept.append(arriving)
            raise StopForwardError

        with suppress(StopForwardError):
            self._pass(stream, start, [(0, self.length - 1)], {score.sae.hook.depth: keep})
        before = np.repeat(self._clean_activations(score)[:, :start], len(stream), axis=0)
        acts = np.concatenate([before, score.activations(kept[0])], axis=1)
        return score.of(acts, [self.length] * len(stream), 1)

    def _pass(
        self,
        stream: torch.Tensor,
        start: int,
        at: Sequence[tuple[int, int]],
        edits: Mapping[int, Edit] | None = None,
    ) -> torch.Tensor:
        rows = torch.full((len(stream),), self.prompt)
        return resumed_pass(
            self.model,
            self.prepared.clean,
            rows,
            stream=stream,
            depth=self.depth,
            start=start,
            edits=edits,
            at=at,
        )
