"""The catalogue's queries about paths, a method each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atlas.api.asking import Asking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.api.asking import FeatureName, RunName
    from atlas.api.objects import Features
    from atlas.api.table import Table


class PathsPart(Asking):
    """Queries about paths."""

    def ancestors(
        self,
        feature: FeatureName,
        *,
        depth: int = 2,
        limit: int = 20,
        min_phi: float = 0.0,
        mutual: bool = True,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Ancestors".

        Features of earlier layers that feed a feature, directly or through others, by the strongest
        chain of FEEDS: the product of its phi.

        Parameters
        ----------
        feature
            Key of the feature.
        depth
            Most edges of a chain. From 1 to 3.
        limit
            Most rows. From 1 to 10000.
        min_phi
            Only edges with more phi than this. From 0 to 1.
        mutual
            Only edges among the strongest of both features.
        run
            Run that the edges are of; by default the run of the feature's numbers.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``hook``, ``depth``, ``strength``, ``hops``,
            ``next``, ``next_label``, ``phi``, ``weight``, ``weight_cosine``, ``n``, ``sae``,
            ``run``.
        """
        found: Features = self._ask(
            "ancestors",
            feature=feature,
            depth=depth,
            limit=limit,
            min_phi=min_phi,
            mutual=mutual,
            run=run,
        )
        return found

    def concept_to_token(
        self,
        concept: str,
        token: str,
        *,
        limit: int = 5,
        max_hops: int = 3,
        min_phi: float = 0.0,
        mutual: bool = True,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "From a concept to a token".

        How a concept leads to a token: the shortest chains from a feature that is about the
        concept, through features that fire together, to a feature that promotes the token. Of
        equally short chains those with the strongest weakest link come first, then those with the
        higher AUC.

        Parameters
        ----------
        concept
            Key of the concept.
        token
            Text of the token; by hand a list of spellings.
        limit
            Most chains. From 1 to 1000.
        max_hops
            Most edges between features; 0: one feature does both. From 0 to 4.
        min_phi
            Weakest edge to use, by phi. From -1 to 1.
        mutual
            Only edges among the strongest of both features.
        run
            Run of the chains; by default each run is searched by itself.

        Returns
        -------
        Features
            Columns ``path``, ``step``, ``key``, ``label``, ``top_tokens``, ``phi``, ``auc``,
            ``score``, ``token``, ``run``.
        """
        found: Features = self._ask(
            "concept_to_token",
            concept=concept,
            token=token,
            limit=limit,
            max_hops=max_hops,
            min_phi=min_phi,
            mutual=mutual,
            run=run,
        )
        return found

    def descendants(
        self,
        feature: FeatureName,
        *,
        depth: int = 2,
        limit: int = 20,
        min_phi: float = 0.0,
        mutual: bool = True,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Descendants".

        Features of later layers that a feature feeds, directly or through others, by the strongest
        chain of FEEDS: the product of its phi.

        Parameters
        ----------
        feature
            Key of the feature.
        depth
            Most edges of a chain. From 1 to 3.
        limit
            Most rows. From 1 to 10000.
        min_phi
            Only edges with more phi than this. From 0 to 1.
        mutual
            Only edges among the strongest of both features.
        run
            Run that the edges are of; by default the run of the feature's numbers.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``hook``, ``depth``, ``strength``, ``hops``,
            ``before``, ``before_label``, ``phi``, ``weight``, ``weight_cosine``, ``n``, ``sae``,
            ``run``.
        """
        found: Features = self._ask(
            "descendants",
            feature=feature,
            depth=depth,
            limit=limit,
            min_phi=min_phi,
            mutual=mutual,
            run=run,
        )
        return found

    def k_shortest_paths(
        self,
        a: FeatureName,
        b: FeatureName,
        *,
        k: int = 3,
        max_hops: int = 6,
        min_phi: float | None = None,
        mutual: bool = True,
        kind: Literal["token", "topic", "exclusive"] = "token",
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Several short paths".

        The k shortest chains of features from one to another, each firing together with the next;
        of equally long chains those whose weakest link is strongest. Looked at are the 100
        shortest: where more are equally long, the database chooses which.

        Parameters
        ----------
        a
            Key of the first feature.
        b
            Key of the last.
        k
            Most chains. From 1 to 50.
        max_hops
            Longest chain, in edges. From 1 to 6.
        min_phi
            Weakest edge to use, by phi; by default 0, of exclusive edges none. From -1 to 1.
        mutual
            Only edges among the strongest of both features.
        kind
            Kind of co-occurrence.
        run
            Run that the edges are of; by default the run of the first feature's numbers.

        Returns
        -------
        Features
            Columns ``path``, ``step``, ``key``, ``label``, ``top_tokens``, ``phi``, ``n``,
            ``hops``, ``weakest``.
        """
        found: Features = self._ask(
            "k_shortest_paths",
            a=a,
            b=b,
            k=k,
            max_hops=max_hops,
            min_phi=min_phi,
            mutual=mutual,
            kind=kind,
            run=run,
        )
        return found

    def meeting_points(
        self,
        features: Sequence[FeatureName],
        *,
        limit: int = 20,
        min_joined: int = 2,
        mutual: bool = False,
        kind: Literal["token", "topic", "exclusive"] = "token",
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Meeting points".

        Features that are joined to most of a set of features: what the set has in common. Features
        of the set itself are left out.

        Parameters
        ----------
        features
            Keys of the features of the set.
        limit
            Most rows. From 1 to 10000.
        min_joined
            Fewest features of the set that it is joined to. From 1 to 10000.
        mutual
            Only edges among the strongest of both features.
        kind
            Kind of co-occurrence.
        run
            Run that the edges are of; by default the run of each feature's numbers.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``joined``, ``share``, ``mean``,
            ``weakest``, ``joined_to``, ``community``.
        """
        found: Features = self._ask(
            "meeting_points",
            features=features,
            limit=limit,
            min_joined=min_joined,
            mutual=mutual,
            kind=kind,
            run=run,
        )
        return found

    def path_across_layers(
        self,
        a: FeatureName,
        b: FeatureName,
        *,
        by: Literal["product", "weakest"] = "product",
        max_hops: int = 4,
        mutual: bool = True,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Path across layers".

        Of all chains from a feature to one of a later layer along FEEDS, each feature firing on the
        same tokens as the one before and lying in a later layer, the strongest. The answer is exact
        among the edges that are used.

        Parameters
        ----------
        a
            Key of the first feature, of the earliest layer.
        b
            Key of the last, of the latest layer.
        by
            What makes a chain strong: the product of its phi, or the smallest.
        max_hops
            Longest chain, in edges. From 1 to 4.
        mutual
            Only edges among the strongest of both features.
        run
            Run that the edges are of; by default the run of the first feature's numbers.

        Returns
        -------
        Features
            Columns ``step``, ``key``, ``label``, ``top_tokens``, ``hook``, ``sae``, ``phi``,
            ``weight``, ``weight_cosine``, ``n``, ``strength``.
        """
        found: Features = self._ask(
            "path_across_layers", a=a, b=b, by=by, max_hops=max_hops, mutual=mutual, run=run
        )
        return found

    def reach(
        self, feature: FeatureName, *, hops: int = 2, top_k: int = 10, run: RunName | None = None
    ) -> Table:
        """Ask for "Reach of a feature".

        How many features lie within a number of steps of a feature, over the token edges among the
        strongest of both of their ends. Far steps read the edges of all nearer features.

        Parameters
        ----------
        feature
            Key of the feature.
        hops
            Most steps. From 1 to 4.
        top_k
            Only edges among the strongest this many of both ends. From 1 to 64.
        run
            Run that the edges are of; by default the run of the feature's numbers.

        Returns
        -------
        Table
            Columns ``step``, ``features``, ``within``, ``share``, ``communities``, ``examples``.
        """
        found: Table = self._ask("reach", feature=feature, hops=hops, top_k=top_k, run=run)
        return found

    def shortest_path(
        self,
        a: FeatureName,
        b: FeatureName,
        *,
        max_hops: int = 6,
        min_phi: float | None = None,
        mutual: bool = True,
        kind: Literal["token", "topic", "exclusive"] = "token",
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Shortest path".

        A chain of features from one to another, each firing together with the next: of the shortest
        chains the one whose weakest link is strongest.

        Parameters
        ----------
        a
            Key of the first feature.
        b
            Key of the last.
        max_hops
            Longest chain, in edges. From 1 to 8.
        min_phi
            Weakest edge to use, by phi; by default 0, of exclusive edges none. From -1 to 1.
        mutual
            Only edges among the strongest of both features.
        kind
            Kind of co-occurrence.
        run
            Run that the edges are of; by default the run of the first feature's numbers.

        Returns
        -------
        Features
            Columns ``step``, ``key``, ``label``, ``top_tokens``, ``phi``, ``n``.
        """
        found: Features = self._ask(
            "shortest_path",
            a=a,
            b=b,
            max_hops=max_hops,
            min_phi=min_phi,
            mutual=mutual,
            kind=kind,
            run=run,
        )
        return found

    def strongest_path(
        self,
        a: FeatureName,
        b: FeatureName,
        *,
        by: Literal["product", "weakest"] = "product",
        max_hops: int = 6,
        top_k: int = 16,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Strongest path".

        Of all chains from one feature to another over the backbone, up to six edges long, the one
        whose links are strongest, by the product of their phi or by the weakest of them. Searched
        are the token edges among the strongest `top_k` of both of their ends, and no others; within
        them the answer is exact.

        Parameters
        ----------
        a
            Key of the first feature.
        b
            Key of the last.
        by
            What makes a chain strong: the product of its phi, or the smallest.
        max_hops
            Longest chain, in edges. From 1 to 6.
        top_k
            Only edges among the strongest this many of both ends; time grows with its cube. From 1
            to 32.
        run
            Run that the edges are of; by default the run of the first feature's numbers.

        Returns
        -------
        Features
            Columns ``step``, ``key``, ``label``, ``top_tokens``, ``phi``, ``n``, ``strength``.
        """
        found: Features = self._ask(
            "strongest_path", a=a, b=b, by=by, max_hops=max_hops, top_k=top_k, run=run
        )
        return found
