"""The catalogue's queries about concepts, a method each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atlas.api.asking import Asking

if TYPE_CHECKING:
    from atlas.api.asking import FeatureName, RunName
    from atlas.api.objects import Features
    from atlas.api.table import Table


class ConceptsPart(Asking):
    """Queries about concepts."""

    def concept_features(
        self, concept: str, *, limit: int = 20, run: RunName | None = None
    ) -> Features:
        """Ask for "Features of a concept".

        Features that fire more in the documents of a concept than in others, by AUC.

        Parameters
        ----------
        concept
            Key of the concept.
        limit
            Most rows. From 1 to 10000.
        run
            Run that found them; by default the run of each feature's numbers.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``auc``, ``effect``, ``q``, ``documents``,
            ``share``, ``firing_rate``, ``community``, ``run``.
        """
        found: Features = self._ask("concept_features", concept=concept, limit=limit, run=run)
        return found

    def concepts(
        self,
        *,
        kind: Literal["any", "domain", "topic", "term", "hpo", "icd10"] = "any",
        limit: int = 100,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Concepts".

        What the documents are labelled with, and how many features are about each; reads all links
        from features to concepts.

        Parameters
        ----------
        kind
            Only concepts of this kind.
        limit
            Most rows. From 1 to 10000.
        run
            Only concepts and features of this run.

        Returns
        -------
        Table
            Columns ``concept``, ``name``, ``kind``, ``documents``, ``features``, ``best_auc``,
            ``best_feature``, ``best_label``, ``source``.
        """
        found: Table = self._ask("concepts", kind=kind, limit=limit, run=run)
        return found

    def domain_features(
        self,
        domain: str,
        *,
        by: Literal["auc", "share"] = "auc",
        min_documents: int = 5,
        limit: int = 20,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Features of a domain".

        Features whose firing is most concentrated in the documents of a domain: by the AUC with
        which their firing tells its documents, or, for features whose most distinctive domain it
        is, by its share of the documents in which they fire (which reads all features).

        Parameters
        ----------
        domain
            Name of the domain, as documents have it.
        by
            What to order by.
        min_documents
            Fewest documents in which the feature fires. From 1 to 1e+06.
        limit
            Most rows. From 1 to 10000.
        run
            Run that the figures are of; by default the run of each feature's numbers.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``auc``, ``q``, ``top_domain``,
            ``top_domain_share``, ``documents``, ``firing_rate``, ``community``.
        """
        found: Features = self._ask(
            "domain_features",
            domain=domain,
            by=by,
            min_documents=min_documents,
            limit=limit,
            run=run,
        )
        return found

    def domains_compared(
        self,
        a: str,
        b: str,
        *,
        towards: Literal["either", "a", "b"] = "either",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Two domains compared".

        Features that tell two domains, or any two concepts, apart: those whose effects in the two
        differ most. An effect that was not kept (weak, not significant, or not among the strongest)
        counts as 0.

        Parameters
        ----------
        a
            Key of one concept.
        b
            Key of the other.
        towards
            Only features that are more of this one.
        limit
            Most rows. From 1 to 10000.
        run
            Run that found the features; by default the run of each feature's numbers.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``difference``, ``effect_a``, ``effect_b``,
            ``share_a``, ``share_b``, ``firing_rate``, ``community``.
        """
        found: Features = self._ask(
            "domains_compared", a=a, b=b, towards=towards, limit=limit, run=run
        )
        return found

    def feature_concepts(
        self,
        feature: FeatureName,
        *,
        kind: Literal["any", "domain", "topic", "term", "hpo", "icd10"] = "any",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Concepts of a feature".

        What the documents are about in which a feature fires more than in others, by AUC.

        Parameters
        ----------
        feature
            Key of the feature.
        kind
            Only concepts of this kind.
        limit
            Most rows. From 1 to 10000.
        run
            Run that found them; by default the run of the feature's numbers.

        Returns
        -------
        Table
            Columns ``concept``, ``name``, ``kind``, ``auc``, ``effect``, ``q``, ``documents``,
            ``share``, ``of``, ``run``.
        """
        found: Table = self._ask(
            "feature_concepts", feature=feature, kind=kind, limit=limit, run=run
        )
        return found

    def feature_tokens(
        self,
        feature: FeatureName,
        *,
        relation: Literal["fires_on", "promotes", "suppresses"] = "fires_on",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Tokens of a feature".

        Tokens that a feature fires on most, or that its decoder makes more or less likely.

        Parameters
        ----------
        feature
            Key of the feature.
        relation
            What it does with them.
        limit
            Most rows. From 1 to 10000.
        run
            Run that found them; by default the run of the feature's numbers.

        Returns
        -------
        Table
            Columns ``rank``, ``token``, ``token_id``, ``score``, ``n``, ``run``.
        """
        found: Table = self._ask(
            "feature_tokens", feature=feature, relation=relation, limit=limit, run=run
        )
        return found

    def related_concepts(
        self,
        concept: str,
        *,
        kind: Literal["any", "domain", "topic", "term", "hpo", "icd10"] = "any",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Related concepts".

        Concepts that the features of a concept are about as well, by the Jaccard index of the two
        sets of features.

        Parameters
        ----------
        concept
            Key of the concept.
        kind
            Only concepts of this kind.
        limit
            Most rows. From 1 to 10000.
        run
            Run that found the features; by default the run of each feature's numbers.

        Returns
        -------
        Table
            Columns ``concept``, ``name``, ``kind``, ``jaccard``, ``shared``, ``features``, ``of``,
            ``documents``.
        """
        found: Table = self._ask(
            "related_concepts", concept=concept, kind=kind, limit=limit, run=run
        )
        return found

    def says_and_reads(
        self, *, min_shared: int = 1, limit: int = 20, run: RunName | None = None
    ) -> Features:
        """Ask for "Features that say what they read".

        Features that make more likely the very tokens that they fire on, those with most such
        tokens first; reads all links from features to tokens.

        Parameters
        ----------
        min_shared
            Fewest such tokens. From 1 to 1000.
        limit
            Most rows. From 1 to 10000.
        run
            Run that found them; by default the run of each feature's numbers.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``shared``, ``tokens``, ``score``, ``n``, ``firing_rate``,
            ``community``.
        """
        found: Features = self._ask("says_and_reads", min_shared=min_shared, limit=limit, run=run)
        return found

    def token_features(
        self,
        token: str,
        *,
        by: Literal["score", "n"] = "score",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Features of a token".

        Features that have a token among those that they fire on most.

        Parameters
        ----------
        token
            Texts of the token, as the vocabulary spells them. Python and the command line take one
            and find its spellings.
        by
            What to order by.
        limit
            Most rows. From 1 to 10000.
        run
            Run that found them; by default the run of each feature's numbers.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``score``, ``n``, ``share``, ``rank``,
            ``tokens``, ``firing_rate``, ``community``.
        """
        found: Features = self._ask("token_features", token=token, by=by, limit=limit, run=run)
        return found

    def token_promoters(
        self, token: str, *, limit: int = 20, run: RunName | None = None
    ) -> Features:
        """Ask for "Features that promote a token".

        Features whose decoder makes a token more likely, strongest first.

        Parameters
        ----------
        token
            Texts of the token, as the vocabulary spells them. Python and the command line take one
            and find its spellings.
        limit
            Most rows. From 1 to 10000.
        run
            Run that found them; by default the run of each feature's numbers.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``score``, ``rank``, ``tokens``,
            ``firing_rate``, ``community``.
        """
        found: Features = self._ask("token_promoters", token=token, limit=limit, run=run)
        return found

    def token_suppressors(
        self, token: str, *, limit: int = 20, run: RunName | None = None
    ) -> Features:
        """Ask for "Features that suppress a token".

        Features whose decoder makes a token less likely, strongest first.

        Parameters
        ----------
        token
            Texts of the token, as the vocabulary spells them. Python and the command line take one
            and find its spellings.
        limit
            Most rows. From 1 to 10000.
        run
            Run that found them; by default the run of each feature's numbers.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``score``, ``rank``, ``tokens``,
            ``firing_rate``, ``community``.
        """
        found: Features = self._ask("token_suppressors", token=token, limit=limit, run=run)
        return found
