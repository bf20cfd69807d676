"""Recipes: strict TOML files that say everything about a build or a training.

An unknown key is an error that names the nearest right one; so are a wrong type and a value out
of range. Paths in a recipe are relative to the recipe's own folder.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, PositiveFloat, field_validator, model_validator

from atlas.recipe_file import Strict, absolute_path, absolute_source, read_toml

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class ModelSection(Strict):
    """``[model]``: the language model."""

    name: str = Field(description="packaged name, local folder, or hub name")


class MappedModelSection(ModelSection):
    """``[model]`` of a build; where codes are brought, the name is a key and nothing is loaded."""

    tokenizer: str | None = Field(
        default=None, description="with brought codes: local folder or hub name, for token texts"
    )


class CorpusSection(Strict):
    """``[[corpus]]``: a source of documents; several are read one after the other."""

    source: str = Field(description="folder, file, demo:written, demo:hpo, or hf:NAME")
    text_column: str = "text"
    domain_column: str | None = None
    id_column: str | None = None
    limit: int | None = Field(default=None, ge=1)


class CodesSection(Strict):
    """``[sae.codes]``: codes that another library computed; see `ingest.brought`."""

    path: str = Field(description="file or folder of the codes")
    format: Literal["auto", "parquet", "safetensors", "delphi"] = "auto"
    latents: Literal["auto", "absolute", "relative"] = "auto"
    d_sae: int | None = Field(default=None, ge=1, description="latents, unless the files say it")
    documents: str | None = Field(default=None, description="documents table")
    positions: Literal["all", "only those with a firing"] = "all"
    skip_positions: int = Field(default=0, ge=0, description="first positions that do not count")
    mask_tokens: list[int | str] = Field(default=[], description="tokens that do not count")


class SaeSection(Strict):
    """``[[sae]]``: an SAE to map. With codes it is not run, and its source gives weights alone."""

    source: str | None = Field(
        default=None, description="shipped name, local folder, or RELEASE:ID of SAELens"
    )
    name: str | None = Field(default=None, description="name in feature keys; default from source")
    hook: str | None = Field(
        default=None, min_length=1, description="with codes: what the SAE reads, in any words"
    )
    codes: CodesSection | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.codes is None:
            if self.source is None:
                raise ValueError("source is missing; without it, give [sae.codes]")
            if self.hook is not None:
                raise ValueError("hook goes with [sae.codes] only: an SAE of SAELens says its own")
        elif self.name is None or self.hook is None:
            raise ValueError("brought codes need a name and a hook")
        elif not re.match(_NAME, self.name):
            raise ValueError(f"name {self.name!r} has to be letters, digits and . _ -")
        return self


class TokensSection(Strict):
    """``[tokens]``: how documents become positions that count."""

    context_size: int = Field(default=256, ge=2)
    batch_tokens: int = Field(default=4096, ge=2)
    skip_positions: int = Field(default=1, ge=0, description="first positions of a block to mask")
    sink_ratio: float = Field(
        default=3.0, gt=1.0, description="mask above this times the median norm"
    )
    shard_documents: int = Field(default=500, ge=1)


class EdgesSection(Strict):
    """``[edges]``: which pairs are tested and which become edges."""

    unit: str = Field(
        default="token", pattern=r"^(token|document|window:[1-9][0-9]*)$",
        description="token, window:W or document",
    )  # fmt: skip
    min_expected: float = Field(default=5.0, gt=0)
    min_npmi: float = Field(default=0.1, ge=-1, le=1, description="floor of token edges")
    min_topic: float = Field(default=0.3, gt=0, le=1, description="r_topic, floor of topic edges")
    min_exclusive_topic: float = Field(
        default=0.1, gt=0, le=1, description="r_topic from which exclusion is looked for"
    )
    min_cosine: float = Field(
        default=0.3, gt=0, le=1, description="decoder cosine from which exclusion is looked for"
    )
    min_implied: float = Field(default=0.5, gt=0, le=1, description="P(j | i) of IMPLIES")
    fdr: float = Field(default=0.05, gt=0, lt=1)
    top_k: int = Field(default=64, ge=1)
    similar_k: int = Field(default=16, ge=1, description="nearest decoder vectors kept")
    contexts: int = Field(default=3, ge=0, description="contexts kept of a strong token edge")
    context_rank: int = Field(
        default=10, ge=1, description="an edge is strong within this rank of both features"
    )
    feeds: bool = Field(default=True, description="join SAEs of different hooks by FEEDS")
    folds: int = Field(default=0, ge=0, description="document folds whose sums are kept; 0: none")
    bootstrap_folds: int = Field(
        default=64, ge=0, description="document folds for bootstraps of communities; 0: none"
    )
    bootstrap_rank: int = Field(
        default=64, ge=1, description="edges within this rank of both features are resampled"
    )


class FeaturesSection(Strict):
    """``[features]``: what is kept of each feature beside its counts."""

    contexts: int = Field(default=10, ge=0)
    context_tokens: int = Field(default=24, ge=1)
    tokens: int = Field(default=10, ge=1)
    bins: int = Field(default=4, ge=0, description="quantile bins of weaker firings; 0: none")
    per_bin: int = Field(default=2, ge=1, description="contexts drawn from each bin")
    seed: int = 0


class AnalysisSection(Strict):
    """``[analysis]``: centrality and communities."""

    seed: int = 0
    backbone_k: int = Field(default=10, ge=1)
    communities: Literal["consensus", "leiden"] = Field(
        default="consensus", description="what many runs agree on, or one run of Leiden"
    )
    community_k: int = Field(default=32, ge=1, description="backbone that consensus is sought on")
    resolutions: list[PositiveFloat] = Field(
        default=[1, 2, 4, 8, 16, 32], min_length=1, description="of Leiden, tried by halves"
    )
    thresholds: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        default=[0.6, 0.7, 0.8, 0.9], min_length=1, description="shares of runs, tried by halves"
    )
    seeds: int = Field(default=20, ge=1, description="of Leiden, on every bootstrap")
    bootstraps: int = Field(default=20, ge=1, description="of the documents")


class BuildRecipe(Strict):
    """A build: text, model and SAEs to a graph; or codes of SAEs to a graph."""

    name: str = Field(pattern=_NAME)
    model: MappedModelSection
    corpus: list[CorpusSection] = Field(default=[])
    sae: list[SaeSection] = Field(min_length=1)
    tokens: TokensSection = TokensSection()
    edges: EdgesSection = EdgesSection()
    features: FeaturesSection = FeaturesSection()
    analysis: AnalysisSection = AnalysisSection()

    @property
    def brought(self) -> bool:
        """Whether the codes of all SAEs are brought, so that no language model is needed."""
        return self.sae[0].codes is not None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if any((section.codes is None) == self.brought for section in self.sae):
            raise ValueError("[sae.codes] has to be given for every [[sae]] or for none")
        names = [section.name for section in self.sae if section.name is not None]
        if len(set(names)) != len(names):
            raise ValueError("sae: two SAEs have the same name")
        if self.brought:
            self._check_brought()
        elif not self.corpus:
            raise ValueError("corpus: a [[corpus]] is needed, or [sae.codes]")
        elif self.model.tokenizer is not None:
            raise ValueError("model.tokenizer goes with [sae.codes] only: a model has its own")
        return self

    def _check_brought(self) -> None:
        if self.corpus:
            raise ValueError(
                "corpus: [[corpus]] does not go with [sae.codes]: codes are of text that was read "
                "already; give texts and domains in the table sae.codes.documents"
            )
        idle = sorted(self.tokens.model_fields_set - {"shard_documents"})
        if idle:
            raise ValueError(
                f"tokens.{idle[0]} does nothing where codes are brought; see "
                "sae.codes.skip_positions and sae.codes.mask_tokens"
            )


class HarvestSection(Strict):
    """``[harvest]``: activations written to disk for training."""

    context_size: int = Field(default=256, ge=2)
    batch_tokens: int = Field(default=8192, ge=2)
    shard_blocks: int = Field(default=384, ge=1)
    held_out: float = Field(default=0.02, gt=0, lt=1)
    seed: int = 0
    compile: bool = Field(default=False, description="torch.compile the blocks; needs a compiler")


class TrainedSaeSection(Strict):
    """``[[sae]]`` of a training recipe: one TopK SAE to train."""

    name: str = Field(pattern=_NAME)
    hook: str
    d_sae: int = Field(ge=2)
    k: int = Field(ge=1)
    positions: int = Field(ge=1, description="different positions to train on")
    epochs: float = Field(default=2.0, gt=0)
    batch: int = Field(default=4096, ge=1)
    lr: float = Field(default=5e-4, gt=0)
    decay_share: float = Field(default=0.5, ge=0, le=1, description="last share of steps, lr to 0")
    dead_window: int = Field(default=200, ge=1, description="steps without firing: dead")
    checkpoints: int = Field(default=8, ge=0)
    seed: int = 0


class TrainRecipe(Strict):
    """A training: harvest once, then train each SAE."""

    model: ModelSection
    corpus: list[CorpusSection] = Field(min_length=1)
    harvest: HarvestSection = HarvestSection()
    sae: list[TrainedSaeSection] = Field(min_length=1)

    @field_validator("sae")
    @classmethod
    def _unique_names(cls, value: list[TrainedSaeSection]) -> list[TrainedSaeSection]:
        names = [section.name for section in value]
        if len(set(names)) != len(names):
            raise ValueError("two SAEs have the same name")
        return value


_R = TypeVar("_R", BuildRecipe, TrainRecipe)


def load_build_recipe(path: str | Path) -> BuildRecipe:
    """Read a build recipe; raises `RecipeError` for anything that is not exactly one."""
    return _load(BuildRecipe, Path(path))


def load_train_recipe(path: str | Path) -> TrainRecipe:
    """Read a training recipe; raises `RecipeError` for anything that is not exactly one."""
    return _load(TrainRecipe, Path(path))


def digest(recipe: Strict, *, exclude: set[str] | None = None) -> str:
    """SHA-256 of a recipe's values (not of its spelling), as hex."""
    values = recipe.model_dump(mode="json", exclude=exclude)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _load(kind: type[_R], path: Path) -> _R:
    return _with_absolute_sources(read_toml(kind, path), path.resolve().parent)


