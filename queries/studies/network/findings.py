"""What the study says in plain words: verdicts for the graph and for the head of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from queries.followups.evidence_tables import CONCERNS, FINDINGS
from queries.studies.network.steer import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queries.studies.network.trials import Trials

    Row = dict[str, Any]
    Tables = Mapping[str, pa.Table]
    About = list[tuple[int, float | None]]

#: Communities of each way that become findings.
COMMUNITIES = 20


def finding_tables(tables: Tables, trials: Trials) -> dict[str, pa.Table]:
    """Put together the study's findings and the features that they are about.

    Parameters
    ----------
    tables
        All of the study.
    trials
        Names the setting that verdicts are of.

    Returns
    -------
    dict
        ``findings`` and ``concerns``.
    """
    made = [
        (_known(tables["known"].to_pylist()[0], trials.request.keep), []),
        (h1_verdict(tables.get("h1"), trials), _steered(trials)),
        (h2_verdict(tables.get("h2"), trials), []),
        (h3_verdict(tables.get("h3"), trials), []),
        *((row, []) for row in _metrics(tables.get("metric_table"), trials)),
        *_communities(tables, trials),
    ]
    rows = [{**dict.fromkeys(FINDINGS.names), **row, "number": number}
            for number, (row, _) in enumerate(made, start=1)]  # fmt: skip
    concerns = [
        {"finding": number, "feature": f"{trials.request.sae}/{feature}", "value": value,
         "rank": place}
        for number, (_, about) in enumerate(made, start=1)
        for place, (feature, value) in enumerate(about, start=1)
    ]  # fmt: skip
    return {
        "findings": pa.Table.from_pylist(rows, schema=FINDINGS),
        "concerns": pa.Table.from_pylist(concerns, schema=CONCERNS),
    }


def _known(row: Row, keep: str) -> Row:
    return {
        "name": "prompts the model gets right",
        "question": "How often does the right answer rank first in the vocabulary?",
        "test": "none: a share, with Wilson's interval", "unit": "prompt",
        "estimate": row["share"], "low": row["low"], "high": row["high"], "n": row["candidates"],
        "verdict": f"{row['first']} of {row['candidates']} rank first; "
                   f"{row['choice']} are above all their wrong answers; {row['kept']} are kept "
                   f"(keep = {keep!r})",
    }  # fmt: skip


def picked(table: pa.Table | None, **values: Any) -> list[Row]:
    """Return the rows of a table that have these values; none of a table that is not there."""
    if table is None or not table.num_columns:
        return []
    return [row for row in table.to_pylist()
            if all(row[name] == value for name, value in values.items())]  # fmt: skip


def verdict_rows(trials: Trials, h1: pa.Table | None) -> dict[tuple[str, str], Row]:
    """Rows of single features in the verdict's setting, by what against and over what."""
    request = trials.request
    rows = picked(
        h1, kind="single", unit=request.units[0], normalise="none", factor=request.factor,
        metric=trials.outcome,
    )  # fmt: skip
    return {(row["against"], row["over"]): row for row in rows}


def h1_verdict(h1: pa.Table | None, trials: Trials) -> Row:
    """Say whether steering changes performance, and more than steering of controls does."""
    name = "H1: steering changes performance"
    question = "Does steering features of the network change the task's metric?"
    rows, fdr = verdict_rows(trials, h1), trials.request.fdr
    if not rows:
        return _untested(name, question, "there are no two features with controls")
    changes = rows["nothing", "prompts"]
    both = [rows["controls", over] for over in ("prompts", "units")]
    beyond, certain = all(row["q"] <= fdr for row in both), changes["q"] <= fdr
    over = both[1]
    if beyond and certain:
        said = "supported: it changes the metric, and otherwise than matched features do"
    elif certain:
        said = "it changes the metric, but no otherwise than matched features outside do"
    else:
        said = "not supported: no change of the metric was found"
    said += (
        f" (change {changes['difference']:.3g}, difference from controls {over['difference']:.3g}, "
        f"q {both[0]['q']:.2g} over prompts and {over['q']:.2g} over features)"
    )
    return {
        "name": name, "question": question, "unit": "feature, with its matched control",
        "test": "paired sign flips, over prompts and over features; BH", "verdict": said,
        **_numbers(over, statistic="t", estimate="difference"),
    }  # fmt: skip


def h2_verdict(h2: pa.Table | None, trials: Trials) -> Row:
    """Say whether sets within communities act otherwise than sets between them."""
    name = "H2: within a community differs from between"
    question = "Do sets of features from one community act otherwise than from several?"
    request = trials.request
    rows = picked(
        h2, quantity="change", unit=request.units[0], normalise=request.normalise[0],
        factor=request.factor, metric=trials.outcome,
    )  # fmt: skip
    if not rows:
        return _untested(name, question, "there are too few sets of both kinds")
    row = rows[0]
    said = "supported" if row["q"] <= request.fdr else "not supported"
    said += (
        f": within less between is {row['difference']:.3g} ({row['low']:.3g} to {row['high']:.3g}, "
        f"q {row['q']:.2g}); a difference of {row['detectable']:.3g} would be found 4 times of 5"
    )
    number = row["n_within"] + row["n_between"]
    return {
        "name": name, "question": question, "unit": "set", "verdict": said,
        "test": "permutation of sets within sizes; BH",
        **_numbers({**row, "n": number}, statistic="t", estimate="difference"),
    }  # fmt: skip


