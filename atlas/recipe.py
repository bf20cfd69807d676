"""Recipes: strict TOML files that say everything about a build or a training.

An unknown key is an error that names the nearest right one; so are a wrong type and a value out
of range. Paths in a recipe are relative to the recipe's own folder.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from atlas.errors import RecipeError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ModelSection(_Strict):
    """``[model]``: the language model."""

    name: str = Field(description="packaged name, local folder, or hub name")


class CorpusSection(_Strict):
    """``[[corpus]]``: a source of documents; several are read one after the other."""

    source: str = Field(description="folder, file, demo:written, demo:hpo, or hf:NAME")
    text_column: str = "text"
    domain_column: str | None = None
    id_column: str | None = None
    limit: int | None = Field(default=None, ge=1)


class SaeSection(_Strict):
    """``[[sae]]``: an SAE to map."""

    source: str = Field(description="shipped name, local folder, or RELEASE:ID of SAELens")
    name: str | None = Field(default=None, description="name in feature keys; default from source")


class TokensSection(_Strict):
    """``[tokens]``: how documents become positions that count."""

    context_size: int = Field(default=256, ge=2)
    batch_tokens: int = Field(default=4096, ge=2)
    skip_positions: int = Field(default=1, ge=0, description="first positions of a block to mask")
    sink_ratio: float = Field(
        default=3.0, gt=1.0, description="mask above this times the median norm"
    )
    shard_documents: int = Field(default=500, ge=1)


class EdgesSection(_Strict):
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


class FeaturesSection(_Strict):
    """``[features]``: what is kept of each feature beside its counts."""

    contexts: int = Field(default=10, ge=0)
    context_tokens: int = Field(default=24, ge=1)
    tokens: int = Field(default=10, ge=1)
    bins: int = Field(default=4, ge=0, description="quantile bins of weaker firings; 0: none")
    per_bin: int = Field(default=2, ge=1, description="contexts drawn from each bin")
    seed: int = 0


class AnalysisSection(_Strict):
    """``[analysis]``: centrality and communities."""

    seed: int = 0
    backbone_k: int = Field(default=10, ge=1)


class BuildRecipe(_Strict):
    """A build: text, model and SAEs to a graph."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    model: ModelSection
    corpus: list[CorpusSection] = Field(min_length=1)
    sae: list[SaeSection] = Field(min_length=1)
    tokens: TokensSection = TokensSection()
    edges: EdgesSection = EdgesSection()
    features: FeaturesSection = FeaturesSection()
    analysis: AnalysisSection = AnalysisSection()


class HarvestSection(_Strict):
    """``[harvest]``: activations written to disk for training."""

    context_size: int = Field(default=256, ge=2)
    batch_tokens: int = Field(default=8192, ge=2)
    shard_blocks: int = Field(default=384, ge=1)
    held_out: float = Field(default=0.02, gt=0, lt=1)
    seed: int = 0
    compile: bool = Field(default=False, description="torch.compile the blocks; needs a compiler")


class TrainedSaeSection(_Strict):
    """``[[sae]]`` of a training recipe: one TopK SAE to train."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
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


class TrainRecipe(_Strict):
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


def digest(recipe: _Strict, *, exclude: set[str] | None = None) -> str:
    """SHA-256 of a recipe's values (not of its spelling), as hex."""
    values = recipe.model_dump(mode="json", exclude=exclude)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _load(kind: type[_R], path: Path) -> _R:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"Recipe {path} cannot be read: {error}.") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"Recipe {path} is not TOML: {error}.") from error
    try:
        recipe = kind.model_validate(values)
    except ValidationError as error:
        lines = [_explain(kind, item) for item in error.errors()]
        raise RecipeError(f"Recipe {path}: " + "; ".join(lines)) from error
    return _with_absolute_sources(recipe, path.resolve().parent)


def _explain(kind: type[BaseModel], item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] != "extra_forbidden":
        return f"{where}: {item['msg'][0].lower()}{item['msg'][1:]} (given: {item['input']!r})"
    known = _fields_at(kind, item["loc"][:-1])
    near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1, cutoff=0.0)
    meant = f"did you mean {near[0]!r}?" if near else ""
    return f"unknown key {where!r}; {meant} Known here: {', '.join(known)}."


def _fields_at(kind: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    current: Any = kind
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = current.model_fields[part].annotation
        current = getattr(annotation, "__args__", (annotation,))[0]
    return list(current.model_fields)


def _with_absolute_sources(recipe: _R, folder: Path) -> _R:
    """Resolve relative folders and files of a recipe against the recipe's folder."""

    def absolute(source: str) -> str:
        candidate = folder / source
        looks_like_path = source.startswith((".", "/", "~")) or candidate.exists()
        return (
            str(Path(source).expanduser() if source.startswith("~") else candidate.resolve())
            if looks_like_path
            else source
        )

    update: dict[str, Any] = {}
    for field in ("corpus", "sae"):
        update[field] = [
            s.model_copy(update={"source": absolute(s.source)}) if hasattr(s, "source") else s
            for s in getattr(recipe, field)
        ]
    name = recipe.model.name
    update["model"] = recipe.model.model_copy(update={"name": absolute(name)})
    return recipe.model_copy(update=update)
