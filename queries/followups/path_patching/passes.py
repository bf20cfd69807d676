"""Passes of path patching; see `patch_paths` for what they measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from atlas.resume import resumed_pass
from queries.followups.codes import Codes, directions, unit_scale
from queries.followups.packing import packed
from queries.followups.patching.pairs import measured
from queries.followups.patching.patches import PatchJob

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from queries.followups.packing import Row
    from queries.followups.patching.pairs import Pairs
    from queries.followups.patching.patcher import Patcher
    from queries.followups.patching.patches import Patch

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float32]

#: What is measured of a path, in the order of `PathResults.values`.
WAYS = ("total", "through", "rest")


@dataclass(frozen=True)
class Path:
    """A sender and its receivers.

    Attributes
    ----------
    sae, sender
        Key of the sender's SAE, and its index.
    patch
        What is done to the sender.
    deeper, receivers
        Key of the receivers' SAE, and their indices.
    """

    sae: str
    sender: int
    patch: Patch
    deeper: str
    receivers: tuple[int, ...]


@dataclass(frozen=True)
class PathResults:
    """What was measured of paths; NaN where a sender is silent.

    Attributes
    ----------
    values
        float64 ``[paths, pairs, 3, metrics]``, in the order of `WAYS`.
    receivers
        For each path float64 ``[pairs, receivers, 3]``: mean activation at the positions where
        the sender fires, without and less than with the change, and the change summed over all
        positions.
    """

    values: NDArray[np.float64]
    receivers: tuple[NDArray[np.float64], ...]


@dataclass(frozen=True)
class PathPasses:
    """Runs paths.

    Attributes
    ----------
    patcher
        The pairs after their clean pass.
    pairs
        The pairs; without corrupt prompts, senders are ablated.
    paths
        The paths.
    metrics
        Names of metrics of the last token.
    """

    patcher: Patcher
    pairs: Pairs
    paths: Sequence[Path]
    metrics: Sequence[str]

    def results(self, advance: Callable[[float], None]) -> PathResults:
        """Run all paths in all prompts; a batch shares both hooks."""
        n = len(self.pairs)
        found = PathResults(
            np.full((len(self.paths), n, len(WAYS), len(self.metrics)), np.nan),
            tuple(np.full((n, len(path.receivers), 3), np.nan) for path in self.paths),
        )
        groups: dict[tuple[str, str], list[int]] = {}
        for number, path in enumerate(self.paths):
            groups.setdefault((path.sae, path.deeper), []).append(number)
        for done, some in enumerate(groups.values(), start=1):
            at = [(path, pair) for path in some for pair in range(n)]
            self._group(at, found)
            advance(done)
        return found

    def _group(self, at: Sequence[tuple[int, int]], found: PathResults) -> None:
        ablate = not self.pairs.corrupt
        jobs = [
            PatchJob(
                self.pairs.base(pair),
                None if ablate else self.pairs.source(pair),
                self.paths[path].patch,
            )
            for path, pair in at
        ]
        self.patcher.collect(jobs)
        wheres = [self.patcher.differing(job) for job in jobs]
        rows = [self.patcher.row(n, job, wheres[n]) for n, job in enumerate(jobs)]
        live = [row for row in rows if row.start is not None]
        for batch in packed(live, self.patcher.engine.batch_tokens):
            ends = [at[row.job] for row in batch]
            some = [(jobs[row.job], wheres[row.job]) for row in batch]
            _Batch(self, batch, some, ends).measure(found)


@dataclass(frozen=True)
class _Batch:
    """Rows that share the sender's and the receivers' SAE."""

    passes: PathPasses
    rows: Sequence[Row]
    jobs: Sequence[tuple[PatchJob, Bools]]
    ends: Sequence[tuple[int, int]]

    @property
    def start(self) -> int:
        return min(row.start or 0 for row in self.rows)

    @torch.inference_mode()
    def measure(self, found: PathResults) -> None:
        """Put what is measured into `found`."""
        patcher = self.passes.patcher
        path = self.passes.paths[self.ends[0][0]]
        deep = patcher.engine.saes[path.deeper].hook.depth
        total, stream = self._total(deep)
        before = self._base(deep)
        moved = self._moved(stream, path.deeper)
        shift = torch.stack([self._directed(m, k) for k, m in enumerate(moved)])
        sae = patcher.engine.saes[path.deeper]
        sizes = [unit_scale(sae, x) for x in (before, stream)]
        plus, minus = (shift if size is None else shift * size for size in sizes)
        parts = [total, self._resume(before + plus, deep), self._resume(stream - minus, deep)]
        pairs, clean = self.passes.pairs, patcher.prepared.logits
        rows = [pair for _, pair in self.ends]
        prompts = [pairs.clean[pair] for pair in rows]
        for way, logits in enumerate(parts):
            values = measured(logits, clean[rows], prompts=prompts, metrics=self.passes.metrics)
            for (number, pair), value in zip(self.ends, values, strict=True):
                found.values[number, pair, way] = value
        for k, (number, pair) in enumerate(self.ends):
            found.receivers[number][pair] = self._receivers(k, moved[k])

    def _base(self, depth: int) -> torch.Tensor:
        """Streams of the base prompts at a depth."""
        patcher, end = self.passes.patcher, max(row.length for row in self.rows)
        prompts = [row.prompt for row in self.rows]
        return patcher.prepared.clean.streams[depth][prompts, self.start : end].float()

    def _total(self, deep: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Change the senders; return logits, and the streams that arrive at the deeper hook."""
        held: list[torch.Tensor] = []

        def keep(stream: torch.Tensor) -> torch.Tensor:
            held.append(stream.float())
            return stream

        depth = self.rows[0].depth
        base = self._base(depth)
        span = slice(self.start, self.start + base.shape[1])
        some = [(job, where[span]) for job, where in self.jobs]
        stream = self.passes.patcher.patched(base, some, depth=depth, start=self.start, clean=True)
        logits = self._resume(stream, depth, edits={deep: keep})
        return logits, held[0]

    def _resume(
        self,
        stream: torch.Tensor,
        depth: int,
        edits: dict[int, Callable[[torch.Tensor], torch.Tensor]] | None = None,
    ) -> torch.Tensor:
        patcher = self.passes.patcher
        return resumed_pass(
            patcher.engine.model,
            patcher.prepared.clean,
            torch.tensor([row.prompt for row in self.rows]),
            stream=stream,
            depth=depth,
            start=self.start,
            edits=edits,
            at=[(k, row.length - 1) for k, row in enumerate(self.rows)],
        )

    def _moved(self, stream: torch.Tensor, deeper: str) -> list[Floats]:
        """Change of each row's receivers, ``[positions, receivers]``."""
        patcher, found = self.passes.patcher, []
        codes = Codes.of(patcher.engine.saes[deeper], stream)
        for k, (row, (number, _)) in enumerate(zip(self.rows, self.ends, strict=True)):
            index = self.passes.paths[number].receivers
            known = patcher.prepared.codes[deeper].of_features(index)[row.prompt]
            moved = codes.of_features(index)[k] - known[self.start : self.start + stream.shape[1]]
            # Before the first change the runs are the same but for rounding.
            place = np.arange(self.start, self.start + len(moved))
            moved[(place < (row.start or 0)) | (place >= row.length)] = 0
            found.append(moved)
        return found

    def _directed(self, moved: Floats, row: int) -> torch.Tensor:
        """Change of a row's stream by its receivers, in the SAE's unit."""
        path, engine = self.passes.paths[self.ends[row][0]], self.passes.patcher.engine
        way = directions(engine.saes[path.deeper], path.receivers).float()
        return torch.from_numpy(moved).to(way.device) @ way

    def _receivers(self, row: int, moved: Floats) -> NDArray[np.float64]:
        """Activation and its change where the sender fires, and the change over all positions."""
        (job, where), (number, _) = self.jobs[row], self.ends[row]
        path, codes = self.passes.paths[number], self.passes.patcher.prepared.codes
        sender = codes[path.sae].of_features((path.sender,))[..., 0]
        fires = sender[job.base] > 0
        if job.source is not None:
            fires = fires | (sender[job.source] > 0)
        at = np.flatnonzero(fires & where)
        known = codes[path.deeper].of_features(path.receivers)[job.base]
        here = np.zeros((len(known), moved.shape[1]))
        here[self.start : self.start + len(moved)] = moved
        return np.stack([known[at].mean(axis=0), here[at].mean(axis=0), moved.sum(axis=0)], axis=1)
