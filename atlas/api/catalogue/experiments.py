"""The catalogue's queries about experiments, a method each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atlas.api.asking import Asking

if TYPE_CHECKING:
    from atlas.api.asking import FeatureName, RunName
    from atlas.api.objects import Features
    from atlas.api.table import Table
    from atlas.graph.reader import Row


class ExperimentsPart(Asking):
    """Queries about experiments."""

    def affects(
        self,
        feature: FeatureName,
        *,
        metric: str | None = None,
        max_q: float = 1.0,
        limit: int = 20,
    ) -> Features:
        """Ask for "Affected features".

        Features that an intervention on a feature was measured to change, largest change first.

        Parameters
        ----------
        feature
            Key of the feature.
        metric
            Only this metric.
        max_q
            Largest false discovery rate; below 1, untested changes are left out. From 0 to 1.
        limit
            Most rows. From 1 to 10000.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``metric``, ``change``, ``low``, ``high``,
            ``p``, ``q``, ``prompts``, ``kind``, ``mode``, ``strength``, ``unit``, ``features``,
            ``intervention``, ``run``.
        """
        found: Features = self._ask(
            "affects", feature=feature, metric=metric, max_q=max_q, limit=limit
        )
        return found

    def causes(
        self,
        feature: FeatureName,
        *,
        metric: str | None = None,
        max_q: float = 1.0,
        limit: int = 20,
    ) -> Features:
        """Ask for "Causes".

        Features whose intervention was measured to change a feature, largest change first.

        Parameters
        ----------
        feature
            Key of the feature.
        metric
            Only this metric.
        max_q
            Largest false discovery rate; below 1, untested changes are left out. From 0 to 1.
        limit
            Most rows. From 1 to 10000.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``metric``, ``change``, ``low``, ``high``,
            ``p``, ``q``, ``prompts``, ``kind``, ``mode``, ``strength``, ``unit``, ``features``,
            ``intervention``, ``run``.
        """
        found: Features = self._ask(
            "causes", feature=feature, metric=metric, max_q=max_q, limit=limit
        )
        return found

    def circuit(self, circuit: str, *, limit: int = 100) -> Row:
        """Ask for "Circuit".

        One imported attribution graph: its features that the database has and the links between
        them, with what reaches them from tokens and errors and what they give to the answer.

        Parameters
        ----------
        circuit
            Key of the graph.
        limit
            Most features and most links to list. From 1 to 10000.

        Returns
        -------
        Row
            Columns ``key``, ``prompt``, ``prompt_tokens``, ``logits``, ``features``, ``links``,
            ``matched``, ``stored``, ``nodes``, ``saes``, ``source``, ``digest``, ``run``.
        """
        found: Row = self._ask("circuit", circuit=circuit, limit=limit)
        return found

    def circuits(self, *, run: RunName | None = None, limit: int = 50) -> Table:
        """Ask for "Circuits".

        Attribution graphs of single prompts that were imported from circuit-tracer, and how much of
        them are features of the database.

        Parameters
        ----------
        run
            Only graphs joined to the features of this run.
        limit
            Most rows. From 1 to 10000.

        Returns
        -------
        Table
            Columns ``key``, ``slug``, ``scan``, ``prompt``, ``answer``, ``probability``, ``nodes``,
            ``features``, ``matched``, ``links``, ``stored``, ``errors``, ``saes``, ``source``,
            ``digest``, ``run``.
        """
        found: Table = self._ask("circuits", run=run, limit=limit)
        return found

    def co_attributed(
        self,
        feature: FeatureName,
        *,
        prompt_set: str | None = None,
        metric: str | None = None,
        limit: int = 20,
    ) -> Features:
        """Ask for "Co-attributed features".

        Features whose contributions to the answer rise and fall with those of a feature over the
        prompts of a task, strongest correlation first.

        Parameters
        ----------
        feature
            Key of the feature.
        prompt_set
            Only over this prompt set.
        metric
            Only contributions to this metric.
        limit
            Most rows. From 1 to 10000.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``r``, ``r_low``, ``r_high``,
            ``r_spearman``, ``sign``, ``p``, ``q``, ``stability``, ``prompts``, ``n_both``,
            ``metric``, ``aggregation``, ``prompt_set``, ``run``.
        """
        found: Features = self._ask(
            "co_attributed", feature=feature, prompt_set=prompt_set, metric=metric, limit=limit
        )
        return found

    def effects(
        self,
        feature: FeatureName,
        *,
        metric: str | None = None,
        prompts: bool = False,
        limit: int = 50,
    ) -> Table:
        """Ask for "Effects".

        Everything measured when a feature was intervened on, by metric, largest change first.

        Parameters
        ----------
        feature
            Key of the feature.
        metric
            Only this metric.
        prompts
            Also effects on single prompts, beside those over all of a set.
        limit
            Most rows. From 1 to 10000.

        Returns
        -------
        Table
            Columns ``metric``, ``target``, ``change``, ``baseline``, ``value``, ``low``, ``high``,
            ``p``, ``q``, ``prompts``, ``prompt``, ``kind``, ``mode``, ``strength``, ``unit``,
            ``positions``, ``features``, ``effect``, ``intervention``, ``run``.
        """
        found: Table = self._ask(
            "effects", feature=feature, metric=metric, prompts=prompts, limit=limit
        )
        return found

    def evidence(self, a: FeatureName, b: FeatureName, *, max_q: float = 0.05) -> Row:
        """Ask for "Evidence".

        What joins two features statistically beside what interventions on the one were measured to
        change in the other. The verdict asks only whether a change passes, not whether its sign is
        the expected one, which depends on the intervention: read change with kind and strength.

        Parameters
        ----------
        a
            Key of one feature.
        b
            Key of the other.
        max_q
            Largest false discovery rate of a change that confirms. From 0 to 1.

        Returns
        -------
        Row
            Columns ``a``, ``b``, ``a_label``, ``b_label``, ``verdict``, ``co_occurs``, ``feeds``,
            ``implies``, ``co_attributed``, ``affects``, ``a_to_b``, ``b_to_a``.
        """
        found: Row = self._ask("evidence", a=a, b=b, max_q=max_q)
        return found

    def explanations(self, *, feature: FeatureName | None = None, limit: int = 20) -> Table:
        """Ask for "Explanations of predictions".

        How much each token, feature or community gave to what the model said of a prompt, or to the
        activation of a feature (Shapley values), newest first.

        Parameters
        ----------
        feature
            Only those that credit this feature, or that are of its activation.
        limit
            Most rows. From 1 to 10000.

        Returns
        -------
        Table
            Columns ``key``, ``method``, ``players``, ``metric``, ``target``, ``of``, ``prompt``,
            ``base``, ``value``, ``credits``, ``share``, ``run``.
        """
        found: Table = self._ask("explanations", feature=feature, limit=limit)
        return found

    def findings(
        self, *, feature: FeatureName | None = None, run: str | None = None, limit: int = 50
    ) -> Table:
        """Ask for "Findings of studies".

        What studies found: each question with its test, estimate, interval and verdict, and the
        features that it concerns, newest study first.

        Parameters
        ----------
        feature
            Only findings that concern this feature.
        run
            Only those of this study.
        limit
            Most rows. From 1 to 10000.

        Returns
        -------
        Table
            Columns ``key``, ``name``, ``question``, ``verdict``, ``test``, ``unit``, ``statistic``,
            ``estimate``, ``low``, ``high``, ``p``, ``q``, ``n``, ``concerns``, ``features``,
            ``value``, ``run``.
        """
        found: Table = self._ask("findings", feature=feature, run=run, limit=limit)
        return found

    def intervention(self, intervention: str, *, limit: int = 50) -> Row:
        """Ask for "Intervention".

        Everything about one intervention: what was done to which features, with what parameters,
        and all that it changed.

        Parameters
        ----------
        intervention
            Key of the intervention.
        limit
            Most features, effects and affected features to list, of each. From 1 to 10000.

        Returns
        -------
        Row
            Columns ``key``, ``kind``, ``mode``, ``strength``, ``unit``, ``positions``,
            ``features``, ``on``, ``effects``, ``affects``, ``parameters``, ``seed``, ``model``,
            ``created``, ``run``, ``versions``.
        """
        found: Row = self._ask("intervention", intervention=intervention, limit=limit)
        return found

    def interventions(
        self,
        *,
        feature: FeatureName | None = None,
        kind: Literal["add", "clamp", "scale", "ablate", "project", "patch", "several"]
        | None = None,
        limit: int = 20,
    ) -> Table:
        """Ask for "Interventions".

        Interventions on features of the model, newest first: what was done to which features, and
        the strongest thing that it changed.

        Parameters
        ----------
        feature
            Only interventions on this feature.
        kind
            Only interventions of this kind.
        limit
            Most rows. From 1 to 10000.

        Returns
        -------
        Table
            Columns ``key``, ``kind``, ``mode``, ``strength``, ``unit``, ``positions``,
            ``features``, ``on``, ``effects``, ``affected``, ``strongest``, ``model``, ``seed``,
            ``created``, ``run``.
        """
        found: Table = self._ask("interventions", feature=feature, kind=kind, limit=limit)
        return found

    def prompt_sets(self, *, limit: int = 100) -> Table:
        """Ask for "Prompt sets".

        The sets of prompts of attributions and experiments, with the runs that used them.

        Parameters
        ----------
        limit
            Most rows. From 1 to 10000.

        Returns
        -------
        Table
            Columns ``key``, ``prompts``, ``mean_score``, ``runs``, ``digest``.
        """
        found: Table = self._ask("prompt_sets", limit=limit)
        return found

    def prompts(self, prompt_set: str, *, limit: int = 50) -> Table:
        """Ask for "Prompts".

        The prompts of a set with their answers and scores, in the order of their ids.

        Parameters
        ----------
        prompt_set
            Name of the set.
        limit
            Most rows. From 1 to 10000.

        Returns
        -------
        Table
            Columns ``key``, ``prompt``, ``answer``, ``foils``, ``score``, ``tokens``, ``effects``.
        """
        found: Table = self._ask("prompts", prompt_set=prompt_set, limit=limit)
        return found

    def tested_edges(
        self,
        *,
        feature: FeatureName | None = None,
        relation: Literal["CO_OCCURS", "FEEDS", "IMPLIES", "CO_ATTRIBUTED", "SIMILAR_TO"]
        | None = None,
        max_q: float = 0.05,
        passed: bool = False,
        limit: int = 50,
    ) -> Table:
        """Ask for "Tested edges".

        Statistical relations between features for which an intervention on the one measured the
        other: which edges have been tested, and which passed.

        Parameters
        ----------
        feature
            Only edges of this feature.
        relation
            Only edges of this type.
        max_q
            Largest false discovery rate of a change that passes. From 0 to 1.
        passed
            Only edges with a change that passes.
        limit
            Most rows. From 1 to 10000.

        Returns
        -------
        Table
            Columns ``source``, ``target``, ``source_label``, ``target_label``, ``relations``,
            ``tested``, ``passed``, ``change``, ``metric``, ``q``, ``intervention``.
        """
        found: Table = self._ask(
            "tested_edges",
            feature=feature,
            relation=relation,
            max_q=max_q,
            passed=passed,
            limit=limit,
        )
        return found
