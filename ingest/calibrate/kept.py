"""What floors, tests and caps keep of the tested pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from atlas.artifacts import writing
from ingest.cooccurrence.kinds import KINDS
from ingest.significance import benjamini_hochberg, correlation_p, effects, upper_tail

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from atlas.recipe import EdgesSection
    from ingest.calibrate.search import Searched
    from ingest.cooccurrence.kinds import Tested
    from ingest.cooccurrence.search import Rules
    from ingest.cooccurrence.sums import Marginals, PairSums

#: Floors of NPMI and of r_topic that are compared. An NPMI above 0 is all that test 1 can pass.
NPMI_FLOORS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
TOPIC_FLOORS = (0.1, 0.2, 0.3, 0.5)

#: Quantiles of the number of edges a feature.
QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True)
class TokenFloor:
    """Tested pairs with an NPMI from a floor on, and how many pass Benjamini-Hochberg.

    Attributes
    ----------
    floor
        NPMI.
    pairs
        Tested pairs from the floor on.
    beyond_chance, same_tokens, both
        Of these significant by test 1, by test 2, and by the larger p of both. Pairs below the
        floor count as tests with p = 1.
    """

    floor: float
    pairs: int
    beyond_chance: int
    same_tokens: int
    both: int


@dataclass(frozen=True)
class TopicFloor:
    """Tested pairs with a topic correlation from a floor on.

    Attributes
    ----------
    floor
        r_topic.
    pairs
        Tested pairs from the floor on.
    significant
        Of these significant.
    no_token_edge
        Of the significant ones those that are no token edges by the run's own floor.
    """

    floor: float
    pairs: int
    significant: int
    no_token_edge: int


@dataclass(frozen=True)
class Reason:
    """Significant exclusive pairs by the reason for which exclusion was looked for.

    Attributes
    ----------
    reason
        ``topic``, ``cosine`` or ``both``.
    significant, kept
        Significant pairs, and those left after each feature's strongest are taken.
    """

    reason: str
    significant: int
    kept: int


@dataclass(frozen=True)
class KindKept:
    """Edges of one kind.

    Attributes
    ----------
    kind
        ``token``, ``topic`` or ``exclusive``.
    significant
        Pairs that pass floor and test.
    kept
        Edges after each feature's strongest `top_k` are taken.
    mutual
        Share of `kept` that are among the strongest of both features; None without edges.
    features
        Share of the live features with an edge.
    per_feature
        Quantiles (`QUANTILES`) of the number of edges of a live feature.
    """

    kind: str
    significant: int
    kept: int
    mutual: float | None
    features: float
    per_feature: tuple[float, ...]


@dataclass(frozen=True)
class Kept:
    """What is left of the pairs at each step.

    Attributes
    ----------
    live
        Features that fire.
    tested
        Pairs with enough expected joint firings.
    token, topic, exclusive, kinds
        By floor, by floor, by reason, and by kind at the run's own floors.
    """

    live: int
    tested: int
    token: tuple[TokenFloor, ...]
    topic: tuple[TopicFloor, ...]
    exclusive: tuple[Reason, ...]
    kinds: tuple[KindKept, ...]


def wider(options: EdgesSection) -> EdgesSection:
    """Return options whose floors let every compared floor be counted."""
    return options.model_copy(
        update={
            "min_npmi": min(options.min_npmi, *NPMI_FLOORS),
            "min_topic": min(options.min_topic, *TOPIC_FLOORS),
        }
    )


_RECORD = np.dtype([("npmi", "f8"), ("z", "f8"), ("z_within", "f8"), ("r_topic", "f8")])


class FloorCounter:
    """Counts pairs by floor while a search shows them; those that may pass go to a file.

    Parameters
    ----------
    path
        File to write.
    m
        Marginals.
    fdr
        False-discovery rate: a larger p cannot pass Benjamini-Hochberg.
    """

    def __init__(self, path: Path, m: Marginals, *, fdr: float) -> None:
        self.path, self.m, self.fdr = path, m, fdr
        self.pairs_npmi = np.zeros(len(NPMI_FLOORS), np.int64)
        self.pairs_topic = np.zeros(len(TOPIC_FLOORS), np.int64)
        self._file: BinaryIO = path.open("wb")

    def __call__(self, sums: PairSums, tested: Tested) -> None:
        """Take a panel's pairs."""
        m = self.m
        npmi = effects(sums.a, m.n[sums.i], m.n[sums.j], positions=m.positions).npmi
        self.pairs_npmi += [np.count_nonzero(npmi >= floor) for floor in NPMI_FLOORS]
        self.pairs_topic += [np.count_nonzero(tested.r_topic >= floor) for floor in TOPIC_FLOORS]
        token = (npmi >= min(NPMI_FLOORS)) & (
            (upper_tail(tested.z) <= self.fdr) | (upper_tail(tested.z_within) <= self.fdr)
        )
        topic = (tested.r_topic >= min(TOPIC_FLOORS)) & (tested.p_topic <= self.fdr)
        rows = np.flatnonzero(token | topic)
        record = np.empty(len(rows), _RECORD)
        record["npmi"] = npmi[rows]
        for name in ("z", "z_within", "r_topic"):
            record[name] = getattr(tested, name)[rows]
        with writing(self.path, self.path):
            self._file.write(record.tobytes())

    def tables(
        self, *, tested: int, options: EdgesSection
    ) -> tuple[tuple[TokenFloor, ...], tuple[TopicFloor, ...]]:
        """Close and remove the file; return the tables of token and topic floors."""
        with writing(self.path, self.path):
            self._file.close()
        records = np.fromfile(self.path, _RECORD)
        self.path.unlink()
        p = upper_tail(records["z"]), upper_tail(records["z_within"])
        tests = (*p, np.maximum(*p))
        npmi = records["npmi"]
        token = [
            TokenFloor(
                floor,
                int(self.pairs_npmi[k]),
                *(int(self._passing(x, npmi >= floor, tested).sum()) for x in tests),
            )
            for k, floor in enumerate(NPMI_FLOORS)
        ]
        edges = self._passing(tests[2], npmi >= options.min_npmi, tested)
        r, topic = records["r_topic"], []
        p_topic = correlation_p(r, self.m.documents)
        for k, floor in enumerate(TOPIC_FLOORS):
            found = self._passing(p_topic, r >= floor, tested)
            pairs, left = int(self.pairs_topic[k]), int((found & ~edges).sum())
            topic.append(TopicFloor(floor, pairs, int(found.sum()), left))
        return tuple(token), tuple(topic)

    def _passing(
        self, p: NDArray[np.float64], chosen: NDArray[np.bool_], tested: int
    ) -> NDArray[np.bool_]:
        """Which chosen pairs pass Benjamini-Hochberg among all tested ones."""
        rows = np.flatnonzero(chosen & (p <= self.fdr))
        out = np.zeros(len(p), bool)
        out[rows[benjamini_hochberg(p[rows], tested) <= self.fdr]] = True
        return out


