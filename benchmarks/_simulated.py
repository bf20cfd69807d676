"""False and found edges on simulated truth, with documents as bursts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.recipe import EdgesSection
from ingest.cooccurrence.counter import LocalCounter
from ingest.cooccurrence.engine import candidate_sums
from ingest.cooccurrence.index import rank_features
from ingest.cooccurrence.kinds import KINDS
from ingest.cooccurrence.screen import make_screen
from ingest.cooccurrence.search import find_edges
from ingest.cooccurrence.sums import join
from ingest.significance import benjamini_hochberg, document_z, upper_tail, within_document_z
from tests.unit.simulate import Truth, simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ingest.cooccurrence.sums import Marginals, PairSums

Pair = tuple[int, int]
NULL_SEEDS = 5


def truth_figures() -> dict[str, Any]:
    """Count false edges of null data, and found and false edges where pairs are planted."""
    null = [len(_passing(simulate(seed), _document)) for seed in range(NULL_SEEDS)]
    truth = simulate(0, token_planted=30, topic_planted=30, independent=100, always_on=8)
    planted = truth.token_pairs | truth.topic_pairs
    robust, within = _passing(truth, _document), _passing(truth, _within)
    edges = _edges(truth)
    return {
        "null_false_edges": null,
        "null_false_mean": sum(null) / len(null),
        "planted_found": len(robust & planted),
        "planted_false": len(robust - planted),
        "within_token_found": len(within & truth.token_pairs),
        "within_topic_found": len(within & truth.topic_pairs),
        "token_edges_right": len(edges["token"] & truth.token_pairs),
        "token_edges_wrong": len(edges["token"] - truth.token_pairs),
        "topic_edges_right": len(edges["topic"] & truth.topic_pairs),
        "topic_edges_wrong": len(edges["topic"] - truth.topic_pairs),
    }


def _document(sums: PairSums, m: Marginals) -> NDArray[np.float64]:
    return document_z(sums, m)


def _within(sums: PairSums, _m: Marginals) -> NDArray[np.float64]:
    return within_document_z(sums)


def _passing(truth: Truth, z_of: Callable[[PairSums, Marginals], NDArray[np.float64]]) -> set[Pair]:
    """Pairs that one test alone passes, BH at 5 % over all pairs with E >= 5."""
    counter = LocalCounter(lambda: [truth.codes], (truth.d_sae,))
    m = counter.marginals()
    ranking = rank_features(m, groups=counter.groups, min_expected=5.0)
    everything = EdgesSection(min_npmi=-1.0, min_topic=1e-9)
    screen = make_screen(m, ranking, options=everything)
    sums = join(list(candidate_sums(counter.parts(ranking), ranking, screen)))
    q = benjamini_hochberg(upper_tail(z_of(sums, m)), ranking.tested)
    found = q <= 0.05
    return set(zip(sums.i[found].tolist(), sums.j[found].tolist(), strict=True))


def _edges(truth: Truth) -> dict[str, set[Pair]]:
    """Edges of each kind, with the defaults of a build."""
    counter = LocalCounter(lambda: [truth.codes], (truth.d_sae,))
    with tempfile.TemporaryDirectory() as scratch:
        found = find_edges(counter, Path(scratch), options=EdgesSection()).edges
    pairs = list(zip(found.sums.i.tolist(), found.sums.j.tolist(), strict=True))
    return {
        name: {pair for pair, kind in zip(pairs, found.kind, strict=True) if kind == number}
        for number, name in enumerate(KINDS)
    }
