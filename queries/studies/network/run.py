"""A network study, from its prompts to verdicts: the whole of it, stage by stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from atlas.progress import Reporter, SilentReporter
from queries.followups.evidence import evidence
from queries.followups.preflight import preflight, preflight_table
from queries.studies.builds import CorpusFigures, corpus
from queries.studies.network.attributions import activity_table, attribution_tables
from queries.studies.network.choose import (
    make_sets,
    matched_controls,
    read_units,
    singles,
    spread_evenly,
    unit_table,
    with_controls,
)
from queries.studies.network.findings import finding_tables, notes_of
from queries.studies.network.hypotheses import h1, h1_features, h2, h3
from queries.studies.network.outcomes import Outcomes, curve_table, graph_tables
from queries.studies.network.prompts import (
    FEW,
    candidate_table,
    kept_prompts,
    known_table,
    tasks_of,
)
from queries.studies.network.request import METRICS, NetworkRequest
from queries.studies.network.steer import Steering, sweeps, takes_part
from queries.studies.network.structure import structure_tables
from queries.studies.network.trials import Trials
from queries.studies.stages import Stages, stages

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from queries.followups.evidence import Evidence
    from queries.followups.lab import Lab

    Tables = dict[str, pa.Table]

__all__ = ["NetworkRequest", "run"]


def run(
    lab: Lab,
    request: NetworkRequest,
    *,
    reporter: Reporter | None = None,
    builds: Mapping[str, Path] | None = None,
    work: str | Path | None = None,
) -> Evidence:
    """Find a task's features, join them into a graph, and test what steering along it does.

    Parameters
    ----------
    lab
        The model, in float32, and the SAE.
    request
        What is asked.
    reporter
        Told of each stage.
    builds
        Run id to build folder; by default builds lie in the atlas's home.
    work
        Folder for finished stages, so that a killed study goes on where it was; by default a
        temporary one.

    Returns
    -------
    Evidence
        Of the graph ``interventions``, ``on``, ``effects``, ``findings`` and ``concerns``. Of its
        own: ``candidates`` and ``known`` (prompts), ``attributions``, ``counts`` and ``splits``,
        ``activity`` (where features fire), ``features`` (metrics and communities), ``edges``,
        ``networks`` (by aggregation), ``communities``, ``modularity``, ``stability``,
        ``centralities``, ``metric_table``, ``null`` (a null that keeps degrees), ``units`` (what
        was steered), ``steering`` (a row a unit, factor and prompt), ``curves``, ``balance`` (how
        alike controls are), ``graph_units``, ``h1``, ``h1_features``, ``h2``, ``h3`` and
        ``preflight``. What could not be computed is not there.

    Raises
    ------
    CorpusError
        Prompts cannot be used, or too few are kept.
    UsageError, NotFoundError, ArtifactError, ModelError
        The request does not fit the SAE, model or builds.
    """
    told = reporter or SilentReporter()
    figures = corpus(request.builds, request.sae, lab=lab, builds=builds)
    lab.sae(request.sae)
    with stages(work, request=request, lab=lab, reporter=told) as stage:
        tables, notes = _Study(lab, request, figures, stage, told).run()
    there = {name: table for name, table in tables.items() if table.num_columns}
    return evidence(lab, request, prompts=request.prompts, tables=there, notes=notes)


@dataclass(frozen=True)
class _Study:
    lab: Lab
    request: NetworkRequest
    corpus: CorpusFigures | None
    stage: Stages
    told: Reporter

    def run(self) -> tuple[Tables, list[str]]:
        tables = dict(self.stage("prompts", self._prompts))
        notes = tables.pop("notes")["note"].to_pylist()
        self.told.note(_first_line(tables))
        texts = kept_prompts(tables["candidates"])
        tables |= self.stage(
            "attributions",
            lambda: attribution_tables(self.lab, self.request, texts, reporter=self.told),
        )
        tables |= self.stage(
            "activity",
            lambda: {
                "activity": activity_table(self.lab, self.request.sae, texts, corpus=self.corpus)
            },
        )
        tables |= self.stage("structure", lambda: structure_tables(tables, self.request))
        notes += tables.pop("structure_notes")["note"].to_pylist()
        tables |= self.stage("units", lambda: self._units(tables))
        notes += tables.pop("unit_notes")["note"].to_pylist()
        steering = self._steering(tables)
        tables |= self.stage("preflight", lambda: self._preflight(steering))
        tables["steering"] = steering.run(self.stage, self.told)
        outcomes = self._outcomes(tables, steering)
        tables |= self.stage("hypotheses", lambda: self._hypotheses(tables, steering, outcomes))
        tables |= graph_tables(steering, outcomes)
        trials = Trials(self.request, steering.units, outcomes)
        tables |= finding_tables(tables, trials)
        found = tables["findings"].to_pylist()
        return tables, [*notes_of(found), *notes]

    def _prompts(self) -> Tables:
        candidates, notes = candidate_table(self.lab, self.request)
        known = known_table(candidates)
        kept = known["kept"][0].as_py()
        if kept < FEW:
            notes.append(
                f"{kept} prompts are few: {FEW} or more find moderate correlations; edges that are "
                "missing here may be there"
            )
        if self.request.keep != "first":
            row = known.to_pylist()[0]
            notes.append(
                "prompts are kept whose answer need not rank first, unlike in the published study; "
                f"{row['choice']} of {row['candidates']} are above all wrong answers, guessing "
                f"would give {row['chance'] * row['candidates']:.0f}"
            )
        return {"candidates": candidates, "known": known, "notes": _lines(notes)}

    def _units(self, tables: Tables) -> Tables:
        """Choose what is steered."""
        request, features = self.request, tables["features"]
        index = features["feature"].to_numpy()
        labels = features[request.grouping].to_numpy()
        chosen = spread_evenly(labels, request.steered_features, seed=request.seed)
        steered = singles(index[chosen], labels[chosen])
        sets, notes = make_sets(
            index[chosen], labels[chosen], sizes=request.set_sizes, number=request.sets,
            seed=request.seed,
        )  # fmt: skip
        edges = tables["edges"]
        linked = np.union1d(edges["source"].to_numpy(), edges["target"].to_numpy())
        activity = tables["activity"]
        pool = np.setdiff1d(activity["feature"].to_numpy(), linked)
        controls = matched_controls(index[chosen], pool, activity=activity, seed=request.seed)
        units, lacking = with_controls([*steered, *sets], controls)
        if self.corpus is None:
            notes.append(
                "no build tells of a corpus: the largest activation of a feature is that in the "
                "prompts"
            )
        return {
            "units": unit_table(units),
            "balance": _balance(controls, activity),
            "unit_notes": _lines(notes + lacking),
        }

    def _steering(self, tables: Tables) -> Steering:
        activity = tables["activity"].to_pandas()
        largest = activity[["maximum", "corpus_maximum"]].max(axis=1)
        maximum = dict(zip(activity["feature"].tolist(), largest.tolist(), strict=True))
        fixed = self.request.fixed_maximum
        if fixed is None:
            fixed = float(np.median(tables["features"]["maximum"].to_numpy()))
        prompts = tasks_of(self.lab, kept_prompts(tables["candidates"], only="steered"))
        units = read_units(tables["units"])
        return Steering(self.lab, self.request, units, prompts, maximum, fixed)

    def _preflight(self, steering: Steering) -> Tables:
        arms = [
            (steering.made(one, way),)
            for way in sweeps(self.request) for one in steering.units if takes_part(one, way)
        ]  # fmt: skip
        tokens = [prompt.tokens for prompt in steering.prompts]
        return {"preflight": preflight_table(preflight(self.lab.engine, tokens, arms))}

    def _outcomes(self, tables: Tables, steering: Steering) -> Outcomes:
        import pyarrow.compute as pc

        steered = tables["candidates"].filter(pc.field("steered"))
        baseline = {name: steered[name].to_numpy() for name in METRICS}
        ids = [prompt.id for prompt in steering.prompts]
        return Outcomes(tables["steering"], baseline=baseline, prompts=ids)

    def _hypotheses(self, tables: Tables, steering: Steering, outcomes: Outcomes) -> Tables:
        trials = Trials(self.request, steering.units, outcomes)
        central: dict[str, dict[int, float]] = {}
        for row in tables["centralities"].to_pylist():
            of = central.setdefault(f"{row['graph']} {row['measure']}", {})
            of[row["feature"]] = row["value"]
        return {
            "curves": curve_table(outcomes, steering.units, self.request),
            "h1": h1(trials),
            "h1_features": h1_features(trials),
            "h2": h2(trials),
            "h3": h3(trials, central, maximum=steering.maximum),
        }


def _lines(notes: list[str]) -> pa.Table:
    return pa.table({"note": pa.array(notes, pa.string())})


def _first_line(tables: Tables) -> str:
    row = tables["known"].to_pylist()[0]
    return (
        f"{row['first']} of {row['candidates']} prompts are right ({100 * row['share']:.1f} %, "
        f"{100 * row['low']:.1f} to {100 * row['high']:.1f}); {row['kept']} are kept"
    )


def _balance(controls: dict[int, int], activity: pa.Table) -> pa.Table:
    """Say how alike controls are to what they are matched to: a row a pair."""
    index = activity["feature"].to_numpy()
    own, others = np.array([*controls], np.int64), np.array([*controls.values()], np.int64)
    sides = {"": own, "control_": others}
    columns = {}
    for name, features in sides.items():
        rows = np.searchsorted(index, features)
        columns[f"{name}feature"] = features
        for what in ("prompts", "maximum"):
            columns[f"{name}{what}"] = activity[what].to_numpy()[rows]
    return pa.table(columns)