def what_is_kept(searched: Searched, counter: FloorCounter, *, rules: Rules) -> Kept:
    """Summarise a search whose pairs were shown to `counter`."""
    tested = searched.ranking.tested
    token, topic = counter.tables(tested=tested, options=rules.options)
    return Kept(
        live=len(searched.ranking.order),
        tested=tested,
        token=token,
        topic=topic,
        exclusive=_reasons(searched, rules),
        kinds=tuple(_kind(searched, number, rules.options.top_k) for number in range(len(KINDS))),
    )


def _reasons(searched: Searched, rules: Rules) -> tuple[Reason, ...]:
    edges = searched.edges
    mine = edges.kind == KINDS.index("exclusive")
    kept = searched.kept(rules.options.top_k)[mine]
    topic = edges.r_topic[mine] >= rules.options.min_exclusive_topic
    near = rules.near.holds(edges.sums.i[mine], edges.sums.j[mine])
    return tuple(
        Reason(name, int(which.sum()), int((which & kept).sum()))
        for name, which in (
            ("topic", topic & ~near),
            ("cosine", near & ~topic),
            ("both", topic & near),
        )
    )


def _kind(searched: Searched, number: int, top_k: int) -> KindKept:
    edges, m = searched.edges, searched.marginals
    mine = edges.kind == number
    kept = mine & searched.kept(top_k)
    ends = np.concatenate([edges.sums.i[kept], edges.sums.j[kept]])
    degree = np.bincount(ends, minlength=len(m.n))[m.n > 0]
    total = int(kept.sum())
    both = int((mine & searched.mutual(top_k)).sum())
    return KindKept(
        kind=KINDS[number],
        significant=int(mine.sum()),
        kept=total,
        mutual=both / total if total else None,
        features=float((degree > 0).mean()) if len(degree) else 0.0,
        per_feature=tuple(np.quantile(degree, QUANTILES).tolist()) if len(degree) else (),
    )