def h3_verdict(h3: pa.Table | None, trials: Trials) -> Row:
    """Say whether a centrality predicts what steering does."""
    name = "H3: centrality predicts the effect"
    question = "Does a feature's centrality predict what steering it does?"
    request = trials.request
    rows = picked(h3, unit=request.units[0], factor=request.factor, adjusted=False)
    if not rows:
        return _untested(name, question, "there are too few features, or no edges")
    best = min(rows, key=lambda row: (row["q"], -row["r2"], row["graph"], row["measure"]))
    good = sorted({f"{row['measure']} ({row['graph']} graph, {row['outcome']})" for row in rows
                   if row["q"] <= request.fdr})  # fmt: skip
    said = f"supported by {', '.join(good)}" if good else "not supported"
    said += (
        f"; the strongest is {best['measure']} of the {best['graph']} graph with R2 "
        f"{best['r2']:.3f} ({best['r2_low']:.3f} to {best['r2_high']:.3f}, q {best['q']:.2g}); "
        f"an R2 of {best['detectable_r'] ** 2:.3f} would be found 4 times of 5"
    )
    return {
        "name": name, "question": question, "unit": "feature", "verdict": said,
        "test": "permutation of features; BH over measures, graphs, factors and outcomes",
        "statistic": best["r2"], "estimate": best["slope"], "low": best["low"],
        "high": best["high"], "p": best["p_permutation"], "q": best["q"], "n": best["units"],
    }  # fmt: skip


def _metrics(table: pa.Table | None, trials: Trials) -> list[Row]:
    """Return a finding for each metric over the communities of the chosen grouping."""
    found = []
    for row in picked(table, grouping=trials.request.grouping):
        differs = row["q"] <= trials.request.fdr
        found.append(
            {
                "name": f"{row['metric']} over communities",
                "question": f"Do communities differ in the {row['metric']} of their features?",
                "test": "analysis of variance, permutation p; BH over metrics", "unit": "feature",
                "statistic": row["f"], "estimate": row["eta_squared"], "low": row["eta_low"],
                "high": row["eta_high"], "p": row["p_permutation"], "q": row["q"], "n": row["n"],
                "verdict": f"{'they differ' if differs else 'no difference found'} (F "
                           f"{row['f']:.2f}, eta squared {row['eta_squared']:.2f}, {row['k']} "
                           "communities)",
            }
        )  # fmt: skip
    return found


def _communities(
    tables: Tables, trials: Trials
) -> list[tuple[Row, list[tuple[int, float | None]]]]:
    """Return a finding for each community of the chosen grouping, with its members."""
    way = trials.request.grouping
    features = tables["features"].to_pylist()
    found = []
    for row in picked(tables["communities"], way=way)[:COMMUNITIES]:
        members = [one for one in features if one[way] == row["community"]]
        members.sort(key=lambda one: (-(one["stay"] or 0.0), one["feature"]))
        about = [(one["feature"], one["stay"] if way == "signed" else None) for one in members]
        verdict = (
            f"{row['features']} features, {'stable' if row['stable'] else 'not stable'} (mean "
            f"Jaccard {row['recovery']:.2f} over bootstraps), {row['positive_inside']} positive "
            f"and {row['negative_inside']} negative edges inside"
        )
        found.append(
            (
                {
                    "name": f"community {row['community']}",
                    "question": "Which features' attributions rise and fall together?",
                    "test": "none: recovery over bootstraps of the prompts", "unit": "bootstrap",
                    "estimate": row["recovery"], "n": row["features"], "verdict": verdict,
                },
                about,
            )
        )  # fmt: skip
    return found


def _steered(trials: Trials) -> About:
    """Return the steered features by falling change of the metric."""
    request = trials.request
    names = [one.name for one in trials.units if one.kind == "single"]
    setting = Setting(request.units[0], "none", request.factor)
    changes = trials.changes(names, setting, trials.outcome).mean(axis=1)
    fine = [k for k in range(len(names)) if np.isfinite(changes[k])]
    order = sorted(fine, key=lambda k: (-abs(changes[k]), int(names[k])))
    return [(int(names[k]), float(changes[k])) for k in order]


def _numbers(row: Row, *, statistic: str, estimate: str) -> Row:
    return {
        "statistic": row[statistic], "estimate": row[estimate], "low": row["low"],
        "high": row["high"], "p": row["p_permutation"], "q": row["q"], "n": row["n"],
    }  # fmt: skip


def _untested(name: str, question: str, why: str) -> Row:
    return {"name": name, "question": question, "verdict": f"not tested: {why}"}


def notes_of(findings: Sequence[Row]) -> list[str]:
    """Return the findings' verdicts on the hypotheses as notes, with what a reader must know."""
    first = [row["verdict"] for row in findings[:1]]
    return first + [f"{row['name']}: {row['verdict']}" for row in findings[1:4]]
