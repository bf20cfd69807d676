"""Reading TOML into strict models: what is wrong is named, with the nearest right key."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from atlas.errors import RecipeError


class Strict(BaseModel):
    """A table of a recipe: no unknown keys, no conversions, no changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


_S = TypeVar("_S", bound=Strict)


def read_toml(kind: type[_S], path: Path) -> _S:
    """Read a TOML file as a model; raises `RecipeError` for anything that is not exactly one."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"Recipe {path} cannot be read: {error}.") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"Recipe {path} is not TOML: {error}.") from error
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        lines = [_explain(kind, item) for item in error.errors()]
        raise RecipeError(f"Recipe {path}: " + "; ".join(lines)) from error


def _explain(kind: type[BaseModel], item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "value_error":  # of our own validators; the whole table was their input
        return f"{where}: {item['ctx']['error']}" if where else str(item["ctx"]["error"])
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


def absolute_path(path: str, folder: Path) -> str:
    """Resolve a path of a recipe against the recipe's folder; ``~`` is the user's."""
    return str((folder / Path(path).expanduser()).resolve())


def absolute_source(source: str, folder: Path) -> str:
    """Resolve a source that looks like a path, or names something in the recipe's folder."""
    if source.startswith((".", "/", "~")) or (folder / source).exists():
        return absolute_path(source, folder)
    return source
