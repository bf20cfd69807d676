"""Where codes are brought from: what every format offers, and which format a path holds."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.artifacts import file_sha256
from atlas.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from ingest.brought.batches import RawBatch
    from ingest.brought.documents import SequenceDocuments

KINDS = ("auto", "parquet", "safetensors", "delphi")
LATENTS = ("auto", "absolute", "relative")
PARQUET_SUFFIXES = (".parquet", ".pq")


class FiringSource(ABC):
    """Rows (document, position, feature, value and perhaps token) in files.

    Parameters
    ----------
    root
        The file or folder that was given.
    files
        The files that are read, in order.

    Attributes
    ----------
    kind
        Name of the format.
    d_sae
        Number of latents, where the format says it.
    flags
        What a reader of the results has to know about these codes, by topic.
    about
        What the files say of themselves, such as the model's name.
    """

    kind = ""

    def __init__(self, root: Path, files: Sequence[Path]) -> None:
        self.root = root
        self.files = tuple(files)
        self.d_sae: int | None = None
        self.flags: dict[str, str] = {}
        self.about: dict[str, str] = {}

    @property
    @abstractmethod
    def document_type(self) -> pa.DataType:
        """Arrow int64 or string: the type of the document ids."""

    @property
    @abstractmethod
    def token_type(self) -> pa.DataType | None:
        """Arrow int64 or string: the type of the rows' tokens; None without them."""

    @abstractmethod
    def batches(self, columns: Sequence[str], *, rows: int) -> Iterator[RawBatch]:
        """Yield the rows of all files, at most `rows` at a time, with the named columns."""

    def documents(self) -> SequenceDocuments | None:
        """Return the documents that the format itself lists, where it does."""
        return None

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of every source file, by its path below the given folder."""
        below = self.root if self.root.is_dir() else self.root.parent
        return {path.relative_to(below).as_posix(): file_sha256(path) for path in self.files}

    @property
    def identity(self) -> dict[str, str]:
        """What a shard made from these files records: each file's hash, and one over all."""
        listed = sorted(self.hashes.items())
        total = hashlib.sha256(repr(listed).encode()).hexdigest()
        return {"format": self.kind, "sources": total} | {f"source {k}": v for k, v in listed}


def open_source(path: str | Path, *, kind: str = "auto", latents: str = "auto") -> FiringSource:
    """Open brought codes.

    Parameters
    ----------
    path
        A Parquet or safetensors file, a folder of such files (searched recursively), or the
        folder of one hook in a delphi cache.
    kind
        One of `KINDS`; ``auto`` looks at the files.
    latents
        How a delphi cache counts latents: ``relative`` to the first of the file's range,
        ``absolute``, or ``auto`` (unsigned integers are relative, signed ones absolute).

    Returns
    -------
    FiringSource

    Raises
    ------
    ArtifactError
        A file is missing, truncated, or lacks a column.
    UsageError
        The format is unknown or cannot be told.
    """
    from ingest.brought.delphi import DelphiSource
    from ingest.brought.parquet import ParquetSource
    from ingest.brought.tensors import TensorSource

    given = Path(path).expanduser()
    if not given.exists():
        raise ArtifactError(f"There are no codes at {given}.", hint="Give a file or a folder.")
    for name, value, known in (("Format", kind, KINDS), ("Counting", latents, LATENTS)):
        if value not in known:
            raise UsageError(f"{name} {value!r} is unknown.", hint=f"Known: {', '.join(known)}.")
    found = _detect(given) if kind == "auto" else kind
    if found == "parquet":
        return ParquetSource(given)
    if found == "delphi":
        return DelphiSource(given, latents=latents)
    return TensorSource(given)


def _detect(path: Path) -> str:
    from ingest.brought.delphi import is_delphi

    tables = list_files(path, PARQUET_SUFFIXES)
    tensors = list_files(path, (".safetensors",))
    if tables and tensors:
        raise UsageError(
            f"{path} holds both Parquet and safetensors files.",
            hint="Say which with the format: " + ", ".join(KINDS[1:]) + ".",
        )
    if tables:
        return "parquet"
    if not tensors:
        raise ArtifactError(f"{path} holds no codes.", hint="Give .parquet or .safetensors files.")
    return "delphi" if is_delphi(path, tensors) else "safetensors"


def list_files(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files with one of the suffixes: `path` itself, or those below it in order of their paths.

    Names that begin with a dot or an underscore are left out, as writers of Parquet folders use
    them for their own notes.
    """
    if path.is_file():
        return [path] if path.suffix.lower() in suffixes else []
    found = (p for p in path.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
    return sorted(p for p in found if not p.name.startswith((".", "_")))
