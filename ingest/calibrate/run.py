"""All checks of one SAE's codes, one after the other."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.errors import ArtifactError, CorpusError
from atlas.progress import Reporter, SilentReporter
from ingest.calibrate.discoveries import (
    WITHIN,
    FalseEdges,
    Reference,
    Shuffled,
    false_edges,
    proportion,
    reference,
    search_shuffled,
)
from ingest.calibrate.kept import FloorCounter, Kept, what_is_kept, wider
from ingest.calibrate.nulls import Mixing, mixing
from ingest.calibrate.result import Calibration, Plan
from ingest.calibrate.search import Searched, search
from ingest.calibrate.split import SplitHalf, split_half
from ingest.calibrate.tails import Tails
from ingest.calibrate.topics import STRATA, Permuted, permuted_topics
from ingest.cooccurrence.kinds import NO_NEAR, NearPairs
from ingest.cooccurrence.search import Rules
from ingest.cooccurrence.sums import marginals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from atlas.artifacts import CodeShard
    from atlas.recipe import EdgesSection
    from ingest.cooccurrence.kinds import Tested
    from ingest.cooccurrence.sums import Marginals, PairSums


def calibrate(
    read: Callable[[], Iterable[CodeShard]],
    *,
    d_sae: int,
    options: EdgesSection,
    near: NearPairs = NO_NEAR,
    plan: Plan | None = None,
    sae: str = "",
    scratch: Path | None = None,
    reporter: Reporter | None = None,
) -> Calibration:
    """Check the edges that `options` give on some codes.

    Parameters
    ----------
    read
        Yields the code shards anew at each call, whole documents each, in the unit of
        observation. One shard is in memory at a time.
    d_sae
        Number of features.
    options
        The run's ``[edges]``.
    near
        Pairs of near decoder vectors.
    plan
        Seed, repeats, trades; by default `Plan()`.
    sae
        Key of the SAE, for the record.
    scratch
        Folder under which a temporary one is made for the indexes of the codes (about 6 bytes a
        code and 2 bytes a document and feature, twice); by default the system's.
    reporter
        Told of each step.

    Raises
    ------
    CorpusError
        There are no codes.
    ArtifactError
        The scratch folder cannot be written.
    """
    work = _Work(read, d_sae, Rules(options, near), plan or Plan(), reporter or SilentReporter())
    with _scratch_folder(scratch) as folder:
        return work.run(Path(folder), sae)


def _scratch_folder(parent: Path | None) -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(dir=parent, prefix="calibrate-")
    except OSError as error:
        raise ArtifactError(
            f"No folder can be made in {parent or tempfile.gettempdir()}: {error.strerror}.",
            hint="Give a place that can be written to, or copy the build to one.",
        ) from error


@dataclass
class _Work:
    read: Callable[[], Iterable[CodeShard]]
    d_sae: int
    rules: Rules
    plan: Plan
    told: Reporter

    def run(self, scratch: Path, sae: str) -> Calibration:
        m, mixed = self._first_pass()
        kept, data, tails, permuted = self._data(m, scratch)
        shuffled = tuple(
            self._shuffled(data, null, seed, scratch) for null in WITHIN for seed in self.plan.seeds
        )
        split, note = self._split(scratch)
        return Calibration(
            sae=sae,
            seed=self.plan.seed,
            repeats=self.plan.repeats,
            options=self.rules.options.model_dump(),
            near_pairs=len(self.rules.near.i),
            documents=m.documents,
            positions=m.positions,
            kept=kept,
            false=(*false_edges(data, shuffled), *_false_topics(data, permuted)),
            extremes=tails.extremes(),
            levels=tails.levels(),
            shuffled=shuffled,
            permuted=permuted,
            mixing=mixed,
            split=split,
            notes=_notes(self.rules, mixed, note),
        )

    def _first_pass(self) -> tuple[Marginals, Mixing]:
        """Sum the marginals; measure mixing on the first shard that has codes."""
        total: Marginals | None = None
        mixed: Mixing | None = None
        for codes in self.read():
            part = marginals(codes, self.d_sae)
            total = part if total is None else total + part
            if mixed is None and len(codes.index):
                mixed = mixing(codes, seed=self.plan.seed, trades=self.plan.trades)
        if total is None or mixed is None:
            raise CorpusError("There are no codes to calibrate.", hint="Build with more text.")
        return total, mixed

    def _data(
        self, m: Marginals, scratch: Path
    ) -> tuple[Kept, Reference, Tails, tuple[Permuted, ...]]:
        """Search the data; permute the documents of its index."""
        rules, folder = self.rules, scratch / "data"
        counter = FloorCounter(scratch / "floors.bin", m, fdr=rules.options.fdr)
        tails = Tails(m, options=rules.options)

        def watch(sums: PairSums, tested: Tested) -> None:
            counter(sums, tested)
            tails(sums, tested)

        self.told.note("searching the data")
        searched = search(
            self.read,
            m,
            rules=rules,
            scratch=folder,
            wide=wider(rules.options),
            watch=watch,
            reporter=self.told,
        )
        kept = what_is_kept(searched, counter, rules=rules)
        data = reference(searched, top_k=rules.options.top_k)
        permuted = tuple(
            self._permuted(searched, data, null, seed=seed, scratch=folder)
            for null in STRATA
            for seed in self.plan.seeds
        )
        shutil.rmtree(folder)
        return kept, data, tails, permuted

    def _permuted(
        self, searched: Searched, data: Reference, null: str, *, seed: int, scratch: Path
    ) -> Permuted:
        self.told.note(f"permuting documents ({null}, seed {seed})")
        return permuted_topics(
            searched.index,
            searched.marginals,
            rules=self.rules,
            cut=data.cuts["topic"],
            seed=seed,
            scratch=scratch,
            null=null,
        )

    def _shuffled(self, data: Reference, null: str, seed: int, scratch: Path) -> Shuffled:
        folder = scratch / f"{null}-{seed}"
        shuffled = search_shuffled(
            self.read,
            data,
            null=null,
            seed=seed,
            rules=self.rules,
            scratch=folder,
            trades=self.plan.trades,
            reporter=self.told,
        )
        shutil.rmtree(folder)
        return shuffled

    def _split(self, scratch: Path) -> tuple[SplitHalf | None, str]:
        try:
            split = split_half(
                self.read,
                d_sae=self.d_sae,
                rules=self.rules,
                seed=self.plan.seed,
                scratch=scratch,
                reporter=self.told,
            )
        except CorpusError as error:
            return None, error.message
        return split, ""


def _false_topics(data: Reference, permuted: tuple[Permuted, ...]) -> tuple[FalseEdges, ...]:
    out = []
    for null in STRATA:
        mine = [run for run in permuted if run.null == null]
        past = tuple(run.past for run in mine)
        out.append(
            FalseEdges(
                null=null,
                kind="topic",
                found=data.found["topic"],
                kept=data.kept["topic"],
                null_found=tuple(run.found for run in mine),
                null_kept=(),
                null_past=past,
                fdp=proportion(past, data.found["topic"]),
            )
        )
    return tuple(out)


def _notes(rules: Rules, mixed: Mixing, split: str) -> tuple[str, ...]:
    notes = [split] if split else []
    if not mixed.mixed:
        notes.append(
            f"{mixed.trades[-2]} trades do not mix: after twice as many "
            f"{mixed.stayed[-1]:.1%} of the firings are where they were, not "
            f"{mixed.stayed[-2]:.1%}. Give more."
        )
    if rules.options.unit == "document":
        notes.append("With documents as the unit nothing can be shuffled within them.")
    return tuple(notes)
