"""Sections of the report about steering and the three hypotheses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from queries.studies.network import published
from queries.studies.network.stored import NAMES, SHORT
from queries.studies.report import (
    Caption,
    Figure,
    Note,
    Section,
    Table,
    bars,
    curves,
    scatter,
)

if TYPE_CHECKING:
    from queries.studies.network.stored import Stored
    from queries.studies.report import Block

#: Features of a figure.
SHOWN = 30
KINDS = {
    "single": "features of the network", "control": "matched features outside of it",
    "within": "sets within a community", "between": "sets between communities",
    "control_set": "matched sets outside of the network",
}  # fmt: skip
UNITS = {"global_max": "largest activation", "local_max": "largest activation in the prompt",
         "fixed": "one maximum for all"}  # fmt: skip


def steering_section(found: Stored) -> Section:
    """Show what steering single features does, against matched controls."""
    request = found.request
    fields = {"kind": "single", "factor": request.factor, "unit": request.units[0],
              "metric": found.outcome}  # fmt: skip
    blocks: list[Block] = [
        f"H1: {found.verdict('H1')}.",
        f"Every feature is pushed at all positions by {-request.base:g} times the factor times its "
        f"unit along its decoder direction: the published rule subtracts base x factor with a base "
        f"of {request.base:g}, "
        + ("which adds the feature." if request.base < 0 else "which takes the feature away."),
        *(_curve(found, ("single", "control"), metric) for metric in _metrics(found)),
        *_by_feature(found),
        _table(
            found,
            "h1",
            "H1: what steering changes, against nothing and against controls, paired over prompts "
            "or over features ('units'); low and high are the 95 % interval, '80 % power' is the "
            "smallest difference found 4 times of 5.",
            {"kind": "what", "against": "against", "over": "over", "n": "n", "metric": "metric",
             "difference": "difference", "low": "low", "high": "high",
             "p_permutation": "p", "q": "q", "detectable": "80 % power"},
            first=fields,
        ),
        *_other_units(found),
        _balance(found),
    ]  # fmt: skip
    return Section("H1: does steering change performance?", blocks)


def _metrics(found: Stored) -> list[str]:
    there = {row["metric"] for row in found.rows("curves")}
    return [name for name in (found.outcome, "probability", "rank", "entropy_top10")
            if name in there]  # fmt: skip


def _curve(
    found: Stored, kinds: tuple[str, ...], metric: str, *, normalise: str = "none", name: str = ""
) -> Figure | Note:
    """Draw the change of a metric over the factors of the first unit."""
    unit = found.request.units[0]
    series: dict[str, Any] = {}
    factors: list[float] = []
    number = 0
    for kind in kinds:
        rows = [row for row in found.rows("curves", kind=kind, unit=unit, normalise=normalise,
                                          metric=metric) if row["change"] is not None]  # fmt: skip
        if rows:
            factors = [row["factor"] for row in rows]
            columns = ([row[key] for row in rows] for key in ("change", "low", "high"))
            series[KINDS[kind]] = tuple(columns)
            number = max(number, rows[0]["units"])
    if len({len(one[0]) for one in series.values()}) != 1:
        return Note(
            f"There is no curve of the {NAMES[metric]}: nothing was steered on all prompts."
        )
    about = {"none": "each at full strength", "size": "strength divided by the set's size"}
    many = f"; {about[normalise]}" if "within" in kinds else ""
    return curves(
        name or f"curve-{metric.replace('_', '-')}", factors, series=series, x_log=True,
        x_label=f"factor (times {-found.request.base:g} x {UNITS[unit]})",
        y_label=f"change of {SHORT[metric]}",
        caption=Caption(
            f"Change of the {NAMES[metric]} by steering{many}: mean over what is steered, with the "
            "95 % interval over prompts.",
            n=f"{found.steered} prompts; {number} of each kind or fewer",
            test="none here: intervals by Student's t over prompts",
            correction="none: the tests are in the table",
        ),
    )  # fmt: skip


def _by_feature(found: Stored) -> list[Block]:
    rows = found.rows("h1_features", factor=found.request.factor)
    if not rows:
        return []
    rows = sorted(rows, key=lambda row: (row["difference"], row["feature"]))
    some = rows if len(rows) <= SHOWN else [*rows[: SHOWN // 2], *rows[-SHOWN // 2 :]]
    tests = found.table("h1_features").num_rows
    certain = sum(row["q"] <= found.request.fdr for row in rows)
    return [
        bars(
            "by-feature", [found.names[row["feature"]] for row in some],
            values=[row["difference"] for row in some], low=[row["low"] for row in some],
            high=[row["high"] for row in some],
            marked=[row["q"] <= found.request.fdr for row in some],
            x_label=f"change of the {NAMES[found.outcome]}, less its control's",
            caption=Caption(
                f"Each steered feature at factor {found.request.factor:g} less its matched control "
                f"({'all' if len(some) == len(rows) else 'the lowest and highest'}); filled where "
                f"significant, which {certain} of {len(rows)} are.",
                n=f"{rows[0]['n']} prompts", test="paired sign flips over prompts",
                correction=f"Benjamini-Hochberg over {tests} tests, {found.request.fdr:g}",
            ),
        )
    ]  # fmt: skip


def _other_units(found: Stored) -> list[Block]:
    rows = list(found.rows("curves", kind="single", normalise="none",
                                      metric=found.outcome))  # fmt: skip
    shared = set(found.request.other_factors) | {1.0}
    rows = [row for row in rows if row["factor"] in shared]
    if not rows:
        return []
    return [
        Table(
            "curves", pa.Table.from_pylist(rows),
            f"Single features in every unit: change of the {NAMES[found.outcome]}.",
            columns={"unit": "unit", "factor": "factor", "units": "features",
                     "change": "mean change", "low": "low", "high": "high",
                     "sd_units": "sd over features"},
        )
    ]  # fmt: skip


def _balance(found: Stored) -> Block:
    frame = found.frame("balance")
    if frame.empty:
        return Note("No other feature fires in the prompts: there are no controls.")
    own, other = (frame[[f"{p}prompts", f"{p}maximum"]].mean().tolist() for p in ("", "control_"))
    return (
        f"The {len(frame)} matched controls fire in {other[0]:.1f} prompts on average, the "
        f"features that they are matched to in {own[0]:.1f} of {found.kept}; their largest "
        f"activations are {other[1]:.2f} and {own[1]:.2f} on average. What differs here the "
        "comparison cannot tell from the network."
    )


def set_section(found: Stored) -> Section:
    """Show what sets within and between communities do."""
    request = found.request
    blocks: list[Block] = [f"H2: {found.verdict('H2')}."]
    if published.H2_SUPPORTED is False:
        blocks.append("The published study did not find a difference either way.")
    kinds = ("within", "between", "control_set")
    if any(row["kind"] == "within" for row in found.rows("curves")):
        blocks += [
            _curve(found, kinds, found.outcome, normalise=how, name=f"sets-{how}")
            for how in request.normalise
        ]
    h2 = found.rows("h2", metric=found.outcome, unit=request.units[0])
    if h2:
        tests = found.table("h2").num_rows
        names = [f"{row['quantity']}, factor {row['factor']:g}, {row['normalise']}" for row in h2]
        blocks.append(
            bars(
                "within-less-between", names, values=[row["difference"] for row in h2],
                low=[row["low"] for row in h2], high=[row["high"] for row in h2],
                marked=[row["q"] <= request.fdr for row in h2],
                x_label=f"within less between, {NAMES[found.outcome]}",
                caption=Caption(
                    "Sets within communities less sets of the same features between communities; "
                    "'beyond singles' is less the sum of what the features do one by one. 'none' "
                    "is each feature at full strength, 'size' divided by the set's size.",
                    n=f"{h2[0]['n_within']} and {h2[0]['n_between']} sets, {found.steered} prompts",
                    test="permutation of sets within sizes",
                    correction=f"Benjamini-Hochberg over {tests} tests, {request.fdr:g}",
                ),
            )
        )  # fmt: skip
        blocks.append(
            _table(
                found,
                "h2",
                "H2: sets within communities less sets between them; 'shared' says whether the "
                "strength is divided by the set's size.",
                {"quantity": "what", "unit": "unit", "normalise": "shared", "factor": "factor",
                 "metric": "metric", "difference": "difference", "low": "low", "high": "high",
                 "p_permutation": "p", "q": "q", "detectable": "80 % power"},
                first={"factor": request.factor, "unit": request.units[0]},
            )
        )  # fmt: skip
    return Section("H2: do sets within a community act otherwise?", blocks)


def centrality_section(found: Stored) -> Section:
    """Show whether centrality predicts the effect."""
    request = found.request
    own = {"unit": request.units[0], "adjusted": False}
    rows = found.rows("h3", **own, outcome="change")
    beside = [row for row in found.rows("h3", **own) if row["published_r2"] is not None]
    blocks: list[Block] = [f"H3: {found.verdict('H3')}."]
    if beside:
        blocks.append(
            Table(
                "h3_published", pa.Table.from_pylist(beside),
                "Betweenness in the published graph, at the published factors; 'p OLS' is by "
                "regression, as published, p by permutation.",
                columns={"factor": "factor", "outcome": "outcome", "units": "features", "r2": "R2",
                         "r2_low": "low", "r2_high": "high", "published_r2": "published R2",
                         "p_ols": "p OLS", "p_permutation": "p", "q": "q"},
            )
        )  # fmt: skip
    figure = _scatter(found)
    if figure is not None:
        blocks.append(figure)
    if rows:
        blocks.append(
            _table(
                found,
                "h3",
                "H3: every centrality, by permutation of features; 'adjusted' is beyond the "
                "logarithm of the largest activation, and 'slope' for one standard deviation.",
                {"graph": "graph", "measure": "centrality", "outcome": "outcome",
                 "adjusted": "adjusted", "unit": "unit", "factor": "factor",
                 "slope": "slope", "low": "low", "high": "high", "r2": "R2",
                 "p_permutation": "p", "q": "q", "detectable_r": "|r|, 80 % power"},
                first={"factor": request.factor, **own},
            )
        )  # fmt: skip
    return Section("H3: does centrality predict the effect?", blocks)


def _scatter(found: Stored) -> Figure | None:
    """Draw the strongest centrality against the change."""
    request = found.request
    where = {"unit": request.units[0], "factor": request.factor}
    rows = found.rows("h3", **where, adjusted=False, outcome="change")
    if not rows:
        return None
    best = max(rows, key=lambda row: (row["r2"], row["graph"], row["measure"]))
    central = {row["feature"]: row["value"]
               for row in found.rows("centralities", graph=best["graph"],
                                     measure=best["measure"])}  # fmt: skip
    steering, candidates = found.frame("steering"), found.frame("candidates").set_index("prompt")
    part = steering[
        (steering["unit"] == where["unit"]) & (steering["factor"] == where["factor"])
        & (steering["normalise"] == "none")
    ].copy()  # fmt: skip
    names = {row["name"]: row["features"][0] for row in found.rows("units", kind="single")}
    part = part[part["name"].isin(names)]
    before = candidates[found.outcome].reindex(part["prompt"].astype(str)).to_numpy()
    part["change"] = part[found.outcome].to_numpy() - before
    means = part.groupby(part["name"].astype(str))["change"].mean().dropna()
    features = [names[name] for name in means.index]
    points = np.column_stack([[central[f] for f in features], means.to_numpy()])
    slope, intercept = np.polyfit(points[:, 0], points[:, 1], 1)
    extreme = np.argsort(-np.abs(points[:, 1] - points[:, 1].mean()))[:6]
    tests = found.table("h3").num_rows
    return scatter(
        "centrality", points, line=(float(slope), float(intercept)), y_zero=True,
        labels={int(k): found.names[features[k]] for k in extreme},
        x_label=f"{best['measure']} ({best['graph']} graph)",
        y_label=f"change of the {NAMES[found.outcome]}",
        caption=Caption(
            f"The centrality that predicts best at factor {request.factor:g}: R2 {best['r2']:.3f} "
            f"({best['r2_low']:.3f} to {best['r2_high']:.3f}), q {best['q']:.2g}. It was chosen "
            "after looking, so read it with the table.",
            n=f"{len(points)} features, means over {found.steered} prompts",
            test="permutation of features",
            correction=f"Benjamini-Hochberg over {tests} tests, {request.fdr:g}",
        ),
    )  # fmt: skip


def _table(
    found: Stored, name: str, caption: str, columns: dict[str, str], *, first: dict[str, Any]
) -> Block:
    """Show a table of tests, the rows of the verdict's setting first."""
    table = found.table(name)
    if not table.num_columns:
        return Note(f"{caption.split(':', maxsplit=1)[0]} could not be tested.")
    mask = np.ones(table.num_rows, bool)
    for key, value in first.items():
        mask &= pc.equal(table[key], value).to_numpy()
    ordered = pa.concat_tables([table.filter(pa.array(mask)), table.filter(pa.array(~mask))])
    return Table(name, ordered, caption, columns=columns, limit=12)
