"""How fast this machine counts, describes and compares, measured on the codes of a sample."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np
import torch

from ingest.contexts import ContextWindows
from ingest.cooccurrence.engine import panels
from ingest.cooccurrence.index import rank_features
from ingest.cooccurrence.screen import make_screen
from ingest.cooccurrence.sums import rarer_first
from ingest.decoder import logit_weights
from ingest.edge_stage import counter_of
from ingest.firing import FeatureScanner, FiringOptions
from ingest.geometry import similar_features

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from atlas.recipe import EdgesSection
    from ingest.cooccurrence.counter import Counter
    from ingest.cooccurrence.parts import Pairs, Parts
    from ingest.inputs import BuildInputs
    from ingest.mapped import MappedSae
    from ingest.plan.sample import Sample

#: Panels that are timed, spread over all.
PANELS = 6
#: Features and tokens of the products that are timed, and places that contexts are cut around.
FEATURES, VOCABULARY, PLACES = 1024, 4096, 500
#: Pairs whose activations are summed.
PAIRS = 200_000


@dataclass(frozen=True)
class Speeds:
    """Seconds of one step; nan where the sample was too small to say.

    Attributes
    ----------
    index
        A code: read and checked, its marginals, its place in the index.
    joint
        A joint firing.
    topic
        A cell (column, partner) in a document.
    fold
        A document of a pair whose sums are made.
    value
        A lookup, in one thread: a firing of the rarer feature of an edge.
    scan
        A code while features are described.
    context
        A context that is cut out of its document.
    logit
        A logit weight: one feature and one token.
    cosine
        A pair of decoder vectors.
    """

    index: float
    joint: float
    topic: float
    fold: float
    value: float
    scan: float
    context: float
    logit: float
    cosine: float


def measure_speeds(
    inputs: BuildInputs, sample: Sample, *, scratch: Path, scale: float, seconds: float
) -> Speeds:
    """Time the build's own code on a sample; what numba compiles is compiled before.

    Parameters
    ----------
    inputs
        Model, SAEs and text.
    sample
        Code shards of the sample.
    scratch
        Folder for the files of the index.
    scale
        The whole text by the sample.
    seconds
        Panels are timed until this time is over.
    """
    sae = max(sample.saes, key=lambda one: one.d_sae)
    edges = inputs.recipe.edges
    with counter_of((sae,), options=edges, scratch=scratch, ray=None) as counter:
        timed = _Search(counter, edges, scale=scale, shards=len(sae.paths))
        timed.run(seconds)
    with torch.inference_mode():
        w_dec = next(s for s in inputs.saes if s.name == sae.name).sae.W_dec.detach().float().cpu()
    return Speeds(
        **{name: clock.rate for name, clock in timed.clocks.items()},
        scan=_scan(inputs, sae, len(sample.documents)),
        context=_contexts(inputs, sample),
        logit=_logits(w_dec),
        cosine=_cosines(w_dec, edges),
    )


@dataclass
class _Clock:
    """Seconds, and how much was done in them."""

    seconds: float = 0.0
    done: float = 0.0

    @property
    def rate(self) -> float:
        """Seconds by what was done; nan where nothing was."""
        return self.seconds / self.done if self.done else float("nan")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add the seconds that the block takes."""
        began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began


