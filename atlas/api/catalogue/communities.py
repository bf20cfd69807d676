"""The catalogue's queries about communities, a method each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atlas.api.asking import Asking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.api.asking import CommunityName, FeatureName, RunName
    from atlas.api.objects import Communities, Community, Features
    from atlas.api.table import Table


class CommunitiesPart(Asking):
    """Queries about communities."""

    def between_communities(
        self, a: CommunityName, b: CommunityName, *, limit: int = 20, top_k: int | None = None
    ) -> Table:
        """Ask for "Where two communities meet".

        The token edges between the members of two communities, strongest first; given one community
        twice, the edges inside it.

        Parameters
        ----------
        a
            Key of one community.
        b
            Key of the other.
        limit
            Most rows. From 1 to 10000.
        top_k
            Edges among the strongest this many of both ends; 0: all. By default those that the
            communities were made from. From 0 to 100000.

        Returns
        -------
        Table
            Columns ``a_key``, ``a_label``, ``b_key``, ``b_label``, ``phi``, ``n``, ``npmi``,
            ``lift``, ``p_b_given_a``, ``p_a_given_b``, ``mutual``, ``run``.
        """
        found: Table = self._ask("between_communities", a=a, b=b, limit=limit, top_k=top_k)
        return found

    def bridges(
        self,
        *,
        community: CommunityName | None = None,
        limit: int = 20,
        min_degree: int = 5,
        dense: bool = True,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Bridges".

        Features whose backbone edges reach several communities, by the participation coefficient
        (Guimera and Amaral 2005). Of a run it reads all edges, of a community its own.

        Parameters
        ----------
        community
            Only members of this community; by default all features of the run.
        limit
            Most rows. From 1 to 10000.
        min_degree
            Fewest backbone neighbours that are in a community. From 1 to 10000.
        dense
            Also features that fire on more than a tenth of the positions.
        run
            Only this run; by default all runs.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``participation``, ``communities``,
            ``degree``, ``strength``, ``assigned``, ``shares``, ``community``, ``run``.
        """
        found: Features = self._ask(
            "bridges", community=community, limit=limit, min_degree=min_degree, dense=dense, run=run
        )
        return found

    def communities(
        self, *, limit: int = 50, min_size: int = 3, run: RunName | None = None
    ) -> Communities:
        """Ask for "Communities".

        Communities of features, largest first, labelled by what their members fire on.

        Parameters
        ----------
        limit
            Most rows. From 1 to 10000.
        min_size
            Smallest size. From 1 to 1e+06.
        run
            Only communities of this run.

        Returns
        -------
        Communities
            Columns ``key``, ``number``, ``label``, ``size``, ``top_tokens``, ``token_shares``,
            ``top_words``, ``promoted``, ``stability``, ``stable``, ``between_halves``,
            ``modularity``, ``run``.
        """
        found: Communities = self._ask("communities", limit=limit, min_size=min_size, run=run)
        return found

    def communities_of(
        self, features: Sequence[FeatureName], *, limit: int = 20, run: RunName | None = None
    ) -> Communities:
        """Ask for "Communities of features".

        The communities that a set of features lies in, those with most of the set first.

        Parameters
        ----------
        features
            Keys of the features.
        limit
            Most rows. From 1 to 10000.
        run
            Run that the communities are of; by default the run of each feature's scores.

        Returns
        -------
        Communities
            Columns ``key``, ``number``, ``label``, ``size``, ``members``, ``share``,
            ``share_of_community``, ``lift``, ``features``, ``run``.
        """
        found: Communities = self._ask("communities_of", features=features, limit=limit, run=run)
        return found

    def community(
        self, community: CommunityName, *, items: int = 10, top_k: int | None = None
    ) -> Community:
        """Ask for "Community card".

        Everything about one community: what its members fire on, promote and are about, how tightly
        they hang together, how stable it is, and what made it.

        Parameters
        ----------
        community
            Key of the community.
        items
            Domains and concepts to show. From 0 to 100.
        top_k
            Count edges among the strongest this many of both ends; 0: all. By default those that
            the communities were made from. From 0 to 100000.

        Returns
        -------
        Community
            Columns ``key``, ``number``, ``label``, ``label_source``, ``size``, ``stability``,
            ``stable``, ``tokens``, ``words``, ``promoted``, ``domains``, ``concepts``, ``edges``,
            ``density``, ``mean_phi``, ``inside``, ``neighbours``, ``run``, ``algorithm``.
        """
        found: Community = self._ask("community", community=community, items=items, top_k=top_k)
        return found

    def community_borders(
        self, community: CommunityName, *, limit: int = 20, top_k: int | None = None
    ) -> Features:
        """Ask for "Borders of a community".

        Members of a community with the largest share of their strength outside it, and the
        community that most of that goes to.

        Parameters
        ----------
        community
            Key of the community.
        limit
            Most rows. From 1 to 10000.
        top_k
            Edges among the strongest this many of both ends; 0: all. By default those that the
            communities were made from. From 0 to 100000.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``outside``, ``edges_out``, ``edges``,
            ``strength``, ``stay``, ``towards``, ``towards_label``, ``towards_share``.
        """
        found: Features = self._ask(
            "community_borders", community=community, limit=limit, top_k=top_k
        )
        return found

    def community_concepts(
        self,
        community: CommunityName,
        *,
        limit: int = 20,
        kind: Literal["any", "domain", "topic", "term", "hpo", "icd10"] = "any",
    ) -> Table:
        """Ask for "Concepts of a community".

        Concepts that the members of a community are about: domains, topics and terms, those of most
        members first.

        Parameters
        ----------
        community
            Key of the community.
        limit
            Most rows. From 1 to 10000.
        kind
            Kind of concept.

        Returns
        -------
        Table
            Columns ``concept``, ``name``, ``kind``, ``members``, ``share``, ``mean_auc``, ``best``,
            ``best_label``, ``best_auc``, ``features``, ``share_of_concept``, ``documents``.
        """
        found: Table = self._ask("community_concepts", community=community, limit=limit, kind=kind)
        return found

    def community_links(
        self, community: CommunityName, *, limit: int = 20, top_k: int | None = None
    ) -> Communities:
        """Ask for "Communities joined to a community".

        Communities that token edges lead to from a community, by the summed phi of these edges,
        each with its strongest pair of features.

        Parameters
        ----------
        community
            Key of the community.
        limit
            Most rows. From 1 to 10000.
        top_k
            Count edges among the strongest this many of both ends; 0: all. By default those that
            the communities were made from. From 0 to 100000.

        Returns
        -------
        Communities
            Columns ``key``, ``number``, ``label``, ``size``, ``edges``, ``phi``, ``mean_phi``,
            ``share``, ``strongest``, ``feature``, ``feature_label``, ``other``, ``other_label``.
        """
        found: Communities = self._ask(
            "community_links", community=community, limit=limit, top_k=top_k
        )
        return found

    def community_members(self, community: CommunityName, *, limit: int = 50) -> Features:
        """Ask for "Members of a community".

        The features of a community, most central first.

        Parameters
        ----------
        community
            Key of the community.
        limit
            Most rows. From 1 to 100000.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``pagerank``, ``degree``, ``inside``,
            ``stay``, ``firing_rate``, ``top_domain``.
        """
        found: Features = self._ask("community_members", community=community, limit=limit)
        return found

    def community_overlap(
        self, run: RunName, other: RunName, *, limit: int = 50, min_jaccard: float = 0.1
    ) -> Communities:
        """Ask for "Overlap of communities".

        Which communities of two runs share features, most alike first. A feature that only one of
        the runs has counts as not shared; `atlas compare` leaves it out.

        Parameters
        ----------
        run
            Key of one run.
        other
            Key of the other.
        limit
            Most rows. From 1 to 10000.
        min_jaccard
            Least Jaccard of a pair. From 0 to 1.

        Returns
        -------
        Communities
            Columns ``key``, ``label``, ``size``, ``other``, ``other_label``, ``other_size``,
            ``shared``, ``jaccard``, ``share``, ``other_share``.
        """
        found: Communities = self._ask(
            "community_overlap", run=run, other=other, limit=limit, min_jaccard=min_jaccard
        )
        return found

    def community_tokens(
        self,
        community: CommunityName,
        *,
        limit: int = 20,
        relation: Literal["fires_on", "promotes", "suppresses"] = "fires_on",
    ) -> Table:
        """Ask for "Tokens of a community".

        Tokens that the members of a community fire on, promote or suppress, those of most members
        first.

        Parameters
        ----------
        community
            Key of the community.
        limit
            Most rows. From 1 to 10000.
        relation
            What the members do with the token.

        Returns
        -------
        Table
            Columns ``token``, ``key``, ``members``, ``share``, ``mean_score``, ``best``,
            ``best_label``, ``best_score``, ``n``.
        """
        found: Table = self._ask(
            "community_tokens", community=community, limit=limit, relation=relation
        )
        return found

    def unstable_members(
        self,
        *,
        community: CommunityName | None = None,
        limit: int = 20,
        below: float = 1.0,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Unstable members".

        Members of a community, or of all, that fewest of the runs behind a consensus put in its
        core: those that a community may as well do without. Nothing for one run of Leiden, which
        does not say.

        Parameters
        ----------
        community
            Key of a community; by default all.
        limit
            Most rows. From 1 to 10000.
        below
            Only members that stay no more than this. From 0 to 1.
        run
            Only communities of this run.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``stay``, ``community``,
            ``community_label``, ``size``, ``stability``, ``degree``, ``firing_rate``, ``run``.
        """
        found: Features = self._ask(
            "unstable_members", community=community, limit=limit, below=below, run=run
        )
        return found
