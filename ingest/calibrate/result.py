"""What a calibration says, and what it is asked to draw."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atlas.errors import UsageError
from ingest.calibrate.nulls import TRADES

if TYPE_CHECKING:
    from ingest.calibrate.discoveries import FalseEdges, Shuffled
    from ingest.calibrate.kept import Kept
    from ingest.calibrate.nulls import Mixing
    from ingest.calibrate.split import SplitHalf
    from ingest.calibrate.tails import Extremes, Level
    from ingest.calibrate.topics import Permuted

#: Version of the written calibration.
FORMAT = 1


@dataclass(frozen=True)
class Calibration:
    """Checks of the edges of one SAE on its own codes.

    Attributes
    ----------
    sae
        Key of the SAE; empty where codes are given without one.
    seed, repeats
        Seed of all draws (repeat r uses seed + r), and shuffles of each sort.
    options
        The run's ``[edges]``.
    near_pairs
        Pairs of near decoder vectors for which exclusion is looked for.
    documents, positions
        Of the codes.
    kept
        What floors, tests and caps keep.
    false
        False discoveries by null and kind.
    extremes, levels
        Of the data, beside those of `shuffled`.
    shuffled, permuted
        Each shuffle within documents, and each permutation of documents.
    mixing
        Whether the trades mix.
    split
        Edges of two halves of the documents; None where a half would be empty.
    notes
        What a reader should know, one line each.
    """

    sae: str
    seed: int
    repeats: int
    options: dict[str, Any]
    near_pairs: int
    documents: int
    positions: int
    kept: Kept
    false: tuple[FalseEdges, ...]
    extremes: Extremes
    levels: tuple[Level, ...]
    shuffled: tuple[Shuffled, ...]
    permuted: tuple[Permuted, ...]
    mixing: Mixing
    split: SplitHalf | None
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values, with the version of the format."""
        return {"format": FORMAT, **dataclasses.asdict(self)}


@dataclass(frozen=True)
class Plan:
    """How much is drawn.

    Attributes
    ----------
    seed
        At least 0.
    repeats
        Shuffles of each sort.
    trades
        Global trades of a shuffle that keeps L0.
    """

    seed: int = 0
    repeats: int = 1
    trades: int = TRADES

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("repeats", 1), ("trades", 1)):
            if getattr(self, name) < least:
                raise UsageError(
                    f"{name} is {getattr(self, name)}.", hint=f"Give at least {least}."
                )

    @property
    def seeds(self) -> range:
        """Seed of each repeat."""
        return range(self.seed, self.seed + self.repeats)
