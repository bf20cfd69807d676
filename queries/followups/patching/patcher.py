"""Runs patches only where they can make a difference.

As in `queries.followups.engine`, a pass begins at the first hook and position at which base and
source differ, with the base's keys and values before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from atlas.errors import NotFoundError, UsageError
from atlas.resume import resumed_pass
from queries.followups.codes import Codes, directions, unit_scale
from queries.followups.packing import Row, packed
from queries.followups.patching.patches import places

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from atlas.saes import LoadedSae
    from queries.followups.engine import Engine, Prepared
    from queries.followups.patching.patches import Part, PatchJob, What

    Bools = NDArray[np.bool_]

#: Positions whose activations are dense at a time.
POSITIONS = 256


@dataclass(frozen=True)
class Patched:
    """Logits of some jobs.

    Attributes
    ----------
    jobs
        Their numbers.
    logits
        float32 ``[jobs, vocabulary]``, at each prompt's last token, on the model's device.
    changed
        False where the patch changed nothing, and the base prompt's logits are given.
    """

    jobs: tuple[int, ...]
    logits: torch.Tensor
    changed: bool


class Patcher:
    """Patches prompts after their clean pass.

    Parameters
    ----------
    engine
        The model and its SAEs.
    prepared
        Base and source prompts after their clean pass, which read their last positions.
    """

    def __init__(self, engine: Engine, prepared: Prepared) -> None:
        self.engine = engine
        self.prepared = prepared
        self._ways: dict[str, tuple[NDArray[np.int64], torch.Tensor]] = {}

    def differing(self, job: PatchJob) -> Bools:
        """Positions that a job means and at which base and source can differ, ``[longest]``."""
        tokens, patch = self.prepared.clean.tokens, job.patch
        length = int(self.prepared.lengths[job.base])
        found = places(length, tokens.shape[1], positions=patch.positions, chosen=patch.chosen)
        if job.source is None:
            return found
        if int(self.prepared.lengths[job.source]) != length:
            raise UsageError(f"Prompts {job.base} and {job.source} are not of the same length.")
        other = (tokens[job.base] != tokens[job.source]).cpu().numpy()[:length]
        # Before the first token that differs the runs are the same but for rounding.
        found[: int(other.argmax()) if other.any() else length] = False
        return found

    def run(self, jobs: Sequence[PatchJob]) -> Iterator[Patched]:
        """Run jobs and yield their logits, batch by batch, in an order of its own.

        Raises
        ------
        NotFoundError
            A part is of no loaded SAE, or of a feature that it does not have.
        UsageError
            A prompt has no such position, or base and source differ in length.
        """
        self.collect(jobs)
        wheres = [self.differing(job) for job in jobs]
        rows = [self.row(n, job, wheres[n]) for n, job in enumerate(jobs)]
        for row in rows:
            if row.start is None:
                read = list(self.prepared.rows_read(row.prompt))[-1:]
                yield Patched((row.job,), self.prepared.logits[read], changed=False)
        some = [row for row in rows if row.start is not None]
        for batch in packed(some, self.engine.batch_tokens):
            logits = self._batch(batch, jobs, wheres)
            yield Patched(tuple(row.job for row in batch), logits, changed=True)

    def collect(self, jobs: Sequence[PatchJob]) -> None:
        """Check jobs, and find the directions of all features that they list, each once."""
        wanted: dict[str, set[int]] = {}
        for patch in {id(job.patch): job.patch for job in jobs}.values():
            for part in patch.parts:
                self._check(part)
                wanted.setdefault(part.sae, set()).update(part.index or ())
            whole = [self.depth(part) for part in patch.parts if part.what == "stream"]
            depths = [self.depth(part) for part in patch.parts]
            if any(depths.count(depth) > 1 for depth in whole):
                raise UsageError("Where the whole stream is patched there is nothing else to.")
        for key, some in wanted.items():
            index = np.array(sorted(some), np.int64)
            if len(index):
                way = directions(self.engine.saes[key], index.tolist())
                self._ways[key] = (index, way.float().to(self.engine.model.device))

    def _check(self, part: Part) -> None:
        sae = self.engine.saes.get(part.sae)
        if sae is None:
            raise NotFoundError(
                f"The SAE {part.sae} is not loaded.",
                hint=f"Loaded: {', '.join(self.engine.saes) or 'none'}.",
            )
        last = max(part.index or (0,))
        if last >= sae.d_sae:
            raise NotFoundError(f"{part.sae} has {sae.d_sae} features; no {last}.")

    def depth(self, part: Part) -> int:
        """Depth of a part's hook."""
        return self.engine.saes[part.sae].hook.depth

    def row(self, number: int, job: PatchJob, where: Bools) -> Row:
        """Find where a job, number `number`, that acts at `where` begins to make a difference."""
        begins: dict[int, list[int]] = {}
        for part in job.patch.parts:
            changed = where
            if part.index is not None:
                codes = self.prepared.codes[part.sae].of_features(part.index)
                after = 0 if job.source is None else codes[job.source]
                changed = where & (codes[job.base] != after).any(axis=1)
            if changed.any():
                begins.setdefault(self.depth(part), []).append(int(changed.argmax()))
        depth = min(begins, default=0)
        start = min((place for some in begins.values() for place in some), default=None)
        return Row(number, job.base, int(self.prepared.lengths[job.base]), depth, start, {})

    @torch.inference_mode()
    def _batch(
        self, rows: Sequence[Row], jobs: Sequence[PatchJob], wheres: Sequence[Bools]
    ) -> torch.Tensor:
        depth, start = rows[0].depth, min(row.start or 0 for row in rows)
        end = max(row.length for row in rows)
        prompts = torch.tensor([row.prompt for row in rows])
        some = [(jobs[row.job], wheres[row.job][start:end]) for row in rows]
        stream = self.prepared.clean.streams[depth][prompts.to(self.engine.model.device), start:end]
        deeper = {self.depth(part) for job, _ in some for part in job.patch.parts}

        def edit(at: int, arriving: torch.Tensor) -> torch.Tensor:
            return self.patched(arriving.float(), some, depth=at, start=start).to(arriving.dtype)

        return resumed_pass(
            self.engine.model,
            self.prepared.clean,
            prompts,
            stream=self.patched(stream.float(), some, depth=depth, start=start, clean=True),
            depth=depth,
            start=start,
            edits={d: partial(edit, d) for d in sorted(deeper) if d > depth},
            at=[(k, row.length - 1) for k, row in enumerate(rows)],
        )

    def patched(
        self,
        stream: torch.Tensor,
        some: Sequence[tuple[PatchJob, Bools]],
        *,
        depth: int,
        start: int,
        clean: bool = False,
    ) -> torch.Tensor:
        """Patch the streams that arrive at a depth.

        Parameters
        ----------
        stream
            float32 ``[jobs, positions, d_model]``, from position `start` on.
        some
            Jobs, each with where it acts, bool ``[positions]``.
        clean
            Whether the streams are those of the base prompts, whose activations are known.
        """
        shifted, span = stream.clone(), slice(start, start + stream.shape[1])
        for row, (job, where) in enumerate(some):
            at = torch.from_numpy(where).to(stream.device)[:, None]
            for part in (part for part in job.patch.parts if self.depth(part) == depth):
                source = None
                if job.source is not None:
                    source = self.prepared.clean.streams[depth][job.source, span].float()
                if part.index is None:
                    shift = _whole(self.engine.saes[part.sae], part.what, stream[row], source)
                else:
                    shift = self._named(part, job, stream[row], span=span, clean=clean)
                shifted[row] += shift.to(stream.device) * at
        return shifted

    def _named(
        self, part: Part, job: PatchJob, stream: torch.Tensor, *, span: slice, clean: bool
    ) -> torch.Tensor:
        """Change of the stream by setting listed features."""
        index, sae = part.index or (), self.engine.saes[part.sae]
        known = self.prepared.codes[part.sae].of_features(index)
        here = known[job.base, span] if clean else Codes.of(sae, stream[None]).of_features(index)[0]
        there = np.zeros_like(here) if job.source is None else known[job.source, span]
        every, way = self._ways[part.sae]
        moved = torch.from_numpy(there - here).to(stream.device)
        shift = moved @ way[np.searchsorted(every, index)]
        scale = unit_scale(sae, stream)
        return shift if scale is None else shift * scale


@torch.no_grad()
def _whole(
    sae: LoadedSae, what: What, stream: torch.Tensor, source: torch.Tensor | None
) -> torch.Tensor:
    """Change of a stream ``[positions, d_model]`` by setting all features, the error or itself."""
    aim = torch.zeros_like(stream) if source is None else source
    if what == "stream":
        return aim - stream
    parts = []
    for x, y in zip(torch.split(stream, POSITIONS), torch.split(aim, POSITIONS), strict=True):
        there = sae.sae.encode(y)
        if what == "error":
            away = 0.0 if source is None else y - sae.sae.decode(there)
            parts.append(away - (x - sae.sae.decode(sae.sae.encode(x))))
            continue
        before = sae.sae.decode(sae.sae.encode(x))
        # An SAE that normalises decodes once by the scale of what it encoded last: the base's.
        here = sae.sae.encode(x)
        after = torch.zeros_like(here) if source is None else there
        parts.append(sae.sae.decode(after) - before)
    return torch.cat(parts).float()
