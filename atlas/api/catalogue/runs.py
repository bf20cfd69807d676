"""The catalogue's queries about runs, a method each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atlas.api.asking import Asking

if TYPE_CHECKING:
    from atlas.api.asking import FeatureName, RunName
    from atlas.api.objects import Features, Run, Runs
    from atlas.api.table import Table


class RunsPart(Asking):
    """Queries about runs."""

    def algorithm_runs(self, *, run: RunName | None = None, limit: int = 100) -> Table:
        """Ask for "Algorithm runs".

        The algorithms that ran on the graph: on which run, what they wrote, with which parameters,
        seed and versions, and how long they took.

        Parameters
        ----------
        run
            Only algorithms on this run.
        limit
            Most rows. From 1 to 10000.

        Returns
        -------
        Table
            Columns ``key``, ``run``, ``algorithm``, ``property``, ``engine``, ``top_k``,
            ``parameters``, ``projection``, ``seed``, ``exact``, ``versions``, ``milliseconds``,
            ``created``, ``communities``, ``record``.
        """
        found: Table = self._ask("algorithm_runs", run=run, limit=limit)
        return found

    def corpus_domains(self, run: RunName, *, limit: int = 100) -> Table:
        """Ask for "Domains of a corpus".

        The documents, contexts and features of a run's corpus by the domain of the documents. Reads
        all documents of the corpus and all features of the run.

        Parameters
        ----------
        run
            Key of the run.
        limit
            Most rows. From 1 to 10000.

        Returns
        -------
        Table
            Columns ``domain``, ``documents``, ``documents_share``, ``tokens``, ``contexts``,
            ``features``, ``features_share``, ``about``.
        """
        found: Table = self._ask("corpus_domains", run=run, limit=limit)
        return found

    def coverage(self, run: RunName) -> Table:
        """Ask for "Coverage".

        How many features of a run have a label, contexts, tokens, edges of each kind, a community,
        concepts, explanations, a place on the map or measured effects. Reads all features and their
        edges.

        Parameters
        ----------
        run
            Key of the run.

        Returns
        -------
        Table
            Columns ``what``, ``features``, ``of``, ``share``, ``meaning``.
        """
        found: Table = self._ask("coverage", run=run)
        return found

    def edge_provenance(self, a: FeatureName, b: FeatureName) -> Table:
        """Ask for "Provenance of edges".

        For each relationship between two features what made it: the run with its recipe, corpus and
        parameters, an algorithm, an experiment or an import, and the test that it passed.

        Parameters
        ----------
        a
            Key of one feature.
        b
            Key of the other.

        Returns
        -------
        Table
            Columns ``relation``, ``kind``, ``direction``, ``key``, ``made_by``, ``maker``, ``run``,
            ``created``, ``recipe``, ``digest``, ``corpus``, ``corpus_digest``, ``model``,
            ``parameters``, ``versions``, ``counts``, ``n``, ``z``, ``p``, ``q``.
        """
        found: Table = self._ask("edge_provenance", a=a, b=b)
        return found

    def edges_changed(
        self,
        a: RunName,
        b: RunName,
        *,
        change: Literal["any", "lost", "gained", "kept"] = "any",
        kind: Literal["token", "topic", "exclusive"] = "token",
        limit: int = 20,
    ) -> Table:
        """Ask for "Edges that changed".

        Edges between features of two runs that only one of these has, or whose strength differs
        most between them. An edge that a run does not have counts as strength 0, though it may only
        be too weak or too uncertain to be kept. Reads all edges of the kind.

        Parameters
        ----------
        a
            Key of one run.
        b
            Key of the other.
        change
            Only edges of a alone (lost), of b alone (gained) or of both (kept).
        kind
            Kind of co-occurrence.
        limit
            Most rows. From 1 to 10000.

        Returns
        -------
        Table
            Columns ``source``, ``target``, ``source_label``, ``target_label``, ``change``,
            ``strength_a``, ``strength_b``, ``difference``, ``phi_a``, ``phi_b``, ``n_a``, ``n_b``.
        """
        found: Table = self._ask("edges_changed", a=a, b=b, change=change, kind=kind, limit=limit)
        return found

    def features_changed(
        self,
        a: RunName,
        b: RunName,
        *,
        by: Literal["edges", "firing_rate"] = "edges",
        kind: Literal["token", "topic", "exclusive"] = "token",
        limit: int = 20,
    ) -> Features:
        """Ask for "Features that changed".

        Features of two runs whose edges or firing rate differ most between them. A feature's node
        has the numbers of the run loaded last; the rate in the other run is told by its edges,
        whose joint firings are a known share of its own. Reads all edges of the kind.

        Parameters
        ----------
        a
            Key of one run.
        b
            Key of the other.
        by
            What to order by: edges lost and gained, or the change of the rate.
        kind
            Kind of co-occurrence.
        limit
            Most rows. From 1 to 10000.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``edges_a``, ``edges_b``, ``kept``,
            ``lost``, ``gained``, ``jaccard``, ``firing_rate_a``, ``firing_rate_b``, ``change``,
            ``numbers_of``.
        """
        found: Features = self._ask("features_changed", a=a, b=b, by=by, kind=kind, limit=limit)
        return found

    def health(self, *, max_dead: float = 0.5, max_dense: float = 0.1) -> Table:
        """Ask for "Health".

        One row for each check of the graph: whether all is well and what to do if not. Reads all
        features and the keys of all edges. Indexes are checked by the query indexes.

        Parameters
        ----------
        max_dead
            Largest share of dead features that is well. From 0 to 1.
        max_dense
            Largest share of dense features that is well. From 0 to 1.

        Returns
        -------
        Table
            Columns ``check``, ``status``, ``found``, ``of``, ``share``, ``do``.
        """
        found: Table = self._ask("health", max_dead=max_dead, max_dense=max_dense)
        return found

    def indexes(self, *, broken: bool = False) -> Table:
        """Ask for "Indexes".

        The indexes of the database and whether they are online. Neo4j lists them only in a
        statement of their own, so they are no part of the query health.

        Parameters
        ----------
        broken
            Only indexes that are not online.

        Returns
        -------
        Table
            Columns ``name``, ``state``, ``percent``, ``type``, ``of``, ``labels``, ``properties``,
            ``unique``, ``reads``, ``failure``.
        """
        found: Table = self._ask("indexes", broken=broken)
        return found

    def layers_compared(
        self,
        a: str,
        b: str,
        *,
        show: Literal["joined", "vanishes", "appears"] = "joined",
        run: RunName | None = None,
        limit: int = 20,
    ) -> Features:
        """Ask for "Layers compared".

        Features of two SAEs of one model: which are joined by FEEDS, which of the one have no
        counterpart in the other (vanish), and which of the other have none in the one (appear). For
        those shown the nearest decoder vector of the other SAE is looked up, so that a feature that
        goes on without a FEEDS is seen. Reads all FEEDS.

        Parameters
        ----------
        a
            Key of the SAE of the earlier layer.
        b
            Key of the SAE of the later layer.
        show
            Which features: of a with FEEDS, of a without, or of b without.
        run
            Run that the FEEDS are of; by default the run of the feature's numbers.
        limit
            Most rows. Joined are ordered by phi, the others by firing rate. From 1 to 1000.

        Returns
        -------
        Features
            Columns ``key``, ``label``, ``top_tokens``, ``firing_rate``, ``change``, ``other``,
            ``other_label``, ``other_tokens``, ``cosine``, ``phi``, ``n``, ``weight``,
            ``weight_cosine``, ``run``.
        """
        found: Features = self._ask("layers_compared", a=a, b=b, show=show, run=run, limit=limit)
        return found

    def models(self) -> Table:
        """Ask for "Models".

        The language models of the database, with their SAEs and runs.

        Returns
        -------
        Table
            Columns ``key``, ``d_model``, ``n_layers``, ``source``, ``weights``, ``saes``,
            ``features``, ``runs``.
        """
        found: Table = self._ask("models")
        return found

    def provenance(self, feature: FeatureName, *, property: str | None = None) -> Table:
        """Ask for "Provenance of a feature".

        For every property of a feature the run, algorithm, map or import that it is from, with
        parameters, seed, versions and digests.

        Parameters
        ----------
        feature
            Key of the feature.
        property
            Only this property.

        Returns
        -------
        Table
            Columns ``property``, ``value``, ``made_by``, ``maker``, ``run``, ``name``,
            ``parameters``, ``seed``, ``versions``, ``recipe``, ``digest``, ``created``.
        """
        found: Table = self._ask("provenance", feature=feature, property=property)
        return found

    def run(self, run: RunName) -> Run:
        """Ask for "Run".

        Everything about one run: what it was made from and with, what the graph has of it, and the
        algorithms that ran on it.

        Parameters
        ----------
        run
            Key of the run.

        Returns
        -------
        Run
            Columns ``key``, ``name``, ``state``, ``created``, ``loaded``, ``digest``, ``recipe``,
            ``atlas``, ``versions``, ``parameters``, ``counts``, ``model``, ``saes``, ``corpus``,
            ``features``, ``own``, ``numbers``, ``edges``, ``firings``, ``communities``,
            ``algorithms``.
        """
        found: Run = self._ask("run", run=run)
        return found

    def runs(self, *, edges: bool = True) -> Runs:
        """Ask for "Runs".

        The runs of the database, oldest first, with what each has.

        Parameters
        ----------
        edges
            Count the edges by kind, which reads all of their keys.

        Returns
        -------
        Runs
            Columns ``key``, ``name``, ``kind``, ``created``, ``model``, ``saes``, ``features``,
            ``edges``, ``communities``, ``state``, ``digest``.
        """
        found: Runs = self._ask("runs", edges=edges)
        return found

    def saes(self, *, run: RunName | None = None) -> Table:
        """Ask for "SAEs".

        The sparse autoencoders of the database: what they read, how many of their features are
        there, never fire or fire densely. Reads all features.

        Parameters
        ----------
        run
            Only SAEs and features that this run has.

        Returns
        -------
        Table
            Columns ``key``, ``name``, ``model``, ``hook``, ``architecture``, ``d_sae``,
            ``features``, ``dead``, ``dense``, ``dead_share``, ``dense_share``,
            ``mean_firing_rate``, ``expected_active``, ``runs``, ``weights``, ``neuronpedia_id``.
        """
        found: Table = self._ask("saes", run=run)
        return found
