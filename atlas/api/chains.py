"""The queries of the catalogue that begin from a feature, a community or a run."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.api.asking import CommunityName, FeatureName, RunName
    from atlas.api.objects import Communities, Features
    from atlas.api.table import Table
    from atlas.graph.reader import Row


class FeatureQueries:
    """Queries that begin from a feature."""

    @property
    def key(self) -> str:
        """What the queries are asked with."""
        raise NotImplementedError

    def _asking(self) -> Any:
        raise NotImplementedError

    def affects(
        self, *, metric: str | None = None, max_q: float = 1.0, limit: int = 20
    ) -> Features:
        """Ask for "Affected features"; see `atlas.Atlas.affects`."""
        found: Features = self._asking().affects(
            feature=self.key, metric=metric, max_q=max_q, limit=limit
        )
        return found

    def ancestors(
        self,
        *,
        depth: int = 2,
        limit: int = 20,
        min_phi: float = 0.0,
        mutual: bool = True,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Ancestors"; see `atlas.Atlas.ancestors`."""
        found: Features = self._asking().ancestors(
            feature=self.key, depth=depth, limit=limit, min_phi=min_phi, mutual=mutual, run=run
        )
        return found

    def causes(self, *, metric: str | None = None, max_q: float = 1.0, limit: int = 20) -> Features:
        """Ask for "Causes"; see `atlas.Atlas.causes`."""
        found: Features = self._asking().causes(
            feature=self.key, metric=metric, max_q=max_q, limit=limit
        )
        return found

    def co_attributed(
        self, *, prompt_set: str | None = None, metric: str | None = None, limit: int = 20
    ) -> Features:
        """Ask for "Co-attributed features"; see `atlas.Atlas.co_attributed`."""
        found: Features = self._asking().co_attributed(
            feature=self.key, prompt_set=prompt_set, metric=metric, limit=limit
        )
        return found

    def descendants(
        self,
        *,
        depth: int = 2,
        limit: int = 20,
        min_phi: float = 0.0,
        mutual: bool = True,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Descendants"; see `atlas.Atlas.descendants`."""
        found: Features = self._asking().descendants(
            feature=self.key, depth=depth, limit=limit, min_phi=min_phi, mutual=mutual, run=run
        )
        return found

    def edge_provenance(self, b: FeatureName) -> Table:
        """Ask for "Provenance of edges"; see `atlas.Atlas.edge_provenance`."""
        found: Table = self._asking().edge_provenance(a=self.key, b=b)
        return found

    def effects(
        self, *, metric: str | None = None, prompts: bool = False, limit: int = 50
    ) -> Table:
        """Ask for "Effects"; see `atlas.Atlas.effects`."""
        found: Table = self._asking().effects(
            feature=self.key, metric=metric, prompts=prompts, limit=limit
        )
        return found

    def evidence(self, b: FeatureName, *, max_q: float = 0.05) -> Row:
        """Ask for "Evidence"; see `atlas.Atlas.evidence`."""
        found: Row = self._asking().evidence(a=self.key, b=b, max_q=max_q)
        return found

    def exclusions(self, *, limit: int = 20, run: RunName | None = None) -> Features:
        """Ask for "Exclusions"; see `atlas.Atlas.exclusions`."""
        found: Features = self._asking().exclusions(feature=self.key, limit=limit, run=run)
        return found

    def concepts(
        self,
        *,
        kind: Literal["any", "domain", "topic", "term", "hpo", "icd10"] = "any",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Concepts of a feature"; see `atlas.Atlas.feature_concepts`."""
        found: Table = self._asking().feature_concepts(
            feature=self.key, kind=kind, limit=limit, run=run
        )
        return found

    def tokens(
        self,
        *,
        relation: Literal["fires_on", "promotes", "suppresses"] = "fires_on",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Tokens of a feature"; see `atlas.Atlas.feature_tokens`."""
        found: Table = self._asking().feature_tokens(
            feature=self.key, relation=relation, limit=limit, run=run
        )
        return found

    def features_like_label(self, *, limit: int = 20, other_saes: bool = False) -> Features:
        """Ask for "Features with a like label"; see `atlas.Atlas.features_like_label`."""
        found: Features = self._asking().features_like_label(
            feature=self.key, limit=limit, other_saes=other_saes
        )
        return found

    def implications(
        self,
        *,
        direction: Literal["general", "specific", "both"] = "both",
        limit: int = 20,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Implications"; see `atlas.Atlas.implications`."""
        found: Features = self._asking().implications(
            feature=self.key, direction=direction, limit=limit, run=run
        )
        return found

    def in_common(self, b: FeatureName, *, limit: int = 50, run: RunName | None = None) -> Table:
        """Ask for "In common"; see `atlas.Atlas.in_common`."""
        found: Table = self._asking().in_common(a=self.key, b=b, limit=limit, run=run)
        return found

    def joint_contexts(
        self, b: FeatureName, *, limit: int = 20, run: RunName | None = None
    ) -> Table:
        """Ask for "Contexts of two features"; see `atlas.Atlas.joint_contexts`."""
        found: Table = self._asking().joint_contexts(a=self.key, b=b, limit=limit, run=run)
        return found

    def k_shortest_paths(
        self,
        b: FeatureName,
        *,
        k: int = 3,
        max_hops: int = 6,
        min_phi: float | None = None,
        mutual: bool = True,
        kind: Literal["token", "topic", "exclusive"] = "token",
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Several short paths"; see `atlas.Atlas.k_shortest_paths`."""
        found: Features = self._asking().k_shortest_paths(
            a=self.key,
            b=b,
            k=k,
            max_hops=max_hops,
            min_phi=min_phi,
            mutual=mutual,
            kind=kind,
            run=run,
        )
        return found

    def nearest_by_decoder(self, *, limit: int = 20, other_saes: bool = False) -> Features:
        """Ask for "Nearest by decoder"; see `atlas.Atlas.nearest_by_decoder`."""
        found: Features = self._asking().nearest_by_decoder(
            feature=self.key, limit=limit, other_saes=other_saes
        )
        return found

    def neighbours(
        self,
        *,
        limit: int = 20,
        mutual: bool = False,
        kind: Literal["token", "topic", "exclusive"] = "token",
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Neighbours"; see `atlas.Atlas.neighbours`."""
        found: Features = self._asking().neighbours(
            feature=self.key, limit=limit, mutual=mutual, kind=kind, run=run
        )
        return found

    def path_across_layers(
        self,
        b: FeatureName,
        *,
        by: Literal["product", "weakest"] = "product",
        max_hops: int = 4,
        mutual: bool = True,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Path across layers"; see `atlas.Atlas.path_across_layers`."""
        found: Features = self._asking().path_across_layers(
            a=self.key, b=b, by=by, max_hops=max_hops, mutual=mutual, run=run
        )
        return found

    def provenance(self, *, property: str | None = None) -> Table:
        """Ask for "Provenance of a feature"; see `atlas.Atlas.provenance`."""
        found: Table = self._asking().provenance(feature=self.key, property=property)
        return found

    def reach(self, *, hops: int = 2, top_k: int = 10, run: RunName | None = None) -> Table:
        """Ask for "Reach of a feature"; see `atlas.Atlas.reach`."""
        found: Table = self._asking().reach(feature=self.key, hops=hops, top_k=top_k, run=run)
        return found

    def shared_neighbours(
        self,
        b: FeatureName,
        *,
        limit: int = 20,
        kind: Literal["token", "topic", "exclusive"] = "token",
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Shared neighbours"; see `atlas.Atlas.shared_neighbours`."""
        found: Features = self._asking().shared_neighbours(
            a=self.key, b=b, limit=limit, kind=kind, run=run
        )
        return found

    def shortest_path(
        self,
        b: FeatureName,
        *,
        max_hops: int = 6,
        min_phi: float | None = None,
        mutual: bool = True,
        kind: Literal["token", "topic", "exclusive"] = "token",
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Shortest path"; see `atlas.Atlas.shortest_path`."""
        found: Features = self._asking().shortest_path(
            a=self.key, b=b, max_hops=max_hops, min_phi=min_phi, mutual=mutual, kind=kind, run=run
        )
        return found

    def similar(
        self,
        *,
        limit: int = 20,
        min_cosine: float = -1.0,
        mutual: bool = False,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Similar features"; see `atlas.Atlas.similar`."""
        found: Features = self._asking().similar(
            feature=self.key, limit=limit, min_cosine=min_cosine, mutual=mutual, run=run
        )
        return found

    def similar_but_apart(
        self, *, limit: int = 20, min_cosine: float = 0.2, run: RunName | None = None
    ) -> Features:
        """Ask for "Similar but apart"; see `atlas.Atlas.similar_but_apart`."""
        found: Features = self._asking().similar_but_apart(
            feature=self.key, limit=limit, min_cosine=min_cosine, run=run
        )
        return found

    def strongest_path(
        self,
        b: FeatureName,
        *,
        by: Literal["product", "weakest"] = "product",
        max_hops: int = 6,
        top_k: int = 16,
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Strongest path"; see `atlas.Atlas.strongest_path`."""
        found: Features = self._asking().strongest_path(
            a=self.key, b=b, by=by, max_hops=max_hops, top_k=top_k, run=run
        )
        return found

    def why_joined(self, b: FeatureName, *, limit: int = 20, run: RunName | None = None) -> Table:
        """Ask for "Why two features are joined"; see `atlas.Atlas.why_joined`."""
        found: Table = self._asking().why_joined(a=self.key, b=b, limit=limit, run=run)
        return found


class FeaturesQueries:
    """Queries that begin from several features."""

    @property
    def keys(self) -> list[str]:
        """What the queries are asked with."""
        raise NotImplementedError

    def _asking(self) -> Any:
        raise NotImplementedError

    def communities(self, *, limit: int = 20, run: RunName | None = None) -> Communities:
        """Ask for "Communities of features"; see `atlas.Atlas.communities_of`."""
        found: Communities = self._asking().communities_of(features=self.keys, limit=limit, run=run)
        return found

    def edges_among(
        self,
        *,
        kind: Literal["token", "topic", "exclusive", "implies", "similar", "feeds"] | None = None,
        limit: int = 1000,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Edges among features"; see `atlas.Atlas.edges_among`."""
        found: Table = self._asking().edges_among(
            features=self.keys, kind=kind, limit=limit, run=run
        )
        return found

    def edges_between(
        self,
        targets: Sequence[FeatureName],
        *,
        kind: Literal["token", "topic", "exclusive", "implies", "similar", "feeds"] | None = None,
        limit: int = 1000,
        run: RunName | None = None,
    ) -> Table:
        """Ask for "Edges between two sets"; see `atlas.Atlas.edges_between`."""
        found: Table = self._asking().edges_between(
            sources=self.keys, targets=targets, kind=kind, limit=limit, run=run
        )
        return found

    def meeting_points(
        self,
        *,
        limit: int = 20,
        min_joined: int = 2,
        mutual: bool = False,
        kind: Literal["token", "topic", "exclusive"] = "token",
        run: RunName | None = None,
    ) -> Features:
        """Ask for "Meeting points"; see `atlas.Atlas.meeting_points`."""
        found: Features = self._asking().meeting_points(
            features=self.keys,
            limit=limit,
            min_joined=min_joined,
            mutual=mutual,
            kind=kind,
            run=run,
        )
        return found


class CommunityQueries:
    """Queries that begin from a community."""

    @property
    def key(self) -> str:
        """What the queries are asked with."""
        raise NotImplementedError

    def _asking(self) -> Any:
        raise NotImplementedError

    def between_communities(
        self, b: CommunityName, *, limit: int = 20, top_k: int | None = None
    ) -> Table:
        """Ask for "Where two communities meet"; see `atlas.Atlas.between_communities`."""
        found: Table = self._asking().between_communities(a=self.key, b=b, limit=limit, top_k=top_k)
        return found

    def borders(self, *, limit: int = 20, top_k: int | None = None) -> Features:
        """Ask for "Borders of a community"; see `atlas.Atlas.community_borders`."""
        found: Features = self._asking().community_borders(
            community=self.key, limit=limit, top_k=top_k
        )
        return found

    def concepts(
        self,
        *,
        limit: int = 20,
        kind: Literal["any", "domain", "topic", "term", "hpo", "icd10"] = "any",
    ) -> Table:
        """Ask for "Concepts of a community"; see `atlas.Atlas.community_concepts`."""
        found: Table = self._asking().community_concepts(community=self.key, limit=limit, kind=kind)
        return found

    def links(self, *, limit: int = 20, top_k: int | None = None) -> Communities:
        """Ask for "Communities joined to a community"; see `atlas.Atlas.community_links`."""
        found: Communities = self._asking().community_links(
            community=self.key, limit=limit, top_k=top_k
        )
        return found

    def members(self, *, limit: int = 50) -> Features:
        """Ask for "Members of a community"; see `atlas.Atlas.community_members`."""
        found: Features = self._asking().community_members(community=self.key, limit=limit)
        return found

    def tokens(
        self,
        *,
        limit: int = 20,
        relation: Literal["fires_on", "promotes", "suppresses"] = "fires_on",
    ) -> Table:
        """Ask for "Tokens of a community"; see `atlas.Atlas.community_tokens`."""
        found: Table = self._asking().community_tokens(
            community=self.key, limit=limit, relation=relation
        )
        return found


class RunQueries:
    """Queries that begin from a run."""

    @property
    def key(self) -> str:
        """What the queries are asked with."""
        raise NotImplementedError

    def _asking(self) -> Any:
        raise NotImplementedError

    def community_overlap(
        self, other: RunName, *, limit: int = 50, min_jaccard: float = 0.1
    ) -> Communities:
        """Ask for "Overlap of communities"; see `atlas.Atlas.community_overlap`."""
        found: Communities = self._asking().community_overlap(
            run=self.key, other=other, limit=limit, min_jaccard=min_jaccard
        )
        return found

    def corpus_domains(self, *, limit: int = 100) -> Table:
        """Ask for "Domains of a corpus"; see `atlas.Atlas.corpus_domains`."""
        found: Table = self._asking().corpus_domains(run=self.key, limit=limit)
        return found

    def coverage(self) -> Table:
        """Ask for "Coverage"; see `atlas.Atlas.coverage`."""
        found: Table = self._asking().coverage(run=self.key)
        return found

    def edges_changed(
        self,
        b: RunName,
        *,
        change: Literal["any", "lost", "gained", "kept"] = "any",
        kind: Literal["token", "topic", "exclusive"] = "token",
        limit: int = 20,
    ) -> Table:
        """Ask for "Edges that changed"; see `atlas.Atlas.edges_changed`."""
        found: Table = self._asking().edges_changed(
            a=self.key, b=b, change=change, kind=kind, limit=limit
        )
        return found

    def features_changed(
        self,
        b: RunName,
        *,
        by: Literal["edges", "firing_rate"] = "edges",
        kind: Literal["token", "topic", "exclusive"] = "token",
        limit: int = 20,
    ) -> Features:
        """Ask for "Features that changed"; see `atlas.Atlas.features_changed`."""
        found: Features = self._asking().features_changed(
            a=self.key, b=b, by=by, kind=kind, limit=limit
        )
        return found