def _with_absolute_sources(recipe: _R, folder: Path) -> _R:
    """Resolve relative folders and files of a recipe against the recipe's folder."""
    update: dict[str, Any] = {
        "corpus": [
            section.model_copy(update={"source": absolute_source(section.source, folder)})
            for section in recipe.corpus
        ]
    }
    if isinstance(recipe, BuildRecipe):
        update["sae"] = [_absolute_sae(section, folder) for section in recipe.sae]
    model, named = recipe.model, {}
    if not (isinstance(recipe, BuildRecipe) and recipe.brought):
        named["name"] = absolute_source(model.name, folder)
    if isinstance(model, MappedModelSection) and model.tokenizer is not None:
        named["tokenizer"] = absolute_source(model.tokenizer, folder)
    update["model"] = model.model_copy(update=named)
    return recipe.model_copy(update=update)


def _absolute_sae(section: SaeSection, folder: Path) -> SaeSection:
    update: dict[str, Any] = {}
    if section.source is not None:
        update["source"] = absolute_source(section.source, folder)
    if section.codes is not None:
        paths = {"path": section.codes.path, "documents": section.codes.documents}
        update["codes"] = section.codes.model_copy(
            update={k: absolute_path(v, folder) for k, v in paths.items() if v is not None}
        )
    return section.model_copy(update=update)
