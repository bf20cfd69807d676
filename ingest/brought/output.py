"""What a reading of brought codes leaves in its folder beside the shards."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.artifacts import shard_is_done, write_json, write_table
from atlas.errors import ArtifactError
from ingest.brought.document_rows import TEXTS
from ingest.documents import Document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    import pyarrow as pa
    from numpy.typing import NDArray

    from ingest.brought.documents import DocumentBlock

REPORT_FORMAT = 1


@dataclass(frozen=True)
class Brought:
    """Brought codes as shards.

    Attributes
    ----------
    folder
        Holds ``shard-NNNNN.safetensors`` with its record, and ``brought/`` with this report
        (``report.json``), ``documents.parquet`` and ``vocabulary.parquet``.
    identity
        What every shard records; `atlas.artifacts.read_shard` wants it.
    shards
        Number of shards.
    d_sae
        Number of latents.
    counts
        ``rows`` (positions that count, N), ``firings``, ``documents``,
        ``documents_without_firing``, ``silent_features``, ``zeros_dropped``,
        ``masked_firings``, ``masked_positions``.
    flags
        What a reader of the results has to know, by topic.
    about
        What the files say of themselves.
    rows_sha256
        Hash over the document ids and the positions that count: two sets of codes can be
        mapped together only where it is the same.
    """

    folder: Path
    identity: dict[str, str]
    shards: int
    d_sae: int
    counts: dict[str, int]
    flags: dict[str, str] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)
    rows_sha256: str = ""

    @property
    def shard_paths(self) -> list[Path]:
        """The shards, in order."""
        return [shard_path(self.folder, number) for number in range(self.shards)]


def shard_path(folder: Path, number: int) -> Path:
    """Path of a shard; the names are those of a build's folder of codes."""
    return folder / f"shard-{number:05d}.safetensors"


def side_path(folder: Path, name: str) -> Path:
    """Path of a file beside the shards. A folder of its own, as ``*.json`` are shard records."""
    return folder / "brought" / name


def write_report(brought: Brought) -> None:
    """Write ``brought/report.json``, last: its presence says that the reading is finished."""
    values = {k: v for k, v in asdict(brought).items() if k != "folder"}
    write_json(side_path(brought.folder, "report.json"), {"format": REPORT_FORMAT, **values})


def read_brought(folder: Path) -> Brought:
    """Read the report of a finished reading; raises `ArtifactError` where there is none."""
    path = side_path(folder, "report.json")
    if not path.is_file():
        raise ArtifactError(f"{folder} holds no finished reading of brought codes.")
    values: dict[str, Any] = json.loads(path.read_text())
    if values.pop("format", None) != REPORT_FORMAT:
        raise ArtifactError(f"{path} has another format.", hint="Delete it and read again.")
    return Brought(folder=folder, **values)


def finished(folder: Path, identity: dict[str, str]) -> Brought | None:
    """Return the reading of the same identity, if it is complete; None otherwise.

    Raises
    ------
    ArtifactError
        The folder holds shards made from something else.
    """
    try:
        done = read_brought(folder)
    except ArtifactError:
        shard_is_done(shard_path(folder, 0), identity)
        return None
    whole = [shard_is_done(path, identity) for path in done.shard_paths]
    sides = [side_path(folder, f"{name}.parquet").is_file() for name in ("documents", "vocabulary")]
    return done if done.identity == identity and all(whole + sides) else None


def documents_schema() -> pa.Schema:
    """Return the columns of ``documents.parquet``."""
    import pyarrow as pa

    texts = [(name, pa.string()) for name in TEXTS]
    numbers = [("number", pa.int32()), ("id", pa.string()), ("n_positions", pa.int64())]
    return pa.schema([*numbers, *texts, ("tokens", pa.list_(pa.int32()))])


class DocumentsWriter:
    """Writes ``documents.parquet``, a row group a shard, and renames it when it is complete."""

    def __init__(self, folder: Path) -> None:
        import pyarrow.parquet as pq

        self._path = side_path(folder, "documents.parquet")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._partial = self._path.with_name(self._path.name + ".partial")
        self._writer = pq.ParquetWriter(self._partial, documents_schema(), compression="zstd")

    def __enter__(self) -> DocumentsWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.close()
        if kind is None:
            self._partial.replace(self._path)
        else:
            self._partial.unlink(missing_ok=True)

    def add(self, block: DocumentBlock, tokens: NDArray[np.int32] | None) -> None:
        """Write the documents of a block with the tokens of all their positions."""
        import pyarrow as pa

        n = np.diff(block.starts)
        columns: dict[str, Any] = {
            "number": np.arange(len(n), dtype=np.int32) + np.int32(block.first),
            "id": block.ids,
            "n_positions": n,
        }
        for name in TEXTS:
            columns[name] = [None] * len(n) if block.texts is None else block.texts[name]
        # Large lists, cast in pieces, would be needed above 2**31 tokens a shard only.
        offsets = block.starts.astype(np.int32)
        columns["tokens"] = (
            pa.nulls(len(n), pa.list_(pa.int32()))
            if tokens is None
            else pa.ListArray.from_arrays(offsets, tokens)
        )
        self._writer.write_table(pa.table(columns, schema=documents_schema()))


def write_vocabulary(folder: Path, texts: Mapping[int, str]) -> None:
    """Write ``vocabulary.parquet``: token (int32) and text, ordered by token."""
    import pyarrow as pa

    ordered = sorted(texts.items())
    columns = {
        "token": pa.array([token for token, _ in ordered], pa.int32()),
        "text": pa.array([text for _, text in ordered], pa.string()),
    }
    write_table(side_path(folder, "vocabulary.parquet"), pa.table(columns))


def read_vocabulary(folder: Path) -> dict[int, str]:
    """Read the texts of tokens, by id; empty where they are not known."""
    import pyarrow.parquet as pq

    table = pq.read_table(side_path(folder, "vocabulary.parquet"))
    return dict(zip(table["token"].to_pylist(), table["text"].to_pylist(), strict=True))


class BroughtDocuments:
    """The documents of brought codes, in the order of the shards' document numbers.

    Parameters
    ----------
    folder
        Folder of a finished reading.

    Attributes
    ----------
    documents
        Their `Document`; the text is empty where none was brought.
    n_positions
        int64: positions of each; where only those with a firing are known, the largest + 1.
    """

    def __init__(self, folder: Path) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(side_path(folder, "documents.parquet"))
        table = self._file.read(columns=["id", "n_positions", *TEXTS])
        self.n_positions: NDArray[np.int64] = table["n_positions"].to_numpy()
        self.documents = [
            Document(row["id"], row["text"] or "", row["domain"], row["source"], row["title"])
            for row in table.to_pylist()
        ]
        metadata = self._file.metadata
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._group = lru_cache(maxsize=4)(self._read_group)

    def __len__(self) -> int:
        return len(self.documents)

    def _read_group(self, group: int) -> pa.Array:
        return self._file.read_row_group(group, columns=["tokens"])["tokens"].combine_chunks()

    def tokens(self, document: int) -> NDArray[np.int32] | None:
        """Token ids of all positions of a document, `UNKNOWN_TOKEN` where not known.

        None where the codes came without any token. The row groups read last are kept.
        """
        group = int(np.searchsorted(self._starts, document, side="right")) - 1
        found = self._group(group)[document - int(self._starts[group])]
        if not found.is_valid:
            return None
        ids: NDArray[np.int32] = found.values.to_numpy()
        return ids
