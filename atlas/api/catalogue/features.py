"""The catalogue's queries about features, a method each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atlas.api.asking import Asking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.api.asking import FeatureName, RunName
    from atlas.api.objects import Feature, Features


class FeaturesPart(Asking):
    """Queries about features."""

    def dense_features(
        self, *, limit: int = 20, min_rate: float = 0.0, run: RunName | None = None
    ) -> Features:
        """Ask for "Dense features".

        The features that fire most often; dense ones (on more than a tenth of the positions) join
        nearly everything and say little. Reads all features.

        Parameters
        ----------
        limit
            Most rows. From 1 to 10000.
        min_rate
            Least share of positions where it fires; 0.1 for dense ones. From 0 to 1.
        run
            Only features whose numbers are of this run.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``firing_rate``, ``dense``, ``n``, ``d``,
            ``mean``, ``max``, ``top_domain``, ``top_domain_share``, ``degree``, ``community``,
            ``run``.
        """
        found: Features = self._ask("dense_features", limit=limit, min_rate=min_rate, run=run)
        return found

    def feature(self, feature: FeatureName, *, contexts: int = 5, tokens: int = 10) -> Feature:
        """Ask for "Feature card".

        Everything about one feature: when and on what it fires, what it promotes, its strongest
        contexts, its community, its scores, and which run, SAE and model it is from.

        Parameters
        ----------
        feature
            Key of the feature.
        contexts
            Strongest contexts to show. From 0 to 100.
        tokens
            Tokens to show of each sort. From 0 to 100.

        Returns
        -------
        Feature
            Columns ``key``, ``index``, ``label``, ``label_source``, ``n``, ``d``, ``firing_rate``,
            ``mean``, ``max``, ``std``, ``dead``, ``dense``, ``logit_moments``, ``top_words``,
            ``top_domain``, ``top_domain_share``, ``fires_on``, ``promotes``, ``suppresses``,
            ``contexts``, ``scores``, ``scored_run``, ``community``, ``run``, ``sae``, ``model``,
            ``neuronpedia_id``.
        """
        found: Feature = self._ask("feature", feature=feature, contexts=contexts, tokens=tokens)
        return found

    def features(self, features: Sequence[FeatureName]) -> Features:
        """Ask for "Features".

        Several features by name, with their main figures. The rows are in the order of the names.

        Parameters
        ----------
        features
            Keys of the features.

        Returns
        -------
        Features
            Columns ``key``, ``index``, ``label``, ``top_tokens``, ``n``, ``d``, ``firing_rate``,
            ``mean``, ``max``, ``dead``, ``dense``, ``pagerank``, ``degree``, ``top_domain``,
            ``community``, ``run``.
        """
        found: Features = self._ask("features", features=features)
        return found

    def hubs(
        self,
        *,
        by: Literal[
            "pagerank", "degree", "strength", "betweenness", "closeness", "eigenvector"
        ] = "pagerank",
        limit: int = 20,
        dense: bool = True,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Hubs".

        Features with the highest centrality in the backbone of co-occurrence.

        Parameters
        ----------
        by
            Measure to order by.
        limit
            Most rows. From 1 to 10000.
        dense
            Also features that fire on more than a tenth of the positions.
        run
            Only features scored by this run's analysis.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``score``, ``pagerank``, ``degree``,
            ``strength``, ``betweenness``, ``closeness``, ``eigenvector``, ``firing_rate``,
            ``dense``, ``community``, ``run``.
        """
        found: Features = self._ask("hubs", by=by, limit=limit, dense=dense, run=run)
        return found
