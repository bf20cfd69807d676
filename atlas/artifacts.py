"""Files between the stages of a build: code shards and tables, each with its checksum.

A file is written beside its place and renamed when it is complete; its record (rows, SHA-256)
is written after it. So a file with a record is whole, and a stage that is run again keeps it.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

SHARD_FORMAT = 1


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as hex, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def are_whole(folder: Path, checksums: Mapping[str, str]) -> bool:
    """Whether a folder has every file that a record names, each with its SHA-256."""
    return all(
        (folder / name).is_file() and file_sha256(folder / name) == sha256
        for name, sha256 in checksums.items()
    )


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, atomically."""
    partial = path.with_name(path.name + ".partial")
    with writing(path, partial):
        partial.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        partial.replace(path)


def write_table(path: Path, table: pa.Table | Iterable[pa.Table]) -> dict[str, Any]:
    """Write a Parquet file atomically; return its record ``{"rows", "sha256"}``.

    Parameters
    ----------
    path
        File to write.
    table
        A table, or tables of one schema that are written one after the other, at least one.

    Raises
    ------
    ArtifactError
        The file cannot be written (a full disk, for example); what was there stays.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    partial = path.with_name(path.name + ".partial")
    rows, writer = 0, None
    with writing(path, partial):
        try:
            for part in [table] if isinstance(table, pa.Table) else table:
                if writer is None:
                    writer = pq.ParquetWriter(
                        partial, part.schema, compression="zstd", use_dictionary=_texts(part.schema)
                    )
                writer.write_table(part)
                rows += part.num_rows
        finally:
            if writer is not None:
                writer.close()
        sha256 = file_sha256(partial)
        partial.replace(path)
        _WHOLE[str(path)] = _seen(path, sha256)
    return {"rows": rows, "sha256": sha256}


def _texts(schema: pa.Schema) -> list[str]:
    """Return the columns worth a dictionary: numbers mostly differ, and are packed without one."""
    import pyarrow as pa

    paths = {pa.string(): "", pa.list_(pa.string()): ".list.element"}
    return [field.name + paths[field.type] for field in schema if field.type in paths]


@contextmanager
def writing(path: Path, partial: Path) -> Iterator[None]:
    """Turn a failure to write into an `ArtifactError`, and remove the unfinished file."""
    try:
        yield
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise ArtifactError(
            f"{path} cannot be written: {error.strerror or error}.",
            hint="Free some space and run the same command again; what is finished is kept.",
        ) from error


@dataclass(frozen=True)
class CodeShard:
    """Sparse SAE codes of some whole documents: a compressed sparse row matrix.

    A row is an unmasked token position; rows are in document order, then position order.

    Attributes
    ----------
    indptr
        int64 ``[rows + 1]``.
    index
        int32 ``[nnz]``, latent indices, ascending within a row.
    value
        float32 ``[nnz]``, activations, all > 0.
    document
        int32 ``[rows]``, index of the document in the corpus.
    position
        int32 ``[rows]``, token position in the document, from 0.
    token
        int32 ``[rows]``, token id at that position.
    """

    indptr: NDArray[np.int64]
    index: NDArray[np.int32]
    value: NDArray[np.float32]
    document: NDArray[np.int32]
    position: NDArray[np.int32]
    token: NDArray[np.int32]

    @property
    def rows(self) -> int:
        """Number of unmasked positions."""
        return len(self.document)


_ARRAYS = ("indptr", "index", "value", "document", "position", "token")


def write_shard(path: Path, shard: CodeShard, *, identity: dict[str, str]) -> None:
    """Write a shard and, after it, its record (``.json`` beside it).

    Parameters
    ----------
    path
        File to write, ``*.safetensors``.
    shard
        The codes.
    identity
        What the codes were made from (model, hook, SAE hash, corpus hash ...). A reader that
        expects another identity refuses the shard.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    partial = path.with_name(path.name + ".partial")
    with writing(path, partial):
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {name: np.ascontiguousarray(getattr(shard, name)) for name in _ARRAYS}
        try:
            save_file(arrays, partial)
        except SafetensorError as error:  # what it makes of a full disk
            raise OSError(str(error)) from error
        record = {
            "format": SHARD_FORMAT,
            "identity": identity,
            "rows": shard.rows,
            "nnz": len(shard.index),
            "sha256": file_sha256(partial),
        }
        partial.replace(path)
    write_json(path.with_suffix(".json"), record)


