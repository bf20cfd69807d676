"""Recipes of studies: strict TOML files that say everything, and the requests made of them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from atlas.errors import NotFoundError, RecipeError
from atlas.recipe_file import Strict, absolute_path, absolute_source, read_toml
from atlas.shipped import DATA
from queries.studies.prompt_tables import concept_prompts, document_prompts, task_prompts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.followups.evidence import Request
    from queries.followups.lab import Lab
    from queries.studies.builds import BuildRef

Kind = Literal["network", "concept"]

REQUESTS: dict[str, tuple[str, str]] = {
    "network": ("queries.studies.network.request", "NetworkRequest"),
    "concept": ("queries.studies.concept.request", "ConceptRequest"),
}
"""Kind of a study to the module and class of its requests."""


class PromptsSection(Strict):
    """``[prompts]``: where the prompts come from.

    A network study has a `file` of facts, a `template` and an `answer`; a concept study a `file`
    of prompts, or files of documents about the `concept` and of others, the `control`.
    """

    file: str | None = Field(default=None, description=".csv, .jsonl or .parquet file")
    template: str | list[str] = Field(
        default=[], description="prompt with {columns} in braces; several make several prompts"
    )
    answer: str | None = Field(
        default=None, description="answer with {columns} in braces, and the space it begins with"
    )
    id: str | None = Field(default=None, description="name of a prompt, with {columns}")
    limit: int | None = Field(default=None, ge=1, description="rows that are read")
    concept: str | None = Field(default=None, description="documents about the concept")
    control: str | None = Field(default=None, description="documents about something else")
    text_column: str = "text"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        documents = self.concept is not None and self.control is not None
        if (self.concept is None) != (self.control is None):
            raise ValueError("concept and control go together")
        if documents == (self.file is not None):
            raise ValueError("give either a file, or concept and control")
        if bool(self.template) != (self.answer is not None):
            raise ValueError("template and answer go together")
        return self

    @property
    def templates(self) -> tuple[str, ...]:
        """The templates, also where there is one."""
        return (self.template,) if isinstance(self.template, str) else tuple(self.template)


class StudyRecipe(Strict):
    """A study: what of, on which model and SAEs, with which prompts and parameters."""

    kind: Kind
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str
    about: str = Field(default="", description="what it asks, in one line")
    model: str = Field(description="packaged name, local folder, or hub name")
    saes: list[str] = Field(
        min_length=1, description="shipped name, local folder or RELEASE:ID, as NAME=SOURCE"
    )
    prompts: PromptsSection
    parameters: dict[str, Any] = Field(default={}, description="fields of the study's request")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kind == "network" and not self.prompts.templates:
            raise ValueError("a network study needs prompts.template and prompts.answer")
        if self.kind == "concept" and self.prompts.templates:
            raise ValueError("prompts.template is of network studies; give a column prompt")
        return self

    def request(self, lab: Lab, *, builds: Sequence[BuildRef] = ()) -> Request:
        """Make the study's request.

        Parameters
        ----------
        lab
            The model and the SAEs of the recipe.
        builds
            Builds whose corpus tells firing rates, maxima and edges.

        Raises
        ------
        CorpusError
            The table cannot be read, or has rows that are no prompts.
        RecipeError
            A parameter does not exist or has a wrong value.
        """
        place, name = REQUESTS[self.kind]
        kind = getattr(import_module(place), name)
        given = {**self._prompts(), "builds": tuple(builds)}
        given["name"] = self.name
        if self.kind == "network":
            given["sae"] = next(iter(lab.saes))
        else:
            given["saes"] = tuple(lab.saes)
        taken = sorted(given.keys() & self.parameters.keys())
        if taken:
            raise RecipeError(f"Recipe {self.name}: parameters.{taken[0]} is given elsewhere.")
        try:
            made: Request = kind(**given, **_tuples(self.parameters))
        except ValidationError as error:
            what = error.errors()[0]
            where = ".".join(str(part) for part in what["loc"])
            known = ", ".join(sorted(kind.model_fields.keys() - given.keys()))
            raise RecipeError(
                f"Recipe {self.name}: parameters.{where}: {what['msg'].lower()}.",
                hint=f"Parameters of a {self.kind} study: {known}.",
            ) from error
        return made

    def _prompts(self) -> dict[str, Any]:
        section = self.prompts
        if section.concept is not None and section.control is not None:
            return document_prompts(
                Path(section.concept),
                Path(section.control),
                column=section.text_column,
                limit=section.limit,
            )
        table = Path(section.file or "")
        if self.kind == "concept":
            return concept_prompts(table, limit=section.limit)
        return task_prompts(
            table,
            templates=section.templates,
            answer=section.answer or "",
            name=section.id,
            limit=section.limit,
        )


def shipped_studies() -> dict[str, Path]:
    """Names and files of the studies' recipes that come with the atlas."""
    return {path.stem: path for path in sorted((DATA / "studies").glob("*.toml"))}


def read_study(recipe: str | Path, *, kind: Kind | None = None) -> StudyRecipe:
    """Read a recipe; paths in it are relative to its folder.

    Parameters
    ----------
    recipe
        File, or name of a shipped recipe.
    kind
        The kind that it must be of.

    Raises
    ------
    NotFoundError
        There is no such file or shipped recipe.
    RecipeError
        It is no recipe of a study, or of another kind.
    """
    path = shipped_studies().get(str(recipe), Path(recipe).expanduser())
    if not path.is_file():
        raise NotFoundError(
            f"There is no recipe {recipe}.",
            hint=f"Give a file, or one of {', '.join(shipped_studies())}.",
        )
    found = read_toml(StudyRecipe, path)
    if kind is not None and found.kind != kind:
        raise RecipeError(
            f"Recipe {path} is of a {found.kind} study.", hint=f"Run `atlas study {found.kind}`."
        )
    return _with_absolute_paths(found, path.resolve().parent)


def _with_absolute_paths(recipe: StudyRecipe, folder: Path) -> StudyRecipe:
    files = {
        name: absolute_path(value, folder)
        for name in ("file", "concept", "control")
        if (value := getattr(recipe.prompts, name)) is not None
    }
    saes = [_absolute_sae(sae, folder) for sae in recipe.saes]
    return recipe.model_copy(
        update={
            "prompts": recipe.prompts.model_copy(update=files),
            "saes": saes,
            "model": absolute_source(recipe.model, folder),
        }
    )


def _absolute_sae(source: str, folder: Path) -> str:
    name, equals, rest = source.rpartition("=")
    return f"{name}{equals}{absolute_source(rest, folder)}"


def _tuples(value: Any) -> Any:
    """Return TOML's lists as tuples, which requests are made of."""
    if isinstance(value, dict):
        return {key: _tuples(one) for key, one in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
