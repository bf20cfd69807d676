"""Labels of features, and the concepts that they are tested against."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from atlas.api.connection import Connection
from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from atlas.progress import Reporter
    from atlas.recipe import BuildRecipe
    from ingest.add_concepts import AddedConcepts
    from ingest.labelling import Labeller, Labelling


class Labels(Connection):
    """What features are called, and what they are about."""

    def label(
        self,
        run: str | None = None,
        *,
        features: Sequence[str | int] | None = None,
        explanations: bool = True,
        labeller: Labeller | None = None,
        labeller_name: str = "labeller",
        litellm: str | None = None,
        again: bool = False,
        reporter: Reporter | None = None,
    ) -> Labelling:
        """Label the live features of a run; see `ingest.labelling.label_features`.

        Written: ``label``, ``label_source``, ``label_score``, ``label_contexts``, ``label_run`` and
        ``label_embedding`` of the features, and an `AlgorithmRun`.

        Parameters
        ----------
        run
            Key of the run; may be left out if the database has one.
        features
            Features to label, as in `feature`; by default all.
        explanations
            Whether explanations in the graph come first.
        labeller
            Any callable that gets an `ingest.labelling.Evidence` and returns a label or None.
        labeller_name
            What its labels have as their source.
        litellm
            Name of a language model to ask through litellm, instead of `labeller`; its labels have
            the source ``litellm:NAME``. Contexts of the corpus are sent to whoever serves it.
        again
            Ask the labeller also about features that it has labelled before.
        reporter
            Is told of the progress.

        Raises
        ------
        NotFoundError
            There is no such run or feature.
        UsageError
            The run is not loaded to its end, or its features hold the numbers of another run;
            litellm is not installed; or both labellers are given.
        ModelError
            The language model cannot be asked; labels until then are kept.
        DatabaseError
            The database fails.
        """
        from ingest.labelling import LabelOptions, label_features, litellm_labeller
        from queries.resolve import only_run, resolve_feature

        if litellm is not None:
            if labeller is not None:
                raise UsageError("Give either labeller or litellm.")
            labeller, labeller_name = litellm_labeller(litellm), f"litellm:{litellm}"
        keys = None if features is None else [resolve_feature(self.reader, f) for f in features]
        return label_features(
            self.driver,
            run if run is not None else only_run(self.reader),
            features=keys,
            options=LabelOptions(
                explanations=explanations,
                labeller=labeller,
                labeller_name=labeller_name,
                again=again,
            ),
            database=self.database,
            reporter=reporter,
        )

    def add_concepts(
        self,
        ontologies: Sequence[str],
        *,
        run: str | None = None,
        recipe: BuildRecipe | str | Path | None = None,
        build: str | Path | None = None,
        reporter: Reporter | None = None,
    ) -> AddedConcepts:
        """Find terms of ontologies in a run's text, and test which features are about them.

        Changes the build folder (see `ingest.add_concepts.add_concepts`) and then the run in the
        database (`ingest.load_concepts.load_concepts`): its `Concept` and `ABOUT`.

        Parameters
        ----------
        ontologies
            ``hpo``, ``icd10``; those added before stay.
        run
            Key of the run; may be left out if the database has one.
        recipe
            The build's recipe, or its file: the text is read again. Not needed where the codes were
            brought.
        build
            The build folder; by default ``HOME/builds/RUN``.
        reporter
            Is told of the progress.

        Raises
        ------
        NotFoundError
            There is no such run, or no build folder of it.
        UsageError
            There is no such ontology, its package is missing, or the text is not the build's.
        ArtifactError
            The build or its codes are not in order.
        DatabaseError
            The run is loaded from another build, another client loads one, or the database fails.
        """
        from atlas.recipe import BuildRecipe, load_build_recipe
        from ingest.add_concepts import add_concepts
        from ingest.load_concepts import load_concepts
        from ingest.repair import find_build
        from queries.resolve import only_run

        if build is None:
            key = run if run is not None else only_run(self.reader)
            build = find_build(key, home=self.home)
        if recipe is not None and not isinstance(recipe, BuildRecipe):
            recipe = load_build_recipe(recipe)
        done = add_concepts(build, ontologies, recipe=recipe, reporter=reporter)
        loaded = load_concepts(self.driver, build, database=self.database, reporter=reporter)
        return replace(done, loaded=loaded)