def shard_is_done(path: Path, identity: dict[str, str]) -> bool:
    """Whether a shard and its record are there; raises `ArtifactError` for another identity."""
    record = path.with_suffix(".json")
    if not (path.is_file() and record.is_file()):
        return False
    _check_identity(path, json.loads(record.read_text()), identity)
    return True


def shard_rows(path: Path) -> int:
    """Return the number of rows of a shard, from its record."""
    return int(json.loads(path.with_suffix(".json").read_text())["rows"])


def read_shard(path: Path, *, identity: dict[str, str]) -> CodeShard:
    """Read a shard; raises `ArtifactError` where it is damaged or made from something else."""
    from safetensors.numpy import load_file

    record_path = path.with_suffix(".json")
    if not (path.is_file() and record_path.is_file()):
        raise ArtifactError(f"Code shard {path} is missing.", hint="Run the build again.")
    record = json.loads(record_path.read_text())
    _check_identity(path, record, identity)
    if not _is_whole(path, record["sha256"]):
        raise ArtifactError(
            f"Code shard {path} is damaged: its checksum differs from its record.",
            hint=f"Delete {path.name} and {record_path.name} and run the build again; only this "
            "shard is computed anew.",
        )
    arrays = load_file(path)
    return CodeShard(**{name: arrays[name] for name in _ARRAYS})


#: Files written or found whole in this process: path to (modification time, size, SHA-256).
_WHOLE: dict[str, tuple[int, int, str]] = {}


def _seen(path: Path, sha256: str) -> tuple[int, int, str]:
    stat = path.stat()
    return (stat.st_mtime_ns, stat.st_size, sha256)


def known_sha256(path: Path) -> str:
    """SHA-256 of a file; a table that this process wrote, and nobody since, is not read again."""
    known = _WHOLE.get(str(path))
    if known is not None and known == _seen(path, known[2]):
        return known[2]
    return file_sha256(path)


def _is_whole(path: Path, sha256: str) -> bool:
    """Whether a file has a checksum; one that was not written to since is not read again."""
    seen = _seen(path, sha256)
    if _WHOLE.get(str(path)) != seen:
        if file_sha256(path) != sha256:
            return False
        _WHOLE[str(path)] = seen
    return True


def _check_identity(path: Path, record: dict[str, Any], identity: dict[str, str]) -> None:
    if record.get("format") != SHARD_FORMAT:
        raise ArtifactError(
            f"Code shard {path} has format {record.get('format')}, this version reads "
            f"{SHARD_FORMAT}.",
            hint="Delete the build's folder `codes` and build again.",
        )
    differing = [key for key in identity if record["identity"].get(key) != identity[key]]
    if differing:
        key = differing[0]
        raise ArtifactError(
            f"Code shard {path} was made with {key} = {record['identity'].get(key)!r}, this build "
            f"has {identity[key]!r}.",
            hint="Delete the build's folder `codes` and build again.",
        )


def concatenate(shards: list[CodeShard]) -> CodeShard:
    """Join shards, in order, into one."""
    offsets = np.cumsum([0, *(len(shard.index) for shard in shards)])
    pointers = [shard.indptr[1:] + offset for shard, offset in zip(shards, offsets, strict=False)]
    return CodeShard(
        indptr=np.concatenate([np.zeros(1, np.int64), *pointers]),
        **{name: np.concatenate([getattr(s, name) for s in shards]) for name in _ARRAYS[1:]},
    )
