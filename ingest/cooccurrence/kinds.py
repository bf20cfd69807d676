"""What a pair may be: a token edge, a topic edge, an exclusive edge; and the tests of each."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from atlas.artifacts import writing
from ingest.cooccurrence.sums import FLOAT_SUMS, SUMS, PairSums
from ingest.significance import (
    correlation_p,
    document_z,
    effects,
    exclusion_z,
    topic_correlation,
    upper_tail,
    within_document_z,
    within_phi,
)

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

    from atlas.recipe import EdgesSection
    from ingest.cooccurrence.sums import Marginals

KINDS = ("token", "topic", "exclusive")
TOKEN, TOPIC, EXCLUSIVE = 1, 2, 4


@dataclass(frozen=True)
class NearPairs:
    """Pairs of features whose decoder vectors are near, ordered by (i, j), i < j.

    Attributes
    ----------
    i, j
        int32.
    """

    i: NDArray[np.int32]
    j: NDArray[np.int32]

    def holds(self, i: NDArray[np.int32], j: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Whether each given pair (i < j) is among them."""
        if len(self.i) == 0:
            return np.zeros(len(i), bool)
        mine = self.i.astype(np.int64) << 32 | self.j
        asked = i.astype(np.int64) << 32 | j
        place = np.minimum(np.searchsorted(mine, asked), len(mine) - 1)
        found: NDArray[np.bool_] = mine[place] == asked
        return found


NO_NEAR = NearPairs(np.zeros(0, np.int32), np.zeros(0, np.int32))


@dataclass(frozen=True)
class Tested:
    """Tests of pairs, one entry a pair.

    Attributes
    ----------
    z, z_within, r_topic, phi_within
        float64: both document-robust statistics and both parts of the correlation.
    p_token
        float64: larger of the one-sided p of both tests; both must hold, so this is an
        intersection-union test.
    p_topic, p_exclusive
        float64: one-sided p of a positive topic correlation, and of fewer joint firings within
        documents than independence there gives.
    kinds
        uint8: for which kinds effect size and unadjusted p both pass (sum of `TOKEN`, `TOPIC`,
        `EXCLUSIVE`).
    """

    z: NDArray[np.float64]
    z_within: NDArray[np.float64]
    r_topic: NDArray[np.float64]
    phi_within: NDArray[np.float64]
    p_token: NDArray[np.float64]
    p_topic: NDArray[np.float64]
    p_exclusive: NDArray[np.float64]
    kinds: NDArray[np.uint8]


def apply_tests(
    sums: PairSums, m: Marginals, *, options: EdgesSection, near: NearPairs = NO_NEAR
) -> Tested:
    """Test pairs for every kind.

    Parameters
    ----------
    sums, m
        Merged over all documents.
    options
        Floors and the false-discovery rate: a pair whose p is above it cannot pass
        Benjamini-Hochberg.
    near
        Pairs for which exclusion is looked for whatever their topics.
    """
    npmi = effects(sums.a, m.n[sums.i], m.n[sums.j], positions=m.positions).npmi
    z, z_within = document_z(sums, m), within_document_z(sums)
    r_topic = topic_correlation(sums, m)
    p_token = np.maximum(upper_tail(z), upper_tail(z_within))
    p_topic = correlation_p(r_topic, m.documents)
    p_exclusive = upper_tail(exclusion_z(sums))
    looked_for = (r_topic >= options.min_exclusive_topic) | near.holds(sums.i, sums.j)
    kinds = (
        TOKEN * ((npmi >= options.min_npmi) & (p_token <= options.fdr))
        + TOPIC * ((r_topic >= options.min_topic) & (p_topic <= options.fdr))
        + EXCLUSIVE * (looked_for & (p_exclusive <= options.fdr))
    )
    return Tested(
        z, z_within, r_topic, within_phi(sums, m), p_token, p_topic, p_exclusive,
        kinds.astype(np.uint8),
    )  # fmt: skip


_TESTED = [f.name for f in fields(Tested)]
_RECORD = np.dtype(
    [("i", "i4"), ("j", "i4")]
    + [(name, "f8" if name in FLOAT_SUMS else "i8") for name in SUMS]
    + [(name, "u1" if name == "kinds" else "f8") for name in _TESTED]
)


class Survivors:
    """Pairs that pass some kind's floor and unadjusted test, kept in a file while panels run.

    Benjamini-Hochberg needs all panels; the file keeps what it needs out of memory.

    Parameters
    ----------
    path
        File to write; an existing one is replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO = path.open("wb")

    def add(self, sums: PairSums, tested: Tested) -> None:
        """Append the pairs that pass something."""
        rows = np.flatnonzero(tested.kinds)
        record = np.empty(len(rows), _RECORD)
        for name in ("i", "j", *SUMS):
            record[name] = getattr(sums, name)[rows]
        for name in _TESTED:
            record[name] = getattr(tested, name)[rows]
        with writing(self.path, self.path):
            self._file.write(record.tobytes())

    def read(self) -> NDArray[np.void]:
        """Close the file and map it: a structured array, one record a pair."""
        with writing(self.path, self.path):
            self._file.close()
        if self.path.stat().st_size == 0:
            return np.zeros(0, _RECORD)
        return np.memmap(self.path, _RECORD, mode="r")


def sums_of(records: NDArray[np.void]) -> PairSums:
    """Return the sums of survivors."""
    return PairSums(**{name: np.ascontiguousarray(records[name]) for name in ("i", "j", *SUMS)})
