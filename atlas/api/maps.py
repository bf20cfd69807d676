"""Backbones and maps of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.api.connection import Connection

if TYPE_CHECKING:
    from pathlib import Path

    from atlas.analysis.backbones import BackboneSummary
    from atlas.analysis.layout import LayoutSummary
    from atlas.progress import Reporter


class Maps(Connection):
    """What is kept of a graph to look at it, and where its features are drawn."""

    def backbone(
        self,
        run: str | None = None,
        *,
        method: str = "mutual-knn",
        k: int = 10,
        min_weight: float = 0.1,
        alpha: float = 0.05,
        ends: str = "either",
        keep_single: bool = False,
        weight: str = "phi",
        seed: int = 42,
        compare: bool = False,
        reporter: Reporter | None = None,
    ) -> list[BackboneSummary]:
        """Return what a backbone keeps of a run's token edges, or what several keep.

        Nothing is written. The edges themselves are `choose(method).apply(network)`
        of `atlas.analysis.backbones`.

        Parameters
        ----------
        run
            Key of the run; may be left out if the database has one.
        method
            ``all``, ``threshold``, ``mutual-knn``, ``union-knn``, ``disparity`` or ``forest``.
        k
            Of ``mutual-knn`` and ``union-knn``: strongest neighbours of a feature.
        min_weight
            Of ``threshold`` and ``forest``: least weight.
        alpha, ends, keep_single
            Of ``disparity``; see `atlas.analysis.backbones.disparity`.
        weight
            What weighs an edge: ``phi``, ``npmi``, ``jaccard`` or ``phi_share``.
        seed
            Random seed of the communities that the modularity is of.
        compare
            Compare the usual backbones; `method` and its parameters are left aside.
        reporter
            Is told of the progress.

        Returns
        -------
        list of BackboneSummary
            One, or with `compare` several, the whole network first.

        Raises
        ------
        NotFoundError
            There is no such run.
        UsageError
            A parameter has an impossible value, or the extra `analysis` is not installed.
        DatabaseError
            The database fails.
        """
        from atlas.analysis.backbones import Options, choose, compare_backbones, network_of_run
        from queries.resolve import only_run

        options = Options(
            k=k, min_weight=min_weight, alpha=alpha, ends=ends, keep_single=keep_single
        )
        chosen = None if compare else [choose(method, options)]
        key = run if run is not None else only_run(self.reader)
        network = network_of_run(self.reader, key, weight=weight)
        return compare_backbones(network, chosen, seed=seed, reporter=reporter)

    def layout(
        self,
        run: str | None = None,
        *,
        method: str = "graph-umap",
        name: str = "default",
        seed: int = 42,
        neighbours: int = 15,
        min_dist: float = 0.05,
        perplexity: float = 30.0,
        backbone: str = "union-knn",
        k: int = 3,
        min_weight: float = 0.1,
        alpha: float = 0.05,
        weight: str = "phi",
        weights: str | Path | None = None,
        reporter: Reporter | None = None,
    ) -> LayoutSummary:
        """Compute the map of a run and write it into the graph; see `atlas.analysis.layout`.

        Parameters
        ----------
        run
            Key of the run; may be left out if the database has one.
        method
            ``graph-umap``, ``graph-drl`` or ``graph-fruchterman-reingold`` of a backbone,
            ``umap`` or ``tsne`` of decoder vectors.
        name
            Name of the map: properties ``map_x``, ``map_y`` of the default one, ``map_NAME_x``
            and so on of others.
        seed
            Random seed.
        neighbours, min_dist, perplexity
            Of ``umap`` (`min_dist` also of ``graph-umap``) and ``tsne``.
        backbone, k, min_weight, alpha, weight
            The backbone; see `backbone`.
        weights
            Safetensors file of the run's SAE, for ``umap`` and ``tsne``; by default the vectors
            in the graph.
        reporter
            Is told of the progress.

        Raises
        ------
        NotFoundError
            There is no such run.
        UsageError
            A parameter has an impossible value, the extra `analysis` is not installed, or there
            is nothing to lay out.
        DatabaseError
            The database fails; nothing was written.
        """
        from atlas.analysis.layout import LayoutOptions, lay_out
        from queries.resolve import only_run

        options = LayoutOptions(
            method=method,
            name=name,
            seed=seed,
            neighbours=neighbours,
            min_dist=min_dist,
            perplexity=perplexity,
            backbone=backbone,
            k=k,
            min_weight=min_weight,
            alpha=alpha,
            weight=weight,
        )
        return lay_out(
            self.driver,
            run if run is not None else only_run(self.reader),
            options=options,
            weights=weights,
            database=self.database,
            reporter=reporter,
        )
