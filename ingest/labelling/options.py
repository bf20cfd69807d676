"""What labels are made from, and what labelling did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.labelling.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

Labeller = Callable[[Evidence], str | None]
"""Makes a label from a feature's evidence; None where it has none to give."""


@dataclass(frozen=True)
class LabelOptions:
    """What labels are made from.

    Attributes
    ----------
    explanations
        Whether explanations in the graph come first.
    labeller
        Any callable that gets an `Evidence` and returns a label, or None to leave it to the
        tokens; see `ingest.labelling.litellm_labeller`. It never sees a held-out context.
    labeller_name
        What its labels have as their source.
    again
        Ask `labeller` also about features that have a label of this name from before.
    """

    explanations: bool = True
    labeller: Labeller | None = None
    labeller_name: str = "labeller"
    again: bool = False

    @property
    def done_by(self) -> str | None:
        """Source of labels that are kept; None where all are made."""
        return self.labeller_name if self.labeller is not None and not self.again else None


@dataclass(frozen=True)
class Labelling:
    """What was done.

    Attributes
    ----------
    run, algorithm_run
        Keys of the run and of the record of its labels.
    features
        Live features that were labelled.
    kept
        Those that an earlier, stopped call had labelled with the same labeller.
    sources
        Source to the number of labels from it; ``none`` are features that nothing is known of.
    changed
        Labels that are others than before.
    scored
        Labels with a score.
    mean_score
        Mean of the scores; None without any.
    """

    run: str
    algorithm_run: str
    features: int
    kept: int
    sources: Mapping[str, int]
    changed: int
    scored: int
    mean_score: float | None
