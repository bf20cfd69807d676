"""Steering of features and sets: every factor, unit and way of sharing a set's strength."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from queries.followups.interventions import FeatureRef, Intervention
from queries.followups.steering.steer import sweep
from queries.studies.network.request import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from atlas.progress import Reporter
    from queries.followups.lab import Lab, TaskPrompt
    from queries.studies.network.choose import Steered
    from queries.studies.network.request import NetworkRequest
    from queries.studies.stages import Stages

    Floats = NDArray[np.float64]

#: Features or sets of one stage: what is lost when a study is killed.
CHUNK = 24
ABLATION = "ablation"
"""The unit of ablations, whose factor is 1."""


@dataclass(frozen=True)
class Sweep:
    """One way of steering: the unit, how a set shares it, and the factors.

    Attributes
    ----------
    unit
        A unit of the request, or `ABLATION`.
    normalise
        ``none`` or ``size``.
    factors
        What is run.
    """

    unit: str
    normalise: str
    factors: tuple[float, ...]

    @property
    def name(self) -> str:
        """Name of its stages."""
        return f"{self.unit}-{self.normalise}".replace("_", "-")


@dataclass(frozen=True)
class Setting:
    """One way of steering at one factor."""

    unit: str
    normalise: str
    factor: float


def sweeps(request: NetworkRequest) -> list[Sweep]:
    """Return the ways of steering, all factors in the first unit and some in the others."""
    found = [
        Sweep(unit, how, request.factors if place == 0 else request.other_factors)
        for place, unit in enumerate(request.units)
        for how in request.normalise
    ]
    return found + [Sweep(ABLATION, "none", (1.0,))] * request.ablate


def takes_part(one: Steered, way: Sweep) -> bool:
    """Whether something is steered that way: of single features there is no size to divide by."""
    if one.size == 1:
        return way.normalise == "none"
    return way.unit != ABLATION


def intervention(
    one: Steered, way: Sweep, *, sae: str, maximum: Mapping[int, float], fixed: float
) -> Intervention:
    """Return what is done, at strength 1; a strength is minus the base times the factor.

    Parameters
    ----------
    one
        The features.
    way
        Unit and normalisation.
    sae
        Key of their SAE.
    maximum
        Feature to its largest activation in the corpus.
    fixed
        The fixed unit, in activation.
    """
    weight = fixed if way.unit == "fixed" else 1.0
    refs = tuple(FeatureRef(sae, f, maximum=maximum[f], weight=weight) for f in one.features)
    if way.unit == ABLATION:
        return Intervention("ablate", refs, mode="zero")
    unit: Any = "activation" if way.unit == "fixed" else way.unit
    shared: Any = "size" if way.normalise == "size" else None
    return Intervention("add", refs, unit=unit, normalise=shared)


@dataclass(frozen=True)
class Steering:
    """What is steered with what: everything that a sweep needs.

    Attributes
    ----------
    lab, request
        Model, SAEs and what is asked.
    units
        Features and sets.
    prompts
        The steered prompts, in tokens.
    maximum
        Latent index to its largest activation.
    fixed
        The fixed unit.
    """

    lab: Lab
    request: NetworkRequest
    units: Sequence[Steered]
    prompts: Sequence[TaskPrompt]
    maximum: Mapping[int, float]
    fixed: float

    def made(self, one: Steered, way: Sweep) -> Intervention:
        """Return the intervention of one unit."""
        return intervention(one, way, sae=self.request.sae, maximum=self.maximum, fixed=self.fixed)

    def jobs(self) -> int:
        """Return how many passes the whole takes."""
        return len(self.prompts) * sum(
            len(way.factors) for way in sweeps(self.request) for one in self.units
            if takes_part(one, way)
        )  # fmt: skip

    def run(self, stage: Stages, reporter: Reporter) -> pa.Table:
        """Steer everything, some units a stage; see `steered_table` for the columns."""
        parts = []
        for way in sweeps(self.request):
            taking = [one for one in self.units if takes_part(one, way)]
            for first in range(0, len(taking), CHUNK):
                some = taking[first : first + CHUNK]
                name = f"steering-{way.name}-{first // CHUNK:03d}"

                def make(way: Sweep = way, some: Sequence[Steered] = some) -> dict[str, pa.Table]:
                    return {"steering": self.some(way, some, reporter)}

                parts.append(stage(name, make)["steering"])
        return pa.concat_tables(parts).unify_dictionaries().combine_chunks()

    def some(self, way: Sweep, units: Sequence[Steered], reporter: Reporter) -> pa.Table:
        """Steer some units one way."""
        strengths = [self.request.strength(factor) for factor in way.factors]
        rows = sweep(
            self.lab.engine,
            self.prompts,
            sets={one.name: self.made(one, way) for one in units},
            strengths=strengths,
            metrics=self.metrics,
            reporter=reporter,
        )
        return steered_table(rows, way, units, prompts=self.prompts, metrics=self.metrics)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that all prompts have."""
        foils = all(prompt.foils for prompt in self.prompts)
        return tuple(name for name in METRICS if name != "logit_diff" or foils)


def steered_table(
    rows: pa.Table,
    way: Sweep,
    units: Sequence[Steered],
    *,
    prompts: Sequence[TaskPrompt],
    metrics: Sequence[str],
) -> pa.Table:
    """Make one row a unit, factor and prompt of the rows of a sweep.

    Returns
    -------
    pyarrow.Table
        name, unit, normalise, factor, prompt, the metrics (with the intervention), flag.
    """
    shape = (len(units) * len(way.factors), len(prompts), len(metrics))
    values = rows["value"].to_numpy().reshape(shape)
    u, f, p = np.indices((len(units), len(way.factors), len(prompts))).reshape(3, -1)

    def words(index: NDArray[np.int64], names: Sequence[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(index, pa.int32()), pa.array(names))

    zero, flags = np.zeros_like(u), pc.cast(rows["flag"], pa.string())
    columns = {
        "name": words(u, [one.name for one in units]),
        "unit": words(zero, [way.unit]),
        "normalise": words(zero, [way.normalise]),
        "factor": np.array(way.factors)[f],
        "prompt": words(p, [prompt.id for prompt in prompts]),
        **{name: values[:, :, k].ravel() for k, name in enumerate(metrics)},
        "flag": flags.take(pa.array(np.arange(0, len(rows), shape[2]))),
    }
    return pa.table(columns)
