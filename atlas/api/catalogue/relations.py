"""The catalogue's queries about relations, a method each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atlas.api.asking import Asking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.api.asking import FeatureName, RunName
    from atlas.api.objects import Features
    from atlas.api.table import Table


class RelationsPart(Asking):
    """Queries about relations."""

    def absorptions(self, *, limit: int = 20, run: RunName | None = None) -> Table:
        """Ask for "Absorptions".

        Pairs where the rarer feature's decoder vector points along the other's, but the other stays
        silent where it fires: it may have absorbed part of it. Reads all implications.

        Parameters
        ----------
        limit
            Most rows. From 1 to 10000.
        run
            Only edges of this run.

        Returns
        -------
        Table
            Columns ``specific``, ``specific_label``, ``general``, ``general_label``, ``cosine``,
            ``n``, ``p_general_given_specific``, ``lift``, ``p``, ``q``, ``run``.
        """
        found: Table = self._ask("absorptions", limit=limit, run=run)
        return found

    def confounded_edges(
        self,
        *,
        kind: Literal["token", "topic", "exclusive"] = "token",
        limit: int = 20,
        min_share: float = 0.5,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Confounded edges".

        Edges whose excess of joint firings is largely what both features' taste for the same
        positions after BOS gives, so likely artefacts. Reads all edges.

        Parameters
        ----------
        kind
            Kind of co-occurrence.
        limit
            Most rows. From 1 to 10000.
        min_share
            Least share of the excess that positions alone explain. From 0 to 1.
        run
            Only edges of this run.

        Returns
        -------
        Table
            Columns ``source``, ``source_label``, ``target``, ``target_label``, ``position_share``,
            ``n``, ``expected``, ``npmi``, ``phi``, ``phi_within``, ``q``, ``mutual``, ``run``.
        """
        found: Table = self._ask(
            "confounded_edges", kind=kind, limit=limit, min_share=min_share, run=run
        )
        return found

    def edges_among(
        self,
        features: Sequence[FeatureName],
        *,
        kind: Literal["token", "topic", "exclusive", "implies", "similar", "feeds"] | None = None,
        limit: int = 1000,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Edges among features".

        All edges whose two ends are in a set of features, kind by kind, strongest first.

        Parameters
        ----------
        features
            Keys of the features.
        kind
            Only edges of this kind.
        limit
            Most rows. From 1 to 100000.
        run
            Run that the edges are of; by default of each feature the run of its numbers.

        Returns
        -------
        Table
            Columns ``source``, ``source_label``, ``target``, ``target_label``, ``kind``,
            ``directed``, ``strength``, ``n``, ``phi``, ``mutual``, ``run``.
        """
        found: Table = self._ask("edges_among", features=features, kind=kind, limit=limit, run=run)
        return found

    def edges_between(
        self,
        sources: Sequence[FeatureName],
        targets: Sequence[FeatureName],
        *,
        kind: Literal["token", "topic", "exclusive", "implies", "similar", "feeds"] | None = None,
        limit: int = 1000,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Edges between two sets".

        All edges from a set of features to another, in either direction, kind by kind, strongest
        first.

        Parameters
        ----------
        sources
            Keys of the features of one set.
        targets
            Keys of the features of the other.
        kind
            Only edges of this kind.
        limit
            Most rows. From 1 to 100000.
        run
            Run that the edges are of; by default of each feature the run of its numbers.

        Returns
        -------
        Table
            Columns ``source``, ``source_label``, ``target``, ``target_label``, ``kind``,
            ``directed``, ``strength``, ``n``, ``phi``, ``mutual``, ``run``.
        """
        found: Table = self._ask(
            "edges_between", sources=sources, targets=targets, kind=kind, limit=limit, run=run
        )
        return found

    def exclusions(
        self, feature: FeatureName, *, limit: int = 20, run: RunName | None = None
    ) -> Features:
        """Ask for "Exclusions".

        Features that fire instead of a feature: within documents less often together than chance
        gives, although they share topics or have near decoder vectors.

        Parameters
        ----------
        feature
            Key of the feature.
        limit
            Most rows. From 1 to 10000.
        run
            Run that the edges are of; by default the run of the feature's numbers.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``n``, ``expected``, ``phi_within``,
            ``r_topic``, ``cosine``, ``z_within``, ``p``, ``q``, ``mutual``, ``run``.
        """
        found: Features = self._ask("exclusions", feature=feature, limit=limit, run=run)
        return found

    def implications(
        self,
        feature: FeatureName,
        *,
        direction: Literal["general", "specific", "both"] = "both",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Implications".

        Features that a feature brings with it (more general ones), and those that bring it (more
        specific ones), by the share of the specific one's firings.

        Parameters
        ----------
        feature
            Key of the feature.
        direction
            Features it implies, those that imply it, or both.
        limit
            Most rows. From 1 to 10000.
        run
            Run that the edges are of; by default the run of the feature's numbers.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``direction``, ``n``,
            ``p_general_given_specific``, ``p_specific_given_general``, ``lift``, ``cosine``,
            ``absorption``, ``p``, ``q``, ``run``.
        """
        found: Features = self._ask(
            "implications", feature=feature, direction=direction, limit=limit, run=run
        )
        return found

    def in_common(
        self, a: FeatureName, b: FeatureName, *, limit: int = 50, run: RunName | None = None
    ) -> Table:
        """Ask for "In common".

        What two features share: community, concepts, tokens they fire on, tokens they promote and
        token neighbours, each sort by the weaker of its two scores.

        Parameters
        ----------
        a
            Key of one feature.
        b
            Key of the other.
        limit
            Most rows; the sorts follow each other in the order above. From 1 to 10000.
        run
            Run to read; by default of each feature the run of its numbers.

        Returns
        -------
        Table
            Columns ``kind``, ``key``, ``name``, ``score_a``, ``score_b``, ``weaker``, ``run``.
        """
        found: Table = self._ask("in_common", a=a, b=b, limit=limit, run=run)
        return found

    def joint_contexts(
        self, a: FeatureName, b: FeatureName, *, limit: int = 20, run: RunName | None = None
    ) -> Table:
        """Ask for "Contexts of two features".

        Contexts that are among the strongest firings of two features, and then those that their
        token edge keeps as examples of firing together.

        Parameters
        ----------
        a
            Key of one feature.
        b
            Key of the other.
        limit
            Most rows. From 1 to 10000.
        run
            Run of the firings and the edge; by default of each feature the run of its numbers.

        Returns
        -------
        Table
            Columns ``key``, ``text``, ``tokens``, ``activations_a``, ``activations_b``,
            ``activation_a``, ``activation_b``, ``weaker``, ``on_edge``, ``position``, ``document``,
            ``domain``.
        """
        found: Table = self._ask("joint_contexts", a=a, b=b, limit=limit, run=run)
        return found

    def neighbours(
        self,
        feature: FeatureName,
        *,
        limit: int = 20,
        mutual: bool = False,
        kind: Literal["token", "topic", "exclusive"] = "token",
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Neighbours".

        Features that fire together with a feature, or instead of it, strongest first.

        Parameters
        ----------
        feature
            Key of the feature.
        limit
            Most rows. From 1 to 10000.
        mutual
            Only edges among the strongest of both features.
        kind
            Kind of co-occurrence.
        run
            Run that the edges are of; by default the run of the feature's numbers.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``kind``, ``n``, ``npmi``, ``phi``,
            ``phi_within``, ``r_topic``, ``strength``, ``lift``, ``z``, ``q``,
            ``p_neighbour_given_feature``, ``p_feature_given_neighbour``, ``mutual``, ``run``.
        """
        found: Features = self._ask(
            "neighbours", feature=feature, limit=limit, mutual=mutual, kind=kind, run=run
        )
        return found

    def shared_neighbours(
        self,
        a: FeatureName,
        b: FeatureName,
        *,
        limit: int = 20,
        kind: Literal["token", "topic", "exclusive"] = "token",
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Shared neighbours".

        Features that fire together with both of two features, by the weaker of the two links.

        Parameters
        ----------
        a
            Key of one feature.
        b
            Key of the other.
        limit
            Most rows. From 1 to 10000.
        kind
            Kind of co-occurrence.
        run
            Run that the edges are of; by default the run of the first feature's numbers.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``phi_a``, ``phi_b``, ``weaker``, ``n_a``,
            ``n_b``.
        """
        found: Features = self._ask("shared_neighbours", a=a, b=b, limit=limit, kind=kind, run=run)
        return found

    def similar(
        self,
        feature: FeatureName,
        *,
        limit: int = 20,
        min_cosine: float = -1.0,
        mutual: bool = False,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Similar features".

        Features with near decoder vectors, whatever they fire on, nearest first.

        Parameters
        ----------
        feature
            Key of the feature.
        limit
            Most rows. From 1 to 10000.
        min_cosine
            Least cosine. From -1 to 1.
        mutual
            Only those that are among the nearest of both.
        run
            Run that the edges are of; by default the run of the feature's numbers.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``cosine``, ``rank``, ``rank_of_feature``,
            ``mutual``, ``firing_rate``, ``run``.
        """
        found: Features = self._ask(
            "similar", feature=feature, limit=limit, min_cosine=min_cosine, mutual=mutual, run=run
        )
        return found

    def similar_but_apart(
        self,
        feature: FeatureName,
        *,
        limit: int = 20,
        min_cosine: float = 0.2,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Similar but apart".

        Features with near decoder vectors that do not fire together with a feature: they have no
        token edge with it, or an exclusive one.

        Parameters
        ----------
        feature
            Key of the feature.
        limit
            Most rows. From 1 to 10000.
        min_cosine
            Least cosine of the decoder vectors. From -1 to 1.
        run
            Run that the edges are of; by default the run of the feature's numbers.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``cosine``, ``edge``, ``n``, ``expected``,
            ``phi_within``, ``r_topic``, ``firing_rate``, ``run``.
        """
        found: Features = self._ask(
            "similar_but_apart", feature=feature, limit=limit, min_cosine=min_cosine, run=run
        )
        return found

    def strongest_edges(
        self,
        *,
        kind: Literal["token", "topic", "exclusive"] = "token",
        measure: Literal[
            "strength", "npmi", "phi", "phi_within", "lift", "jaccard", "r_topic", "r", "n", "z"
        ] = "strength",
        limit: int = 20,
        min_n: int = 0,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Strongest edges".

        The strongest co-occurrences of a kind, by a measure. Reads all edges.

        Parameters
        ----------
        kind
            Kind of co-occurrence.
        measure
            What to order by; strength is phi, r_topic or -phi_within, by kind.
        limit
            Most rows. From 1 to 10000.
        min_n
            Fewest positions where both fire. From 0 to 1e+09.
        run
            Only edges of this run.

        Returns
        -------
        Table
            Columns ``source``, ``source_label``, ``target``, ``target_label``, ``value``, ``n``,
            ``npmi``, ``phi``, ``phi_within``, ``r_topic``, ``lift``, ``position_share``, ``q``,
            ``mutual``, ``run``.
        """
        found: Table = self._ask(
            "strongest_edges", kind=kind, measure=measure, limit=limit, min_n=min_n, run=run
        )
        return found

    def why_joined(
        self, a: FeatureName, b: FeatureName, *, limit: int = 20, run: RunName | None = None
    ) -> Table:
        """Ask for "Why two features are joined".

        Every relationship between two features, of any type and kind, with its evidence: counts,
        effect sizes, tests, ranks and how far positions alone explain it.

        Parameters
        ----------
        a
            Key of one feature.
        b
            Key of the other.
        limit
            Most rows. From 1 to 10000.
        run
            Only edges of this run; by default of every run.

        Returns
        -------
        Table
            Columns ``type``, ``kind``, ``direction``, ``n``, ``d``, ``expected``, ``lift``,
            ``npmi``, ``phi``, ``phi_within``, ``jaccard``, ``r_topic``, ``p_b_given_a``,
            ``p_a_given_b``, ``r``, ``r_joint``, ``cosine``, ``position_share``, ``absorption``,
            ``z``, ``z_within``, ``p``, ``q``, ``rank_a``, ``rank_b``, ``mutual``, ``evidence``,
            ``run``.
        """
        found: Table = self._ask("why_joined", a=a, b=b, limit=limit, run=run)
        return found
