"""Writes graphs to files and reads them back, whole or not at all."""

from __future__ import annotations

import gzip
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, cast
from xml.etree.ElementTree import ParseError

from atlas.artifacts import writing
from atlas.errors import ArtifactError, UsageError
from atlas.formats.folders import (
    DESCRIPTION,
    read_folder,
    write_csv,
    write_parquet,
)
from atlas.formats.gexf import read_gexf, write_gexf
from atlas.formats.graphml import read_graphml, write_graphml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from atlas.formats.tables import GraphStream, GraphTables

FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "graphml": "a GraphML file; compressed if its name ends in .gz",
        "gexf": "a GEXF 1.3 file, for Gephi; compressed if its name ends in .gz",
        "parquet": "a folder with nodes.parquet, edges.parquet and graph.json",
        "csv": "a folder with nodes.csv, edges.csv and graph.json",
    }
)
"""Formats of `write_graph` and what each makes."""

_FILES = MappingProxyType({"graphml": write_graphml, "gexf": write_gexf})
_FOLDERS = MappingProxyType({"parquet": write_parquet, "csv": write_csv})
_READERS = MappingProxyType({".graphml": read_graphml, ".gexf": read_gexf})


@dataclass(frozen=True)
class Written:
    """What an export wrote.

    Attributes
    ----------
    path
        File or folder.
    format
        Its format.
    nodes, edges
        What it holds.
    bytes
        Size on disk.
    seconds
        Wall time.
    """

    path: str
    format: str
    nodes: int
    edges: int
    bytes: int
    seconds: float


def write_graph(
    graph: GraphStream, path: str | Path, *, file_format: str, force: bool = False
) -> Written:
    """Write a graph to a file or folder, in batches.

    Parameters
    ----------
    graph
        What to write.
    path
        File or folder; it is written beside its place and moved when it is complete.
    file_format
        One of `FORMATS`.
    force
        Replace what is there.

    Raises
    ------
    UsageError
        There is no such format, or `path` exists and `force` is not given.
    ArtifactError
        It cannot be written.
    """
    began, path = time.monotonic(), Path(path)
    if file_format not in FORMATS:
        raise UsageError(
            f"There is no format {file_format!r}.", hint=f"One of {', '.join(FORMATS)}."
        )
    check_free(path, force=force)
    if file_format in _FOLDERS:
        nodes, edges = _FOLDERS[file_format](path, graph)
        size = sum(part.stat().st_size for part in path.iterdir() if part.is_file())
    else:
        with replacing(path) as handle:
            nodes, edges = _FILES[file_format](handle, graph)
        size = path.stat().st_size
    return Written(str(path), file_format, nodes, edges, size, time.monotonic() - began)


def check_free(path: Path, *, force: bool) -> None:
    """Refuse to overwrite a file, or a folder that holds something.

    Raises
    ------
    UsageError
        `path` exists and `force` is not given.
    """
    taken = any(path.iterdir()) if path.is_dir() else path.exists()
    if taken and not force:
        raise UsageError(f"{path} exists.", hint="Choose another name, or replace it with --force.")


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file beside `path`, compressed if it ends in .gz, that takes its place at the end.

    Where the block fails, what was at `path` stays and nothing is left beside it.
    """
    partial = path.with_name(path.name + ".partial")
    with writing(path, partial):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as plain:
                if path.suffix == ".gz":
                    # Neither name nor time, so that the same graph gives the same file.
                    with gzip.GzipFile("", "wb", 6, plain, mtime=0) as packed:
                        yield cast("IO[bytes]", packed)
                else:
                    yield plain
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def read_graph(path: str | Path) -> GraphTables:
    """Read an exported graph into memory.

    Parameters
    ----------
    path
        A file ending in ``.graphml`` or ``.gexf``, with or without ``.gz``, or a folder of Parquet
        or CSV files. GraphML and GEXF of other programs are read as well.

    Raises
    ------
    ArtifactError
        It is missing, damaged or of another format.
    """
    path = Path(path)
    if path.is_dir():
        return read_folder(path)
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    reader = _READERS.get(suffix.lower())
    if reader is None:
        raise ArtifactError(
            f"{path} is not known to be a graph.",
            hint=f"Give a .graphml or .gexf file, or a folder with {DESCRIPTION}.",
        )
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as handle:
            return reader(handle)  # type: ignore[arg-type]
    except (OSError, EOFError, ParseError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}.", hint="Export it again.") from error
