"""What steering changed: by unit, way and factor, averaged, and as tables of the graph."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from queries.followups.evidence import intervention_tables
from queries.followups.interventions import Intervention
from queries.followups.steering.effects import effects, t_test
from queries.followups.steering.steer import ROWS
from queries.studies.network.request import METRICS
from queries.studies.network.steer import Setting, sweeps, takes_part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from queries.studies.network.choose import Steered
    from queries.studies.network.request import NetworkRequest
    from queries.studies.network.steer import Steering, Sweep

    Floats = NDArray[np.float64]


class Outcomes:
    """Changes of metrics by unit, way and factor, from the table of all steering.

    Parameters
    ----------
    table
        Of `Steering.run`.
    baseline
        Metric to float64 ``[prompts]``, without an intervention, in the order of `prompts`.
    prompts
        Ids of the steered prompts, in the order in which they were.
    """

    def __init__(
        self, table: pa.Table, *, baseline: Mapping[str, Floats], prompts: Sequence[str]
    ) -> None:
        self.prompts, self.baseline = tuple(prompts), baseline
        size = len(self.prompts)
        first = table.take(pa.array(np.arange(0, table.num_rows, size)))
        names = ("name", "unit", "normalise", "factor")
        keys = zip(*(first[name].to_pylist() for name in names), strict=True)
        self.place = {key: row for row, key in enumerate(keys)}
        self.values = {
            metric: table[metric].to_numpy().reshape(-1, size)
            for metric in METRICS if metric in table.column_names
        }  # fmt: skip
        self.flags = np.array(table["flag"].to_pylist(), object).reshape(-1, size)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that there are."""
        return tuple(self.values)

    def change(self, names: Sequence[str], setting: Setting, *, metric: str) -> Floats:
        """Return value less baseline, float64 ``[names, prompts]``; NaN where not finite."""
        key = (setting.unit, setting.normalise, setting.factor)
        rows = [self.place[(name, *key)] for name in names]
        found: Floats = self.values[metric][rows] - self.baseline[metric]
        return found


def curve_table(outcomes: Outcomes, units: Sequence[Steered], request: NetworkRequest) -> pa.Table:
    """Average changes over the units of a kind, with intervals over prompts.

    Returns
    -------
    pyarrow.Table
        kind, unit, normalise, factor, metric, units, prompts, change, low, high: the mean over
        units of the change, then over prompts, with Student's 95 % interval; and `sd_units`, the
        standard deviation over units. Units or prompts whose logits are not finite are left out.
    """
    rows: list[dict[str, Any]] = []
    for way in sweeps(request):
        kinds = dict.fromkeys(one.kind for one in units if takes_part(one, way))
        for kind in kinds:
            names = [one.name for one in units if one.kind == kind and takes_part(one, way)]
            for factor in way.factors:
                setting = Setting(way.unit, way.normalise, factor)
                rows += [
                    {"kind": kind, **asdict(setting), "metric": metric,
                     **_mean(outcomes.change(names, setting, metric=metric))}
                    for metric in outcomes.metrics
                ]  # fmt: skip
    return pa.Table.from_pylist(rows)


def _mean(changes: Floats) -> dict[str, Any]:
    fine = changes[np.isfinite(changes).all(axis=1)]
    if not len(fine):
        return {"units": 0, "prompts": changes.shape[1], "change": None, "low": None, "high": None,
                "sd_units": None}  # fmt: skip
    over = fine.mean(axis=0)
    spread = over.std(ddof=1) if np.ptp(over) > 0 else 0.0
    low, high, _ = t_test(np.array([over.mean()]), np.array([spread]), np.array([len(over)], float))
    sd = float(fine.mean(axis=1).std(ddof=1)) if len(fine) > 1 else None
    return {"units": len(fine), "prompts": len(over), "change": float(over.mean()),
            "low": float(low[0]), "high": float(high[0]), "sd_units": sd}  # fmt: skip


def graph_tables(steering: Steering, outcomes: Outcomes) -> dict[str, pa.Table]:
    """Return ``interventions``, ``on`` and ``effects`` of the first unit at the graph's factors.

    Effects are means over prompts. ``graph_units`` says which feature or set, normalisation and
    factor each intervention is.
    """
    request, text = steering.request, steering.lab.text
    unit = request.units[0]
    chosen = [
        (one, way, factor)
        for way in sweeps(request) if way.unit == unit
        for one in steering.units if takes_part(one, way)
        for factor in request.graph_factors
    ]  # fmt: skip
    arms, listed, rows = [], [], []
    numbers: dict[tuple[str, float], int] = {}
    for number, (one, way, factor) in enumerate(chosen, start=1):
        made, strength = steering.made(one, way), request.strength(factor)
        arms.append((Intervention.from_dict({**made.to_dict(), "strength": strength}),))
        called = f"{one.name} ({way.normalise})"
        numbers[called, strength] = number
        listed.append({"intervention": number, "name": one.name, "kind": one.kind,
                       "normalise": way.normalise, "factor": factor})  # fmt: skip
        rows.append(_long(steering, outcomes, one, way, factor, called=called))
    return {
        **intervention_tables(arms),
        "effects": effects(pa.concat_tables(rows), interventions=numbers, text=text),
        "graph_units": pa.Table.from_pylist(listed),
    }


def _long(
    steering: Steering, outcomes: Outcomes, one: Steered, way: Sweep, factor: float, *, called: str
) -> pa.Table:
    """Rows of one unit and factor as a sweep has them."""
    size, strength = len(steering.prompts), steering.request.strength(factor)
    place = outcomes.place[one.name, way.unit, way.normalise, factor]
    parts = []
    for metric in outcomes.metrics:
        value, before = outcomes.values[metric][place], outcomes.baseline[metric]
        target = [None if metric == "entropy_top10" else p.target for p in steering.prompts]
        parts.append(
            pa.table(
                {
                    "set": [called] * size, "strength": [strength] * size,
                    "prompt": list(outcomes.prompts), "metric": [metric] * size,
                    "target": pa.array(target, pa.int64()), "value": value, "baseline": before,
                    "change": value - before,
                    "flag": pa.array(outcomes.flags[place], pa.string()),
                }
            ).cast(ROWS)
        )  # fmt: skip
    return pa.concat_tables(parts)
