"""A study of a concept, from its prompts to causes: the whole of it, stage by stage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from atlas.progress import Reporter, SilentReporter
from queries.followups.evidence import evidence
from queries.studies.builds import CorpusFigures, corpus
from queries.studies.concept.activations import Firing, activation_tables
from queries.studies.concept.contrasts import confirmed, contrast_tables, primary
from queries.studies.concept.feature_shap import feature_shap
from queries.studies.concept.filtering import (
    asked,
    next_tokens,
    prompt_table,
    token_shap,
    with_target,
)
from queries.studies.concept.findings import finding_tables
from queries.studies.concept.heads import head_tables
from queries.studies.concept.joining import joined, popped
from queries.studies.concept.labels import fires_on
from queries.studies.concept.links import link_table
from queries.studies.concept.maps import map_tables
from queries.studies.concept.matching import control_sets, control_table
from queries.studies.concept.notes import study_notes
from queries.studies.concept.patched import patch_tables
from queries.studies.concept.request import ConceptRequest
from queries.studies.concept.setting import Setting
from queries.studies.concept.steered import steering_tables
from queries.studies.concept.steering_sets import concept_words, sets_of
from queries.studies.concept.subgraph import subgraph_tables
from queries.studies.concept.weights import rates, token_table, weight_summary, weight_tables
from queries.studies.stages import Stages, stages

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from queries.followups.evidence import Evidence
    from queries.followups.lab import Lab, TaskPrompt

__all__ = ["ConceptRequest", "run"]

#: Prompts that are explained in one stage: a killed study begins one anew.
TOGETHER = 20


def run(
    lab: Lab,
    request: ConceptRequest,
    *,
    reporter: Reporter | None = None,
    builds: Mapping[str, Path] | None = None,
    work: str | Path | None = None,
) -> Evidence:
    """Find a concept's features on half of the prompts, hold them to the rest, and test causes.

    Parameters
    ----------
    lab
        The model and its SAEs.
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
        Of the graph ``interventions``, ``on``, ``effects``, ``explanations``, ``findings`` and
        ``concerns``; of its own
        ``prompt_rows``, ``activations``, ``contrast``, ``confirmation``, ``top_features``,
        ``fires_on``, ``logit_weights``, ``weight_ends``, ``weight_summary``, ``tokens``,
        ``groups``, ``group_choices``, ``patches``, ``patch_summary``, ``term_heads``,
        ``head_features``, ``head_pictures``, ``players``, ``subgraph_nodes``, ``subgraph_edges``,
        ``subgraph_summary``, ``words``, ``controls``, ``steering``, ``steering_rows`` and
        ``links``. All indices, of features, layers, heads and tokens, are from 0.

    Raises
    ------
    UsageError, NotFoundError, CorpusError, ArtifactError
        The request does not fit the SAEs, prompts or builds; what and why.
    ModelError
        The engine fails its preflight, or an outcome is not finite.
    """
    setting = Setting.of(lab, request)
    told = reporter or SilentReporter()
    found = {
        key: figures
        for key in request.saes
        if (figures := corpus(request.builds, key, lab=lab, builds=builds)) is not None
    }
    with stages(work, request=request, lab=lab, reporter=told) as stage:
        study = _Study(setting, stage, found, told)
        tables, notes = study.tables()
    return evidence(lab, request, prompts=request.prompts, tables=tables, notes=notes)


@dataclass(frozen=True)
class _Study:
    setting: Setting
    stage: Stages
    corpora: Mapping[str, CorpusFigures]
    told: Reporter

    def tables(self) -> tuple[dict[str, pa.Table], list[str]]:
        """Run all stages; return the tables and the notes."""
        parts = [*self._shap(), self.known, self.contrast]
        parts += [self._weights(), self._names(), self._maps(), self._subgraph()]
        notes = [*self.setting.notes, *popped(self.contrast, "notes")]
        if any(self.features.values()):
            patched = self._patching()
            notes += popped(patched, "patch_notes")
            parts += [patched, self._heads(), self._feature_shap(), self._steering(notes)]
        else:
            notes.append("no feature is confirmed, so nothing is patched or steered")
        notes += study_notes(
            self.setting,
            selection=self.selection,
            corpora=self.corpora,
            positions=self.known["positions"],
        )
        tables = joined(parts)
        return {**tables, **finding_tables(tables, self.setting.request)}, notes

    # Prompts and what fires in them

    @cached_property
    def next(self) -> pa.Table:
        return self.stage("next", lambda: next_tokens(self.setting))["next"]

    @cached_property
    def _explained(self) -> list[dict[str, pa.Table]]:
        numbers = asked(self.setting)
        return [
            self.stage(
                f"tokens-{first // TOGETHER}",
                lambda first=first: token_shap(  # type: ignore[misc]
                    self.setting, numbers[first : first + TOGETHER], self.next, reporter=self.told
                ),
            )
            for first in range(0, len(numbers), TOGETHER)
        ]

    def _shap(self) -> list[dict[str, pa.Table]]:
        return [{"explanations": part["explanations"]} for part in self._explained]

    @cached_property
    def known(self) -> dict[str, pa.Table]:
        """Prompts and activations."""
        tables = {"next": self.next}
        if self._explained:
            tables["ranks"] = pa.concat_tables([part["ranks"] for part in self._explained])
        found = self.stage(
            "activations", lambda: activation_tables(self.setting, reporter=self.told)
        )
        return {"prompt_rows": prompt_table(self.setting, tables), **found}

    @cached_property
    def firing(self) -> dict[str, Firing]:
        return {
            key: Firing.of(self.known, key, width=self.setting.lab.sae(key).d_sae)
            for key in self.setting.request.saes
        }

    # Features

    @cached_property
    def contrast(self) -> dict[str, pa.Table]:
        return self.stage("contrast", lambda: contrast_tables(self.setting, self.known))

    @cached_property
    def selection(self) -> str:
        return primary(self.contrast["contrast"], self.setting.request)

    def confirmed(self, most: int) -> dict[str, list[int]]:
        """Return the first confirmed features of each SAE."""
        table, selection = self.contrast["contrast"], self.selection
        return {
            key: [k for _, k in confirmed(table, selection=selection, sae=key, most=most)]
            for key in self.setting.request.saes
        }

    @cached_property
    def features(self) -> dict[str, list[int]]:
        """Features that are intervened on."""
        return self.confirmed(self.setting.request.causes.features)

    @cached_property
    def listed(self) -> dict[str, list[int]]:
        """Features whose tokens are listed: the confirmed ones, and those of the list."""
        found = self.confirmed(self.setting.request.maps.features)
        for row in self.contrast["top_features"].select(["sae", "index"]).to_pylist():
            if row["index"] not in found[row["sae"]]:
                found[row["sae"]].append(row["index"])
        return found

    def _weights(self) -> dict[str, pa.Table]:
        parts = []
        for place, key in enumerate(self.setting.request.saes):
            rate, source = rates(self.firing[key], self.corpora.get(key))
            parts.append(
                self.stage(
                    f"weights-{place}",
                    lambda key=key, rate=rate, source=source: weight_tables(  # type: ignore[misc]
                        self.setting, key, rate=rate, source=source, reporter=self.told
                    ),
                )
            )
        found = joined(parts)
        every = self.confirmed(len(self.contrast["contrast"]))
        found["weight_summary"] = weight_summary(found["logit_weights"], every)
        ends = found["weight_ends"].select(["sae", "index"]).to_pylist()
        wanted = {
            key: list(dict.fromkeys([*some, *(row["index"] for row in ends if row["sae"] == key)]))
            for key, some in self.listed.items()
        }
        tokens = self.stage("tokens", lambda: {"tokens": token_table(self.setting, wanted)})
        return {**found, **tokens}

    def _names(self) -> dict[str, pa.Table]:
        return {
            "fires_on": fires_on(self.setting, self.known["activations"], self.listed),
            "links": link_table(self.setting, self.confirmed(self.setting.request.top)),
        }

    def _maps(self) -> dict[str, pa.Table]:
        mapped = self.confirmed(self.setting.request.maps.features)
        return joined(
            [
                self.stage(
                    f"maps-{place}",
                    lambda key=key: map_tables(self.setting, key, mapped[key]),  # type: ignore[misc]
                )
                for place, key in enumerate(self.setting.request.saes)
            ]
        )

    def _subgraph(self) -> dict[str, pa.Table]:
        mapped = self.confirmed(self.setting.request.maps.features)
        return self.stage(
            "subgraph",
            lambda: subgraph_tables(self.setting, mapped, firing=self.firing, corpora=self.corpora),
        )

    # Causes

    @cached_property
    def targets(self) -> list[TaskPrompt]:
        """Prompts with the token that they are scored on: the answer, else the likeliest."""
        return with_target(self.setting, self.next, of="answer")

    @cached_property
    def controls(self) -> pa.Table:
        """Random features that are like those that are intervened on."""
        return control_table(
            self.setting,
            self.features,
            firing=self.firing,
            contrast=self.contrast["contrast"],
            selection=self.selection,
        )

    def _patching(self) -> dict[str, pa.Table]:
        keys = {sae: [f"{sae}/{k}" for k in index] for sae, index in self.features.items() if index}
        sets = {f"features of {sae}": some for sae, some in keys.items()}
        if len(keys) > 1:
            sets["features of all SAEs"] = [key for some in keys.values() for key in some]
        sets |= control_sets(self.controls, self.features)
        sets |= {key: [key] for some in keys.values() for key in some}
        return self.stage(
            "patching",
            lambda: patch_tables(self.setting, sets, self.targets, reporter=self.told),
        )

    def _heads(self) -> dict[str, pa.Table]:
        return self.stage(
            "attention", lambda: head_tables(self.setting, self.features, reporter=self.told)
        )

    def _feature_shap(self) -> dict[str, pa.Table]:
        return self.stage(
            "features",
            lambda: feature_shap(self.setting, self.features, self.targets, reporter=self.told),
        )

    def _steering(self, notes: list[str]) -> dict[str, pa.Table]:
        words = concept_words(self.setting, self.next)
        if not words.num_rows:
            notes.append("there are no words of the concept, so nothing is steered")
            return {"words": words}
        if not self.controls.num_rows:
            notes.append("there are no controls to hold features against, so nothing is steered")
            return {"words": words}
        sets = sets_of(self.setting, self.features, self.controls)
        found = self.stage(
            "steering",
            lambda: steering_tables(self.setting, sets, words, reporter=self.told),
        )
        return {"words": words, "controls": self.controls, **found}
