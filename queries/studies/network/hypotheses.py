"""The three hypotheses, each tested over prompts and over features, against matched controls.

H1: steering features of the network changes performance. H2: sets from within a community act
otherwise than sets of the same features from several. H3: a feature's centrality predicts what
steering it does.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from queries.studies.inference import (
    crossed_table,
    false_discovery,
    paired_table,
    two_sets,
)
from queries.studies.network import published
from queries.studies.network.steer import Setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from queries.studies.network.choose import Steered
    from queries.studies.network.trials import Trials

    Floats = NDArray[np.float64]


def h1(trials: Trials) -> pa.Table:
    """Test whether steering changes metrics, against nothing and against matched controls.

    Returns
    -------
    pyarrow.Table
        kind (``single`` or ``within``), against (``nothing`` or ``controls``), over (``prompts``,
        each the mean over units; or ``units``, each the mean over prompts), unit, normalise,
        factor, metric, `n` and the columns of `queries.studies.inference.paired_table`; `q` is
        over the whole table. Units with logits that are not finite are left out; `left_out` says
        how many.
    """
    parts: list[pa.Table] = []
    for kind in ("single", "within"):
        pairs = trials.pairs(kind)
        if len(pairs) < 2:
            continue
        for setting in trials.settings(sets=kind == "within"):
            parts += _h1_of(trials, kind, pairs, setting)
    return _joined(parts)


def _h1_of(
    trials: Trials, kind: str, pairs: Sequence[tuple[Steered, Steered]], setting: Setting
) -> Iterable[pa.Table]:
    metrics = trials.outcomes.metrics
    sides = [
        np.stack([trials.changes([pair[side].name for pair in pairs], setting, metric)
                  for metric in metrics], axis=2)
        for side in (0, 1)
    ]  # fmt: skip
    fine = _fine(*sides)
    if fine.sum() < 2:
        return
    own, other = (side[fine] for side in sides)
    about = {"kind": kind, **asdict(setting), "left_out": int((~fine).sum())}
    for over, axis in (("prompts", 0), ("units", 1)):
        for against, b in (("nothing", np.zeros_like(own)), ("controls", other)):
            table = paired_table(
                own.mean(axis=axis), b.mean(axis=axis), names=list(metrics), **trials.draws
            )
            yield _with(table, {"against": against, "over": over, **about}, name="metric")


def h1_features(trials: Trials) -> pa.Table:
    """Test each single feature against its control, paired over prompts.

    Returns
    -------
    pyarrow.Table
        feature, control, factor, and the columns of `queries.studies.inference.paired_table` for
        the verdict's metric in the first unit; `q` is over the whole table.
    """
    pairs, request = trials.pairs("single"), trials.request
    parts = []
    for factor in request.tested_factors if pairs else ():
        setting = Setting(request.units[0], "none", factor)
        own, other = (
            trials.changes([pair[side].name for pair in pairs], setting, trials.outcome)
            for side in (0, 1)
        )
        fine = _fine(own, other)
        if not fine.any():
            continue
        names = [pair[0].name for pair, ok in zip(pairs, fine, strict=True) if ok]
        table = paired_table(own[fine].T, other[fine].T, names=names, **trials.draws)
        control = {a.name: b.features[0] for a, b in pairs}
        features = pa.array([int(name) for name in names])
        table = table.drop_columns(["name"]).add_column(0, "feature", features)
        table = table.add_column(1, "control", pa.array([control[name] for name in names]))
        parts.append(table.add_column(2, "factor", pa.array([factor] * len(names))))
    return _joined(parts)


def h2(trials: Trials) -> pa.Table:
    """Test whether sets within communities act otherwise than sets between them.

    Sizes are strata: only sets of one size are compared.

    Returns
    -------
    pyarrow.Table
        quantity (``change``, or ``beyond singles``: the change less the sum of those of the set's
        features one by one), unit, normalise, factor, metric, the columns of
        `queries.studies.inference.SetsTest`, left_out, and `q` over the whole table. No row where
        there are too few sets of both kinds.
    """
    sets = [one for one in trials.units if one.kind in {"within", "between"}]
    if not sets:
        return pa.table({})
    rows: list[dict[str, Any]] = []
    for setting in trials.settings(sets=True):
        for metric in trials.outcomes.metrics:
            rows += _h2_of(trials, sets, setting, metric)
    return _corrected(pa.Table.from_pylist(rows)) if rows else pa.table({})


def _h2_of(
    trials: Trials, sets: Sequence[Steered], setting: Setting, metric: str
) -> Iterable[dict[str, Any]]:
    values = {"change": trials.changes([one.name for one in sets], setting, metric)}
    if setting.normalise == "none" and metric == trials.outcome:
        values["beyond singles"] = values["change"] - _sum_of_singles(trials, sets, setting, metric)
    for quantity, changes in values.items():
        used = _comparable(sets, _fine(changes))
        some = [sets[row] for row in used]
        within = np.array([one.kind == "within" for one in some])
        if len(some) < 6 or min(within.sum(), (~within).sum()) < 2:
            continue
        found = two_sets(changes[used], within, strata=[one.size for one in some], **trials.draws)
        yield {"quantity": quantity, **asdict(setting), "metric": metric,
               "left_out": len(sets) - len(used), **asdict(found)}  # fmt: skip


def _comparable(sets: Sequence[Steered], fine: NDArray[np.bool_]) -> list[int]:
    """Return the sets, by place, that are fine and of a size that both kinds have."""
    kinds = [{one.size for one, ok in zip(sets, fine, strict=True) if ok and one.kind == kind}
             for kind in ("within", "between")]  # fmt: skip
    shared = kinds[0] & kinds[1]
    return [row for row, one in enumerate(sets) if fine[row] and one.size in shared]


def _fine(*values: Floats) -> NDArray[np.bool_]:
    """Return which rows are finite in all arrays."""
    found = np.ones(len(values[0]), bool)
    for each in values:
        found &= np.isfinite(each.reshape(len(each), -1)).all(axis=1)
    return found


def _sum_of_singles(
    trials: Trials, sets: Sequence[Steered], setting: Setting, metric: str
) -> Floats:
    singles = ([str(feature) for feature in one.features] for one in sets)
    return np.stack([trials.changes(names, setting, metric).sum(axis=0) for names in singles])


def h3(
    trials: Trials, central: Mapping[str, Mapping[int, float]], *, maximum: Mapping[int, float]
) -> pa.Table:
    """Test whether centrality predicts what steering a feature does.

    Parameters
    ----------
    trials
        What was steered, and what it did.
    central
        ``GRAPH MEASURE`` to latent index to centrality.
    maximum
        Latent index to its largest activation, which strengths are times.

    Returns
    -------
    pyarrow.Table
        outcome (``change``, or ``size``: without its sign), adjusted (whether beyond the
        logarithm of the maximum), unit, factor, graph, measure, the columns of
        `queries.studies.inference.crossed_table`, `published_r2` (of betweenness at a factor in
        the published graph), left_out, and `q` over the whole table.
    """
    units = [one for one in trials.units if one.kind == "single"]
    parts = []
    for setting in trials.settings(sets=False):
        changes = trials.changes([one.name for one in units], setting, trials.outcome)
        fine = _fine(changes)
        features = [one.features[0] for one, ok in zip(units, fine, strict=True) if ok]
        predictors = {
            name: x for name, of in central.items()
            if _varies(x := np.array([of[f] for f in features]))
        }  # fmt: skip
        logs = np.log([[maximum[f]] for f in features])
        if len(features) < 8 or not predictors:
            continue
        values = {"change": changes[fine], "size": np.abs(changes[fine])}
        for outcome, adjusted in ((o, a) for o in values for a in (False, True)):
            if adjusted and np.ptp(logs) < 1e-9:
                continue
            table = crossed_table(
                values[outcome], predictors, covariates=logs if adjusted else None,
                **trials.draws,
            )  # fmt: skip
            about = {"outcome": outcome, "adjusted": adjusted, "unit": setting.unit,
                     "factor": setting.factor, "left_out": int((~fine).sum())}  # fmt: skip
            parts.append(_with_predictor(_with(table, about)))
    return _joined(parts)


def _varies(values: Floats) -> bool:
    return bool(np.ptp(values) > 1e-9 * np.abs(values).max(initial=0.0))


def _with_predictor(table: pa.Table) -> pa.Table:
    graph, measure = zip(*(name.split(" ") for name in table["predictor"].to_pylist()), strict=True)
    known = [
        published.R2.get(factor) if (g, m) == ("published", "betweenness") else None
        for g, m, factor in zip(graph, measure, table["factor"].to_pylist(), strict=True)
    ]
    table = table.drop_columns(["predictor"])
    table = table.add_column(0, "measure", pa.array(measure))
    table = table.add_column(0, "graph", pa.array(graph))
    return table.append_column("published_r2", pa.array(known, pa.float64()))


def _with(table: pa.Table, values: Mapping[str, Any], *, name: str | None = None) -> pa.Table:
    """Put constant columns before a table's; `name` renames its column ``name``."""
    if name is not None:
        table = table.rename_columns([name if c == "name" else c for c in table.column_names])
    for place, (column, value) in enumerate(values.items()):
        table = table.add_column(place, column, pa.array([value] * table.num_rows))
    return table


def _joined(parts: Sequence[pa.Table]) -> pa.Table:
    return _corrected(pa.concat_tables(parts)) if parts else pa.table({})


def _corrected(table: pa.Table) -> pa.Table:
    """Correct the permutation p for all tests of a table."""
    if "q" in table.column_names:
        table = table.drop_columns(["q", "p_bonferroni"])
    q = false_discovery(table["p_permutation"].to_numpy())
    return table.append_column("q", pa.array(q, pa.float64()))