class _Search:
    """Some panels of a search, timed."""

    def __init__(
        self, counter: Counter, options: EdgesSection, *, scale: float, shards: int
    ) -> None:
        self.counter = counter
        self.threads = min(numba.get_num_threads(), shards)
        self.m = counter.marginals()
        least = options.min_expected / max(scale, 1e-12)
        self.ranking = rank_features(self.m, groups=counter.groups, min_expected=least)
        self.screen = make_screen(self.m, self.ranking, options=options)
        self.clocks = {name: _Clock() for name in ("index", "joint", "topic", "fold", "value")}

    def run(self, seconds: float) -> None:
        """Time panels, evenly chosen, with the candidates that the whole text will have."""
        every = list(panels(self.ranking))
        if not every:
            return
        some = [every[k] for k in np.unique(np.linspace(0, len(every) - 1, PANELS).astype(int))]
        first, last, width = some[-1]
        self._panels([(first, min(first + 8, last), width)], seconds)
        for clock in self.clocks.values():  # that was to compile
            clock.seconds = clock.done = 0.0
        self._panels(some, seconds)

    def _panels(self, some: list[tuple[int, int, int]], seconds: float) -> None:
        index, until = self.clocks["index"], time.perf_counter() + seconds
        with index.running():
            parts = self.counter.parts(self.ranking)
        # The marginals, which are summed once and kept, take about as long.
        index.done += float(self.m.n.sum()) / 2
        found = []
        for first, last, width in some:
            found.append(self._panel(parts, first, last, width))
            if time.perf_counter() > until:
                break
        self._values(max(found, key=lambda pairs: len(pairs.kept)))

    def _panel(self, parts: Parts, first: int, last: int, width: int) -> Pairs:
        joint, topic, fold = (self.clocks[name] for name in ("joint", "topic", "fold"))
        with joint.running():
            firings = parts.joint(first, last, width=width)
        joint.done += float(firings.sum())
        rate, scale = self.screen.rate, self.screen.scale
        with topic.running():
            found = parts.topic(first, last, width=width, rate=rate, scale=scale)
        topic.done += float(found.size) * self.m.documents
        pairs = self.screen.pairs(firings, found, first=first, limit=self.ranking.limit)
        with fold.running():
            parts.sums(pairs)
        fold.done += float(self.m.d[self.ranking.order[pairs.column]].sum())
        return pairs

    def _values(self, pairs: Pairs) -> None:
        """Time lookups, beside the reading that every walk over the shards takes."""
        walk, clock = _Clock(), self.clocks["value"]
        column = self.ranking.order[pairs.column[:PAIRS]]
        rare, other, _ = rarer_first(self.m.n, column, self.ranking.order[pairs.kept[:PAIRS]])
        order = np.lexsort((other, rare))
        with walk.running():
            self.counter.values(rare[:0], other[:0])
        with clock.running():
            self.counter.values(rare[order], other[order])
        clock.seconds = max(clock.seconds - walk.seconds, 0.0) * self.threads
        clock.done += float(self.m.n[rare].sum())


def _scan(inputs: BuildInputs, sae: MappedSae, documents: int) -> float:
    """Seconds a code: once for statistics and, faster, once for the windows of contexts."""
    options = inputs.recipe.features
    how = FiringOptions(contexts=options.contexts, tokens=options.tokens, bins=options.bins)
    shard = next(sae.read())
    clock = _Clock()
    for _ in range(2):  # the first compiles
        clock = _Clock(done=float(len(shard.index)))
        scanner = FeatureScanner(sae.d_sae, domains=[None] * documents, options=how)
        with clock.running():
            scanner.add(shard)
    return 1.2 * clock.rate


def _contexts(inputs: BuildInputs, sample: Sample) -> float:
    windows = ContextWindows(
        inputs.documents,
        tokens_of=inputs.text.tokens,
        text_of=inputs.text.of,
        corpus=inputs.recipe.name,
        width=inputs.recipe.features.context_tokens,
    )
    shard = next(sample.saes[0].read())
    some = np.linspace(0, max(shard.rows - 1, 0), min(PLACES, shard.rows)).astype(np.int64)
    document = sample.documents[shard.document[some]]
    position = np.maximum(shard.position[some], 0).astype(np.int64)
    windows.around(document[:2], position[:2])
    clock = _Clock(done=float(len(some)))
    with clock.running():
        windows.around(document, position)
    return clock.rate


def _logits(w_dec: torch.Tensor) -> float:
    """Seconds a weight; the time does not depend on the values, so the unembedding is random."""
    unembedding = torch.randn(w_dec.shape[1], VOCABULARY)
    some = w_dec[:FEATURES]
    clock = _Clock(done=float(len(some)) * VOCABULARY)
    logit_weights(some[:8], unembedding)
    with clock.running():
        logit_weights(some, unembedding)
    return clock.rate


def _cosines(w_dec: torch.Tensor, options: EdgesSection) -> float:
    some = w_dec[: 2 * FEATURES]
    clock = _Clock(done=float(len(some)) ** 2)
    similar_features(some[:64], k=options.similar_k)
    with clock.running():
        similar_features(some, k=options.similar_k)
    return clock.rate
