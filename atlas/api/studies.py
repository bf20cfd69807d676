"""Whole studies: from a recipe, or builds, to statistics and interventions that are kept."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.api.experiments import Experiments
from atlas.api.found import FollowUp
from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.progress import Reporter
    from queries.followups.evidence import Request
    from queries.followups.lab import Lab
    from queries.studies.recipe import StudyRecipe


@dataclass(frozen=True)
class PlannedStudy:
    """A study with its model, before it is run.

    Attributes
    ----------
    recipe
        What is asked.
    lab
        The model and SAEs.
    request
        The recipe with its prompts, as it is run and kept.
    builds
        Run id to folder of the builds that tell corpus figures.
    """

    recipe: StudyRecipe
    lab: Lab
    request: Request
    builds: dict[str, Path]

    def estimate(self) -> list[dict[str, Any]]:
        """Time a few passes and say how long each step will take.

        Returns
        -------
        list of dict
            `step`, `passes` (through the model) and `seconds`, one row a step.
        """
        from importlib import import_module

        place = f"queries.studies.{self.recipe.kind}.estimate"
        found: list[dict[str, Any]] = import_module(place).estimate(self.lab, self.request)
        return found


def plan_study(
    recipe: str | Path,
    *,
    model: str | None = None,
    saes: Sequence[str] = (),
    builds: Sequence[str | Path] | None = None,
    kind: Any = None,
    device: str | None = None,
    home: Path | None = None,
) -> PlannedStudy:
    """Load a study's model and SAEs and read its prompts.

    Parameters
    ----------
    recipe
        File, or name of a recipe that comes with the atlas.
    model, saes
        Instead of the recipe's.
    builds
        Build folders that tell how features fire over a corpus; by default the newest in the
        atlas's home for each SAE, none where there is none.
    kind
        ``network`` or ``concept``: what the recipe has to be of.
    device
        By default CUDA where there is a device.
    home
        Folder of the atlas.

    Raises
    ------
    NotFoundError, RecipeError, CorpusError, ModelError, ArtifactError
        What cannot be read or loaded, and what to do.
    """
    from queries.followups.lab import Lab
    from queries.studies.builds import find_builds, refs_of
    from queries.studies.recipe import read_study

    read = read_study(recipe, kind=kind)
    lab = Lab.load(model or read.model, list(saes) or read.saes, device=device)
    folders = find_builds(lab, home=home) if builds is None else [Path(path) for path in builds]
    refs = refs_of(folders)
    named = {ref.run_id: path for ref, path in zip(refs, folders, strict=True)}
    return PlannedStudy(read, lab, read.request(lab, builds=refs), named)


class Studies(Experiments):
    """Studies of many follow-ups, each run with one call."""

    def study(
        self,
        recipe: str | Path | PlannedStudy,
        *,
        builds: Sequence[str | Path] | None = None,
        device: str | None = None,
        store: bool = True,
        reporter: Reporter | None = None,
    ) -> FollowUp:
        """Run a study; see docs/studies.md.

        Interrupted, the same call goes on where it was. Where it is kept, ``index.html`` lies in
        its folder.

        >>> atlas.study("capitals")  # doctest: +SKIP

        Parameters
        ----------
        recipe
            File, name of a recipe that comes with the atlas, or what `plan_study` returned.
        builds, device
            See `plan_study`.
        store
            Keep it in a folder, with its report, and load it into the graph.
        reporter
            Is told of the progress.

        Returns
        -------
        FollowUp
            Tables ``findings``, ``effects`` and others.

        Raises
        ------
        NotFoundError, RecipeError, CorpusError, ModelError, ArtifactError
            What cannot be read or loaded, and what to do.
        """
        from importlib import import_module

        from queries.followups.evidence import save_evidence

        planned = (
            recipe
            if isinstance(recipe, PlannedStudy)
            else plan_study(recipe, builds=builds, device=device, home=self.folder)
        )
        module = import_module(f"queries.studies.{planned.recipe.kind}.run")
        found = module.run(
            planned.lab,
            planned.request,
            reporter=reporter,
            builds=planned.builds,
            work=self.followups / "stages",
        )
        if store:
            # The report is there even where the graph refuses what was found.
            report(save_evidence(found, self.followups))
        return self._keep(found, reporter=reporter) if store else FollowUp(found)

    def edges_vs_causes(
        self,
        build: str | Path,
        *,
        contexts: str | Path | None = None,
        lab: Lab | None = None,
        store: bool = True,
        reporter: Reporter | None = None,
        **options: Any,
    ) -> FollowUp:
        """Ablate features and judge a build's edges by what changes; see docs/edges-vs-causes.md.

        Parameters
        ----------
        build
            Build folder whose edges are judged; its codes must be there.
        contexts
            Build folder of other documents, for excerpts; by default some are held out.
        lab
            Model and SAEs; by default those of `lab()`, which must have two.
        store
            Keep it in a folder and load it into the graph.
        reporter
            Is told of the progress.
        **options
            Other fields of `queries.followups.causes.request.CausesRequest`.

        Raises
        ------
        UsageError, ArtifactError, NotFoundError
            The request does not fit the SAEs or builds.
        """
        from queries.followups.causes.run import request_of, run

        chosen = lab or self.lab()
        request = request_of(chosen, build, other=contexts, **options)
        folders = {request.run_id: build, request.contexts_run_id: contexts}
        found = run(
            chosen,
            request,
            reporter=reporter,
            work=self.followups / "measuring",
            builds={name: Path(path) for name, path in folders.items() if name and path},
        )
        return self._keep(found, reporter=reporter) if store else FollowUp(found)

    @property
    @abstractmethod
    def followups(self) -> Path:
        """Folder that follow-ups are kept in."""

    @property
    @abstractmethod
    def folder(self) -> Path:
        """Folder of the atlas, with its builds."""


REPORTS = {
    "network_study": "queries.studies.network.report",
    "concept_study": "queries.studies.concept.report",
}
"""Kind of evidence to the module that writes its report."""


def report(folder: str | Path, *, out: str | Path | None = None) -> Path:
    """Write the report of a stored study; no model is needed.

    Parameters
    ----------
    folder
        Folder of the study.
    out
        Folder to write ``index.html`` and its tables and pictures into; by default ``report`` in
        the study's folder.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    UsageError
        The folder is of another kind of follow-up.
    ArtifactError
        The folder is not whole.
    """
    from importlib import import_module

    from queries.followups.evidence import open_evidence

    found = open_evidence(Path(folder))
    if found.kind not in REPORTS:
        raise UsageError(
            f"{folder} is of the kind {found.kind!r}, which has no report.",
            hint=f"Kinds with a report: {', '.join(REPORTS)}.",
        )
    target = Path(folder) / "report" if out is None else Path(out)
    page: Path = import_module(REPORTS[found.kind]).write_study_report(found, target)
    return page
