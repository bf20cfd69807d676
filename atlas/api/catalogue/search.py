"""The catalogue's queries about search, a method each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atlas.api.asking import Asking

if TYPE_CHECKING:
    from atlas.api.asking import FeatureName, RunName
    from atlas.api.objects import Features
    from atlas.api.table import Table


class SearchPart(Asking):
    """Queries about search."""

    def features_like_label(
        self, feature: FeatureName, *, limit: int = 20, other_saes: bool = False
    ) -> Features:
        """Ask for "Features with a like label".

        Features whose label means most nearly what a feature's own label does, by embeddings of
        both, found in the vector index, which may miss some. Labels say on what features fire, so
        these fire on like things; their decoder vectors may point anywhere.

        Parameters
        ----------
        feature
            Key of the feature.
        limit
            Most rows. From 1 to 10000.
        other_saes
            Also features of other SAEs.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``cosine``, ``decoder_cosine``,
            ``firing_rate``, ``community``, ``sae``.
        """
        found: Features = self._ask(
            "features_like_label", feature=feature, limit=limit, other_saes=other_saes
        )
        return found

    def nearest_by_decoder(
        self, feature: FeatureName, *, limit: int = 20, other_saes: bool = False
    ) -> Features:
        """Ask for "Nearest by decoder".

        Features whose decoder vectors point most nearly the same way, found in the vector index,
        which may miss some. SIMILAR_TO has the exact nearest ones.

        Parameters
        ----------
        feature
            Key of the feature.
        limit
            Most rows. From 1 to 10000.
        other_saes
            Also features of other SAEs whose decoder vectors are as wide.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``cosine``, ``firing_rate``, ``community``,
            ``sae``.
        """
        found: Features = self._ask(
            "nearest_by_decoder", feature=feature, limit=limit, other_saes=other_saes
        )
        return found

    def nearest_by_meaning(
        self, text: str, *, limit: int = 20, run: RunName | None = None
    ) -> Features:
        """Ask for "Nearest by meaning".

        Features whose label means most nearly what a text says, by embeddings of both, found in the
        vector index, which may miss some. Needs labels that were embedded with the build.

        Parameters
        ----------
        text
            What to look for. Python and the command line take any text; by hand it is a vector of
            256 numbers.
        limit
            Most rows. From 1 to 10000.
        run
            Only features that this run has.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``cosine``, ``firing_rate``, ``community``.
        """
        found: Features = self._ask("nearest_by_meaning", text=text, limit=limit, run=run)
        return found

    def search(
        self,
        text: str,
        *,
        where: Literal["any", "label", "token", "context"] = "any",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Search".

        Features by words: in their label and context words, in tokens they fire on, or in the
        contexts where they fire most.

        Parameters
        ----------
        text
            Words to look for. Python and the command line take any text; by hand it is a Lucene
            query.
        where
            Where to look.
        limit
            Most rows. From 1 to 10000.
        run
            Only features that this run has.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``score``, ``matched``, ``excerpt``,
            ``firing_rate``, ``community``.
        """
        found: Features = self._ask("search", text=text, where=where, limit=limit, run=run)
        return found

    def search_concepts(
        self,
        text: str,
        *,
        kind: Literal["any", "domain", "topic", "term", "hpo", "icd10"] = "any",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Search in concepts".

        Concepts by words of their names, most relevant first, with the number of features that are
        about each.

        Parameters
        ----------
        text
            Words to look for. Python and the command line take any text; by hand it is a Lucene
            query.
        kind
            Only concepts of this kind.
        limit
            Most rows. From 1 to 10000.
        run
            Only count features of this run; by default by the run of each feature's numbers.

        Returns
        -------
        Table
            Columns ``concept``, ``name``, ``kind``, ``score``, ``documents``, ``features``,
            ``source``.
        """
        found: Table = self._ask("search_concepts", text=text, kind=kind, limit=limit, run=run)
        return found

    def search_contexts(
        self, text: str, *, per_context: int = 5, limit: int = 20, run: RunName | None = None
    ) -> Table:
        """Ask for "Search in contexts".

        Stretches of text that have some words, most relevant first, with the features that fire
        there most of those that have it among their contexts.

        Parameters
        ----------
        text
            Words to look for. Python and the command line take any text; by hand it is a Lucene
            query.
        per_context
            Most features to show of each. From 0 to 100.
        limit
            Most rows. From 1 to 10000.
        run
            Only contexts of features of this run; by default of the run of each feature's numbers.

        Returns
        -------
        Table
            Columns ``context``, ``text``, ``score``, ``features``, ``document``, ``title``,
            ``domain``, ``position``, ``token``.
        """
        found: Table = self._ask(
            "search_contexts", text=text, per_context=per_context, limit=limit, run=run
        )
        return found

    def search_explanations(
        self, text: str, *, limit: int = 20, run: RunName | None = None
    ) -> Features:
        """Ask for "Search in explanations".

        Features by words of their imported explanations, most relevant first.

        Parameters
        ----------
        text
            Words to look for. Python and the command line take any text; by hand it is a Lucene
            query.
        limit
            Most rows. From 1 to 10000.
        run
            Only explanations that were imported for this run.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``score``, ``explanation``, ``method``, ``model``,
            ``quality``, ``measure``, ``source``, ``explanations``.
        """
        found: Features = self._ask("search_explanations", text=text, limit=limit, run=run)
        return found

    def search_tokens(self, text: str, *, limit: int = 20, run: RunName | None = None) -> Table:
        """Ask for "Search in tokens".

        Tokens that have some words, most relevant first, with the number of features that fire on
        them, promote them or suppress them.

        Parameters
        ----------
        text
            Words to look for. Python and the command line take any text; by hand it is a Lucene
            query.
        limit
            Most rows. From 1 to 10000.
        run
            Only count features of this run; by default by the run of each feature's numbers.

        Returns
        -------
        Table
            Columns ``token``, ``token_id``, ``model``, ``score``, ``fires_on``, ``promotes``,
            ``suppresses``.
        """
        found: Table = self._ask("search_tokens", text=text, limit=limit, run=run)
        return found
